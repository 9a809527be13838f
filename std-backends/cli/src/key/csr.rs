//! Certificate requests (PKCS#10), signed by the key where it is.

use cloudauth_core::signer::{MAX_ECDSA_DER_LEN, MAX_SIGNATURE_LEN, ecdsa_der_from_raw};
use cloudauth_core::{Scheme, Signer, ToSign};
use cloudauth_keys::Key;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use serde_json::json;
use spki::SubjectPublicKeyInfoRef;
use spki::der::Decode as _;

use crate::context::{Context, Output, json, random};
use crate::error::CliError;

/// The options of a certificate request.
#[derive(clap::Args)]
pub(super) struct Request {
    /// Print a certificate request (PKCS#10) that the key signs, for a certification authority
    #[arg(long, requires = "subject")]
    csr: bool,
    /// Whose certificate it will be, such as CN=robot,O=Example (CN, O, OU, C, ST, L, serialNumber; a comma
    /// in a value is written \,)
    #[arg(long, value_name = "NAME", requires = "csr")]
    subject: Option<String>,
}

impl Request {
    pub(super) fn subject(&self) -> Result<Option<DistinguishedName>, CliError> {
        self.subject.as_deref().filter(|_| self.csr).map(name).transpose()
    }
}

/// A name as RFC 4514 writes it, but for the order: as it is written, so it is encoded.
fn name(text: &str) -> Result<DistinguishedName, CliError> {
    let bad = |what: &str| CliError::input("subject", what);
    let mut name = DistinguishedName::new();
    for part in parts(text).ok_or_else(|| bad("a backslash at its end"))? {
        let (kind, value) = part.split_once('=').ok_or_else(|| {
            bad("expected NAME=VALUE, separated by commas, such as CN=robot,O=Example")
        })?;
        let kind = match kind.trim().to_ascii_uppercase().as_str() {
            "CN" => DnType::CommonName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "C" => DnType::CountryName,
            "ST" => DnType::StateOrProvinceName,
            "L" => DnType::LocalityName,
            "SERIALNUMBER" => DnType::CustomDnType(vec![2, 5, 4, 5]),
            _ => {
                return Err(bad(
                    "a part that is not known; use CN, O, OU, C, ST, L or serialNumber",
                ));
            }
        };
        let value = value.trim();
        // The upper bounds of RFC 5280, appendix A.1.
        let fits = match kind {
            DnType::CountryName => {
                value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase())
            }
            DnType::LocalityName | DnType::StateOrProvinceName => value.chars().count() <= 128,
            _ => value.chars().count() <= 64,
        };
        if value.is_empty() || !fits || value.contains(char::is_control) {
            return Err(bad(
                "a value that is empty, too long or of wrong characters (C is two capitals)",
            ));
        }
        if name.get(&kind).is_some() {
            return Err(bad("a part stands there twice"));
        }
        name.push(kind, value);
    }
    Ok(name)
}

/// What stands between commas, which a backslash takes their meaning from.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.push(chars.next()?),
            (c, Some(part)) => part.push(c),
            (_, None) => return None,
        }
    }
    Some(parts)
}

/// A key as rcgen wants it.
struct Remote<'a> {
    key: &'a Key,
    scheme: Scheme,
    algorithm: &'static SignatureAlgorithm,
    /// What the BIT STRING of the SubjectPublicKeyInfo holds.
    public: &'a [u8],
    entropy: [u8; 32],
}

impl PublicKeyData for Remote<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Remote<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let to_sign = ToSign::new(message, &self.entropy);
        // rcgen's errors hold no text of others: `signed` signs once itself, for the reason.
        let len = self
            .key
            .sign(self.scheme, &to_sign, &mut signature)
            .map_err(|_| rcgen::Error::RemoteKeyError)?;
        let signature = signature.get(..len).unwrap_or_default();
        if self.scheme.coordinate_len().is_none() {
            return Ok(signature.to_vec());
        }
        let mut der = [0; MAX_ECDSA_DER_LEN];
        ecdsa_der_from_raw(signature, &mut der)
            .map(<[u8]>::to_vec)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The request for `key`, in PEM.
pub(super) fn signed(
    subject: DistinguishedName,
    key: &Key,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    let choices: [(Scheme, &'static SignatureAlgorithm); 3] = [
        (Scheme::RsaPkcs1Sha256, &rcgen::PKCS_RSA_SHA256),
        (Scheme::EcdsaP256Sha256, &rcgen::PKCS_ECDSA_P256_SHA256),
        (Scheme::EcdsaP384Sha384, &rcgen::PKCS_ECDSA_P384_SHA384),
    ];
    let (scheme, algorithm) =
        choices.into_iter().find(|(scheme, _)| key.supports(*scheme)).ok_or_else(|| {
            CliError::Key(
                "certificate request: the key signs with neither RS256, ES256 nor ES384".to_owned(),
            )
        })?;
    let spki = SubjectPublicKeyInfoRef::from_der(key.public_key()).ok();
    let public = spki.as_ref().and_then(|spki| spki.subject_public_key.as_bytes());
    let public = public.ok_or_else(|| CliError::Key("the public key cannot be read".to_owned()))?;
    let entropy = random()?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject;
    let remote = Remote { key, scheme, algorithm, public, entropy };
    let request = match parameters.serialize_request(&remote) {
        Ok(request) => request,
        Err(error) => {
            key.sign(scheme, &ToSign::new(b"", &entropy), &mut [0; MAX_SIGNATURE_LEN])
                .map_err(|e| CliError::Key(format!("certificate request: {e}")))?;
            return Err(CliError::input("certificate request", error));
        }
    };
    let pem = cloudauth_keys::pem::encode("CERTIFICATE REQUEST", request.der())?;
    Ok(match context.output {
        Output::Json => json(&json!({ "csr": pem })),
        _ => pem.into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let text = r"CN=robot 7\, west,O = Example , C=DE,serialNumber=00-1";
        let found = name(text).unwrap();
        let value = |kind| match found.get(&kind) {
            Some(rcgen::DnValue::Utf8String(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(value(DnType::CommonName), "robot 7, west");
        assert_eq!(value(DnType::OrganizationName), "Example");
        assert_eq!(found.iter().count(), 4);
        for bad in
            ["", "robot", "CN=", "CN=a,CN=b", "X=1", "C=Germany", "CN=a\\", "CN=a\nb", "CN=a,,O=b"]
        {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert!(name(&format!("CN={}", "x".repeat(64))).is_ok());
        assert!(name(&format!("CN={}", "x".repeat(65))).is_err());
    }
}
