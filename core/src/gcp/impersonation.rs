//! Impersonation: with one access token, a service account's (Service Account Credentials API,
//! `generateAccessToken` and `generateIdToken`).

use super::service_account::{check_universe, host_name};
use super::{CLOUD_PLATFORM, DEFAULT_UNIVERSE};
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret};
use crate::http::ResponseHead;
use crate::json::Object;
use crate::out::{Out, Sink, decimal};
use crate::{Error, Result, UnixTime, jws, oauth};

/// An access token of a service account, for whoever may impersonate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerateAccessToken<'a> {
    /// The access token of whoever asks.
    pub token: Secret<'a>,
    /// The e-mail of the service account to impersonate.
    pub email: &'a str,
    /// What the new token is for.
    pub scopes: &'a [&'a str],
    /// How long the new token is to be valid, in seconds: 1 to [`MAX_LIFETIME`](Self::MAX_LIFETIME);
    /// more than 3600 only where the organization's policy allows it.
    pub lifetime: u32,
    /// The e-mails of service accounts in between, each of which may impersonate the next; the last one
    /// [`email`](Self::email).
    pub delegates: &'a [&'a str],
    /// The domain of the cloud, [`DEFAULT_UNIVERSE`] but for sovereign ones.
    pub universe: &'a str,
}

/// An ID token of a service account, for whoever may impersonate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerateIdToken<'a> {
    /// The access token of whoever asks.
    pub token: Secret<'a>,
    /// The e-mail of the service account to impersonate.
    pub email: &'a str,
    /// Who the ID token is for (`aud`).
    pub audience: &'a str,
    /// Put the service account's e-mail into the ID token.
    pub include_email: bool,
    /// As [`GenerateAccessToken::delegates`].
    pub delegates: &'a [&'a str],
    /// The domain of the cloud, [`DEFAULT_UNIVERSE`] but for sovereign ones.
    pub universe: &'a str,
}

/// What `generateAccessToken` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpersonatedToken<'b> {
    /// The access token: printable ASCII without spaces.
    pub access_token: Secret<'b>,
    /// When it ends.
    pub expiration: UnixTime,
}

impl<'a> GenerateAccessToken<'a> {
    /// The longest lifetime that Google takes, in seconds.
    pub const MAX_LIFETIME: u32 = 43_200;

    /// An hour of all of Google Cloud ([`CLOUD_PLATFORM`]), with no delegates, in the public cloud.
    #[must_use]
    pub const fn new(token: Secret<'a>, email: &'a str) -> Self {
        Self {
            token,
            email,
            scopes: &[CLOUD_PLATFORM],
            lifetime: 3600,
            delegates: &[],
            universe: DEFAULT_UNIVERSE,
        }
    }
}

impl<'a> GenerateIdToken<'a> {
    /// An ID token with the e-mail in it, with no delegates, in the public cloud.
    #[must_use]
    pub const fn new(token: Secret<'a>, email: &'a str, audience: &'a str) -> Self {
        Self {
            token,
            email,
            audience,
            include_email: true,
            delegates: &[],
            universe: DEFAULT_UNIVERSE,
        }
    }
}

impl Exchange for GenerateAccessToken<'_> {
    type Output<'b> = ImpersonatedToken<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        oauth::check_scopes(self.scopes)?;
        if !(1..=Self::MAX_LIFETIME).contains(&self.lifetime) {
            return Err(Error::invalid("lifetime", "expected 1 to 43200 seconds"));
        }
        let call = Call {
            token: self.token,
            email: self.email,
            delegates: self.delegates,
            universe: self.universe,
        };
        call.write(draft, "generateAccessToken", |body| {
            strings(body, "scope", "", self.scopes);
            jws::plain(body, "lifetime", |to| {
                decimal(to, self.lifetime.into());
                to.put(b"s");
            });
        })
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<ImpersonatedToken<'b>, Failure<'b>> {
        let answer = oauth::good(head, body)?;
        Ok(ImpersonatedToken {
            access_token: oauth::token(&answer, "accessToken")?,
            expiration: UnixTime::parse(answer.string("expireTime")?)
                .map_err(|_| Error::malformed("expireTime", "expected RFC 3339"))?,
        })
    }
}

