//! Impersonation of a service account.

use cloudauth_core::gcp::{DEFAULT_UNIVERSE, GenerateAccessToken, GenerateIdToken};
use cloudauth_core::{Attempt, Exchange as _, Failure, ResponseHead, Secret};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{id_token, scopes};
use crate::environment::endpoint;
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::text::strs;
use crate::{BearerToken, Credential, Error, Result};

/// A service account's token, for another provider's access token that may impersonate it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GcpImpersonated {
    /// The profile whose access token asks.
    pub source_profile: Option<String>,
    /// The e-mail of the service account.
    pub email: String,
    /// What the token is for; else `https://www.googleapis.com/auth/cloud-platform`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The token's life in seconds, 1 to 43200; else an hour.
    pub lifetime: Option<u32>,
    /// Who an ID token is for; with it an ID token is made, in place of an access token.
    pub id_token_audience: Option<String>,
    /// Service accounts in between, each of which may impersonate the next.
    #[serde(default)]
    pub delegates: Vec<String>,
    /// The domain of the cloud; else `googleapis.com`.
    pub universe_domain: Option<String>,
    /// Where the request is sent, when not to `iamcredentials.googleapis.com`.
    pub endpoint_url: Option<String>,
}

impl GcpImpersonated {
    pub(crate) fn open(&self, base: Option<&Credential>) -> Result<ImpersonatedFlow> {
        let Some(Credential::Bearer(base)) = base else {
            return Err(Error::config(
                "source profile",
                "gives no access token of Google Cloud; name a profile of a kind that begins with gcp-",
            ));
        };
        let via = self.endpoint_url.as_deref().map(|url| endpoint(url, "endpoint URL"));
        let token = base.token.clone();
        Ok(ImpersonatedFlow { config: self.clone(), token, via: via.transpose()? })
    }
}

/// An impersonation's inputs.
pub(crate) struct ImpersonatedFlow {
    config: GcpImpersonated,
    token: Zeroizing<String>,
    via: Option<Endpoint>,
}

impl ImpersonatedFlow {
    fn with<T>(
        &self,
        access: impl FnOnce(&GenerateAccessToken<'_>) -> T,
        id: impl FnOnce(&GenerateIdToken<'_>) -> T,
    ) -> T {
        let config = &self.config;
        let token = Secret::new(&self.token);
        let universe = config.universe_domain.as_deref().unwrap_or(DEFAULT_UNIVERSE);
        let delegates = strs(&config.delegates);
        match &config.id_token_audience {
            Some(audience) => id(&GenerateIdToken {
                delegates: &delegates,
                universe,
                ..GenerateIdToken::new(token, &config.email, audience)
            }),
            None => {
                let default = GenerateAccessToken::new(token, &config.email);
                access(&GenerateAccessToken {
                    scopes: &scopes(&config.scopes),
                    lifetime: config.lifetime.unwrap_or(default.lifetime),
                    delegates: &delegates,
                    universe,
                    ..default
                })
            }
        }
    }
}

impl Flow for ImpersonatedFlow {
    fn name(&self) -> &'static str {
        match self.config.id_token_audience {
            Some(_) => "generateIdToken",
            None => "generateAccessToken",
        }
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.via.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        identity(key, &self.config, self.endpoint())
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        // One of the two is called.
        let then = core::cell::RefCell::new(then);
        self.with(
            |exchange| build(exchange, None, at, &mut *then.borrow_mut()),
            |exchange| build(exchange, None, at, &mut *then.borrow_mut()),
        )
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        let body = core::cell::Cell::new(Some(body));
        let take = || body.take().unwrap_or_default();
        self.with(
            |exchange| {
                let answer = exchange.response(head, take())?;
                Ok(Issued::Until(Credential::Bearer(BearerToken {
                    token: Zeroizing::new(answer.access_token.expose().to_owned()),
                    expiration: answer.expiration,
                })))
            },
            |exchange| Ok(id_token(&exchange.response(head, take())?)?),
        )
    }
}
