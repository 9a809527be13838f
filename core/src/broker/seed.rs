//! The API of the `aws-` and `azure-channel-jwt-credential` brokers, from its client's side. Use it where
//! such a broker still runs, and nowhere else: it binds the connection alone (see
//! [`Compat::Seed`](crate::ekm::Compat)), and its client chooses its own rights.

use core::fmt;

use super::{Credential, Issued, check_attestation, keys, post, secret};
use crate::digest::hmac_sha256;
use crate::ekm::EXPORTED_LEN;
use crate::encode::base64::{self, UrlEncoder};
use crate::exchange::{Attempt, Draft, Exchange, Failure, ServiceError};
use crate::http::ResponseHead;
use crate::json::{self, Object};
use crate::out::{Out, Sink};
use crate::{Error, Result, UnixTime};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Credentials of AWS.
    Aws {
        /// A role's (`AssumeRole`); else the broker's own (`GetSessionToken`).
        use_assume_role: bool,
        /// An access key id, which the brokers do not use.
        access_key_id: &'a str,
        /// The role.
        role_arn: &'a str,
        /// A region, which the brokers do not use.
        region: &'a str,
        /// The life of the credentials in seconds; at least 900.
        duration: u32,
        /// The role session's name.
        session_name: &'a str,
    },
    /// A token of Azure.
    Azure {
        /// The tenant, which the brokers do not use.
        tenant: Option<&'a str>,
        /// The application, which the brokers do not use.
        appid: Option<&'a str>,
        /// What the token is for.
        scope: &'a str,
    },
}

impl Request<'_> {
    /// Writes the request as a compact JWS with HS256 under what the connection exported. The brokers want
    /// it so; it proves nothing that the nonce does not, for the key itself is the first nonce.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for what the brokers refuse;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn sign<'b>(&self, exported: &[u8; EXPORTED_LEN], buf: &'b mut [u8]) -> Result<&'b str> {
        const NOT_WRITTEN: Error = Error::invalid("request", "was not written");
        self.check()?;
        let mut out = Out::new(buf);
        // {"alg":"HS256","typ":"JWT"}
        out.text("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.");
        let mut encoder = UrlEncoder::new(&mut out);
        self.claims(&mut encoder);
        encoder.finish();
        // Of what fitted; of what did not there is no need for one.
        let tag = hmac_sha256(exported, out.written(0, out.len()));
        out.octet(b'.');
        base64::url_encode(&tag, &mut out);
        core::str::from_utf8(out.finish()?).map_err(|_| NOT_WRITTEN)
    }

    /// The members in the brokers' own order.
    fn claims(&self, to: &mut impl Sink) {
        let mut object = Object::new(to);
        match *self {
            Self::Aws {
                use_assume_role,
                access_key_id,
                role_arn,
                region,
                duration,
                session_name,
            } => {
                let flag = if use_assume_role { "true" } else { "false" };
                object.name("use_assume_role").text(flag);
                object.string("access_key_id", access_key_id).string("role_arn", role_arn);
                object.string("region", region).number("duration", duration.into());
                object.string("session_name", session_name);
            }
            Self::Azure { tenant, appid, scope } => {
                object.optional("tenant", tenant.filter(|tenant| !tenant.is_empty()));
                object.optional("appid", appid.filter(|appid| !appid.is_empty()));
                object.string("scope", scope);
            }
        }
        object.end();
    }

    fn check(&self) -> Result<()> {
        match *self {
            Self::Aws { duration: ..900, .. } => {
                Err(Error::invalid("duration", "expected at least 900 seconds"))
            }
            Self::Aws { use_assume_role: true, role_arn: "", .. } => {
                Err(Error::invalid("role ARN", "is missing; a role to assume needs one"))
            }
            Self::Aws { use_assume_role: true, session_name: "", .. } => {
                Err(Error::invalid("session name", "is missing; a role to assume needs one"))
            }
            Self::Azure { scope: "", .. } => Err(Error::invalid("scope", "must not be empty")),
            _ => Ok(()),
        }
    }
}

/// Sends what [`Request::sign`] wrote, with an attestation whose nonces are the exported octets and the
/// SHA-256 of the request, both in lower-case hexadecimal.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    /// The broker: a host, with its port unless that is 443.
    pub host: &'a str,
    /// The path of its API; `/token`, mostly.
    pub path: &'a str,
    /// What is asked for.
    pub request: Request<'a>,
    /// The same, signed.
    pub token_jwt: &'a str,
    /// The attestation: a compact JWS.
    pub attestation: &'a str,
}

impl fmt::Debug for Token<'_> {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}{}, {:?})", self.host, self.path, self.request)
    }
}

