//! How a transport is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};

use crate::connect::Routes;
use crate::http1::Limits;
use crate::proxy::Proxies;
use crate::transport::Shared;
use crate::{Identity, Transport, TransportError, Trust};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The one application protocol (RFC 7301).
pub(crate) const ALPN: &[u8] = b"http/1.1";

/// Sets up a [`Transport`]. What is not set has a default that suits the clouds.
#[derive(Clone)]
#[must_use]
pub struct Builder {
    trust: Trust,
    identity: Option<Identity>,
    environment: bool,
    limits: Limits,
    attempts: u32,
    clock_offset: i64,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            trust: Trust::Platform,
            identity: None,
            environment: true,
            limits: Limits {
                connect: Duration::from_secs(5),
                read: Duration::from_secs(10),
                total: Duration::from_secs(30),
                body: 1024 * 1024,
            },
            attempts: 3,
            clock_offset: 0,
        }
    }
}

impl Builder {
    /// Which servers are believed; by default those that the operating system believes.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The certificate and key for servers that ask for a client certificate; by default none.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Whether the environment has a say (by default it has): `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`,
    /// and where trusted certificates come from. Without it [`trust`](Self::trust) must be
    /// [`Trust::Only`], [`Trust::Pin`] or [`Trust::BuiltIn`]: the system's certificates are part of the
    /// environment.
    pub const fn trust_environment(mut self, yes: bool) -> Self {
        self.environment = yes;
        self
    }

    /// How long an address, a connection, a proxy and the TLS handshake may take together: 5 seconds.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect = limit;
        self
    }

    /// How long the head of an answer may take, and then each further part of it: 10 seconds.
    pub const fn read_timeout(mut self, limit: Duration) -> Self {
        self.limits.read = limit;
        self
    }

    /// How long a call may take as a whole, with signing, repetitions and the waits between them: 30
    /// seconds.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.limits.total = limit;
        self
    }

    /// The largest body of an answer, in octets: 1 MiB. The head has at most 64 KiB.
    pub const fn body_limit(mut self, octets: usize) -> Self {
        self.limits.body = octets;
        self
    }

    /// How often a request is sent at most, the first time included: 3; at least once. A try for a
    /// corrected clock is not counted.
    pub const fn attempts(mut self, most: u32) -> Self {
        self.attempts = if most == 0 { 1 } else { most };
        self
    }

    /// By how many seconds the services' clocks are ahead of this machine's, as far as is known: 0. A
    /// service's answer may teach another difference ([`Transport::clock_offset`]).
    pub const fn clock_offset(mut self, seconds: i64) -> Self {
        self.clock_offset = seconds;
        self
    }

    /// The transport. This reads the trusted certificates and, unless
    /// [`trust_environment`](Self::trust_environment) is off, the environment.
    ///
    /// # Errors
    /// [`TransportError::Config`] when there are no trusted certificates, when they cannot be read, or
    /// when a proxy variable holds no usable proxy.
    pub fn build(self) -> Result<Transport, TransportError> {
        if !self.environment && !self.trust.is_fixed() {
            return Err(TransportError::config(
                "trusted certificates",
                "without trust in the environment they must be given: Trust::Only, Trust::Pin or Trust::BuiltIn",
            ));
        }
        let proxies = if self.environment {
            Proxies::from_variables(|name| std::env::var(name).ok())?
        } else {
            Proxies::NONE
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = self.trust.verifier(&provider)?;
        let identity = self.identity.as_ref();
        let config = |versions, identity| config(&provider, &verifier, versions, identity);
        let tls = Arc::new(config(BOTH, identity)?);
        let proxy_tls = match identity {
            None => tls.clone(),
            Some(_) => Arc::new(config(BOTH, None)?),
        };
        let mut bound_tls = config(&[&TLS13], None)?;
        bound_tls.resumption = Resumption::disabled();
        Ok(Transport::new(Shared {
            routes: Routes { proxies, proxy_tls },
            tls,
            bound_tls,
            identity: self.identity,
            limits: self.limits,
            attempts: self.attempts,
            offset: self.clock_offset.into(),
        }))
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<dyn ServerCertVerifier>,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&Identity>,
) -> Result<ClientConfig, TransportError> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|e| TransportError::config("TLS", e.to_string()))?
        // The verifier is rustls' own, the platform's, or a pin; never none.
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("identity", &self.identity)
            .field("environment", &self.environment)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
