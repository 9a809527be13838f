//! Seconds since the epoch, and the two ways the clouds write them.

use crate::{Error, Result};

/// A moment in whole seconds since 1970-01-01T00:00:00Z, up to the end of the year 9999, so that it can
/// always be written with four digits of year. Nothing in this crate reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

const DAY: u64 = 86_400;

impl UnixTime {
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// `seconds` since the epoch.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) after the year 9999.
    pub const fn new(seconds: u64) -> Result<Self> {
        if seconds > Self::MAX.0 {
            return Err(Error::invalid("time", "must be before the year 10000"));
        }
        Ok(Self(seconds))
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This moment and `seconds` more, at most [`UnixTime::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        let sum = self.0.saturating_add(seconds);
        if sum > Self::MAX.0 { Self::MAX } else { Self(sum) }
    }

    /// This moment less `seconds`, at least the epoch.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// `YYYYMMDD`, the date of an AWS credential scope.
    #[must_use]
    pub fn date(self) -> [u8; 8] {
        let [y1, y2, y3, y4, m1, m2, d1, d2, ..] = self.basic();
        [y1, y2, y3, y4, m1, m2, d1, d2]
    }

    /// `YYYYMMDDTHHMMSSZ` (ISO 8601 basic), as AWS writes it in `X-Amz-Date`.
    #[must_use]
    pub fn basic(self) -> [u8; 16] {
        let (day, seconds) = self.day_and_seconds();
        let (year, month, day) = civil(day);
        let (minutes, second) = divide(seconds, 60);
        let ((hour, minute), (century, year)) = (divide(minutes, 60), divide(year, 100));
        let fields = [century, year, month, day, hour, minute, second];
        let mut text = *b"________T______Z";
        let mut at = 0;
        for n in fields {
            // Behind the T.
            at += usize::from(at == 8);
            if let Some([tens, ones]) = text.get_mut(at..at + 2) {
                [*tens, *ones] = two(n);
            }
            at += 2;
        }
        text
    }

    /// `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, section 5.6).
    #[must_use]
    pub fn rfc3339(self) -> [u8; 20] {
        let [y1, y2, y3, y4, m1, m2, d1, d2, t, h1, h2, n1, n2, s1, s2, z] = self.basic();
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, t, h1, h2, b':', n1, n2, b':', s1, s2, z]
    }

    /// Reads RFC 3339 (any offset; a fraction of a second is dropped) or ISO 8601 basic in UTC.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) for anything else, for dates that do not exist, and
    /// for times outside 1970 to 9999. A leap second is read as the second before it.
    pub fn parse(text: &str) -> Result<Self> {
        const BAD: Error =
            Error::malformed("time", "expected RFC 3339, such as 2026-11-22T12:00:00Z");
        let mut at = Cursor { rest: text.as_bytes() };
        let year = at.number(4).ok_or(BAD)?;
        let extended = at.eat(b'-');
        let month = at.number(2).ok_or(BAD)?;
        if extended && !at.eat(b'-') {
            return Err(BAD);
        }
        let day = at.number(2).ok_or(BAD)?;
        // RFC 3339 section 5.6 allows lower case and, for people's sake, a space.
        if !(at.eat(b'T') || extended && (at.eat(b't') || at.eat(b' '))) {
            return Err(BAD);
        }
        let hour = at.number(2).ok_or(BAD)?;
        if extended && !at.eat(b':') {
            return Err(BAD);
        }
        let minute = at.number(2).ok_or(BAD)?;
        if extended && !at.eat(b':') {
            return Err(BAD);
        }
        let second = at.number(2).ok_or(BAD)?;
        if extended && at.eat(b'.') {
            at.number(1).ok_or(BAD)?;
            while at.number(1).is_some() {}
        }
        let mut offset = 0;
        let mut east = false;
        if !(at.eat(b'Z') || extended && at.eat(b'z')) {
            east = at.eat(b'+');
            if !extended || !east && !at.eat(b'-') {
                return Err(BAD);
            }
            let hours = at.number(2).filter(|h| *h < 24).ok_or(BAD)?;
            if !at.eat(b':') {
                return Err(BAD);
            }
            let minutes = at.number(2).filter(|m| *m < 60).ok_or(BAD)?;
            offset = (hours * 60 + minutes) * 60;
        }
        let exists = (1..=12).contains(&month)
            && day >= 1
            && day <= days_in_month(year, month)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !exists || year < 1970 || !at.rest.is_empty() {
            return Err(BAD);
        }
        let local = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second.min(59);
        let utc = if east { local.checked_sub(offset) } else { local.checked_add(offset) };
        utc.and_then(|secs| Self::new(secs).ok()).ok_or(BAD)
    }

