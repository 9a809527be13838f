//! What a grant asks of a workload that Microsoft Azure Attestation attests.

use cloudauth_core::attest::maa::{Expect, Kind, Measurement, check};
use cloudauth_core::attest::{Binding, ClaimRule, Debugging};
use cloudauth_core::jws;

use super::{Checked, ListRule, Reader, checked, refs};
use crate::config::attested::{Maa, OneOrMore};

#[derive(Debug)]
pub(super) struct Rules {
    issuer: ListRule,
    kind: Kind,
    policy_hash: ListRule,
    debug: Debugging,
    measurement: Measured,
    compliance: ListRule,
}

#[derive(Debug)]
enum Measured {
    Enclave(Vec<String>),
    Launch { measurement: ListRule, host_data: ListRule },
    Signer { mrsigner: Vec<String>, product_id: u64, min_svn: u64 },
    TrustDomain { mrtd: ListRule, config_id: ListRule, rtmrs: [ListRule; 3] },
    Waived,
}

impl Rules {
    pub(super) fn read(mut own: Maa, issuer: ListRule, reader: &mut Reader) -> Self {
        const TYPES: &str = "expected \"sgx\", \"sevsnpvm\" or \"tdxvm\"";
        let name = own.r#type.as_deref().unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
        match kind {
            None => reader.wrong.add("type", TYPES),
            Some(Kind::AzureVm) => {
                let help = "it is not shown that an azurevm token can be bound to a connection: no such \
                            grant would ever give anything";
                reader.wrong.add("type", format!("{TYPES}; {help}"));
            }
            Some(_) => {}
        }
        let kind = kind.unwrap_or(Kind::Sgx);
        let policy_hash = reader.fixed("policy-hash", "policy-hashes", own.policy_hashes.take());
        let debug = match (own.debuggable, reader.waived("debug")) {
            (Some(false), false) => Debugging::Refused,
            (Some(true), false) => {
                reader.wrong.add("debuggable", "expected false; or write waive = [\"debug\"]");
                Debugging::Refused
            }
            (Some(_), true) => {
                reader.both("debug", "debuggable");
                Debugging::Refused
            }
            (None, true) => Debugging::Waived,
            (None, false) => {
                reader.missing("debug", "debuggable = false");
                Debugging::Refused
            }
        };
        let compliance = reader.optional("compliance", own.compliance.take());
        let measurement = measurement(kind, own, reader);
        Self { issuer, kind, policy_hash, debug, measurement, compliance }
    }