impl Exchange for Token<'_> {
    type Output<'b> = Issued<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        check_attestation(self.attestation)?;
        if !self.path.starts_with('/') || !self.path.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Error::invalid("path", "expected one that begins with a slash"));
        }
        post(draft, self.host, self.path)?;
        draft.body(|out| {
            let mut object = Object::new(out);
            object.string("token_jwt", self.token_jwt);
            object.string("attestation_jwt", self.attestation);
            object.end();
        });
        Ok(())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued<'b>, Failure<'b>> {
        const NAMES: [&str; 3] = ["AccessKeyId", "SecretAccessKey", "SessionToken"];
        if head.status != 200 {
            let message = message(text(body));
            return Err(Failure::Service(ServiceError { status: head.status, code: "", message }));
        }
        // These brokers write two letters behind their answer.
        let end = first_object(body);
        let answer = json::parse(body.get_mut(..end).unwrap_or_default())?;
        let time = |name| {
            let time = UnixTime::parse(answer.string(name)?);
            time.map_err(|e| Error::malformed(name, e.help()))
        };
        Ok(match self.request {
            Request::Aws { .. } => Issued {
                expires_at: time("Expiration")?,
                credential: Credential::Aws(keys(&answer, NAMES)?),
            },
            // A moment, whatever its name says.
            Request::Azure { .. } => Issued {
                expires_at: time("expires_in")?,
                credential: Credential::Bearer(secret(&answer, "access_token")?),
            },
        })
    }
}

/// The message of a refusal in plain text; nothing in place of one in which a token, a nonce or exported
/// octets may stand, since errors are logged.
pub(crate) fn message(text: &str) -> &str {
    let mut run = 0;
    for c in text.bytes() {
        run = if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_') { run + 1 } else { 0 };
        // 32 octets in base64url.
        if run >= 43 {
            return "";
        }
    }
    text
}

