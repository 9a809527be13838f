//! Key sets in JSON: as OpenID providers publish them, and as Microsoft Azure Attestation does.

use cloudauth_core::json::{self, Value};
use cloudauth_core::jws::{self, Jwks, KeySet, MAX_KEYS};
use cloudauth_core::verifier::{MAX_SPKI_LEN, PublicKey, spki_from_jwk};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Error, Scheme};
use cloudauth_keys::PublicVerifier;

use super::is_refused;
use crate::config::issuer::Kind;

/// Keys, ready to verify tokens.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<Named>);

#[derive(Debug)]
struct Named {
    kid: Option<String>,
    scheme: Option<Scheme>,
    verifier: PublicVerifier,
}

impl Keys {
    /// Reads a JWK set (RFC 7517, section 5).
    ///
    /// # Errors
    /// What is wrong, in words; also when a key in it is refused always, and when none is left that can
    /// verify tokens.
    pub(crate) fn parse(kind: Kind, text: &[u8]) -> Result<Self, String> {
        let mut text = text.to_vec();
        let keys = match kind {
            Kind::ConfidentialSpace => published(&mut text)?,
            Kind::Maa => attestation_service(&mut text)?,
        };
        if keys.is_empty() {
            return Err("it holds no key that verifies tokens".into());
        }
        Ok(Self(keys))
    }

    /// The one key of a certificate, whatever the token calls it: who has the chain needs no name.
    pub(crate) fn of_leaf(spki: &[u8], kid: Option<&str>) -> Result<Self, String> {
        let verifier = verifier(spki)?;
        Ok(Self(vec![Named { kid: kid.map(str::to_owned), scheme: None, verifier }]))
    }

    /// Whether there is a key of this name.
    pub(crate) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }
}

impl KeySet for Keys {
    fn get(&self, index: usize) -> Option<jws::Key<'_>> {
        let Named { kid, scheme, verifier } = self.0.get(index)?;
        Some(jws::Key { kid: kid.as_deref(), scheme: *scheme, verifier })
    }
}

fn verifier(spki: &[u8]) -> Result<PublicVerifier, String> {
    let key = PublicKey::from_spki(spki).map_err(|e| e.to_string())?;
    if is_refused(&key) {
        return Err("its private half is public: it is a test key that everyone has".into());
    }
    PublicVerifier::from_spki(spki).map_err(|e| e.to_string())
}

fn published(text: &mut [u8]) -> Result<Vec<Named>, String> {
    let jwks = Jwks::parse(text).map_err(|e| e.to_string())?;
    let mut spki = [0; MAX_SPKI_LEN];
    let keys = jwks.keys().map(|jwk| {
        let spki = jwk.spki(&mut spki).map_err(|e| e.to_string());
        let verifier =
            spki.and_then(verifier).map_err(|e| format!("keys[{}]: {e}", jwk.index()))?;
        Ok(Named { kid: jwk.kid().map(str::to_owned), scheme: jwk.scheme(), verifier })
    });
    keys.collect()
}

/// Microsoft Azure Attestation publishes certificates (`x5c`), mostly without `n` and `e` beside them. It is
/// the provider's host that vouches for them.
fn attestation_service(text: &mut [u8]) -> Result<Vec<Named>, String> {
    let set = json::parse(text).map_err(|e| e.to_string())?;
    let entries = set.get("keys").filter(|keys| keys.kind() == json::Kind::Array);
    let entries = entries.ok_or("expected a JWK set")?.elements();
    let mut keys: Vec<Named> = Vec::new();
    for (i, entry) in entries.enumerate() {
        let wrong = |e: &dyn std::fmt::Display| format!("keys[{i}]: {e}");
        if i == MAX_KEYS {
            return Err("more than 64 keys".into());
        }
        if entry.get("kty").and_then(|kty| kty.as_str()) != Some("RSA") {
            continue;
        }
        if entry.get("d").is_some() {
            return Err(wrong(&"is a private key"));
        }
        let kid = entry.string("kid").map_err(|e| wrong(&e))?;
        if keys.iter().any(|key| key.kid.as_deref() == Some(kid)) {
            return Err(wrong(&"an earlier key has the same kid"));
        }
        let spki = spki(&entry).map_err(|e| wrong(&e))?;
        let verifier = verifier(&spki).map_err(|e| wrong(&e))?;
        keys.push(Named { kid: Some(kid.to_owned()), scheme: None, verifier });
    }
    Ok(keys)
}

/// The key of an entry. Where it is there twice, both must say the same.
fn spki(entry: &Value<'_>) -> Result<Vec<u8>, String> {
    const BAD: Error = Error::malformed("x5c", "expected an array of certificates in base64");
    let text = |e: Error| e.to_string();
    let mut buf = [0; MAX_SPKI_LEN];
    let plain = match entry.get("n") {
        Some(_) => Some(spki_from_jwk(entry, &mut buf).map_err(text)?),
        None => None,
    };
    let Some(chain) = entry.get("x5c") else {
        return plain.map(<[u8]>::to_vec).ok_or_else(|| "has neither n and e nor x5c".into());
    };
    let leaf = chain.elements().next().ok_or(BAD).map_err(text)?;
    let der = super::pki::certificate(&leaf).map_err(text)?;
    let spki = Certificate::parse(&der).map_err(text)?.spki().to_vec();
    match plain {
        Some(plain) if plain != spki => Err("n and e are not the key of its certificate".into()),
        _ => Ok(spki),
    }
}
