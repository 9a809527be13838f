//! `AssumeRole`.

use core::fmt;

use super::answer::{Node, result};
use super::check;
use super::request::{Parameters, Route, write};
use crate::Result;
use crate::aws::Credentials;
use crate::aws::sigv4::SigV4;
use crate::exchange::{Attempt, Draft, Exchange, Failure};
use crate::http::ResponseHead;

/// `AssumeRole`: credentials of a role for who has credentials already.
///
/// `Debug` leaves out what might be secret.
#[derive(Clone, Copy)]
pub struct AssumeRole<'a> {
    /// Who signs: the key must be derived for the service `sts`. Its region is the one that is called.
    pub signer: SigV4<'a>,
    /// `arn:aws:iam::account:role/name`.
    pub role_arn: &'a str,
    /// The session's name, for logs and policies: 2 to 64 letters, digits or `_+=,.@-`.
    pub role_session_name: &'a str,
    /// Managed policies that narrow the session; at most [`MAX_POLICY_ARNS`](super::MAX_POLICY_ARNS).
    pub policy_arns: &'a [&'a str],
    /// A policy in JSON that narrows the session; at most [`MAX_POLICY_LEN`](super::MAX_POLICY_LEN)
    /// characters.
    pub policy: Option<&'a str>,
    /// The life of the credentials, 900 to 43,200 seconds; `None` is the service's hour.
    pub duration_seconds: Option<u32>,
    /// Session tags, key and value; at most [`MAX_TAGS`](super::MAX_TAGS).
    pub tags: &'a [(&'a str, &'a str)],
    /// Keys of the tags that go on to the sessions that this session starts.
    pub transitive_tag_keys: &'a [&'a str],
    /// The id that the role's owner wants from third parties.
    pub external_id: Option<&'a str>,
    /// The device of multi-factor authentication: serial number or ARN. Goes with `token_code`.
    pub serial_number: Option<&'a str>,
    /// The device's present code. Goes with `serial_number`.
    pub token_code: Option<&'a str>,
    /// Who is behind the session, kept through all sessions that follow.
    pub source_identity: Option<&'a str>,
    /// Context that AWS services have asserted; at most
    /// [`MAX_PROVIDED_CONTEXTS`](super::MAX_PROVIDED_CONTEXTS).
    pub provided_contexts: &'a [ProvidedContext<'a>],
    /// A host (with an optional port) in place of the region's endpoint. The global
    /// `sts.amazonaws.com` takes keys for `us-east-1` only.
    pub endpoint: Option<&'a str>,
    /// Ask for JSON. XML is what AWS documents; answers of both kinds are read either way.
    pub accept_json: bool,
}

/// Context that an AWS service has asserted, such as IAM Identity Center.
#[derive(Clone, Copy)]
pub struct ProvidedContext<'a> {
    /// `arn:aws:iam::aws:contextProvider/name`.
    pub provider_arn: &'a str,
    /// The assertion, as the service gave it.
    pub context_assertion: &'a str,
}

impl fmt::Debug for ProvidedContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProvidedContext({}, …)", self.provider_arn)
    }
}

/// What `AssumeRole` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssumedRole<'b> {
    /// The role's credentials.
    pub credentials: Credentials<'b>,
    /// `arn:aws:sts::account:assumed-role/role/session`.
    pub assumed_role_arn: Option<&'b str>,
    /// The role's unique id and the session's name, with a colon between.
    pub assumed_role_id: Option<&'b str>,
    /// How much of the room for policies and tags is used, in percent.
    pub packed_policy_size: Option<u32>,
    /// The source identity of the session.
    pub source_identity: Option<&'b str>,
}

impl<'b> AssumedRole<'b> {
    /// Reads the result of `AssumeRole` and its likes.
    pub(super) fn read(result: &Node<'b>) -> Result<Self> {
        let user = result.get("AssumedRoleUser")?;
        let of_user = |name| user.map_or(Ok(None), |user| user.text(name));
        Ok(Self {
            credentials: result.credentials()?,
            assumed_role_arn: of_user("Arn")?,
            assumed_role_id: of_user("AssumedRoleId")?,
            packed_policy_size: result.number("PackedPolicySize")?,
            source_identity: result.text("SourceIdentity")?,
        })
    }
}

impl<'a> AssumeRole<'a> {
    /// A session without restrictions beyond the role's own, in the signing key's region.
    #[must_use]
    pub const fn new(signer: SigV4<'a>, role_arn: &'a str, role_session_name: &'a str) -> Self {
        Self {
            signer,
            role_arn,
            role_session_name,
            policy_arns: &[],
            policy: None,
            duration_seconds: None,
            tags: &[],
            transitive_tag_keys: &[],
            external_id: None,
            serial_number: None,
            token_code: None,
            source_identity: None,
            provided_contexts: &[],
            endpoint: None,
            accept_json: false,
        }
    }

    fn check(&self) -> Result<()> {
        check::signer(&self.signer, self.endpoint)?;
        check::role_arn(self.role_arn)?;
        check::role_session_name(self.role_session_name)?;
        check::policies(self.policy, self.policy_arns)?;
        check::role_duration(self.duration_seconds)?;
        check::tags(self.tags, self.transitive_tag_keys)?;
        check::external_id(self.external_id)?;
        check::mfa(self.serial_number, self.token_code)?;
        check::source_identity(self.source_identity)?;
        check::provided_contexts(self.provided_contexts)
    }

    /// In the order of the service's model.
    fn parameters(&self, body: &mut Parameters<'_, '_>) {
        body.text("RoleArn", self.role_arn);
        body.text("RoleSessionName", self.role_session_name);
        body.policies(self.policy_arns);
        body.optional("Policy", self.policy);
        body.number("DurationSeconds", self.duration_seconds);
        for (i, (key, value)) in self.tags.iter().enumerate() {
            body.member("Tags", i, ".Key", key);
            body.member("Tags", i, ".Value", value);
        }
        for (i, key) in self.transitive_tag_keys.iter().enumerate() {
            body.member("TransitiveTagKeys", i, "", key);
        }
        body.optional("ExternalId", self.external_id);
        body.optional("SerialNumber", self.serial_number);
        body.optional("TokenCode", self.token_code);
        body.optional("SourceIdentity", self.source_identity);
        for (i, context) in self.provided_contexts.iter().enumerate() {
            body.member("ProvidedContexts", i, ".ProviderArn", context.provider_arn);
            body.member("ProvidedContexts", i, ".ContextAssertion", context.context_assertion);
        }
    }
}

impl fmt::Debug for AssumeRole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole")
            .field("access_key_id", &self.signer.access_key_id)
            .field("key", &self.signer.key)
            .field("role_arn", &self.role_arn)
            .field("role_session_name", &self.role_session_name)
            .finish_non_exhaustive()
    }
}

impl Exchange for AssumeRole<'_> {
    type Output<'b> = AssumedRole<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        self.check()?;
        let route = Route {
            region: self.signer.key.region(),
            endpoint: self.endpoint,
            accept_json: self.accept_json,
        };
        let signed = Some((&self.signer, at.time()));
        write(draft, &route, signed, "AssumeRole", |body| self.parameters(body))
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<AssumedRole<'b>, Failure<'b>> {
        let result = result(head, body, ["AssumeRoleResponse", "AssumeRoleResult"])?;
        Ok(AssumedRole::read(&result)?)
    }
}
