//! Times as Unix seconds, and the forms in which the services write them.

use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const BASIC: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const HTTP: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The furthest that the emulator's clock may stand off the machine's: a hundred years of seconds.
pub(crate) const MAX_OFFSET: i64 = 100 * 366 * 86_400;

/// The machine's clock.
pub(crate) fn system() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn utc(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `20150830T123600Z`, as SigV4 writes it.
pub(crate) fn basic(seconds: i64) -> String {
    utc(seconds).format(BASIC).unwrap_or_default()
}

/// `2015-08-30T12:36:00Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    utc(seconds).format(RFC3339).unwrap_or_default()
}

/// `Sun, 30 Aug 2015 12:36:00 GMT`, as the header `Date` has it (RFC 9110, section 5.6.7).
pub(crate) fn http_date(seconds: i64) -> String {
    utc(seconds).format(HTTP).unwrap_or_default()
}

/// Reads `20150830T123600Z`; nothing before 1970.
pub(crate) fn parse_basic(text: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(text, BASIC).ok()?.assume_utc().unix_timestamp();
    (text.len() == 16 && time >= 0).then_some(time)
}

/// Reads `2015-08-30T12:36:00Z`; nothing before 1970.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(text, RFC3339).ok()?.assume_utc().unix_timestamp();
    (time >= 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let time = parse_basic("20150830T123600Z").unwrap();
        assert_eq!(time, 1_440_938_160);
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00Z"), Some(time));
        assert_eq!(basic(time), "20150830T123600Z");
        assert_eq!(rfc3339(time), "2015-08-30T12:36:00Z");
        assert_eq!(http_date(time), "Sun, 30 Aug 2015 12:36:00 GMT");
        for wrong in ["", "20150830", "20150830T123600", "20151330T123600Z", "19690101T000000Z"] {
            assert_eq!(parse_basic(wrong), None, "{wrong}");
        }
    }
}
