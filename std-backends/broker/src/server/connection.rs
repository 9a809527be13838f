//! One connection: from the accepted stream to its last answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cloudauth_tls::AcceptError;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::api::Caller;
use super::rate::network;
use super::stall::Stalling;
use super::{Kind, Phase, Shared, Snapshot, proxy_protocol};
use crate::config::server::seconds;

/// However busy it is, a connection ends after this: those who balance connections want to move them.
const LIFE: Duration = Duration::from_secs(3600);
/// A connection ends when its client has taken nothing of an answer for so long.
const STALLED: Duration = Duration::from_secs(10);
/// What the last request of a connection has beside the time for its body and for the decision: its record is waited
/// for, and its answer is sent.
const LAST: Duration = Duration::from_secs(20);
/// How long, after the last answer, what is still coming is read and dropped: a peer that is cut off while it sends
/// loses the answer.
const LINGER: Duration = Duration::from_secs(2);
/// And how much of it.
const LINGER_OCTETS: u64 = 4 << 20;

/// How many connections there are, of all clients and of each.
#[derive(Debug, Default)]
pub(super) struct Count {
    of: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    each: HashMap<IpAddr, u32>,
}

impl Count {
    pub(super) fn all(&self) -> u32 {
        self.lock().all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the count.
struct Place {
    shared: Arc<Shared>,
    network: Option<IpAddr>,
}

impl Place {
    /// A place among `most`.
    fn new(shared: &Arc<Shared>, most: u32) -> Option<Self> {
        let mut counts = shared.count.lock();
        counts.all = counts.all.checked_add(1).filter(|all| *all <= most)?;
        Some(Self { shared: shared.clone(), network: None })
    }

    /// And one among the `most` of this client.
    fn of(&mut self, network: IpAddr, most: u32) -> bool {
        let mut counts = self.shared.count.lock();
        let count = counts.each.entry(network).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        self.network = Some(network);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.shared.count.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(network) = self.network
            && let Some(count) = counts.each.get_mut(&network)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.each.remove(&network);
            }
        }
    }
}

/// Serves a connection until it ends, or until the server does.
pub(super) async fn serve(tcp: TcpStream, peer: SocketAddr, kind: Kind, shared: Arc<Shared>) {
    let mut phase = shared.phase.subscribe();
    let serving = pin!(run(tcp, peer, kind, &shared));
    tokio::select! {
        ended = serving => {
            if let Err(reason) = ended {
                shared.metrics.closed(reason);
            }
        }
        _ = phase.wait_for(|phase| *phase == Phase::Ended) => {}
    }
}

/// The error is the reason for which a connection was closed before its first request.
async fn run(
    mut tcp: TcpStream,
    peer: SocketAddr,
    kind: Kind,
    shared: &Arc<Shared>,
) -> Result<(), &'static str> {
    let snapshot = shared.snapshot();
    let limits = &snapshot.config.server.limits;
    let Some(mut place) = Place::new(shared, limits.connections.get()) else {
        return Err("too_many");
    };
    // Answers are small: nothing is gained by waiting for more of them.
    let _ = tcp.set_nodelay(true);
    let reading = client_address(&mut tcp, peer, &snapshot);
    let address = match timeout(seconds(limits.handshake_seconds), reading).await {
        Ok(Ok(address)) => address,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "connection refused");
            return Err("proxy_header");
        }
        Err(_) => return Err("proxy_header"),
    };
    let network = network(address);
    if !place.of(network, limits.connections_per_address.get()) {
        return Err("too_many_of_one");
    }
    if shared.connection_rate.take(network, snapshot.config.server.rates.connections).is_err() {
        return Err("too_often");
    }
    let acceptor = match kind {
        Kind::V1 => &snapshot.v1,
        Kind::Compatibility { .. } => &snapshot.compatibility,
    };
    let mut phase = shared.phase.subscribe();
    let began = Instant::now();
    let accepted = tokio::select! {
        accepted = acceptor.accept(tcp) => accepted,
        _ = phase.wait_for(|phase| *phase != Phase::Running) => return Err("draining"),
    };
    let (stream, session) = match accepted {
        Ok(accepted) => accepted,
        Err(AcceptError::TimedOut(_)) => return Err("handshake_timeout"),
        Err(error) => {
            tracing::debug!(%peer, %error, "connection refused");
            return Err("handshake");
        }
    };
    shared.metrics.handshake.add(began.elapsed());
    let form = Form {
        head: usize::try_from(limits.head_octets.get()).unwrap_or(usize::MAX),
        idle: seconds(limits.idle_seconds),
        last: seconds(limits.body_seconds) + seconds(limits.decision_seconds) + LAST,
        until: Phase::Draining,
    };
    let caller = Caller::new(shared.clone(), kind, session, address, limits);
    // Other connections' memory is worth more than this one's snapshot, which a reload may have replaced.
    drop(snapshot);
    let service = |request| {
        let caller = caller.clone();
        Box::pin(async move { Ok::<_, Infallible>(caller.answer(request).await) })
    };
    http(stream, service, form, &mut phase).await;
    Ok(())
}

