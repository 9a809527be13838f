//! Security Token Service: parameters and answers.

mod calls;

use cloudauth_core::aws::sts::{AssumedRole, CallerIdentity, FederatedRole, ProvidedContext};
use cloudauth_core::aws::{
    AssumeRole, AssumeRoleWithWebIdentity, Credentials, GetCallerIdentity, GetSessionToken,
};

use super::sigv4::cloudauth_sigv4_params;
use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::call::{Cx, Outcome, unused};
use crate::exchange::{Answer, Parameters};
use crate::result::Fault;

pub use calls::*;

const MAX_POLICY_ARNS: usize = 10;
const MAX_TAGS: usize = 50;
const MAX_PROVIDED_CONTEXTS: usize = 5;

/// 0 or 1.
fn switch(value: u32, field: &'static str) -> Outcome<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::number(field)),
    }
}

/// 0 is none.
const fn some(number: u32) -> Option<u32> {
    if number == 0 { None } else { Some(number) }
}

/// AssumeRole: credentials of a role for who has credentials already.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_assume_role_params {
    /// sizeof(cloudauth_sts_assume_role_params)
    pub size: usize,
    /// Who signs: the key must be derived for the service "sts". Its region is the one that is
    /// called.
    pub signer: *const cloudauth_sigv4_params,
    /// "arn:aws:iam::ACCOUNT:role/NAME"
    pub role_arn: cloudauth_bytes,
    /// The session's name, for logs and policies.
    pub role_session_name: cloudauth_bytes,
    /// Managed policies that narrow the session.
    pub policy_arns: *const cloudauth_bytes,
    /// How many there are: at most 10.
    pub policy_arn_count: usize,
    /// A policy in JSON that narrows the session; empty for none.
    pub policy: cloudauth_bytes,
    /// Session tags.
    pub tags: *const cloudauth_pair,
    /// How many there are: at most 50.
    pub tag_count: usize,
    /// Keys of the tags that go on to the sessions that this session starts.
    pub transitive_tag_keys: *const cloudauth_bytes,
    /// How many there are: at most 50.
    pub transitive_tag_key_count: usize,
    /// The id that the role's owner wants from third parties; empty for none.
    pub external_id: cloudauth_bytes,
    /// The device of multi-factor authentication: serial number or ARN; empty for none.
    pub serial_number: cloudauth_bytes,
    /// The device's present code; empty for none.
    pub token_code: cloudauth_bytes,
    /// Who is behind the session; empty for none.
    pub source_identity: cloudauth_bytes,
    /// Context that AWS services have asserted: provider ARN and assertion.
    pub provided_contexts: *const cloudauth_pair,
    /// How many there are: at most 5.
    pub provided_context_count: usize,
    /// A host, with an optional port, in place of the region's endpoint; empty for that.
    pub endpoint: cloudauth_bytes,
    /// The life of the credentials, 900 to 43200 seconds; 0 for the service's hour.
    pub duration_seconds: u32,
    /// 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
    pub accept_json: u32,
}

