//! The plain listener: health, readiness, metrics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::connection::{Form, http};
use super::metrics::Gauges;
use super::{Phase, Shared};

/// How many may look at once.
const CONNECTIONS: usize = 32;
const FORM: Form = Form {
    head: 16 << 10,
    idle: Duration::from_secs(30),
    last: Duration::from_secs(5),
    until: Phase::Ended,
};

/// Answers as long as there is a server, also while it drains.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut phase = shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            serve(tcp, peer, &shared).await;
            drop(place);
        });
    }
}

async fn serve(tcp: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    tracing::trace!(%peer, "plain connection");
    let mut phase = shared.phase.subscribe();
    let mut ended = shared.phase.subscribe();
    let service = |request| Box::pin(async move { Ok::<_, Infallible>(answer(&request, shared)) });
    tokio::select! {
        () = http(tcp, service, FORM, &mut phase) => {}
        _ = ended.wait_for(|phase| *phase == Phase::Ended) => {}
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let text = |status, text: String| super::http::response(status, TEXT, text.into());
    if !request.body().is_end_stream() {
        let mut response = text(StatusCode::BAD_REQUEST, "no body\n".to_owned());
        super::http::close(response.headers_mut());
        return response;
    }
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
    }
    let ready = shared.ready();
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match ready {
            Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        "/metrics" => {
            let snapshot = shared.snapshot();
            let metrics = shared.metrics.text(Gauges {
                connections: shared.count.all(),
                ready: ready.is_ok(),
                certificate_end: snapshot.certificate_end.as_secs(),
                loaded: snapshot.loaded.as_secs(),
                keys: snapshot.key_sets.ages(),
            });
            super::http::response(StatusCode::OK, "text/plain; version=0.0.4", metrics.into())
        }
        _ => text(StatusCode::NOT_FOUND, "there is nothing here\n".to_owned()),
    }
}
