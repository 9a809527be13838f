//! The attested token broker's API, from its client's side: a [`Challenge`], then [`Credentials`] on the
//! same TLS connection. What ties the two together is a [`Binder`](crate::ekm::Binder).
//!
//! ```
//! use cloudauth_core::broker::{Credentials, write_request};
//! use cloudauth_core::{Attempt, Exchange as _, Out, UnixTime};
//!
//! # fn example(attestation: &str) -> cloudauth_core::Result<()> {
//! let mut space = [0; 64];
//! let mut out = Out::new(&mut space);
//! write_request("s3-reader", &mut out); // R: what the binder covers, and what is sent
//! let exchange = Credentials { host: "broker.example", request: out.finish()?, attestation };
//! let at = Attempt::new(UnixTime::new(0)?, [7; 32]);
//! let mut buf = [0; 16_384];
//! let request = exchange.build(&at, &mut buf)?;
//! assert_eq!(request.target(), "/v1/credentials");
//! # Ok(())
//! # }
//! ```

mod secrets;
pub mod seed;

use crate::ekm::CHALLENGE_LEN;
use crate::encode::base64;
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret, ServiceError};
use crate::http::{ResponseHead, check_host};
use crate::json::{self, Kind, Object, Value};
use crate::jws::is_compact;
use crate::oauth::is_token;
use crate::out::Sink;
use crate::{Error, ErrorKind, Result, UnixTime};

pub use secrets::{Encoded, Fields, MAX_NAME, MAX_SECRETS, Secrets, is_name};

/// The largest body that a broker takes, in octets.
pub const MAX_BODY: usize = 64 * 1024;

/// What the `type` of a refusal begins with (RFC 9457, section 3.1.1).
const ERROR: &str = "urn:libcloudauth:error:";

/// Asks for a challenge: `POST /v1/challenge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The broker: a host, with its port unless that is 443.
    pub host: &'a str,
}

/// A challenge: good once, on the connection it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenged {
    /// The context of the export, and a part of what is bound.
    pub challenge: [u8; CHALLENGE_LEN],
    /// For how many seconds it is good.
    pub expires_in: u64,
}

/// Asks for a grant's credential: `POST /v1/credentials`.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The broker: a host, with its port unless that is 443.
    pub host: &'a str,
    /// The octets of the request that the attestation is bound to (R): what [`write_request`] wrote.
    pub request: &'a [u8],
    /// The attestation: a compact JWS whose nonce is the binder's.
    pub attestation: &'a str,
}

/// What a broker gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted<'b> {
    /// The grant's name: compare it with the one that was asked for.
    pub grant: &'b str,
    /// The credential and its end.
    pub issued: Issued<'b>,
}

/// A credential and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued<'b> {
    /// When the cloud stops accepting it; of secrets, when their lease ends.
    pub expires_at: UnixTime,
    /// The credential.
    pub credential: Credential<'b>,
}

/// The kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential<'b> {
    /// Temporary credentials of AWS.
    Aws(AwsKeys<'b>),
    /// A token of Azure or Google Cloud, for the header `Authorization: Bearer`: printable ASCII without
    /// spaces.
    Bearer(Secret<'b>),
    /// Secrets that the broker keeps or fetches.
    Secrets(Secrets<'b>),
}

/// Temporary credentials of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwsKeys<'b> {
    /// The access key id.
    pub access_key_id: &'b str,
    /// The secret access key.
    pub secret_access_key: Secret<'b>,
    /// The session token that goes with the key.
    pub session_token: Secret<'b>,
    /// The region to use them in, when the broker says one.
    pub region: Option<&'b str>,
}

/// Writes the request for a grant (R): `{"grant":"…"}`. The broker parses these octets only after it has
/// found them bound to the connection, so keep them as they are.
pub fn write_request(grant: &str, to: &mut impl Sink) {
    let mut object = Object::new(to);
    object.string("grant", grant);
    object.end();
}

impl Exchange for Challenge<'_> {
    type Output<'b> = Challenged;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        post(draft, self.host, "/v1/challenge")?;
        draft.body(|out| out.text("{}"));
        Ok(())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Challenged, Failure<'b>> {
        const BAD: Error = Error::malformed("challenge", "expected 32 octets in base64url");
        let answer = good(head, body)?;
        exactly(&answer, &["challenge", "expires_in"])?;
        let mut challenge = [0; CHALLENGE_LEN];
        let text = answer.string("challenge")?.as_bytes();
        match base64::url_decode_vartime(text, &mut challenge) {
            Ok(octets) if octets.len() == CHALLENGE_LEN => {}
            _ => return Err(BAD.into()),
        }
        let expires_in = answer.get("expires_in").and_then(|value| value.as_u64());
        let expires_in = expires_in.filter(|seconds| *seconds > 0);
        let expires_in = expires_in.ok_or(Error::malformed("expires_in", "expected seconds"))?;
        Ok(Challenged { challenge, expires_in })
    }
}

