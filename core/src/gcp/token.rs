//! A service account's access token from Google's token endpoint.

use super::service_account::split_uri;
use super::{Grant, SelfSigned, TOKEN_URI};
use crate::exchange::{Attempt, Draft, Exchange, Failure};
use crate::http::ResponseHead;
use crate::oauth::{self, AccessToken};
use crate::out::Sink;
use crate::{Error, Result, Scheme};

/// Asks Google's token endpoint for an access token of a service account whose key signs (RFC 7523,
/// section 2.1; Google, "Using OAuth 2.0 for Server to Server Applications"). For most APIs a
/// [`SelfSigned`] token does without this; domain-wide delegation needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessTokenRequest<'a> {
    /// The service account's e-mail.
    pub email: &'a str,
    /// The key's id at Google (`kid`), left out when it is not known.
    pub key_id: Option<&'a str>,
    /// What the access token is for.
    pub scopes: &'a [&'a str],
    /// The user to act for, with domain-wide delegation.
    pub subject: Option<&'a str>,
    /// How long the assertion is valid, in seconds: 1 to [`SelfSigned::MAX_LIFETIME`]. The access token
    /// ends when Google says.
    pub lifetime: u32,
    /// `RS256` or `ES256`.
    pub scheme: Scheme,
    /// The token endpoint: an `https` URI without port or user. Whoever answers there gets the
    /// assertion.
    pub token_uri: &'a str,
}

impl<'a> AccessTokenRequest<'a> {
    /// A request to [`TOKEN_URI`]: an assertion for an hour, `RS256`, without a key id.
    #[must_use]
    pub const fn new(email: &'a str, scopes: &'a [&'a str]) -> Self {
        Self {
            email,
            key_id: None,
            scopes,
            subject: None,
            lifetime: SelfSigned::MAX_LIFETIME,
            scheme: Scheme::RsaPkcs1Sha256,
            token_uri: TOKEN_URI,
        }
    }
}

impl Exchange for AccessTokenRequest<'_> {
    type Output<'b> = AccessToken<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        let assertion = SelfSigned {
            email: self.email,
            key_id: self.key_id,
            grant: Grant::Exchange { scopes: self.scopes, token_uri: self.token_uri },
            subject: self.subject,
            lifetime: self.lifetime,
            scheme: self.scheme,
        };
        write_grant(draft, at, self.token_uri, &assertion)
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<AccessToken<'b>, Failure<'b>> {
        Ok(AccessToken::read(&oauth::good(head, body)?)?)
    }
}

