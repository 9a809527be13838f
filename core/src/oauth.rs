//! What OAuth 2.0 token endpoints are sent and answer (RFC 6749), for Entra ID and Google alike.

use crate::encode::form::Form;
use crate::encode::percent;
use crate::exchange::{Attempt, Draft, Failure, Secret, ServiceError};
use crate::http::ResponseHead;
use crate::json::{self, Kind, Value};
use crate::out::{Out, Sink};
use crate::{Assertion, Error, Result};

/// The longest life of a token that is believed: a year. The longest that Google gives is 12 hours, the
/// longest that Entra ID gives 28.
const MAX_LIFETIME: u64 = 366 * 86_400;

/// An access token out of an answer (RFC 6749, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessToken<'b> {
    /// The token: printable ASCII without spaces, so that it can go into a header as it is.
    pub access_token: Secret<'b>,
    /// `Bearer`, in the letter case of the answer.
    pub token_type: &'b str,
    /// How long it is good for, in seconds from the moment of the answer: never 0.
    pub expires_in: u64,
}

impl<'b> AccessToken<'b> {
    /// The token in an answer that [`good`] has passed.
    pub(crate) fn read(answer: &Value<'b>) -> Result<Self> {
        let token_type = answer.string("token_type")?;
        if !token_type.eq_ignore_ascii_case("Bearer") {
            return Err(Error::malformed("token_type", "expected Bearer"));
        }
        let expires_in = answer.get("expires_in");
        let expires_in = expires_in.ok_or(Error::malformed("expires_in", "is missing"))?;
        Ok(Self {
            access_token: token(answer, "access_token")?,
            token_type,
            expires_in: seconds(&expires_in)
                .ok_or(Error::malformed("expires_in", "expected 1 to 31622400 seconds"))?,
        })
    }
}

/// The answer as JSON, if it is a good one: status 200, and no `error` in it.
pub(crate) fn good<'b>(
    head: &ResponseHead<'b>,
    body: &'b mut [u8],
) -> core::result::Result<Value<'b>, Failure<'b>> {
    match json::parse(body) {
        Ok(answer) if head.status == 200 && answer.get("error").is_none() => Ok(answer),
        Ok(answer) => Err(Failure::Service(refusal(head.status, &answer))),
        Err(e) if head.status == 200 => Err(Failure::Answer(e)),
        // A proxy's page in HTML must not hide the status.
        Err(_) => {
            Err(Failure::Service(ServiceError { status: head.status, code: "", message: "" }))
        }
    }
}

/// The two forms of refusals: `{"error":"…","error_description":"…"}` (RFC 6749, section 5.2), and
/// `{"error":{"code":403,"message":"…","status":"PERMISSION_DENIED"}}` of Google's APIs.
fn refusal<'b>(status: u16, answer: &Value<'b>) -> ServiceError<'b> {
    let text = |value: Option<Value<'b>>| value.and_then(|v| v.as_str()).unwrap_or_default();
    let error = answer.get("error");
    let (code, message) = match error {
        Some(of_api) if of_api.kind() == Kind::Object => {
            (of_api.get("status"), of_api.get("message"))
        }
        _ => (error, answer.get("error_description")),
    };
    ServiceError { status, code: text(code), message: text(message) }
}

/// A token that can go into a header.
pub(crate) fn token<'b>(answer: &Value<'b>, name: &'static str) -> Result<Secret<'b>> {
    let token = answer.string(name)?;
    if is_token(token) {
        Ok(Secret::new(token))
    } else {
        Err(Error::malformed(name, "expected printable ASCII without spaces"))
    }
}

/// Printable ASCII without spaces, and not empty: what RFC 6750 lets stand behind `Bearer`, and more.
pub(crate) fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|c| c.is_ascii_graphic())
}

/// A span of time that can be believed. Some services send the number as a string.
pub(crate) fn seconds(value: &Value<'_>) -> Option<u64> {
    let seconds = match value.as_str() {
        Some(text) if text.bytes().all(|c| c.is_ascii_digit()) => text.parse().ok()?,
        Some(_) => return None,
        None => value.as_seconds()?,
    };
    (1..=MAX_LIFETIME).contains(&seconds).then_some(seconds)
}