impl Exchange for Credentials<'_> {
    type Output<'b> = Granted<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        check_attestation(self.attestation)?;
        if self.request.is_empty() {
            return Err(Error::invalid("request", "is empty; write it with write_request"));
        }
        let len = self.attestation.len() + base64::url_encoded_len(self.request.len()) + 64;
        if len > MAX_BODY {
            let help = "is too large for a broker, with the attestation: 64 KiB in all";
            return Err(Error::new(ErrorKind::Capacity, "request", help));
        }
        post(draft, self.host, "/v1/credentials")?;
        draft.body(|out| {
            let mut object = Object::new(out);
            let to = object.name("request");
            to.octet(b'"');
            base64::url_encode(self.request, to);
            to.octet(b'"');
            object.string("attestation", self.attestation);
            object.end();
        });
        Ok(())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Granted<'b>, Failure<'b>> {
        let answer = good(head, body)?;
        exactly(&answer, &["grant", "expires_at", "aws", "bearer", "secrets"])?;
        let expires_at = UnixTime::parse(answer.string("expires_at")?)
            .map_err(|e| Error::malformed("expires_at", e.help()))?;
        let grant = answer.string("grant")?;
        let credential = match (answer.get("aws"), answer.get("bearer"), answer.get("secrets")) {
            (Some(aws), None, None) => {
                const NAMES: [&str; 3] = ["access_key_id", "secret_access_key", "session_token"];
                let [id, secret_key, token] = NAMES;
                exactly(&aws, &[id, secret_key, token, "region"])?;
                let region = match aws.get("region") {
                    Some(_) => Some(aws.string("region")?),
                    None => None,
                };
                Credential::Aws(AwsKeys { region, ..keys(&aws, NAMES)? })
            }
            (None, Some(bearer), None) => {
                exactly(&bearer, &["access_token", "token_type"])?;
                if !bearer.string("token_type")?.eq_ignore_ascii_case("Bearer") {
                    return Err(Error::malformed("token_type", "expected Bearer").into());
                }
                Credential::Bearer(secret(&bearer, "access_token")?)
            }
            (None, None, Some(bundle)) => Credential::Secrets(Secrets::read(bundle)?),
            _ => {
                let help = "expected exactly one of aws, bearer and secrets";
                return Err(Error::malformed("credential", help).into());
            }
        };
        Ok(Granted { grant, issued: Issued { expires_at, credential } })
    }
}

impl core::fmt::Debug for Credentials<'_> {
    /// Without the attestation.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Credentials({}, {} octets of request)", self.host, self.request.len())
    }
}

/// A POST of JSON: all but the body.
fn post(draft: &mut Draft<'_>, host: &str, target: &str) -> Result<()> {
    check_host(host, "broker")?;
    draft.method("POST");
    draft.host(|out| out.text(host));
    draft.target(|out| out.text(target));
    draft.head(|out| out.text("Content-Type: application/json\r\nAccept: application/json"));
    Ok(())
}

fn check_attestation(attestation: &str) -> Result<()> {
    if is_compact(attestation) {
        Ok(())
    } else {
        let help = "expected a compact JWS: three parts in base64url, joined by dots";
        Err(Error::invalid("attestation", help))
    }
}