impl Exchange for GenerateIdToken<'_> {
    /// The ID token, not verified: it is meant for someone else.
    type Output<'b> = Secret<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        if self.audience.is_empty() {
            return Err(Error::invalid("audience", "must not be empty"));
        }
        let call = Call {
            token: self.token,
            email: self.email,
            delegates: self.delegates,
            universe: self.universe,
        };
        call.write(draft, "generateIdToken", |body| {
            body.string("audience", self.audience);
            let flag: &[u8] = if self.include_email { b"true" } else { b"false" };
            body.name("includeEmail").put(flag);
        })
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Secret<'b>, Failure<'b>> {
        Ok(oauth::token(&oauth::good(head, body)?, "token")?)
    }
}

/// What both methods share.
struct Call<'a> {
    token: Secret<'a>,
    email: &'a str,
    delegates: &'a [&'a str],
    universe: &'a str,
}

impl Call<'_> {
    fn write<'b>(
        &self,
        draft: &mut Draft<'b>,
        method: &str,
        members: impl FnOnce(&mut Object<'_, Out<'b>>),
    ) -> Result<()> {
        check_universe(self.universe)?;
        if !oauth::is_token(self.token.expose()) {
            return Err(Error::invalid("access token", "expected printable ASCII without spaces"));
        }
        check_email(self.email, "service account e-mail")?;
        self.delegates.iter().try_for_each(|delegate| check_email(delegate, "delegate"))?;
        draft.method("POST");
        draft.host(|out| {
            out.text("iamcredentials.");
            out.text(self.universe);
        });
        draft.target(|out| {
            for part in ["/v1/projects/-/serviceAccounts/", self.email, ":", method] {
                out.text(part);
            }
        });
        draft.head(|out| {
            out.text("Authorization: Bearer ");
            out.text(self.token.expose());
            out.text("\r\nContent-Type: application/json\r\nAccept: application/json");
        });
        draft.body(|out| {
            let mut body = Object::new(out);
            if !self.delegates.is_empty() {
                strings(&mut body, "delegates", "projects/-/serviceAccounts/", self.delegates);
            }
            members(&mut body);
            body.end();
        });
        Ok(())
    }
}

/// A member that is an array of strings, each behind `prefix`. None of them may need escaping.
fn strings<S: Sink>(body: &mut Object<'_, S>, name: &str, prefix: &str, values: &[&str]) {
    let to = body.name(name);
    for (i, value) in values.iter().enumerate() {
        to.put(if i == 0 { b"[\"" } else { b",\"" });
        to.text(prefix);
        to.text(value);
        to.put(b"\"");
    }
    to.put(b"]");
}

