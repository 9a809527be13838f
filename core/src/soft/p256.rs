//! P-256 with a key in memory.

use core::fmt;

use p256::NistP256;
use p256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use crate::signer::{Scheme, SignError, Signer, ToSign};
use crate::{Error, Result, verifier};

/// A P-256 private key in memory. It signs with `ES256`, and wipes itself.
///
/// The per-signature secret comes from RFC 6979 with [`ToSign::entropy`] as additional data (section
/// 3.6): good randomness protects against fault attacks, bad randomness does not reveal the key.
#[derive(Clone)]
pub struct P256Key {
    key: SigningKey,
    spki: [u8; 91],
}

impl P256Key {
    /// The key with this secret scalar, big-endian (SEC 1, section 3.2.1).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is zero, or not below the order of the curve.
    pub fn from_bytes(scalar: &[u8; 32]) -> Result<Self> {
        const BAD: Error =
            Error::invalid("P-256 key", "must be from 1 to the order of the curve less 1");
        let key = SigningKey::from_slice(scalar).map_err(|_| BAD)?;
        let point = key.verifying_key().to_sec1_point(false);
        let (x, y) = point.x().zip(point.y()).ok_or(BAD)?;
        let mut spki = [0; 91];
        verifier::spki_from_ec(x, y, &mut spki)?;
        Ok(Self { key, spki })
    }

    /// Signs a SHA-256 digest: r||s. `entropy` is as of [`ToSign::entropy`]. For interfaces that have no
    /// [`ToSign`] to give; signers are asked by [`Signer::sign`].
    #[must_use]
    pub fn sign_digest(&self, digest: &[u8; 32], entropy: &[u8; 32]) -> [u8; 64] {
        let (signature, _) = ecdsa::hazmat::sign_prehashed_rfc6979::<NistP256, sha2::Sha256>(
            self.key.as_nonzero_scalar(),
            digest,
            entropy,
        );
        signature.to_bytes().into()
    }
}

impl Signer for P256Key {
    fn public_key(&self) -> &[u8] {
        &self.spki
    }

    fn supports(&self, scheme: Scheme) -> bool {
        scheme == Scheme::EcdsaP256Sha256
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        if self.supports(scheme) { 64 } else { 0 }
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        if !self.supports(scheme) {
            return Err(SignError::UNSUPPORTED);
        }
        let out = out.get_mut(..64).ok_or(SignError::TOO_SMALL)?;
        let entropy = Zeroizing::new(to_sign.entropy());
        out.copy_from_slice(&self.sign_digest(&to_sign.sha256()?, &entropy));
        Ok(out.len())
    }
}

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P256Key([key])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::hex;

    fn octets(text: &str) -> [u8; 32] {
        let mut out = [0; 32];
        hex::decode(text.as_bytes(), &mut out).unwrap();
        out
    }

    // RFC 6979, appendix A.2.5. Its signatures are without additional data, so only the key is shared;
    // the signatures are checked with AWS-LC in the tests crate.
    #[test]
    fn public_key_of_rfc_6979() {
        let key = P256Key::from_bytes(&octets(
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        ))
        .unwrap();
        let point = verifier::PublicKey::from_spki(key.public_key()).unwrap().ec_point().unwrap();
        let x = octets("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
        let y = octets("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
        assert_eq!(point, [&[4][..], &x, &y].concat());
        assert_eq!(format!("{key:?}"), "P256Key([key])");
    }

    #[test]
    fn scalars_out_of_range() {
        let order = octets("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
        let mut last = order;
        last[31] -= 1;
        assert!(P256Key::from_bytes(&last).is_ok());
        for bad in [[0; 32], order, [0xff; 32]] {
            assert!(P256Key::from_bytes(&bad).is_err());
        }
    }
}
