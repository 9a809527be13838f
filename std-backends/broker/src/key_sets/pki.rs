//! Tokens that bring their chain (`x5c`): verified against a pinned root, without asking anyone.

use std::path::Path;

use cloudauth_core::digest::sha256;
use cloudauth_core::encode::base64;
use cloudauth_core::json::{Kind, Value};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Error, UnixTime};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::aws_lc_rs as algorithms;
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert,
};

use super::jwks::Keys;
use crate::config::issuer::Root;
use crate::error::LoadError;

/// The most octets of a certificate.
const MAX_CERTIFICATE: usize = 8192;

/// What certificates may be signed with.
static ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 5] = [
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P384_SHA384,
];

/// The SHA-256 of the one root that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PinnedRoot([u8; 32]);

impl PinnedRoot {
    pub(crate) fn new(root: &Root) -> Result<Self, LoadError> {
        match root {
            Root::Sha256(pin) => Ok(Self(*pin)),
            Root::File(path) => Self::from_file(path),
        }
    }

    fn from_file(path: &Path) -> Result<Self, LoadError> {
        let place = format!("root: file {path:?}");
        let octets = crate::config::read(path, 1 << 20).map_err(|e| e.within("root"))?;
        let ders =
            cloudauth_keys::pem::certificates(&octets).map_err(|e| LoadError::one(&place, e))?;
        let [der] = ders.as_slice() else {
            return Err(LoadError::one(&place, "expected one certificate, the root's"));
        };
        let certificate = Certificate::parse(der).map_err(|e| LoadError::one(&place, e))?;
        if !certificate.is_ca() {
            return Err(LoadError::one(&place, "is not the certificate of an authority (CA)"));
        }
        Ok(Self(sha256(der)))
    }

    /// The leaf's key of a token with this header.
    ///
    /// # Errors
    /// What is wrong with the chain.
    pub(crate) fn verify(&self, header: &Value<'_>, time: UnixTime) -> Result<Keys, String> {
        const COUNT: &str = "expected three certificates: leaf, intermediate and root";
        let chain = header.get("x5c").filter(|chain| chain.kind() == Kind::Array).ok_or(COUNT)?;
        let mut ders = Vec::with_capacity(3);
        for element in chain.elements() {
            if ders.len() == 3 {
                return Err(COUNT.into());
            }
            ders.push(CertificateDer::from(certificate(&element).map_err(|e| e.to_string())?));
        }
        let [leaf, intermediate, root] = ders.as_slice() else { return Err(COUNT.into()) };
        if sha256(root) != self.0 {
            return Err("the root is not the pinned one".into());
        }
        let parse = |name: &str, der| {
            Certificate::parse(der).map_err(|e| format!("the {name} cannot be read: {e}"))
        };
        let (leaf_read, root_read) = (parse("leaf", leaf)?, parse("root", root)?);
        // Of anchors nothing is looked at but name and key.
        root_read.check_validity(time).map_err(|e| format!("the root: {e}"))?;
        if !root_read.is_ca() {
            return Err("the root is not the certificate of an authority".into());
        }
        if !parse("intermediate", intermediate)?.is_ca() {
            return Err("the intermediate is not the certificate of an authority".into());
        }
        if leaf_read.is_ca() {
            return Err("the leaf is the certificate of an authority".into());
        }
        let anchor = anchor_from_trusted_cert(root).map_err(|e| format!("the root: {e}"))?;
        let end = EndEntityCert::try_from(leaf).map_err(|e| format!("the leaf: {e}"))?;
        let now = std::time::Duration::from_secs(time.as_secs());
        let path = end
            .verify_for_usage(
                &ALGORITHMS,
                &[anchor],
                std::slice::from_ref(intermediate),
                rustls_pki_types::UnixTime::since_unix_epoch(now),
                AnyUsage,
                None,
                None,
            )
            .map(|path| path.intermediate_certificates().count())
            .map_err(|e| format!("the chain does not lead to the root: {e}"))?;
        if path != 1 {
            return Err("the leaf is not the intermediate's".into());
        }
        let kid = header.get("kid").and_then(|kid| kid.as_str());
        Keys::of_leaf(leaf_read.spki(), kid).map_err(|e| format!("the leaf's key: {e}"))
    }
}

/// One certificate of an `x5c`: base64, not base64url (RFC 7515, section 4.1.6).
pub(super) fn certificate(element: &Value<'_>) -> Result<Vec<u8>, Error> {
    const BAD: Error = Error::malformed("x5c", "expected certificates in base64");
    let text = element.as_str().filter(|text| text.len() <= MAX_CERTIFICATE / 3 * 4).ok_or(BAD)?;
    let mut der = vec![0; text.len()];
    Ok(base64::decode(text.as_bytes(), &mut der).map_err(|_| BAD)?.to_vec())
}

/// The chain is for nothing but these tokens: what it may be used for is not said in terms of TLS.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}
