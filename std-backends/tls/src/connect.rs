//! From an endpoint to a stream: names, addresses, proxies and TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http1::{Driver, HEAD_LIMIT};
use crate::progress::Progress;
use crate::proxy::{Proxies, Proxy};
use crate::{Endpoint, Step, TransportError};

/// A two-way stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A two-way stream of whatever kind.
pub(crate) type BoxIo = Box<dyn Io>;

/// How long an address may take before the next one is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// The ways out of this machine.
pub(crate) struct Routes {
    pub(crate) proxies: Proxies,
    /// For a proxy that is itself reached by TLS: without the client's identity.
    pub(crate) proxy_tls: Arc<ClientConfig>,
}

impl Routes {
    /// A stream to the endpoint's port, directly or through the proxy that the environment names.
    pub(crate) async fn open(
        &self,
        endpoint: &Endpoint,
        progress: &Progress,
    ) -> Result<BoxIo, TransportError> {
        if let Some(path) = endpoint.socket() {
            return unix(path, endpoint, progress).await;
        }
        let Some(proxy) = self.proxies.of(endpoint)? else {
            return Ok(Box::new(dial(endpoint, progress).await?));
        };
        self.tunnel(&proxy, endpoint, progress).await.map_err(|failed| TransportError::Proxy {
            host: endpoint.authority(),
            proxy: proxy.endpoint.host_and_port(),
            reason: failed.reason,
            transient: failed.transient,
        })
    }

    async fn tunnel(
        &self,
        proxy: &Proxy,
        endpoint: &Endpoint,
        progress: &Progress,
    ) -> Result<BoxIo, NoTunnel> {
        let tcp = dial(&proxy.endpoint, progress).await?;
        let io: BoxIo = if proxy.endpoint.is_tls() {
            Box::new(shake_hands(&self.proxy_tls, &proxy.endpoint, Box::new(tcp)).await?)
        } else {
            Box::new(tcp)
        };
        progress.set(Step::Proxy);
        let to = endpoint.host_and_port();
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(io))
            .await?;
        let mut driver = Driver::new(connection.with_upgrades());
        let mut request = http::Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = to.parse::<Uri>().map_err(NoTunnel::for_good)?;
        let host = HeaderValue::from_str(&to).map_err(NoTunnel::for_good)?;
        request.headers_mut().insert(HOST, host);
        if let Some(authorization) = &proxy.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let answer = sender.send_request(request);
        let answer = driver.run(answer).await?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                return Err(NoTunnel::for_good(match proxy.authorization {
                    None => "it wants credentials (407): put user:password@ into the proxy's URL",
                    Some(_) => "it refuses the credentials in its URL (407); it must take Basic",
                }));
            }
            status => {
                return Err(NoTunnel {
                    reason: format!("it answered {status}; does it allow CONNECT to {to}?"),
                    transient: status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
                });
            }
        }
        let upgraded = driver.run(hyper::upgrade::on(answer)).await?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }
}

/// Why a proxy gave no tunnel.
struct NoTunnel {
    reason: String,
    transient: bool,
}

impl NoTunnel {
    fn for_good(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), transient: false }
    }
}

impl From<TransportError> for NoTunnel {
    fn from(e: TransportError) -> Self {
        Self { transient: e.is_transient(), reason: e.to_string() }
    }
}

impl From<hyper::Error> for NoTunnel {
    fn from(e: hyper::Error) -> Self {
        Self { transient: !e.is_parse(), reason: e.to_string() }
    }
}

/// TLS on a stream, with the name of `endpoint`.
pub(crate) async fn shake_hands(
    config: &Arc<ClientConfig>,
    endpoint: &Endpoint,
    io: BoxIo,
) -> Result<TlsStream<BoxIo>, TransportError> {
    let host = || endpoint.authority();
    let name = ServerName::try_from(endpoint.tls_name().to_owned())
        .map_err(|e| TransportError::config("host", e.to_string()))?;
    let stream = TlsConnector::from(config.clone())
        .connect(name, io)
        .await
        .map_err(|e| TransportError::handshake(&host(), &e))?;
    let session = stream.get_ref().1;
    tracing::debug!(
        host = host(),
        version = ?session.protocol_version(),
        group = ?session.negotiated_key_exchange_group().map(|g| g.name()),
        handshake = ?session.handshake_kind(),
        "TLS handshake done"
    );
    Ok(stream)
}

/// A connection to a Unix socket.
#[cfg(unix)]
async fn unix(
    path: &Path,
    endpoint: &Endpoint,
    progress: &Progress,
) -> Result<BoxIo, TransportError> {
    progress.set(Step::Connect);
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| TransportError::Connect { host: endpoint.label(), source })?;
    Ok(Box::new(stream))
}

#[cfg(not(unix))]
async fn unix(_: &Path, endpoint: &Endpoint, progress: &Progress) -> Result<BoxIo, TransportError> {
    progress.set(Step::Connect);
    Err(TransportError::Connect {
        host: endpoint.label(),
        source: io::ErrorKind::Unsupported.into(),
    })
}

/// A TCP connection to an endpoint.
async fn dial(endpoint: &Endpoint, progress: &Progress) -> Result<TcpStream, TransportError> {
    progress.set(Step::Resolve);
    let host = endpoint.authority();
    let resolve = |source| TransportError::Resolve { host: host.clone(), source };
    let found = lookup_host(endpoint.address()).await.map_err(resolve)?;
    // `localhost` is this machine by its name; a hosts file may say otherwise.
    let addresses: Vec<_> = found
        .filter(|a| endpoint.is_tls() || a.ip().is_loopback() || !endpoint.is_loopback())
        .collect();
    if addresses.is_empty() {
        return Err(resolve(io::ErrorKind::NotFound.into()));
    }
    progress.set(Step::Connect);
    let connect = |source| TransportError::Connect { host: endpoint.host_and_port(), source };
    let stream = match addresses[..] {
        [address] => TcpStream::connect(address).await,
        _ => race(interleave(addresses)).await,
    };
    let stream = stream.map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    tracing::debug!(host, "connected");
    Ok(stream)
}

/// Both families in turn, the one that the system prefers first (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut all = Vec::new();
    for address in first {
        all.push(address);
        all.extend(second.next());
    }
    all.extend(second);
    all
}

/// The first connection of several, each begun when the one before it fails or takes too long.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut rest = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut last = io::ErrorKind::NotFound.into();
    loop {
        if let Some(address) = rest.next() {
            running.spawn(TcpStream::connect(address));
        }
        let next = match rest.len() {
            0 => running.join_next().await,
            _ => match timeout(NEXT_ADDRESS_AFTER, running.join_next()).await {
                Ok(next) => next,
                Err(_) => continue,
            },
        };
        match next {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(e))) => last = e,
            Some(Err(e)) => last = io::Error::other(e),
            None => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use tokio::net::TcpListener;

    #[test]
    fn families_take_turns() {
        let v6 = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let v4 = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let sorted = interleave(vec![v6(1), v6(2), v6(3), v4(4), v4(5)]);
        assert_eq!(sorted, [v6(1), v4(4), v6(2), v4(5), v6(3)]);
        assert_eq!(interleave(vec![v4(1), v6(2), v6(3)]), [v4(1), v6(2), v6(3)]);
    }

    #[tokio::test]
    async fn a_refused_or_silent_address_does_not_hold_up_the_next() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let good = listener.local_addr().unwrap();
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        // TEST-NET-1 (RFC 5737): no answer, or unreachable at once.
        let silent = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
        let stream = timeout(Duration::from_secs(5), race(vec![gone, silent, good])).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), good);
        let refused = race(vec![gone, gone]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