/// The JWT bearer grant (RFC 7523, section 2.1), posted to `token_uri`.
pub(super) fn write_grant(
    draft: &mut Draft<'_>,
    at: &Attempt,
    token_uri: &str,
    assertion: &SelfSigned<'_>,
) -> Result<()> {
    let (host, target) = split_uri(token_uri).ok_or(Error::invalid(
        "token URI",
        "expected https://, a plain host name without port or user, and a path",
    ))?;
    draft.host(|out| out.text(host));
    draft.target(|out| out.text(target));
    oauth::post_form(draft);
    oauth::signed_form(
        draft,
        at,
        |form| form.field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        "assertion",
        assertion,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::testing::{StandIn, attempt, text};
    use crate::oauth::testing::{answered, fields, signed, signs_both_ways};
    use crate::{Assertion, ErrorKind};
    use proptest::prelude::*;

    const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
    const GOOD: AccessTokenRequest<'_> = AccessTokenRequest::new(EMAIL, &["a", "https://b/c"]);

    #[test]
    fn the_request() {
        let request = AccessTokenRequest {
            key_id: Some("k1"),
            subject: Some("user@example.com"),
            lifetime: 600,
            ..GOOD
        };
        let mut buf = [0; 2048];
        let http = signed(&request, &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", "oauth2.googleapis.com"));
        assert_eq!(http.target(), "/token");
        assert_eq!(http.header("Content-Type"), Some("application/x-www-form-urlencoded"));
        let form = fields(http.body());
        assert_eq!(form.len(), 2);
        assert_eq!(form[0].0, "grant_type");
        assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
        // The same assertion as by itself.
        let itself = SelfSigned {
            key_id: Some("k1"),
            grant: Grant::Exchange { scopes: request.scopes, token_uri: TOKEN_URI },
            subject: Some("user@example.com"),
            lifetime: 600,
            ..SelfSigned::new(EMAIL)
        };
        let mut own = [0; 2048];
        let signer = StandIn { spki: vec![], len: 256 };
        let own = itself.sign(&signer, &attempt(), &mut own).unwrap();
        assert_eq!(form[1], ("assertion".to_owned(), own.to_owned()));
        assert!(!format!("{http:?}").contains("eyJ"));
        signs_both_ways(&request, &signer);
        let ec = AccessTokenRequest { scheme: Scheme::EcdsaP256Sha256, ..request };
        signs_both_ways(&ec, &StandIn { spki: vec![], len: 64 });
    }

    #[test]
    fn the_endpoint_is_where_the_uri_says() {
        let token_uri = "https://oauth2.example.com/v1/token?x=y";
        let mut buf = [0; 2048];
        let request = AccessTokenRequest { token_uri, ..GOOD };
        let http = signed(&request, &mut buf).unwrap();
        assert_eq!((http.host(), http.target()), ("oauth2.example.com", "/v1/token?x=y"));
        let claims = text(fields(http.body())[1].1.split('.').nth(1).unwrap());
        assert!(claims.contains(&format!(r#""aud":"{token_uri}""#)), "{claims}");
    }

    #[test]
    fn refusals() {
        let field = |request: AccessTokenRequest<'_>| {
            let e = request.needed(&attempt(), 256).unwrap_err();
            (e.kind(), e.field())
        };
        for bad in [
            "",
            "https://oauth2.googleapis.com",
            "http://oauth2.googleapis.com/token",
            "HTTPS://oauth2.googleapis.com/token",
            "https://user@oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com:443/token",
            "https://oauth2.googleapis.com\\@evil.example/token",
            "https://oauth2.googleapis.com/token\r\nX: y",
            "https://oauth2.googleapis.com/to ken",
            "https://oauth2.googleapis.com/token#f",
            "https:///token",
            "https://localhost/token",
            "https://127.0.0.1/token",
            "//oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com?/token",
        ] {
            let refused = field(AccessTokenRequest { token_uri: bad, ..GOOD });
            assert_eq!(refused, (ErrorKind::Invalid, "token URI"), "{bad:?}");
        }
        assert_eq!(field(AccessTokenRequest { scopes: &[], ..GOOD }).1, "scope");
        assert_eq!(field(AccessTokenRequest { email: "", ..GOOD }).1, "service account e-mail");
        assert_eq!(field(AccessTokenRequest { lifetime: 3601, ..GOOD }).1, "lifetime");
        let scheme = Scheme::RsaPssSha256;
        assert_eq!(field(AccessTokenRequest { scheme, ..GOOD }).1, "signature scheme");
    }

    #[test]
    fn answers() {
        // Google's documentation.
        let body = r#"{
          "access_token": "1/8xbJqaOZXSUZbHLl5EOtu1pxz3fmmetKx9W8CV4t79M",
          "scope": "https://www.googleapis.com/auth/prediction",
          "token_type": "Bearer",
          "expires_in": 3600
        }"#;
        let mut answer = body.as_bytes().to_vec();
        let head = ResponseHead { status: 200, headers: &[] };
        let token = GOOD.response(&head, &mut answer).unwrap();
        let text = "1/8xbJqaOZXSUZbHLl5EOtu1pxz3fmmetKx9W8CV4t79M";
        assert_eq!((token.access_token.expose(), token.expires_in), (text, 3600));
        assert!(!answered(&GOOD, 200, body).unwrap().contains("8xbJ"));
        let refused = answered(
            &GOOD,
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
        );
        let words = |code: &str, message: &str| (400, code.to_owned(), message.to_owned());
        assert_eq!(refused, Err(words("invalid_grant", "Invalid JWT Signature.")));
        // An ID token is not an access token.
        assert_eq!(answered(&GOOD, 200, r#"{"id_token":"a.b.c"}"#).unwrap_err().1, "token_type");
    }

    proptest! {
        #[test]
        fn no_uri_leads_elsewhere(uri in prop_oneof!["https://[a-z.@:/?#\\\\]{1,20}", any::<String>()]) {
            let mut buf = vec![0; 8192];
            if let Ok(http) = signed(&AccessTokenRequest { token_uri: &uri, ..GOOD }, &mut buf) {
                prop_assert_eq!(format!("https://{}{}", http.host(), http.target()), uri);
                prop_assert!(http.target().starts_with('/'));
                prop_assert!(http.host().bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c)));
            }
        }
    }
}
