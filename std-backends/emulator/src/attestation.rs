//! Attestation services: Google's for Confidential Space, and Microsoft Azure Attestation. No
//! hardware stands behind them: the configuration says what they find.

mod claims;
mod config;
mod keys;
mod maa;
mod mint;
mod teeserver;

use serde_json::{Value, json};

pub use config::{Attestation, ConfidentialSpace, ImageSignature, Maa};
pub use mint::{AttestationKey, AttestationKind, AttestationToken, Chain};

use crate::EmulatorError;
use crate::google::api_failure;
use crate::request::{Call, Reply};
use keys::{Key, Keys, Pki, once};

pub(crate) use maa::{answer as maa, failure as maa_failure};
pub(crate) use mint::{control, mint};
pub(crate) use teeserver::{answer as teeserver, failure as teeserver_failure};

/// Where Google publishes the keys of its issuer, at `www.googleapis.com`.
pub(crate) const GOOGLE_KEYS: &str =
    "/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com";
pub(crate) const GOOGLE_HOST: &str = "confidentialcomputing.googleapis.com";

/// Both services' state.
#[derive(Default)]
pub(crate) struct Services {
    /// The emulator's own URL, for the issuers' names.
    pub(crate) url: String,
    google: ConfidentialSpace,
    maa: Maa,
    google_keys: Keys,
    maa_keys: Keys,
    pki: Pki,
    attacker: core::cell::OnceCell<Key>,
}

impl Services {
    pub(crate) fn register(&mut self, config: Attestation) {
        if let Some(workload) = config.confidential_space {
            self.google = workload;
        }
        if let Some(maa) = config.maa {
            self.maa = maa;
        }
    }

    /// The key set of the attacker, for headers that offer it.
    pub(crate) fn attacker_jwks(&self) -> Result<Value, EmulatorError> {
        Ok(json!({"keys": [self.attacker()?.jwk()]}))
    }

    /// New keys for both issuers.
    pub(crate) fn rotate(&mut self, keep_previous: bool) -> Result<(), EmulatorError> {
        self.google_keys.rotate(keep_previous)?;
        self.maa_keys.rotate(keep_previous)
    }

    /// The key that nobody trusts.
    fn attacker(&self) -> Result<&Key, EmulatorError> {
        once(&self.attacker, Key::generate)
    }

    /// The certificate of the root that PKI tokens lead to, PEM.
    pub(crate) fn root_pem(&self) -> Result<String, EmulatorError> {
        self.pki.root_pem()
    }
}

/// An answer that a failure of the emulator itself takes the place of.
fn or_broken(done: Result<Reply, EmulatorError>) -> Reply {
    done.unwrap_or_else(|error| api_failure(500, "INTERNAL", &error.to_string()))
}

/// Answers a request for what Google publishes of its issuer.
pub(crate) fn confidential_space(call: &mut Call<'_>) -> Reply {
    let request = call.request;
    if request.method != "GET" {
        return api_failure(404, "NOT_FOUND", "There is no such method.");
    }
    let own_name = request.hostname() == GOOGLE_HOST;
    let path = request.path.as_str();
    let path = path.strip_prefix("/confidential-space").unwrap_or(path);
    let base = match own_name {
        true => request.base(),
        false => format!("{}/confidential-space", request.base()),
    };
    call.record.operation = path.rsplit('/').next().map(str::to_owned);
    let services = &call.state.attestation;
    let json = |body: &Value| Reply::json(200, body).header("cache-control", "max-age=60");
    match path {
        "/.well-known/openid-configuration" => {
            let keys = match own_name {
                true => format!("https://www.googleapis.com{GOOGLE_KEYS}"),
                false => format!("{base}/jwks"),
            };
            json(&json!({
                "issuer": base,
                "jwks_uri": keys,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid"],
                "claims_supported": [
                    "sub", "aud", "exp", "iat", "iss", "jti", "nbf", "dbgstat", "eat_nonce",
                    "google_service_accounts", "hwmodel", "oemid", "secboot", "submods", "swname",
                    "swversion",
                ],
            }))
        }
        "/jwks" | GOOGLE_KEYS => or_broken(services.google_keys.jwks().map(|keys| json(&keys))),
        "/.well-known/attestation-pki-root" => {
            json(&json!({"root_ca_uri": format!("{base}/.well-known/confidential_space_root.crt")}))
        }
        "/.well-known/confidential_space_root.crt" => or_broken(
            services.root_pem().map(|pem| Reply::new(200, "application/x-x509-ca-cert", pem)),
        ),
        _ => api_failure(404, "NOT_FOUND", "There is no such page."),
    }
}
