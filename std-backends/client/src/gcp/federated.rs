//! Workload identity federation.

use std::path::PathBuf;
use std::sync::Arc;

use cloudauth_core::encode::base64;
use cloudauth_core::gcp::{
    DEFAULT_UNIVERSE, Subject, SubjectToken, SubjectTokenType, TokenExchange,
};
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::{
    Assertion as _, Attempt, Exchange as _, Failure, Out, ResponseHead, Secret, Signer,
};
use cloudauth_keys::{Key, KeyUri};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{scheme, scopes};
use crate::environment::endpoint;
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::{BearerToken, Error, Inputs, Result, text};

/// A federated access token, for a token that a key of ours signs as an issuer, or that another issuer
/// gave.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GcpFederated {
    /// The provider's resource name, `//iam.googleapis.com/…/providers/PROVIDER`.
    pub provider: String,
    /// What the token is for; else `https://www.googleapis.com/auth/cloud-platform`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The key that signs the subject token.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub key: Option<KeyUri>,
    /// With [`key`](Self::key): the provider's issuer (`iss`), an https URI.
    pub issuer: Option<String>,
    /// With [`key`](Self::key): the subject (`sub`).
    pub subject: Option<String>,
    /// With [`key`](Self::key): the subject token's audience (`aud`); else `https:` and the provider.
    pub audience: Option<String>,
    /// With [`key`](Self::key): the key's id in the provider's JWKS (`kid`); else its JWK thumbprint (RFC 7638),
    /// as `cloudauth key show --jwks` prints it.
    pub key_id: Option<String>,
    /// With [`key`](Self::key): the subject token's life in seconds, 1 to 86400; else ten minutes.
    pub lifetime: Option<u32>,
    /// A file with a token that another issuer gave.
    pub token_file: Option<PathBuf>,
    /// What kind of token the file holds.
    #[serde(default)]
    pub token_type: GcpTokenType,
    /// The project that is billed, for workforce pools.
    pub user_project: Option<String>,
    /// The domain of the cloud; else `googleapis.com`.
    pub universe_domain: Option<String>,
    /// Where the request is sent, when not to `sts.googleapis.com`.
    pub endpoint_url: Option<String>,
}

/// What kind of subject token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GcpTokenType {
    /// A JWT.
    #[default]
    Jwt,
    /// An OIDC ID token.
    IdToken,
    /// A signed `GetCallerIdentity` request of AWS.
    Aws4Request,
    /// A SAML 2.0 assertion, in base64.
    Saml2,
}

impl GcpTokenType {
    const fn core(self) -> SubjectTokenType {
        match self {
            Self::Jwt => SubjectTokenType::Jwt,
            Self::IdToken => SubjectTokenType::IdToken,
            Self::Aws4Request => SubjectTokenType::Aws4Request,
            Self::Saml2 => SubjectTokenType::Saml2,
        }
    }
}

impl GcpFederated {
    pub(crate) fn open(&self, inputs: &Inputs) -> Result<FederatedFlow> {
        let via = self.endpoint_url.as_deref().map(|url| endpoint(url, "endpoint URL"));
        self.check_others()?;
        let subject = match (&self.key, &self.token_file) {
            (Some(uri), None) => {
                let key = inputs.key(uri)?;
                let thumbprint = PublicKey::from_spki(key.public_key())?.jwk_thumbprint();
                let mut buf = [0; 64];
                let mut out = Out::new(&mut buf);
                base64::url_encode(&thumbprint, &mut out);
                Opened::Key(key, String::from_utf8_lossy(out.finish()?).into_owned())
            }
            (None, Some(file)) => Opened::Given(inputs.token(file, "subject token")?),
            _ => {
                return Err(Error::config(
                    "subject token",
                    "give one of key (with issuer and subject) and token file",
                ));
            }
        };
        Ok(FederatedFlow { config: self.clone(), subject, via: via.transpose()? })
    }

