//! `AssumeRole`.

use std::path::PathBuf;
use std::sync::Arc;

use cloudauth_core::aws::sts::ProvidedContext;
use cloudauth_core::aws::{AssumeRole as Exchange, SigningKey, sigv4::SigV4};
use cloudauth_core::{Attempt, Exchange as _, Failure, ResponseHead};
use cloudauth_keys::{KeyUri, SecretRef};
use cloudauth_tls::Endpoint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Caller, Signer, TokenCode, keys, policy};
use crate::environment::aws_endpoint;
use crate::file_cache::CacheKey;
use crate::flow::{Flow, Issued, Then, build, identity};
use crate::text::strs;
use crate::{Credential, Error, Inputs, Result, text};

/// A role's credentials, for whoever may assume it: an access key, or the credentials of another provider.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AssumeRole {
    /// The profile whose credentials call; without one, the access key below does.
    pub source_profile: Option<String>,
    /// The access key id; else `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// The secret access key: in a device, a file or a variable; else `env:AWS_SECRET_ACCESS_KEY`.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub key: Option<KeyUri>,
    /// The session token of temporary credentials; else `AWS_SESSION_TOKEN`, unless
    /// [`access_key_id`](Self::access_key_id) is given.
    #[serde(default, deserialize_with = "text::optional", skip_serializing)]
    pub session_token: Option<SecretRef>,
    /// The role.
    pub role_arn: String,
    /// The session's name, which logs and policies show.
    #[serde(alias = "role-session-name")]
    pub session_name: String,
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// The life of the credentials in seconds, 900 to 43200; else an hour, by the service.
    #[serde(alias = "duration-seconds")]
    pub duration: Option<u32>,
    /// A file with a policy in JSON that narrows the session.
    pub policy: Option<PathBuf>,
    /// The same policy, already in memory, for programs that make one for each session. It stands in place
    /// of the file; no configuration file has it.
    #[serde(skip)]
    pub policy_text: Option<String>,
    /// Managed policies that narrow the session.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// The id that the role's owner wants from third parties.
    pub external_id: Option<String>,
    /// Session tags: key and value.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// The keys of tags that go on to further sessions.
    #[serde(default)]
    pub transitive_tag_keys: Vec<String>,
    /// Who is behind the session, kept through all that follow.
    pub source_identity: Option<String>,
    /// The device of multi-factor authentication.
    pub serial_number: Option<String>,
    /// The device's present code of six digits. It serves once.
    #[serde(skip)]
    pub token_code: Option<TokenCode>,
    /// Context providers, and the files with their assertions.
    #[serde(default)]
    pub provided_contexts: Vec<(String, PathBuf)>,
    /// Ask for an answer in JSON in place of XML.
    #[serde(default)]
    pub accept_json: bool,
    /// Another endpoint; else `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
}

impl AssumeRole {
    pub(crate) fn open(
        &self,
        inputs: &Arc<Inputs>,
        base: Option<&Credential>,
    ) -> Result<AssumeRoleFlow> {
        let policy = match &self.policy_text {
            Some(_) if self.policy.is_some() => {
                return Err(Error::config("policy", "give a file or a text, not both"));
            }
            Some(text) => Some(Zeroizing::new(text.clone())),
            None => policy(self.policy.as_deref(), inputs)?,
        };
        let mut assertions = Vec::new();
        for (_, file) in &self.provided_contexts {
            assertions.push(inputs.token(file, "context assertion")?);
        }
        let endpoint = aws_endpoint(self.endpoint_url.as_deref(), "STS")?;
        let authority = endpoint.as_ref().map(Endpoint::authority);
        let caller = Caller {
            access_key_id: self.access_key_id.as_deref(),
            key: self.key.as_ref(),
            session_token: self.session_token.as_ref(),
        };
        let signer = Signer::open(caller, base, self.region.as_deref(), inputs)?;
        let config = self.clone();
        Ok(AssumeRoleFlow { config, policy, assertions, signer, endpoint, authority })
    }
}

/// A call's inputs.
pub(crate) struct AssumeRoleFlow {
    config: AssumeRole,
    policy: Option<Zeroizing<String>>,
    assertions: Vec<Zeroizing<String>>,
    signer: Signer,
    endpoint: Option<Endpoint>,
    authority: Option<String>,
}

impl AssumeRoleFlow {
    fn with<T>(&self, signer: SigV4<'_>, then: impl FnOnce(&Exchange<'_>) -> T) -> T {
        let config = &self.config;
        let tags: Vec<_> = config.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let contexts = config.provided_contexts.iter().zip(&self.assertions);
        let contexts: Vec<_> = contexts
            .map(|((arn, _), assertion)| ProvidedContext {
                provider_arn: arn,
                context_assertion: assertion,
            })
            .collect();
        then(&Exchange {
            policy_arns: &strs(&config.policy_arns),
            policy: self.policy.as_ref().map(|policy| policy.as_str()),
            duration_seconds: config.duration,
            tags: &tags,
            transitive_tag_keys: &strs(&config.transitive_tag_keys),
            external_id: config.external_id.as_deref(),
            serial_number: config.serial_number.as_deref(),
            token_code: config.token_code.as_ref().map(TokenCode::expose),
            source_identity: config.source_identity.as_deref(),
            provided_contexts: &contexts,
            endpoint: self.authority.as_deref(),
            accept_json: config.accept_json,
            ..Exchange::new(signer, &config.role_arn, &config.session_name)
        })
    }
}

impl Flow for AssumeRoleFlow {
    fn name(&self) -> &'static str {
        "AssumeRole"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn only_once(&self) -> bool {
        self.config.token_code.is_some()
    }

    fn identity(&self, key: CacheKey) -> Result<CacheKey> {
        let mut key = self.signer.identity(identity(key, &self.config, self.endpoint())?);
        if let Some(policy) = &self.policy {
            key = key.field("policy", policy.as_bytes());
        }
        Ok(self.assertions.iter().fold(key, |key, text| key.field("context", text.as_bytes())))
    }

    fn request(&self, at: &Attempt, then: Then<'_>) -> Result<()> {
        self.signer.sign(at.time(), |s| self.with(s, |exchange| build(exchange, None, at, then)))
    }

    fn read<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Issued, Failure<'b>> {
        // Answers are read without a key.
        let key = SigningKey::unset();
        self.with(SigV4::new("", &key), |exchange| {
            exchange.response(head, body).map(|role| keys(&role.credentials))
        })
    }
}
