//! Workload and workforce identity federation: Google's Security Token Service turns a token from
//! elsewhere, or one that our own key signs, into a federated access token (RFC 8693).
//!
//! Sources: Google, "Method: token" (Security Token Service API), and "Configure Workload Identity
//! Federation with other identity providers".

use super::DEFAULT_UNIVERSE;
use super::service_account::check_universe;
use crate::encode::form::Form;
use crate::encode::percent;
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret};
use crate::http::ResponseHead;
use crate::jws::{self, Part};
use crate::oauth::{self, AccessToken};
use crate::out::{Out, Sink};
use crate::{Assertion, Error, Result, Scheme};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A federated access token: `POST` to `https://sts.googleapis.com/v1/token`. It is good by itself where
/// the principal has rights, and for [impersonation](super::GenerateAccessToken) of a service account
/// elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenExchange<'a> {
    /// The token that is exchanged, and the provider that is to believe it.
    pub subject: Subject<'a>,
    /// What the access token is for.
    pub scopes: &'a [&'a str],
    /// The project that is billed, for workforce pools only: they belong to no project.
    pub user_project: Option<&'a str>,
    /// The domain of the cloud, [`DEFAULT_UNIVERSE`] but for sovereign ones.
    pub universe: &'a str,
}

/// The token that is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A token that our key signs.
    Signed(SubjectToken<'a>),
    /// A token that was given to us.
    Given {
        /// The provider, as in [`SubjectToken::provider`].
        provider: &'a str,
        /// The token.
        token: Secret<'a>,
        /// What kind of token it is.
        token_type: SubjectTokenType,
    },
}

/// What kind of token a [`Subject::Given`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectTokenType {
    /// A signed `GetCallerIdentity` request of AWS, in Google's JSON form.
    Aws4Request,
    /// An OpenID Connect ID token.
    IdToken,
    /// A JWT.
    Jwt,
    /// A SAML 2.0 assertion, in base64.
    Saml2,
}

/// A token that a key of ours signs as the issuer of an OIDC provider, whose JWKS (at the issuer, or
/// uploaded to the provider) holds the public key. So a key that cannot be copied is a workload's
/// identity, without a service-account key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectToken<'a> {
    /// The provider that is to believe it:
    /// `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`
    /// or
    /// `//iam.googleapis.com/locations/global/workforcePools/POOL/providers/PROVIDER`.
    pub provider: &'a str,
    /// The issuer (`iss`): an `https` URI, exactly as the provider was given it.
    pub issuer: &'a str,
    /// The subject (`sub`), which the provider's mapping makes `google.subject`.
    pub subject: &'a str,
    /// The audience (`aud`); `None` for the provider's own, `https:` and [`provider`](Self::provider),
    /// which a provider takes that was given no list of audiences.
    pub audience: Option<&'a str>,
    /// The key's id in the JWKS (`kid`).
    pub key_id: Option<&'a str>,
    /// How long the token is valid, in seconds: 1 to [`MAX_LIFETIME`](Self::MAX_LIFETIME).
    pub lifetime: u32,
    /// `RS256` or `ES256`.
    pub scheme: Scheme,
}

impl SubjectTokenType {
    /// Its name in the request.
    #[must_use]
    pub const fn urn(self) -> &'static str {
        match self {
            Self::Aws4Request => "urn:ietf:params:aws:token-type:aws4_request",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
        }
    }
}

impl<'a> SubjectToken<'a> {
    /// The longest lifetime that Google takes, in seconds.
    pub const MAX_LIFETIME: u32 = 86_400;

    /// A token for ten minutes, for the provider itself: `RS256`, without a key id.
    #[must_use]
    pub const fn new(provider: &'a str, issuer: &'a str, subject: &'a str) -> Self {
        Self {
            provider,
            issuer,
            subject,
            audience: None,
            key_id: None,
            lifetime: 600,
            scheme: Scheme::RsaPkcs1Sha256,
        }
    }

