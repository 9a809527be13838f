//! Files with tokens that are renewed while the command runs.

use std::time::Duration;

use cloudauth_core::{Attempt, UnixTime};
use zeroize::Zeroizing;

use super::folder::Folder;
use crate::context::{random, say, warn};
use crate::error::CliError;
use crate::live::{rfc3339, system_seconds};
use crate::worker::{Stopped, Worker};

/// At most this long nothing is looked at: a machine that wakes up finds its clock far ahead.
const LOOK: u64 = 10;
/// The longest pause after failures, in seconds.
const PAUSE: u64 = 30;

/// A token, just made.
pub(super) struct Made {
    pub(super) token: Zeroizing<String>,
    /// When it is no longer accepted.
    pub(super) end: u64,
    /// After what time the next is made.
    pub(super) every: Duration,
}

type Make = dyn Fn() -> Result<Made, CliError> + Send;

/// A token in the directory.
pub(super) struct Token {
    profile: String,
    file: &'static str,
    make: Box<Make>,
    made: u64,
    due: u64,
    end: u64,
    failures: u32,
    /// Its end was told.
    ended: bool,
}

/// A credential that is not renewed.
pub(super) struct End {
    pub(super) profile: String,
    pub(super) time: u64,
}

impl Token {
    /// Makes and writes the first.
    pub(super) fn first(
        profile: &str,
        file: &'static str,
        make: Box<Make>,
        folder: &Folder,
    ) -> Result<Self, CliError> {
        let profile = profile.to_owned();
        let mut new =
            Self { profile, file, make, made: 0, due: 0, end: 0, failures: 0, ended: false };
        new.renew(folder)?;
        Ok(new)
    }

    fn renew(&mut self, folder: &Folder) -> Result<(), CliError> {
        let made = (self.make)()?;
        folder.write(self.file, made.token.as_bytes())?;
        self.made = system_seconds();
        self.due = self.made + made.every.as_secs();
        self.end = made.end;
        Ok(())
    }

    /// Renews it when it is due. While that fails, the file keeps the last.
    fn look(&mut self, now: u64, folder: &Folder) {
        // Made in the future: the clock was set back, and the token is not valid yet.
        let early = now < self.made && self.failures == 0;
        if now < self.due && !early {
            return;
        }
        let renewed = self.renew(folder);
        let profile = &self.profile;
        match renewed {
            Ok(()) => {
                if self.failures > 0 {
                    say(&format!("profile {profile:?}: its token is renewed again"));
                }
                (self.failures, self.ended) = (0, false);
            }
            Err(e) => {
                if self.failures == 0 {
                    let end = rfc3339(UnixTime::new(self.end).unwrap_or(UnixTime::MAX));
                    warn(&[format!(
                        "profile {profile:?}: its token could not be renewed, and serves until {end}: {e}"
                    )]);
                } else if now >= self.end && !self.ended {
                    warn(&[format!("profile {profile:?}: its token has ended: {e}")]);
                    self.ended = true;
                }
                self.due = now + PAUSE.min(1 << self.failures.min(6));
                self.failures += 1;
            }
        }
    }
}

/// Renews in a thread of its own, where there is anything to renew or to tell.
pub(super) fn start(
    mut tokens: Vec<Token>,
    mut ends: Vec<End>,
    folder: &Folder,
) -> Result<Option<Worker>, CliError> {
    if tokens.is_empty() && ends.is_empty() {
        return Ok(None);
    }
    let folder = folder.clone();
    let work = move |stopped: &Stopped| {
        loop {
            let now = system_seconds();
            tokens.iter_mut().for_each(|token| token.look(now, &folder));
            ends.retain(|end| {
                if now >= end.time {
                    let profile = &end.profile;
                    warn(&[format!("profile {profile:?}: its static credential has ended")]);
                }
                now < end.time
            });
            let next = tokens.iter().map(|token| token.due);
            let next = next.chain(ends.iter().map(|end| end.time)).min().unwrap_or(u64::MAX);
            let pause = next.saturating_sub(system_seconds()).clamp(1, LOOK);
            if stopped.within(Duration::from_secs(pause)) {
                return;
            }
        }
    };
    Worker::start("renewal", work).map(Some)
}

/// The time of this machine, and randomness.
pub(super) fn attempt() -> Result<Attempt, CliError> {
    let now = UnixTime::new(system_seconds()).unwrap_or(UnixTime::MAX);
    Ok(Attempt::new(now, random()?))
}
