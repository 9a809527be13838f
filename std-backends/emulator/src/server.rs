//! Connections: limits, TLS, HTTP/1.1, and what faults do to them.

mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::aws::{AwsError, rolesanywhere, s3, sts};
use crate::control::{self, Control};
use crate::fault::{self, Fault, FaultKind};
use crate::log::Record;
use crate::request::{Call, Reply, Request, UNIX};
use crate::route::{Service, route, service_of_host};
use crate::state::State;
use crate::tls::Authority;
use crate::{attestation, clock, entra, google, keyvault};
use wire::{Answer, Resettable};

const MAX_CONNECTIONS: usize = 512;
/// The head of a request in octets, all headers together; S3 takes 8 KiB, others more.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 128;
/// Bodies for token services are a few KiB.
const MAX_BODY: usize = 1 << 20;
const MAX_OBJECT: usize = 64 << 20;
/// How much of a body that is too long is read all the same.
const MAX_DROPPED: usize = 8 << 20;
/// From the accepted connection to the end of its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of one answer to the end of the next request's head.
const HEAD: Duration = Duration::from_secs(60);
/// For all of a connection, whatever its peer does or does not read.
const CONNECTION: Duration = Duration::from_secs(3600);
/// For the body.
const BODY: Duration = Duration::from_secs(60);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) authority: Authority,
    pub(crate) any_host: bool,
    connections: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(state: State, authority: Authority, any_host: bool) -> Self {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Self { state: Mutex::new(state), authority, any_host, connections }
    }

    /// A lock that a panic elsewhere does not poison for good: each handler leaves whole values.
    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections for ever.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: bool) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                // Out of file descriptors: wait for some to be closed.
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections");
            continue;
        };
        let (shared, peer) = (Arc::clone(&shared), Peer::Tcp(peer));
        tokio::spawn(async move {
            if timeout(CONNECTION, serve(stream, peer, shared, tls)).await.is_err() {
                tracing::debug!(%peer, "connection: an hour is enough");
            }
            drop(permit);
        });
    }
}

/// The same for the token service's socket.
pub(crate) async fn accept_unix(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
            tracing::warn!(peer = %Peer::Unix, "too many connections");
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let reset = Arc::new(AtomicBool::new(false));
            let served = connection(stream, Peer::Unix, shared, reset, UNIX);
            if timeout(CONNECTION, served).await.is_err() {
                tracing::debug!(peer = %Peer::Unix, "connection: an hour is enough");
            }
            drop(permit);
        });
    }
}

/// Who a connection is from, for the log.
#[derive(Clone, Copy)]
enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}

async fn serve(stream: TcpStream, peer: Peer, shared: Arc<Shared>, tls: bool) {
    // Answers are small: nothing is gained by waiting for more of them.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let stream = Resettable { stream, reset: Arc::clone(&reset) };
    if tls {
        secure(stream, peer, shared, reset).await;
    } else {
        connection(stream, peer, shared, reset, "http").await;
    }
}

async fn secure<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
) {
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.authority.config));
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, shared, reset, "https").await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake"),
        Err(_) => tracing::debug!(%peer, "TLS handshake: too slow"),
    }
}

fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
    scheme: &'static str,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    // Boxed: a tunnel of CONNECT ends in the same function.
    Box::pin(async move {
        let service = service_fn(move |request| {
            let (shared, reset) = (Arc::clone(&shared), Arc::clone(&reset));
            async move {
                if request.method() == Method::CONNECT && scheme == "http" {
                    return Ok(tunnel(request, peer, shared, reset));
                }
                respond(request, &shared, &reset, scheme).await
            }
        });
        let done = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = done {
            tracing::debug!(%peer, %error, "connection");
        }
    })
}

