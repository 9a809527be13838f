//! The time of a cache: the wall clock, and a clock that nobody can set back.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cloudauth_core::UnixTime;

/// One reading of a [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The wall clock: what expiry is written in. It can be set back.
    pub(crate) time: UnixTime,
    /// Seconds that only ever grow while the system is up, the same for all its processes.
    pub(crate) uptime: u64,
}

/// Where a cache reads the time.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    /// A clock that asks `read` each time.
    pub(crate) fn new(read: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The clocks of this system.
    pub(crate) fn system() -> Self {
        Self::new(|| {
            // Before 1970 it is the epoch: a clock so wrong is the service's to refuse.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let time = UnixTime::new(since.as_secs()).unwrap_or(UnixTime::MAX);
            Moment { time, uptime: uptime() }
        })
    }

    /// What it shows now.
    pub(crate) fn now(&self) -> Moment {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Time spent asleep counts where the system can say it: a laptop's credentials expire with the lid shut.
#[cfg(unix)]
fn uptime() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;
    u64::try_from(clock_gettime(CLOCK).tv_sec).unwrap_or(0)
}

/// Since the first reading: there is no file cache here that would compare it with other processes.
#[cfg(not(unix))]
fn uptime() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Mutex;

    use super::*;

    /// A clock that stands still until it is moved.
    #[derive(Clone)]
    pub(crate) struct HandClock(Arc<Mutex<Moment>>);

    impl HandClock {
        /// Some day in 2026.
        pub(crate) fn new() -> Self {
            let time = UnixTime::new(1_790_000_000).unwrap();
            Self(Arc::new(Mutex::new(Moment { time, uptime: 50_000 })))
        }

        pub(crate) fn clock(&self) -> Clock {
            let shared = self.clone();
            Clock::new(move || shared.now())
        }

        pub(crate) fn now(&self) -> Moment {
            *self.0.lock().unwrap()
        }

        /// Time goes by.
        pub(crate) fn pass(&self, seconds: u64) {
            let mut now = self.0.lock().unwrap();
            now.time = now.time.plus(seconds);
            now.uptime += seconds;
        }

        /// Somebody sets the wall clock back.
        pub(crate) fn set_back(&self, seconds: u64) {
            let mut now = self.0.lock().unwrap();
            now.time = now.time.minus(seconds);
        }

        /// The system starts again.
        pub(crate) fn reboot(&self) {
            self.0.lock().unwrap().uptime = 10;
        }
    }

    #[test]
    fn the_system_s_clock_goes_forward() {
        let clock = Clock::system();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.time.as_secs() > 1_700_000_000);
        assert!(second.uptime >= first.uptime && second.uptime <= first.uptime + 5);
        assert_eq!(format!("{clock:?}"), "Clock");
    }
}
