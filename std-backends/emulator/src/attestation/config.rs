//! What the attestation services say of the workload.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The attestation services: what their tokens say, since there is no hardware to ask.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attestation {
    /// The workload that Google attests; unless given, the one of [`ConfidentialSpace::default`].
    pub confidential_space: Option<ConfidentialSpace>,
    /// The enclave or machine that Microsoft attests; unless given, that of [`Maa::default`].
    pub maa: Option<Maa>,
}

/// A workload in Google's Confidential Space, by the claims of its attestation token
/// (<https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims>).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfidentialSpace {
    /// `iss`; unless given, the emulator's own: its URL and `/confidential-space`.
    pub issuer: Option<String>,
    /// `hwmodel`.
    pub hwmodel: String,
    /// `swname`.
    pub swname: String,
    /// `swversion`, one value.
    pub swversion: String,
    /// The debug image: `dbgstat` is `enabled`, and no support attributes unless they are given.
    pub debug: bool,
    /// `submods.confidential_space.support_attributes`; unless given, LATEST, STABLE and USABLE.
    pub support_attributes: Option<Vec<String>>,
    /// `submods.confidential_space.monitoring_enabled.memory`.
    pub memory_monitoring: bool,
    /// `submods.container.image_reference`.
    pub image_reference: String,
    /// `submods.container.image_digest`, `sha256:…`.
    pub image_digest: String,
    /// `submods.container.image_id`, `sha256:…`.
    pub image_id: String,
    /// `submods.container.image_signatures`.
    pub image_signatures: Vec<ImageSignature>,
    /// `submods.container.restart_policy`.
    pub restart_policy: String,
    /// `submods.container.args`.
    pub args: Vec<String>,
    /// `submods.container.cmd_override`; left out of the token when empty, as Google does.
    pub cmd_override: Vec<String>,
    /// `submods.container.env`.
    pub env: BTreeMap<String, String>,
    /// `submods.container.env_override`; left out of the token when empty.
    pub env_override: BTreeMap<String, String>,
    /// `submods.gce.project_id`.
    pub project: String,
    /// `submods.gce.project_number`, decimal.
    pub project_number: String,
    /// `submods.gce.zone`.
    pub zone: String,
    /// `submods.gce.instance_name`.
    pub instance_name: String,
    /// `submods.gce.instance_id`, decimal.
    pub instance_id: String,
    /// `google_service_accounts`.
    pub service_accounts: Vec<String>,
    /// Merged into the claims of every token (RFC 7396: an object into an object, null takes away).
    pub claims: Map<String, Value>,
}

impl Default for ConfidentialSpace {
    fn default() -> Self {
        let digest = format!("sha256:{}", "1".repeat(64));
        Self {
            issuer: None,
            hwmodel: "GCP_AMD_SEV".into(),
            swname: "CONFIDENTIAL_SPACE".into(),
            swversion: "260800".into(),
            debug: false,
            support_attributes: None,
            memory_monitoring: false,
            image_reference: format!("us-docker.pkg.dev/demo-project/images/workload@{digest}"),
            image_digest: digest,
            image_id: format!("sha256:{}", "2".repeat(64)),
            image_signatures: Vec::new(),
            restart_policy: "Never".into(),
            args: vec!["/workload".into()],
            cmd_override: Vec::new(),
            env: BTreeMap::from([
                ("HOSTNAME".into(), "workload-1".into()),
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
            ]),
            env_override: BTreeMap::new(),
            project: "demo-project".into(),
            project_number: "123456789012".into(),
            zone: "europe-west4-a".into(),
            instance_name: "workload-1".into(),
            instance_id: "1234567890123456789".into(),
            service_accounts: vec!["workload@demo-project.iam.gserviceaccount.com".into()],
            claims: Map::new(),
        }
    }
}

/// A signature of the container image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSignature {
    /// The SHA-256 of the public key, hexadecimal.
    pub key_id: String,
    /// The signature, base64.
    pub signature: String,
    /// `ECDSA_P256_SHA256`, `RSASSA_PSS_SHA256` or `RSASSA_PKCS1V15_SHA256`.
    pub signature_algorithm: String,
}

/// What Microsoft Azure Attestation finds, by the claims of its tokens
/// (<https://learn.microsoft.com/azure/attestation/claim-sets>).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maa {
    /// `iss`; unless given, the emulator's own: its URL and `/maa`.
    pub issuer: Option<String>,
    /// `x-ms-policy-hash`.
    pub policy_hash: String,
    /// Whether the enclave or machine can be debugged.
    pub debuggable: bool,
    /// `x-ms-compliance-status` of a SEV-SNP machine.
    pub compliance_status: String,
    /// `x-ms-sevsnpvm-launchmeasurement` and `tdx_mrtd`: 48 octets, hexadecimal.
    pub launch_measurement: String,
    /// `x-ms-sevsnpvm-hostdata` (32 octets), hexadecimal.
    pub host_data: String,
    /// `x-ms-sgx-mrenclave`: 32 octets, hexadecimal.
    pub mrenclave: String,
    /// `x-ms-sgx-mrsigner`: 32 octets, hexadecimal.
    pub mrsigner: String,
    /// `x-ms-sgx-product-id`.
    pub product_id: u16,
    /// `x-ms-sgx-svn`; the guest's and the TEE's in the others.
    pub svn: u16,
    /// Merged into the claims of every token (RFC 7396), as `issue` in a policy adds some.
    pub claims: Map<String, Value>,
}

impl Default for Maa {
    fn default() -> Self {
        Self {
            issuer: None,
            // base64url of 32 octets, as the service writes it.
            policy_hash: "d".repeat(42) + "A",
            debuggable: false,
            compliance_status: "azure-compliant-cvm".into(),
            launch_measurement: "3".repeat(96),
            host_data: "4".repeat(64),
            mrenclave: "5".repeat(64),
            mrsigner: "6".repeat(64),
            product_id: 1,
            svn: 2,
            claims: Map::new(),
        }
    }
}
