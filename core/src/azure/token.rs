//! The token request of the client credentials flow.
//!
//! Source: Microsoft identity platform, "OAuth 2.0 client credentials flow on the Microsoft identity
//! platform".

use super::client_assertion::{check_client_id, check_tenant};
use super::{Authority, ClientAssertion};
use crate::encode::form::Form;
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret, ServiceError};
use crate::http::{ResponseHead, check_host};
use crate::jws::is_compact;
use crate::oauth::{self, AccessToken};
use crate::out::Sink;
use crate::{Error, Result};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An access token for an application (RFC 6749, section 4.4): `POST` to
/// `https://{authority}/{tenant}/oauth2/v2.0/token`.
///
/// Tenant, client id and authority stand in the [`Credential`], so that they cannot differ from those of
/// an assertion.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// What the token is for: for Entra ID one resource's `/.default`, such as
    /// `https://vault.azure.net/.default`.
    pub scopes: &'a [&'a str],
    /// The claims that a resource asked for (continuous access evaluation): the JSON object of its
    /// challenge, out of base64, sent as it is.
    pub claims: Option<&'a str>,
    /// What proves who the application is.
    pub credential: Credential<'a>,
}

/// What proves who the application is.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// A certificate's key: the request is signed.
    Assertion(ClientAssertion<'a>),
    /// A client secret.
    Secret(Application<'a>, Secret<'a>),
    /// A token (JWT) from an issuer that the application trusts: workload identity federation.
    Federated(Application<'a>, Secret<'a>),
}

/// An application that proves itself with something it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application<'a> {
    /// The tenant: its id or one of its domains.
    pub tenant: &'a str,
    /// The application's (client) id.
    pub client_id: &'a str,
    /// The cloud the tenant lives in.
    pub authority: Authority<'a>,
}

/// What the token endpoint of Entra ID gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'b> {
    /// The access token.
    pub token: AccessToken<'b>,
    /// How long the token may be used while Entra ID cannot be reached, in seconds.
    pub ext_expires_in: Option<u64>,
    /// When Entra ID wants a new token to be asked for, in seconds from the answer; never later than the
    /// end of the token.
    pub refresh_in: Option<u64>,
}

impl<'a> Application<'a> {
    /// An application in the public cloud.
    #[must_use]
    pub const fn new(tenant: &'a str, client_id: &'a str) -> Self {
        Self { tenant, client_id, authority: Authority::Public }
    }
}

impl<'a> Credential<'a> {
    /// The application that this proves.
    #[must_use]
    pub const fn application(&self) -> Application<'a> {
        match *self {
            Self::Assertion(ClientAssertion { tenant, client_id, authority, .. }) => {
                Application { tenant, client_id, authority }
            }
            Self::Secret(application, _) | Self::Federated(application, _) => application,
        }
    }

    fn check(&self) -> Result<()> {
        let Application { tenant, client_id, authority } = self.application();
        check_tenant(tenant)?;
        check_client_id(client_id)?;
        check_host(authority.host(), "authority")?;
        match self {
            Self::Secret(_, secret) if secret.expose().is_empty() => {
                Err(Error::invalid("client secret", "must not be empty"))
            }
            Self::Secret(_, secret) if secret.expose().contains(char::is_control) => Err(
                Error::invalid("client secret", "holds a control character, such as a line end"),
            ),
            Self::Federated(_, token) if !is_compact(token.expose()) => Err(Error::invalid(
                "federated token",
                "expected a JWT: three parts in base64url, joined by dots, and nothing around them",
            )),
            _ => Ok(()),
        }
    }
}

impl TokenRequest<'_> {
    fn check(&self) -> Result<()> {
        self.credential.check()?;
        oauth::check_scopes(self.scopes)?;
        // Its base64 is what the challenge holds, and what is easily passed on by mistake.
        if self.claims.is_some_and(|c| !(c.starts_with('{') && c.ends_with('}'))) {
            return Err(Error::invalid(
                "claims",
                "expected a JSON object; decode the base64 of the challenge first",
            ));
        }
        Ok(())
    }

    fn fields<S: Sink>(&self, form: &mut Form<'_, S>) {
        form.field("client_id", self.credential.application().client_id);
        form.field("grant_type", "client_credentials");
        oauth::scope_field(form, self.scopes);
        if let Some(claims) = self.claims {
            form.field("claims", claims);
        }
    }
}

