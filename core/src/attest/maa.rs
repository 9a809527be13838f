//! Tokens of Microsoft Azure Attestation: their claims, and the checks on them.
//!
//! Names are those of the service's claim sets and of its EAT profile for TDX. For SGX, the deprecated
//! names (`sgx-mrenclave`, `product-id`, …) count where the present one is absent.
//!
//! A provider applies the policy of whoever owns it, and the shared providers that of anyone: an issuer
//! says little without the policy's hash. A token lives for hours: only its nonce says that it is fresh.
//! The nonce is taken from what the hardware's report covers, never from the claim `nonce`, which anyone
//! with an old report can choose.
//!
//! The service names no audience. The binder's comes from the verifier ([`Binding::V1`]).

use core::fmt;

use super::{Binding, ClaimRule, Debugging, Rule, at, missing, one_of, text};
use crate::encode::base64::url_decode_vartime;
use crate::json::Value;
use crate::jws::{self, Outcome};
use crate::{Error, Result};

/// What is expected of a workload. It has no default: each member is fixed, or waived by name.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// `iss`: the provider's URL. Beside the key set's own issuer, which [`jws::Expect`] pins, this is
    /// whom the policy allows.
    pub issuer: Rule<'a>,
    /// `x-ms-attestation-type`.
    pub kind: Kind,
    /// `x-ms-policy-hash`: base64url of the SHA-256 of the base64url of the policy's text.
    pub policy_hash: Rule<'a>,
    /// An SGX enclave, a virtual machine or a trust domain that can be debugged.
    pub debug: Debugging,
    /// What runs there. It must suit `kind`.
    pub measurement: Measurement<'a>,
    /// `x-ms-compliance-status`: `azure-compliant-cvm`.
    pub compliance: Rule<'a>,
    /// Rules on any other claims. In an `azurevm` token, names occur at two levels: the pointer says
    /// which.
    pub claims: &'a [ClaimRule<'a>],
}

/// What kind of evidence was attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `azurevm`: a virtual machine by its TPM, with what the processor says in `x-ms-isolation-tee`.
    /// Such a token gets a report and no verdict: which part of it a fresh nonce reaches is not shown.
    AzureVm,
    /// `sevsnpvm`: an AMD SEV-SNP virtual machine or container group.
    SevSnpVm,
    /// `sgx`: an Intel SGX enclave.
    Sgx,
    /// `tdxvm`: an Intel TDX virtual machine.
    TdxVm,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::AzureVm, Self::SevSnpVm, Self::Sgx, Self::TdxVm];

    /// The value of `x-ms-attestation-type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AzureVm => "azurevm",
            Self::SevSnpVm => "sevsnpvm",
            Self::Sgx => "sgx",
            Self::TdxVm => "tdxvm",
        }
    }
}

/// Which measurements are accepted, as the token has them: lower-case hexadecimal.
#[derive(Clone, Copy, Debug)]
pub enum Measurement<'a> {
    /// SGX: `x-ms-sgx-mrenclave`, one exact build.
    Enclave(&'a [&'a str]),
    /// SEV-SNP.
    Launch {
        /// `x-ms-sevsnpvm-launchmeasurement`: what was loaded at first.
        measurement: Rule<'a>,
        /// `x-ms-sevsnpvm-hostdata`: what the host set at launch. For a container group, the SHA-256 of
        /// the policy that says which containers may run; without it, anyone's may.
        host_data: Rule<'a>,
    },
    /// SGX: any recent enough build of one product.
    Signer {
        /// `x-ms-sgx-mrsigner`: the hash of the key that signed it.
        mrsigner: &'a [&'a str],
        /// `x-ms-sgx-product-id`.
        product_id: u64,
        /// The least `x-ms-sgx-svn`.
        min_svn: u64,
    },
    /// TDX. `tdx_rtmr0`, the firmware's own configuration, goes by a rule on claims.
    TrustDomain {
        /// `tdx_mrtd`: what was loaded at first, which is the firmware. It says nothing of what that
        /// starts.
        mrtd: Rule<'a>,
        /// `tdx_mrconfigid`: what the host set at launch; mostly zeros, which say nothing.
        config_id: Rule<'a>,
        /// `tdx_rtmr1` to `tdx_rtmr3`: what was started since. The kernel and its command line are in
        /// the first two, as a rule; software in the domain extends the third.
        rtmrs: [Rule<'a>; 3],
    },
    /// Any: whoever configured this said so by name.
    Waived,
}

