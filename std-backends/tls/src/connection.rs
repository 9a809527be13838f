//! Several exchanges on one TLS connection, and what that connection exports.

use std::fmt;
use std::sync::Arc;

use cloudauth_core::UnixTime;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Exchange, Failure, ResponseHead, Signer};
use http::header::DATE;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use crate::builder::ALPN;
use crate::connect::{BoxIo, shake_hands};
use crate::http1::{Deadline, Http};
use crate::progress::Progress;
use crate::retry;
use crate::shared::Shared;
use crate::transport::{attempt, read_answer};
use crate::{Endpoint, Request, Step, Transport, TransportError};

/// One TLS connection to a broker, for exchanges that are bound to it: TLS 1.3 and `http/1.1` only, not
/// resumed, without early data.
///
/// Nothing is repeated, and no other connection takes its place: what was bound to this one would not hold
/// on another. After an error below HTTP it has [ended](TransportError::Ended); after a refusal of the
/// service it goes on, if the server leaves it open.
pub struct Connection {
    transport: Transport,
    host: String,
    prefix: String,
    tls: Shared<TlsStream<BoxIo>>,
    http: Option<Http>,
    server_spki: Vec<u8>,
    client_spki: Option<Vec<u8>>,
    date: Option<UnixTime>,
}

impl Connection {
    pub(crate) async fn open(
        transport: Transport,
        endpoint: &Endpoint,
    ) -> Result<Self, TransportError> {
        if !endpoint.is_tls() {
            return Err(TransportError::config(
                "endpoint URL",
                "a connection that things are bound to must be https",
            ));
        }
        let shared = transport.shared();
        let host = endpoint.authority();
        let mut config = shared.bound_tls.clone();
        let resolver = shared.identity.as_ref().map(|identity| identity.resolver());
        if let Some(resolver) = &resolver {
            config.client_auth_cert_resolver = resolver.clone();
        }
        let config = Arc::new(config);
        let progress = Progress::new();
        let connecting = async {
            let io = shared.routes.open(endpoint, &progress).await?;
            progress.set(Step::Handshake);
            shake_hands(&config, endpoint, io).await
        };
        let deadline = Deadline::new(shared.limits.total);
        let connect = shared.limits.connect;
        let tls = deadline.limit(connect, &host, || progress.step(), connecting).await??;
        let session = tls.get_ref().1;
        if session.alpn_protocol() != Some(ALPN) {
            return Err(TransportError::Tls {
                host,
                reason: "the server did not agree to http/1.1 (ALPN), which a broker must"
                    .to_owned(),
                transient: false,
            });
        }
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.map(|der| Certificate::parse(der)).transpose();
        let Ok(Some(leaf)) = leaf else {
            return Err(TransportError::Tls {
                host,
                reason: "the key of the server's certificate cannot be read".to_owned(),
                transient: false,
            });
        };
        let server_spki = leaf.spki().to_vec();
        let identity = shared.identity.as_ref().filter(|_| resolver.is_some_and(|r| r.was_asked()));
        let client_spki = identity.map(|identity| identity.spki().to_vec());
        let tls = Shared::new(tls);
        let http = Some(Http::new(Box::new(tls.clone()), &host).await?);
        let prefix = endpoint.prefix().to_owned();
        Ok(Self { transport, host, prefix, tls, http, server_spki, client_spki, date: None })
    }

    /// Sends an exchange, signed by `signer` where it needs a signature, and gives a good answer to
    /// `read`, which copies out what it wants. The answer itself is wiped.
    ///
    /// # Errors
    /// Any [`TransportError`].
    pub async fn send<E, T, R>(
        &mut self,
        exchange: &E,
        signer: Option<&(dyn Signer + Send + Sync)>,
        mut read: R,
    ) -> Result<T, TransportError>
    where
        E: Exchange + ?Sized,
        R: for<'b> FnMut(E::Output<'b>) -> T,
    {
        let request = {
            let at = attempt(self.transport.clock_offset())?;
            let signer = signer.map(|signer| signer as &dyn Signer);
            Request::build(exchange, signer, &at)
                .map_err(|e| TransportError::Build { source: e.into() })?
        };
        self.call(request, |head, body| exchange.response(head, body).map(&mut read)).await
    }

    /// Sends a request, and gives its answer to `read`, which is mostly [`Exchange::response`] with what is
    /// to be kept copied out.
    ///
    /// # Errors
    /// Any [`TransportError`].
    pub async fn call<T, R>(&mut self, request: Request, mut read: R) -> Result<T, TransportError>
    where
        R: for<'b> FnMut(&ResponseHead<'b>, &'b mut [u8]) -> Result<T, Failure<'b>>,
    {
        let request = request
            .into_http(&self.prefix, false)
            .map_err(|e| TransportError::Build { source: e.into() })?;
        // Taken out, so that a call that fails or is dropped half-way ends the connection.
        let Some(mut http) = self.http.take() else {
            return Err(TransportError::Ended { host: self.host.clone() });
        };
        if !http.is_open() {
            return Err(TransportError::Ended { host: self.host.clone() });
        }
        let limits = &self.transport.shared().limits;
        let deadline = Deadline::new(limits.total);
        let mut answer = http.exchange(request, &self.host, limits, deadline).await?;
        tracing::debug!(host = self.host, status = answer.status, "answer on a bound connection");
        self.http = Some(http);
        self.date = answer.header(DATE).and_then(retry::http_date);
        let used = retry::now(self.transport.clock_offset());
        read_answer(&mut answer, &self.host, used, &mut read)
    }

    /// Exports 32 octets of keying material (RFC 8446, section 7.5). They must not be sent, logged or
    /// stored. In TLS 1.3 an empty context and none are the same.
    ///
    /// # Errors
    /// [`TransportError::Ended`] after the connection has; [`TransportError::Export`].
    pub fn export(
        &self,
        label: &str,
        context: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, TransportError> {
        if self.http.is_none() {
            return Err(TransportError::Ended { host: self.host.clone() });
        }
        let mut octets = Zeroizing::new([0; 32]);
        let tls = self.tls.lock();
        tls.get_ref()
            .1
            .export_keying_material(&mut octets[..], label.as_bytes(), Some(context))
            .map_err(|e| TransportError::Export {
                host: self.host.clone(),
                reason: e.to_string(),
            })?;
        Ok(octets)
    }

    /// The server's time when it gave its last answer (its `Date`; RFC 9110, section 6.6.1); `None` when that
    /// said none. It comes from whoever the server's certificate names, where this machine's clock is whoever's
    /// who may set it.
    #[must_use]
    pub const fn date(&self) -> Option<UnixTime> {
        self.date
    }

    /// The SubjectPublicKeyInfo, in DER, of the server's certificate as used on this connection.
    #[must_use]
    pub fn server_spki(&self) -> &[u8] {
        &self.server_spki
    }

    /// The same of this side's certificate; `None` when the server did not ask for it, or there is none.
    #[must_use]
    pub fn client_spki(&self) -> Option<&[u8]> {
        self.client_spki.as_deref()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host", &self.host).finish_non_exhaustive()
    }
}
