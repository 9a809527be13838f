//! The token a service account signs for itself.

use crate::jws::{self, Part};
use crate::oauth::check_scopes;
use crate::out::{Out, Sink};
use crate::{Assertion, Attempt, Error, Result, Scheme};

/// The scope for all of Google Cloud; what the account may do is then up to IAM alone.
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A token that a Google service account signs for itself, sent to an API as a bearer token with no
/// token endpoint between (AIP-4111); with [`Grant::Exchange`] or [`Grant::IdToken`], the assertion that
/// Google's token endpoint turns into an access token or an ID token (RFC 7523).
///
/// ```
/// use cloudauth_core::gcp::{Grant, SelfSigned};
///
/// let token = SelfSigned {
///     grant: Grant::Audience("https://pubsub.googleapis.com/"),
///     lifetime: 600,
///     ..SelfSigned::new("robot@project.iam.gserviceaccount.com")
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfSigned<'a> {
    /// The service account's e-mail: `iss`, and in a token for an API also `sub`.
    pub email: &'a str,
    /// The key's id at Google (`kid`), left out when it is not known.
    pub key_id: Option<&'a str>,
    /// What the token is good for.
    pub grant: Grant<'a>,
    /// The user to act for by domain-wide delegation (`sub`). Google honours it in the token exchange
    /// ([`Grant::Exchange`]); an API given a self-signed token with a foreign `sub` mostly refuses it.
    pub subject: Option<&'a str>,
    /// How long the token is valid, in seconds: 1 to [`MAX_LIFETIME`](Self::MAX_LIFETIME).
    pub lifetime: u32,
    /// The scheme: `RS256` for service-account keys, `ES256` where the verifier takes it.
    pub scheme: Scheme,
}

/// What a [`SelfSigned`] token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant<'a> {
    /// OAuth scopes (claim `scope`, joined by spaces): for every Google API that takes them.
    Scopes(&'a [&'a str]),
    /// One API (claim `aud`), such as `https://pubsub.googleapis.com/`.
    Audience(&'a str),
    /// Both claims: the assertion for the OAuth token endpoint.
    Exchange {
        /// The scopes of the access token that is asked for.
        scopes: &'a [&'a str],
        /// The token endpoint, such as [`TOKEN_URI`](crate::gcp::TOKEN_URI).
        token_uri: &'a str,
    },
    /// The assertion that the OAuth token endpoint turns into an ID token.
    IdToken {
        /// Who the ID token is for (claim `target_audience`; `aud` of the ID token).
        target_audience: &'a str,
        /// The token endpoint, such as [`TOKEN_URI`](crate::gcp::TOKEN_URI).
        token_uri: &'a str,
    },
}

impl<'a> SelfSigned<'a> {
    /// The longest lifetime Google takes, in seconds.
    pub const MAX_LIFETIME: u32 = 3600;

    /// A token for all of Google Cloud ([`CLOUD_PLATFORM`]), an hour long, `RS256`, without a key id.
    #[must_use]
    pub const fn new(email: &'a str) -> Self {
        Self {
            email,
            key_id: None,
            grant: Grant::Scopes(&[CLOUD_PLATFORM]),
            subject: None,
            lifetime: Self::MAX_LIFETIME,
            scheme: Scheme::RsaPkcs1Sha256,
        }
    }

    /// A token for an API names its account here too (AIP-4111). The token endpoint takes any `sub` for
    /// a delegation, and does without one otherwise.
    const fn sub(&self) -> Option<&'a str> {
        match (self.subject, &self.grant) {
            (None, Grant::Scopes(_) | Grant::Audience(_)) => Some(self.email),
            (subject, _) => subject,
        }
    }

    fn check(&self) -> Result<()> {
        filled(self.email, "service account e-mail", "must not be empty")?;
        if let Some(key_id) = self.key_id {
            filled(key_id, "key id", "must not be empty; leave it out when it is not known")?;
        }
        if let Some(subject) = self.subject {
            filled(subject, "subject", "must not be empty; leave it out to act as the account")?;
        }
        let (scopes, audience) = self.grant.parts();
        if let Some(audience) = audience {
            filled(audience, "audience", "must not be empty")?;
        }
        if let Some(target) = self.grant.target_audience() {
            filled(target, "target audience", "must not be empty")?;
        }
        if let Some(scopes) = scopes {
            check_scopes(scopes)?;
        }
        if !(1..=Self::MAX_LIFETIME).contains(&self.lifetime) {
            return Err(Error::invalid("lifetime", "expected 1 to 3600 seconds"));
        }
        match self.scheme {
            Scheme::RsaPkcs1Sha256 | Scheme::EcdsaP256Sha256 => Ok(()),
            _ => Err(Error::unsupported("signature scheme", "Google takes RS256 or ES256")),
        }
    }
}

