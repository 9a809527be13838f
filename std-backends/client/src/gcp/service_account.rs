//! Tokens for a service account's key.

use std::sync::Arc;

use cloudauth_core::gcp::{AccessTokenRequest, Grant, IdTokenRequest, SelfSigned, TOKEN_URI};
use cloudauth_core::{Assertion as _, Attempt, Exchange as _, Failure, ResponseHead, Signer as _};
use cloudauth_keys::{Key, KeyUri};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{id_token, scheme, scopes};
use crate::environment::endpoint;
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::{BearerToken, Error, Inputs, Result, text};

/// A self-signed token, which Google's APIs take as an access token. Nobody is asked for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GcpToken {
    /// The service account's key. A service-account JSON brings e-mail and key id along.
    #[serde(deserialize_with = "text::parsed", skip_serializing)]
    pub key: KeyUri,
    /// The service account's e-mail.
    pub email: Option<String>,
    /// The key's id at Google (`kid`); none is sent when none is known.
    pub key_id: Option<String>,
    /// What the token is for; else `https://www.googleapis.com/auth/cloud-platform`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One API's URL, in place of scopes.
    pub audience: Option<String>,
    /// A user to act for, with domain-wide delegation.
    pub subject: Option<String>,
    /// The token's life in seconds, 1 to 3600; else an hour.
    pub lifetime: Option<u32>,
}

/// An access token from Google's token endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GcpOauth {
    /// As [`GcpToken::key`].
    #[serde(deserialize_with = "text::parsed", skip_serializing)]
    pub key: KeyUri,
    /// The service account's e-mail.
    pub email: Option<String>,
    /// The key's id at Google (`kid`); none is sent when none is known.
    pub key_id: Option<String>,
    /// What the token is for; else `https://www.googleapis.com/auth/cloud-platform`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// A user to act for, with domain-wide delegation.
    pub subject: Option<String>,
    /// The life of the request in seconds, 1 to 3600; else an hour. Google's answer has its own.
    pub lifetime: Option<u32>,
    /// Where the request is sent, when not to the token endpoint of the key's cloud.
    pub endpoint_url: Option<String>,
}

/// A service account's ID token.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GcpIdToken {
    /// As [`GcpToken::key`].
    #[serde(deserialize_with = "text::parsed", skip_serializing)]
    pub key: KeyUri,
    /// The service account's e-mail.
    pub email: Option<String>,
    /// The key's id at Google (`kid`); none is sent when none is known.
    pub key_id: Option<String>,
    /// Who the ID token is for: a service's URL or an OAuth client id.
    pub audience: String,
    /// The life of the request in seconds, 1 to 3600; else an hour. The ID token has its own.
    pub lifetime: Option<u32>,
    /// Where the request is sent, when not to the token endpoint of the key's cloud.
    pub endpoint_url: Option<String>,
}

/// What all of them sign with.
struct Account {
    key: Arc<Key>,
    email: String,
    key_id: Option<String>,
    token_uri: String,
}

impl Account {
    fn open(
        key: &KeyUri,
        email: Option<&str>,
        key_id: Option<&str>,
        inputs: &Inputs,
    ) -> Result<Self> {
        let key = inputs.key(key)?;
        let file = key.google();
        let email = email.or_else(|| file.map(|file| file.client_email.as_str()));
        let Some(email) = email else {
            let help = "only a service-account JSON brings it along: give it".to_owned();
            return Err(Error::Missing { field: "email", help });
        };
        // An id in the JSON belongs to the key in the JSON, whatever e-mail is given.
        let key_id = key_id.or_else(|| file.and_then(|file| file.private_key_id.as_deref()));
        Ok(Self {
            email: email.to_owned(),
            key_id: key_id.map(str::to_owned),
            token_uri: file.map_or(TOKEN_URI, |file| &file.token_uri).to_owned(),
            key,
        })
    }

    fn identity(&self, key: CacheKey) -> CacheKey {
        key.field("key", self.key.public_key())
            .field("email", self.email.as_bytes())
            .field("key id", self.key_id.as_deref().unwrap_or_default().as_bytes())
            .field("token URI", self.token_uri.as_bytes())
    }
}

impl GcpToken {
    /// Whose token it is, and what for.
    pub(crate) fn identity(&self, key: CacheKey, inputs: &Inputs) -> Result<CacheKey> {
        let (email, key_id) = (self.email.as_deref(), self.key_id.as_deref());
        let account = Account::open(&self.key, email, key_id, inputs)?;
        Ok(account.identity(identity(key, self, None)?))
    }

