//! The keys of one issuer, and how they are kept.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cloudauth_core::jws::{Expect, Report, Token};
use cloudauth_core::{Scheme, UnixTime};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::Held;
use super::fetch::Fetcher;
use super::jwks::Keys;
use super::pki::PinnedRoot;
use crate::config::issuer::{Issuer, Keys as From, Kind};
use crate::error::LoadError;

/// How long after a failure the next attempt is made, when nobody asks.
const RETRY: Duration = Duration::from_secs(30);

/// One issuer.
#[derive(Debug)]
pub(super) struct IssuerKeys {
    name: String,
    issuer: Issuer,
    algorithms: Vec<Scheme>,
    /// Where the key set comes from, if it is fetched.
    fetcher: Option<Fetcher>,
    /// The last good key set, and when it was fetched or read.
    keys: RwLock<Option<(Arc<Keys>, Instant)>>,
    root: Option<PinnedRoot>,
    /// Held while someone fetches.
    last: Mutex<Option<Instant>>,
    /// Why the last attempt gave nothing.
    failure: RwLock<Option<String>>,
    /// How long after one attempt an unknown `kid` makes no other.
    cool_down: Duration,
}

impl IssuerKeys {
    pub(super) fn new(
        name: String,
        issuer: Issuer,
        before: Option<&Self>,
        cool_down: Duration,
    ) -> Result<Self, LoadError> {
        let (mut keys, mut fetcher) = (None, None);
        match issuer.keys() {
            Some(From::File(path)) => {
                let text =
                    crate::config::read(&path, 1 << 20).map_err(|e| e.within("keys-file"))?;
                let set = Keys::parse(issuer.kind, &text)
                    .map_err(|e| LoadError::one(format!("keys-file: file {path:?}"), e))?;
                keys = Some((Arc::new(set), Instant::now()));
            }
            Some(from) => {
                let new = Fetcher::new(&issuer, from)?;
                let same = before.filter(|before| {
                    before.issuer == issuer
                        && before.fetcher.as_ref().is_some_and(|b| b.trusts_as(&new))
                });
                keys = same.and_then(Self::dated);
                fetcher = Some(new);
            }
            None => {}
        }
        let root = issuer.root().map(|root| PinnedRoot::new(&root)).transpose()?;
        Ok(Self {
            name,
            algorithms: issuer.algorithms(),
            issuer,
            fetcher,
            keys: RwLock::new(keys),
            root,
            last: Mutex::new(None),
            failure: RwLock::new(None),
            cool_down,
        })
    }

    fn dated(&self) -> Option<(Arc<Keys>, Instant)> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn current(&self) -> Option<Arc<Keys>> {
        self.dated().map(|(keys, _)| keys)
    }

    /// Its name, and how old its keys are, if it has any that are fetched.
    pub(super) fn age(&self) -> Option<(&str, Duration)> {
        self.fetcher.as_ref()?;
        self.dated().map(|(_, fetched)| (self.name.as_str(), fetched.elapsed()))
    }

    /// Its name and why, if it has no keys.
    pub(super) fn missing(&self) -> Option<(String, String)> {
        if self.fetcher.is_none() || self.current().is_some() {
            return None;
        }
        let failure = self.failure.read().unwrap_or_else(PoisonError::into_inner).clone();
        Some((self.name.clone(), failure.unwrap_or_else(|| "they are being fetched".into())))
    }

    /// Its name and why the last attempt failed, if it did.
    #[cfg(test)]
    pub(super) fn last_failure(&self) -> Option<(String, String)> {
        let failure = self.failure.read().unwrap_or_else(PoisonError::into_inner).clone();
        Some((self.name.clone(), failure?))
    }

