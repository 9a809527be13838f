//! Reading STS's answers, of which XML and JSON hold the same.

use super::check::is_plain;
use crate::aws::Credentials;
use crate::exchange::{Failure, Secret, ServiceError};
use crate::http::ResponseHead;
use crate::json::{self, Kind, Value};
use crate::xml::{self, Element};
use crate::{Error, Result, UnixTime};

/// A part of an answer.
#[derive(Clone, Copy)]
pub(super) enum Node<'b> {
    /// A JSON value.
    Json(Value<'b>),
    /// A whole XML document, whose one part is its root.
    Document(Element<'b>),
    /// An XML element.
    Xml(Element<'b>),
}

/// The result inside its two `wrappers`.
pub(super) fn result<'b>(
    head: &ResponseHead<'b>,
    body: &'b mut [u8],
    wrappers: [&'static str; 2],
) -> core::result::Result<Node<'b>, Failure<'b>> {
    let status = head.status;
    let answer = document(body);
    // Whatever the body is, a proxy's page in HTML too, it must not hide the status.
    let refused = answer.ok().and_then(|answer| answer.refusal(status));
    if status != 200 || refused.is_some() {
        let unnamed = ServiceError { status, code: "", message: "" };
        return Err(Failure::Service(refused.unwrap_or(unnamed)));
    }
    let [response, result] = wrappers;
    Ok(answer?.required(response)?.required(result)?)
}

fn document(body: &mut [u8]) -> Result<Node<'_>> {
    match body.trim_ascii_start().first() {
        Some(b'<') => xml::parse(body).map(Node::Document),
        Some(b'{') => json::parse(body).map(Node::Json),
        _ => Err(Error::malformed("answer", "expected XML or JSON")),
    }
}

impl<'b> Node<'b> {
    /// The part `name`; a JSON null is none.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<Self>> {
        Ok(match self {
            Self::Json(value) => {
                value.get(name).filter(|part| part.kind() != Kind::Null).map(Self::Json)
            }
            Self::Document(root) => (root.name() == name).then_some(Self::Xml(*root)),
            Self::Xml(element) => element.child(name)?.map(Self::Xml),
        })
    }

    fn required(&self, name: &'static str) -> Result<Self> {
        self.get(name)?.ok_or(Error::malformed(name, "missing"))
    }

    /// The text of the part `name`; none where it is empty, as some other makers' services leave it.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'b str>> {
        let text = match self.get(name)? {
            None => "",
            Some(Self::Json(value)) => {
                value.as_str().ok_or(Error::malformed(name, "must be a string"))?
            }
            Some(Self::Document(element) | Self::Xml(element)) => match element.children().next() {
                None => element.text(),
                Some(_) => return Err(Error::malformed(name, "must be text")),
            },
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The text of the part `name`, which must be there and not be empty.
    pub(super) fn filled(&self, name: &'static str) -> Result<&'b str> {
        self.text(name)?.ok_or(Error::malformed(name, "missing or empty"))
    }

    /// A text that goes into headers and configuration files later.
    fn plain(&self, name: &'static str) -> Result<&'b str> {
        let text = self.filled(name)?;
        if is_plain(text) {
            Ok(text)
        } else {
            Err(Error::malformed(name, "expected printable characters without spaces"))
        }
    }

    pub(super) fn number(&self, name: &'static str) -> Result<Option<u32>> {
        let text = match self.get(name)? {
            Some(Self::Json(value)) => value.number_text(),
            _ => self.text(name)?,
        };
        let number = |text: &str| text.parse().map_err(|_| Error::malformed(name, "is no number"));
        match text {
            Some(text) => number(text).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn credentials(&self) -> Result<Credentials<'b>> {
        let keys = self.required("Credentials")?;
        Ok(Credentials {
            access_key_id: keys.plain("AccessKeyId")?,
            secret_access_key: Secret::new(keys.plain("SecretAccessKey")?),
            session_token: Secret::new(keys.plain("SessionToken")?),
            expiration: keys.time("Expiration")?,
        })
    }

    /// RFC 3339, or in JSON a number of seconds.
    fn time(&self, name: &'static str) -> Result<UnixTime> {
        let wrong = Error::malformed(name, "expected RFC 3339 or seconds since 1970");
        let number = match self.get(name)? {
            Some(Self::Json(value)) => value.number_text(),
            _ => None,
        };
        match number {
            Some(number) => UnixTime::new(whole(number).ok_or(wrong)?).map_err(|_| wrong),
            None => UnixTime::parse(self.filled(name)?).map_err(|_| wrong),
        }
    }

    /// What the service says when it refuses: in XML `ErrorResponse/Error` (other makers may have
    /// `Errors` between), in JSON `Error`.
    fn refusal(&self, status: u16) -> Option<ServiceError<'b>> {
        let part = |of: &Self, name| of.get(name).ok().flatten();
        let response = part(self, "ErrorResponse").unwrap_or(*self);
        let errors = part(&response, "Errors").unwrap_or(response);
        let error = part(&errors, "Error")?;
        let text = |name| error.text(name).ok().flatten().unwrap_or_default();
        Some(ServiceError { status, code: text("Code"), message: text("Message") })
    }
}

/// The whole part of a JSON number that is not negative: `1.79534880E9` is how AWS may write a time.
fn whole(number: &str) -> Option<u64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let count = usize::try_from(i64::try_from(before.len()).ok()? + i64::from(exponent)).ok()?;
    // More digits than a time has; also a bound for the loop.
    if count > 20 {
        return None;
    }
    let digits = before.bytes().chain(behind.bytes()).chain(core::iter::repeat(b'0'));
    digits.take(count).try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        for (text, want) in [
            ("1795348800", Some(1_795_348_800)),
            ("1795348800.999", Some(1_795_348_800)),
            ("1.7953488E9", Some(1_795_348_800)),
            ("1.7953488009e+9", Some(1_795_348_800)),
            ("17953488000e-1", Some(1_795_348_800)),
            ("0", Some(0)),
            ("0.5e1", Some(5)),
            ("12e-5", None),
            ("1e19", Some(10_000_000_000_000_000_000)),
            ("1e20", None),
            ("1e999999999999", None),
            ("1e2147483647", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("-0.5", None),
        ] {
            assert_eq!(whole(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_as_floating_point(n in 0u64..1 << 48, tenths in 0u8..10) {
            let number = n as f64 + f64::from(tenths) / 10.0;
            for text in [format!("{number}"), format!("{number:e}"), format!("{number:E}")] {
                // Below 1 the whole part has no digits; no time is that early.
                if n > 0 {
                    prop_assert_eq!(whole(&text), Some(n), "{}", text);
                }
            }
        }

        #[test]
        fn numbers_never_panic(text in "-?[0-9]{0,25}(\\.[0-9]{0,5})?([eE][+-]?[0-9]{0,12})?") {
            let _ = whole(&text);
        }
    }
}