impl Parameters for cloudauth_sts_assume_role_params {
    type Flow<'a> = AssumeRole<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&AssumeRole<'_>) -> Outcome) -> Outcome {
        let mut arns = [""; MAX_POLICY_ARNS];
        let mut tags = [("", ""); MAX_TAGS];
        let mut keys = [""; MAX_TAGS];
        let none = ProvidedContext { provider_arn: "", context_assertion: "" };
        let mut contexts = [none; MAX_PROVIDED_CONTEXTS];
        let signer = cx.read(self.signer, "signer")?.read(cx)?;
        let role_arn = cx.text(self.role_arn, "role ARN")?;
        let list = (self.provided_contexts, self.provided_context_count);
        let provided_contexts =
            cx.list(list, "provided context", &mut contexts, |pair: cloudauth_pair| {
                Ok(ProvidedContext {
                    provider_arn: cx.text(pair.name, "provider ARN")?,
                    context_assertion: cx.text(pair.value, "context assertion")?,
                })
            })?;
        let transitive = (self.transitive_tag_keys, self.transitive_tag_key_count);
        let policies = (self.policy_arns, self.policy_arn_count);
        then(&AssumeRole {
            policy_arns: cx.texts(policies, "policy ARN", &mut arns)?,
            policy: cx.optional(self.policy, "policy")?,
            duration_seconds: some(self.duration_seconds),
            tags: cx.pairs((self.tags, self.tag_count), "session tag", &mut tags)?,
            transitive_tag_keys: cx.texts(transitive, "transitive tag key", &mut keys)?,
            external_id: cx.optional(self.external_id, "external id")?,
            serial_number: cx.optional(self.serial_number, "serial number")?,
            token_code: cx.optional(self.token_code, "token code")?,
            source_identity: cx.optional(self.source_identity, "source identity")?,
            provided_contexts,
            endpoint: cx.optional(self.endpoint, "endpoint")?,
            accept_json: switch(self.accept_json, "accept_json")?,
            ..AssumeRole::new(
                signer,
                role_arn,
                cx.text(self.role_session_name, "role session name")?,
            )
        })
    }
}

/// AssumeRoleWithWebIdentity: credentials of a role for a token of an identity provider. The
/// request is not signed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_assume_role_with_web_identity_params {
    /// sizeof(cloudauth_sts_assume_role_with_web_identity_params)
    pub size: usize,
    /// The region that is called.
    pub region: cloudauth_bytes,
    /// "arn:aws:iam::ACCOUNT:role/NAME"
    pub role_arn: cloudauth_bytes,
    /// The session's name, for logs and policies.
    pub role_session_name: cloudauth_bytes,
    /// The OpenID Connect ID token, or an OAuth 2.0 access token: a secret.
    pub web_identity_token: cloudauth_bytes,
    /// The provider's host, for OAuth 2.0 access tokens only; empty for none.
    pub provider_id: cloudauth_bytes,
    /// Managed policies that narrow the session.
    pub policy_arns: *const cloudauth_bytes,
    /// How many there are: at most 10.
    pub policy_arn_count: usize,
    /// A policy in JSON that narrows the session; empty for none.
    pub policy: cloudauth_bytes,
    /// A host, with an optional port, in place of the region's endpoint; empty for that.
    pub endpoint: cloudauth_bytes,
    /// The life of the credentials, 900 to 43200 seconds; 0 for the service's hour.
    pub duration_seconds: u32,
    /// 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
    pub accept_json: u32,
}

impl Parameters for cloudauth_sts_assume_role_with_web_identity_params {
    type Flow<'a> = AssumeRoleWithWebIdentity<'a>;

    fn with(
        &self,
        cx: &Cx,
        then: &mut dyn FnMut(&AssumeRoleWithWebIdentity<'_>) -> Outcome,
    ) -> Outcome {
        let mut arns = [""; MAX_POLICY_ARNS];
        let policies = (self.policy_arns, self.policy_arn_count);
        let new = AssumeRoleWithWebIdentity::new(
            cx.text(self.region, "region")?,
            cx.text(self.role_arn, "role ARN")?,
            cx.text(self.role_session_name, "role session name")?,
            cx.text(self.web_identity_token, "web identity token")?,
        );
        then(&AssumeRoleWithWebIdentity {
            provider_id: cx.optional(self.provider_id, "provider id")?,
            policy_arns: cx.texts(policies, "policy ARN", &mut arns)?,
            policy: cx.optional(self.policy, "policy")?,
            duration_seconds: some(self.duration_seconds),
            endpoint: cx.optional(self.endpoint, "endpoint")?,
            accept_json: switch(self.accept_json, "accept_json")?,
            ..new
        })
    }
}

/// GetSessionToken: temporary credentials with a user's own rights.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_get_session_token_params {
    /// sizeof(cloudauth_sts_get_session_token_params)
    pub size: usize,
    /// Who signs: the key must be derived for the service "sts". Its region is the one that is
    /// called.
    pub signer: *const cloudauth_sigv4_params,
    /// The device of multi-factor authentication: serial number or ARN; empty for none.
    pub serial_number: cloudauth_bytes,
    /// The device's present code; empty for none.
    pub token_code: cloudauth_bytes,
    /// A host, with an optional port, in place of the region's endpoint; empty for that.
    pub endpoint: cloudauth_bytes,
    /// The life of the credentials, 900 to 129600 seconds; 0 for the service's twelve hours.
    pub duration_seconds: u32,
    /// 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
    pub accept_json: u32,
}