    /// Signs the token.
    ///
    /// # Errors
    /// As a provider's, but for the network.
    pub fn sign(&self, inputs: &Inputs, at: &Attempt) -> Result<BearerToken> {
        let (email, key_id) = (self.email.as_deref(), self.key_id.as_deref());
        let account = Account::open(&self.key, email, key_id, inputs)?;
        let scopes = scopes(&self.scopes);
        let lifetime = self.lifetime.unwrap_or(SelfSigned::MAX_LIFETIME);
        let token = SelfSigned {
            key_id: account.key_id.as_deref(),
            grant: match &self.audience {
                Some(_) if !self.scopes.is_empty() => {
                    return Err(Error::config("audience", "stands in place of scopes; give one"));
                }
                Some(audience) => Grant::Audience(audience),
                None => Grant::Scopes(&scopes),
            },
            subject: self.subject.as_deref(),
            lifetime,
            scheme: scheme(&account.key)?,
            ..SelfSigned::new(&account.email)
        };
        let size = token.needed(at, account.key.max_signature_len(token.scheme))?;
        let mut buf = Zeroizing::new(vec![0; size]);
        Ok(BearerToken {
            token: Zeroizing::new(token.sign(&*account.key, at, &mut buf)?.to_owned()),
            expiration: at.time().plus(lifetime.into()),
        })
    }
}

impl GcpOauth {
    pub(crate) fn open(&self, inputs: &Inputs) -> Result<OauthFlow> {
        let (email, key_id) = (self.email.as_deref(), self.key_id.as_deref());
        let account = Account::open(&self.key, email, key_id, inputs)?;
        let via = self.endpoint_url.as_deref().map(|url| endpoint(url, "endpoint URL"));
        Ok(OauthFlow { config: self.clone(), account, via: via.transpose()? })
    }
}

impl GcpIdToken {
    pub(crate) fn open(&self, inputs: &Inputs) -> Result<IdTokenFlow> {
        let (email, key_id) = (self.email.as_deref(), self.key_id.as_deref());
        let account = Account::open(&self.key, email, key_id, inputs)?;
        let via = self.endpoint_url.as_deref().map(|url| endpoint(url, "endpoint URL"));
        Ok(IdTokenFlow { config: self.clone(), account, via: via.transpose()? })
    }
}

/// A token request's inputs.
pub(crate) struct OauthFlow {
    config: GcpOauth,
    account: Account,
    via: Option<Endpoint>,
}

impl OauthFlow {
    fn with<T>(
        &self,
        then: impl FnOnce(&AccessTokenRequest<'_>) -> cloudauth_core::Result<T>,
    ) -> cloudauth_core::Result<T> {
        let Account { key, email, key_id, token_uri } = &self.account;
        then(&AccessTokenRequest {
            key_id: key_id.as_deref(),
            subject: self.config.subject.as_deref(),
            lifetime: self.config.lifetime.unwrap_or(SelfSigned::MAX_LIFETIME),
            scheme: scheme(key)?,
            token_uri,
            ..AccessTokenRequest::new(email, &scopes(&self.config.scopes))
        })
    }
}

impl Flow for OauthFlow {
    fn name(&self) -> &'static str {
        "Google token"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.via.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        Ok(self.account.identity(identity(key, &self.config, self.endpoint())?))
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        self.with(|exchange| Ok(build(exchange, Some(&*self.account.key), at, then)))?
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

/// An ID token request's inputs.
pub(crate) struct IdTokenFlow {
    config: GcpIdToken,
    account: Account,
    via: Option<Endpoint>,
}

impl IdTokenFlow {
    fn exchange(&self) -> cloudauth_core::Result<IdTokenRequest<'_>> {
        let Account { key, email, key_id, token_uri } = &self.account;
        Ok(IdTokenRequest {
            key_id: key_id.as_deref(),
            lifetime: self.config.lifetime.unwrap_or(SelfSigned::MAX_LIFETIME),
            scheme: scheme(key)?,
            token_uri,
            ..IdTokenRequest::new(email, &self.config.audience)
        })
    }
}

impl Flow for IdTokenFlow {
    fn name(&self) -> &'static str {
        "Google ID token"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.via.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        Ok(self.account.identity(identity(key, &self.config, self.endpoint())?))
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        build(&self.exchange()?, Some(&*self.account.key), at, then)
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        Ok(id_token(&self.exchange()?.response(head, body)?)?)
    }
}