impl<'a> Grant<'a> {
    /// Scopes and audience, as far as there are any.
    const fn parts(&self) -> (Option<&'a [&'a str]>, Option<&'a str>) {
        match *self {
            Self::Scopes(scopes) => (Some(scopes), None),
            Self::Audience(audience) => (None, Some(audience)),
            Self::Exchange { scopes, token_uri } => (Some(scopes), Some(token_uri)),
            Self::IdToken { token_uri, .. } => (None, Some(token_uri)),
        }
    }

    const fn target_audience(&self) -> Option<&'a str> {
        match *self {
            Self::IdToken { target_audience, .. } => Some(target_audience),
            _ => None,
        }
    }
}

impl Assertion for SelfSigned<'_> {
    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn write(&self, at: &Attempt, out: &mut Out<'_>) -> Result<()> {
        self.check()?;
        let header = |header: &mut Part<'_, '_, '_>| {
            header.optional("kid", self.key_id);
        };
        jws::signing_input(out, self.scheme, header, |claims| {
            let (scopes, audience) = self.grant.parts();
            claims.string("iss", self.email);
            claims.optional("sub", self.sub());
            if let Some(scopes) = scopes {
                jws::plain(claims, "scope", |to| {
                    for (i, scope) in scopes.iter().enumerate() {
                        if i > 0 {
                            to.put(b" ");
                        }
                        to.text(scope);
                    }
                });
            }
            claims.optional("aud", audience);
            claims.optional("target_audience", self.grant.target_audience());
            claims.number("iat", at.time().as_secs());
            claims.number("exp", at.time().plus(self.lifetime.into()).as_secs());
        })
    }
}

