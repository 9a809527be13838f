//! What is counted, in the text format of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), and the listener that shows it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::CliError;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The most octets of one.
const MAX_REQUEST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) renewed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) changed: AtomicU64,
    /// In seconds since 1970.
    pub(super) lease_end: AtomicU64,
    pub(super) last: AtomicU64,
    pub(super) ended: AtomicBool,
    pub(super) stale_environment: AtomicBool,
    /// The command was told to end, because the lease had; this is not shown.
    pub(super) stopped: AtomicBool,
}

impl Metrics {
    fn text(&self) -> String {
        let number = |number: &AtomicU64| number.load(Relaxed);
        let flag = |flag: &AtomicBool| u64::from(flag.load(Relaxed));
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
            let name = format!("cloudauth_run_{name}");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (labels, value) in samples {
                text.push_str(&format!("{name}{labels} {value}\n"));
            }
        };
        let outcomes = [
            ("{outcome=\"renewed\"}", number(&self.renewed)),
            ("{outcome=\"failed\"}", number(&self.failed)),
        ];
        metric("renewals_total", "counter", "Renewals of the secrets, by outcome.", &outcomes);
        metric(
            "changes_total",
            "counter",
            "Renewals that brought other files.",
            &[("", number(&self.changed))],
        );
        metric(
            "lease_end_timestamp_seconds",
            "gauge",
            "When the lease of the secrets ends.",
            &[("", number(&self.lease_end))],
        );
        metric(
            "last_delivery_timestamp_seconds",
            "gauge",
            "When the broker last delivered.",
            &[("", number(&self.last))],
        );
        metric(
            "lease_ended",
            "gauge",
            "1 when the lease has ended without a renewal.",
            &[("", flag(&self.ended))],
        );
        metric(
            "environment_stale",
            "gauge",
            "1 when a secret in the environment of the command has changed since.",
            &[("", flag(&self.stale_environment))],
        );
        text
    }

    /// Shows them from now on to whoever asks at an address: there is no secret in them.
    pub(super) fn serve(self: &Arc<Self>, address: SocketAddr) -> Result<(), CliError> {
        let failed = |e| CliError::input(format_args!("renewal.metrics-listen {address}"), e);
        let listener = TcpListener::bind(address).map_err(failed)?;
        let metrics = self.clone();
        // One at a time, each with a limit: a command's own threads are not to be many.
        let forever = move || {
            loop {
                match listener.accept() {
                    // Whoever does not ask gets nothing.
                    Ok((client, _)) => drop(metrics.answer(client)),
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        };
        let thread = thread::Builder::new().name("metrics".to_owned());
        thread.spawn(forever).map(drop).map_err(failed)
    }

    fn answer(&self, mut client: TcpStream) -> std::io::Result<()> {
        let end = Instant::now() + LIMIT;
        client.set_write_timeout(Some(LIMIT))?;
        let mut request = Vec::with_capacity(MAX_REQUEST);
        let mut buf = [0; 1024];
        while !request.windows(4).any(|four| four == b"\r\n\r\n") {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || request.len() >= MAX_REQUEST {
                return Ok(());
            }
            client.set_read_timeout(Some(left))?;
            match client.read(&mut buf)? {
                0 => return Ok(()),
                n => request.extend_from_slice(buf.get(..n).unwrap_or_default()),
            }
        }
        let target =
            request.strip_prefix(b"GET ").and_then(|rest| rest.split(|c| *c == b' ').next());
        let (status, kind, body) = match target {
            Some(b"/metrics") => ("200 OK", "text/plain; version=0.0.4", self.text()),
            Some(_) => ("404 Not Found", "text/plain", "/metrics is here\n".to_owned()),
            None => ("405 Method Not Allowed", "text/plain", "GET only\n".to_owned()),
        };
        let len = body.len();
        client.write_all(
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\
                 Connection: close\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }
}
