//! Exchanges, each on a connection of its own.

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cloudauth_core::{Attempt, Exchange, Failure, ResponseHead, ServiceError, Signer, UnixTime};
use http::header::{DATE, LOCATION, RETRY_AFTER};
use rustls::ClientConfig;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::connect::{Routes, shake_hands};
use crate::error::BuildError;
use crate::http1::{Answer, Deadline, Http, Limits};
use crate::progress::Progress;
use crate::retry;
use crate::{Builder, Connection, Endpoint, Identity, Refusal, Request, Step, TransportError};

/// What handles of one transport have in common.
pub(crate) struct Shared {
    pub(crate) routes: Routes,
    pub(crate) tls: Arc<ClientConfig>,
    /// For [`Connection`]; without the identity, which each connection adds for itself.
    pub(crate) bound_tls: ClientConfig,
    pub(crate) identity: Option<Identity>,
    pub(crate) limits: Limits,
    pub(crate) attempts: u32,
    /// By how many seconds the services' clocks are ahead of this machine's.
    pub(crate) offset: AtomicI64,
}

/// Sends exchanges and reads their answers. A clone is another handle on the same transport.
///
/// Every call connects anew; TLS sessions are resumed. Redirects are never followed.
///
/// **Repetition.** A call is repeated, with growing waits of random length, when connecting failed, when the
/// connection broke or was too slow to connect, and when the service said that it was busy or failed
/// (408, 429, 5xx, and the services' own names for these); `Retry-After` is heeded. A request may
/// then reach a service twice. That is safe for every exchange of [`cloudauth_core`], since each try is
/// built anew with its own `jti`, time and signature, and asks for a credential rather than changing
/// anything. It is not for what can be used once: a one-time code (`GetSessionToken` and `AssumeRole` with
/// MFA), a broker's challenge, a federated token whose issuer's party remembers `jti`. Send those with
/// [`once`](Self::once), or on a [`Connection`].
///
/// **Clocks.** When a service refuses (400, 401 or 403) and its `Date` is more than a minute away from the
/// time the request was made with, the request is made once more with the service's time. If that helps, the
/// difference is [kept](Self::clock_offset) for further calls, and so is that of a good answer: what it says of
/// a credential's end is in the service's time. A difference of more than a day is only reported.
///
/// **Signing** is done where the future is polled. A device may take 50 ms for it: where other tasks must
/// not wait, use [`call`](Self::call) with a builder that signs on a thread for blocking work.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
    endpoint: Option<Arc<Endpoint>>,
    once: bool,
}

