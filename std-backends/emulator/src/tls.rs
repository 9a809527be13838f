//! TLS with a certification authority made for this one run, whose key stays in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use crate::EmulatorError;
use crate::route::service_of_host;

/// How long the certificates are good.
const LIFE: Duration = Duration::days(30);
/// How many names get a certificate of their own.
const MAX_NAMES: usize = 256;

/// The certification authority and the TLS configuration that it serves.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) config: Arc<ServerConfig>,
}

fn failed(error: impl std::fmt::Display) -> EmulatorError {
    EmulatorError::Tls(error.to_string())
}

fn valid(params: &mut CertificateParams) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(Duration::days(1));
    params.not_after = now.saturating_add(LIFE);
}

impl Authority {
    /// A new one; `names` are further names and addresses that the emulator is reached by.
    pub(crate) fn new(names: &[String]) -> Result<Self, EmulatorError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "cloudauth emulator (throw-away)");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params);
        let certificate = params.self_signed(&key).map_err(failed)?;
        let pem = certificate.pem();
        let minter = Minter { issuer: Issuer::new(params, key) };
        let mut local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        local.extend(names.iter().cloned());
        let local = minter.mint(local)?;
        let resolver = Resolver { minter, local, made: Mutex::default() };
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { pem, config: Arc::new(config) })
    }
}

struct Minter {
    issuer: Issuer<'static, KeyPair>,
}

impl Minter {
    fn mint(&self, names: Vec<String>) -> Result<Arc<CertifiedKey>, EmulatorError> {
        let key = KeyPair::generate().map_err(failed)?;
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Python refuses a chain without it.
        params.use_authority_key_identifier_extension = true;
        valid(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(failed)?;
        let signing = any_supported_type(&private).map_err(failed)?;
        Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing)))
    }
}

/// Gives each real host name of an emulated service its own certificate, made when it is first
/// asked for, and every other name the local one.
struct Resolver {
    minter: Minter,
    local: Arc<CertifiedKey>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase).unwrap_or_default();
        // A bucket may stand before localhost; verifiers want no `*.localhost`.
        if service_of_host(&name).is_none() && !name.ends_with(".localhost") {
            return Some(Arc::clone(&self.local));
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&name) {
            return Some(Arc::clone(known));
        }
        let new = self.minter.mint(vec![name.clone()]).ok()?;
        if made.len() < MAX_NAMES {
            made.insert(name, Arc::clone(&new));
        }
        Some(new)
    }
}
