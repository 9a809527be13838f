//! The claims of attestation tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{AttestationKind, ConfidentialSpace, Maa};
use crate::keys::{hex, random, sha256};

/// RFC 7396: objects go into objects, null takes away, all else takes the old value's place.
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (value, target.get_mut(name)) {
            (Value::Null, _) => {
                target.remove(name);
            }
            (Value::Object(patch), Some(Value::Object(inner))) => merge(inner, patch),
            (Value::Object(patch), _) => {
                let mut inner = Map::new();
                merge(&mut inner, patch);
                target.insert(name.clone(), Value::Object(inner));
            }
            _ => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The object that `json!` wrote.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The principal tags that the token is to carry for AWS.
pub(super) enum Tags {
    ImageDigest,
    /// The signature keys, of those that the image is signed with.
    KeyIds(Vec<String>),
}

impl ConfidentialSpace {
    fn support_attributes(&self) -> Vec<String> {
        match &self.support_attributes {
            Some(given) => given.clone(),
            None if self.debug => Vec::new(),
            None => ["LATEST", "STABLE", "USABLE"].map(str::to_owned).to_vec(),
        }
    }

    /// The claims of a token, without times.
    pub(super) fn claims(
        &self,
        url: &str,
        kind: AttestationKind,
        audience: &str,
        nonces: &[String],
        tags: Option<Tags>,
    ) -> Map<String, Value> {
        let own = || format!("{url}/confidential-space");
        let instance = format!(
            "https://www.googleapis.com/compute/v1/projects/{}/zones/{}/instances/{}",
            self.project, self.zone, self.instance_name
        );
        let mut claims = object(json!({
            "iss": self.issuer.clone().unwrap_or_else(own), "aud": audience, "sub": instance,
        }));
        // One nonce is a text, more are a list.
        match nonces {
            [] => {}
            [one] => drop(claims.insert("eat_nonce".into(), json!(one))),
            many => drop(claims.insert("eat_nonce".into(), json!(many))),
        }
        if kind != AttestationKind::LimitedAws {
            claims.extend(self.measured());
        }
        if let Some(tags) = tags {
            claims.insert("https://aws.amazon.com/tags".into(), self.principal_tags(&tags));
        }
        merge(&mut claims, &self.claims);
        claims
    }

    fn measured(&self) -> Map<String, Value> {
        let signatures = self.image_signatures.iter().map(|signature| {
            json!({
                "key_id": signature.key_id, "signature": signature.signature,
                "signature_algorithm": signature.signature_algorithm,
            })
        });
        let signatures: Vec<_> = signatures.collect();
        let mut container = object(json!({
            "image_reference": self.image_reference,
            "image_digest": self.image_digest,
            "image_id": self.image_id,
            "restart_policy": self.restart_policy,
            "args": self.args,
            "env": self.env,
        }));
        for (name, value, absent) in [
            ("image_signatures", json!(signatures), signatures.is_empty()),
            ("cmd_override", json!(self.cmd_override), self.cmd_override.is_empty()),
            ("env_override", json!(self.env_override), self.env_override.is_empty()),
        ] {
            if !absent {
                container.insert(name.into(), value);
            }
        }
        let mut space = object(json!({"monitoring_enabled": {"memory": self.memory_monitoring}}));
        let attributes = self.support_attributes();
        if !attributes.is_empty() {
            space.insert("support_attributes".into(), json!(attributes));
        }
        let mut claims = object(json!({
            "eat_profile": "https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims",
            "secboot": true,
            "oemid": 11129,
            "hwmodel": self.hwmodel,
            "swname": self.swname,
            "swversion": [self.swversion],
            "dbgstat": if self.debug { "enabled" } else { "disabled-since-boot" },
            "google_service_accounts": self.service_accounts,
            "submods": {
                "confidential_space": space,
                "container": container,
                "gce": {
                    "zone": self.zone,
                    "project_id": self.project,
                    "project_number": self.project_number,
                    "instance_name": self.instance_name,
                    "instance_id": self.instance_id,
                },
            },
        }));
        if self.hwmodel == "GCP_INTEL_TDX" {
            let tdx = json!({
                "gcp_attester_tcb_status": "UpToDate",
                "gcp_attester_tcb_date": "2025-08-13T00:00:00Z",
            });
            claims.insert("attester_tcb".into(), json!(["INTEL"]));
            claims.insert("tdx".into(), tdx);
        }
        claims
    }

    fn principal_tags(&self, tags: &Tags) -> Value {
        let mut attributes = self.support_attributes();
        attributes.sort();
        let mut all = object(json!({
            "confidential_space.support_attributes": [attributes.join("=")],
            "gce.project_id": [self.project],
            "gce.zone": [self.zone],
            "hwmodel": [self.hwmodel],
            "swname": [self.swname],
            "swversion": [self.swversion],
        }));
        match tags {
            Tags::ImageDigest => {
                all.insert("container.image_digest".into(), json!([self.image_digest]));
            }
            Tags::KeyIds(allowed) => {
                let signed = self.image_signatures.iter().map(|signature| &signature.key_id);
                let mut ids: Vec<_> = signed.filter(|id| allowed.contains(id)).cloned().collect();
                ids.sort();
                all.insert("container.signatures.key_ids".into(), json!([ids.join("=")]));
            }
        }
        json!({"principal_tags": all})
    }
}

/// The data of the enclave or guest that the hardware report is to cover.
pub(super) enum Runtime {
    None,
    Json(Value),
    Binary(Vec<u8>),
}

impl Maa {
    /// The claims of a token, without times.
    pub(super) fn claims(
        &self,
        url: &str,
        kind: AttestationKind,
        nonce: Option<&str>,
        runtime: &Runtime,
    ) -> Map<String, Value> {
        let own = || format!("{url}/maa");
        let mut claims = object(json!({
            "iss": self.issuer.clone().unwrap_or_else(own),
            "jti": hex(&random::<32>()),
            "x-ms-ver": "1.0",
            "x-ms-policy-hash": self.policy_hash,
        }));
        if let Some(nonce) = nonce {
            claims.insert("nonce".into(), json!(nonce));
        }
        let covered = match runtime {
            Runtime::None => None,
            Runtime::Json(value) => {
                claims.insert("x-ms-runtime".into(), value.clone());
                Some(value.to_string().into_bytes())
            }
            Runtime::Binary(octets) => Some(octets.clone()),
        };
        // What a report carries: the hash of the data, filled up to 64 octets.
        let hash = covered.as_deref().map_or_else(|| vec![0; 32], sha256);
        let report_data = format!("{}{}", hex(&hash), "0".repeat(64));
        claims.extend(object(match kind {
            AttestationKind::Sgx => self.sgx(covered.as_deref(), &report_data),
            AttestationKind::Tdxvm => self.tdx(&report_data),
            AttestationKind::Azurevm => self.guest(),
            _ => self.snp(&report_data),
        }));
        merge(&mut claims, &self.claims);
        claims
    }

    fn snp(&self, report_data: &str) -> Value {
        json!({
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-compliance-status": self.compliance_status,
            "x-ms-sevsnpvm-authorkeydigest": "0".repeat(96),
            "x-ms-sevsnpvm-bootloader-svn": 4,
            "x-ms-sevsnpvm-familyId": "0".repeat(32),
            "x-ms-sevsnpvm-guestsvn": self.svn,
            "x-ms-sevsnpvm-hostdata": self.host_data,
            "x-ms-sevsnpvm-idkeydigest": "7".repeat(96),
            "x-ms-sevsnpvm-imageId": "0".repeat(32),
            "x-ms-sevsnpvm-is-debuggable": self.debuggable,
            "x-ms-sevsnpvm-launchmeasurement": self.launch_measurement,
            "x-ms-sevsnpvm-microcode-svn": 219,
            "x-ms-sevsnpvm-migration-allowed": false,
            "x-ms-sevsnpvm-reportdata": report_data,
            "x-ms-sevsnpvm-reportid": "8".repeat(64),
            "x-ms-sevsnpvm-smt-allowed": true,
            "x-ms-sevsnpvm-snpfw-svn": 24,
            "x-ms-sevsnpvm-tee-svn": self.svn,
            "x-ms-sevsnpvm-vmpl": 0,
        })
    }

    fn sgx(&self, held: Option<&[u8]>, report_data: &str) -> Value {
        let mut claims = json!({
            "x-ms-attestation-type": "sgx",
            "x-ms-sgx-is-debuggable": self.debuggable,
            "x-ms-sgx-mrenclave": self.mrenclave,
            "x-ms-sgx-mrsigner": self.mrsigner,
            "x-ms-sgx-product-id": self.product_id,
            "x-ms-sgx-svn": self.svn,
            "x-ms-sgx-report-data": report_data,
            "x-ms-sgx-config-id": "0".repeat(128),
            // The names of old, which the service still writes too.
            "is-debuggable": self.debuggable,
            "product-id": self.product_id,
            "sgx-mrenclave": self.mrenclave,
            "sgx-mrsigner": self.mrsigner,
            "svn": self.svn,
            "tee": "sgx",
        });
        if let (Some(held), Some(members)) = (held, claims.as_object_mut()) {
            let encoded = json!(URL_SAFE_NO_PAD.encode(held));
            members.insert("maa-ehd".into(), encoded.clone());
            members.insert("x-ms-sgx-ehd".into(), encoded);
        }
        claims
    }

    fn tdx(&self, report_data: &str) -> Value {
        json!({
            "x-ms-attestation-type": "tdxvm",
            "x-ms-compliance-status": self.compliance_status,
            "attester_tcb_status": "UpToDate",
            "dbgstat": if self.debuggable { "enabled" } else { "disabled" },
            "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm",
            "intuse": "generic",
            "tdx_mrtd": self.launch_measurement,
            "tdx_mrconfigid": format!("{}{}", self.host_data, "0".repeat(32)),
            "tdx_mrowner": "0".repeat(96),
            "tdx_report_data": report_data,
            "tdx_rtmr0": "a".repeat(96),
            "tdx_rtmr1": "b".repeat(96),
            "tdx_rtmr2": "c".repeat(96),
            "tdx_rtmr3": "0".repeat(96),
            "tdx_td_attributes": if self.debuggable { "0100000000000000" } else { "0000001000000000" },
            "tdx_td_attributes_debug": self.debuggable,
            "tdx_tee_tcb_svn": "03000600000000000000000000000000",
        })
    }

    /// Guest attestation: the machine's own claims within, those of its TPM without.
    fn guest(&self) -> Value {
        let mut within = self.snp(&"9".repeat(128));
        if let Some(members) = within.as_object_mut() {
            let configuration = json!({
                "console-enabled": true, "secure-boot": true, "tpm-enabled": true,
                "vmUniqueId": "00000000-0000-4000-8000-000000000000",
            });
            members.insert(
                "x-ms-runtime".into(),
                json!({"keys": [], "vm-configuration": configuration}),
            );
        }
        json!({
            "x-ms-attestation-type": "azurevm",
            "secureboot": true,
            "x-ms-azurevm-attestation-protocol-ver": "2.0",
            "x-ms-azurevm-attested-pcrs": [0, 1, 2, 3, 4, 5, 6, 7],
            "x-ms-azurevm-bootdebug-enabled": self.debuggable,
            "x-ms-azurevm-debuggersdisabled": !self.debuggable,
            "x-ms-azurevm-kerneldebug-enabled": self.debuggable,
            "x-ms-azurevm-testsigning-enabled": false,
            "x-ms-azurevm-vmid": "00000000-0000-4000-8000-000000000000",
            "x-ms-isolation-tee": within,
        })
    }
}
