//! Tokens of Google Confidential Space, OIDC and PKI form alike: their claims, and the checks on them.
//!
//! Names and values are those of Google's token claims page and of the launcher. Old tokens carried the
//! blocks `container` and `gce`, and the accounts as `emails`, inside `tee`. Such a name counts where the
//! present one is absent; a token that says one thing under the old name and another under the new is
//! refused. A claim that is null is not there.
//!
//! ```
//! use cloudauth_core::attest::confidential_space::{Expect, Image, Overrides, check};
//! use cloudauth_core::attest::{Binding, Debugging, Rule};
//! use cloudauth_core::jws;
//!
//! # fn example(token: &jws::Report<'_>, binding: &Binding<'_>) -> cloudauth_core::Result<()> {
//! // Every member is written out: what is not fixed is waived by name.
//! let expect = Expect {
//!     issuer: Rule::OneOf(&["https://confidentialcomputing.googleapis.com"]),
//!     audience: Rule::OneOf(&["https://broker.example"]),
//!     image: Image::Digests(&[
//!         "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
//!     ]),
//!     debug: Debugging::Refused,
//!     swname: Rule::OneOf(&["CONFIDENTIAL_SPACE"]),
//!     hwmodel: Rule::OneOf(&["GCP_AMD_SEV", "GCP_INTEL_TDX"]),
//!     project: Rule::OneOf(&["my-project"]),
//!     service_account: Rule::Waived,
//!     env: Overrides::None,
//!     env_override: Overrides::None,
//!     cmd_override: Overrides::None,
//!     args: Overrides::None,
//!     min_swversion: Some(20_260_500),
//!     secure_boot: true,
//!     support_attributes: &["STABLE"],
//!     zone: Rule::NotAsked,
//!     claims: &[],
//! };
//! let report = check(token, &expect, binding);
//! for (name, outcome) in report.outcomes() {
//!     // a line of the record
//!     # let _ = (name, outcome);
//! }
//! let digest = report.verdict()?.claims().image_digest();
//! # Ok(())
//! # }
//! ```

mod claims;

pub use claims::Claims;

use subtle::ConstantTimeEq;

use super::{Binding, ClaimRule, Debugging, Rule, at, missing, one_of};
use crate::digest::sha256;
use crate::ekm::Compat;
use crate::encode::hex;
use crate::json::{Kind, Value};
use crate::jws::{self, Outcome};
use crate::out::Out;
use crate::{Error, Result};

/// The most values of `eat_nonce`.
pub const MAX_NONCES: usize = 6;

/// The least and the greatest length of a nonce in a token, in octets. The service's older page and its
/// API say 10 to 74: ask for those.
pub const NONCE_LEN: core::ops::RangeInclusive<usize> = 8..=88;

/// What is expected of a workload. It has no default: each member is fixed, or waived by name.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// `iss`. Beside the key set's own issuer, which [`jws::Expect`] pins, this is whom the policy
    /// allows.
    pub issuer: Rule<'a>,
    /// The one audience.
    pub audience: Rule<'a>,
    /// The container image.
    pub image: Image<'a>,
    /// `dbgstat` must be `disabled-since-boot`.
    pub debug: Debugging,
    /// `swname`: `CONFIDENTIAL_SPACE`, or `GCE` for a virtual machine that is none.
    pub swname: Rule<'a>,
    /// `hwmodel`, such as `GCP_AMD_SEV` or `GCP_INTEL_TDX`.
    pub hwmodel: Rule<'a>,
    /// The project that the workload runs in. A value of digits alone is compared with the number, any
    /// other with the id; ids start with a letter.
    pub project: Rule<'a>,
    /// The service accounts that run the workload, by `google_service_accounts`: one of them must be one
    /// of these.
    pub service_account: Rule<'a>,
    /// The variables of the container. Beside the exact ones, the token may name `HOSTNAME`, which the
    /// launcher itself sets. [`Overrides::None`] holds if there is no `env_override`: the variables
    /// are then those of the image.
    pub env: Overrides<&'a [(&'a str, &'a str)]>,
    /// The variables that whoever started the workload has changed or added.
    pub env_override: Overrides<&'a [(&'a str, &'a str)]>,
    /// The arguments that whoever started the workload gave in place of the image's.
    pub cmd_override: Overrides<&'a [&'a str]>,
    /// All arguments of the container, entry point included. [`Overrides::None`] holds if there is no
    /// `cmd_override`: the arguments are then those of the image.
    pub args: Overrides<&'a [&'a str]>,
    /// The least `swversion`: `YYYYMM##` or `YYMM##`, as a number; the latter is of the years from 2000, here
    /// as in tokens. Every version that the token names must be as new (it names one).
    pub min_swversion: Option<u32>,
    /// Whether `secboot` must be true.
    pub secure_boot: bool,
    /// What `submods.confidential_space.support_attributes` must contain, such as `STABLE`.
    pub support_attributes: &'a [&'a str],
    /// `submods.gce.zone`.
    pub zone: Rule<'a>,
    /// Rules on any other claims.
    pub claims: &'a [ClaimRule<'a>],
}