    fn check(&self) -> Result<()> {
        if Pool::of(self.provider).is_none() {
            return Err(BAD_PROVIDER);
        }
        if !self.issuer.starts_with("https://") || !oauth::is_token(self.issuer) {
            return Err(Error::invalid("issuer", "expected an https URI"));
        }
        let limits = [
            ("subject", Some(self.subject), "must not be empty"),
            ("audience", self.audience, "must not be empty; leave it out for the provider's own"),
            ("key id", self.key_id, "must not be empty; leave it out when there is none"),
        ];
        for (field, value, help) in limits {
            if value == Some("") {
                return Err(Error::invalid(field, help));
            }
        }
        if !(1..=Self::MAX_LIFETIME).contains(&self.lifetime) {
            return Err(Error::invalid("lifetime", "expected 1 to 86400 seconds"));
        }
        match self.scheme {
            Scheme::RsaPkcs1Sha256 | Scheme::EcdsaP256Sha256 => Ok(()),
            _ => Err(Error::unsupported("signature scheme", "Google takes RS256 or ES256")),
        }
    }
}

impl Assertion for SubjectToken<'_> {
    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn write(&self, at: &Attempt, out: &mut Out<'_>) -> Result<()> {
        self.check()?;
        let header = |header: &mut Part<'_, '_, '_>| {
            header.optional("kid", self.key_id);
        };
        jws::signing_input(out, self.scheme, header, |claims| {
            claims.string("iss", self.issuer).string("sub", self.subject);
            match self.audience {
                Some(audience) => {
                    claims.string("aud", audience);
                }
                None => jws::plain(claims, "aud", |to| {
                    to.text("https:");
                    to.text(self.provider);
                }),
            }
            claims.number("iat", at.time().as_secs());
            claims.number("exp", at.time().plus(self.lifetime.into()).as_secs());
        })
    }
}

impl<'a> TokenExchange<'a> {
    /// An exchange in the public cloud, for no billed project.
    #[must_use]
    pub const fn new(subject: Subject<'a>, scopes: &'a [&'a str]) -> Self {
        Self { subject, scopes, user_project: None, universe: DEFAULT_UNIVERSE }
    }

    /// The provider, which is the audience of the exchange.
    #[must_use]
    pub const fn provider(&self) -> &'a str {
        match self.subject {
            Subject::Signed(SubjectToken { provider, .. }) | Subject::Given { provider, .. } => {
                provider
            }
        }
    }

    fn check(&self) -> Result<()> {
        check_universe(self.universe)?;
        oauth::check_scopes(self.scopes)?;
        let (pool, host) = Pool::of(self.provider()).ok_or(BAD_PROVIDER)?;
        if host != DEFAULT_UNIVERSE && host != self.universe {
            return Err(Error::mismatch("provider", "its host is not in the universe domain"));
        }
        if let Some(project) = self.user_project {
            if pool != Pool::Workforce {
                return Err(Error::invalid("user project", "is for workforce pools only"));
            }
            if !name(project, b":.") {
                return Err(Error::invalid("user project", "expected a project's number or id"));
            }
        }
        if let Subject::Given { token, .. } = self.subject
            && (token.expose().is_empty() || token.expose().contains(char::is_control))
        {
            return Err(Error::invalid(
                "subject token",
                "must not be empty nor hold control characters, such as a line end",
            ));
        }
        Ok(())
    }

    fn fields<S: Sink>(&self, form: &mut Form<'_, S>, token_type: SubjectTokenType) {
        form.field("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        form.field("audience", self.provider());
        oauth::scope_field(form, self.scopes);
        form.field("requested_token_type", ACCESS_TOKEN);
        form.field("subject_token_type", token_type.urn());
        if let Some(project) = self.user_project {
            // {"userProject":"…"}; the project needs no JSON escape.
            let to = form.open("options");
            for part in [r#"{"userProject":""#, project, r#""}"#] {
                percent::encode(part.as_bytes(), to);
            }
        }
    }
}

impl Exchange for TokenExchange<'_> {
    type Output<'b> = AccessToken<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        self.check()?;
        draft.host(|out| {
            out.text("sts.");
            out.text(self.universe);
        });
        draft.target(|out| out.text("/v1/token"));
        oauth::post_form(draft);
        match &self.subject {
            Subject::Signed(token) => oauth::signed_form(
                draft,
                at,
                |form| self.fields(form, SubjectTokenType::Jwt),
                "subject_token",
                token,
            ),
            Subject::Given { token, token_type, .. } => {
                draft.body(|out| {
                    let mut form = Form::new(out);
                    self.fields(&mut form, *token_type);
                    form.field("subject_token", token.expose());
                });
                Ok(())
            }
        }
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<AccessToken<'b>, Failure<'b>> {
        let answer = oauth::good(head, body)?;
        // RFC 8693, section 2.2.1: another type of token may come than the one that was asked for.
        if answer.string("issued_token_type")? != ACCESS_TOKEN {
            return Err(Error::malformed("issued_token_type", "expected an access token").into());
        }
        Ok(AccessToken::read(&answer)?)
    }
}