    pub(super) fn check(
        &self,
        token: &jws::Report<'_>,
        binding: &Binding<'_>,
        claims: &[ClaimRule<'_>],
    ) -> Checked {
        let (issuer, policy_hash) = (self.issuer.refs(), self.policy_hash.refs());
        let compliance = self.compliance.refs();
        let (first, second) = match &self.measurement {
            Measured::Enclave(texts) | Measured::Signer { mrsigner: texts, .. } => {
                (refs(texts), Vec::new())
            }
            Measured::Launch { measurement, host_data } => (measurement.refs(), host_data.refs()),
            Measured::TrustDomain { mrtd, config_id, .. } => (mrtd.refs(), config_id.refs()),
            Measured::Waived => Default::default(),
        };
        let rtmrs = match &self.measurement {
            Measured::TrustDomain { rtmrs, .. } => rtmrs.each_ref().map(ListRule::refs),
            _ => Default::default(),
        };
        let expect = Expect {
            issuer: self.issuer.rule(&issuer),
            kind: self.kind,
            policy_hash: self.policy_hash.rule(&policy_hash),
            debug: self.debug,
            measurement: match &self.measurement {
                Measured::Enclave(_) => Measurement::Enclave(&first),
                Measured::Signer { product_id, min_svn, .. } => Measurement::Signer {
                    mrsigner: &first,
                    product_id: *product_id,
                    min_svn: *min_svn,
                },
                Measured::Launch { measurement, host_data } => Measurement::Launch {
                    measurement: measurement.rule(&first),
                    host_data: host_data.rule(&second),
                },
                Measured::TrustDomain { mrtd, config_id, rtmrs: [rule1, rule2, rule3] } => {
                    let [refs1, refs2, refs3] = &rtmrs;
                    Measurement::TrustDomain {
                        mrtd: mrtd.rule(&first),
                        config_id: config_id.rule(&second),
                        rtmrs: [rule1.rule(refs1), rule2.rule(refs2), rule3.rule(refs3)],
                    }
                }
                Measured::Waived => Measurement::Waived,
            },
            compliance: self.compliance.rule(&compliance),
            claims,
        };
        checked(&check(token, &expect, binding))
    }
}

/// The measurement that suits the type; what belongs to another is refused.
fn measurement(kind: Kind, own: Maa, reader: &mut Reader) -> Measured {
    /// What says nothing where it is all zeros: its field, the name of its waiver, and why.
    const ZEROS: [(&str, &str, &str); 4] = [
        ("host-data", "host-data", "the host set nothing at launch"),
        ("config-id", "config-id", "the host set nothing at launch"),
        // Of the third, zeros say that software in the domain has added nothing.
        ("rtmr1", "rtmr", "no kernel was measured"),
        ("rtmr2", "rtmr", "no command line was measured"),
    ];
    const SGX: &str = "mrenclave, or mrsigner with product-id and min-svn";
    let given = [
        (Kind::Sgx, "mrenclave", own.mrenclave.is_some()),
        (Kind::Sgx, "mrsigner", own.mrsigner.is_some()),
        (Kind::Sgx, "product-id", own.product_id.is_some()),
        (Kind::Sgx, "min-svn", own.min_svn.is_some()),
        (Kind::SevSnpVm, "launch-measurements", own.launch_measurements.is_some()),
        (Kind::SevSnpVm, "host-data", own.host_data.is_some()),
        (Kind::TdxVm, "mrtd", own.mrtd.is_some()),
        (Kind::TdxVm, "config-id", own.config_id.is_some()),
        (Kind::TdxVm, "rtmr1", own.rtmr1.is_some()),
        (Kind::TdxVm, "rtmr2", own.rtmr2.is_some()),
        (Kind::TdxVm, "rtmr3", own.rtmr3.is_some()),
    ];
    for (of, field, is_given) in given {
        if is_given && of != kind {
            let help = format!("says nothing of the type {:?}; leave it out", kind.as_str());
            reader.wrong.add(field, help);
        }
    }
    // An enclave has one. Elsewhere there are several, and each is waived by its own name.
    if matches!(kind, Kind::Sgx | Kind::AzureVm) && reader.waived("measurement") {
        if let Some((_, field, _)) = given.into_iter().find(|(_, _, is_given)| *is_given) {
            reader.both("measurement", field);
        }
        return Measured::Waived;
    }
    let mut hex = |field: &str, texts: OneOrMore| {
        let texts = reader.texts(field, texts);
        let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if !texts.iter().all(|text| text.len() % 2 == 0 && text.bytes().all(digit)) {
            reader.wrong.add(field, "expected lower-case hexadecimal, as the token has it");
        }
        if let Some((_, waiver, what)) = ZEROS.into_iter().find(|(of, ..)| *of == field)
            && texts.iter().any(|text| !text.is_empty() && text.bytes().all(|c| c == b'0'))
        {
            let help = format!(
                "is all zeros: {what}, and anyone's workload has the same; leave it out and write waive = [\"{waiver}\"]"
            );
            reader.wrong.add(field, help);
        }
        texts
    };
    match kind {
        Kind::SevSnpVm => {
            let measurement = own.launch_measurements.map(|t| hex("launch-measurements", t));
            let host_data = own.host_data.map(|texts| hex("host-data", texts));
            let measurement = measurement.map(OneOrMore::More);
            let host_data = host_data.map(OneOrMore::More);
            Measured::Launch {
                measurement: reader.fixed("measurement", "launch-measurements", measurement),
                host_data: reader.fixed("host-data", "host-data", host_data),
            }
        }
        Kind::TdxVm => {
            let mrtd = own.mrtd.map(|texts| OneOrMore::More(hex("mrtd", texts)));
            let config_id = own.config_id.map(|texts| OneOrMore::More(hex("config-id", texts)));
            let rtmrs = [("rtmr1", own.rtmr1), ("rtmr2", own.rtmr2), ("rtmr3", own.rtmr3)];
            let rtmrs = rtmrs.map(|(field, texts)| {
                (field, texts.map(|texts| OneOrMore::More(hex(field, texts))))
            });
            Measured::TrustDomain {
                rtmrs: rtmrs.map(|(field, texts)| reader.fixed("rtmr", field, texts)),
                mrtd: reader.fixed("measurement", "mrtd", mrtd),
                config_id: reader.fixed("config-id", "config-id", config_id),
            }
        }
        Kind::Sgx | Kind::AzureVm => {
            match (own.mrenclave, own.mrsigner, own.product_id, own.min_svn) {
                (Some(texts), None, None, None) => Measured::Enclave(hex("mrenclave", texts)),
                (None, Some(texts), Some(product_id), Some(min_svn)) => {
                    Measured::Signer { mrsigner: hex("mrsigner", texts), product_id, min_svn }
                }
                (None, None, None, None) => {
                    reader.missing("measurement", SGX);
                    Measured::Waived
                }
                _ => {
                    reader.wrong.add("measurement", format!("give {SGX}, and nothing of both"));
                    Measured::Waived
                }
            }
        }
    }
}