    /// The day since the epoch, and the seconds of the day, with divisions of 32 bits: a microcontroller
    /// has no others.
    fn day_and_seconds(self) -> (u32, u32) {
        // A day has 675 times 128 seconds.
        let count = u32::try_from(self.0 >> 7).unwrap_or_default();
        let (day, rest) = divide(count, 675);
        (day, rest << 7 | (self.0 & 127) as u32)
    }
}

/// The two digits of what is below 100.
#[allow(clippy::cast_possible_truncation)]
fn two(n: u32) -> [u8; 2] {
    let (tens, ones) = divide(n, 10);
    [b'0' + tens as u8, b'0' + ones as u8]
}

/// Quotient and remainder. A processor with a divider needs less code for it than for the multiplication
/// that a compiler puts in its place.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
const fn divide(n: u32, by: u32) -> (u32, u32) {
    match n.checked_div(by) {
        Some(quotient) => (quotient, n - quotient * by),
        None => (0, 0),
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn eat(&mut self, c: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == c => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn number(&mut self, digits: usize) -> Option<u64> {
        let mut n = 0;
        for _ in 0..digits {
            let (first, rest) = self.rest.split_first()?;
            if !first.is_ascii_digit() {
                return None;
            }
            n = n * 10 + u64::from(first - b'0');
            self.rest = rest;
        }
        Some(n)
    }
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, year >= 1970. The year is
/// counted from March, so that the leap day is its last and the month lengths follow one formula.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468
}

/// The date of a day since 1970-01-01: year, month, day. C. Neri and L. Schneider, "Euclidean affine functions
/// and their application to calendar algorithms" (2022), figure 12: quarters of days in centuries, then in
/// years, both counted from March.
const fn civil(day: u32) -> (u32, u32, u32) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let (century, rest) = divide(4 * (day + 719_468) + 3, 146_097);
    let (year, rest) = divide(rest | 3, 1461);
    let day = rest >> 2;
    // Months of 2141 / 65536 of a day each come to the days at which they begin.
    let months = 2141 * day + 197_913;
    let (month, carry) = if day < 306 { (months >> 16, 0) } else { ((months >> 16) - 12, 1) };
    (100 * century + year + carry, month, divide(months & 0xffff, 2141).0 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(s: &str) -> Option<u64> {
        UnixTime::parse(s).ok().map(UnixTime::as_secs)
    }

    // Against the formula the other way about.
    #[test]
    fn every_day_has_its_date() {
        let last = u32::try_from(UnixTime::MAX.as_secs() / DAY).unwrap();
        for day in 0..=last {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year.into(), month.into(), of_month.into()), u64::from(day));
            assert!(
                of_month >= 1 && u64::from(of_month) <= days_in_month(year.into(), month.into())
            );
            assert!((1..=12).contains(&month));
        }
    }

    // Values by `date -u +%s -d …`.
    #[test]
    fn known_times() {
        assert_eq!(parse("2015-08-30T12:36:00Z"), Some(1_440_938_160));
        assert_eq!(parse("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(parse("2024-02-29T23:59:60z"), Some(1_709_251_199));
        assert_eq!(parse("2026-11-22 13:00:00.123456+01:00"), Some(1_795_348_800));
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("9999-12-31T23:59:59Z"), Some(253_402_300_799));
        assert_eq!(&UnixTime::new(1_440_938_160).unwrap().basic(), b"20150830T123600Z");
        assert_eq!(&UnixTime::new(951_782_400).unwrap().rfc3339(), b"2000-02-29T00:00:00Z");
    }

    #[test]
    fn refusals() {
        for bad in [
            "",
            "2015",
            "2015-08-30",
            "2015-08-30T12:36:00",
            "2015-13-01T00:00:00Z",
            "2015-02-29T00:00:00Z",
            "2015-08-30T24:00:00Z",
            "2015-08-30T12:36:00Zx",
            "20150830T123600",
            "20150830t123600Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "2015-08-30T12:36:00.Z",
            "2015-08-30T12:36:00+2400",
            "２015-08-30T12:36:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(UnixTime::new(UnixTime::MAX.as_secs() + 1).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(secs in 0..=UnixTime::MAX.as_secs()) {
            let t = UnixTime::new(secs).unwrap();
            prop_assert_eq!(parse(core::str::from_utf8(&t.rfc3339()).unwrap()), Some(secs));
            prop_assert_eq!(parse(core::str::from_utf8(&t.basic()).unwrap()), Some(secs));
        }

        #[test]
        fn never_panics(s in "\\PC{0,40}") {
            let _ = UnixTime::parse(&s);
        }
    }
}
