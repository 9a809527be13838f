//! Verification with aws-lc-rs, and the key sets that issuers publish.

use core::fmt;

use aws_lc_rs::digest::{SHA256, SHA384};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_FIXED, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, VerificationAlgorithm,
};
use cloudauth_core::jws::{self, Jwks};
use cloudauth_core::signer::{Digest, MAX_ECDSA_DER_LEN, ecdsa_der_from_raw};
use cloudauth_core::verifier::{KeyAlgorithm, MAX_SPKI_LEN, PublicKey, Verifier};
use cloudauth_core::{Error, Scheme};

use crate::{KeyError, Result};

/// Checks signatures with aws-lc-rs. The key is read once, for all its schemes.
#[derive(Clone)]
pub struct PublicVerifier {
    /// RSA and P-384 have two schemes, P-256 has one.
    schemes: Vec<(Scheme, ParsedPublicKey)>,
}

impl PublicVerifier {
    /// A verifier for the key of this SubjectPublicKeyInfo, in DER.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki`]; [`Malformed`](cloudauth_core::ErrorKind::Malformed) for a point that
    /// is not on the curve; [`Unsupported`](cloudauth_core::ErrorKind::Unsupported) for RSA exponents
    /// above 33 bits.
    pub fn from_spki(der: &[u8]) -> cloudauth_core::Result<Self> {
        Self::new(&PublicKey::from_spki(der)?)
    }

    /// A verifier for `key`.
    ///
    /// # Errors
    /// As [`from_spki`](Self::from_spki).
    pub fn new(key: &PublicKey<'_>) -> cloudauth_core::Result<Self> {
        let refused = match key.algorithm() {
            KeyAlgorithm::Rsa { .. } => {
                Error::unsupported("RSA key", "use one with an exponent of at most 33 bits")
            }
            _ => Error::malformed("EC public key", "the point is not on the curve"),
        };
        let schemes = Scheme::ALL.into_iter().filter(|scheme| key.supports(*scheme));
        let parsed = schemes.map(|scheme| {
            let algorithm = algorithm(scheme).ok_or(UNSUPPORTED)?;
            let key = ParsedPublicKey::new(algorithm, key.spki()).map_err(|_| refused)?;
            Ok((scheme, key))
        });
        Ok(Self { schemes: parsed.collect::<cloudauth_core::Result<_>>()? })
    }

    /// As [`verify`](Verifier::verify), of the digest of `scheme`.
    pub(crate) fn verify_digest(
        &self,
        scheme: Scheme,
        digest: &Digest,
        signature: &[u8],
    ) -> cloudauth_core::Result<()> {
        let digest = imported(digest).ok_or(UNSUPPORTED)?;
        self.with_key(scheme, signature, |key, signature| key.verify_digest_sig(&digest, signature))
    }

    /// Calls `verify` with the key, and with the signature as it wants it.
    fn with_key(
        &self,
        scheme: Scheme,
        signature: &[u8],
        verify: impl FnOnce(&ParsedPublicKey, &[u8]) -> core::result::Result<(), Unspecified>,
    ) -> cloudauth_core::Result<()> {
        const WRONG: Error =
            Error::verification("signature", "does not belong to this message and key");
        let known = self.schemes.iter().find(|(s, _)| *s == scheme);
        let (_, key) = known.ok_or(UNSUPPORTED)?;
        let mut der = [0; MAX_ECDSA_DER_LEN];
        let signature = match scheme {
            Scheme::EcdsaP384Sha256 if signature.len() != 96 => return Err(WRONG),
            Scheme::EcdsaP384Sha256 => {
                ecdsa_der_from_raw(signature, &mut der).map_err(|_| WRONG)?
            }
            _ => signature,
        };
        verify(key, signature).map_err(|_| WRONG)
    }
}

/// The same digest for aws-lc-rs.
pub(crate) fn imported(digest: &Digest) -> Option<aws_lc_rs::digest::Digest> {
    let octets = digest.as_ref();
    let algorithm = if octets.len() == 48 { &SHA384 } else { &SHA256 };
    aws_lc_rs::digest::Digest::import_less_safe(octets, algorithm).ok()
}