/// Holds scopes to RFC 6749, section 3.3: joined by spaces, a scope with a space would be two. What
/// passes also needs no JSON escape.
pub(crate) fn check_scopes(scopes: &[&str]) -> Result<()> {
    let token = |c: u8| matches!(c, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if scopes.is_empty() {
        return Err(Error::invalid("scope", "expected at least one"));
    }
    if scopes.iter().any(|s| s.is_empty() || !s.bytes().all(token)) {
        return Err(Error::invalid(
            "scope",
            "expected one scope an entry, printable ASCII without spaces, quotes and backslashes",
        ));
    }
    Ok(())
}

/// Adds the field `scope`.
pub(crate) fn scope_field<S: Sink>(form: &mut Form<'_, S>, scopes: &[&str]) {
    let to = form.open("scope");
    for (i, scope) in scopes.iter().enumerate() {
        if i > 0 {
            to.put(b"+");
        }
        percent::encode(scope.as_bytes(), to);
    }
}

/// Starts a POST of a form: method and headers. The body is still to be written.
pub(crate) fn post_form(draft: &mut Draft<'_>) {
    draft.method("POST");
    draft.head(|out| {
        out.text("Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json");
    });
}

/// A form whose field `name`, the last, is an assertion that is still to be signed. The octets of a
/// compact JWS need no encoding.
pub(crate) fn signed_form<'b>(
    draft: &mut Draft<'b>,
    at: &Attempt,
    fields: impl FnOnce(&mut Form<'_, Out<'b>>),
    name: &str,
    assertion: &impl Assertion,
) -> Result<()> {
    let mut from = 0;
    let mut written = Ok(());
    draft.body(|out| {
        let mut form = Form::new(out);
        fields(&mut form);
        let out = form.open(name);
        from = out.len();
        written = assertion.write(at, out);
    });
    draft.sign_jws(assertion.scheme(), from);
    written
}

/// What the tests of every exchange share.
#[cfg(test)]
pub(crate) mod testing {
    use crate::jws::testing::{StandIn, attempt};
    use crate::{ErrorKind, Exchange, Failure, HttpRequest, ResponseHead, Result, Signer};

    /// A form by name and value, decoded.
    pub(crate) fn fields(body: &[u8]) -> Vec<(String, String)> {
        let decoded = |text: &[u8]| {
            String::from_utf8(crate::encode::percent::Decoder::new(text).collect()).unwrap()
        };
        let pair = |pair: &[u8]| {
            let at = pair.iter().position(|c| *c == b'=').unwrap();
            (decoded(&pair[..at]), decoded(&pair[at + 1..]))
        };
        body.split(|c| *c == b'&').map(pair).collect()
    }

