//! The service within a Confidential Space VM that gives attestation tokens: the launcher's `teeserver`,
//! which listens on a Unix socket.
//!
//! Source: Google Cloud, "Confidential Space: connect to external resources"; the launcher's own source.

use crate::broker::seed;
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret, ServiceError};
use crate::http::ResponseHead;
use crate::json::{Kind, Object, Value};
use crate::jws::{Token, is_compact};
use crate::out::Sink;
use crate::{Error, Result};

/// Where the launcher puts the socket.
pub const SOCKET: &str = "/run/container_launcher/teeserver.sock";

/// The most octets of an audience.
pub const MAX_AUDIENCE_LEN: usize = 512;
/// The most nonces of a token.
pub const MAX_NONCES: usize = 6;
/// How many octets a nonce has. Tokens with 8 to 88 are known too; these are what every version takes.
pub const NONCE_LEN: core::ops::RangeInclusive<usize> = 10..=74;

/// Asks for a token with an audience and nonces of one's own: `POST /v1/token`.
///
/// The token that `GET /v1/token` gives, and that the launcher leaves in a file, is for Google's own
/// services. Whoever gets it can use it there: show it to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRequest<'a> {
    /// Whom the token is for: 1 to [`MAX_AUDIENCE_LEN`] octets.
    pub audience: &'a str,
    /// 1 to [`MAX_NONCES`] of [`NONCE_LEN`] octets each.
    pub nonces: &'a [&'a str],
    /// What kind of token.
    pub token_type: TokenType,
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// With tags for AWS STS (`https://aws.amazon.com/tags`).
    AwsPrincipalTags,
    /// With no more claims than AWS STS takes.
    LimitedAws,
    /// Signed by a key of the issuer's key set.
    Oidc,
    /// Signed by a key whose certificates are in the header.
    Pki,
}

impl TokenType {
    /// Its name in requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsPrincipalTags => "AWS_PRINCIPALTAGS",
            Self::LimitedAws => "LIMITED_AWS",
            Self::Oidc => "OIDC",
            Self::Pki => "PKI",
        }
    }
}

impl TokenRequest<'_> {
    /// Whether `token` is what was asked for: its audience is this one and no other, its nonces are these in
    /// this order. The signature is not looked at: the token is for someone else to verify, and one that is
    /// of no use there is found out here. `buf` must have room for three quarters of the token.
    ///
    /// # Errors
    /// [`Verification`](crate::ErrorKind::Verification) when it is another token; those of
    /// [`Token::parse`].
    pub fn check(&self, token: &str, buf: &mut [u8]) -> Result<()> {
        let token = Token::parse(token, buf)?;
        let claims = token.unverified_claims();
        if !is_list(claims.get("aud"), &[self.audience]) {
            return Err(Error::verification(
                "attestation token",
                "its audience is not the one asked for",
            ));
        }
        if !is_list(claims.get("eat_nonce"), self.nonces) {
            return Err(Error::verification(
                "attestation token",
                "its nonces are not those asked for",
            ));
        }
        Ok(())
    }

    fn validate(&self) -> Result<()> {
        if self.audience.is_empty() || self.audience.len() > MAX_AUDIENCE_LEN {
            return Err(Error::invalid("audience", "expected 1 to 512 octets"));
        }
        if self.nonces.is_empty() || self.nonces.len() > MAX_NONCES {
            return Err(Error::invalid("nonces", "expected 1 to 6 of them"));
        }
        if self.nonces.iter().any(|nonce| !NONCE_LEN.contains(&nonce.len())) {
            let help = "expected 10 to 74 octets each; encode 32 octets in base64url (43) or hexadecimal (64)";
            return Err(Error::invalid("nonces", help));
        }
        Ok(())
    }
}

