//! The secrets while the command runs: renewed, replaced, told of, and ended.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use cloudauth_client::Secrets;
use cloudauth_core::UnixTime;
use cloudauth_core::digest::sha256;
use rustix::process::Signal;
use zeroize::Zeroizing;

use super::config::{AtEnd, Renewal};
use super::files::Files;
use super::lease::{Lease, Moment, life};
use super::metrics::Metrics;
use super::template::{Bundle, Template};
use crate::child::Signals;
use crate::error::CliError;
use crate::live::rfc3339;
use crate::log::Log;
use crate::worker::Stopped;

/// At most this long nothing is looked at: a jump of the clock is seen.
const LOOK: Duration = Duration::from_secs(5);

/// After a jump of the clock that ended the lease, this long the last attempt may take.
const LAST: Duration = Duration::from_secs(10);

/// How long after it was said that renewing fails it is said again, though nothing has changed.
const AGAIN: Duration = Duration::from_secs(3600);

/// Attests, and gets the secrets anew, within this time where one is given.
pub(super) type Fetch = Box<dyn Fn(Option<Duration>) -> Result<Secrets, CliError> + Send>;

/// What a delivery is compared with: hashes, which are wiped as what they are of.
type Hash = Zeroizing<[u8; 32]>;

/// What a delivery becomes.
pub(super) struct Target {
    pub(super) environment: Vec<(std::ffi::OsString, Template)>,
    pub(super) content: Vec<(std::path::PathBuf, Template)>,
    pub(super) files: Files,
}

/// A delivery, in the words of the configuration.
pub(super) struct Rendered {
    pub(super) environment: Vec<Zeroizing<Vec<u8>>>,
    content: Vec<Zeroizing<Vec<u8>>>,
}

/// What was delivered last.
struct Present {
    environment: Vec<Hash>,
    content: Vec<Hash>,
}

impl Target {
    pub(super) fn render(&self, bundle: &Bundle) -> Result<Rendered, CliError> {
        let environment = self.environment.iter().map(|(name, template)| {
            template
                .render(bundle)
                .map_err(|why| CliError::input(format_args!("environment {name:?}"), why))
        });
        let content = self.content.iter().map(|(path, template)| {
            template
                .render(bundle)
                .map_err(|why| CliError::input(format_args!("files.content {path:?}"), why))
        });
        Ok(Rendered {
            environment: environment.collect::<Result<_, _>>()?,
            content: content.collect::<Result<_, _>>()?,
        })
    }

    /// Writes all files.
    pub(super) fn write(&self, rendered: &Rendered) -> Result<(), CliError> {
        let all: Vec<_> = rendered.content.iter().enumerate().collect();
        self.files.replace(&all)
    }
}

impl Rendered {
    fn present(&self) -> Present {
        let hashes = |texts: &[Zeroizing<Vec<u8>>]| {
            texts.iter().map(|text| Zeroizing::new(sha256(text))).collect()
        };
        Present { environment: hashes(&self.environment), content: hashes(&self.content) }
    }
}

/// All that goes on beside the command.
pub(super) struct Keeper {
    fetch: Fetch,
    target: Target,
    renewal: Renewal,
    signals: Signals,
    metrics: Arc<Metrics>,
    /// Nobody who does not read it holds up the end of a lease.
    log: Log,
    /// Why the last renewal failed, and when that was said.
    said: Option<(String, Instant)>,
    present: Present,
    lease: Lease,
    /// When that ends, in the broker's time.
    expiration: UnixTime,
    end: End,
}

/// What has become of a lease that ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// It was told, and the files are there as before.
    Told,
    Wiped,
    /// The command was told to end, and is killed then; `None` when it was.
    Stopping(Option<Instant>),
}

impl Keeper {
    pub(super) fn new(
        fetch: Fetch,
        target: Target,
        renewal: Renewal,
        signals: Signals,
        (metrics, log): (Arc<Metrics>, Log),
        (rendered, secrets, asked): (&Rendered, &Secrets, Moment),
    ) -> Self {
        let lease = Lease::new(asked, life(secrets, asked));
        let present = rendered.present();
        let (expiration, end) = (secrets.expiration, End::NotYet);
        let keeper = Self {
            fetch,
            target,
            renewal,
            signals,
            metrics,
            log,
            said: None,
            present,
            lease,
            expiration,
            end,
        };
        keeper.tell_lease();
        keeper
    }

    /// Until the command has ended.
    pub(super) fn work(mut self, stopped: &Stopped) {
        while !stopped.within(self.pause()) {
            self.look();
        }
    }

    fn pause(&self) -> Duration {
        match self.end {
            End::Stopping(Some(kill)) => kill.saturating_duration_since(Instant::now()).min(LOOK),
            End::Stopping(None) => LOOK,
            _ => self.lease.pause(Moment::now(), LOOK),
        }
    }

