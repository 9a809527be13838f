//! `GetSessionToken`.

use cloudauth_core::aws::{GetSessionToken, SigningKey, sigv4::SigV4};
use std::sync::Arc;

use cloudauth_core::{Attempt, Exchange as _, Failure, ResponseHead};
use cloudauth_keys::{KeyUri, SecretRef};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};

use super::{Caller, Signer, TokenCode, keys};
use crate::environment::aws_endpoint;
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::{Inputs, Result, text};

/// Temporary credentials of one's own, for an access key.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionToken {
    /// The access key id; else `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// The secret access key: in a device, a file or a variable; else `env:AWS_SECRET_ACCESS_KEY`.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub key: Option<KeyUri>,
    /// The session token of temporary credentials; else `AWS_SESSION_TOKEN`, unless
    /// [`access_key_id`](Self::access_key_id) is given.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub session_token: Option<SecretRef>,
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// The life of the credentials in seconds, 900 to 129600; else twelve hours, by the service.
    #[serde(alias = "duration-seconds")]
    pub duration: Option<u32>,
    /// The device of multi-factor authentication.
    pub serial_number: Option<String>,
    /// The device's present code of six digits. It serves once.
    #[serde(skip)]
    pub token_code: Option<TokenCode>,
    /// Ask for an answer in JSON in place of XML.
    #[serde(default)]
    pub accept_json: bool,
    /// Another endpoint; else `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
}

impl SessionToken {
    pub(crate) fn open(&self, inputs: &Arc<Inputs>) -> Result<SessionTokenFlow> {
        let endpoint = aws_endpoint(self.endpoint_url.as_deref(), "STS")?;
        let authority = endpoint.as_ref().map(Endpoint::authority);
        let caller = Caller {
            access_key_id: self.access_key_id.as_deref(),
            key: self.key.as_ref(),
            session_token: self.session_token.as_ref(),
        };
        let signer = Signer::open(caller, None, self.region.as_deref(), inputs)?;
        Ok(SessionTokenFlow { config: self.clone(), signer, endpoint, authority })
    }
}

/// A call's inputs.
pub(crate) struct SessionTokenFlow {
    config: SessionToken,
    signer: Signer,
    endpoint: Option<Endpoint>,
    authority: Option<String>,
}

impl SessionTokenFlow {
    fn exchange<'a>(&'a self, signer: SigV4<'a>) -> GetSessionToken<'a> {
        GetSessionToken {
            duration_seconds: self.config.duration,
            serial_number: self.config.serial_number.as_deref(),
            token_code: self.config.token_code.as_ref().map(TokenCode::expose),
            endpoint: self.authority.as_deref(),
            accept_json: self.config.accept_json,
            ..GetSessionToken::new(signer)
        }
    }
}

impl Flow for SessionTokenFlow {
    fn name(&self) -> &'static str {
        "GetSessionToken"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn only_once(&self) -> bool {
        self.config.token_code.is_some()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        Ok(self.signer.identity(identity(key, &self.config, self.endpoint())?))
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        self.signer.sign(at.time(), |s| build(&self.exchange(s), None, at, then))
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        // Answers are read without a key.
        let key = SigningKey::unset();
        self.exchange(SigV4::new("", &key)).response(head, body).map(|c| keys(&c))
    }
}