const UNSUPPORTED: Error = Error::unsupported("signature scheme", "the key is of another type");

fn algorithm(scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match scheme {
        Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
        Scheme::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
        // aws-lc-rs has it in DER only.
        Scheme::EcdsaP384Sha256 => &ECDSA_P384_SHA256_ASN1,
        Scheme::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
        _ => return None,
    })
}

impl Verifier for PublicVerifier {
    fn supports(&self, scheme: Scheme) -> bool {
        self.schemes.iter().any(|(s, _)| *s == scheme)
    }

    fn verify(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> cloudauth_core::Result<()> {
        self.with_key(scheme, signature, |key, signature| key.verify_sig(message, signature))
    }
}

impl fmt::Debug for PublicVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<_> = self.schemes.iter().map(|(scheme, _)| scheme).collect();
        f.debug_struct("PublicVerifier").field("schemes", &schemes).finish_non_exhaustive()
    }
}

/// The public keys of an issuer, ready to verify tokens: a [`jws::KeySet`].
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<NamedKey>,
}

#[derive(Clone, Debug)]
struct NamedKey {
    kid: Option<String>,
    scheme: Option<Scheme>,
    verifier: PublicVerifier,
}

impl KeySet {
    /// Reads a JWK set (RFC 7517, section 5). Which keys are taken, which passed over and which refused,
    /// [`Jwks`] says.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] with the place of the key in `keys`, or when no key is left that can
    /// verify tokens.
    pub fn from_jwks(text: &[u8]) -> Result<Self> {
        const PLACE: &str = "JWK set";
        let mut text = text.to_vec();
        let jwks = Jwks::parse(&mut text).map_err(|e| KeyError::malformed(PLACE, e.to_string()))?;
        let mut spki = [0; MAX_SPKI_LEN];
        let keys = jwks.keys().map(|jwk| {
            let verifier = jwk
                .spki(&mut spki)
                .and_then(PublicVerifier::from_spki)
                .map_err(|e| KeyError::malformed(PLACE, format!("keys[{}]: {e}", jwk.index())))?;
            Ok(NamedKey { kid: jwk.kid().map(str::to_owned), scheme: jwk.scheme(), verifier })
        });
        let keys: Vec<NamedKey> = keys.collect::<Result<_>>()?;
        if keys.is_empty() {
            return Err(KeyError::malformed(
                PLACE,
                "it holds no key that verifies RS256, PS256, ES256 or ES384",
            ));
        }
        Ok(Self { keys })
    }
}

