//! Token buckets, one for each address or grant, in a bounded room.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::server::Rate;

/// The most buckets. Those that are full need none, and are dropped when there is no room.
const MAX_BUCKETS: usize = 65_536;
/// How often, in nanoseconds, full buckets are looked for at most.
const SWEEP_AFTER: u64 = 1_000_000_000;

/// The buckets of one kind.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    began: Instant,
    most: usize,
    inner: Mutex<Inner<K>>,
}

/// When each bucket will be full, in nanoseconds since the beginning: all there is to know of one.
#[derive(Debug)]
struct Inner<K> {
    full_at: HashMap<K, u64>,
    /// Shared by all that find no room.
    others: u64,
    swept: u64,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new() -> Self {
        Self::with_room(MAX_BUCKETS)
    }

    fn with_room(most: usize) -> Self {
        let inner = Inner { full_at: HashMap::new(), others: 0, swept: 0 };
        Self { began: Instant::now(), most, inner: Mutex::new(inner) }
    }

    /// Takes one out of the bucket of `key`.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub(super) fn take(&self, key: K, rate: Rate) -> Result<(), Duration> {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.take_at(key, rate, now)
    }

    fn take_at(&self, key: K, rate: Rate, now: u64) -> Result<(), Duration> {
        // At least 13 nanoseconds: per-minute has 32 bits.
        let each = 60_000_000_000 / u64::from(rate.per_minute.get());
        let room = each.saturating_mul(rate.burst.get().into());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.full_at.len() >= self.most
            && !inner.full_at.contains_key(&key)
            && now.saturating_sub(inner.swept) >= SWEEP_AFTER
        {
            inner.swept = now;
            inner.full_at.retain(|_, full_at| *full_at > now);
        }
        let full_at = if inner.full_at.len() < self.most || inner.full_at.contains_key(&key) {
            inner.full_at.entry(key).or_default()
        } else {
            &mut inner.others
        };
        let next = now.max(*full_at).saturating_add(each);
        match next.saturating_sub(now).checked_sub(room) {
            None | Some(0) => {
                *full_at = next;
                Ok(())
            }
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, within which a host chooses its
/// addresses freely.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const SECOND: u64 = 1_000_000_000;

    fn rate(per_minute: u32, burst: u32) -> Rate {
        let number = |n| NonZeroU32::new(n).unwrap();
        Rate { per_minute: number(per_minute), burst: number(burst) }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let buckets = Buckets::new();
        let rate = rate(60, 3);
        for _ in 0..3 {
            assert_eq!(buckets.take_at("a", rate, 5 * SECOND), Ok(()));
        }
        assert_eq!(buckets.take_at("a", rate, 5 * SECOND), Err(Duration::from_secs(1)));
        // Another's is another.
        assert_eq!(buckets.take_at("b", rate, 5 * SECOND), Ok(()));
        assert!(buckets.take_at("a", rate, 6 * SECOND - 1).is_err());
        assert_eq!(buckets.take_at("a", rate, 6 * SECOND), Ok(()));
        assert!(buckets.take_at("a", rate, 6 * SECOND).is_err());
        // It never holds more than the burst.
        for _ in 0..3 {
            assert_eq!(buckets.take_at("a", rate, 1000 * SECOND), Ok(()));
        }
        assert!(buckets.take_at("a", rate, 1000 * SECOND).is_err());
    }

    #[test]
    fn the_room_is_bounded() {
        let buckets = Buckets::with_room(2);
        let rate = rate(60, 1);
        assert!(buckets.take_at(1, rate, 0).is_ok());
        assert!(buckets.take_at(2, rate, 0).is_ok());
        // No room: these two share one bucket.
        assert!(buckets.take_at(3, rate, 0).is_ok());
        assert!(buckets.take_at(4, rate, 0).is_err());
        assert_eq!(buckets.inner.lock().unwrap().full_at.len(), 2);
        // The first ones keep theirs.
        assert!(buckets.take_at(1, rate, SECOND / 2).is_err());
        // Full again: forgotten.
        assert!(buckets.take_at(4, rate, 2 * SECOND).is_ok());
        assert!(buckets.take_at(3, rate, 2 * SECOND).is_ok());
        assert_eq!(buckets.inner.lock().unwrap().full_at.len(), 2);
    }

    #[test]
    fn networks() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    proptest! {
        // In no stretch of time more than the burst and what comes back in it.
        #[test]
        fn never_too_many(
            per_minute in 1_u32..100_000,
            burst in 1_u32..50,
            waits in prop::collection::vec(0_u64..3 * SECOND, 1..200),
        ) {
            let buckets = Buckets::new();
            let rate = rate(per_minute, burst);
            let (mut now, mut taken) = (0, Vec::new());
            for wait in waits {
                now += wait;
                match buckets.take_at((), rate, now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => {
                        let wait = u64::try_from(wait.as_nanos()).unwrap();
                        // What it says is enough.
                        if wait < SECOND {
                            now += wait;
                            prop_assert!(buckets.take_at((), rate, now).is_ok());
                            taken.push(now);
                        }
                    }
                }
            }
            for (i, from) in taken.iter().enumerate() {
                for (count, to) in taken[i..].iter().enumerate() {
                    let back = u128::from(to - from) * u128::from(per_minute) / 60_000_000_000;
                    prop_assert!(u128::try_from(count + 1).unwrap() <= back + u128::from(burst) + 1);
                }
            }
        }
    }
}
