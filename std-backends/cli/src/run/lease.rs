//! When secrets are renewed, and when their lease has ended.
//!
//! How long one lasts is the broker's word: from the time of its answer to the end in it. From before it was asked
//! that is counted here on two clocks: that of the wall, which anybody may set, and the time since the system was
//! started, which only goes forward. The lease ends by whichever says so first, and a wall's clock that was set
//! makes no lease longer. A difference between the two is a jump: then it is looked for new secrets at once,
//! whatever was due; by the wall's clock alone a lease ends while a virtual machine is stopped.

use std::time::Duration;

use cloudauth_client::Secrets;
use cloudauth_core::UnixTime;
use rustix::time::{ClockId, clock_gettime};

use crate::context::random;
use crate::live::system_seconds;

/// The clocks may differ by this without a jump, in seconds: time servers correct them.
const SLACK: u64 = 10;
/// No lease is longer, in seconds, whatever a broker says: a week, which is the longest of ours.
const LONGEST: u64 = 604_800;
/// The longest pause after failures, in seconds.
const PAUSE: u64 = 30;

/// How long secrets serve, in seconds: by the broker's clock alone. Only where its answer had no time it is that of
/// `asked`, which is before the broker was.
pub(super) fn life(secrets: &Secrets, asked: Moment) -> u64 {
    let from = secrets.issued.map_or(asked.wall, UnixTime::as_secs);
    secrets.expiration.as_secs().saturating_sub(from).min(LONGEST)
}

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
    /// Before the broker was asked.
    obtained: Moment,
    life: u64,
    /// The time since start at which it is tried to renew it.
    due: u64,
    failures: u32,
    /// At the last look.
    seen: Moment,
}

impl Lease {
    /// Renewed after half of it to three quarters: clients that began together do not come back together, and a
    /// quarter at least is left for what goes wrong.
    pub(super) fn new(asked: Moment, life: u64) -> Self {
        Self::with_jitter(asked, life, drawn())
    }

    /// The lease of what came in the place of what has this one.
    pub(super) fn renewed(&self, asked: Moment, life: u64) -> Self {
        Self::new(Moment { wall: self.latest(asked), up: asked.up }, life).seen_at(asked)
    }

    fn seen_at(self, seen: Moment) -> Self {
        Self { seen, ..self }
    }

    /// What the wall's clock shows, or would if nobody had set it back since the lease began.
    fn latest(&self, now: Moment) -> u64 {
        let age = now.up.saturating_sub(self.obtained.up);
        now.wall.max(self.obtained.wall.saturating_add(age))
    }

    fn with_jitter(asked: Moment, life: u64, jitter: u8) -> Self {
        let due = asked.up.saturating_add(life / 2 + share(life / 4, jitter));
        Self { obtained: asked, life, due, failures: 0, seen: asked }
    }

    /// Seconds until it ends.
    pub(super) fn left(&self, now: Moment) -> u64 {
        self.life.saturating_sub(self.latest(now).saturating_sub(self.obtained.wall))
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
        Lease::with_jitter(START, 3600, jitter)
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
            (0..100).map(|_| Lease::new(START, 3600).due).collect();
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
        let mut late = Lease::with_jitter(now, 3600, 0);
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
        // Nor is the next.
        let next = early.renewed(now, 3600);
        assert_eq!(next.left(now), 3600);
        assert_eq!(next.left(after(3700 - DAY as i64, 3700)), 3500);
        assert!(next.due <= now.up + 2700);
        let mut next = next.renewed(after(3710 - DAY as i64, 3710), 3600);
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
    fn the_broker_s_clock_says_how_long() {
        let at = |seconds| UnixTime::new(seconds).unwrap();
        let secrets = |issued, expiration| Secrets {
            bundle: std::collections::BTreeMap::new(),
            expiration: at(expiration),
            issued,
        };
        let (issued, end) = (START.wall, START.wall + 3600);
        // Here it is a day later, or earlier: as long, and counted from here.
        for jump in [DAY as i64, 0, -(DAY as i64)] {
            let asked = after(jump, 0);
            assert_eq!(life(&secrets(Some(at(issued)), end), asked), 3600);
            let mut first = Lease::with_jitter(asked, 3600, 0);
            assert_eq!(first.left(after(jump + 3599, 3599)), 1);
            assert_eq!(first.left(after(jump + 3600, 3600)), 0);
            assert!(!first.is_due(after(jump + 10, 10)));
            // The clock jumps, there is a renewal, and the lease is as long by the time that goes forward.
            for more in [DAY as i64, -(DAY as i64)] {
                let mut lease = Lease::with_jitter(asked, 3600, 0);
                let now = after(jump + 1000 + more, 1000);
                assert!(lease.is_due(now));
                let mut next =
                    lease.renewed(now, life(&secrets(Some(at(issued + 1000)), end + 1000), now));
                assert!(!next.is_due(after(jump + 1010 + more, 1010)));
                assert_eq!(next.left(after(jump + 4599 + more, 4599)), 1);
                assert_eq!(next.left(after(jump + 4600 + more, 4600)), 0);
                // Set back meanwhile, too.
                assert_eq!(next.left(after(-9 * DAY as i64, 4600)), 0);
            }
        }
        // What a broker cannot mean, it does not get.
        assert_eq!(life(&secrets(Some(at(issued)), issued + 9_000_000), START), LONGEST);
        assert_eq!(life(&secrets(Some(at(end)), issued), START), 0);
        // One that does not tell the time: by the clock here, but no longer.
        assert_eq!(life(&secrets(None, end), after(60, 0)), 3540);
        assert_eq!(life(&secrets(None, end), after(-9 * DAY as i64, 0)), LONGEST);
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
