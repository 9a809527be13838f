//! Certificates whose key is any signer, and the client's side of mutual TLS.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloudauth_core::signer::{MAX_ECDSA_DER_LEN, ecdsa_der_from_raw};
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Scheme, Signer, ToSign};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use crate::TransportError;

/// A certificate chain and the key it was issued for, to show to servers that ask for a client
/// certificate. The key can be anywhere: TLS only asks it to sign.
///
/// The key signs within the handshake, on the thread that drives it. A device may take 50 ms for that:
/// where other tasks must not wait, give the connecting task a thread of its own, such as
/// `spawn_blocking(move || handle.block_on(transport.call(…)))`.
///
/// TLS 1.3 asks RSA keys for PSS; a device that has only PKCS#1 v1.5 works with TLS 1.2 servers alone.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    spki: Arc<[u8]>,
}

impl Identity {
    /// `chain` is PEM, the key's own certificate first.
    ///
    /// # Errors
    /// [`TransportError::Config`] when there is no certificate in it, or when the first one was issued for
    /// another key.
    pub fn from_pem(
        chain: &[u8],
        signer: Arc<dyn Signer + Send + Sync>,
    ) -> Result<Self, TransportError> {
        let (key, spki) = certified_key(chain, signer, "client certificate")?;
        Ok(Self { key, spki })
    }

    /// The SubjectPublicKeyInfo of the key's certificate, in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// A resolver for one configuration, which remembers whether a server asked.
    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        Arc::new(Resolver { key: self.key.clone(), asked: AtomicBool::new(false) })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.key.cert.len())
    }
}

/// A chain in PEM with the key that its first certificate was issued for, and that certificate's
/// SubjectPublicKeyInfo. `what` is its name in errors.
pub(crate) fn certified_key(
    chain: &[u8],
    signer: Arc<dyn Signer + Send + Sync>,
    what: &'static str,
) -> Result<(Arc<CertifiedKey>, Arc<[u8]>), TransportError> {
    let chain = certificates(chain, what)?;
    let bad = |e: cloudauth_core::Error| TransportError::config(what, e.to_string());
    let leaf = chain.first().map(|der| Certificate::parse(der)).transpose().map_err(bad)?;
    let spki: Arc<[u8]> = leaf.map(|leaf| leaf.spki()).unwrap_or_default().into();
    let certified = PublicKey::from_spki(&spki).map_err(bad)?;
    if certified != PublicKey::from_spki(signer.public_key()).map_err(bad)? {
        return Err(TransportError::config(
            what,
            "it was issued for another key; give the one that was issued for this key, first in the file",
        ));
    }
    let algorithm = match certified.rsa() {
        Some(_) => SignatureAlgorithm::RSA,
        None => SignatureAlgorithm::ECDSA,
    };
    let key = Arc::new(Key { signer, algorithm });
    Ok((Arc::new(CertifiedKey::new(chain, key)), spki))
}

/// The certificates in PEM; at least one.
pub(crate) fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(TransportError::config(what, "expected certificates in PEM")),
    }
}

#[derive(Debug)]
pub(crate) struct Resolver {
    key: Arc<CertifiedKey>,
    asked: AtomicBool,
}

impl Resolver {
    /// Whether the certificate was sent: it is sent whenever a server asks.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        Some(self.key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct Key {
    signer: Arc<dyn Signer + Send + Sync>,
    algorithm: SignatureAlgorithm,
}

/// In the order of preference.
const SCHEMES: [(SignatureScheme, Scheme); 4] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, Scheme::EcdsaP256Sha256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, Scheme::EcdsaP384Sha384),
    (SignatureScheme::RSA_PSS_SHA256, Scheme::RsaPssSha256),
    (SignatureScheme::RSA_PKCS1_SHA256, Scheme::RsaPkcs1Sha256),
];

impl SigningKey for Key {
    /// Never `None`: a client would go on without a certificate, and the server's refusal would not say
    /// why.
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let chosen = SCHEMES
            .into_iter()
            .find(|(tls, ours)| offered.contains(tls) && self.signer.supports(*ours));
        let signer = self.signer.clone();
        Some(Box::new(match chosen {
            Some((tls, ours)) => HandshakeSigner { signer, tls, ours: Some(ours) },
            None => HandshakeSigner { signer, tls: SignatureScheme::Unknown(0), ours: None },
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.signer.public_key().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.algorithm)
    }
}

struct HandshakeSigner {
    signer: Arc<dyn Signer + Send + Sync>,
    tls: SignatureScheme,
    ours: Option<Scheme>,
}

impl rustls::sign::Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let failed =
            |why: &dyn fmt::Display| rustls::Error::General(format!("the key did not sign: {why}"));
        let scheme = self.ours.ok_or_else(|| {
            failed(
                &"it has none of the signature schemes that the other end takes (TLS 1.3 wants PSS of RSA keys)",
            )
        })?;
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|e| failed(&e))?;
        let mut signature = vec![0; self.signer.max_signature_len(scheme)];
        let to_sign = ToSign::new(message, &seed);
        let len = self.signer.sign(scheme, &to_sign, &mut signature).map_err(|e| failed(&e))?;
        if len > signature.len() {
            return Err(failed(&"it claims to have written too much"));
        }
        signature.truncate(len);
        if scheme.coordinate_len().is_some() {
            let mut der = [0; MAX_ECDSA_DER_LEN];
            return Ok(ecdsa_der_from_raw(&signature, &mut der).map_err(|e| failed(&e))?.to_vec());
        }
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.tls
    }
}

impl fmt::Debug for HandshakeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandshakeSigner({:?})", self.tls)
    }
}
