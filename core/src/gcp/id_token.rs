//! A service account's ID token from Google's token endpoint.

use super::token::write_grant;
use super::{Grant, SelfSigned, TOKEN_URI};
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret};
use crate::http::ResponseHead;
use crate::{Result, Scheme, oauth};

/// Asks Google's token endpoint for an ID token (OpenID Connect) of a service account whose key signs:
/// what Cloud Run, Cloud Functions and Identity-Aware Proxy take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdTokenRequest<'a> {
    /// The service account's e-mail.
    pub email: &'a str,
    /// The key's id at Google (`kid`), left out when it is not known.
    pub key_id: Option<&'a str>,
    /// Who the ID token is for: the service's URL, or an OAuth client id.
    pub target_audience: &'a str,
    /// How long the assertion is valid, in seconds: 1 to [`SelfSigned::MAX_LIFETIME`]. The ID token ends
    /// when Google says.
    pub lifetime: u32,
    /// `RS256` or `ES256`.
    pub scheme: Scheme,
    /// The token endpoint: an `https` URI without port or user. Whoever answers there gets the
    /// assertion.
    pub token_uri: &'a str,
}

impl<'a> IdTokenRequest<'a> {
    /// A request to [`TOKEN_URI`]: an assertion for an hour, `RS256`, without a key id.
    #[must_use]
    pub const fn new(email: &'a str, target_audience: &'a str) -> Self {
        Self {
            email,
            key_id: None,
            target_audience,
            lifetime: SelfSigned::MAX_LIFETIME,
            scheme: Scheme::RsaPkcs1Sha256,
            token_uri: TOKEN_URI,
        }
    }
}

impl Exchange for IdTokenRequest<'_> {
    /// The ID token, not verified: it is meant for someone else.
    type Output<'b> = Secret<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        let Self { target_audience, token_uri, .. } = *self;
        let assertion = SelfSigned {
            email: self.email,
            key_id: self.key_id,
            grant: Grant::IdToken { target_audience, token_uri },
            subject: None,
            lifetime: self.lifetime,
            scheme: self.scheme,
        };
        write_grant(draft, at, token_uri, &assertion)
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Secret<'b>, Failure<'b>> {
        Ok(oauth::token(&oauth::good(head, body)?, "id_token")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::jws::testing::{NOW, StandIn, attempt, text};
    use crate::oauth::testing::{answered, fields, signed, signs_both_ways};
    use serde_json::json;

    const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
    const GOOD: IdTokenRequest<'_> = IdTokenRequest::new(EMAIL, "https://x-uc.a.run.app");

    #[test]
    fn the_request() {
        let request = IdTokenRequest { key_id: Some("k1"), ..GOOD };
        let mut buf = [0; 2048];
        let http = signed(&request, &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", "oauth2.googleapis.com"));
        assert_eq!(http.target(), "/token");
        let form = fields(http.body());
        assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let mut parts = form[1].1.split('.').map(text_of);
        let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(
            claims,
            json!({"iss": EMAIL, "aud": TOKEN_URI, "target_audience": "https://x-uc.a.run.app",
                "iat": NOW, "exp": NOW + 3600})
        );
        signs_both_ways(&request, &StandIn { spki: vec![], len: 256 });
        let ec = IdTokenRequest { scheme: Scheme::EcdsaP256Sha256, ..request };
        signs_both_ways(&ec, &StandIn { spki: vec![], len: 64 });
    }

    fn text_of(part: &str) -> serde_json::Value {
        serde_json::from_str(&text(part)).unwrap_or_default()
    }

    #[test]
    fn refusals() {
        for (bad, field) in [
            (IdTokenRequest { target_audience: "", ..GOOD }, "target audience"),
            (IdTokenRequest { email: "", ..GOOD }, "service account e-mail"),
            (IdTokenRequest { key_id: Some(""), ..GOOD }, "key id"),
            (IdTokenRequest { lifetime: 0, ..GOOD }, "lifetime"),
            (
                IdTokenRequest { token_uri: "http://oauth2.googleapis.com/token", ..GOOD },
                "token URI",
            ),
        ] {
            let e = bad.needed(&attempt(), 256).unwrap_err();
            assert_eq!((e.kind(), e.field()), (ErrorKind::Invalid, field));
        }
    }

    #[test]
    fn answers() {
        let mut body = br#"{"id_token":"eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}"#.to_vec();
        let head = ResponseHead { status: 200, headers: &[] };
        let token = GOOD.response(&head, &mut body).unwrap();
        assert_eq!(token.expose(), "eyJhbGciOiJSUzI1NiJ9.e30.c2ln");
        for (status, body, field) in [
            (200, r#"{"id_token":""}"#, "id_token"),
            (200, r#"{"id_token":"a b"}"#, "id_token"),
            (200, r#"{"access_token":"a"}"#, "id_token"),
            (200, "", "JSON"),
        ] {
            assert_eq!(answered(&GOOD, status, body).unwrap_err().1, field, "{body}");
        }
        let refused = answered(&GOOD, 200, r#"{"error":"invalid_client","id_token":"a.b.c"}"#);
        assert_eq!(refused.unwrap_err(), (200, "invalid_client".to_owned(), String::new()));
    }
}
