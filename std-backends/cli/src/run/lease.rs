//! When secrets are renewed, and when their lease has ended.
//!
//! Two clocks are looked at: that of the wall, in which the end is written and which anybody may set, and the
//! time since the system was started, which only goes forward. The lease ends by whichever says so first, and a
//! wall's clock that was set back makes neither this lease longer nor the next. A difference between the two is a
//! jump: then it is looked for new secrets at once, whatever was due.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::context::random;
use crate::live::system_seconds;

/// The clocks may differ by this without a jump, in seconds: time servers correct them.
const SLACK: u64 = 10;
/// The longest pause after failures, in seconds.
const PAUSE: u64 = 30;

/// What both clocks say, in seconds: in a lease, when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    wall: u64,
    /// Sleep counts.
    up: u64,
}

impl Moment {
    pub(super) fn now() -> Self {
        let up = u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or_default();
        Self { wall: system_seconds(), up }
    }
}

/// The lease of what was delivered last.
#[derive(Debug)]
pub(super) struct Lease {
    obtained: Moment,
    end: u64,
    /// The time since start at which it is tried to renew it.
    due: u64,
    failures: u32,
    /// At the last look.
    seen: Moment,
}

impl Lease {
    /// Renewed after half of it to three quarters: clients that began together do not come back together, and a
    /// quarter at least is left for what goes wrong.
    pub(super) fn new(now: Moment, end: u64) -> Self {
        Self::with_jitter(now, end, drawn())
    }

    /// The lease of what came in the place of what has this one.
    pub(super) fn renewed(&self, now: Moment, end: u64) -> Self {
        Self::new(Moment { wall: self.latest(now), up: now.up }, end).seen_at(now)
    }

    fn seen_at(self, seen: Moment) -> Self {
        Self { seen, ..self }
    }

    /// What the wall's clock shows, or would if nobody had set it back since the lease began.
    fn latest(&self, now: Moment) -> u64 {
        let age = now.up.saturating_sub(self.obtained.up);
        now.wall.max(self.obtained.wall.saturating_add(age))
    }

    fn with_jitter(now: Moment, end: u64, jitter: u8) -> Self {
        let life = end.saturating_sub(now.wall);
        let due = now.up.saturating_add(life / 2 + share(life / 4, jitter));
        Self { obtained: now, end, due, failures: 0, seen: now }
    }

    /// When it ends, by the wall's clock.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Seconds until it ends.
    pub(super) fn left(&self, now: Moment) -> u64 {
        self.end.saturating_sub(self.latest(now))
    }

    /// Whether it is to be renewed now.
    pub(super) fn is_due(&mut self, now: Moment) -> bool {
        let (wall, up) = (now.wall.abs_diff(self.seen.wall), now.up.abs_diff(self.seen.up));
        let jumped = now.wall < self.seen.wall || wall.abs_diff(up) > SLACK;
        self.seen = now;
        jumped || now.up >= self.due
    }

    /// A renewal failed: the next is tried after a pause which grows, but never past what is left.
    pub(super) fn failed(&mut self, now: Moment) {
        self.failed_with_jitter(now, drawn());
    }

