//! From the configuration file to a snapshot.

use std::path::Path;
use std::sync::Arc;

use cloudauth_core::x509::Certificate;
use cloudauth_core::{Signer, UnixTime};
use cloudauth_keys::{Key, Prompt, UriScheme};
use cloudauth_tls::{Acceptor, ClientCertificates, Protocol, TransportError};

use super::Snapshot;
use super::api::now;
use super::signer::DeviceKey;
use crate::config::server::{ClientCertificate, Server, seconds};
use crate::config::{self, Config};
use crate::error::LoadError;
use crate::key_sets::KeySets;
use crate::policy::Policy;

/// The most octets of a file with certificates.
const MAX_CERTIFICATES: u64 = 1 << 20;

impl Snapshot {
    /// Loads the configuration at `path`. What `before` has fetched is taken over.
    pub(super) async fn load(path: &Path, before: Option<Arc<KeySets>>) -> Result<Self, LoadError> {
        let path = path.to_owned();
        // Files, and keys in devices.
        let loading = tokio::task::spawn_blocking(move || {
            let config = Config::from_file(&path)?;
            let certificates = Certificates::read(&config.server)?;
            let tls = Tls::open(&config.server, &certificates)?;
            let key_sets = KeySets::new(&config, before.as_deref())?;
            let policy = Policy::new(&config, &key_sets)?;
            Ok::<_, LoadError>((config, certificates, tls, key_sets, policy))
        });
        let (config, certificates, tls, key_sets, policy) =
            loading.await.map_err(|e| LoadError::one("loading", e))??;
        let loaded = now().ok_or_else(|| LoadError::one("clock", "is before 1970; set it"))?;
        for warning in [config.warnings(), certificates.warnings(), tls.warnings].concat() {
            tracing::warn!("{warning}");
        }
        let fresh = tokio::spawn(key_sets.clone().keep_fresh());
        Ok(Self {
            config,
            v1: tls.v1,
            compatibility: tls.compatibility,
            policy,
            key_sets,
            certificate_end: certificates.end,
            loaded,
            fresh,
        })
    }
}

/// The files that TLS needs, read and parsed; the key is not opened.
pub(crate) struct Certificates {
    chain: Vec<u8>,
    clients: ClientCertificates,
    end: UnixTime,
}

impl Certificates {
    /// # Errors
    /// [`LoadError`] with the files that cannot be used.
    pub(crate) fn read(server: &Server) -> Result<Self, LoadError> {
        let mut wrong = LoadError::default();
        let chain = wrong.take(chain(&server.certificate));
        let authorities = server.client_ca.as_deref().map(authorities);
        let authorities = authorities.and_then(|read| wrong.take(read));
        wrong.finish()?;
        let (chain, end) =
            chain.ok_or_else(|| LoadError::one("server.certificate", "cannot be read"))?;
        let clients = match (authorities, server.client_certificate) {
            (Some(pem), Some(ClientCertificate::Required)) => ClientCertificates::Required(pem),
            (Some(pem), _) => ClientCertificates::Optional(pem),
            (None, _) => ClientCertificates::None,
        };
        Ok(Self { chain, clients, end })
    }

    /// What is wrong with them as time goes.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let expired = now().is_some_and(|now| now > self.end);
        let help = "server.certificate: it has expired: clients will refuse it";
        expired.then(|| help.to_owned()).into_iter().collect()
    }
}

/// What accepts connections.
pub(crate) struct Tls {
    v1: Acceptor,
    compatibility: Acceptor,
    /// What the operator should know about the key.
    pub(crate) warnings: Vec<String>,
}

impl Tls {
    /// Opens the server's key.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be opened, or is not the certificate's.
    pub(crate) fn open(server: &Server, certificates: &Certificates) -> Result<Self, LoadError> {
        let key = Key::open_with(&server.key, &Prompt::none())
            .map_err(|e| LoadError::one("server.key", e))?;
        let warnings = key.warnings().iter().map(|w| format!("server.key: {w}")).collect();
        let signer: Arc<dyn Signer + Send + Sync> = match server.key.scheme() {
            UriScheme::File | UriScheme::Env => Arc::new(key),
            _ => Arc::new(DeviceKey::new(key)),
        };
        let handshake = seconds(server.limits.handshake_seconds);
        let Certificates { chain, clients, .. } = certificates;
        let acceptor = |protocol| {
            Acceptor::from_pem(chain, signer.clone(), clients, protocol, handshake).map_err(|e| {
                match e {
                    TransportError::Config { what, help } => LoadError::one(what, help),
                    e => LoadError::one("server", e),
                }
            })
        };
        Ok(Self {
            v1: acceptor(Protocol::Required)?,
            compatibility: acceptor(Protocol::Assumed)?,
            warnings,
        })
    }
}

/// The server's chain, and when its own certificate ends.
fn chain(path: &Path) -> Result<(Vec<u8>, UnixTime), LoadError> {
    const WHAT: &str = "server.certificate";
    let (pem, ders) = read(path, WHAT)?;
    let leaf = Certificate::parse(ders.first().map_or(&[], Vec::as_slice))
        .map_err(|e| LoadError::one(format!("{WHAT}: file {path:?}"), e))?;
    Ok((pem, leaf.not_after()))
}

/// Those that issue clients' certificates.
fn authorities(path: &Path) -> Result<Vec<u8>, LoadError> {
    const WHAT: &str = "server.client-ca";
    let (pem, ders) = read(path, WHAT)?;
    for der in ders {
        webpki::anchor_from_trusted_cert(&der.into())
            .map_err(|e| LoadError::one(format!("{WHAT}: file {path:?}"), e))?;
    }
    Ok(pem)
}

/// A file with certificates: as it is, and each in DER.
fn read(path: &Path, what: &str) -> Result<(Vec<u8>, Vec<Vec<u8>>), LoadError> {
    let pem = config::read(path, MAX_CERTIFICATES).map_err(|e| e.within(what))?;
    let ders = cloudauth_keys::pem::certificates(&pem)
        .map_err(|e| LoadError::one(format!("{what}: file {path:?}"), e))?;
    Ok((pem, ders))
}