const CHECKS: [&str; 13] = [
    "issuer",
    "type",
    "policy-hash",
    "debug",
    "measurement",
    "product-id",
    "svn",
    "host-data",
    "rtmr1",
    "rtmr2",
    "rtmr3",
    "compliance",
    "nonce",
];

/// Every check of a token with its outcome. Beside those of every token, they are called `issuer`,
/// `type`, `policy-hash`, `debug`, `measurement`, `product-id`, `svn`, `host-data` (for TDX, the
/// configuration id), `rtmr1` to `rtmr3`, `compliance` and `nonce`.
pub type Report<'a, 'b> = super::Report<'a, 'b, Claims<'b>, { CHECKS.len() }>;

/// A workload that has passed every check.
pub type Attested<'b> = super::Attested<Claims<'b>>;

/// Makes every check, each for itself, so that the report says all that is wrong at once.
pub fn check<'a, 'b>(
    token: &jws::Report<'b>,
    expect: &Expect<'a>,
    binding: &Binding<'_>,
) -> Report<'a, 'b> {
    let claims = Claims::unverified(token);
    let [measurement, product_id, svn, host_data, rtmr1, rtmr2, rtmr3] =
        measured(claims, &expect.measurement);
    let outcomes = [
        expect.issuer.check("iss", at(claims.0, &["iss"])),
        Rule::OneOf(&[expect.kind.as_str()]).check(TYPE, claims.claim(TYPE, &["tee"])),
        expect.policy_hash.check("x-ms-policy-hash", at(claims.0, &["x-ms-policy-hash"])),
        match expect.debug {
            Debugging::Refused => Outcome::of(not_debuggable(claims)),
            Debugging::Waived => Outcome::Waived,
        },
        measurement,
        product_id,
        svn,
        host_data,
        rtmr1,
        rtmr2,
        rtmr3,
        expect
            .compliance
            .check(COMPLIANCE, claims.hardware().and_then(|tee| at(tee, &[COMPLIANCE]))),
        nonce(claims, binding),
    ];
    super::Report { token: *token, names: &CHECKS, outcomes, rules: expect.claims, claims }
}

/// Checks only that a token is bound to a connection and a request. A server needs this before it reads
/// the request, which names the policy that all other checks follow.
///
/// # Errors
/// [`Verification`](crate::ErrorKind::Verification) when the nonce is another's, and always for
/// [`Binding::Unchecked`]; [`Malformed`](crate::ErrorKind::Malformed) when there is none;
/// [`Unsupported`](crate::ErrorKind::Unsupported) for `azurevm` tokens and for bindings other than
/// binder v1; [`Invalid`](crate::ErrorKind::Invalid) when the binding lacks a part.
pub fn binding(token: &jws::Verified<'_>, binding: &Binding<'_>) -> Result<()> {
    match nonce(Claims(token.claims()), binding) {
        Outcome::Passed => Ok(()),
        Outcome::Failed(error) => Err(error),
        _ => Err(Error::verification("nonce", "the token was not held against a connection")),
    }
}