/// Refuses an e-mail that would not stay one segment of a path. Those of service accounts are of letters,
/// digits, hyphens and dots, on both sides.
fn check_email(email: &str, field: &'static str) -> Result<()> {
    let local = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    let good = email.split_once('@').is_some_and(|(name, host)| {
        (1..=64).contains(&name.len()) && name.bytes().all(local) && host_name(host)
    });
    if good {
        Ok(())
    } else {
        Err(Error::invalid(field, "expected NAME@PROJECT.iam.gserviceaccount.com"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::jws::testing::attempt;
    use crate::oauth::testing::answered;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
    const FIRST: &str = "first@project.iam.gserviceaccount.com";

    fn access() -> GenerateAccessToken<'static> {
        GenerateAccessToken::new(Secret::new("ya29.source"), EMAIL)
    }

    fn id() -> GenerateIdToken<'static> {
        GenerateIdToken::new(Secret::new("ya29.source"), EMAIL, "https://a \"b\"")
    }

    fn body(exchange: &impl Exchange) -> Value {
        let mut buf = vec![0; exchange.needed(&attempt(), 0).unwrap()];
        let http = exchange.build(&attempt(), &mut buf).unwrap();
        serde_json::from_slice(http.body()).unwrap()
    }

    #[test]
    fn an_access_token() {
        let request = GenerateAccessToken {
            scopes: &["a", "b"],
            lifetime: 43_200,
            delegates: &[FIRST, EMAIL],
            universe: "apis.example.goog",
            ..access()
        };
        let mut buf = [0; 1024];
        let http = request.build(&attempt(), &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", "iamcredentials.apis.example.goog"));
        assert_eq!(
            http.target(),
            "/v1/projects/-/serviceAccounts/robot@project.iam.gserviceaccount.com:generateAccessToken"
        );
        assert_eq!(http.header("Authorization"), Some("Bearer ya29.source"));
        assert_eq!(http.header("Content-Type"), Some("application/json"));
        assert_eq!(
            core::str::from_utf8(http.body()).unwrap(),
            "{\"delegates\":[\"projects/-/serviceAccounts/first@project.iam.gserviceaccount.com\",\
             \"projects/-/serviceAccounts/robot@project.iam.gserviceaccount.com\"],\
             \"scope\":[\"a\",\"b\"],\"lifetime\":\"43200s\"}"
        );
        assert!(!format!("{http:?} {request:?}").contains("ya29"));
        assert_eq!(body(&access()), json!({"scope": [CLOUD_PLATFORM], "lifetime": "3600s"}));
        let mut buf = [0; 1024];
        let http = access().build(&attempt(), &mut buf).unwrap();
        assert_eq!(http.host(), "iamcredentials.googleapis.com");
    }

    #[test]
    fn an_id_token() {
        let mut buf = [0; 1024];
        let http = id().build(&attempt(), &mut buf).unwrap();
        assert_eq!(http.host(), "iamcredentials.googleapis.com");
        assert!(http.target().ends_with(".gserviceaccount.com:generateIdToken"));
        assert_eq!(body(&id()), json!({"audience": "https://a \"b\"", "includeEmail": true}));
        let request = GenerateIdToken { include_email: false, delegates: &[FIRST], ..id() };
        let delegate = format!("projects/-/serviceAccounts/{FIRST}");
        assert_eq!(
            body(&request),
            json!({"delegates": [delegate], "audience": "https://a \"b\"", "includeEmail": false})
        );
        assert!(!format!("{request:?}").contains("ya29"));
    }

    #[test]
    fn refusals() {
        fn refused(exchange: &impl Exchange) -> &'static str {
            let e = exchange.needed(&attempt(), 0).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid);
            e.field()
        }
        let of_access = |r: GenerateAccessToken<'_>| refused(&r);
        let of_id = |r: GenerateIdToken<'_>| refused(&r);
        let long = format!("{}@project.iam.gserviceaccount.com", "a".repeat(65));
        for bad in [
            "",
            "robot",
            "@project.iam.gserviceaccount.com",
            "robot@",
            "robot@localhost",
            "robot@10.0.0.1",
            "robot@a.example/x",
            "robot/x@a.example",
            "robot?x@a.example",
            "robot%2f@a.example",
            "robot:signBlob@a.example",
            "robot@a.example:signBlob",
            "a@b@a.example",
            "ro bot@a.example",
            "robot@a.example\r\nX: y",
            "robot\"@a.example",
            "r\u{f6}bot@a.example",
            &long,
        ] {
            let email = GenerateAccessToken { email: bad, ..access() };
            assert_eq!(of_access(email), "service account e-mail", "{bad}");
            assert_eq!(of_id(GenerateIdToken { email: bad, ..id() }), "service account e-mail");
            let delegates: &[&str] = &[FIRST, bad];
            assert_eq!(of_access(GenerateAccessToken { delegates, ..access() }), "delegate");
            assert_eq!(of_id(GenerateIdToken { delegates, ..id() }), "delegate");
        }
        for bad in ["", "a b", "a\r\nX: y", "a\u{0}", "\u{e4}"] {
            let token = Secret::new(bad);
            assert_eq!(of_access(GenerateAccessToken { token, ..access() }), "access token");
            assert_eq!(of_id(GenerateIdToken { token, ..id() }), "access token");
        }
        for bad in ["", "com", "a/b.com", "a.com:443", "evil.example/.com", "1.2.3.4"] {
            let universe = GenerateAccessToken { universe: bad, ..access() };
            assert_eq!(of_access(universe), "universe domain");
            assert_eq!(of_id(GenerateIdToken { universe: bad, ..id() }), "universe domain");
        }
        for lifetime in [0, 43_201, u32::MAX] {
            assert_eq!(of_access(GenerateAccessToken { lifetime, ..access() }), "lifetime");
        }
        for scopes in [&[][..], &["a b"], &["\""]] {
            assert_eq!(of_access(GenerateAccessToken { scopes, ..access() }), "scope");
        }
        assert_eq!(of_id(GenerateIdToken { audience: "", ..id() }), "audience");
    }

    #[test]
    fn answers() {
        let read = |body: &str| {
            let mut body = body.as_bytes().to_vec();
            let head = ResponseHead { status: 200, headers: &[] };
            let token = access().response(&head, &mut body).unwrap();
            (token.access_token.expose().to_owned(), token.expiration.as_secs())
        };
        // Google's documentation; and a time in the JSON form of protobuf, to the nanosecond.
        let documented = r#"{
          "accessToken": "eyJ0eXAi...NiJ9",
          "expireTime": "2020-04-07T15:01:23.045123456Z"
        }"#;
        assert_eq!(read(documented), ("eyJ0eXAi...NiJ9".to_owned(), 1_586_271_683));
        let whole = documented.replace(".045123456", "");
        assert_eq!(read(&whole).1, 1_586_271_683);
        for (body, field) in [
            (r#"{"expireTime":"2020-04-07T15:01:23Z"}"#, "accessToken"),
            (r#"{"accessToken":"a b","expireTime":"2020-04-07T15:01:23Z"}"#, "accessToken"),
            (r#"{"accessToken":"a"}"#, "expireTime"),
            (r#"{"accessToken":"a","expireTime":"soon"}"#, "expireTime"),
            (r#"{"accessToken":"a","expireTime":1586271683}"#, "expireTime"),
        ] {
            assert_eq!(answered(&access(), 200, body).unwrap_err().1, field, "{body}");
        }
        let mut body = br#"{"token":"eyJ0eXAi.NiJ9.x"}"#.to_vec();
        let head = ResponseHead { status: 200, headers: &[] };
        assert_eq!(id().response(&head, &mut body).unwrap().expose(), "eyJ0eXAi.NiJ9.x");
        assert_eq!(answered(&id(), 200, "{}").unwrap_err().1, "token");
        let denied = r#"{
          "error": {
            "code": 403,
            "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
            "status": "PERMISSION_DENIED",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
              "reason": "IAM_PERMISSION_DENIED", "domain": "iam.googleapis.com"}]
          }
        }"#;
        for refused in [answered(&access(), 403, denied), answered(&id(), 403, denied)] {
            let (status, code, message) = refused.unwrap_err();
            assert_eq!((status, &*code), (403, "PERMISSION_DENIED"));
            assert!(message.starts_with("Permission 'iam."));
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_was_given(
            email in prop_oneof!["[a-z.@-]{1,9}@[a-z.]{1,9}", any::<String>()],
            audience in any::<String>(),
            token in prop_oneof!["[!-~]{1,9}", any::<String>()],
        ) {
            let request = GenerateIdToken::new(Secret::new(&token), &email, &audience);
            let mut buf = [0; 4096];
            if let Ok(http) = request.build(&attempt(), &mut buf) {
                prop_assert_eq!(http.target().matches('/').count(), 5);
                prop_assert_eq!(http.headers().count(), 3);
                let sent: Value = serde_json::from_slice(http.body()).unwrap();
                prop_assert_eq!(&sent["audience"], &audience);
            }
        }
    }
}
