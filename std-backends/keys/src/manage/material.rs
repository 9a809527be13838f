//! Keys on their way into a device.

use core::fmt;

use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use cloudauth_pkcs11::manage::KeyMaterial;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::UintRef;
use pkcs8::der::{Decode as _, Reader as _, SliceReader};
use zeroize::Zeroizing;

use super::{KeyError, KeyUri, Prompt, Result, SecretRef, Software, Warning, mac};
use crate::{GoogleAccount, KeyAlgorithm};

/// A key to import. Its memory is wiped in the end.
pub enum Material {
    /// A private key: an unencrypted PKCS#8 `PrivateKeyInfo` in DER, checked: RSA of 2048 to 8192 bits,
    /// P-256 or P-384.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// A secret for HMAC-SHA256: for AWS `"AWS4"` and the secret access key.
    Hmac(Zeroizing<Vec<u8>>),
}

/// A key that was read for import, and what stood beside it.
#[derive(Debug)]
pub struct Imported {
    /// The key.
    pub material: Material,
    /// Whose key it is, when it came out of a Google service-account JSON.
    pub google: Option<GoogleAccount>,
    /// What the user should know about where it came from.
    pub warnings: Vec<Warning>,
}

impl Imported {
    /// A private key out of a file or a variable: PEM (PKCS#8, also encrypted; PKCS#1; SEC1) or a Google
    /// service-account JSON.
    ///
    /// # Errors
    /// As [`Key::open`](crate::Key::open).
    pub fn private_key(from: &KeyUri, prompt: &Prompt) -> Result<Self> {
        Self::software(Software::open(from, prompt)?, &from.place())
    }

    /// The same out of a text from `place`, such as `standard input`.
    ///
    /// # Errors
    /// As [`Key::open`](crate::Key::open).
    pub fn private_key_text(
        text: &[u8],
        place: &str,
        passphrase: Option<&SecretRef>,
        prompt: &Prompt,
    ) -> Result<Self> {
        Self::software(Software::read(text, place.to_owned(), passphrase, prompt)?, place)
    }

    /// An AWS secret access key out of a file or a variable that holds it and nothing else. `AWS4` is put
    /// before it.
    ///
    /// # Errors
    /// As [`MacKey::open`](crate::MacKey::open).
    pub fn aws_secret(from: &KeyUri) -> Result<Self> {
        let (secret, warnings) = mac::prefixed(from)?;
        Ok(Self { material: Material::Hmac(secret), google: None, warnings })
    }

    /// The same out of a text from `place`.
    ///
    /// # Errors
    /// As [`MacKey::open`](crate::MacKey::open).
    pub fn aws_secret_text(text: Zeroizing<Vec<u8>>, place: &str) -> Result<Self> {
        let material = Material::Hmac(mac::prefix(text, place.to_owned())?);
        Ok(Self { material, google: None, warnings: Vec::new() })
    }

    fn software(read: Software, place: &str) -> Result<Self> {
        let Software { key, google, warnings } = read;
        Ok(Self { material: Material::Pkcs8(key.to_pkcs8(place)?), google, warnings })
    }
}

impl Material {
    /// Calls `then` with the numbers of the key.
    pub(super) fn with_parts<T>(&self, then: impl FnOnce(KeyMaterial<'_>) -> T) -> Result<T> {
        const PLACE: &str = "key to import";
        let damaged = || KeyError::malformed(PLACE, "damaged PKCS#8");
        let der = match self {
            Self::Hmac(secret) => return Ok(then(KeyMaterial::Secret(secret))),
            Self::Pkcs8(der) => der,
        };
        let algorithm = crate::software::SoftwareKey::from_pkcs8(der, PLACE)?.algorithm();
        let curve = match algorithm {
            KeyAlgorithm::Rsa { .. } => {
                let info = PrivateKeyInfoRef::from_der(der).map_err(|_| damaged())?;
                let [n, e, d, p, q, dp, dq, qinv] =
                    rsa_parts(info.private_key.as_bytes()).map_err(|_| damaged())?;
                return Ok(then(KeyMaterial::Rsa { n, e, d, p, q, dp, dq, qinv }));
            }
            KeyAlgorithm::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            KeyAlgorithm::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let key = EcdsaKeyPair::from_pkcs8(curve, der).map_err(|_| damaged())?;
        let scalar: EcPrivateKeyBin<'_> = key.private_key().as_be_bytes().map_err(|_| damaged())?;
        Ok(then(KeyMaterial::Ec { point: key.public_key().as_ref(), scalar: scalar.as_ref() }))
    }
}

/// The numbers of an `RSAPrivateKey` (RFC 8017, appendix A.1.2) of two primes, without the version.
fn rsa_parts(der: &[u8]) -> pkcs8::der::Result<[&[u8]; 8]> {
    let mut parts = [&[][..]; 8];
    SliceReader::new(der)?.sequence(|r| -> pkcs8::der::Result<()> {
        let _version: u8 = r.decode()?;
        for part in &mut parts {
            *part = UintRef::decode(r)?.as_bytes();
        }
        Ok(())
    })?;
    Ok(parts)
}

/// Only the kind.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pkcs8(_) => "Material(private key)",
            Self::Hmac(_) => "Material(HMAC secret)",
        })
    }
}
