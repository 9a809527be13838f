//! When a credential is renewed: one policy for the memory and for the file cache.
//!
//! | left until expiry | what happens |
//! |---|---|
//! | more than the advisory window | it is served |
//! | the advisory window: 15 minutes, at most a quarter of its life, less jitter | one caller renews it, all others are served at once |
//! | the mandatory window: 5 minutes, at most a tenth of its life | callers wait for the renewal; should it fail, they are served what there is |
//! | [`MARGIN`] | it is never served |

use cloudauth_core::UnixTime;

use crate::clock::Moment;
use crate::{Credential, Error, Result};

/// A credential with no more than these seconds left is as good as expired: the request that carries it
/// must still reach the service.
pub(crate) const MARGIN: u64 = 5;

/// The advisory window begins at most this many seconds before expiry.
const ADVISORY: u64 = 15 * 60;
/// The mandatory window begins at most this many seconds before expiry.
const MANDATORY: u64 = 5 * 60;
/// How long a failed renewal is not tried again in the advisory window, in seconds; up to a quarter is
/// added, so that the callers of a service that is down do not come back together.
const ADVISORY_PAUSE: u64 = 30;
/// The same in the mandatory window.
const MANDATORY_PAUSE: u64 = 5;

/// What is to be done about a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing: serve it.
    No,
    /// One caller renews it, all others are served.
    Advisory,
    /// Callers wait for the renewal.
    Mandatory,
    /// It is not served any more.
    Expired,
}

/// How long a credential lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When it was obtained.
    pub(crate) obtained: Moment,
    /// When the cloud stops accepting it.
    pub(crate) expiration: UnixTime,
    /// By how many seconds its advisory window begins later.
    pub(crate) jitter: u64,
    /// The uptime at which a renewal last brought nothing.
    pub(crate) failed: Option<u64>,
}

impl Lease {
    /// The lease of a credential that was obtained just now.
    pub(crate) fn new(now: Moment, expiration: UnixTime) -> Self {
        // Without randomness it is renewed as early as can be.
        let random = getrandom::u32().map_or(0, u64::from);
        let mut lease = Self { obtained: now, expiration, jitter: 0, failed: None };
        lease.jitter = random % (lease.max_jitter() + 1);
        lease
    }

    /// The lease of what came in the place of a credential with this lease. When it lasts no longer (a
    /// service that has a cache itself gives the same token again), it is one more renewal without effect.
    pub(crate) fn renewed(self, now: Moment, expiration: UnixTime) -> Self {
        if expiration == self.expiration && self.is_valid(now) {
            self.after_failure(now)
        } else {
            Self::new(now, expiration)
        }
    }

    /// The lease after a renewal that brought nothing.
    pub(crate) const fn after_failure(self, now: Moment) -> Self {
        Self { failed: Some(now.uptime), ..self }
    }

    const fn life(&self) -> u64 {
        self.expiration.as_secs().saturating_sub(self.obtained.time.as_secs())
    }

    const fn advisory(&self) -> u64 {
        min(ADVISORY, self.life() / 4)
    }

    const fn mandatory(&self) -> u64 {
        min(MANDATORY, self.life() / 10)
    }

    /// The most that [`Lease::jitter`] can be: a quarter of the window.
    pub(crate) const fn max_jitter(&self) -> u64 {
        self.advisory() / 4
    }

    /// Seconds until it expires. A wall clock that was set back gives it no second more, for the uptime
    /// goes on; an uptime that went back is of another boot and says nothing, so nothing is left.
    pub(crate) const fn left(&self, now: Moment) -> u64 {
        let by_clock = self.expiration.as_secs().saturating_sub(now.time.as_secs());
        match now.uptime.checked_sub(self.obtained.uptime) {
            Some(age) => min(by_clock, self.life().saturating_sub(age)),
            None => 0,
        }
    }

    /// Whether it may be served at all.
    pub(crate) const fn is_valid(&self, now: Moment) -> bool {
        self.left(now) > MARGIN
    }