fn filled(value: &str, field: &'static str, help: &'static str) -> Result<()> {
    if value.is_empty() { Err(Error::invalid(field, help)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::jws::testing::{NOW, StandIn, attempt, signs_both_ways, texts, values};
    use proptest::prelude::*;
    use serde_json::json;

    const EMAIL: &str = "robot@project.iam.gserviceaccount.com";

    #[test]
    fn defaults() {
        let (header, claims) = texts(&SelfSigned::new(EMAIL)).unwrap();
        assert_eq!(header, r#"{"alg":"RS256","typ":"JWT"}"#);
        assert_eq!(
            claims,
            r#"{"iss":"robot@project.iam.gserviceaccount.com","#.to_owned()
                + r#""sub":"robot@project.iam.gserviceaccount.com","#
                + r#""scope":"https://www.googleapis.com/auth/cloud-platform","#
                + r#""iat":1795348800,"exp":1795352400}"#
        );
    }

    #[test]
    fn every_option() {
        let audience = SelfSigned {
            key_id: Some("k1"),
            grant: Grant::Audience("https://pubsub.googleapis.com/"),
            lifetime: 1,
            scheme: Scheme::EcdsaP256Sha256,
            ..SelfSigned::new(EMAIL)
        };
        let (header, claims) = values(&audience).unwrap();
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(
            claims,
            json!({"iss": EMAIL, "sub": EMAIL, "aud": "https://pubsub.googleapis.com/",
                "iat": NOW, "exp": NOW + 1})
        );
        let delegated = SelfSigned {
            grant: Grant::Exchange { scopes: &["a", "b"], token_uri: crate::gcp::TOKEN_URI },
            subject: Some("user@example.com"),
            ..SelfSigned::new(EMAIL)
        };
        assert_eq!(
            values(&delegated).unwrap().1,
            json!({"iss": EMAIL, "sub": "user@example.com", "scope": "a b",
                "aud": "https://oauth2.googleapis.com/token", "iat": NOW, "exp": NOW + 3600})
        );
        let exchanged = SelfSigned { subject: None, ..delegated };
        assert_eq!(values(&exchanged).unwrap().1.get("sub"), None);
        let acting = SelfSigned { subject: Some("user@example.com"), ..audience };
        assert_eq!(values(&acting).unwrap().1["sub"], "user@example.com");
    }

    #[test]
    fn exact_sizes_and_both_ways() {
        let rsa = StandIn { spki: vec![], len: 256 };
        signs_both_ways(&SelfSigned::new(EMAIL), &rsa);
        let ec = StandIn { spki: vec![], len: 64 };
        let token = SelfSigned { scheme: Scheme::EcdsaP256Sha256, ..SelfSigned::new(EMAIL) };
        signs_both_ways(&token, &ec);
        // A device that signs ES256 with anything but r||s of 64 octets is not believed.
        let short = StandIn { spki: vec![], len: 63 };
        assert!(token.sign(&short, &attempt(), &mut [0; 1024]).is_err());
    }

    #[test]
    fn refusals() {
        let good = SelfSigned::new(EMAIL);
        let exchange = |scopes, token_uri| Grant::Exchange { scopes, token_uri };
        for (token, field) in [
            (SelfSigned::new(""), "service account e-mail"),
            (SelfSigned { key_id: Some(""), ..good }, "key id"),
            (SelfSigned { subject: Some(""), ..good }, "subject"),
            (SelfSigned { grant: Grant::Audience(""), ..good }, "audience"),
            (SelfSigned { grant: Grant::Scopes(&[]), ..good }, "scope"),
            (SelfSigned { grant: Grant::Scopes(&["a", ""]), ..good }, "scope"),
            (SelfSigned { grant: Grant::Scopes(&["a b"]), ..good }, "scope"),
            (SelfSigned { grant: Grant::Scopes(&["a\""]), ..good }, "scope"),
            (SelfSigned { grant: Grant::Scopes(&["a\\"]), ..good }, "scope"),
            (SelfSigned { grant: Grant::Scopes(&["a\n"]), ..good }, "scope"),
            (SelfSigned { grant: exchange(&[], "x"), ..good }, "scope"),
            (SelfSigned { grant: exchange(&["a"], ""), ..good }, "audience"),
            (SelfSigned { lifetime: 0, ..good }, "lifetime"),
            (SelfSigned { lifetime: 3601, ..good }, "lifetime"),
        ] {
            let e = token.needed(&attempt(), 256).unwrap_err();
            assert_eq!((e.kind(), e.field()), (ErrorKind::Invalid, field), "{token:?}");
        }
        for scheme in Scheme::ALL {
            let taken = matches!(scheme, Scheme::RsaPkcs1Sha256 | Scheme::EcdsaP256Sha256);
            let needed = SelfSigned { scheme, ..good }.needed(&attempt(), 256);
            assert_eq!(needed.is_ok(), taken, "{scheme:?}");
        }
    }

    #[test]
    fn an_e_mail_cannot_add_claims() {
        let (_, claims) = values(&SelfSigned::new("a\",\"scope\":\"x\n\u{0}")).unwrap();
        assert_eq!(claims["iss"], "a\",\"scope\":\"x\n\u{0}");
        assert_eq!(claims["scope"], CLOUD_PLATFORM);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_was_given(
            email in any::<String>(),
            key_id in proptest::option::of(any::<String>()),
            subject in proptest::option::of(any::<String>()),
            scopes in proptest::collection::vec(prop_oneof!["[!-~]{0,9}", any::<String>()], 0..4),
            audience in any::<String>(),
            target in any::<String>(),
            kind in 0..4,
            lifetime in prop_oneof![0..=5u32, 3595..=3605u32, any::<u32>()],
        ) {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let grant = match kind {
                0 => Grant::Scopes(&scopes),
                1 => Grant::Audience(&audience),
                2 => Grant::Exchange { scopes: &scopes, token_uri: &audience },
                _ => Grant::IdToken { target_audience: &target, token_uri: &audience },
            };
            let (key_id, subject) = (key_id.as_deref(), subject.as_deref());
            let new = SelfSigned::new(&email);
            let token = SelfSigned { key_id, subject, grant, lifetime, ..new };
            if let Ok((header, claims)) = values(&token) {
                prop_assert_eq!(header.get("kid").and_then(|k| k.as_str()), key_id);
                prop_assert_eq!(&claims["iss"], &email);
                let itself = (kind < 2).then_some(email.as_str());
                prop_assert_eq!(claims.get("sub").and_then(|s| s.as_str()), subject.or(itself));
                let (want_scopes, want_audience) = grant.parts();
                let scope = claims.get("scope").map(|s| s.as_str().unwrap());
                prop_assert_eq!(
                    scope.map(|s| s.split(' ').collect::<Vec<_>>()),
                    want_scopes.map(<[_]>::to_vec)
                );
                prop_assert_eq!(claims.get("aud").and_then(|a| a.as_str()), want_audience);
                let want_target = (kind == 3).then_some(target.as_str());
                prop_assert_eq!(claims.get("target_audience").and_then(|a| a.as_str()), want_target);
                prop_assert_eq!(claims["exp"].as_u64(), Some(NOW + u64::from(lifetime)));
                prop_assert!((1..=3600).contains(&lifetime));
            }
        }
    }
}