const BAD_PROVIDER: Error = Error::invalid(
    "provider",
    "expected //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/\
     PROVIDER or //iam.googleapis.com/locations/global/workforcePools/POOL/providers/PROVIDER",
);

/// The two kinds of pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pool {
    Workforce,
    Workload,
}

impl Pool {
    /// The kind of a provider's resource name, and the domain of its cloud.
    fn of(provider: &str) -> Option<(Self, &str)> {
        let (host, path) = provider.strip_prefix("//iam.")?.split_once('/')?;
        check_universe(host).ok()?;
        let (kind, path) = match path.strip_prefix("projects/") {
            Some(rest) => {
                let (number, rest) = rest.split_once('/')?;
                let digits = number.bytes().all(|c| c.is_ascii_digit());
                (Self::Workload, Some(rest).filter(|_| digits && !number.is_empty())?)
            }
            None => (Self::Workforce, path),
        };
        let mut parts = path.split('/');
        let collection = match kind {
            Self::Workload => "workloadIdentityPools",
            Self::Workforce => "workforcePools",
        };
        for literal in ["locations", collection, "providers"] {
            let good = parts.next()? == literal && name(parts.next()?, b"");
            good.then_some(())?;
        }
        parts.next().is_none().then_some((kind, host))
    }
}

/// Letters, digits, hyphens and what is in `more`: what needs neither a JSON nor a URI escape.
fn name(text: &str, more: &[u8]) -> bool {
    let good = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || more.contains(&c);
    (1..=64).contains(&text.len()) && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::jws::testing::{NOW, StandIn, attempt, texts, values};
    use crate::oauth::testing::{answered, fields, signed, signs_both_ways};
    use proptest::prelude::*;
    use serde_json::json;

    const PROVIDER: &str = "//iam.googleapis.com/projects/123456789012/locations/global/\
        workloadIdentityPools/my-pool/providers/my-provider";
    const WORKFORCE: &str =
        "//iam.googleapis.com/locations/global/workforcePools/my-pool/providers/my-provider";
    const TOKEN: SubjectToken<'_> =
        SubjectToken::new(PROVIDER, "https://issuer.example", "machine-1");

    fn exchange(subject: Subject<'_>) -> TokenExchange<'_> {
        TokenExchange::new(subject, &["a", "https://b/c"])
    }

    fn given<'a>(provider: &'a str, token: &'a str) -> TokenExchange<'a> {
        let token = Secret::new(token);
        exchange(Subject::Given { provider, token, token_type: SubjectTokenType::IdToken })
    }

    fn refused(exchange: &TokenExchange<'_>) -> (ErrorKind, &'static str) {
        let e = exchange.needed(&attempt(), 256).unwrap_err();
        (e.kind(), e.field())
    }

    #[test]
    fn a_signed_token() {
        let token = SubjectToken { key_id: Some("k1"), ..TOKEN };
        let request = exchange(Subject::Signed(token));
        let mut buf = [0; 4096];
        let http = signed(&request, &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", "sts.googleapis.com"));
        assert_eq!(http.target(), "/v1/token");
        let mut form = fields(http.body());
        let (name, sent) = form.pop().unwrap();
        let mut own = [0; 2048];
        let signer = StandIn { spki: vec![], len: 256 };
        let own = token.sign(&signer, &attempt(), &mut own).unwrap();
        assert_eq!((&*name, &*sent), ("subject_token", own));
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", PROVIDER),
            ("scope", "a https://b/c"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        assert_eq!(form, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        signs_both_ways(&request, &signer);
        let ec = SubjectToken { scheme: Scheme::EcdsaP256Sha256, ..token };
        signs_both_ways(&exchange(Subject::Signed(ec)), &StandIn { spki: vec![], len: 64 });
        let (header, claims) = values(&token).unwrap();
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(
            claims,
            json!({"iss": "https://issuer.example", "sub": "machine-1",
                "aud": format!("https:{PROVIDER}"), "iat": NOW, "exp": NOW + 600})
        );
        let own = SubjectToken { audience: Some("x\"y"), lifetime: 86_400, ..TOKEN };
        let (header, claims) = values(&own).unwrap();
        assert_eq!(header.get("kid"), None);
        assert_eq!((&claims["aud"], &claims["exp"]), (&json!("x\"y"), &json!(NOW + 86_400)));
    }

    #[test]
    fn a_given_token() {
        let mut buf = [0; 2048];
        let token = r#"[{"key":"a b","value":"c+d"}]"#;
        for (token_type, urn) in [
            (SubjectTokenType::Aws4Request, "urn:ietf:params:aws:token-type:aws4_request"),
            (SubjectTokenType::IdToken, "urn:ietf:params:oauth:token-type:id_token"),
            (SubjectTokenType::Jwt, "urn:ietf:params:oauth:token-type:jwt"),
            (SubjectTokenType::Saml2, "urn:ietf:params:oauth:token-type:saml2"),
        ] {
            let subject =
                Subject::Given { provider: WORKFORCE, token: Secret::new(token), token_type };
            let request = TokenExchange { user_project: Some("123"), ..exchange(subject) };
            let http = request.build(&attempt(), &mut buf).unwrap();
            let form = fields(http.body());
            let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| &**v);
            assert_eq!(form.len(), 7);
            assert_eq!(field("subject_token"), Some(token));
            assert_eq!(field("subject_token_type"), Some(urn));
            assert_eq!(field("audience"), Some(WORKFORCE));
            assert_eq!(field("options"), Some(r#"{"userProject":"123"}"#));
            assert!(!format!("{request:?}").contains("c+d"));
        }
    }

    #[test]
    fn universes() {
        let host = |provider: &str, universe| {
            let request = TokenExchange { universe, ..given(provider, "t") };
            let mut buf = [0; 1024];
            let http = request.build(&attempt(), &mut buf);
            http.map(|h| h.host().to_owned()).map_err(|e| (e.kind(), e.field()))
        };
        let theirs = PROVIDER.replace("googleapis.com", "apis.example.goog");
        for provider in [PROVIDER, &*theirs] {
            assert_eq!(host(provider, "apis.example.goog").as_deref(), Ok("sts.apis.example.goog"));
        }
        assert_eq!(host(&theirs, DEFAULT_UNIVERSE), Err((ErrorKind::Mismatch, "provider")));
        for bad in ["", "com", "evil.example/", "a.com:443", &"a.".repeat(101)] {
            assert_eq!(host(PROVIDER, bad), Err((ErrorKind::Invalid, "universe domain")));
        }
    }

    #[test]
    fn providers() {
        for good in [PROVIDER, WORKFORCE] {
            assert!(given(good, "t").needed(&attempt(), 0).is_ok());
        }
        for bad in [
            "",
            "//iam.googleapis.com",
            "//iam.googleapis.com/",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "//iam.googleapis.com/projects/1/locations/global/workforcePools/p/providers/q",
            "//iam.googleapis.com/locations/global/workloadIdentityPools/p/providers/q",
            "//iam.googleapis.com/projects//locations/global/workloadIdentityPools/p/providers/q",
            "//iam.googleapis.com/projects/a/locations/global/workloadIdentityPools/p/providers/q",
            "//iam.googleapis.com/projects/1/locations//workloadIdentityPools/p/providers/q",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q/",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p\"/providers/q",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/../providers/q",
            "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "//sts.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        ] {
            assert_eq!(refused(&given(bad, "t")), (ErrorKind::Invalid, "provider"), "{bad}");
            let token = SubjectToken { provider: bad, ..TOKEN };
            assert_eq!(texts(&token).unwrap_err().field(), "provider", "{bad}");
        }
    }

    #[test]
    fn refusals() {
        let of = |token| refused(&exchange(Subject::Signed(token)));
        let invalid = |field| (ErrorKind::Invalid, field);
        for issuer in ["", "http://issuer.example", "https://issuer .example", "issuer"] {
            assert_eq!(of(SubjectToken { issuer, ..TOKEN }), invalid("issuer"));
        }
        assert_eq!(of(SubjectToken { subject: "", ..TOKEN }), invalid("subject"));
        assert_eq!(of(SubjectToken { audience: Some(""), ..TOKEN }), invalid("audience"));
        assert_eq!(of(SubjectToken { key_id: Some(""), ..TOKEN }), invalid("key id"));
        for lifetime in [0, 86_401] {
            assert_eq!(of(SubjectToken { lifetime, ..TOKEN }), invalid("lifetime"));
        }
        let scheme = Scheme::RsaPssSha256;
        let unsupported = (ErrorKind::Unsupported, "signature scheme");
        assert_eq!(of(SubjectToken { scheme, ..TOKEN }), unsupported);
        for token in ["", "a\n", "\u{0}"] {
            assert_eq!(refused(&given(PROVIDER, token)), invalid("subject token"));
        }
        for scopes in [&[][..], &["a b"]] {
            let bad = TokenExchange { scopes, ..given(PROVIDER, "t") };
            assert_eq!(refused(&bad), invalid("scope"));
        }
        let workload = TokenExchange { user_project: Some("1"), ..given(PROVIDER, "t") };
        assert_eq!(refused(&workload), invalid("user project"));
        for project in ["", "a\"b", "a/b", "a b"] {
            let bad = TokenExchange { user_project: Some(project), ..given(WORKFORCE, "t") };
            assert_eq!(refused(&bad), invalid("user project"));
        }
    }

    #[test]
    fn answers() {
        let request = given(PROVIDER, "t");
        // As the service's reference describes it.
        let body = r#"{
          "access_token": "ya29.d.b0AXv0zTPnzpUjT",
          "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
          "token_type": "Bearer",
          "expires_in": 3599
        }"#;
        let mut answer = body.as_bytes().to_vec();
        let head = ResponseHead { status: 200, headers: &[] };
        let token = request.response(&head, &mut answer).unwrap();
        assert_eq!(token.access_token.expose(), "ya29.d.b0AXv0zTPnzpUjT");
        assert_eq!(token.expires_in, 3599);
        for other in [body.replace("type:access_token", "type:jwt"), body.replace("issued_", "_")] {
            assert_eq!(answered(&request, 200, &other).unwrap_err().1, "issued_token_type");
        }
        let refusal = r#"{"error":"invalid_grant","error_description":"The audience in ID Token [https://x] does not match the expected audience."}"#;
        let (status, code, message) = answered(&request, 400, refusal).unwrap_err();
        assert_eq!((status, &*code), (400, "invalid_grant"));
        assert!(message.starts_with("The audience in ID Token"));
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_was_given(
            provider in prop_oneof![
                Just(PROVIDER.to_owned()),
                "//iam\\.[a-z.]{1,9}/locations/[a-z]{1,3}/workforcePools/[a-z/\"]{1,9}/providers/q",
                any::<String>(),
            ],
            issuer in prop_oneof!["https://[!-~]{0,9}", any::<String>()],
            subject in any::<String>(),
            token in any::<String>(),
        ) {
            let mut buf = vec![0; 8192];
            if let Ok(http) = given(&provider, &token).build(&attempt(), &mut buf) {
                let form = fields(http.body());
                prop_assert_eq!((&form[1].1, &form[5].1), (&provider, &token));
            }
            if let Ok((_, claims)) = values(&SubjectToken::new(&provider, &issuer, &subject)) {
                prop_assert_eq!(&claims["iss"], &issuer);
                prop_assert_eq!(&claims["sub"], &subject);
                prop_assert_eq!(&claims["aud"], &format!("https:{provider}"));
            }
        }
    }
}
