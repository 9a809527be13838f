//! The server's side: connections that attestations are bound to.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cloudauth_core::x509::Certificate;
use cloudauth_core::{Scheme, Signer};
use rustls::crypto::aws_lc_rs;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use crate::TransportError;
use crate::builder::ALPN;
use crate::identity::{certificates, certified_key};
use crate::shared::Shared;

/// Makes TLS connections of accepted ones: TLS 1.3 and `http/1.1` only, no session tickets, no resumption,
/// no early data. It does not change: for another certificate, make another.
///
/// The key can be anywhere: TLS only asks it to sign, once a handshake. It signs on the thread that
/// drives the handshake. A device may take 50 ms for that, so the signer of one should leave the runtime's thread to
/// others while it signs (`tokio::task::block_in_place`) and limit how many wait for it.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    spki: Arc<[u8]>,
    handshake: Duration,
}

/// Whether clients are asked for a certificate. The authorities that issue them are PEM, one or more; a certificate
/// that is shown is always verified, for the purpose of client authentication.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They may have none.
    Optional(Vec<u8>),
    /// Without one there is no connection.
    Required(Vec<u8>),
}

/// What clients must say of the application protocol (ALPN, RFC 7301). `http/1.1` is what is spoken in any case, and
/// a client that offers only others is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// They must offer `http/1.1`.
    Required,
    /// They may also offer nothing, as older clients do.
    Assumed,
}

/// Why there is no connection, or nothing exported from it. Nothing in it is secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The handshake failed on either side, or the connection broke.
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    /// The client's certificate was verified, but its key cannot be read.
    #[error("client certificate: {0}")]
    Certificate(cloudauth_core::Error),
    /// The client took too long.
    #[error("no TLS handshake within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The connection has no keying material to export.
    #[error("exporting keying material failed: {0}")]
    Export(String),
}

impl Acceptor {
    /// `chain` is PEM, the key's own certificate first; `handshake` is how long a handshake may take.
    ///
    /// # Errors
    /// [`TransportError::Config`] when there is no certificate in it, when the first one was issued for another key,
    /// when the key has no signature scheme of TLS 1.3, and for authorities that cannot be read.
    pub fn from_pem(
        chain: &[u8],
        signer: Arc<dyn Signer + Send + Sync>,
        clients: &ClientCertificates,
        protocol: Protocol,
        handshake: Duration,
    ) -> Result<Self, TransportError> {
        const WHAT: &str = "server certificate";
        let schemes = [Scheme::EcdsaP256Sha256, Scheme::EcdsaP384Sha384, Scheme::RsaPssSha256];
        if !schemes.into_iter().any(|scheme| signer.supports(scheme)) {
            return Err(TransportError::config(
                WHAT,
                "its key cannot sign in TLS 1.3: it must be ECDSA (P-256, P-384), or RSA that signs with PSS",
            ));
        }
        let (key, spki) = certified_key(chain, signer, WHAT)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let bad = |what: &'static str| {
            move |e: &dyn fmt::Display| TransportError::config(what, e.to_string())
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| bad("TLS")(&e))?;
        let builder = match clients {
            ClientCertificates::None => builder.with_no_client_auth(),
            ClientCertificates::Optional(pem) | ClientCertificates::Required(pem) => {
                const WHAT: &str = "client authorities";
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, WHAT)? {
                    roots.add(certificate).map_err(|e| bad(WHAT)(&e))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match clients {
                    ClientCertificates::Required(_) => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|e| bad(WHAT)(&e))?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(Resolver { key, protocol }));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Nothing of a session outlives its connection.
        config.send_tls13_tickets = 0;
        config.max_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), spki, handshake })
    }

    /// The SubjectPublicKeyInfo of the server's certificate, in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Shakes hands: the stream, and what is known of the connection.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub async fn accept(&self, tcp: TcpStream) -> Result<(Accepted, Session), AcceptError> {
        let shaking = TlsAcceptor::from(self.config.clone()).accept(tcp);
        let stream = timeout(self.handshake, shaking)
            .await
            .map_err(|_| AcceptError::TimedOut(self.handshake))?
            .map_err(AcceptError::Handshake)?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let peer = match leaf {
            Some(der) => {
                let leaf = Certificate::parse(der).map_err(AcceptError::Certificate)?;
                Some(Peer { spki: leaf.spki().into(), certificate: der.as_ref().into() })
            }
            None => None,
        };
        let tls = Shared::new(stream);
        let session = Session { tls: tls.clone(), server_spki: self.spki.clone(), peer };
        Ok((Accepted(tls), session))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("handshake", &self.handshake).finish_non_exhaustive()
    }
}

/// Gives the one certificate; none, and so an alert, to a client that does not say what it will speak.
#[derive(Debug)]
struct Resolver {
    key: Arc<CertifiedKey>,
    protocol: Protocol,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // That the offer holds http/1.1 was checked before.
        let told = hello.alpn().is_some();
        (told || self.protocol == Protocol::Assumed).then(|| self.key.clone())
    }
}

/// The octets of a connection.
#[derive(Debug)]
pub struct Accepted(Shared<TlsStream<TcpStream>>);

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What is known of a connection. None of it changes while the connection lives.
pub struct Session {
    tls: Shared<TlsStream<TcpStream>>,
    server_spki: Arc<[u8]>,
    peer: Option<Peer>,
}

struct Peer {
    certificate: Box<[u8]>,
    spki: Box<[u8]>,
}

impl Session {
    /// Exports 32 octets of keying material (RFC 8446, section 7.5). They must not be sent, logged or
    /// stored. In TLS 1.3 an empty context and none are the same.
    ///
    /// # Errors
    /// [`AcceptError::Export`].
    pub fn export(&self, label: &str, context: &[u8]) -> Result<Zeroizing<[u8; 32]>, AcceptError> {
        let mut octets = Zeroizing::new([0; 32]);
        let tls = self.tls.lock();
        tls.get_ref()
            .1
            .export_keying_material(&mut octets[..], label.as_bytes(), Some(context))
            .map_err(|e| AcceptError::Export(e.to_string()))?;
        Ok(octets)
    }

    /// The SubjectPublicKeyInfo, in DER, of the server's certificate as used on this connection.
    #[must_use]
    pub fn server_spki(&self) -> &[u8] {
        &self.server_spki
    }

    /// The client's leaf certificate in DER, if it showed one.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&[u8]> {
        self.peer.as_ref().map(|peer| &*peer.certificate)
    }

    /// The SubjectPublicKeyInfo, in DER, of the client's leaf certificate, if it showed one.
    #[must_use]
    pub fn client_spki(&self) -> Option<&[u8]> {
        self.peer.as_ref().map(|peer| &*peer.spki)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("client", &self.peer.is_some()).finish_non_exhaustive()
    }
}