    /// What is to be done now.
    pub(crate) fn due(&self, now: Moment) -> Due {
        let left = self.left(now);
        let (due, pause) = if left <= MARGIN {
            return Due::Expired;
        } else if left <= self.mandatory() {
            (Due::Mandatory, MANDATORY_PAUSE)
        } else if left <= self.advisory().saturating_sub(self.jitter) {
            (Due::Advisory, ADVISORY_PAUSE + self.jitter % (ADVISORY_PAUSE / 4 + 1))
        } else {
            return Due::No;
        };
        let since = self.failed.and_then(|failed| now.uptime.checked_sub(failed));
        if since.is_some_and(|since| since < pause) { Due::No } else { due }
    }
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

/// Refuses what a service must not have issued to `call`: a credential that is empty, or expired.
pub(crate) fn check(credential: &Credential, now: Moment, call: &'static str) -> Result<()> {
    if credential.is_empty() {
        return Err(Error::Empty { call });
    }
    // Secrets come with the broker's own time: the clock here is whoever's who may set it.
    let now = match credential {
        Credential::Secrets(secrets) => secrets.issued.unwrap_or(now.time),
        _ => now.time,
    };
    if credential.expiration() <= now.plus(MARGIN) {
        return Err(Error::Expired { call });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::HandClock;

    /// A lease of `life` seconds that began now.
    fn lease(clock: &HandClock, life: u64) -> Lease {
        Lease::new(clock.now(), clock.now().time.plus(life))
    }

    /// What is due when `left` seconds are left of `life`, without jitter.
    fn due(life: u64, left: u64) -> Due {
        let clock = HandClock::new();
        let lease = Lease { jitter: 0, ..lease(&clock, life) };
        clock.pass(life - left);
        assert_eq!(lease.left(clock.now()), left);
        lease.due(clock.now())
    }

    #[test]
    fn windows() {
        // life, advisory, mandatory
        for (life, advisory, mandatory) in
            [(12 * 3600, 900, 300), (3600, 900, 300), (900, 225, 90), (60, 15, 6)]
        {
            assert_eq!(due(life, life), Due::No, "{life}");
            assert_eq!(due(life, advisory + 1), Due::No, "{life}");
            assert_eq!(due(life, advisory), Due::Advisory, "{life}");
            assert_eq!(due(life, mandatory + 1), Due::Advisory, "{life}");
            assert_eq!(due(life, mandatory), Due::Mandatory, "{life}");
            assert_eq!(due(life, MARGIN + 1), Due::Mandatory, "{life}");
            assert_eq!(due(life, MARGIN), Due::Expired, "{life}");
            assert_eq!(due(life, 0), Due::Expired, "{life}");
        }
        // Too short for windows: served until the margin.
        assert_eq!(due(10, MARGIN + 1), Due::No);
        assert_eq!(due(10, MARGIN), Due::Expired);
    }

    #[test]
    fn jitter_is_at_most_a_quarter_of_the_window() {
        let clock = HandClock::new();
        for (life, most) in [(12 * 3600, 225), (3600, 225), (900, 56), (60, 3), (0, 0)] {
            let drawn: Vec<_> = (0..2000).map(|_| lease(&clock, life).jitter).collect();
            assert!(drawn.iter().all(|jitter| *jitter <= most), "{life}");
            // Both ends come up, near enough: it is spread over all of the window.
            assert!(*drawn.iter().min().unwrap() <= most / 20, "{life}");
            assert!(*drawn.iter().max().unwrap() >= most - most / 20, "{life}");
        }
        // It shortens the advisory window, and never reaches the mandatory one.
        let late = Lease { jitter: 225, ..lease(&clock, 3600) };
        clock.pass(3600 - 676);
        assert_eq!(late.due(clock.now()), Due::No);
        clock.pass(1);
        assert_eq!(late.due(clock.now()), Due::Advisory);
    }

    #[test]
    fn a_failed_renewal_rests() {
        let clock = HandClock::new();
        let lease = Lease { jitter: 7, ..lease(&clock, 3600) };
        clock.pass(3600 - 600);
        assert_eq!(lease.due(clock.now()), Due::Advisory);
        let failed = lease.after_failure(clock.now());
        clock.pass(36);
        assert_eq!(failed.due(clock.now()), Due::No);
        clock.pass(1);
        assert_eq!(failed.due(clock.now()), Due::Advisory);

        clock.pass(363);
        assert_eq!(failed.left(clock.now()), 200);
        let failed = failed.after_failure(clock.now());
        clock.pass(4);
        assert_eq!(failed.due(clock.now()), Due::No);
        // A wall clock that was set does not prolong the rest.
        clock.set_back(100);
        clock.pass(1);
        assert_eq!(failed.due(clock.now()), Due::Mandatory);
        // Once it has expired nothing rests.
        clock.pass(190);
        assert_eq!(failed.after_failure(clock.now()).due(clock.now()), Due::Expired);
    }

    #[test]
    fn a_clock_that_is_set_back_extends_nothing() {
        let clock = HandClock::new();
        let lease = lease(&clock, 3600);
        clock.pass(3000);
        clock.set_back(2000);
        assert_eq!(lease.left(clock.now()), 600);
        clock.pass(595);
        assert_eq!(lease.due(clock.now()), Due::Expired);
        // Before it was obtained, and at the epoch.
        clock.set_back(1_000_000);
        assert_eq!(lease.left(clock.now()), 5);
        clock.set_back(u64::MAX);
        assert_eq!(lease.left(clock.now()), 5);
        // What another boot obtained.
        clock.reboot();
        assert_eq!(lease.left(clock.now()), 0);
    }

    #[test]
    fn the_same_credential_again_is_no_renewal() {
        let clock = HandClock::new();
        let first = lease(&clock, 3600);
        clock.pass(3000);
        let same = first.renewed(clock.now(), first.expiration);
        assert_eq!(same, first.after_failure(clock.now()));
        let next = first.renewed(clock.now(), first.expiration.plus(1));
        assert_eq!((next.obtained, next.failed), (clock.now(), None));
    }
}