    fn failed_with_jitter(&mut self, now: Moment, jitter: u8) {
        let pause = PAUSE.min(1 << self.failures.min(6));
        let pause = match self.left(now) {
            0 => pause,
            left => pause.min(left / 4),
        };
        // Up to a quarter more: the clients of a broker that was down do not come back together.
        self.due = now.up.saturating_add((pause + share(pause / 4, jitter)).max(1));
        self.failures += 1;
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// How long there is nothing to do, at most `longest`.
    pub(super) fn pause(&self, now: Moment, longest: Duration) -> Duration {
        let next = match self.left(now) {
            0 => self.due.saturating_sub(now.up),
            left => left.min(self.due.saturating_sub(now.up)),
        };
        Duration::from_secs(next.max(1)).min(longest)
    }
}

/// So many 256ths.
const fn share(of: u64, jitter: u8) -> u64 {
    of.saturating_mul(jitter as u64) / 256
}

/// Without randomness none.
fn drawn() -> u8 {
    random().map_or(0, |[first, ..]| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment { wall: 1_790_000_000, up: 50_000 };
    const DAY: u64 = 86_400;

    fn after(wall: i64, up: u64) -> Moment {
        Moment { wall: START.wall.checked_add_signed(wall).unwrap(), up: START.up + up }
    }

    fn lease(jitter: u8) -> Lease {
        Lease::with_jitter(START, START.wall + 3600, jitter)
    }

    #[test]
    fn renewed_between_half_and_three_quarters() {
        for (jitter, due) in [(0, 1800), (128, 2250), (255, 2696)] {
            let mut lease = lease(jitter);
            for at in (0..due).step_by(5) {
                assert!(!lease.is_due(after(at as i64, at)), "{jitter} {at}");
            }
            assert!(lease.is_due(after(due as i64, due)), "{jitter}");
        }
        let drawn: std::collections::BTreeSet<_> =
            (0..100).map(|_| Lease::new(START, START.wall + 3600).due).collect();
        assert!(drawn.len() > 20, "{drawn:?}");
    }

    #[test]
    fn failures_pause_within_the_lease() {
        let mut lease = lease(0);
        let (mut at, mut tries) = (1800, Vec::new());
        while at < 3600 {
            let now = after(at as i64, at);
            assert!(lease.is_due(now));
            lease.failed_with_jitter(now, 255);
            tries.push(at);
            let pause = lease.due - now.up;
            assert!((1..=38).contains(&pause), "{at} {pause}");
            at += pause;
        }
        assert_eq!(tries[..6], [1800, 1801, 1803, 1807, 1816, 1835]);
        // Closer to the end again: the last is in its last seconds.
        assert!(*tries.last().unwrap() >= 3598 && tries.len() > 50, "{tries:?}");
        // And it goes on behind the end.
        let now = after(4000, 4000);
        lease.failed_with_jitter(now, 0);
        assert_eq!((lease.left(now), lease.due - now.up), (0, PAUSE));
    }

    #[test]
    fn a_jump_is_seen() {
        // Forward by a day: over by the wall's clock, and due at once.
        let mut late = lease(0);
        assert!(!late.is_due(after(5, 5)));
        let now = after(10 + DAY as i64, 10);
        assert!(late.is_due(now) && late.left(now) == 0);
        // After a success all is well, in the new time.
        let mut late = Lease::with_jitter(now, now.wall + 3600, 0);
        let next = after(15 + DAY as i64, 15);
        assert!(!late.is_due(next) && late.left(next) == 3595);
        // Once: a failure has its pause.
        let mut late = lease(0);
        assert!(late.is_due(now));
        late.failed_with_jitter(now, 0);
        assert!(!late.is_due(now));

        // Back by a day: due, and nothing is longer than it was.
        let mut early = lease(0);
        let now = after(100 - DAY as i64, 100);
        assert!(early.is_due(now));
        assert_eq!(early.left(now), 3500);
        early.failed_with_jitter(now, 0);
        let now = after(3600 - DAY as i64, 3600);
        assert!(early.is_due(now) && early.left(now) == 0);
        // Nor is the next, whose end is written in the broker's time.
        let next = early.renewed(now, START.wall + 7200);
        assert_eq!(next.left(now), 3600);
        assert_eq!(next.left(after(3700 - DAY as i64, 3700)), 3500);
        assert!(next.due <= now.up + 2700);
        let mut next = next.renewed(after(3710 - DAY as i64, 3710), START.wall + 7310);
        assert!(!next.is_due(after(3715 - DAY as i64, 3715)));
        // A clock that is put right again: as it was.
        assert!(next.is_due(after(3720, 3720)) && next.left(after(3720, 3720)) == 3590);
        // By seconds, as time servers do: none.
        assert!(!lease(0).is_due(after(12, 5)) && !lease(0).is_due(after(3, 9)));
        // Asleep for an hour: both have gone on.
        let mut slept = lease(0);
        let now = after(4000, 4000);
        assert!(slept.is_due(now) && slept.left(now) == 0);
    }

    #[test]
    fn pauses() {
        let longest = Duration::from_secs(5);
        let lease = lease(0);
        assert_eq!(lease.pause(after(0, 0), longest), longest);
        assert_eq!(lease.pause(after(1798, 1798), longest), Duration::from_secs(2));
        assert_eq!(lease.pause(after(3599, 3599), longest), Duration::from_secs(1));
        assert_eq!(lease.pause(after(9999, 9999), longest), Duration::from_secs(1));
    }
}