/// Which container images are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Image<'a> {
    /// Those with one of these digests, `sha256:` and lower-case hexadecimal.
    Digests(&'a [&'a str]),
    /// Those with a signature by one of these keys, named by `key_id`. The attestation service has
    /// verified the signatures that a token lists.
    SignatureKeys(&'a [&'a str]),
    /// Any: whoever configured this said so by name.
    Waived,
}

/// What whoever starts a workload may change of its image's environment and arguments.
#[derive(Clone, Copy, Debug, Default)]
pub enum Overrides<T> {
    /// It must be exactly this: nothing missing, nothing more; arguments in this order.
    Exactly(T),
    /// Nothing.
    #[default]
    None,
    /// It is not looked at, because another rule says as much: `env` where `env_override` has a rule of
    /// its own, `args` where `cmd_override` has.
    NotAsked,
    /// Anything: whoever configured this said so by name.
    Waived,
}

const CHECKS: [&str; 18] = [
    "issuer",
    "audience",
    "claim-names",
    "image",
    "debug",
    "swname",
    "hwmodel",
    "project",
    "service-account",
    "env",
    "env-override",
    "cmd-override",
    "args",
    "swversion",
    "secure-boot",
    "support-attributes",
    "zone",
    "nonce",
];

/// Every check of a token with its outcome. Beside those of every token, they are called `issuer`,
/// `audience`, `claim-names` (old names contradict present ones), `image`, `debug`, `swname`,
/// `hwmodel`, `project`, `service-account`, `env`, `env-override`, `cmd-override`, `args`,
/// `swversion`, `secure-boot`, `support-attributes`, `zone` and `nonce`.
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
    let outcomes = [
        expect.issuer.check("iss", claims.json().get("iss")),
        expect
            .audience
            .outcome(|wanted| one_of("aud", jws::single_audience(&claims.json())?, wanted)),
        Outcome::of(claims.names_agree()),
        image(claims, expect.image),
        debug(claims, expect.debug),
        expect.swname.check("swname", claims.top("swname")),
        expect.hwmodel.check("hwmodel", claims.top("hwmodel")),
        expect.project.outcome(|wanted| project(claims, wanted)),
        expect.service_account.outcome(|wanted| service_account(claims, wanted)),
        env(claims, expect.env),
        env_override(claims, expect.env_override),
        cmd_override(claims, expect.cmd_override),
        args(claims, expect.args),
        optional(expect.min_swversion, |least| swversion(claims, least)),
        optional(expect.secure_boot.then_some(()), |()| secure_boot(claims)),
        optional(Some(expect.support_attributes).filter(|wanted| !wanted.is_empty()), |wanted| {
            support_attributes(claims, wanted)
        }),
        expect.zone.check("zone", claims.gce("zone")),
        nonce(claims, binding),
    ];
    super::Report { token: *token, names: &CHECKS, outcomes, rules: expect.claims, claims }
}

/// Checks only that a token is bound to a connection and a request. A server needs this before it reads
/// the request, which names the policy that all other checks follow.
///
/// # Errors
/// [`Verification`](crate::ErrorKind::Verification) when the nonce is another's, or the number of nonces
/// is wrong, and always for [`Binding::Unchecked`]; [`Malformed`](crate::ErrorKind::Malformed) when the
/// nonces or the audience are; [`Invalid`](crate::ErrorKind::Invalid) when the binding lacks a part.
pub fn binding(token: &jws::Verified<'_>, binding: &Binding<'_>) -> Result<()> {
    match nonce(Claims(token.claims()), binding) {
        Outcome::Passed => Ok(()),
        Outcome::Failed(error) => Err(error),
        _ => Err(Error::verification("nonce", "the token was not held against a connection")),
    }
}

fn optional<T>(wanted: Option<T>, check: impl FnOnce(T) -> Result<()>) -> Outcome {
    wanted.map_or(Outcome::NotAsked, |wanted| Outcome::of(check(wanted)))
}

fn image(claims: Claims<'_>, rule: Image<'_>) -> Outcome {
    const FIELD: &str = "image_digest";
    match rule {
        Image::Digests(wanted) => Rule::OneOf(wanted).check(FIELD, claims.container(FIELD)),
        Image::SignatureKeys(wanted) => {
            let signed = claims.signature_keys().any(|key| wanted.contains(&key));
            Outcome::of(hold(signed, "image_signatures", "none is by an expected key"))
        }
        Image::Waived => Outcome::Waived,
    }
}

