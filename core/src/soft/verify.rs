//! Verification in software.

use crate::digest::sha256;
use crate::verifier::{PublicKey, Verifier};
use crate::{Error, Result, Scheme};

/// Checks signatures in software, for the key types whose features are on.
#[derive(Clone, Debug)]
pub struct SoftVerifier(Key);

#[derive(Clone, Debug)]
enum Key {
    #[cfg(feature = "p256")]
    P256(p256::ecdsa::VerifyingKey),
    #[cfg(feature = "p384")]
    P384(p384::ecdsa::VerifyingKey),
    #[cfg(feature = "rsa")]
    Rsa(rsa::RsaPublicKey),
}

const WRONG: Error = Error::verification("signature", "does not belong to this message and key");

impl SoftVerifier {
    /// A verifier for the key of this SubjectPublicKeyInfo, in DER.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki`]; [`Malformed`](crate::ErrorKind::Malformed) for a point that is not
    /// on the curve; [`Unsupported`](crate::ErrorKind::Unsupported) for key types whose features are
    /// off, and for RSA exponents above 33 bits.
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        Self::new(&PublicKey::from_spki(der)?)
    }

    /// A verifier for `key`.
    ///
    /// # Errors
    /// As [`from_spki`](Self::from_spki).
    pub fn new(key: &PublicKey<'_>) -> Result<Self> {
        #[cfg(any(feature = "p256", feature = "p384"))]
        const OFF_CURVE: Error = Error::malformed("EC public key", "the point is not on the curve");
        match (key.algorithm(), key.ec_point(), key.rsa()) {
            #[cfg(feature = "p256")]
            (crate::verifier::KeyAlgorithm::P256, Some(point), _) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Ok(Self(Key::P256(key.map_err(|_| OFF_CURVE)?)))
            }
            #[cfg(feature = "p384")]
            (crate::verifier::KeyAlgorithm::P384, Some(point), _) => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Ok(Self(Key::P384(key.map_err(|_| OFF_CURVE)?)))
            }
            #[cfg(feature = "rsa")]
            (_, _, Some((modulus, exponent))) => {
                let integer = rsa::BoxedUint::from_be_slice_vartime;
                let key = rsa::RsaPublicKey::new(integer(modulus), integer(exponent));
                Ok(Self(Key::Rsa(key.map_err(|_| {
                    Error::unsupported("RSA key", "use one with an exponent of at most 33 bits")
                })?)))
            }
            _ => Err(Error::unsupported("public key", "this build cannot verify with its type")),
        }
    }
}

impl Verifier for SoftVerifier {
    fn supports(&self, scheme: Scheme) -> bool {
        match &self.0 {
            #[cfg(feature = "p256")]
            Key::P256(_) => scheme == Scheme::EcdsaP256Sha256,
            #[cfg(feature = "p384")]
            Key::P384(_) => {
                matches!(scheme, Scheme::EcdsaP384Sha256 | Scheme::EcdsaP384Sha384)
            }
            #[cfg(feature = "rsa")]
            Key::Rsa(_) => matches!(scheme, Scheme::RsaPkcs1Sha256 | Scheme::RsaPssSha256),
        }
    }

    fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<()> {
        match (&self.0, scheme) {
            #[cfg(feature = "p256")]
            (Key::P256(key), Scheme::EcdsaP256Sha256) => ecdsa(key, &sha256(message), signature),
            #[cfg(feature = "p384")]
            (Key::P384(key), Scheme::EcdsaP384Sha256) => ecdsa(key, &sha256(message), signature),
            #[cfg(feature = "p384")]
            (Key::P384(key), Scheme::EcdsaP384Sha384) => {
                ecdsa(key, &crate::digest::sha384(message), signature)
            }
            #[cfg(feature = "rsa")]
            (Key::Rsa(key), Scheme::RsaPkcs1Sha256) => {
                let pkcs1 = rsa::Pkcs1v15Sign::new::<sha2::Sha256>();
                key.verify(pkcs1, &sha256(message), signature).map_err(|_| WRONG)
            }
            #[cfg(feature = "rsa")]
            (Key::Rsa(key), Scheme::RsaPssSha256) => {
                let pss = rsa::Pss::<sha2::Sha256>::new_with_salt(32);
                key.verify(pss, &sha256(message), signature).map_err(|_| WRONG)
            }
            _ => Err(Error::unsupported("signature scheme", "the key is of another type")),
        }
    }
}

/// `signature` is r||s of exactly twice the size of the curve's order, both in 1..order.
#[cfg(any(feature = "p256", feature = "p384"))]
fn ecdsa<C>(key: &ecdsa::VerifyingKey<C>, digest: &[u8], signature: &[u8]) -> Result<()>
where
    C: ecdsa::EcdsaCurve + ecdsa::elliptic_curve::CurveArithmetic,
    ecdsa::VerifyingKey<C>: ecdsa::signature::hazmat::PrehashVerifier<ecdsa::Signature<C>>,
    ecdsa::SignatureSize<C>: ecdsa::elliptic_curve::array::ArraySize,
{
    use ecdsa::signature::hazmat::PrehashVerifier as _;
    let signature = ecdsa::Signature::<C>::from_slice(signature).map_err(|_| WRONG)?;
    key.verify_prehash(digest, &signature).map_err(|_| WRONG)
}