/// The answer's object, if it is a good one; else what the broker said (RFC 9457).
fn good<'b>(
    head: &ResponseHead<'b>,
    body: &'b mut [u8],
) -> core::result::Result<Value<'b>, Failure<'b>> {
    match json::parse(body) {
        Ok(answer) if head.status == 200 => Ok(answer),
        Err(e) if head.status == 200 => Err(Failure::Answer(e)),
        problem => {
            let text = |name| {
                let value = problem.as_ref().ok().and_then(|problem| problem.get(name));
                value.and_then(|value| value.as_str()).unwrap_or_default()
            };
            // The record's id is what its owner needs to say more; the title says what the code does.
            let message = [text("instance"), text("title")];
            let message = message.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
            let code = text("type").strip_prefix(ERROR).unwrap_or_default();
            Err(Failure::Service(ServiceError { status: head.status, code, message }))
        }
    }
}

/// Refuses what is no object, and members that are not among `names`.
fn exactly(value: &Value<'_>, names: &[&str]) -> Result<()> {
    if value.kind() != Kind::Object {
        return Err(Error::malformed("answer", "expected a JSON object"));
    }
    if value.members().any(|(name, _)| !names.contains(&name)) {
        let help = "has a member that this version does not know; is this a broker of version 1?";
        return Err(Error::malformed("answer", help));
    }
    Ok(())
}

