//! Which servers are believed.

use std::sync::Arc;

use cloudauth_core::digest::sha256;
use cloudauth_core::x509::Certificate;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::TransportError;
use crate::identity::certificates;

/// Which servers are believed. Certificates are PEM, one or more.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Those of the operating system. On Linux and the BSDs the variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` replace them.
    #[default]
    Platform,
    /// Those of the operating system, and these.
    PlatformAnd(Vec<u8>),
    /// Those of Mozilla's programme, as they were when this was built (the crate webpki-roots): for programs
    /// that trust their own binary more than the system they run on. Build anew from time to time.
    BuiltIn,
    /// These and no others.
    Only(Vec<u8>),
    /// The one server whose SubjectPublicKeyInfo, in DER, has this SHA-256. Who issued its certificate,
    /// for which name and until when is not looked at: the key is all that counts.
    Pin([u8; 32]),
}

impl Trust {
    /// Whether it is the same whatever the environment says.
    pub(crate) const fn is_fixed(&self) -> bool {
        matches!(self, Self::BuiltIn | Self::Only(_) | Self::Pin(_))
    }

    pub(crate) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TransportError> {
        const WHAT: &str = "trusted certificates";
        let bad = |e: Error| TransportError::config(WHAT, e.to_string());
        let no_platform = |e: Error| {
            let help = "install ca-certificates, correct SSL_CERT_FILE, or give certificates";
            TransportError::config(WHAT, format!("none found on this system ({e}); {help}"))
        };
        let provider = provider.clone();
        Ok(match self {
            Self::Platform => Arc::new(Verifier::new(provider).map_err(no_platform)?),
            Self::PlatformAnd(pem) => {
                let extra = certificates(pem, WHAT)?;
                Arc::new(Verifier::new_with_extra_roots(extra, provider).map_err(bad)?)
            }
            Self::BuiltIn | Self::Only(_) => {
                let mut roots = RootCertStore::empty();
                match self {
                    Self::Only(pem) => {
                        for certificate in certificates(pem, WHAT)? {
                            roots.add(certificate).map_err(bad)?;
                        }
                    }
                    _ => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
                }
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|e| TransportError::config(WHAT, e.to_string()))?
            }
            Self::Pin(spki) => Arc::new(Pinned { spki: *spki, provider }),
        })
    }
}

/// Believes one key.
#[derive(Debug)]
struct Pinned {
    spki: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate =
            Certificate::parse(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        // The key is public: nothing to compare in constant time.
        if sha256(certificate.spki()) == self.spki {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