impl Parameters for cloudauth_sts_get_session_token_params {
    type Flow<'a> = GetSessionToken<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&GetSessionToken<'_>) -> Outcome) -> Outcome {
        then(&GetSessionToken {
            duration_seconds: some(self.duration_seconds),
            serial_number: cx.optional(self.serial_number, "serial number")?,
            token_code: cx.optional(self.token_code, "token code")?,
            endpoint: cx.optional(self.endpoint, "endpoint")?,
            accept_json: switch(self.accept_json, "accept_json")?,
            ..GetSessionToken::new(cx.read(self.signer, "signer")?.read(cx)?)
        })
    }
}

/// GetCallerIdentity: whose credentials these are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_get_caller_identity_params {
    /// sizeof(cloudauth_sts_get_caller_identity_params)
    pub size: usize,
    /// Who signs: the key must be derived for the service "sts". Its region is the one that is
    /// called.
    pub signer: *const cloudauth_sigv4_params,
    /// A host, with an optional port, in place of the region's endpoint; empty for that.
    pub endpoint: cloudauth_bytes,
    /// 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
    pub accept_json: u32,
    /// 0.
    pub reserved: u32,
}

impl Parameters for cloudauth_sts_get_caller_identity_params {
    type Flow<'a> = GetCallerIdentity<'a>;

    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&GetCallerIdentity<'_>) -> Outcome) -> Outcome {
        unused(self.reserved)?;
        then(&GetCallerIdentity {
            endpoint: cx.optional(self.endpoint, "endpoint")?,
            accept_json: switch(self.accept_json, "accept_json")?,
            ..GetCallerIdentity::new(cx.read(self.signer, "signer")?.read(cx)?)
        })
    }
}

/// Temporary AWS credentials out of an answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_aws_credentials {
    /// sizeof(cloudauth_aws_credentials)
    pub size: usize,
    /// The access key id.
    pub access_key_id: cloudauth_bytes,
    /// The secret access key.
    pub secret_access_key: cloudauth_bytes,
    /// The session token: a secret.
    pub session_token: cloudauth_bytes,
    /// When they end, in seconds since 1970.
    pub expiration: i64,
}

impl cloudauth_aws_credentials {
    pub(super) fn of(credentials: &Credentials<'_>) -> Self {
        Self {
            size: 0,
            access_key_id: cloudauth_bytes::text(credentials.access_key_id),
            secret_access_key: cloudauth_bytes::text(credentials.secret_access_key.expose()),
            session_token: cloudauth_bytes::text(credentials.session_token.expose()),
            expiration: credentials.expiration.as_secs().cast_signed(),
        }
    }
}

/// What AssumeRole gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_role {
    /// sizeof(cloudauth_sts_role)
    pub size: usize,
    /// The access key id.
    pub access_key_id: cloudauth_bytes,
    /// The secret access key.
    pub secret_access_key: cloudauth_bytes,
    /// The session token: a secret.
    pub session_token: cloudauth_bytes,
    /// When the credentials end, in seconds since 1970.
    pub expiration: i64,
    /// The ARN of the role session; empty if the service gave none.
    pub assumed_role_arn: cloudauth_bytes,
    /// The role's unique id and the session's name; may be empty.
    pub assumed_role_id: cloudauth_bytes,
    /// The source identity of the session; may be empty.
    pub source_identity: cloudauth_bytes,
    /// How much of the room for policies and tags is used, in percent; -1 if that is not said.
    pub packed_policy_size: i64,
}

