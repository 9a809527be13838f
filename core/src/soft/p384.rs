//! P-384 with a key in memory.

use core::fmt;

use p384::NistP384;
use p384::ecdsa::SigningKey;
use zeroize::Zeroizing;

use crate::signer::{Scheme, SignError, Signer, ToSign};
use crate::{Error, Result, verifier};

/// A P-384 private key in memory. It signs with SHA-384 (`ES384`) and with SHA-256 (IAM Roles Anywhere),
/// and wipes itself.
///
/// The per-signature secret comes from RFC 6979 with [`ToSign::entropy`] as additional data (section
/// 3.6), and always through HMAC-SHA384: its strength does not fall with that of the message digest.
#[derive(Clone)]
pub struct P384Key {
    key: SigningKey,
    spki: [u8; 120],
}

impl P384Key {
    /// The key with this secret scalar, big-endian (SEC 1, section 3.2.1).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is zero, or not below the order of the curve.
    pub fn from_bytes(scalar: &[u8; 48]) -> Result<Self> {
        const BAD: Error =
            Error::invalid("P-384 key", "must be from 1 to the order of the curve less 1");
        let key = SigningKey::from_slice(scalar).map_err(|_| BAD)?;
        let point = key.verifying_key().to_sec1_point(false);
        let (x, y) = point.x().zip(point.y()).ok_or(BAD)?;
        let mut spki = [0; 120];
        verifier::spki_from_ec(x, y, &mut spki)?;
        Ok(Self { key, spki })
    }
}

impl Signer for P384Key {
    fn public_key(&self) -> &[u8] {
        &self.spki
    }

    fn supports(&self, scheme: Scheme) -> bool {
        matches!(scheme, Scheme::EcdsaP384Sha256 | Scheme::EcdsaP384Sha384)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        if self.supports(scheme) { 96 } else { 0 }
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
        let out = out.get_mut(..96).ok_or(SignError::TOO_SMALL)?;
        let entropy = Zeroizing::new(to_sign.entropy());
        let (signature, _) = ecdsa::hazmat::sign_prehashed_rfc6979::<NistP384, sha2::Sha384>(
            self.key.as_nonzero_scalar(),
            to_sign.digest(scheme)?.as_ref(),
            &*entropy,
        );
        out.copy_from_slice(&signature.to_bytes());
        Ok(out.len())
    }
}

impl fmt::Debug for P384Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P384Key([key])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::hex;

    fn octets(text: &str) -> [u8; 48] {
        let mut out = [0; 48];
        hex::decode(text.as_bytes(), &mut out).unwrap();
        out
    }

    // RFC 6979, appendix A.2.6. Its signatures are without additional data, so only the key is shared;
    // the signatures are checked with AWS-LC in the tests crate.
    #[test]
    fn public_key_of_rfc_6979() {
        let key = P384Key::from_bytes(&octets(
            "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        ))
        .unwrap();
        let point = verifier::PublicKey::from_spki(key.public_key()).unwrap().ec_point().unwrap();
        let x = octets(
            "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
        );
        let y = octets(
            "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
        );
        assert_eq!(point, [&[4][..], &x, &y].concat());
        assert_eq!(format!("{key:?}"), "P384Key([key])");
    }

    #[test]
    fn scalars_out_of_range() {
        let order = octets(
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        );
        let mut last = order;
        last[47] -= 1;
        assert!(P384Key::from_bytes(&last).is_ok());
        for bad in [[0; 48], order, [0xff; 48]] {
            assert!(P384Key::from_bytes(&bad).is_err());
        }
    }
}
