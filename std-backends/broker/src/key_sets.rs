//! The keys of the issuers of attestations.

mod fetch;
mod issuer;
mod jwks;
mod pki;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cloudauth_core::UnixTime;
use cloudauth_core::attest::confidential_space::Claims;
use cloudauth_core::jws::{Expect, Report, Token};
use cloudauth_core::verifier::PublicKey;

use crate::config::Config;
use crate::config::issuer::Kind;
use crate::error::LoadError;
use issuer::IssuerKeys;
#[cfg(test)]
pub(crate) use jwks::Keys;

/// How long after one attempt an unknown `kid` makes no other.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long keys are used before they are fetched anew, without anyone's asking.
const REFRESH: Duration = Duration::from_secs(3600);

/// Keys that sign for nobody, whatever a configuration says: their private halves are public. Of RSA keys it
/// is the SHA-256 of the modulus, which no other exponent or encoding changes; of others, that of the
/// SubjectPublicKeyInfo.
const REFUSED: [[u8; 32]; 2] = [
    // The test issuer of the `aws-` and `azure-channel-jwt-credential` brokers: misc/testtoken of
    // github.com/salrashid123/confidential_space, and rsaKeyID_1 of idp_server in
    // github.com/salrashid123/diy_oidc.
    [
        0xbc, 0x2e, 0xcb, 0xd8, 0xf3, 0x5f, 0xad, 0x5d, 0xfd, 0xd1, 0xa6, 0x1b, 0x55, 0x27, 0xa7,
        0x54, 0x36, 0x9e, 0xbc, 0x14, 0x33, 0xe6, 0x79, 0x37, 0x8d, 0xd5, 0x11, 0xd8, 0xaf, 0xb5,
        0xaf, 0x36,
    ],
    // ecKeyID_1 of the same.
    [
        0x4c, 0x56, 0x80, 0xe1, 0x9c, 0x72, 0xd7, 0xd9, 0x5f, 0xd8, 0x74, 0xc3, 0x06, 0x32, 0xb3,
        0x5c, 0x63, 0x4a, 0xb4, 0x43, 0x71, 0xe0, 0xaa, 0x7e, 0xc8, 0xe9, 0x09, 0xf3, 0x48, 0x32,
        0x5d, 0x68,
    ],
];

/// That an issuer has no keys, in words.
fn no_keys(name: &str, why: &str) -> String {
    format!("issuers.{name} has no keys yet: {why}")
}

/// Whether a key must never verify anything.
fn is_refused(key: &PublicKey<'_>) -> bool {
    let what = key.rsa().map_or(key.spki(), |(modulus, _)| modulus);
    REFUSED.contains(&cloudauth_core::digest::sha256(what))
}

/// The keys of every configured issuer, by `iss`.
///
/// Whatever happens to an issuer's host (down, slow, answering something else), the last good keys stay.
#[derive(Debug, Default)]
pub(crate) struct KeySets {
    issuers: HashMap<String, Arc<IssuerKeys>>,
}

/// A token, held against its issuer's keys.
pub(crate) struct Held<'b> {
    /// Whose claims it holds.
    pub(crate) kind: Kind,
    /// The checks that every token gets.
    pub(crate) report: Report<'b>,
    /// What is wrong with the chain in `x5c`, where the token's form needs one.
    pub(crate) chain: Option<Result<(), String>>,
    /// Why there is no key of this issuer to hold it against: nothing is known of the token then.
    pub(crate) missing: Option<String>,
}

impl KeySets {
    /// The key sets of a configuration. What `before` has fetched for an issuer that is configured as it was
    /// is taken over. Files are read here; nothing is fetched.
    ///
    /// # Errors
    /// [`LoadError`] for a file with keys or roots that cannot be used.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Arc<Self>, LoadError> {
        Self::with_cool_down(config, before, COOL_DOWN)
    }

    /// The same with another time between attempts.
    pub(crate) fn with_cool_down(
        config: &Config,
        before: Option<&Self>,
        cool_down: Duration,
    ) -> Result<Arc<Self>, LoadError> {
        let mut wrong = LoadError::default();
        let mut issuers = HashMap::new();
        for (name, issuer) in config.all_issuers() {
            let url = issuer.issuer.clone();
            let earlier = before.and_then(|sets| sets.issuers.get(&url));
            let place = format!("{}: issuers.{name}", config.place);
            let keys = IssuerKeys::new(name, issuer, earlier.map(AsRef::as_ref), cool_down);
            if let Some(keys) = wrong.take(keys.map_err(|e| e.within(&place))) {
                issuers.insert(url, Arc::new(keys));
            }
        }
        wrong.finish()?;
        Ok(Arc::new(Self { issuers }))
    }

    /// Fetches what is missing, then all of it once an hour. It never ends: run it as a task, and end that
    /// when the next `KeySets` takes over.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut tasks = tokio::task::JoinSet::new();
        for issuer in self.issuers.values() {
            tasks.spawn(issuer.clone().keep_fresh(REFRESH));
        }
        // They end only when this is dropped.
        while tasks.join_next().await.is_some() {}
        std::future::pending().await
    }

    /// Fetches what is missing, once.
    pub(crate) async fn load(&self) {
        let mut tasks = tokio::task::JoinSet::new();
        for issuer in self.issuers.values() {
            let issuer = issuer.clone();
            tasks.spawn(async move { issuer.refresh(Duration::ZERO).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Why the last attempts failed, by the issuers' names.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> BTreeMap<String, String> {
        self.issuers.values().filter_map(|issuer| issuer.last_failure()).collect()
    }

    /// How old the keys are that are fetched, by the issuers' names.
    pub(crate) fn ages(&self) -> BTreeMap<String, Duration> {
        let ages = self.issuers.values().filter_map(|issuer| issuer.age());
        ages.map(|(name, age)| (name.to_owned(), age)).collect()
    }

    /// Whether every issuer has keys to verify with.
    ///
    /// # Errors
    /// In words, the issuers that have none, and why.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let missing: BTreeMap<_, _> =
            self.issuers.values().filter_map(|issuer| issuer.missing()).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(missing
                .iter()
                .map(|(name, why)| no_keys(name, why))
                .collect::<Vec<_>>()
                .join("; ")),
        }
    }

    /// Holds a token against the keys of the issuer that it names. `None` when nobody is configured to be
    /// that issuer, exactly. `fetch` lets keys be fetched that are not there.
    pub(crate) async fn verify<'b>(
        &self,
        token: &Token<'_, 'b>,
        time: UnixTime,
        fetch: bool,
    ) -> Option<Held<'b>> {
        // What an unverified token says of its issuer decides only which keys it is held against.
        let unverified = token.verify(&Expect::new(&[], time), &[]);
        let issuer = self.issuers.get(Claims::unverified(&unverified).issuer()?)?;
        Some(issuer.verify(token, time, fetch).await)
    }

    /// What an unverified token says, for a record.
    pub(crate) fn unverified<'b>(token: &Token<'_, 'b>, time: UnixTime) -> Report<'b> {
        token.verify(&Expect::new(&[], time), &[])
    }
}
