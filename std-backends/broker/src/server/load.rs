//! From the configuration file to a snapshot.

use std::path::Path;
use std::sync::Arc;

use cloudauth_core::Signer;
use cloudauth_core::x509::Certificate;
use cloudauth_keys::{Key, Prompt, UriScheme};
use cloudauth_tls::{Acceptor, ClientCertificates, Protocol, TransportError};

use super::Snapshot;
use super::api::now;
use super::signer::DeviceKey;
use crate::config::server::{ClientCertificate, Compatibility, Server, seconds};
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
            apart(&config.compatibility)?;
            let tls = tls(&config.server)?;
            let key_sets = KeySets::new(&config, before.as_deref())?;
            let policy = Policy::new(&config, &key_sets)?;
            Ok::<_, LoadError>((config, tls, key_sets, policy))
        });
        let (config, tls, key_sets, policy) =
            loading.await.map_err(|e| LoadError::one("loading", e))??;
        let loaded = now().ok_or_else(|| LoadError::one("clock", "is before 1970; set it"))?;
        if loaded > tls.certificate_end {
            tracing::error!("the server's certificate has expired: clients will refuse it");
        }
        let fresh = tokio::spawn(key_sets.clone().keep_fresh());
        Ok(Self {
            config,
            v1: tls.v1,
            compatibility: tls.compatibility,
            policy,
            key_sets,
            certificate_end: tls.certificate_end,
            loaded,
            fresh,
        })
    }
}

/// Refuses two listeners that cannot be told apart when the configuration is loaded again.
fn apart(listeners: &[Compatibility]) -> Result<(), LoadError> {
    let mut rest = listeners.iter();
    while let Some(one) = rest.next() {
        if rest.clone().any(|other| other.listen == one.listen && other.scheme == one.scheme) {
            let help = format!("{} stands there twice; a listener has one grant", one.listen);
            return Err(LoadError::one("compatibility: listen", help));
        }
    }
    Ok(())
}

struct Tls {
    v1: Acceptor,
    compatibility: Acceptor,
    certificate_end: cloudauth_core::UnixTime,
}

fn tls(server: &Server) -> Result<Tls, LoadError> {
    let chain = read(&server.certificate, "server.certificate")?;
    let key = Key::open_with(&server.key, &Prompt::none())
        .map_err(|e| LoadError::one("server.key", e))?;
    for warning in key.warnings() {
        tracing::warn!("server.key: {warning}");
    }
    let signer: Arc<dyn Signer + Send + Sync> = match server.key.scheme() {
        UriScheme::File | UriScheme::Env => Arc::new(key),
        _ => Arc::new(DeviceKey::new(key)),
    };
    let authorities = server.client_ca.as_deref().map(|path| read(path, "server.client-ca"));
    let clients = match (authorities.transpose()?, server.client_certificate) {
        (Some(pem), Some(ClientCertificate::Required)) => ClientCertificates::Required(pem),
        (Some(pem), _) => ClientCertificates::Optional(pem),
        (None, _) => ClientCertificates::None,
    };
    let handshake = seconds(server.limits.handshake_seconds);
    let acceptor = |protocol| {
        Acceptor::from_pem(&chain, signer.clone(), &clients, protocol, handshake).map_err(|e| {
            match e {
                TransportError::Config { what, help } => LoadError::one(what, help),
                e => LoadError::one("server", e),
            }
        })
    };
    let leaf = cloudauth_keys::pem::certificates(&chain)
        .map_err(|e| LoadError::one("server.certificate", e))?
        .into_iter()
        .next()
        .unwrap_or_default();
    let leaf = Certificate::parse(&leaf).map_err(|e| LoadError::one("server.certificate", e))?;
    Ok(Tls {
        v1: acceptor(Protocol::Required)?,
        compatibility: acceptor(Protocol::Assumed)?,
        certificate_end: leaf.not_after(),
    })
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, LoadError> {
    config::read(path, MAX_CERTIFICATES).map_err(|e| e.within(what))
}