/// CONNECT to an emulated service: TLS with the emulator itself, as an HTTPS proxy would reach it.
/// Nothing is ever dialled.
fn tunnel(
    request: hyper::Request<Incoming>,
    peer: Peer,
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
) -> Response<Answer> {
    let known = request
        .uri()
        .host()
        .is_some_and(|host| service_of_host(&host.to_ascii_lowercase()).is_some());
    if !known {
        return plain(StatusCode::FORBIDDEN, "no emulated service has this name\n");
    }
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => secure(TokioIo::new(upgraded), peer, shared, reset).await,
            Err(error) => tracing::debug!(%peer, %error, "CONNECT"),
        }
    });
    plain(StatusCode::OK, "")
}

fn plain(status: StatusCode, text: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// The error of a connection that is to be reset.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset, as a fault asked for")
    }
}

impl std::error::Error for Reset {}

async fn respond(
    request: hyper::Request<Incoming>,
    shared: &Shared,
    reset: &AtomicBool,
    scheme: &'static str,
) -> Result<Response<Answer>, Reset> {
    let request = match read(request, scheme).await {
        Ok(request) => request,
        Err(status) => {
            let mut response = plain(status, "");
            let close = hyper::header::HeaderValue::from_static("close");
            response.headers_mut().insert(hyper::header::CONNECTION, close);
            return Ok(response);
        }
    };
    let service = route(&request);
    let (reply, fault, now) = handle(&request, service, shared);
    let kind = fault.map(|fault| fault.kind);
    if let Some(FaultKind::Latency(milliseconds)) = kind {
        sleep(Duration::from_millis(milliseconds.into())).await;
    }
    if kind == Some(FaultKind::Reset) {
        reset.store(true, Ordering::Relaxed);
        return Err(Reset);
    }
    let answer = match kind {
        Some(FaultKind::Truncate) => Answer::half(reply.body),
        _ => Answer::whole(reply.body),
    };
    let answer = if reply.chunked { answer.chunked() } else { answer };
    let mut builder =
        Response::builder().status(reply.status).header("date", clock::http_date(now));
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    // A header that cannot be sent comes from a registered or uploaded name.
    Ok(builder.body(answer).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, "")))
}

/// The request in full, or the status that refuses it.
async fn read(
    request: hyper::Request<Incoming>,
    scheme: &'static str,
) -> Result<Request, StatusCode> {
    let (parts, body) = request.into_parts();
    // hyper's own limit is where its buffer stops growing, which may be some way on.
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let head = parts.headers.iter().fold(target, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len())
    });
    if head > MAX_HEAD {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let mut hosts = parts.headers.get_all("host").iter();
    let host = match (hosts.next(), hosts.next(), parts.uri.authority()) {
        (Some(host), None, _) => host.to_str().map_err(|_| StatusCode::BAD_REQUEST)?.to_owned(),
        (None, None, Some(authority)) => authority.to_string(),
        _ => return Err(StatusCode::BAD_REQUEST),
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || !host.chars().all(valid) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let path = parts.uri.path();
    if !path.starts_with('/') {
        return Err(StatusCode::BAD_REQUEST);
    }
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: path.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: Bytes::new(),
        host: host.to_ascii_lowercase(),
        scheme,
    };
    let limit = if route(&request) == Service::S3 { MAX_OBJECT } else { MAX_BODY };
    let body = timeout(BODY, collect(body, limit, request.header("expect").is_some()));
    let body = body.await.map_err(|_| StatusCode::REQUEST_TIMEOUT)??;
    Ok(Request { body, ..request })
}

/// The body, at most so long. Of one that is longer some more is read and dropped, so that its
/// sender gets to read the answer; unless it `waits` to be asked for it (RFC 9110, section 10.1.1).
async fn collect(mut body: Incoming, limit: usize, waits: bool) -> Result<Bytes, StatusCode> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit && waits {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut all = BytesMut::new();
    let mut read: usize = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        read = read.saturating_add(data.len());
        if announced.max(read) <= limit {
            all.extend_from_slice(&data);
        } else if read > limit.saturating_add(MAX_DROPPED) {
            break;
        }
    }
    if announced.max(read) > limit { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(all.freeze()) }
}