/// A claim that is a string where there is one value, and an array else; or always an array.
fn is_list(claim: Option<Value<'_>>, values: &[&str]) -> bool {
    match claim {
        Some(claim) if claim.kind() == Kind::Array => {
            let elements = claim.elements().map(|element| element.as_str());
            elements.eq(values.iter().map(|value| Some(*value)))
        }
        Some(claim) => claim.as_str().is_some_and(|text| values == [text]),
        None => false,
    }
}

impl Exchange for TokenRequest<'_> {
    /// The token: a compact JWS. [`TokenRequest::check`] says whether it is what was asked for.
    type Output<'b> = Secret<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        self.validate()?;
        draft.method("POST");
        draft.host(|out| out.text("localhost"));
        draft.target(|out| out.text("/v1/token"));
        draft.head(|out| out.text("Content-Type: application/json"));
        draft.body(|out| {
            let mut object = Object::new(out);
            object.string("audience", self.audience);
            let to = object.name("nonces");
            for (i, nonce) in self.nonces.iter().enumerate() {
                to.octet(if i == 0 { b'[' } else { b',' });
                crate::json::string(nonce, to);
            }
            to.octet(b']');
            object.string("token_type", self.token_type.name());
            object.end();
        });
        Ok(())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Secret<'b>, Failure<'b>> {
        let text = seed::text(body);
        if head.status != 200 {
            // An error is plain text, which must not pass for a token.
            let message = seed::message(text);
            let error = ServiceError { status: head.status, code: "", message };
            return Err(Failure::Service(error));
        }
        if text.len() > crate::jws::MAX_TOKEN_LEN || !is_compact(text) {
            let help = "expected a JWT: three parts in base64url, joined by dots";
            return Err(Error::malformed("attestation token", help).into());
        }
        Ok(Secret::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::base64;
    use crate::jws::testing::attempt;
    use crate::oauth::testing::answered;
    use crate::{ErrorKind, Out};
    use proptest::prelude::*;

    const NONCE: &str = "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M";
    const AUDIENCE: &str = "https://broker.example";
    const GOOD: TokenRequest<'_> =
        TokenRequest { audience: AUDIENCE, nonces: &[NONCE], token_type: TokenType::Oidc };

    #[test]
    fn the_request() {
        let mut buf = [0; 1024];
        let http = GOOD.build(&attempt(), &mut buf).unwrap();
        let mut raw = [0; 1024];
        let raw = http.write_http1(&mut raw).unwrap();
        let body =
            format!(r#"{{"audience":"{AUDIENCE}","nonces":["{NONCE}"],"token_type":"OIDC"}}"#);
        let whole = format!(
            "POST /v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(core::str::from_utf8(raw).unwrap(), whole);
        let nonces = ["aaaaaaaaa\"", "bbbbbbbbbb"];
        let mut buf = [0; 1024];
        let two = TokenRequest { nonces: &nonces, token_type: TokenType::Pki, ..GOOD };
        let http = two.build(&attempt(), &mut buf).unwrap();
        let body: serde_json::Value = serde_json::from_slice(http.body()).unwrap();
        assert_eq!(body["nonces"], serde_json::json!(nonces));
        assert_eq!(body["token_type"], "PKI");
        let names = [TokenType::LimitedAws, TokenType::AwsPrincipalTags].map(TokenType::name);
        assert_eq!(names, ["LIMITED_AWS", "AWS_PRINCIPALTAGS"]);
    }

    #[test]
    fn limits() {
        let refused = |request: TokenRequest<'_>| {
            let e = request.needed(&attempt(), 0).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid);
            e.field()
        };
        let (longest, long) = ("a".repeat(512), "a".repeat(513));
        assert!(TokenRequest { audience: &longest, ..GOOD }.needed(&attempt(), 0).is_ok());
        assert_eq!(refused(TokenRequest { audience: &long, ..GOOD }), "audience");
        assert_eq!(refused(TokenRequest { audience: "", ..GOOD }), "audience");
        for len in [10, 74] {
            let nonces = ["n".repeat(len)];
            let nonces = [&*nonces[0]; MAX_NONCES];
            assert!(TokenRequest { nonces: &nonces, ..GOOD }.needed(&attempt(), 0).is_ok());
        }
        for len in [0, 9, 75, 88] {
            let bad = "n".repeat(len);
            assert_eq!(refused(TokenRequest { nonces: &[NONCE, &bad], ..GOOD }), "nonces", "{len}");
        }
        assert_eq!(refused(TokenRequest { nonces: &[], ..GOOD }), "nonces");
        assert_eq!(refused(TokenRequest { nonces: &[NONCE; 7], ..GOOD }), "nonces");
    }

    #[test]
    fn answers() {
        let read = |status, body: &str| answered(&GOOD, status, body);
        assert_eq!(read(200, "e30.e30.AQ"), Ok("Secret(…)".into()));
        assert_eq!(read(200, "e30.e30.AQ\n"), Ok("Secret(…)".into()));
        // A token with another status is none.
        assert_eq!(read(400, "e30.e30.AQ").unwrap_err().0, 400);
        let said = read(400, "failed to parse POST body as json: unknown field \"eat_nonce\"\n");
        let said = said.unwrap_err();
        assert_eq!((said.0, &*said.1), (400, ""));
        assert!(said.2.ends_with("\"eat_nonce\""));
        for bad in
            ["", "null", "e30.e30", "e30.e30.AQ e30", "<html>a.b.c</html>", "e30.e30.", "no: a.b"]
        {
            assert_eq!(read(200, bad).unwrap_err().1, "attestation token", "{bad}");
        }
        let large = format!("e30.e30.{}", "A".repeat(65_529));
        assert_eq!(read(200, &large).unwrap_err().1, "attestation token");
    }

    fn token(claims: &str) -> String {
        let mut buf = vec![0; claims.len() * 2 + 4];
        let mut out = Out::new(&mut buf);
        base64::url_encode(claims.as_bytes(), &mut out);
        format!("e30.{}.AQ", core::str::from_utf8(out.finish().unwrap()).unwrap())
    }

    #[test]
    fn what_was_asked_for() {
        let other = "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-N";
        let check = |nonces: &[&str], claims: &str| {
            let request = TokenRequest { nonces, ..GOOD };
            request.check(&token(claims), &mut [0; 1024])
        };
        let one = format!(r#"{{"aud":"{AUDIENCE}","eat_nonce":"{NONCE}"}}"#);
        let two = format!(r#"{{"aud":["{AUDIENCE}"],"eat_nonce":["{NONCE}","{other}"]}}"#);
        assert!(check(&[NONCE], &one).is_ok());
        assert!(check(&[NONCE, other], &two).is_ok());
        for (nonces, claims) in [
            (&[NONCE][..], one.replace(".example", ".example/")),
            (&[NONCE], one.replace("\"aud\"", "\"aude\"")),
            (&[NONCE], one.replace(&format!("\"{AUDIENCE}\""), &format!("[\"{AUDIENCE}\",\"x\"]"))),
            (&[NONCE], one.replace("eat_nonce", "nonce")),
            (&[NONCE], two.clone()),
            (&[other], one.clone()),
            (&[other, NONCE], two.clone()),
            (&[NONCE, other], one.clone()),
            (&[NONCE], one.replace(&format!("\"{NONCE}\""), "[]")),
            (&[NONCE], one.replace(&format!("\"{NONCE}\""), "7")),
        ] {
            let e = check(nonces, &claims).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Verification, "{claims}");
        }
        assert_eq!(GOOD.check("no", &mut [0; 64]).unwrap_err().kind(), ErrorKind::Malformed);
    }

    proptest! {
        #[test]
        fn no_answer_panics(status: u16, body: Vec<u8>, claims in "\\PC{0,60}") {
            let head = ResponseHead { status, headers: &[] };
            let _ = GOOD.response(&head, &mut body.clone());
            let _ = GOOD.check(&token(&claims), &mut [0; 256]);
        }
    }
}
