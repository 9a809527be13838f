//! `attested` in `[grants.NAME]`: what is written there, not yet checked.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;

use super::section;
use crate::error::LoadError;

/// What every grant can ask, whatever the kind of its issuer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Common {
    /// Names of `[issuers]`.
    pub(crate) issuer: Option<OneOrMore>,
    /// The audience, if it is not the configuration's.
    pub(crate) audience: Option<String>,
    /// What is not looked at.
    pub(crate) waive: Vec<String>,
    /// Further claims, by JSON pointer.
    pub(crate) claims: BTreeMap<String, Claim>,
    /// What certificate the client must have.
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// Where the client must be.
    pub(crate) source_networks: Option<Vec<IpNet>>,
}

/// What a grant asks of a Google Confidential Space workload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfidentialSpace {
    pub(crate) image_digests: Option<OneOrMore>,
    pub(crate) image_signature_keys: Option<OneOrMore>,
    pub(crate) dbgstat: Option<String>,
    pub(crate) swname: Option<OneOrMore>,
    pub(crate) hwmodel: Option<OneOrMore>,
    pub(crate) projects: Option<OneOrMore>,
    pub(crate) service_accounts: Option<OneOrMore>,
    pub(crate) env: Option<BTreeMap<String, String>>,
    pub(crate) env_override: Option<BTreeMap<String, String>>,
    pub(crate) cmd_override: Option<Vec<String>>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) min_swversion: Option<u32>,
    pub(crate) secure_boot: Option<bool>,
    pub(crate) support_attributes: Option<OneOrMore>,
    pub(crate) zones: Option<OneOrMore>,
}

/// What a grant asks of a workload that Microsoft Azure Attestation attests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Maa {
    pub(crate) r#type: Option<String>,
    pub(crate) policy_hashes: Option<OneOrMore>,
    pub(crate) debuggable: Option<bool>,
    pub(crate) mrenclave: Option<OneOrMore>,
    pub(crate) mrsigner: Option<OneOrMore>,
    pub(crate) product_id: Option<u64>,
    pub(crate) min_svn: Option<u64>,
    pub(crate) launch_measurements: Option<OneOrMore>,
    pub(crate) host_data: Option<OneOrMore>,
    pub(crate) mrtd: Option<OneOrMore>,
    pub(crate) config_id: Option<OneOrMore>,
    pub(crate) rtmr1: Option<OneOrMore>,
    pub(crate) rtmr2: Option<OneOrMore>,
    pub(crate) rtmr3: Option<OneOrMore>,
    pub(crate) compliance: Option<OneOrMore>,
}

/// A text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}

/// What a claim must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a text, a list of texts, a number, true, false or { at-least = N }")]
pub(crate) enum Claim {
    Bool(bool),
    Number(i64),
    Texts(OneOrMore),
    AtLeast(AtLeast),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AtLeast {
    pub(crate) at_least: u64,
}

/// What certificate the client must have.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "\"required\", or SHA-256 pins of public keys (SPKI)")]
pub(crate) enum ClientCertificate {
    Required(Required),
    Pins(OneOrMore),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Required {
    Required,
}

/// Takes apart what is common, and what depends on the kind of issuer.
pub(crate) fn split(attested: &toml::Table) -> Result<(Common, toml::Table), LoadError> {
    const COMMON: [&str; 6] =
        ["issuer", "audience", "waive", "claims", "client-certificate", "source-networks"];
    let (common, own) =
        attested.clone().into_iter().partition(|(name, _)| COMMON.contains(&name.as_str()));
    Ok((section(&common)?, own))
}