/// Keys of AWS in members with these names.
fn keys<'b>(value: &Value<'b>, [id, secret_key, token]: [&'static str; 3]) -> Result<AwsKeys<'b>> {
    Ok(AwsKeys {
        access_key_id: secret(value, id)?.expose(),
        secret_access_key: secret(value, secret_key)?,
        session_token: secret(value, token)?,
        region: None,
    })
}

/// A text that can go into a header.
fn secret<'b>(value: &Value<'b>, name: &'static str) -> Result<Secret<'b>> {
    let text = value.string(name)?;
    if is_token(text) {
        Ok(Secret::new(text))
    } else {
        Err(Error::malformed(name, "expected printable ASCII without spaces"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Out;
    use crate::jws::testing::attempt;
    use crate::oauth::testing::answered;
    use proptest::prelude::*;

    const HOST: &str = "broker.example:8443";
    const CHALLENGE: Challenge<'_> = Challenge { host: HOST };
    const CREDENTIALS: Credentials<'_> =
        Credentials { host: HOST, request: br#"{"grant":"g"}"#, attestation: "e30.e30.AQ" };
    const AWS: &str = r#"{"grant":"s3-reader","expires_at":"2026-11-22T13:00:00Z",
        "aws":{"access_key_id":"ASIA1","secret_access_key":"geheim","session_token":"sitzung",
        "region":"eu-central-1"}}"#;
    const BEARER: &str = r#"{"grant":"vault","expires_at":"2026-11-22T13:00:00Z",
        "bearer":{"access_token":"marke","token_type":"Bearer"}}"#;
    const SECRETS: &str = r#"{"grant":"rest-api","expires_at":"2026-11-22T13:00:00Z",
        "secrets":{"api-key":{"value":"Z2VoZWlt"}}}"#;

    #[test]
    fn requests() {
        let mut buf = [0; 1024];
        let http = CHALLENGE.build(&attempt(), &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", HOST));
        assert_eq!((http.target(), http.body()), ("/v1/challenge", b"{}".as_slice()));
        assert_eq!(http.header("content-type"), Some("application/json"));
        let http = CREDENTIALS.build(&attempt(), &mut buf).unwrap();
        assert_eq!((http.method(), http.target()), ("POST", "/v1/credentials"));
        // By `printf '{"grant":"g"}' | basenc --base64url`, without the padding.
        let body = r#"{"request":"eyJncmFudCI6ImcifQ","attestation":"e30.e30.AQ"}"#;
        assert_eq!(core::str::from_utf8(http.body()).unwrap(), body);
        let shown = format!("{CREDENTIALS:?} {http:?}");
        assert!(!shown.contains("e30"), "{shown}");
    }

    #[test]
    fn request_octets() {
        let write = |grant: &str| {
            let mut buf = [0; 128];
            let mut out = Out::new(&mut buf);
            write_request(grant, &mut out);
            String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
        };
        assert_eq!(write("s3-reader"), r#"{"grant":"s3-reader"}"#);
        assert_eq!(write("a\"},{"), r#"{"grant":"a\"},{"}"#);
    }

    #[test]
    fn refused_requests() {
        let refused = |request: Credentials<'_>| {
            let e = request.needed(&attempt(), 0).unwrap_err();
            (e.kind(), e.field())
        };
        assert!(CREDENTIALS.needed(&attempt(), 0).is_ok());
        for attestation in ["", "a.b", "a.b.c.d", "a.b.c\n", "a.b.", "a b.c.d", "400 bad request"] {
            let bad = Credentials { attestation, ..CREDENTIALS };
            assert_eq!(refused(bad), (ErrorKind::Invalid, "attestation"), "{attestation}");
        }
        for host in ["", "a/b", "a\r\nb", "https://a"] {
            assert_eq!(refused(Credentials { host, ..CREDENTIALS }).1, "broker");
            assert!(Challenge { host }.needed(&attempt(), 0).is_err());
        }
        assert_eq!(refused(Credentials { request: b"", ..CREDENTIALS }).1, "request");
        let size = |len: usize| {
            let large = format!("e30.e30.{}", "A".repeat(len));
            Credentials { attestation: &large, ..CREDENTIALS }.needed(&attempt(), 0).is_ok()
        };
        assert!(size(MAX_BODY - 100) && !size(MAX_BODY - 80));
    }

    #[test]
    fn challenges() {
        let octets = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
        let good = format!(r#"{{"challenge":"{octets}","expires_in":60}}"#);
        let answer = answered(&CHALLENGE, 200, &good).unwrap();
        assert!(answer.contains("[1, 2, 3,") && answer.contains("32]"), "{answer}");
        assert!(answer.contains("expires_in: 60"), "{answer}");
        let refused = |text: &str| answered(&CHALLENGE, 200, text).unwrap_err().1;
        for (from, to, field) in [
            (octets, "AQID", "challenge"),
            (octets, &*format!("{octets}AA"), "challenge"),
            (octets, "", "challenge"),
            (octets, &octets.replace('I', "="), "challenge"),
            ("60", "0", "expires_in"),
            ("60", "-1", "expires_in"),
            ("60", "\"60\"", "expires_in"),
            ("60", "60,\"more\":1", "answer"),
            ("60", "60,\"expires_in\":60", "JSON"),
            ("challenge", "challange", "answer"),
        ] {
            assert_eq!(refused(&good.replace(from, to)), field, "{from} {to}");
        }
        assert_eq!(refused("[]"), "answer");
        assert_eq!(refused("<html>"), "JSON");
    }

    #[test]
    fn credentials() {
        let read = |status, body: &str, check: &mut dyn FnMut(Granted<'_>)| {
            let mut body = body.as_bytes().to_vec();
            check(CREDENTIALS.response(&ResponseHead { status, headers: &[] }, &mut body).unwrap());
        };
        read(200, AWS, &mut |granted| {
            assert_eq!(granted.grant, "s3-reader");
            assert_eq!(granted.issued.expires_at, UnixTime::parse("2026-11-22T13:00:00Z").unwrap());
            let keys = AwsKeys {
                access_key_id: "ASIA1",
                secret_access_key: Secret::new("geheim"),
                session_token: Secret::new("sitzung"),
                region: Some("eu-central-1"),
            };
            assert_eq!(granted.issued.credential, Credential::Aws(keys));
            let shown = format!("{granted:?}");
            assert!(!shown.contains("geheim") && !shown.contains("sitzung"), "{shown}");
        });
        read(200, BEARER, &mut |granted| {
            let token = Credential::Bearer(Secret::new("marke"));
            assert_eq!((granted.grant, granted.issued.credential), ("vault", token));
        });
        read(200, SECRETS, &mut |granted| {
            let Credential::Secrets(secrets) = granted.issued.credential else { unreachable!() };
            let mut names = secrets.iter().map(|(name, _)| name);
            assert_eq!((names.next(), names.next()), (Some("api-key"), None));
            let shown = format!("{granted:?}");
            assert!(shown.contains("value") && !shown.contains("Z2Vo"), "{shown}");
        });
        read(200, &AWS.replace(",\n        \"region\":\"eu-central-1\"", ""), &mut |granted| {
            assert!(matches!(
                granted.issued.credential,
                Credential::Aws(AwsKeys { region: None, .. })
            ));
        });
    }

    #[test]
    fn exactly_one_and_nothing_unknown() {
        let refused = |text: String| answered(&CREDENTIALS, 200, &text).unwrap_err().1;
        let bearer = r#""bearer":{"access_token":"marke","token_type":"Bearer"}"#;
        for (text, field) in [
            (AWS.replace("}}", &format!("}},{bearer}}}")), "credential"),
            (BEARER.replace(bearer, "\"bearer\":1"), "answer"),
            (BEARER.replace(&format!(",\n        {bearer}"), ""), "credential"),
            (BEARER.replace("\"grant\"", "\"granted\""), "answer"),
            (BEARER.replace("\"grant\":\"vault\",", ""), "grant"),
            (BEARER.replace("2026-", "26-"), "expires_at"),
            (BEARER.replace("\"2026-11-22T13:00:00Z\"", "1795352400"), "expires_at"),
            (BEARER.replace("marke", ""), "access_token"),
            (BEARER.replace("marke", "zwei marken"), "access_token"),
            (BEARER.replace("Bearer", "DPoP"), "token_type"),
            (BEARER.replace("\"token_type\"", "\"scope\":\"\",\"token_type\""), "answer"),
            (BEARER.replace("\"grant\"", "\"grant\":\"x\",\"grant\""), "JSON"),
            (AWS.replace("ASIA1", ""), "access_key_id"),
            (AWS.replace("geheim", "ge heim"), "secret_access_key"),
            (AWS.replace("\"session_token\":\"sitzung\",", ""), "session_token"),
            (AWS.replace("\"region\"", "\"account\""), "answer"),
            (AWS.replace("\"eu-central-1\"", "1"), "region"),
            (BEARER.replace(bearer, "\"secrets\":{}"), "secrets"),
            (SECRETS.replace("}}}", &format!("}}}},{bearer}}}")), "credential"),
            (SECRETS.replace("api-key", "api key"), "secrets"),
            (format!("{BEARER}ok"), "JSON"),
        ] {
            assert_eq!(refused(text.clone()), field, "{text}");
        }
    }

    #[test]
    fn problems() {
        let refused = |status, body: &str| answered(&CREDENTIALS, status, body).unwrap_err();
        let problem = r#"{"type":"urn:libcloudauth:error:denied","status":403,"title":"Denied",
            "instance":"urn:uuid:1"}"#;
        assert_eq!(refused(403, problem), (403, "denied".into(), "urn:uuid:1".into()));
        let without = problem.replace(",\n            \"instance\":\"urn:uuid:1\"", "");
        assert_eq!(refused(403, &without), (403, "denied".into(), "Denied".into()));
        let other = problem.replace("urn:libcloudauth", "urn:other");
        assert_eq!(refused(403, &other).1, "");
        // A status that says no is one, whatever stands below it.
        assert_eq!(refused(503, BEARER), (503, String::new(), String::new()));
        assert_eq!(refused(502, "<html>"), (502, String::new(), String::new()));
        assert_eq!(refused(500, ""), (500, String::new(), String::new()));
        assert_eq!(answered(&CHALLENGE, 429, problem).unwrap_err().1, "denied");
    }

    proptest! {
        #[test]
        fn no_answer_panics(status: u16, body: Vec<u8>) {
            let head = ResponseHead { status, headers: &[] };
            let _ = CHALLENGE.response(&head, &mut body.clone());
            let _ = CREDENTIALS.response(&head, &mut body.clone());
        }
    }
}