impl cloudauth_sts_role {
    fn of(role: &AssumedRole<'_>) -> Self {
        let credentials = cloudauth_aws_credentials::of(&role.credentials);
        Self {
            size: 0,
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.session_token,
            expiration: credentials.expiration,
            assumed_role_arn: cloudauth_bytes::optional(role.assumed_role_arn),
            assumed_role_id: cloudauth_bytes::optional(role.assumed_role_id),
            source_identity: cloudauth_bytes::optional(role.source_identity),
            packed_policy_size: role.packed_policy_size.map_or(-1, i64::from),
        }
    }
}

impl Answer for cloudauth_sts_assume_role_params {
    type Output = cloudauth_sts_role;

    fn output(role: AssumedRole<'_>) -> cloudauth_sts_role {
        cloudauth_sts_role::of(&role)
    }
}

/// What AssumeRoleWithWebIdentity gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_federated_role {
    /// sizeof(cloudauth_sts_federated_role)
    pub size: usize,
    /// The access key id.
    pub access_key_id: cloudauth_bytes,
    /// The secret access key.
    pub secret_access_key: cloudauth_bytes,
    /// The session token: a secret.
    pub session_token: cloudauth_bytes,
    /// When the credentials end, in seconds since 1970.
    pub expiration: i64,
    /// The ARN of the role session; empty if the service gave none.
    pub assumed_role_arn: cloudauth_bytes,
    /// The role's unique id and the session's name; may be empty.
    pub assumed_role_id: cloudauth_bytes,
    /// The source identity of the session; may be empty.
    pub source_identity: cloudauth_bytes,
    /// How much of the room for policies and tags is used, in percent; -1 if that is not said.
    pub packed_policy_size: i64,
    /// Whom the token is about (sub); may be empty.
    pub subject: cloudauth_bytes,
    /// Whom the token is for (aud); may be empty.
    pub audience: cloudauth_bytes,
    /// Who issued the token (iss); may be empty.
    pub provider: cloudauth_bytes,
}

impl Answer for cloudauth_sts_assume_role_with_web_identity_params {
    type Output = cloudauth_sts_federated_role;

    fn output(answer: FederatedRole<'_>) -> cloudauth_sts_federated_role {
        let role = cloudauth_sts_role::of(&answer.role);
        cloudauth_sts_federated_role {
            size: 0,
            access_key_id: role.access_key_id,
            secret_access_key: role.secret_access_key,
            session_token: role.session_token,
            expiration: role.expiration,
            assumed_role_arn: role.assumed_role_arn,
            assumed_role_id: role.assumed_role_id,
            source_identity: role.source_identity,
            packed_policy_size: role.packed_policy_size,
            subject: cloudauth_bytes::optional(answer.subject),
            audience: cloudauth_bytes::optional(answer.audience),
            provider: cloudauth_bytes::optional(answer.provider),
        }
    }
}

impl Answer for cloudauth_sts_get_session_token_params {
    type Output = cloudauth_aws_credentials;

    fn output(credentials: Credentials<'_>) -> cloudauth_aws_credentials {
        cloudauth_aws_credentials::of(&credentials)
    }
}

/// What GetCallerIdentity gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sts_caller_identity {
    /// sizeof(cloudauth_sts_caller_identity)
    pub size: usize,
    /// The account's twelve digits.
    pub account: cloudauth_bytes,
    /// The ARN of the user or the role session.
    pub arn: cloudauth_bytes,
    /// The unique id; for a role session with the session's name behind a colon.
    pub user_id: cloudauth_bytes,
}

impl Answer for cloudauth_sts_get_caller_identity_params {
    type Output = cloudauth_sts_caller_identity;

    fn output(identity: CallerIdentity<'_>) -> cloudauth_sts_caller_identity {
        cloudauth_sts_caller_identity {
            size: 0,
            account: cloudauth_bytes::text(identity.account),
            arn: cloudauth_bytes::text(identity.arn),
            user_id: cloudauth_bytes::text(identity.user_id),
        }
    }
}
