//! When to try again, and with what time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloudauth_core::UnixTime;

/// The first wait is at most this long; the bound doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The longest that a service's `Retry-After` is waited for within a call.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// From how many seconds on a clock is held to be wrong.
const TOLERANCE: u64 = 60;

/// The largest correction, in seconds. A clock that is further off is for its owner to mend.
const LARGEST_CORRECTION: u64 = 86_400;

/// How long to wait before try `n` (the second is 1): exponential with full jitter, from 64 random bits.
pub(crate) fn backoff(n: u32, random: u64) -> Duration {
    let bound = FIRST_WAIT.saturating_mul(1 << n.saturating_sub(1).min(10)).min(LONGEST_WAIT);
    let micros = (u128::from(random) * bound.as_micros()) >> 64;
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which counts from the service's own
/// `Date` where there is one.
pub(crate) fn retry_after(value: &str, date: Option<UnixTime>, now: UnixTime) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let then = http_date(value)?.as_secs();
    Some(Duration::from_secs(then.saturating_sub(date.unwrap_or(now).as_secs())))
}

/// A date of HTTP (RFC 9110, section 5.6.7).
pub(crate) fn http_date(value: &str) -> Option<UnixTime> {
    unix_time(httpdate::parse_http_date(value).ok()?)
}

fn unix_time(time: SystemTime) -> Option<UnixTime> {
    UnixTime::new(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// The system's time, corrected by `offset` seconds.
pub(crate) fn now(offset: i64) -> UnixTime {
    shift(unix_time(SystemTime::now()).unwrap_or(UnixTime::MAX.minus(u64::MAX)), offset)
}

fn shift(time: UnixTime, offset: i64) -> UnixTime {
    let by = offset.unsigned_abs();
    if offset < 0 { time.minus(by) } else { time.plus(by) }
}

/// By how many seconds the service's clock is ahead of the one used; none within the tolerance.
pub(crate) fn skew(service: UnixTime, used: UnixTime) -> Option<i64> {
    let difference = i128::from(service.as_secs()) - i128::from(used.as_secs());
    let difference = i64::try_from(difference).ok()?;
    (difference.unsigned_abs() > TOLERANCE).then_some(difference)
}

/// The offset after a further correction by `skew`, unless that is too large to believe.
pub(crate) fn corrected(offset: i64, skew: i64) -> Option<i64> {
    offset.checked_add(skew).filter(|sum| sum.unsigned_abs() <= LARGEST_CORRECTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::new(seconds).unwrap()
    }

    #[test]
    fn waits_grow_to_a_cap() {
        let millis = |n, random| backoff(n, random).as_millis();
        assert_eq!((millis(1, 0), millis(1, u64::MAX)), (0, 199));
        assert_eq!((millis(2, u64::MAX), millis(3, u64::MAX)), (399, 799));
        assert_eq!((millis(6, u64::MAX), millis(u32::MAX, u64::MAX)), (4999, 4999));
        assert_eq!(millis(3, u64::MAX / 2), 399);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = at(784_111_777);
        let of = |value, date| retry_after(value, date, now).map(|d| d.as_secs());
        assert_eq!(of("120", None), Some(120));
        assert_eq!(of("99999999999999999999999", None), Some(u64::MAX));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:37 GMT", None), Some(60));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:37 GMT", Some(at(784_111_787))), Some(50));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:00 GMT", None), Some(0));
        for bad in ["", "-1", "1.5", "soon", "+1"] {
            assert_eq!(of(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn clocks() {
        assert_eq!(skew(at(1000), at(940)), None);
        assert_eq!(skew(at(1000), at(939)), Some(61));
        assert_eq!(skew(at(1000), at(5000)), Some(-4000));
        assert_eq!(corrected(0, 86_400), Some(86_400));
        assert_eq!(corrected(0, 86_401), None);
        assert_eq!(corrected(-100, -86_400), None);
        assert_eq!(corrected(3600, -3600), Some(0));
        assert_eq!(corrected(1, i64::MAX), None);
        assert_eq!(shift(at(10), -20), at(0));
    }
}