/// Answers the request and remembers it.
fn handle(request: &Request, service: Service, shared: &Shared) -> (Reply, Option<Fault>, i64) {
    let mut state = shared.state();
    let fault = fault::next(&mut state.faults, service);
    let mut now = clock::system().saturating_add(state.offset);
    if let Some(FaultKind::Clock(seconds)) = fault.as_ref().map(|fault| &fault.kind) {
        let seconds = (*seconds).clamp(-clock::MAX_OFFSET, clock::MAX_OFFSET);
        now = now.saturating_add(seconds);
    }
    let mut record = Record::new(request, service, now);
    record.fault.clone_from(&fault);
    let kind = fault.as_ref().map(|fault| fault.kind.clone());
    let mut call = Call {
        state: &mut state,
        request,
        now,
        expired: kind == Some(FaultKind::Expired),
        record: &mut record,
    };
    let reply = match kind {
        Some(FaultKind::Throttle(seconds)) => {
            let reply = failing(&call, service, 429);
            match seconds {
                Some(seconds) => reply.header("retry-after", seconds.to_string()),
                None => reply,
            }
        }
        Some(FaultKind::Status(status)) => failing(&call, service, status),
        Some(FaultKind::Reset) => Reply::empty(0).error("reset"),
        Some(FaultKind::Html(status)) => Reply::new(
            status,
            "text/html",
            // No well-formed XML either.
            "<!DOCTYPE html><html><body>Please sign in to the network.<br></body></html>",
        ),
        Some(FaultKind::Huge(octets)) => {
            Reply::new(200, "application/json", vec![b' '; usize::try_from(octets).unwrap_or(0)])
        }
        _ => match service {
            Service::Sts => sts::answer(&mut call),
            Service::RolesAnywhere => rolesanywhere::answer(&mut call),
            Service::S3 => s3::answer(&mut call),
            Service::Entra => entra::answer(&mut call),
            Service::KeyVault => keyvault::answer(&mut call),
            Service::GoogleOauth => google::oauth(&mut call),
            Service::GoogleSts => google::sts(&mut call),
            Service::GoogleIam => google::iam(&mut call),
            Service::ConfidentialSpace | Service::ConfidentialSpaceKeys => {
                attestation::confidential_space(&mut call)
            }
            Service::Teeserver => attestation::teeserver(&mut call),
            Service::Maa | Service::MaaKeys => attestation::maa(&mut call),
            Service::Control => {
                let (ca_pem, any_host) = (shared.authority.pem.as_str(), shared.any_host);
                control::answer(&mut call, &Control { ca_pem, any_host })
            }
        },
    };
    record.answered(&reply);
    tracing::info!(
        %service,
        operation = record.operation.as_deref().unwrap_or_default(),
        status = record.status,
        error = record.error.as_deref().unwrap_or_default(),
        principal = record.principal.as_deref().unwrap_or_default(),
        "request"
    );
    // The control API looks at the log; it does not fill it.
    if service != Service::Control {
        state.remember(record);
    }
    (reply, fault, now)
}