fn debug(claims: Claims<'_>, rule: Debugging) -> Outcome {
    match rule {
        Debugging::Refused => {
            Rule::OneOf(&["disabled-since-boot"]).check("dbgstat", claims.top("dbgstat"))
        }
        Debugging::Waived => Outcome::Waived,
    }
}

fn project(claims: Claims<'_>, wanted: &[&str]) -> Result<()> {
    let (id, number) = (claims.project_id(), claims.project_number());
    if id.is_none() && number.is_none() {
        return Err(missing("project_id"));
    }
    let found = wanted.iter().any(|wanted| {
        let digits = wanted.bytes().all(|c| c.is_ascii_digit());
        Some(*wanted) == if digits { number } else { id }
    });
    hold(found, "project_id", "is not one of the expected projects")
}

fn service_account(claims: Claims<'_>, wanted: &[&str]) -> Result<()> {
    let found = claims.service_accounts().any(|account| wanted.contains(&account));
    hold(found, "google_service_accounts", "none is an expected one")
}

type Variables<'a> = Overrides<&'a [(&'a str, &'a str)]>;
type Arguments<'a> = Overrides<&'a [&'a str]>;

fn env(claims: Claims<'_>, rule: Variables<'_>) -> Outcome {
    const FIELD: &str = "env";
    match rule {
        Overrides::Exactly(wanted) => {
            Outcome::of(variables(FIELD, claims.container(FIELD), wanted, &["HOSTNAME"]))
        }
        Overrides::None => env_override(claims, rule),
        Overrides::NotAsked => Outcome::NotAsked,
        Overrides::Waived => Outcome::Waived,
    }
}

fn env_override(claims: Claims<'_>, rule: Variables<'_>) -> Outcome {
    const FIELD: &str = "env_override";
    let claim = claims.container(FIELD);
    match rule {
        Overrides::Exactly(wanted) => Outcome::of(variables(FIELD, claim, wanted, &[])),
        Overrides::None => Outcome::of(variables(FIELD, claim, &[], &[])),
        Overrides::NotAsked => Outcome::NotAsked,
        Overrides::Waived => Outcome::Waived,
    }
}

fn args(claims: Claims<'_>, rule: Arguments<'_>) -> Outcome {
    const FIELD: &str = "args";
    match rule {
        Overrides::Exactly(wanted) => {
            Outcome::of(arguments(FIELD, claims.container(FIELD), wanted))
        }
        Overrides::None => cmd_override(claims, rule),
        Overrides::NotAsked => Outcome::NotAsked,
        Overrides::Waived => Outcome::Waived,
    }
}

fn cmd_override(claims: Claims<'_>, rule: Arguments<'_>) -> Outcome {
    const FIELD: &str = "cmd_override";
    let claim = claims.container(FIELD);
    match rule {
        Overrides::Exactly(wanted) => Outcome::of(arguments(FIELD, claim, wanted)),
        Overrides::None => Outcome::of(arguments(FIELD, claim, &[])),
        Overrides::NotAsked => Outcome::NotAsked,
        Overrides::Waived => Outcome::Waived,
    }
}

/// Whether an object of strings is just `wanted`, but for variables that `beside` names. One that is
/// absent is empty.
fn variables(
    field: &'static str,
    claim: Option<Value<'_>>,
    wanted: &[(&str, &str)],
    beside: &[&str],
) -> Result<()> {
    if claim.is_some_and(|claim| claim.kind() != Kind::Object) {
        return Err(Error::malformed(field, "the claim must be an object"));
    }
    let all = wanted.iter().all(|(name, value)| {
        let is = claim.and_then(|claim| claim.get(name)).and_then(|is| is.as_str());
        is == Some(*value)
    });
    let mut is = claim.into_iter().flat_map(|claim| claim.members());
    let only = is.all(|(name, _)| {
        beside.contains(&name) || wanted.iter().any(|(wanted, _)| *wanted == name)
    });
    hold(all && only, field, "is not what is expected")
}

/// Whether an array of strings is just `wanted`. One that is absent is empty.
fn arguments(field: &'static str, claim: Option<Value<'_>>, wanted: &[&str]) -> Result<()> {
    if claim.is_some_and(|claim| claim.kind() != Kind::Array) {
        return Err(Error::malformed(field, "the claim must be an array"));
    }
    let is = claim.into_iter().flat_map(|claim| claim.elements()).map(|element| element.as_str());
    hold(is.eq(wanted.iter().map(|wanted| Some(*wanted))), field, "is not what is expected")
}

fn swversion(claims: Claims<'_>, least: u32) -> Result<()> {
    const FIELD: &str = "swversion";
    const BAD: Error = Error::malformed(FIELD, "expected an array of versions like 20260500");
    let claim = claims.top(FIELD).ok_or(missing(FIELD))?;
    let mut versions = claim.elements().peekable();
    versions.peek().ok_or(BAD)?;
    for version in versions {
        let digits =
            |text: &&str| matches!(text.len(), 6 | 8) && text.bytes().all(|c| c.is_ascii_digit());
        let version = version.as_str().filter(digits).ok_or(BAD)?;
        let version: u32 = version.parse().map_err(|_| BAD)?;
        hold(full_version(version) >= full_version(least), FIELD, "is older than allowed")?;
    }
    Ok(())
}

/// `YYYYMM##`, also of `YYMM##`.
const fn full_version(version: u32) -> u32 {
    match version {
        0..1_000_000 => 20_000_000 + version,
        _ => version,
    }
}

fn secure_boot(claims: Claims<'_>) -> Result<()> {
    const FIELD: &str = "secboot";
    let on = claims.top(FIELD).ok_or(missing(FIELD))?.as_bool();
    let on = on.ok_or(Error::malformed(FIELD, "the claim must be true or false"))?;
    hold(on, FIELD, "secure boot is off")
}

fn support_attributes(claims: Claims<'_>, wanted: &[&str]) -> Result<()> {
    let all = wanted.iter().all(|wanted| claims.support_attributes().any(|is| is == *wanted));
    hold(all, "support_attributes", "one that is expected is not there")
}

fn nonce(claims: Claims<'_>, binding: &Binding<'_>) -> Outcome {
    let nonces = match Nonces::read(claims.json()) {
        Ok(nonces) => nonces,
        Err(error) => return Outcome::Failed(error),
    };
    Outcome::of(match *binding {
        Binding::GoogleCodelab { exported } => {
            nonces.one().and_then(|nonce| Compat::GoogleCodelab.verify(exported, nonce))
        }
        Binding::Seed { exported, token_jwt } => nonces.two().and_then(|[channel, request]| {
            Compat::Seed.verify(exported, channel)?;
            seed_request(token_jwt, request)
        }),
        // One for a connection, or two by the older scheme: with any other number no connection is right.
        Binding::Unchecked => {
            match nonces.one().or_else(|_| nonces.two().map(|[first, _]| first)) {
                Ok(_) => return Outcome::NotReached,
                Err(_) => Err(Error::verification("eat_nonce", "must be one nonce, or two")),
            }
        }
        Binding::V1 { .. } => nonces.one().and_then(|nonce| {
            jws::single_audience(&claims.json())?;
            binding.verify_v1(claims.json(), nonce)
        }),
    })
}

fn seed_request(token_jwt: &str, nonce: &str) -> Result<()> {
    let mut text = [0; 64];
    let mut out = Out::new(&mut text);
    hex::encode(&sha256(token_jwt.as_bytes()), &mut out);
    let same = bool::from(text.ct_eq(nonce.as_bytes()));
    hold(same, "nonce", "the attestation was not made for this request")
}

/// The values of `eat_nonce`, each of an acceptable length, at most [`MAX_NONCES`].
struct Nonces<'b> {
    values: [Option<&'b str>; MAX_NONCES],
}

impl<'b> Nonces<'b> {
    fn read(claims: Value<'b>) -> Result<Self> {
        const FIELD: &str = "eat_nonce";
        const BAD: Error = Error::malformed(FIELD, "expected a string, or an array of strings");
        let mut values = [None; MAX_NONCES];
        let Some(claim) = at(claims, &[FIELD]) else { return Ok(Self { values }) };
        let mut rest = values.iter_mut();
        let mut keep = |nonce: Value<'b>| {
            let nonce = nonce.as_str().ok_or(BAD)?;
            if !NONCE_LEN.contains(&nonce.len()) {
                return Err(Error::malformed(FIELD, "a nonce has 8 to 88 octets"));
            }
            let place = rest.next().ok_or(Error::malformed(FIELD, "at most 6 nonces"))?;
            *place = Some(nonce);
            Ok(())
        };
        match claim.kind() {
            Kind::Array => claim.elements().try_for_each(keep)?,
            _ => keep(claim)?,
        }
        Ok(Self { values })
    }

    fn one(&self) -> Result<&'b str> {
        match self.values {
            [Some(one), None, ..] => Ok(one),
            _ => Err(Error::verification("eat_nonce", "must be exactly one nonce")),
        }
    }

    fn two(&self) -> Result<[&'b str; 2]> {
        match self.values {
            [Some(one), Some(two), None, ..] => Ok([one, two]),
            _ => Err(Error::verification("eat_nonce", "must be exactly two nonces")),
        }
    }
}

const fn hold(holds: bool, field: &'static str, help: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::verification(field, help)) }
}

#[cfg(test)]
mod tests;
