//! An emulator, a configuration that trusts its issuers, and a connection.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use cloudauth_core::UnixTime;
use cloudauth_core::ekm::{Binder, Exported, Prover};
use cloudauth_emulator::{AttestationKind, AttestationToken, Config as Known, Emulator, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::Config;
use crate::decision::{Channel, Decision, Evidence, Peer, Refusal};
use crate::error::LoadError;
use crate::key_sets::KeySets;
use crate::policy::Policy;

pub(super) const AUDIENCE: &str = "https://broker.example";
pub(super) const REQUEST: &[u8] = br#"{"grant":"g"}"#;
pub(super) const SPKI: &[u8] = b"the server's key";
pub(super) const CHALLENGE: [u8; 32] = [2; 32];

/// What a grant must fix for the emulator's workload.
pub(super) const WORKLOAD: &str = "
issuer = 'google'
image-digests = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'
dbgstat = 'disabled-since-boot'
swname = 'CONFIDENTIAL_SPACE'
hwmodel = 'GCP_AMD_SEV'
projects = 'demo-project'
";

/// A give that needs no cloud to be decided on.
pub(super) const GIVE: &str = "
kind = 'azure-token'
tenant = '11111111-2222-3333-4444-555555555555'
client-id = '66666666-7777-8888-9999-000000000000'
client-secret = 'file:azure-secret'
scopes = ['https://vault.azure.net/.default']
";

pub(super) struct World {
    pub(super) emulator: Emulator,
    pub(super) folder: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let mut options = Options::default();
        options.config = Known::demo();
        let emulator = Emulator::start(options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| write(folder.path(), name, text);
        write("ca.pem", emulator.ca_pem());
        write("root.pem", &emulator.attestation_root_pem().unwrap());
        Self { emulator, folder }
    }

    /// What stands before the grants.
    pub(super) fn head(&self) -> String {
        let url = self.emulator.url();
        format!(
            "audience = '{AUDIENCE}'\nca-file = 'ca.pem'\n\
             [server]\nlisten = '127.0.0.1:0'\ncertificate = 'c.pem'\nkey = 'file:k.pem'\n\
             [issuers.google]\nkind = 'confidential-space'\nissuer = '{url}/confidential-space'\n\
             keys = 'discovery'\ntrusted-ca = 'ca.pem'\nroot = 'root.pem'\n\
             [issuers.microsoft]\nkind = 'maa'\nissuer = '{url}/maa'\n\
             keys = 'discovery'\ntrusted-ca = 'ca.pem'\n"
        )
    }

    pub(super) fn load(&self, text: &str) -> Result<Loaded, LoadError> {
        let config = Config::parse(text, self.folder.path(), "broker.toml")?;
        let key_sets = KeySets::new(&config, None)?;
        Ok(Loaded { policy: Policy::new(&config, &key_sets)?, key_sets })
    }

    /// A configuration with the one grant `g`.
    pub(super) fn grant(&self, attested: &str, give: &str) -> Result<Loaded, LoadError> {
        let head = self.head();
        self.load(&format!("{head}[grants.g.attested]\n{attested}\n[grants.g.give]\n{give}\n"))
    }

    pub(super) fn loaded(&self, attested: &str) -> Loaded {
        self.grant(attested, GIVE).unwrap()
    }

    pub(super) fn mint(&self, token: AttestationToken) -> String {
        self.emulator.attestation_token(&token).unwrap()
    }

    /// A token for [`REQUEST`] on the one connection, with `claims` merged into it.
    pub(super) fn token(&self, claims: Value) -> String {
        self.mint(AttestationToken { claims: object(claims), ..bound() })
    }
}

pub(super) fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

pub(super) fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A Google token that is good for [`REQUEST`].
pub(super) fn bound() -> AttestationToken {
    AttestationToken {
        kind: AttestationKind::Oidc,
        audience: AUDIENCE.into(),
        nonces: vec![nonce(REQUEST)],
        ..AttestationToken::default()
    }
}

pub(super) fn exported() -> Exported {
    Exported::new(Prover::Client, [1; 32]).unwrap()
}

pub(super) fn nonce(request: &[u8]) -> String {
    let exported = exported();
    let binder = Binder {
        exported: &exported,
        challenge: &CHALLENGE,
        server_spki: SPKI,
        client_spki: None,
        audience: AUDIENCE,
        request,
    };
    binder.nonce().unwrap().as_str().to_owned()
}

pub(super) fn now() -> UnixTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixTime::new(now.as_secs()).unwrap()
}

pub(super) fn peer() -> Peer<'static> {
    Peer { address: IpAddr::from([192, 0, 2, 7]), certificate: None }
}

pub(super) struct Loaded {
    pub(super) policy: Policy,
    pub(super) key_sets: Arc<KeySets>,
}

impl Loaded {
    pub(super) async fn decide_as(
        &self,
        token: &str,
        request: &[u8],
        peer: Peer<'_>,
        time: UnixTime,
    ) -> Decision {
        let exported = exported();
        let channel = Channel::V1 {
            exported: &exported,
            challenge: &CHALLENGE,
            server_spki: SPKI,
            client_spki: None,
            request,
        };
        self.policy.decide(&Evidence { attestation: token, channel, peer, time }).await
    }

    pub(super) async fn decide(&self, token: &str) -> Decision {
        self.decide_as(token, REQUEST, peer(), now()).await
    }

    #[track_caller]
    pub(super) fn granted(&self, decision: &Decision) {
        assert!(decision.verdict.is_ok(), "{decision:#?}");
        assert_eq!(decision.grant.as_deref(), Some("g"));
        assert!(decision.checks.iter().all(|line| line.outcome != "failed"), "{decision:#?}");
    }

    pub(super) async fn grants(&self, token: &str) {
        let decision = self.decide(token).await;
        self.granted(&decision);
    }

    /// Refused so, and just for that.
    pub(super) async fn refuses(&self, token: &str, refusal: Refusal, check: &str) {
        refused(&self.decide(token).await, refusal, check);
    }
}

#[track_caller]
pub(super) fn refused(decision: &Decision, refusal: Refusal, check: &str) {
    assert_eq!(decision.verdict.as_ref().err(), Some(&refusal), "{decision:#?}");
    let failed: Vec<_> =
        decision.checks.iter().filter(|line| line.outcome == "failed").map(|l| &*l.name).collect();
    assert_eq!(failed, [check], "{decision:#?}");
}

/// The claims below `submods`.
pub(super) fn submod(name: &str, claims: Value) -> Value {
    json!({"submods": {name: claims}})
}