    /// Refuses what belongs to the other kind of subject token: it would be passed over in silence.
    fn check_others(&self) -> Result<()> {
        let of_key = [
            (self.issuer.is_some(), "issuer"),
            (self.subject.is_some(), "subject"),
            (self.audience.is_some(), "audience"),
            (self.key_id.is_some(), "key-id"),
            (self.lifetime.is_some(), "lifetime"),
        ];
        let of_file = [(self.token_type != GcpTokenType::default(), "token-type")];
        let (others, with): (&[_], _) = match self.key {
            Some(_) => (&of_file, "a token-file"),
            None => (&of_key, "a key"),
        };
        match others.iter().find(|(given, _)| *given) {
            Some((_, field)) => Err(Error::config(*field, format!("goes with {with} only"))),
            None => Ok(()),
        }
    }

    /// The subject token alone, signed by the key: what google-auth's executable and file sources want.
    ///
    /// # Errors
    /// As a provider's, but for the network; and without a key.
    pub fn subject_token(&self, inputs: &Inputs, at: &Attempt) -> Result<BearerToken> {
        let flow = self.open(inputs)?;
        let Opened::Key(key, kid) = &flow.subject else {
            let help = "a token in a file is nobody's to sign: give it".to_owned();
            return Err(Error::Missing { field: "key", help });
        };
        let token = flow.subject_token(key, kid)?;
        let size = token.needed(at, key.max_signature_len(token.scheme))?;
        let mut buf = Zeroizing::new(vec![0; size]);
        Ok(BearerToken {
            token: Zeroizing::new(token.sign(&**key, at, &mut buf)?.to_owned()),
            expiration: at.time().plus(token.lifetime.into()),
        })
    }
}

/// An exchange's inputs.
pub(crate) struct FederatedFlow {
    config: GcpFederated,
    subject: Opened,
    via: Option<Endpoint>,
}

enum Opened {
    /// With its JWK thumbprint.
    Key(Arc<Key>, String),
    Given(Zeroizing<String>),
}

impl FederatedFlow {
    fn subject_token<'a>(
        &'a self,
        key: &Key,
        kid: &'a str,
    ) -> cloudauth_core::Result<SubjectToken<'a>> {
        let config = &self.config;
        let (issuer, subject) = (config.issuer.as_deref(), config.subject.as_deref());
        let default = SubjectToken::new(
            &config.provider,
            issuer.unwrap_or_default(),
            subject.unwrap_or_default(),
        );
        Ok(SubjectToken {
            audience: config.audience.as_deref(),
            key_id: Some(config.key_id.as_deref().unwrap_or(kid)),
            lifetime: config.lifetime.unwrap_or(default.lifetime),
            scheme: scheme(key)?,
            ..default
        })
    }

    fn with<T>(
        &self,
        then: impl FnOnce(&TokenExchange<'_>) -> cloudauth_core::Result<T>,
    ) -> cloudauth_core::Result<T> {
        let config = &self.config;
        let subject = match &self.subject {
            Opened::Key(key, kid) => Subject::Signed(self.subject_token(key, kid)?),
            Opened::Given(token) => Subject::Given {
                provider: &config.provider,
                token: Secret::new(token),
                token_type: config.token_type.core(),
            },
        };
        then(&TokenExchange {
            user_project: config.user_project.as_deref(),
            universe: config.universe_domain.as_deref().unwrap_or(DEFAULT_UNIVERSE),
            ..TokenExchange::new(subject, &scopes(&config.scopes))
        })
    }
}

impl Flow for FederatedFlow {
    fn name(&self) -> &'static str {
        "Google STS token exchange"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.via.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        let key = identity(key, &self.config, self.endpoint())?;
        Ok(match &self.subject {
            Opened::Key(signer, _) => key.field("key", signer.public_key()),
            Opened::Given(token) => key.field("token", token.as_bytes()),
        })
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        let signer: Option<&dyn Signer> = match &self.subject {
            Opened::Key(key, _) => Some(&**key),
            Opened::Given(_) => None,
        };
        self.with(|exchange| Ok(build(exchange, signer, at, then)))?
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        self.with(|exchange| {
            Ok(exchange.response(head, body).map(|token| Issued::access_token(&token)))
        })?
    }
}
