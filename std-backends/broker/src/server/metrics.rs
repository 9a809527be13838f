//! Metrics, in the text format of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the histograms, in seconds.
const BOUNDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Everything that is counted. The labels are words of the program's own, never a client's.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) accepted: AtomicU64,
    pub(super) records_failed: AtomicU64,
    pub(super) secrets_given: AtomicU64,
    pub(super) decision: Histogram,
    pub(super) give: Histogram,
    pub(super) handshake: Histogram,
    /// By reason.
    closed: Labelled<1>,
    /// By endpoint and outcome.
    requests: Labelled<2>,
    /// By result.
    reloads: Labelled<1>,
}

/// What is measured when somebody asks.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    pub(super) connections: u32,
    pub(super) ready: bool,
    /// The end of the server's certificate, in seconds since 1970.
    pub(super) certificate_end: u64,
    /// When the configuration in force was loaded, in seconds since 1970.
    pub(super) loaded: u64,
    /// How old the keys of each issuer are.
    pub(super) keys: BTreeMap<String, Duration>,
}

impl Metrics {
    /// A connection that was closed before its first request.
    pub(super) fn closed(&self, reason: &'static str) {
        self.closed.add([reason]);
    }

    pub(super) fn request(&self, endpoint: &'static str, outcome: &'static str) {
        self.requests.add([endpoint, outcome]);
    }

    pub(super) fn reload(&self, result: &'static str) {
        self.reloads.add([result]);
    }

    pub(super) fn text(&self, gauges: Gauges) -> String {
        let mut text = Text(String::with_capacity(4096));
        let accepted = self.accepted.load(Ordering::Relaxed);
        text.one("connections_accepted_total", "counter", "Connections accepted.", accepted);
        text.one("connections", "gauge", "Connections open now.", gauges.connections.into());
        text.labelled(
            "connections_closed_early_total",
            "Connections closed before their first request, by reason.",
            ["reason"],
            &self.closed,
        );
        text.labelled(
            "requests_total",
            "Requests, by endpoint and outcome.",
            ["endpoint", "outcome"],
            &self.requests,
        );
        text.histogram("handshake_seconds", "TLS handshakes.", &self.handshake);
        text.histogram("decision_seconds", "Verification and policy.", &self.decision);
        text.histogram("give_seconds", "What the cloud took to give a credential.", &self.give);
        let given = self.secrets_given.load(Ordering::Relaxed);
        text.one("secrets_given_total", "counter", "Secrets in deliveries.", given);
        let failed = self.records_failed.load(Ordering::Relaxed);
        text.one("records_failed_total", "counter", "Decision records not written.", failed);
        text.labelled("reloads_total", "Reloads, by result.", ["result"], &self.reloads);
        text.one("ready", "gauge", "1 when requests can be decided.", gauges.ready.into());
        text.one(
            "config_loaded_timestamp_seconds",
            "gauge",
            "When the configuration in force was loaded.",
            gauges.loaded,
        );
        text.one(
            "certificate_not_after_timestamp_seconds",
            "gauge",
            "The end of the server's certificate.",
            gauges.certificate_end,
        );
        text.head("issuer_keys_age_seconds", "gauge", "How old the fetched keys of an issuer are.");
        for (issuer, age) in gauges.keys {
            // The name is the operator's own; it may hold anything all the same.
            let issuer = issuer.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let line = format!("issuer_keys_age_seconds{{issuer=\"{issuer}\"}} {}", age.as_secs());
            let _ = writeln!(text.0, "cloudauth_broker_{line}");
        }
        text.0
    }
}

/// Counters told apart by labels.
#[derive(Debug)]
struct Labelled<const N: usize>(Mutex<BTreeMap<[&'static str; N], u64>>);

impl<const N: usize> Default for Labelled<N> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<const N: usize> Labelled<N> {
    fn add(&self, labels: [&'static str; N]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(labels).or_default();
        *count = count.saturating_add(1);
    }
}

/// How long something took.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One for each bound, and one for what is beyond.
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    pub(super) fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().take_while(|bound| seconds > **bound).count();
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Writing into a `String` cannot fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP cloudauth_broker_{name} {help}");
        let _ = writeln!(self.0, "# TYPE cloudauth_broker_{name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "cloudauth_broker_{name} {value}");
    }

    fn labelled<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        names: [&str; N],
        counters: &Labelled<N>,
    ) {
        self.head(name, "counter", help);
        for (values, count) in &*counters.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let labels: Vec<_> = names
                .iter()
                .zip(values)
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            let _ = writeln!(self.0, "cloudauth_broker_{name}{{{}}} {count}", labels.join(","));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut sum = 0;
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            sum += count.load(Ordering::Relaxed);
            let _ = writeln!(self.0, "cloudauth_broker_{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let seconds = Duration::from_micros(histogram.microseconds.load(Ordering::Relaxed));
        let _ = writeln!(self.0, "cloudauth_broker_{name}_sum {}", seconds.as_secs_f64());
        let _ = writeln!(self.0, "cloudauth_broker_{name}_count {sum}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_format() {
        let metrics = Metrics::default();
        metrics.request("credentials", "granted");
        metrics.request("credentials", "granted");
        metrics.request("credentials", "denied");
        metrics.closed("handshake");
        metrics.decision.add(Duration::from_micros(700));
        metrics.decision.add(Duration::from_secs(60));
        let keys = BTreeMap::from([("a\"b".to_owned(), Duration::from_secs(61))]);
        let gauges = Gauges { connections: 7, ready: true, certificate_end: 9, loaded: 8, keys };
        let text = metrics.text(gauges);
        for line in [
            "# TYPE cloudauth_broker_requests_total counter",
            "cloudauth_broker_requests_total{endpoint=\"credentials\",outcome=\"granted\"} 2",
            "cloudauth_broker_requests_total{endpoint=\"credentials\",outcome=\"denied\"} 1",
            "cloudauth_broker_connections_closed_early_total{reason=\"handshake\"} 1",
            "cloudauth_broker_connections 7",
            "cloudauth_broker_decision_seconds_bucket{le=\"0.0005\"} 0",
            "cloudauth_broker_decision_seconds_bucket{le=\"0.001\"} 1",
            "cloudauth_broker_decision_seconds_bucket{le=\"5\"} 1",
            "cloudauth_broker_decision_seconds_bucket{le=\"+Inf\"} 2",
            "cloudauth_broker_decision_seconds_sum 60.0007",
            "cloudauth_broker_decision_seconds_count 2",
            "cloudauth_broker_ready 1",
            "cloudauth_broker_issuer_keys_age_seconds{issuer=\"a\\\"b\"} 61",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
    }
}