    /// The request with a stand-in's signature of 256 octets.
    pub(crate) fn signed<'b, E: Exchange>(
        exchange: &E,
        buf: &'b mut [u8],
    ) -> Result<HttpRequest<'b>> {
        let spki = exchange.certified_key().unwrap_or_default().to_vec();
        exchange.request(&StandIn { spki, len: 256 }, &attempt(), buf)
    }

    /// Sizes are exact, both ways of signing make the same request, and without a signature there is
    /// none.
    pub(crate) fn signs_both_ways<E: Exchange>(exchange: &E, signer: &StandIn) {
        let at = attempt();
        let needed = exchange.needed(&at, signer.len).unwrap();
        let mut exact = vec![0; needed];
        let request = exchange.request(signer, &at, &mut exact).unwrap();
        let body = request.body().to_vec();
        assert_eq!(
            needed,
            body.len() + request.head.len() + request.host().len() + request.target().len()
        );
        let e = exchange.request(signer, &at, &mut vec![0; needed - 1]).unwrap_err();
        assert_eq!((e.kind(), e.needed()), (ErrorKind::BufferTooSmall, Some(needed)));
        let mut buf = vec![0; needed + 2000];
        let prepared = exchange.prepare(&at, &mut buf).unwrap();
        let (scheme, to_sign) = prepared.to_sign().unwrap();
        assert!(signer.supports(scheme));
        // The message is the end of the body, and the rest of the body the signature's.
        let message = to_sign.message().unwrap().to_vec();
        let dot = body.iter().rposition(|c| *c == b'.').unwrap();
        assert!(body[..dot].ends_with(&message));
        assert_eq!(message.iter().filter(|c| **c == b'.').count(), 1);
        assert_eq!(prepared.finish(&vec![0xa5; signer.len]).unwrap().body(), body);
        let e = exchange.build(&at, &mut vec![0; needed + 2000]).unwrap_err();
        assert_eq!((e.kind(), e.field()), (ErrorKind::Invalid, "signer"));
    }

    /// What comes of an answer: its output's Debug text, or the failure.
    pub(crate) fn answered<E: Exchange>(
        exchange: &E,
        status: u16,
        body: &str,
    ) -> std::result::Result<String, (u16, String, String)>
    where
        for<'b> E::Output<'b>: core::fmt::Debug,
    {
        let mut body = body.as_bytes().to_vec();
        match exchange.response(&ResponseHead { status, headers: &[] }, &mut body) {
            Ok(output) => Ok(format!("{output:?}")),
            Err(Failure::Service(e)) => Err((e.status, e.code.to_owned(), e.message.to_owned())),
            Err(Failure::Answer(e)) => Err((0, e.field().to_owned(), e.help().to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(status: u16, body: &str) -> std::result::Result<(String, String, u64), String> {
        let mut body = body.as_bytes().to_vec();
        let token = good(&ResponseHead { status, headers: &[] }, &mut body)
            .and_then(|answer| Ok(AccessToken::read(&answer)?));
        match token {
            Ok(t) => {
                Ok((t.access_token.expose().to_owned(), t.token_type.to_owned(), t.expires_in))
            }
            Err(Failure::Service(e)) => Err(format!("{}|{}|{}", e.status, e.code, e.message)),
            Err(Failure::Answer(e)) => Err(format!("answer {}", e.field())),
        }
    }

    /// The example of RFC 6749, section 5.1, but for its token type.
    #[test]
    fn a_token() {
        let body = r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer",
            "expires_in":3600,"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
            "example_parameter":"example_value"}"#;
        let token = ("2YotnFZFEjr1zCsicMWpAA".to_owned(), "Bearer".to_owned(), 3600);
        assert_eq!(read(200, body), Ok(token.clone()));
        let text = body.replace("3600", "\"3600\"");
        assert_eq!(read(200, &text), Ok(token.clone()));
        let fraction = body.replace("3600", "3600.9");
        assert_eq!(read(200, &fraction), Ok(token));
        let lower = body.replace("Bearer", "bEARER");
        assert_eq!(read(200, &lower).unwrap().1, "bEARER");
    }

    #[test]
    fn answers_that_cannot_be_used() {
        let of = |token: &str, kind: &str, life: &str| {
            format!(r#"{{"access_token":{token},"token_type":{kind},"expires_in":{life}}}"#)
        };
        let good = of("\"t\"", "\"Bearer\"", "1");
        assert!(read(200, &good).is_ok());
        for life in [
            "0",
            "-1",
            "\"0\"",
            "\"\"",
            "\"-1\"",
            "\"+1\"",
            "\" 1\"",
            "\"1.5\"",
            "\"1e3\"",
            "1e3",
            "null",
            "true",
            "{}",
            "31622401",
            "99999999999999999999999",
            "\"99999999999999999999999\"",
        ] {
            let bad = read(200, &of("\"t\"", "\"Bearer\"", life));
            assert_eq!(bad, Err("answer expires_in".to_owned()), "{life}");
        }
        for token in ["\"\"", "\"a b\"", "\"a\\nb\"", "\"a\\u0000\"", "\"\u{e4}\"", "7", "null"] {
            let bad = read(200, &of(token, "\"Bearer\"", "1"));
            assert_eq!(bad, Err("answer access_token".to_owned()), "{token}");
        }
        for kind in ["\"pop\"", "\"mac\"", "\"\"", "\"Bearer \"", "null"] {
            let bad = read(200, &of("\"t\"", kind, "1"));
            assert_eq!(bad, Err("answer token_type".to_owned()), "{kind}");
        }
        for (name, missing) in [
            ("access_token", r#"{"token_type":"Bearer","expires_in":1}"#),
            ("token_type", r#"{"access_token":"t","expires_in":1}"#),
            ("expires_in", r#"{"access_token":"t","token_type":"Bearer"}"#),
        ] {
            assert_eq!(read(200, missing), Err(format!("answer {name}")));
        }
        for not_json in ["", "<html>", "[", "\u{feff}{}"] {
            assert_eq!(read(200, not_json), Err("answer JSON".to_owned()));
        }
        for not_an_object in ["null", "[]", "\"t\"", "1"] {
            assert_eq!(read(200, not_an_object), Err("answer token_type".to_owned()));
        }
    }

    #[test]
    fn refusals() {
        for (status, body, want) in [
            (400, r#"{"error":"invalid_request"}"#, "400|invalid_request|"),
            (
                401,
                r#"{"error":"invalid_client","error_description":"no","error_uri":"https://x"}"#,
                "401|invalid_client|no",
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"denied","status":"PERMISSION_DENIED"}}"#,
                "403|PERMISSION_DENIED|denied",
            ),
            (
                401,
                r#"{"error":{"code":401,"message":"Invalid Credentials"}}"#,
                "401||Invalid Credentials",
            ),
            (502, "<html><body>Bad Gateway</body></html>", "502||"),
            (503, "", "503||"),
            (302, "{}", "302||"),
            (404, "[]", "404||"),
            (400, r#"{"error":7,"error_description":{}}"#, "400||"),
            // A token beside an error, and a token with another status, are none.
            (
                200,
                r#"{"error":"invalid_grant","access_token":"t","token_type":"Bearer","expires_in":1}"#,
                "200|invalid_grant|",
            ),
            (
                200,
                r#"{"error":null,"access_token":"t","token_type":"Bearer","expires_in":1}"#,
                "200||",
            ),
            (201, r#"{"access_token":"t","token_type":"Bearer","expires_in":1}"#, "201||"),
        ] {
            assert_eq!(read(status, body), Err(want.to_owned()), "{body}");
        }
    }

    #[test]
    fn which_refusals_pass() {
        let transient = |status, code| ServiceError { status, code, message: "" }.is_transient();
        for code in ["temporarily_unavailable", "server_error", "slow_down", "internal_failure"] {
            assert!(transient(400, code), "{code}");
        }
        assert!(transient(503, "") && transient(429, ""));
        for code in ["invalid_client", "invalid_grant", "", "server_errors", "PERMISSION_DENIED"] {
            assert!(!transient(400, code), "{code}");
        }
    }

    #[test]
    fn scopes() {
        let mut buf = [0; 64];
        let mut out = Out::new(&mut buf);
        scope_field(&mut Form::new(&mut out), &["https://a/b", "c"]);
        assert_eq!(out.finish().unwrap(), b"scope=https%3A%2F%2Fa%2Fb+c");
        for bad in [&[][..], &[""], &["a b"], &["a", "b\n"], &["\""], &["\\"], &["\u{e4}"]] {
            assert_eq!(check_scopes(bad).unwrap_err().field(), "scope");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            status in prop_oneof![Just(200u16), any::<u16>()],
            body in prop_oneof![
                any::<String>(),
                "\\{\"error\":[{}\":a-z0-9]{0,30}\\}",
                "\\{\"access_token\":\"[ -~]{0,9}\",\"token_type\":\"[Bb]earer\",\"expires_in\":\"?[0-9]{0,9}\"?\\}",
            ],
        ) {
            if let Ok((token, kind, life)) = read(status, &body) {
                // serde_json reads the same.
                let same: serde_json::Value = serde_json::from_str(&body).unwrap();
                prop_assert_eq!(&same["access_token"], &token);
                prop_assert_eq!(&same["token_type"], &kind);
                let digits = same["expires_in"].as_str().map(str::parse::<u64>);
                prop_assert_eq!(digits.map_or(same["expires_in"].as_u64(), |d| d.ok()), Some(life));
                prop_assert!(status == 200 && life > 0 && token.bytes().all(|c| (0x21..0x7f).contains(&c)));
                prop_assert!(same.get("error").is_none());
            }
        }
    }
}
