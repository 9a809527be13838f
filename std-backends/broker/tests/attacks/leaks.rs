//! Everything secret that the suite comes across, and every text that must hold none of it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::binder::hex;
use crate::wire::Answer;

/// What is found if anything is.
pub(crate) const PLANTED: &str = "planted, to be found";

/// Shorter texts could be anything.
const LEAST: usize = 16;

/// Secrets by their text, with what they are.
static SECRETS: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
/// Texts, with where they stand.
static TEXTS: Mutex<Vec<(&'static str, String)>> = Mutex::new(Vec::new());
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text that may stand nowhere.
pub(crate) fn secret(what: &'static str, text: &str) {
    if text.len() >= LEAST {
        lock(&SECRETS).insert(text.to_owned(), what);
    }
}

/// The same for octets, however they may be written.
pub(crate) fn octets(what: &'static str, octets: &[u8]) {
    secret(what, &hex(octets));
    secret(what, &hex(octets).to_ascii_uppercase());
    secret(what, &URL_SAFE_NO_PAD.encode(octets));
    secret(what, STANDARD.encode(octets).trim_end_matches('='));
    secret(what, &format!("{octets:?}"));
}

/// A token: what it says, and its signature.
pub(crate) fn token(token: &str) {
    for part in token.split('.').skip(1) {
        secret("a part of a token", part);
    }
}

/// An answer. What a good one holds is itself secret everywhere else.
pub(crate) fn answer(answer: &Answer) {
    lock(&TEXTS).push(("an answer", answer.head.clone()));
    if answer.status == 200 {
        let json = answer.json();
        for (part, names) in [
            ("aws", &["secret_access_key", "session_token", "access_key_id"][..]),
            ("bearer", &["access_token"]),
        ] {
            for name in names {
                secret("a credential", json[part][name].as_str().unwrap_or_default());
            }
        }
        for name in ["AccessKeyId", "SecretAccessKey", "SessionToken", "access_token"] {
            secret("a credential", json[name].as_str().unwrap_or_default());
        }
    } else {
        lock(&TEXTS).push(("an answer", answer.body.clone()));
    }
}

/// Decision records, or whatever else a broker has written.
pub(crate) fn text(place: &'static str, text: String) {
    lock(&TEXTS).push((place, text));
}

/// Keeps all that is logged, however fine.
pub(crate) fn keep_log() {
    struct Keep;
    impl io::Write for Keep {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            lock(&LOG).extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(|| Keep)
        .init();
}

/// What was looked through.
pub(crate) struct Found {
    pub(crate) secrets: usize,
    pub(crate) octets: usize,
    /// Secrets that stand somewhere: what, and where. Not themselves.
    pub(crate) leaks: Vec<String>,
}

/// Looks through everything.
pub(crate) fn find() -> Found {
    let mut texts = std::mem::take(&mut *lock(&TEXTS));
    let log = std::mem::take(&mut *lock(&LOG));
    texts.push(("the log", String::from_utf8_lossy(&log).into_owned()));
    let secrets = lock(&SECRETS);
    let mut found = Found {
        secrets: secrets.len(),
        octets: texts.iter().map(|(_, text)| text.len()).sum(),
        leaks: Vec::new(),
    };
    // By their beginnings: there are thousands of secrets.
    let mut beginnings: HashMap<&[u8], Vec<(&[u8], &str)>> = HashMap::new();
    for (secret, what) in secrets.iter() {
        let octets = secret.as_bytes();
        beginnings.entry(&octets[..LEAST]).or_default().push((octets, what));
    }
    for (place, text) in &texts {
        let mut leak = |what: &str| found.leaks.push(format!("{what} in {place}"));
        for (at, window) in text.as_bytes().windows(LEAST).enumerate() {
            for (secret, what) in beginnings.get(window).into_iter().flatten() {
                if text.as_bytes()[at..].starts_with(secret) {
                    leak(what);
                }
            }
        }
        if let Some(at) = text.find("eyJ") {
            let shown: String = text[at..].chars().take(8).collect();
            leak(&format!("what begins as tokens do ({shown}…)"));
        }
    }
    found.leaks.sort();
    found.leaks.dedup();
    found
}
