//! One request and its answer on a stream, within limits.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use cloudauth_core::ResponseHead;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::connect::BoxIo;
use crate::{Step, TransportError};

/// The largest head of an answer, in octets.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// The limits of a transport.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) read: Duration,
    pub(crate) total: Duration,
    /// In octets.
    pub(crate) body: usize,
}

/// When a call ends, and why.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    total: Duration,
}

impl Deadline {
    pub(crate) fn new(total: Duration) -> Self {
        Self { at: Instant::now() + total, total }
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Runs a step for at most `limit`, and not past the end of the call.
    pub(crate) async fn limit<F: Future>(
        &self,
        limit: Duration,
        host: &str,
        step: impl FnOnce() -> Step,
        future: F,
    ) -> Result<F::Output, TransportError> {
        let own = Instant::now() + limit;
        let (at, limit) = if own < self.at { (own, limit) } else { (self.at, self.total) };
        timeout_at(at, future).await.map_err(|_| TransportError::TimedOut {
            host: host.to_owned(),
            step: step(),
            limit,
        })
    }

    /// Runs a step until the end of the call.
    pub(crate) async fn whole<F: Future>(
        &self,
        host: &str,
        step: Step,
        future: F,
    ) -> Result<F::Output, TransportError> {
        self.limit(self.total, host, || step, future).await
    }
}

/// Polls a connection beside whatever waits for it, so that no task of its own is needed: what is dropped
/// is closed.
pub(crate) struct Driver<C>(Option<C>);

impl<C: Future + Unpin> Driver<C> {
    pub(crate) const fn new(connection: C) -> Self {
        Self(Some(connection))
    }

    /// Polls both until `future` is ready. The connection's own end shows in `future`.
    pub(crate) async fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && Pin::new(connection).poll(cx).is_ready()
        {
            self.0 = None;
        }
    }
}

/// An HTTP/1.1 connection.
pub(crate) struct Http {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver<Connection<TokioIo<BoxIo>, Full<Bytes>>>,
}

/// An answer, as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Gives head and body to `read`. Header values that are not visible ASCII are left out.
    pub(crate) fn read<T>(
        &mut self,
        read: impl for<'b> FnOnce(&ResponseHead<'b>, &'b mut [u8]) -> T,
    ) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        read(&ResponseHead { status: self.status, headers: &headers }, &mut self.body)
    }

    pub(crate) fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn header_named(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    pub(crate) async fn new(io: BoxIo, host: &str) -> Result<Self, TransportError> {
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|e| TransportError::http(host, &e, HEAD_LIMIT))?;
        Ok(Self { sender, driver: Driver::new(connection) })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        request: http::Request<Full<Bytes>>,
        host: &str,
        limits: &Limits,
        deadline: Deadline,
    ) -> Result<Answer, TransportError> {
        let failed = |e| TransportError::http(host, &e, HEAD_LIMIT);
        let Self { sender, driver } = self;
        driver.run(sender.ready()).await.map_err(failed)?;
        let answer = driver.run(sender.send_request(request));
        let answer = deadline.limit(limits.read, host, || Step::Answer, answer).await?;
        let (head, mut body) = answer.map_err(failed)?.into_parts();
        let too_large =
            |part, limit| TransportError::TooLarge { host: host.to_owned(), part, limit };
        // hyper's own limit bounds what it holds, which may be twice that.
        let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        if lines.sum::<usize>() > HEAD_LIMIT {
            return Err(too_large("head", HEAD_LIMIT));
        }
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limits.body {
            return Err(too_large("body", limits.body));
        }
        let mut octets = Zeroizing::new(Vec::with_capacity(announced));
        while let Some(data) = self.data(&mut body, host, limits, deadline).await? {
            if data.len() > limits.body - octets.len() {
                return Err(too_large("body", limits.body));
            }
            append(&mut octets, &data);
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: octets })
    }

    /// The next octets of a body.
    async fn data(
        &mut self,
        body: &mut Incoming,
        host: &str,
        limits: &Limits,
        deadline: Deadline,
    ) -> Result<Option<Bytes>, TransportError> {
        let frame = self.driver.run(body.frame());
        match deadline.limit(limits.read, host, || Step::Body, frame).await? {
            None => Ok(None),
            // Trailers are of no interest.
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(e)) => Err(TransportError::http(host, &e, HEAD_LIMIT)),
        }
    }

    /// Says goodbye, as far as that goes without waiting.
    pub(crate) fn close(self) {
        let Self { sender, mut driver } = self;
        drop(sender);
        driver.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether another request can be sent.
    pub(crate) fn is_open(&mut self) -> bool {
        self.driver.poll(&mut Context::from_waker(Waker::noop()));
        self.driver.0.is_some() && !self.sender.is_closed()
    }
}

/// Appends, and wipes what is left behind when the octets move.
fn append(to: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let len = to.len() + data.len();
    if len > to.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(len.max(2 * to.capacity())));
        larger.extend_from_slice(to);
        *to = larger;
    }
    to.extend_from_slice(data);
}
