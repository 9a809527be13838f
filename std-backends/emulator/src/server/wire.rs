//! What faults do to bodies and connections.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// The body of an answer: all of it, or half of what its length promises and then an error.
pub(super) struct Answer {
    data: Option<Bytes>,
    /// What its length header says; None where it has none and comes in chunks.
    length: Option<u64>,
    /// Set where it breaks off: the time in which the half is sent.
    broken: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    pub(super) fn whole(data: Bytes) -> Self {
        Self { length: Some(length(&data)), data: Some(data), broken: None }
    }

    /// The same without a length: in two chunks at least.
    pub(super) fn chunked(mut self) -> Self {
        self.length = None;
        self
    }

    pub(super) fn half(mut data: Bytes) -> Self {
        let length = Some(length(&data).max(1));
        data.truncate(data.len() / 2);
        let broken = Some(Box::pin(sleep(Duration::from_millis(50))));
        Self { length, data: Some(data), broken }
    }
}

fn length(data: &Bytes) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(mut data) = self.data.take().filter(|data| !data.is_empty()) {
            if self.length.is_none() && data.len() > 1 {
                self.data = Some(data.split_off(data.len() / 2));
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.broken {
            Some(pause) => pause
                .as_mut()
                .poll(cx)
                .map(|()| Some(Err(io::Error::other("truncated, as a fault asked for")))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.data.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// A connection that ends with a TCP reset once it is told to.
pub(super) struct Resettable {
    pub(super) stream: TcpStream,
    pub(super) reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