/// An error with this status in the service's own form.
fn failing(call: &Call<'_>, service: Service, status: u16) -> Reply {
    let what = "The emulator was told to fail.";
    let aws = |throttled, unavailable| {
        AwsError::new(status, if status == 429 { throttled } else { unavailable }, what)
    };
    match service {
        Service::Sts => sts::failure(call, &aws("Throttling", "InternalFailure")),
        Service::RolesAnywhere => {
            rolesanywhere::failure(&aws("ThrottlingException", "InternalServerException"))
        }
        Service::S3 => s3::failure(&aws("SlowDown", "InternalError")),
        Service::Entra => entra::fault(call.now, status),
        Service::KeyVault => keyvault::fault(status),
        Service::GoogleOauth | Service::GoogleSts => google::oauth_fault(status),
        Service::Teeserver => attestation::teeserver_failure(status, what),
        Service::Maa | Service::MaaKeys => {
            let code = if status == 429 { "TooManyRequests" } else { "InternalServerError" };
            attestation::maa_failure(status, code, what)
        }
        Service::GoogleIam
        | Service::ConfidentialSpace
        | Service::ConfidentialSpaceKeys
        | Service::Control => {
            let name = if status == 429 { "RESOURCE_EXHAUSTED" } else { "INTERNAL" };
            google::api_failure(status, name, what)
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::Config;

    /// What services look at, in pieces.
    const WORDS: [&str; 40] = [
        "AWS4-HMAC-SHA256 ",
        "AWS4-X509-RSA-SHA256 ",
        "Credential=",
        "AKIAIOSFODNN7EXAMPLE",
        "/20150830/us-east-1/s3/aws4_request",
        "/20150830/us-east-1/sts/aws4_request",
        "SignedHeaders=",
        "host",
        ";x-amz-date",
        ", ",
        "Signature=",
        "00",
        "Bearer ",
        "eyJhbGciOiJSUzI1NiJ9.",
        "e30.",
        "e30",
        "Action=",
        "AssumeRole",
        "&",
        "=",
        "RoleArn=arn:aws:iam::123456789012:role/demo",
        "%",
        "%00",
        "%ff",
        "20150830T123600Z",
        "X-Amz-Signature=0&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=",
        "&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "UNSIGNED-PAYLOAD",
        "5;chunk-signature=0\r\n",
        "ffffffffffffffff",
        "{",
        "}",
        "\"",
        ":",
        "\u{e9}",
        "1",
        "-1",
        "application/json",
        "application/x-www-form-urlencoded",
    ];

    fn text() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            8 => prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop::collection::vec(word, 0..8).prop_map(|words| words.concat())
    }

    fn path() -> impl Strategy<Value = String> {
        let fixed = prop::sample::select(vec![
            "/",
            "/sessions",
            "/token",
            "/v1/token",
            "/t/oauth2/v2.0/token",
            "/demo/hello.txt",
            "/v1/projects/-/serviceAccounts/a:generateAccessToken",
            "/_emulator/fault",
            "/_emulator/clock",
            "/_emulator/register",
            "/_emulator/attestation/token",
            "/_emulator/attestation/rotate",
            "/maa/attest/SevSnpVm?api-version=1",
            "/confidential-space/.well-known/openid-configuration",
        ]);
        prop_oneof![fixed.prop_map(str::to_owned), text().prop_map(|text| format!("/{text}"))]
    }

    fn host() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "localhost:1",
            "127.0.0.1",
            "[::1]:1",
            "[",
            ":",
            "sts.amazonaws.com",
            "b.s3.amazonaws.com",
            "s3.amazonaws.com",
            ".s3.",
            ".amazonaws.com",
            "login.microsoftonline.com",
        ])
        .prop_map(str::to_owned)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        /// Whatever comes is answered, and with a status of HTTP.
        #[test]
        fn nothing_panics(
            (host, path, query) in (host(), path(), text()),
            headers in prop::collection::vec((0..9_usize, text()), 0..6),
            method in prop::sample::select(vec!["GET", "POST", "PUT", "HEAD"]),
            body in text(),
        ) {
            const NAMES: [&str; 9] = [
                "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-x509",
                "x-amz-x509-chain", "content-type", "x-amz-decoded-content-length", "accept",
            ];
            thread_local! {
                static SHARED: Shared = {
                    let mut state = State::default();
                    state.register(Config::demo()).unwrap();
                    Shared::new(state, Authority::new(&[]).unwrap(), false)
                };
            }
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                    map.append(HeaderName::from_static(NAMES[name]), value);
                }
            }
            let method = method.to_owned();
            let request = Request { method, path, query, headers: map, body: body.into(), host, scheme: "https" };
            let (reply, ..) = SHARED.with(|shared| handle(&request, route(&request), shared));
            prop_assert!(reply.status == 0 || (200..600).contains(&reply.status));
        }
    }
}