const TYPE: &str = "x-ms-attestation-type";
const ISOLATION: &str = "x-ms-isolation-tee";
const COMPLIANCE: &str = "x-ms-compliance-status";
const MRENCLAVE: &str = "x-ms-sgx-mrenclave";
const MRSIGNER: &str = "x-ms-sgx-mrsigner";
const PRODUCT_ID: &str = "x-ms-sgx-product-id";
const SVN: &str = "x-ms-sgx-svn";
const SGX_DEBUG: &str = "x-ms-sgx-is-debuggable";
const SNP_DEBUG: &str = "x-ms-sevsnpvm-is-debuggable";
const TDX_DEBUG: &str = "tdx_td_attributes_debug";
const LAUNCH: &str = "x-ms-sevsnpvm-launchmeasurement";
const HOST_DATA: &str = "x-ms-sevsnpvm-hostdata";
const MRTD: &str = "tdx_mrtd";
const CONFIG_ID: &str = "tdx_mrconfigid";
const RTMRS: [&str; 3] = ["tdx_rtmr1", "tdx_rtmr2", "tdx_rtmr3"];
const HELD_DATA: &str = "x-ms-sgx-ehd";

fn not_debuggable(claims: Claims<'_>) -> Result<()> {
    let off = |field, claim: Option<Value<'_>>| {
        let on = claim.ok_or(missing(field))?.as_bool();
        match on.ok_or(Error::malformed(field, "the claim must be true or false"))? {
            false => Ok(()),
            true => Err(Error::verification(field, "is true")),
        }
    };
    match claims.hardware_kind().ok_or(missing(TYPE))? {
        // The processor's claims are never those of the outer level.
        Kind::AzureVm => Err(Error::malformed(ISOLATION, "must say what the processor attests")),
        Kind::SevSnpVm => off(SNP_DEBUG, claims.of_hardware(SNP_DEBUG)),
        Kind::Sgx => off(SGX_DEBUG, claims.claim(SGX_DEBUG, &["is-debuggable"])),
        // Two claims say it, by the EAT profile and by the processor; neither may contradict.
        Kind::TdxVm => {
            off(TDX_DEBUG, claims.of_hardware(TDX_DEBUG))?;
            match claims.of_hardware("dbgstat") {
                None => Ok(()),
                status => one_of("dbgstat", text("dbgstat", status)?, &DEBUGGING_DISABLED),
            }
        }
    }
}

/// The values of `dbgstat` that say so (RFC 9711, section 4.2.9).
const DEBUGGING_DISABLED: [&str; 4] =
    ["disabled", "disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently"];

/// The outcomes of `measurement`, `product-id`, `svn`, `host-data` and `rtmr1` to `rtmr3`.
fn measured(claims: Claims<'_>, rule: &Measurement<'_>) -> [Outcome; 7] {
    const NOT: Outcome = Outcome::NotAsked;
    // Names of one kind of hardware mean nothing in a token about another.
    let of =
        |kind: Kind, field: &'static str, rule: Rule<'_>, claim: Option<Value<'_>>| match claims
            .hardware_kind()
            == Some(kind)
        {
            true => rule.check(field, claim),
            false => rule.outcome(|_| {
                Err(Error::verification(field, "the token is about another kind of hardware"))
            }),
        };
    match *rule {
        Measurement::Enclave(wanted) => {
            let claim = claims.claim(MRENCLAVE, &["sgx-mrenclave"]);
            [of(Kind::Sgx, MRENCLAVE, Rule::OneOf(wanted), claim), NOT, NOT, NOT, NOT, NOT, NOT]
        }
        Measurement::Launch { measurement, host_data } => [
            of(Kind::SevSnpVm, LAUNCH, measurement, claims.of_hardware(LAUNCH)),
            NOT,
            NOT,
            of(Kind::SevSnpVm, HOST_DATA, host_data, claims.of_hardware(HOST_DATA)),
            NOT,
            NOT,
            NOT,
        ],
        Measurement::Signer { mrsigner, product_id, min_svn } => {
            let signer = claims.claim(MRSIGNER, &["sgx-mrsigner"]);
            let id = number(PRODUCT_ID, claims.claim(PRODUCT_ID, &["product-id"]));
            let svn = number(SVN, claims.claim(SVN, &["svn"]));
            let hold = |holds, error| if holds { Ok(()) } else { Err(error) };
            let other = Error::verification(PRODUCT_ID, "is another product's");
            let old = Error::verification(SVN, "is older than allowed");
            [
                of(Kind::Sgx, MRSIGNER, Rule::OneOf(mrsigner), signer),
                Outcome::of(id.and_then(|id| hold(id == product_id, other))),
                Outcome::of(svn.and_then(|svn| hold(svn >= min_svn, old))),
                NOT,
                NOT,
                NOT,
                NOT,
            ]
        }
        Measurement::TrustDomain { mrtd, config_id, rtmrs: [rtmr1, rtmr2, rtmr3] } => {
            let of = |field, rule| of(Kind::TdxVm, field, rule, claims.of_hardware(field));
            let [field1, field2, field3] = RTMRS;
            [
                of(MRTD, mrtd),
                NOT,
                NOT,
                of(CONFIG_ID, config_id),
                of(field1, rtmr1),
                of(field2, rtmr2),
                of(field3, rtmr3),
            ]
        }
        Measurement::Waived => [Outcome::Waived, NOT, NOT, NOT, NOT, NOT, NOT],
    }
}