    fn look(&mut self) {
        if let End::Stopping(kill) = self.end {
            if kill.is_some_and(|kill| Instant::now() >= kill) {
                self.signals.send(Signal::KILL);
                self.end = End::Stopping(None);
                self.warn("the command did not end; it is killed");
            }
            return;
        }
        if self.lease.is_due(Moment::now()) {
            match self.renew() {
                Ok(()) => {}
                Err(e) => self.failed(&e),
            }
        }
        // After a last attempt: a clock that jumped may have ended it just now.
        if self.end == End::NotYet && self.lease.left(Moment::now()) == 0 {
            self.ended();
        }
    }

    fn renew(&mut self) -> Result<(), CliError> {
        let asked = Moment::now();
        let secrets = {
            // The attestation may come from a command, which is waited for in its own place.
            let _own = self.signals.own_children();
            (self.fetch)(self.limit())
        };
        self.signals.reap();
        let secrets = secrets?;
        let rendered = self.target.render(&secrets.bundle)?;
        let next = rendered.present();
        let changed: Vec<_> = rendered
            .content
            .iter()
            .enumerate()
            .zip(next.content.iter().zip(&self.present.content))
            .filter(|(_, (new, old))| new != old || self.end == End::Wiped)
            .map(|(file, _)| file)
            .collect();
        self.target.files.replace(&changed)?;
        self.metrics.renewed.fetch_add(1, Relaxed);
        if self.lease.failures() > 0 || self.end != End::NotYet {
            self.log.line("cloudauth: the secrets are renewed again");
        }
        self.lease = self.lease.renewed(asked, life(&secrets, asked));
        self.expiration = secrets.expiration;
        self.end = End::NotYet;
        self.said = None;
        self.tell_lease();
        // The environment stays that of the start, to which each delivery is compared.
        let stale = next.environment != self.present.environment;
        if !self.metrics.stale_environment.swap(stale, Relaxed) && stale {
            self.warn(
                "a secret in the environment of the command has changed; the command sees it when it is started again",
            );
        }
        self.present.content = next.content;
        if !changed.is_empty() {
            self.metrics.changed.fetch_add(1, Relaxed);
            if let Some(signal) = self.renewal.on_change {
                self.signals.send(signal);
            }
        }
        Ok(())
    }

    /// How long an attempt may take: what is done when the lease ends does not wait for it.
    fn limit(&self) -> Option<Duration> {
        match (self.end, self.lease.left(Moment::now())) {
            (End::NotYet, 0) => Some(LAST),
            (End::NotYet, left) => Some(Duration::from_secs(left)),
            _ => None,
        }
    }

    fn failed(&mut self, e: &CliError) {
        self.metrics.failed.fetch_add(1, Relaxed);
        self.lease.failed(Moment::now());
        let why = e.to_string();
        let again = |(text, when): &(String, Instant)| *text != why || when.elapsed() >= AGAIN;
        if self.said.as_ref().is_none_or(again) {
            let serve = if self.end == End::NotYet { "serve" } else { "served" };
            let end = self.lease_end();
            self.warn(&format!("the secrets could not be renewed, and {serve} until {end}: {why}"));
            self.said = Some((why, Instant::now()));
        }
    }

    fn ended(&mut self) {
        self.metrics.ended.store(true, Relaxed);
        let told = format!("the lease of the secrets has ended ({})", self.lease_end());
        self.end = match self.renewal.at_end {
            AtEnd::Keep => {
                self.warn(&format!("{told}; the command keeps them (at-end = \"keep\")"));
                End::Told
            }
            AtEnd::Wipe => {
                self.target.files.wipe();
                self.warn(&format!("{told}; the files are wiped (at-end = \"wipe\")"));
                End::Wiped
            }
            AtEnd::Stop => {
                let after = self.renewal.stop_after;
                self.metrics.stopped.store(true, Relaxed);
                self.signals.send(Signal::TERM);
                self.target.files.wipe();
                self.warn(&format!(
                    "{told}; the files are wiped, and the command is to end within {} s (at-end = \"stop\")",
                    after.as_secs()
                ));
                End::Stopping(Instant::now().checked_add(after))
            }
        };
    }

    fn warn(&self, text: &str) {
        self.log.line(&format!("cloudauth: warning: {text}"));
    }

    fn lease_end(&self) -> String {
        rfc3339(self.expiration)
    }

    fn tell_lease(&self) {
        self.metrics.lease_end.store(self.expiration.as_secs(), Relaxed);
        self.metrics.last.store(crate::live::system_seconds(), Relaxed);
        self.metrics.ended.store(false, Relaxed);
    }
}