impl Exchange for TokenRequest<'_> {
    type Output<'b> = Token<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        self.check()?;
        let Application { tenant, authority, .. } = self.credential.application();
        draft.host(|out| out.text(authority.host()));
        draft.target(|out| {
            for part in ["/", tenant, "/oauth2/v2.0/token"] {
                out.text(part);
            }
        });
        oauth::post_form(draft);
        match &self.credential {
            Credential::Assertion(assertion) => oauth::signed_form(
                draft,
                at,
                |form| {
                    self.fields(form);
                    form.field("client_assertion_type", ASSERTION_TYPE);
                },
                "client_assertion",
                assertion,
            )?,
            Credential::Secret(_, secret) => draft.body(|out| {
                let mut form = Form::new(out);
                self.fields(&mut form);
                form.field("client_secret", secret.expose());
            }),
            Credential::Federated(_, token) => draft.body(|out| {
                let mut form = Form::new(out);
                self.fields(&mut form);
                form.field("client_assertion_type", ASSERTION_TYPE);
                form.field("client_assertion", token.expose());
            }),
        }
        Ok(())
    }

    fn certified_key(&self) -> Option<&[u8]> {
        match &self.credential {
            Credential::Assertion(assertion) => Some(assertion.certificate.spki()),
            Credential::Secret(..) | Credential::Federated(..) => None,
        }
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Token<'b>, Failure<'b>> {
        let answer = oauth::good(head, body)?;
        let token = AccessToken::read(&answer)?;
        // These two are advice: what cannot be understood is not followed.
        let advice = |name| answer.get(name).and_then(|value| oauth::seconds(&value));
        Ok(Token {
            token,
            ext_expires_in: advice("ext_expires_in"),
            refresh_in: advice("refresh_in").filter(|seconds| *seconds <= token.expires_in),
        })
    }
}