    /// Fetches the key set, unless that was tried less than `cool_down` ago. Those who come meanwhile wait for
    /// the same attempt.
    pub(super) async fn refresh(self: &Arc<Self>, cool_down: Duration) {
        let asked = Instant::now();
        if self.last.try_lock().is_ok_and(|last| last.is_some_and(|l| l.elapsed() < cool_down)) {
            return;
        }
        // It goes on when whoever asked is gone: an attempt that can be cut off would not count, and could be
        // made again at once, as often as a client likes to hang up.
        let issuer = self.clone();
        let attempt = tokio::spawn(async move { issuer.attempt(asked, cool_down).await });
        if let Err(error) = attempt.await {
            tracing::error!(issuer = self.name, %error, "fetching keys");
        }
    }

    async fn attempt(&self, asked: Instant, cool_down: Duration) {
        let Some(fetcher) = &self.fetcher else { return };
        let mut last = self.last.lock().await;
        if last.is_some_and(|last| last >= asked || last.elapsed() < cool_down) {
            return;
        }
        let began = Instant::now();
        let result = fetcher.keys().await;
        // Counted from the end: a slow host is not asked all the time.
        *last = Some(Instant::now());
        let mut failure = self.failure.write().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(keys) => {
                let dated = (Arc::new(keys), began);
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(dated);
                *failure = None;
            }
            Err(error) => {
                tracing::warn!(issuer = self.name, %error, "its keys were not fetched; the last stay");
                *failure = Some(error);
            }
        }
    }

    /// Fetches now where there is nothing, then every `period`; after a failure sooner.
    pub(super) async fn keep_fresh(self: Arc<Self>, period: Duration) {
        if self.fetcher.is_none() {
            return;
        }
        // Keys of an earlier configuration are as old as they are: loading often must not keep them for ever.
        if let Some((_, fetched)) = self.dated() {
            sleep(self.varied(period).saturating_sub(fetched.elapsed())).await;
        }
        loop {
            self.refresh(Duration::ZERO).await;
            let failed = self.failure.read().unwrap_or_else(PoisonError::into_inner).is_some();
            sleep(self.varied(if failed { RETRY } else { period })).await;
        }
    }

    /// Up to an eighth less, so that many brokers do not ask at once.
    fn varied(&self, period: Duration) -> Duration {
        let mut random = [0; 4];
        // Without random octets it is just not varied.
        let _ = getrandom::fill(&mut random);
        period - period.mul_f64(f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX) / 8.0)
    }

    /// Holds a token of this issuer against its keys: those of its chain if it brings one and a root is
    /// pinned, else the key set's.
    pub(super) async fn verify<'b>(
        self: &Arc<Self>,
        token: &Token<'_, 'b>,
        time: UnixTime,
        fetch: bool,
    ) -> Held<'b> {
        let kind = self.issuer.kind;
        let header = token.header();
        if kind == Kind::ConfidentialSpace && header.get("x5c").is_some() {
            let keys = match &self.root {
                Some(root) => root.verify(&header, time),
                None => Err("no root is configured for tokens that bring their chain".into()),
            };
            let (keys, chain) = match keys {
                Ok(keys) => (keys, Ok(())),
                Err(error) => (Keys::default(), Err(error)),
            };
            let report = self.report(token, &keys, time);
            return Held { kind, report, chain: Some(chain), missing: None };
        }
        let kid = header.get("kid").and_then(|kid| kid.as_str());
        let mut keys = self.current();
        let known = keys.as_ref().is_some_and(|keys| kid.is_none_or(|kid| keys.has(kid)));
        if !known && fetch {
            self.refresh(self.cool_down).await;
            keys = self.current();
        }
        // With a root alone, tokens without a chain are refused: there is nothing that could come later.
        let missing = if keys.is_none() { self.missing() } else { None };
        let missing = missing.map(|(name, why)| super::no_keys(&name, &why));
        let keys = keys.unwrap_or_default();
        Held { kind, report: self.report(token, &keys, time), chain: None, missing }
    }

    fn report<'b>(&self, token: &Token<'_, 'b>, keys: &Keys, time: UnixTime) -> Report<'b> {
        let expect = Expect {
            issuer: Some(&self.issuer.issuer),
            max_age: Some(self.issuer.max_age),
            ..Expect::new(&self.algorithms, time)
        };
        token.verify(&expect, keys)
    }
}