fn number(field: &'static str, claim: Option<Value<'_>>) -> Result<u64> {
    let number = claim.ok_or(missing(field))?.as_u64();
    number.ok_or(Error::malformed(field, "the claim must be a whole number"))
}

/// A binder's nonce has 43 characters.
const NONCE_LEN: usize = 43;

fn nonce(claims: Claims<'_>, binding: &Binding<'_>) -> Outcome {
    let mut held = [0; 64];
    let nonce = match covered_nonce(claims, &mut held) {
        Ok(nonce) => nonce,
        Err(error) => return Outcome::Failed(error),
    };
    match binding {
        Binding::Unchecked => Outcome::NotReached,
        _ => Outcome::of(binding.verify_v1(claims.0, nonce)),
    }
}

/// The nonce out of what the hardware's report covers.
fn covered_nonce<'h>(claims: Claims<'h>, held: &'h mut [u8; 64]) -> Result<&'h str> {
    const FIELD: &str = "x-ms-runtime";
    const BAD: Error = Error::malformed(FIELD, "expected a nonce of 43 characters");
    let kind = claims.kind().ok_or(Error::unsupported(
        TYPE,
        "is not a kind of evidence that is known here: sevsnpvm, tdxvm, sgx",
    ))?;
    let runtime = at(claims.0, &[FIELD, "nonce"]);
    let nonce = match kind {
        Kind::AzureVm => {
            return Err(Error::unsupported(
                TYPE,
                "it is not shown that an azurevm token's nonce is covered by the hardware's report",
            ));
        }
        Kind::Sgx if runtime.is_none() => {
            let data = text(HELD_DATA, claims.claim(HELD_DATA, &["maa-ehd", "aas-ehd"]))?;
            let data = url_decode_vartime(data.as_bytes(), held)
                .map_err(|_| Error::malformed(HELD_DATA, "expected base64url of 43 characters"))?;
            core::str::from_utf8(data).map_err(|_| BAD)?
        }
        Kind::SevSnpVm | Kind::Sgx | Kind::TdxVm => text(FIELD, runtime)?,
    };
    match nonce.len() {
        NONCE_LEN => Ok(nonce),
        _ => Err(BAD),
    }
}

/// The claims of a token.
#[derive(Clone, Copy)]
pub struct Claims<'b>(Value<'b>);

impl<'b> Claims<'b> {
    /// The claims of any token, whoever wrote it: for records, and for nothing else.
    #[must_use]
    pub const fn unverified(token: &jws::Report<'b>) -> Self {
        Self(token.claims())
    }