impl jws::KeySet for KeySet {
    fn get(&self, index: usize) -> Option<jws::Key<'_>> {
        let NamedKey { kid, scheme, verifier } = self.keys.get(index)?;
        Some(jws::Key { kid: kid.as_deref(), scheme: *scheme, verifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, testing};
    use cloudauth_core::jws::KeySet as _;
    use cloudauth_core::verifier::{spki_from_ec, spki_from_rsa};
    use cloudauth_core::{ErrorKind, Out, Signer as _, ToSign};

    const MESSAGE: &[u8] = b"the message";

    #[test]
    fn every_scheme_of_every_key() {
        let mut checked = 0;
        for pkcs8 in [testing::rsa_2048(), testing::p256(), testing::p384()] {
            let key = Key::from_pkcs8(pkcs8).unwrap();
            let verifier = PublicVerifier::from_spki(key.public_key()).unwrap();
            for scheme in Scheme::ALL {
                assert_eq!(verifier.supports(scheme), key.supports(scheme));
                let mut signature = vec![0; key.max_signature_len(scheme)];
                if signature.is_empty() {
                    let error = verifier.verify(scheme, MESSAGE, &[1; 96]).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                    continue;
                }
                let to_sign = ToSign::new(MESSAGE, &[7; 32]);
                let len = key.sign(scheme, &to_sign, &mut signature).unwrap();
                assert_eq!(len, signature.len());
                verifier.verify(scheme, MESSAGE, &signature).unwrap();
                let refused = |message: &[u8], signature: &[u8]| {
                    let error = verifier.verify(scheme, message, signature).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Verification, "{scheme:?}");
                };
                refused(b"the messagf", &signature);
                verifier
                    .verify_digest(scheme, &to_sign.digest(scheme).unwrap(), &signature)
                    .unwrap();
                let other = ToSign::new(b"the messagf", &[7; 32]).digest(scheme).unwrap();
                let error = verifier.verify_digest(scheme, &other, &signature).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Verification, "{scheme:?}");
                for at in [0, len / 2, len - 1] {
                    let mut altered = signature.clone();
                    altered[at] ^= 1;
                    refused(MESSAGE, &altered);
                }
                refused(MESSAGE, b"");
                refused(MESSAGE, &signature[..len - 1]);
                refused(MESSAGE, &signature[1..]);
                refused(MESSAGE, &[&signature[..], &[0]].concat());
                refused(MESSAGE, &[&[0], &signature[..]].concat());
                refused(MESSAGE, &vec![0; len]);
                refused(MESSAGE, &vec![0xff; len]);
                if scheme.coordinate_len().is_some() {
                    let mut der = [0; MAX_ECDSA_DER_LEN];
                    refused(MESSAGE, ecdsa_der_from_raw(&signature, &mut der).unwrap());
                }
                checked += 1;
            }
        }
        assert_eq!(checked, 5);
    }

    #[test]
    fn keys_that_aws_lc_refuses() {
        let mut space = [0; MAX_SPKI_LEN];
        for len in [32, 48] {
            let spki = spki_from_ec(&vec![1; len], &vec![2; len], &mut space).unwrap();
            let error = PublicVerifier::from_spki(spki).unwrap_err();
            assert!(error.help().contains("not on the curve"), "{error}");
        }
        let odd = [[0xff; 255].as_slice(), &[0x01]].concat();
        let large = spki_from_rsa(&odd, &[2, 0, 0, 0, 1], &mut space).unwrap();
        let error = PublicVerifier::from_spki(large).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, "RSA key"));
        assert!(PublicVerifier::from_spki(&[]).is_err());
    }

    fn jwk(pkcs8: &[u8], kid: Option<&str>, alg: Option<&str>) -> String {
        let key = Key::from_pkcs8(pkcs8).unwrap();
        let mut buf = [0; 2048];
        let mut out = Out::new(&mut buf);
        PublicKey::from_spki(key.public_key()).unwrap().write_jwk(kid, alg, &mut out);
        String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn key_sets() {
        let rsa = jwk(testing::rsa_2048(), Some("r"), Some("PS256"));
        let p256 = jwk(testing::p256(), None, None);
        let p384 = jwk(testing::p384(), Some("e"), None);
        let other = r#"{"kty":"oct","k":"AAAA"}"#;
        let set = |keys: &[&str]| {
            KeySet::from_jwks(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes())
        };
        let keys = set(&[&rsa, other, &p256, &p384]).unwrap();
        let found: Vec<_> = (0..4).map_while(|i| keys.get(i)).collect();
        let names: Vec<_> = found.iter().map(|key| (key.kid, key.scheme)).collect();
        let expected = [(Some("r"), Some(Scheme::RsaPssSha256)), (None, None), (Some("e"), None)];
        assert_eq!(names, expected);
        assert!(found[0].verifier.supports(Scheme::RsaPssSha256));
        assert!(found[1].verifier.supports(Scheme::EcdsaP256Sha256));
        assert!(found[2].verifier.supports(Scheme::EcdsaP384Sha384));

        let refused = |keys: &[&str]| set(keys).unwrap_err().to_string();
        assert!(refused(&[]).contains("no key that verifies"));
        assert!(refused(&[other]).contains("no key that verifies"));
        assert!(refused(&[other, &rsa, &rsa]).contains("keys[2]: kid: "));
        let (x, y) = ("AQ".repeat(21), "Ag".repeat(21));
        let (x, y) = (format!("{x}A"), format!("{y}A"));
        let off = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
        let error = refused(&[&rsa, &off]);
        assert!(error.contains("keys[1]") && error.contains("not on the curve"), "{error}");
        assert!(KeySet::from_jwks(b"").unwrap_err().to_string().contains("JWK set"));
        let shown = format!("{keys:?}");
        assert!(shown.contains("RsaPssSha256") && !shown.contains("AQAB"), "{shown}");
    }
}