/// An answer that is not JSON, as far as it is UTF-8.
pub(crate) fn text(body: &[u8]) -> &str {
    let text = match core::str::from_utf8(body) {
        Ok(text) => text,
        Err(e) => {
            let good = body.get(..e.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(good).unwrap_or_default()
        }
    };
    text.trim_ascii()
}

/// The length of the object that a text begins with; of the whole text if it does not end.
fn first_object(text: &[u8]) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, c) in text.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::jws::testing::attempt;
    use crate::oauth::testing::answered;
    use proptest::prelude::*;

    const AWS: Request<'_> = Request::Aws {
        use_assume_role: true,
        access_key_id: "",
        role_arn: "arn:aws:iam::291738886548:role/gcpsts",
        region: "us-east-1",
        duration: 900,
        session_name: "foo",
    };
    const AZURE: Request<'_> =
        Request::Azure { tenant: None, appid: None, scope: "https://storage.azure.com/.default" };

    const fn token(request: Request<'_>) -> Token<'_> {
        let (host, path) = ("server.domain.com:8081", "/token");
        Token { host, path, request, token_jwt: "a.b.c", attestation: "e30.e30.AQ" }
    }

    const KEYS: &str = r#"{"Version":0,"AccessKeyId":"ASIA1","SecretAccessKey":"geheim",
        "SessionToken":"sitzung","Expiration":"2026-11-22T13:00:00Z"}"#;
    const BEARER: &str = r#"{"expires_in":"2026-11-22T14:00:00+01:00","access_token":"marke"}"#;

    /// Header and claims as the Go clients write them, signed by another implementation: by
    /// `openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf 'a1%.0s' {1..32}) -binary | basenc --base64url`.
    #[test]
    fn signed_requests() {
        let signed = |request: Request<'_>| {
            let mut buf = [0; 1024];
            request.sign(&[0xa1; 32], &mut buf).unwrap().to_owned()
        };
        let claims = |jwt: &str| crate::jws::testing::text(jwt.split('.').nth(1).unwrap());
        let jwt = signed(AWS);
        assert_eq!(
            claims(&jwt),
            r#"{"use_assume_role":true,"access_key_id":"","role_arn":"arn:aws:iam::291738886548:role/gcpsts","region":"us-east-1","duration":900,"session_name":"foo"}"#
        );
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        assert_eq!(
            crate::jws::testing::text(message.split('.').next().unwrap()),
            r#"{"alg":"HS256","typ":"JWT"}"#
        );
        use hmac::{KeyInit as _, Mac as _};
        let mut peer = hmac::Hmac::<sha2::Sha256>::new_from_slice(&[0xa1; 32]).unwrap();
        peer.update(message.as_bytes());
        let mut octets = [0; 32];
        base64::url_decode(signature.as_bytes(), &mut octets).unwrap();
        assert!(peer.verify_slice(&octets).is_ok());

        assert_eq!(claims(&signed(AZURE)), r#"{"scope":"https://storage.azure.com/.default"}"#);
        let all = Request::Azure { tenant: Some("t"), appid: Some("a"), scope: "s" };
        assert_eq!(claims(&signed(all)), r#"{"tenant":"t","appid":"a","scope":"s"}"#);
        let own = Request::Aws {
            use_assume_role: false,
            access_key_id: "",
            role_arn: "",
            region: "",
            duration: 3600,
            session_name: "",
        };
        assert!(claims(&signed(own)).starts_with(r#"{"use_assume_role":false,"#));
        let needed = AWS.sign(&[1; 32], &mut [0; 100]).unwrap_err().needed().unwrap();
        assert!(AWS.sign(&[1; 32], &mut vec![0; needed]).is_ok());
        assert!(AWS.sign(&[1; 32], &mut vec![0; needed - 1]).is_err());
    }

    #[test]
    fn requests() {
        let mut buf = [0; 1024];
        let request = token(AWS);
        let http = request.build(&attempt(), &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", "server.domain.com:8081"));
        assert_eq!(http.target(), "/token");
        let body = r#"{"token_jwt":"a.b.c","attestation_jwt":"e30.e30.AQ"}"#;
        assert_eq!(core::str::from_utf8(http.body()).unwrap(), body);
        assert!(!format!("{request:?}").contains("a.b.c"));
    }

    #[test]
    fn refusals() {
        let refused = |request: Request<'_>| {
            let e = request.sign(&[1; 32], &mut [0; 1024]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid);
            e.field()
        };
        let aws = |duration, role_arn, session_name| Request::Aws {
            use_assume_role: true,
            access_key_id: "",
            role_arn,
            region: "",
            duration,
            session_name,
        };
        assert_eq!(refused(aws(899, "r", "s")), "duration");
        assert_eq!(refused(aws(900, "", "s")), "role ARN");
        assert_eq!(refused(aws(900, "r", "")), "session name");
        assert_eq!(refused(Request::Azure { tenant: None, appid: None, scope: "" }), "scope");
        for path in ["", "token", "/to ken", "/\r\n"] {
            assert!(Token { path, ..token(AWS) }.needed(&attempt(), 0).is_err(), "{path}");
        }
        assert!(Token { attestation: "no", ..token(AWS) }.needed(&attempt(), 0).is_err());
    }

    #[test]
    fn answers() {
        let aws = |status, body: &str| answered(&token(AWS), status, body);
        for tail in ["", "\n", "\nok", "ok{}", "}}", "\"", " \u{e9}"] {
            let answer = aws(200, &format!("{KEYS}{tail}")).unwrap();
            assert!(answer.contains("ASIA1") && !answer.contains("geheim"), "{answer}");
            let answer = answered(&token(AZURE), 200, &format!("{BEARER}{tail}")).unwrap();
            assert!(answer.contains("UnixTime(1795352400)"), "{answer}");
        }
        // Braces and quotes within texts do not end it.
        let odd = KEYS.replace("sitzung", r#"}\"}\\"#);
        assert!(aws(200, &format!("{odd}\nok")).is_ok());
        let field = |body: &str| aws(200, body).unwrap_err().1;
        assert_eq!(field("ok"), "JSON");
        assert_eq!(field(""), "JSON");
        assert_eq!(field(&format!("ok{KEYS}")), "JSON");
        assert_eq!(field(BEARER), "Expiration");
        assert_eq!(field(&KEYS.replace("geheim", "")), "SecretAccessKey");
        assert_eq!(field(&KEYS.replace("\"2026-11-22T13:00:00Z\"", "\"soon\"")), "Expiration");
        // The status counts, whatever the text.
        let said = aws(400, "Error 100% \r\n").unwrap_err();
        assert_eq!(said, (400, String::new(), "Error 100%".into()));
        assert_eq!(aws(500, KEYS).unwrap_err().0, 500);
        // What may be a nonce is not repeated.
        let nonce = "n".repeat(43);
        assert_eq!(aws(400, &format!("not {nonce}")).unwrap_err().2, "");
        assert!(aws(400, &format!("not {}", "n".repeat(42))).unwrap_err().2.starts_with("not"));
        let mut bad = b"bad \xff text".to_vec();
        let head = ResponseHead { status: 500, headers: &[] };
        let Err(Failure::Service(e)) = token(AWS).response(&head, &mut bad) else { panic!() };
        assert_eq!(e.message, "bad");
    }

    proptest! {
        #[test]
        fn no_answer_panics(body: Vec<u8>, text in "[\\[\\]{}\",:a\\\\ ]{0,40}") {
            let head = ResponseHead { status: 200, headers: &[] };
            for body in [body, text.into_bytes()] {
                prop_assert!(first_object(&body) <= body.len());
                let _ = token(AWS).response(&head, &mut body.clone());
                let _ = token(AZURE).response(&head, &mut body.clone());
            }
        }
    }
}