/// The limits of hyper.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The most octets of a head.
    pub(super) head: usize,
    /// From the end of one answer to the end of the next head.
    pub(super) idle: Duration,
    /// How long a request in flight has when it is the last. Then the connection is cut off.
    pub(super) last: Duration,
    /// Once the server is so far, a request in flight is the last.
    pub(super) until: Phase,
}

/// HTTP/1.1 on a stream, until it ends.
pub(super) async fn http<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: impl Fn(http::Request<Incoming>) -> F + Unpin,
    form: Form,
    phase: &mut watch::Receiver<Phase>,
) where
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Unpin,
{
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(form.idle)
        .max_header_size(form.head)
        // hyper wants no less; the body is within it too, so that it comes in one piece.
        .max_buf_size(form.head.max(16 << 10))
        .serve_connection(TokioIo::new(Stalling::new(stream, STALLED)), service_fn(service));
    let ended = {
        let mut end = pin!(tokio::time::sleep(LIFE));
        let mut closing = false;
        loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                _ = phase.wait_for(|phase| *phase >= form.until), if !closing => {}
                () = &mut end => if closing {
                    tracing::debug!("connection: its last request has taken too long");
                    return;
                }
            }
            closing = true;
            end.as_mut().reset(Instant::now() + form.last);
            std::pin::Pin::new(&mut connection).graceful_shutdown();
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection");
    }
    linger(connection.into_parts().io.into_inner().into_inner()).await;
}

/// Says that nothing more is sent, then reads what comes for a moment.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let reading = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_OCTETS), &mut tokio::io::sink()).await
    };
    let _ = timeout(LINGER, reading).await;
}

/// Whose connection it is.
async fn client_address(
    tcp: &mut TcpStream,
    peer: SocketAddr,
    snapshot: &Snapshot,
) -> Result<IpAddr, proxy_protocol::ProxyError> {
    let peer = peer.ip().to_canonical();
    let balancers = &snapshot.config.server.proxy_protocol_from;
    if !balancers.iter().any(|network| network.contains(&peer)) {
        return Ok(peer);
    }
    Ok(proxy_protocol::read(tcp).await?.unwrap_or(peer))
}

/// Takes connections until the server drains.
pub(super) async fn accept(listener: tokio::net::TcpListener, kind: Kind, shared: Arc<Shared>) {
    let mut phase = shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Running) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                shared.metrics.accepted.fetch_add(1, Ordering::Relaxed);
                let (kind, shared) = (kind.clone(), shared.clone());
                let alive = shared.alive();
                tokio::spawn(async move {
                    serve(tcp, peer, kind, shared).await;
                    drop(alive);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                // Out of file descriptors: wait for some to be closed.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    const FORM: Form = Form {
        head: 16 << 10,
        idle: Duration::from_secs(60),
        last: Duration::from_secs(50),
        until: Phase::Draining,
    };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// How many seconds a connection lasts, whose answers take `each`; `requests` are sent at once.
    async fn lasts(requests: usize, each: Duration, drained: Option<Duration>) -> u64 {
        let (ours, mut theirs) = duplex(4096);
        let phase = watch::Sender::new(Phase::Running);
        let mut told = phase.subscribe();
        let service = |_| {
            Box::pin(async move {
                tokio::time::sleep(each).await;
                Ok(Response::new(Full::from(vec![b'x'; 1000])))
            })
        };
        theirs.write_all(&REQUEST.repeat(requests)).await.unwrap();
        let began = Instant::now();
        let draining = async {
            if let Some(after) = drained {
                tokio::time::sleep(after).await;
                phase.send_replace(Phase::Draining);
            }
        };
        tokio::join!(http(ours, service, FORM, &mut told), draining);
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_lasts_for_ever() {
        let second = Duration::from_secs(1);
        // A client that reads nothing: four answers fit in.
        assert_eq!(lasts(50, Duration::ZERO, None).await, 12);
        // An answer that never comes, when the connection ages and when the server drains.
        assert_eq!(lasts(1, 10_000 * second, None).await, 3650);
        assert_eq!(lasts(1, 10_000 * second, Some(5 * second)).await, 55);
        // The last answer is waited for.
        assert_eq!(lasts(2, 40 * second, Some(5 * second)).await, 42);
    }
}