/// The number of Entra ID's own error code, such as 700027 for `AADSTS700027`, with which the message of
/// its refusals begins. It is for people and for logs: Microsoft may change it at any time ("Microsoft
/// Entra authentication and authorization error codes"), so programs should decide by
/// [`ServiceError::code`].
#[must_use]
pub fn aadsts_code(error: &ServiceError<'_>) -> Option<u32> {
    let (digits, _) = error.message.strip_prefix("AADSTS")?.split_once(':')?;
    let digits = Some(digits).filter(|d| d.bytes().all(|c| c.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::client_assertion::tests::{CLIENT, LEAF, TENANT, der};
    use super::*;
    use crate::jws::testing::{StandIn, attempt, text};
    use crate::oauth::testing::{answered, fields, signed, signs_both_ways};
    use crate::x509::Certificate;
    use crate::{Assertion, ErrorKind, Scheme};
    use proptest::prelude::*;

    const APP: Application<'_> = Application::new(TENANT, CLIENT);
    const GRAPH: &[&str] = &["https://graph.microsoft.com/.default"];

    const fn secret(secret: &str) -> TokenRequest<'_> {
        let credential = Credential::Secret(APP, Secret::new(secret));
        TokenRequest { scopes: GRAPH, claims: None, credential }
    }

    fn federated(token: &str) -> TokenRequest<'_> {
        TokenRequest { credential: Credential::Federated(APP, Secret::new(token)), ..secret("") }
    }

    fn refused(request: &TokenRequest<'_>) -> (ErrorKind, &'static str) {
        let e = request.needed(&attempt(), 256).unwrap_err();
        (e.kind(), e.field())
    }

    /// The example of the documentation, "First case: Access token request with a shared secret", but for
    /// the ids and the order of the fields.
    #[test]
    fn with_a_secret() {
        let request = secret("qWgdYAmab0YSkuL1qKv5bPX");
        let mut buf = [0; 1024];
        let http = request.build(&attempt(), &mut buf).unwrap();
        assert_eq!((http.method(), http.host()), ("POST", "login.microsoftonline.com"));
        assert_eq!(http.target(), format!("/{TENANT}/oauth2/v2.0/token"));
        assert_eq!(http.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(
            core::str::from_utf8(http.body()).unwrap(),
            "client_id=11111111-2222-3333-4444-555555555555&grant_type=client_credentials\
             &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\
             &client_secret=qWgdYAmab0YSkuL1qKv5bPX"
        );
        let shown = format!("{request:?} {http:?}");
        assert!(!shown.contains("qWgd") && shown.contains("Secret(…)"), "{shown}");
    }

    #[test]
    fn with_an_assertion() {
        let leaf = der(LEAF);
        let certificate = Certificate::parse(&leaf).unwrap();
        let assertion = ClientAssertion {
            authority: Authority::China,
            ..ClientAssertion::new(certificate, "contoso.com", CLIENT)
        };
        let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1603742800"}}}"#;
        let request = TokenRequest {
            scopes: &["a", "b/.default"],
            claims: Some(claims),
            credential: Credential::Assertion(assertion),
        };
        let spki = certificate.spki().to_vec();
        signs_both_ways(&request, &StandIn { spki, len: 256 });
        let mut buf = [0; 4096];
        let http = signed(&request, &mut buf).unwrap();
        assert_eq!(http.host(), "login.partner.microsoftonline.cn");
        assert_eq!(http.target(), "/contoso.com/oauth2/v2.0/token");
        let mut form = fields(http.body());
        let (name, token) = form.pop().unwrap();
        assert_eq!(name, "client_assertion");
        let mut own = [0; 2048];
        let signer = StandIn { spki: certificate.spki().to_vec(), len: 256 };
        assert_eq!(token, assertion.sign(&signer, &attempt(), &mut own).unwrap());
        let body = text(token.split('.').nth(1).unwrap());
        let audience = format!("https://{}{}", http.host(), http.target());
        assert!(body.contains(&format!(r#""aud":"{audience}""#)), "{body}");
        let expected = [
            ("client_id", CLIENT),
            ("grant_type", "client_credentials"),
            ("scope", "a b/.default"),
            ("claims", claims),
            ("client_assertion_type", ASSERTION_TYPE),
        ];
        assert_eq!(form, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        // Another key does not sign for this certificate.
        let mut spki = certificate.spki().to_vec();
        spki[100] ^= 1;
        let e = request.request(&StandIn { spki, len: 256 }, &attempt(), &mut buf).unwrap_err();
        assert_eq!((e.kind(), e.field()), (ErrorKind::Mismatch, "certificate"));
        let bad = ClientAssertion { scheme: Scheme::EcdsaP256Sha256, ..assertion };
        let bad = TokenRequest { credential: Credential::Assertion(bad), ..request };
        assert_eq!(refused(&bad), (ErrorKind::Unsupported, "signature scheme"));
    }

    #[test]
    fn with_a_federated_token() {
        let request = federated("aa.b-_b.cc");
        let mut buf = [0; 1024];
        let http = request.build(&attempt(), &mut buf).unwrap();
        let form = fields(http.body());
        assert_eq!(form[3].1, ASSERTION_TYPE);
        assert_eq!(form[4], ("client_assertion".to_owned(), "aa.b-_b.cc".to_owned()));
        assert!(!format!("{request:?}").contains("aa.b"));
    }

    #[test]
    fn refusals() {
        let good = secret("s");
        assert!(good.needed(&attempt(), 0).is_ok());
        for bad in ["", "a\n", "\u{0}", "a\rb"] {
            assert_eq!(refused(&secret(bad)), (ErrorKind::Invalid, "client secret"), "{bad:?}");
        }
        for bad in
            ["", "a", "a.b", "a.b.", ".b.c", "a.b.c.d", "a.b.c\n", "a.b c.d", "a.b=.c", "a.b+.c"]
        {
            assert_eq!(
                refused(&federated(bad)),
                (ErrorKind::Invalid, "federated token"),
                "{bad:?}"
            );
        }
        for scopes in [&[][..], &[""], &["a b"], &["a", "a\""]] {
            let bad = TokenRequest { scopes, ..good };
            assert_eq!(refused(&bad), (ErrorKind::Invalid, "scope"));
        }
        for claims in ["", "eyJhY2Nlc3NfdG9rZW4iOnt9fQ==", "[]", "{", "}"] {
            let bad = TokenRequest { claims: Some(claims), ..good };
            assert_eq!(refused(&bad), (ErrorKind::Invalid, "claims"), "{claims}");
        }
        let of =
            |app| TokenRequest { credential: Credential::Secret(app, Secret::new("s")), ..good };
        for bad in ["", "a/b", "..", "a?b", "a b", "a\r\nb"] {
            assert_eq!(refused(&of(Application { tenant: bad, ..APP })).1, "tenant");
            assert_eq!(refused(&of(Application { client_id: bad, ..APP })).1, "client id");
            let authority = Authority::Custom(bad);
            assert_eq!(refused(&of(Application { authority, ..APP })).1, "authority");
        }
    }

    /// Answers as the documentation shows them.
    #[test]
    fn answers() {
        let read = |status, body: &str| {
            let mut body = body.as_bytes().to_vec();
            let head = ResponseHead { status, headers: &[] };
            let token = secret("s").response(&head, &mut body).unwrap();
            let life = token.token.expires_in;
            assert_eq!(token.token.token_type, "Bearer");
            (token.token.access_token.expose().len(), life, token.ext_expires_in, token.refresh_in)
        };
        let documented = r#"{
            "token_type": "Bearer",
            "expires_in": 3599,
            "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6Ik1uQ19WWmNBVGZNNXBP..."
        }"#;
        assert_eq!(read(200, documented), (67, 3599, None, None));
        // Lives as strings, as the first version of the endpoint and the instance metadata service send
        // them.
        let strings = r#"{"token_type":"Bearer","expires_in":"86399","ext_expires_in":"86399",
            "expires_on":"1506484173","not_before":"1506480273",
            "resource":"https://management.azure.com/","access_token":"eyJ0eXAi"}"#;
        assert_eq!(read(200, strings), (8, 86_399, Some(86_399), None));
        let advice = r#"{"token_type":"Bearer","expires_in":86399,"ext_expires_in":86399,
            "refresh_in":43199,"access_token":"t"}"#;
        assert_eq!(read(200, advice), (1, 86_399, Some(86_399), Some(43_199)));
        for bad in ["0", "-1", "86400", "\"soon\"", "null", "{}"] {
            assert_eq!(read(200, &advice.replace("43199", bad)).3, None, "{bad}");
        }
        let shown = answered(&secret("s"), 200, &advice.replace("\"t\"", "\"the-token\"")).unwrap();
        assert!(shown.contains("86399") && !shown.contains("the-token"), "{shown}");
    }

    #[test]
    fn error_answers() {
        // The sample of "Microsoft Entra authentication and authorization error codes".
        let body = r#"{
            "error": "invalid_scope",
            "error_description": "AADSTS70011: The provided value for the input parameter 'scope' is not valid. The scope https://foo.microsoft.com/.default is not valid.\r\nTrace ID: 0000aaaa-11bb-cccc-dd22-eeeeee333333\r\nCorrelation ID: aaaa0000-bb11-2222-33cc-444444dddddd\r\nTimestamp: 2016-01-09 02:02:12Z",
            "error_codes": [70011],
            "timestamp": "2016-01-09 02:02:12Z",
            "trace_id": "0000aaaa-11bb-cccc-dd22-eeeeee333333",
            "correlation_id": "aaaa0000-bb11-2222-33cc-444444dddddd"
        }"#;
        let mut answer = body.as_bytes().to_vec();
        let head = ResponseHead { status: 400, headers: &[] };
        let Err(Failure::Service(e)) = secret("s").response(&head, &mut answer) else {
            panic!("taken");
        };
        assert_eq!((e.status, e.code), (400, "invalid_scope"));
        assert_eq!(aadsts_code(&e), Some(70011));
        assert!(e.message.starts_with("AADSTS70011: The provided") && !e.is_transient());
        let code = |message| aadsts_code(&ServiceError { status: 401, code: "", message });
        assert_eq!(
            code("AADSTS700027: The certificate with identifier used to sign the client assertion"),
            Some(700_027)
        );
        for none in [
            "",
            "AADSTS",
            "AADSTS:",
            "AADSTS7",
            "AADSTS+7: x",
            "AADSTS7 x: y",
            "AADSTS99999999999: x",
            "no AADSTS7: x",
            "aadsts7: x",
        ] {
            assert_eq!(code(none), None, "{none}");
        }
        let proxy = answered(&secret("s"), 407, "<html>Proxy</html>");
        assert_eq!(proxy, Err((407, String::new(), String::new())));
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_was_given(
            tenant in prop_oneof!["[a-z0-9.-]{1,12}", any::<String>()],
            client_id in prop_oneof!["[a-f0-9-]{1,12}", any::<String>()],
            host in prop_oneof![Just("login.example".to_owned()), any::<String>()],
            text in any::<String>(),
            claims in proptest::option::of("\\{\\PC{0,20}\\}"),
            scopes in proptest::collection::vec(prop_oneof!["[!-~]{1,9}", any::<String>()], 0..4),
        ) {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let app = Application {
                tenant: &tenant,
                client_id: &client_id,
                authority: Authority::Custom(&host),
            };
            let request = TokenRequest {
                scopes: &scopes,
                claims: claims.as_deref(),
                credential: Credential::Secret(app, Secret::new(&text)),
            };
            let mut buf = [0; 4096];
            if let Ok(http) = request.build(&attempt(), &mut buf) {
                let sent = fields(http.body());
                let field = |name: &str| sent.iter().find(|(n, _)| n == name).map(|(_, v)| &**v);
                prop_assert_eq!(field("client_id"), Some(&*client_id));
                prop_assert_eq!(field("client_secret"), Some(&*text));
                prop_assert_eq!(field("claims"), claims.as_deref());
                let scope = field("scope").unwrap().split(' ').collect::<Vec<_>>();
                prop_assert_eq!(scope, scopes);
                prop_assert_eq!(http.host(), &*host);
                prop_assert_eq!(http.target(), format!("/{tenant}/oauth2/v2.0/token"));
                prop_assert!(!http.target().contains(".."));
            }
        }
    }
}
