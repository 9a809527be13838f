//! Tokens of Google Cloud.

mod federated;
mod impersonated;
mod service_account;

use cloudauth_core::gcp::CLOUD_PLATFORM;
use cloudauth_core::{Error as CoreError, Scheme, Secret, Signer, UnixTime, encode::base64, json};
use cloudauth_keys::Key;
use zeroize::Zeroizing;

use crate::flow::Issued;
use crate::{BearerToken, Credential};

pub use federated::{GcpFederated, GcpTokenType};
pub use impersonated::GcpImpersonated;
pub use service_account::{GcpIdToken, GcpOauth, GcpToken};

/// The scopes, else all of Google Cloud.
fn scopes(scopes: &[String]) -> Vec<&str> {
    match scopes {
        [] => vec![CLOUD_PLATFORM],
        scopes => scopes.iter().map(String::as_str).collect(),
    }
}

/// What Google takes that the key can do.
fn scheme(key: &Key) -> cloudauth_core::Result<Scheme> {
    let schemes = [Scheme::RsaPkcs1Sha256, Scheme::EcdsaP256Sha256];
    schemes
        .into_iter()
        .find(|s| key.supports(*s))
        .ok_or(CoreError::unsupported("key", "Google takes RSA keys (RS256) or P-256 keys (ES256)"))
}

/// An ID token, which says itself when it ends. It is meant for someone else, who verifies it.
fn id_token(token: &Secret<'_>) -> cloudauth_core::Result<Issued> {
    const BAD: CoreError = CoreError::malformed("ID token", "expected a JWT with exp");
    let token = token.expose();
    let claims = token.split('.').nth(1).ok_or(BAD)?;
    let mut buf = Zeroizing::new(vec![0; claims.len()]);
    let claims = base64::url_decode_vartime(claims.as_bytes(), &mut buf).map_err(|_| BAD)?;
    let claims = json::parse(claims).map_err(|_| BAD)?;
    let end = claims.get("exp").and_then(|exp| exp.as_seconds()).ok_or(BAD)?;
    let expiration = UnixTime::new(end).map_err(|_| BAD)?;
    let token = Zeroizing::new(token.to_owned());
    Ok(Issued::Until(Credential::Bearer(BearerToken { token, expiration })))
}
