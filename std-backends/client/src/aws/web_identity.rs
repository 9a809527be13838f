//! `AssumeRoleWithWebIdentity`.

use std::path::PathBuf;

use cloudauth_core::aws::AssumeRoleWithWebIdentity;
use cloudauth_core::{Attempt, Exchange as _, Failure, ResponseHead};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{keys, policy, region};
use crate::environment::{aws_endpoint, given, variable};
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::text::strs;
use crate::{Inputs, Result};

/// A role's credentials, for an identity provider's token. Nothing is signed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebIdentity {
    /// The file with the provider's token; else `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// The role; else `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// The session's name, which logs and policies show; else `AWS_ROLE_SESSION_NAME`, else `cloudauth`.
    #[serde(alias = "role-session-name")]
    pub session_name: Option<String>,
    /// The provider's host, for OAuth 2.0 access tokens only.
    pub provider_id: Option<String>,
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// The life of the credentials in seconds, 900 to 43200; else an hour, by the service.
    #[serde(alias = "duration-seconds")]
    pub duration: Option<u32>,
    /// A file with a policy in JSON that narrows the session.
    pub policy: Option<PathBuf>,
    /// Managed policies that narrow the session.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// Ask for an answer in JSON in place of XML.
    #[serde(default)]
    pub accept_json: bool,
    /// Another endpoint; else `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
}

impl WebIdentity {
    pub(crate) fn open(&self, inputs: &Inputs) -> Result<WebIdentityFlow> {
        let file = match &self.token_file {
            Some(file) => file.clone(),
            None => given(None, "token-file", &["AWS_WEB_IDENTITY_TOKEN_FILE"])?.into(),
        };
        let role_arn = given(self.role_arn.as_deref(), "role-arn", &["AWS_ROLE_ARN"])?;
        let session_name = match &self.session_name {
            Some(name) => name.clone(),
            // Optional in the SDKs too, which make one up.
            None => variable("AWS_ROLE_SESSION_NAME")?.unwrap_or_else(|| "cloudauth".to_owned()),
        };
        let region = region(self.region.as_deref())?;
        let endpoint = aws_endpoint(self.endpoint_url.as_deref(), "STS")?;
        let authority = endpoint.as_ref().map(Endpoint::authority);
        Ok(WebIdentityFlow {
            token: inputs.token(&file, "web identity token")?,
            policy: policy(self.policy.as_deref(), inputs)?,
            config: self.clone(),
            role_arn,
            session_name,
            region,
            endpoint,
            authority,
        })
    }
}

/// A call's inputs.
pub(crate) struct WebIdentityFlow {
    config: WebIdentity,
    token: Zeroizing<String>,
    policy: Option<Zeroizing<String>>,
    role_arn: String,
    session_name: String,
    region: String,
    endpoint: Option<Endpoint>,
    authority: Option<String>,
}

impl WebIdentityFlow {
    fn with<T>(&self, then: impl FnOnce(&AssumeRoleWithWebIdentity<'_>) -> T) -> T {
        then(&AssumeRoleWithWebIdentity {
            provider_id: self.config.provider_id.as_deref(),
            policy_arns: &strs(&self.config.policy_arns),
            policy: self.policy.as_ref().map(|policy| policy.as_str()),
            duration_seconds: self.config.duration,
            endpoint: self.authority.as_deref(),
            accept_json: self.config.accept_json,
            ..AssumeRoleWithWebIdentity::new(
                &self.region,
                &self.role_arn,
                &self.session_name,
                &self.token,
            )
        })
    }
}

impl Flow for WebIdentityFlow {
    fn name(&self) -> &'static str {
        "AssumeRoleWithWebIdentity"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        let key = identity(key, &self.config, self.endpoint())?
            .field("role", self.role_arn.as_bytes())
            .field("session name", self.session_name.as_bytes())
            .field("region", self.region.as_bytes())
            .field("token", self.token.as_bytes());
        Ok(match &self.policy {
            Some(policy) => key.field("policy", policy.as_bytes()),
            None => key,
        })
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        self.with(|exchange| build(exchange, None, at, then))
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        self.with(|exchange| exchange.response(head, body).map(|r| keys(&r.role.credentials)))
    }
}