impl Transport {
    /// Begins to set up a transport.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), endpoint: None, once: false }
    }

    /// A handle whose requests go to `endpoint`, whatever host they name. See [`Endpoint`] for what that
    /// means for signed requests.
    #[must_use]
    pub fn via(&self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(Arc::new(endpoint)), ..self.clone() }
    }

    /// A handle that sends no request twice. It only repeats what failed before the request was sent.
    #[must_use]
    pub fn once(&self) -> Self {
        Self { once: true, ..self.clone() }
    }

    /// By how many seconds the services' clocks are ahead of this machine's, as far as answers have taught;
    /// 0 as long as none has.
    #[must_use]
    pub fn clock_offset(&self) -> i64 {
        self.shared.offset.load(Ordering::Relaxed)
    }

    /// How long a call may take as a whole.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.shared.limits.total
    }

    /// What an exchange needs for one try: the time, corrected by [`clock_offset`](Self::clock_offset), and
    /// random octets of the operating system.
    ///
    /// # Errors
    /// [`TransportError::Config`] when the operating system gives no random octets.
    pub fn attempt(&self) -> Result<Attempt, TransportError> {
        attempt(self.clock_offset())
    }

    /// Sends an exchange, signed by `signer` where it needs a signature, and gives a good answer to
    /// `read`, which copies out what it wants. The answer itself is wiped.
    ///
    /// ```no_run
    /// use cloudauth_core::aws::sts::AssumeRoleWithWebIdentity;
    /// use cloudauth_tls::Transport;
    ///
    /// # async fn f(token: &str) -> Result<(), cloudauth_tls::TransportError> {
    /// let transport = Transport::builder().build()?;
    /// let role = "arn:aws:iam::123456789012:role/reader";
    /// let exchange = AssumeRoleWithWebIdentity::new("eu-central-1", role, "session", token);
    /// let id = transport
    ///     .send(&exchange, None, |answer| answer.role.credentials.access_key_id.to_owned())
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Any [`TransportError`].
    pub async fn send<E, T, R>(
        &self,
        exchange: &E,
        signer: Option<&(dyn Signer + Send + Sync)>,
        mut read: R,
    ) -> Result<T, TransportError>
    where
        E: Exchange + ?Sized,
        R: for<'b> FnMut(E::Output<'b>) -> T,
    {
        self.call(
            |at| {
                let signer = signer.map(|signer| signer as &dyn Signer);
                ready(Request::build(exchange, signer, &at).map_err(BuildError::from))
            },
            |head, body| exchange.response(head, body).map(&mut read),
        )
        .await
    }

    /// The general form of [`send`](Self::send): `build` makes a request for each try, and `read` reads
    /// its answer, which is mostly [`Exchange::response`] with what is to be kept copied out.
    ///
    /// `build` is asked anew for every try, for its time may be another one: an STS exchange then needs
    /// another day's key. As it is asynchronous, it can sign elsewhere:
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// use cloudauth_core::Exchange as _;
    /// use cloudauth_core::azure::TokenRequest;
    /// # use cloudauth_core::Signer;
    /// use cloudauth_tls::{Request, Transport};
    ///
    /// # async fn f(
    /// #     transport: Transport,
    /// #     key: Arc<dyn Signer + Send + Sync>,
    /// #     exchange: Arc<TokenRequest<'static>>,
    /// # ) -> Result<(), cloudauth_tls::TransportError> {
    /// let token = transport
    ///     .call(
    ///         |at| {
    ///             let (key, exchange) = (key.clone(), exchange.clone());
    ///             async move {
    ///                 let build = move || Request::build(&*exchange, Some(&*key), &at);
    ///                 Ok(tokio::task::spawn_blocking(build).await??)
    ///             }
    ///         },
    ///         |head, body| {
    ///             let answer = exchange.response(head, body)?;
    ///             Ok(answer.token.access_token.expose().to_owned())
    ///         },
    ///     )
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Any [`TransportError`]; [`TransportError::Build`] with whatever `build` fails with.
    pub async fn call<T, B, F, R>(&self, mut build: B, mut read: R) -> Result<T, TransportError>
    where
        B: FnMut(Attempt) -> F,
        F: Future<Output = Result<Request, BuildError>>,
        R: for<'b> FnMut(&ResponseHead<'b>, &'b mut [u8]) -> Result<T, Failure<'b>>,
    {
        let deadline = Deadline::new(self.shared.limits.total);
        let first = self.clock_offset();
        let mut offset = first;
        let mut corrected = false;
        let mut tries = 1;
        loop {
            let mut error = match self.one(offset, deadline, &mut build, &mut read).await {
                Ok((value, skew)) => {
                    let better = skew.and_then(|skew| retry::corrected(offset, skew));
                    if corrected || better.is_some() {
                        self.shared.offset.store(better.unwrap_or(offset), Ordering::Relaxed);
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            if corrected && let TransportError::Service { refusal, .. } = &mut error {
                // Time was not the only reason, but this machine's clock is wrong all the same.
                refusal.clock_skew.get_or_insert(offset - first);
            }
            if let Some(Refusal { status: 400 | 401 | 403, clock_skew: Some(skew), .. }) =
                error.refusal()
                && !corrected
                && !self.once
                && let Some(better) = retry::corrected(offset, *skew)
            {
                tracing::debug!(skew, "trying again with the service's time");
                (offset, corrected) = (better, true);
                continue;
            }
            let Some(wait) = self.wait(&error, tries, deadline)? else {
                return Err(error);
            };
            tracing::debug!(tries, wait_ms = wait.as_millis(), "trying again");
            sleep(wait).await;
            tries += 1;
        }
    }

    /// How long to wait before the next try, if there is to be one.
    fn wait(
        &self,
        error: &TransportError,
        tries: u32,
        deadline: Deadline,
    ) -> Result<Option<Duration>, TransportError> {
        let repeatable = error.is_transient() && (!self.once || error.is_before_sending());
        if !repeatable || tries >= self.shared.attempts {
            return Ok(None);
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(no_random)?;
        let backoff = retry::backoff(tries, u64::from_ne_bytes(random));
        let asked = error.refusal().and_then(|r| r.retry_after).unwrap_or_default();
        let possible = asked <= retry::LONGEST_RETRY_AFTER;
        Ok(Some(asked.max(backoff)).filter(|wait| possible && *wait < deadline.remaining()))
    }

    /// One try, and by how many seconds a good answer's `Date` is ahead of the time it was made with.
    async fn one<T, F>(
        &self,
        offset: i64,
        deadline: Deadline,
        build: &mut impl FnMut(Attempt) -> F,
        read: &mut impl for<'b> FnMut(&ResponseHead<'b>, &'b mut [u8]) -> Result<T, Failure<'b>>,
    ) -> Result<(T, Option<i64>), TransportError>
    where
        F: Future<Output = Result<Request, BuildError>>,
    {
        let shared = &*self.shared;
        let building = build(attempt(offset)?);
        let request = deadline.whole("the request", Step::Build, building).await?;
        let request = request.map_err(|source| TransportError::Build { source })?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Arc::new(Endpoint::https(request.host())?),
        };
        let host = endpoint.label();
        let request = request
            .into_http(endpoint.prefix(), true)
            .map_err(|e| TransportError::Build { source: e.into() })?;
        let progress = Progress::new();
        let connecting = async {
            let io = shared.routes.open(&endpoint, &progress).await?;
            if !endpoint.is_tls() {
                return Http::new(io, &host).await;
            }
            progress.set(Step::Handshake);
            let tls = shake_hands(&shared.tls, &endpoint, io).await?;
            Http::new(Box::new(tls), &host).await
        };
        let limits = &shared.limits;
        let mut http =
            deadline.limit(limits.connect, &host, || progress.step(), connecting).await??;
        let mut answer = http.exchange(request, &host, limits, deadline).await?;
        http.close();
        tracing::debug!(host, status = answer.status, "answer");
        let used = retry::now(offset);
        let skew =
            answer.header(DATE).and_then(retry::http_date).and_then(|d| retry::skew(d, used));
        Ok((read_answer(&mut answer, &host, used, read)?, skew))
    }

    /// Opens a connection to a broker: TLS 1.3 and `http/1.1` only, without resumption and early data. See
    /// [`Connection`].
    ///
    /// # Errors
    /// [`TransportError::Config`] for an endpoint that is not `https`; otherwise as a call, but nothing is
    /// repeated.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, TransportError> {
        Connection::open(self.clone(), endpoint).await
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Reads an answer into the caller's value, or its refusal into an error. `used` is the corrected time.
pub(crate) fn read_answer<T>(
    answer: &mut Answer,
    host: &str,
    used: UnixTime,
    read: &mut impl for<'b> FnMut(&ResponseHead<'b>, &'b mut [u8]) -> Result<T, Failure<'b>>,
) -> Result<T, TransportError> {
    let status = answer.status;
    let host = || host.to_owned();
    if (300..400).contains(&status) {
        let to = answer.header(LOCATION).and_then(|l| l.parse::<http::Uri>().ok());
        let to = to.as_ref().and_then(http::Uri::host).unwrap_or("an unknown place").to_owned();
        return Err(TransportError::Redirect { host: host(), status, to });
    }
    let date = answer.header(DATE).and_then(retry::http_date);
    let retry_after =
        answer.header(RETRY_AFTER).and_then(|value| retry::retry_after(value, date, used));
    let clock_skew = date.and_then(|date| retry::skew(date, used));
    let request_id = ["x-amzn-requestid", "x-amz-request-id", "x-ms-request-id"]
        .into_iter()
        .find_map(|name| answer.header_named(name))
        .map(|id| shortened(id, 128));
    let refused = |service: ServiceError<'_>| TransportError::Service {
        host: host(),
        refusal: Box::new(Refusal {
            status: service.status,
            code: shortened(service.code, 256),
            message: shortened(service.message, 1024),
            request_id,
            clock_skew,
            retry_after,
            transient: service.is_transient(),
        }),
    };
    answer.read(|head, body| match read(head, body) {
        Ok(value) => Ok(value),
        Err(Failure::Service(service)) => Err(refused(service)),
        Err(Failure::Answer(source)) => {
            // A busy gateway's page is no answer of the service's, but its status says enough.
            let service = ServiceError { status, code: "", message: "" };
            if service.is_transient() {
                Err(refused(service))
            } else {
                Err(TransportError::Answer { host: host(), status, source })
            }
        }
    })
}

/// At most `most` octets of a text.
fn shortened(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

/// The corrected time, and fresh random octets.
pub(crate) fn attempt(offset: i64) -> Result<Attempt, TransportError> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(no_random)?;
    Ok(Attempt::new(retry::now(offset), *random))
}

fn no_random(e: getrandom::Error) -> TransportError {
    TransportError::config("random octets", format!("the operating system gives none: {e}"))
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("endpoint", &self.endpoint)
            .field("once", &self.once)
            .field("clock_offset", &self.clock_offset())
            .finish_non_exhaustive()
    }
}