    /// All of them: an object.
    #[must_use]
    pub const fn json(self) -> Value<'b> {
        self.0
    }

    /// `iss`: the provider's URL.
    #[must_use]
    pub fn issuer(self) -> Option<&'b str> {
        at(self.0, &["iss"])?.as_str()
    }

    /// `jti`: the token's own id.
    #[must_use]
    pub fn id(self) -> Option<&'b str> {
        at(self.0, &["jti"])?.as_str()
    }

    /// `x-ms-attestation-type`; `None` for a kind that is not known here.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        kind(self.claim(TYPE, &["tee"]))
    }

    /// What the processor's claims are about. For an `azurevm` token, that is the kind inside
    /// `x-ms-isolation-tee`.
    #[must_use]
    pub fn hardware_kind(self) -> Option<Kind> {
        match self.kind()? {
            Kind::AzureVm => kind(self.of_hardware(TYPE)),
            kind => Some(kind),
        }
    }

    /// `x-ms-policy-hash`.
    #[must_use]
    pub fn policy_hash(self) -> Option<&'b str> {
        at(self.0, &["x-ms-policy-hash"])?.as_str()
    }

    /// `x-ms-compliance-status`, of the processor's claims.
    #[must_use]
    pub fn compliance_status(self) -> Option<&'b str> {
        self.of_hardware(COMPLIANCE)?.as_str()
    }

    /// `x-ms-sgx-mrenclave`: the enclave's build.
    #[must_use]
    pub fn mrenclave(self) -> Option<&'b str> {
        self.claim(MRENCLAVE, &["sgx-mrenclave"])?.as_str()
    }

    /// `x-ms-sgx-mrsigner`: the enclave's signer.
    #[must_use]
    pub fn mrsigner(self) -> Option<&'b str> {
        self.claim(MRSIGNER, &["sgx-mrsigner"])?.as_str()
    }

    /// `x-ms-sgx-product-id`.
    #[must_use]
    pub fn product_id(self) -> Option<u64> {
        self.claim(PRODUCT_ID, &["product-id"])?.as_u64()
    }

    /// `x-ms-sgx-svn`: the enclave's security version.
    #[must_use]
    pub fn svn(self) -> Option<u64> {
        self.claim(SVN, &["svn"])?.as_u64()
    }

    /// `x-ms-sevsnpvm-launchmeasurement`.
    #[must_use]
    pub fn launch_measurement(self) -> Option<&'b str> {
        self.of_hardware(LAUNCH)?.as_str()
    }

    /// `x-ms-sevsnpvm-hostdata`.
    #[must_use]
    pub fn host_data(self) -> Option<&'b str> {
        self.of_hardware(HOST_DATA)?.as_str()
    }

    /// `tdx_mrtd`.
    #[must_use]
    pub fn mrtd(self) -> Option<&'b str> {
        self.of_hardware(MRTD)?.as_str()
    }

    /// `tdx_mrconfigid`.
    #[must_use]
    pub fn config_id(self) -> Option<&'b str> {
        self.of_hardware(CONFIG_ID)?.as_str()
    }

    /// `tdx_rtmr1` to `tdx_rtmr3`.
    #[must_use]
    pub fn rtmrs(self) -> [Option<&'b str>; 3] {
        RTMRS.map(|name| self.of_hardware(name)?.as_str())
    }

    /// Where the processor's claims are.
    fn hardware(self) -> Option<Value<'b>> {
        match self.kind()? {
            Kind::AzureVm => at(self.0, &[ISOLATION]),
            _ => Some(self.0),
        }
    }

    fn of_hardware(self, name: &str) -> Option<Value<'b>> {
        at(self.hardware()?, &[name])
    }

    /// A claim that once had other names.
    fn claim(self, name: &str, old: &[&str]) -> Option<Value<'b>> {
        at(self.0, &[name]).or_else(|| old.iter().find_map(|old| at(self.0, &[old])))
    }
}

/// Nothing but that they are claims.
impl fmt::Debug for Claims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

fn kind(claim: Option<Value<'_>>) -> Option<Kind> {
    let name = claim?.as_str()?;
    Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests;
