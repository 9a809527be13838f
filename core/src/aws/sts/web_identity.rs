//! `AssumeRoleWithWebIdentity`.

use core::fmt;

use super::AssumedRole;
use super::answer::result;
use super::check;
use super::request::{Route, write};
use crate::Result;
use crate::exchange::{Attempt, Draft, Exchange, Failure};
use crate::http::ResponseHead;

/// `AssumeRoleWithWebIdentity`: credentials of a role for a token of an identity provider. The request
/// is not signed: the token is all it takes.
///
/// `Debug` does not show the token.
#[derive(Clone, Copy)]
pub struct AssumeRoleWithWebIdentity<'a> {
    /// The region that is called.
    pub region: &'a str,
    /// `arn:aws:iam::account:role/name`.
    pub role_arn: &'a str,
    /// The session's name, for logs and policies: 2 to 64 letters, digits or `_+=,.@-`.
    pub role_session_name: &'a str,
    /// The OpenID Connect ID token, or an OAuth 2.0 access token.
    pub web_identity_token: &'a str,
    /// The provider's host, for OAuth 2.0 access tokens only.
    pub provider_id: Option<&'a str>,
    /// Managed policies that narrow the session; at most [`MAX_POLICY_ARNS`](super::MAX_POLICY_ARNS).
    pub policy_arns: &'a [&'a str],
    /// A policy in JSON that narrows the session; at most [`MAX_POLICY_LEN`](super::MAX_POLICY_LEN)
    /// characters.
    pub policy: Option<&'a str>,
    /// The life of the credentials, 900 to 43,200 seconds; `None` is the service's hour.
    pub duration_seconds: Option<u32>,
    /// A host (with an optional port) in place of the region's endpoint.
    pub endpoint: Option<&'a str>,
    /// Ask for JSON. XML is what AWS documents; answers of both kinds are read either way.
    pub accept_json: bool,
}

/// What `AssumeRoleWithWebIdentity` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FederatedRole<'b> {
    /// The role's credentials and session.
    pub role: AssumedRole<'b>,
    /// Whom the token is about (`sub`).
    pub subject: Option<&'b str>,
    /// Whom the token is for (`aud`).
    pub audience: Option<&'b str>,
    /// Who issued the token (`iss`).
    pub provider: Option<&'b str>,
}

impl<'a> AssumeRoleWithWebIdentity<'a> {
    /// A session without restrictions beyond the role's own.
    #[must_use]
    pub const fn new(
        region: &'a str,
        role_arn: &'a str,
        role_session_name: &'a str,
        web_identity_token: &'a str,
    ) -> Self {
        Self {
            region,
            role_arn,
            role_session_name,
            web_identity_token,
            provider_id: None,
            policy_arns: &[],
            policy: None,
            duration_seconds: None,
            endpoint: None,
            accept_json: false,
        }
    }
}

impl fmt::Debug for AssumeRoleWithWebIdentity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRoleWithWebIdentity")
            .field("region", &self.region)
            .field("role_arn", &self.role_arn)
            .field("role_session_name", &self.role_session_name)
            .finish_non_exhaustive()
    }
}

impl Exchange for AssumeRoleWithWebIdentity<'_> {
    type Output<'b> = FederatedRole<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        check::unsigned(self.region, self.endpoint)?;
        check::role_arn(self.role_arn)?;
        check::role_session_name(self.role_session_name)?;
        check::web_identity(self.web_identity_token, self.provider_id)?;
        check::policies(self.policy, self.policy_arns)?;
        check::role_duration(self.duration_seconds)?;
        let route =
            Route { region: self.region, endpoint: self.endpoint, accept_json: self.accept_json };
        write(draft, &route, None, "AssumeRoleWithWebIdentity", |body| {
            body.text("RoleArn", self.role_arn);
            body.text("RoleSessionName", self.role_session_name);
            body.text("WebIdentityToken", self.web_identity_token);
            body.optional("ProviderId", self.provider_id);
            body.policies(self.policy_arns);
            body.optional("Policy", self.policy);
            body.number("DurationSeconds", self.duration_seconds);
        })
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<FederatedRole<'b>, Failure<'b>> {
        let wrappers = ["AssumeRoleWithWebIdentityResponse", "AssumeRoleWithWebIdentityResult"];
        let result = result(head, body, wrappers)?;
        Ok(FederatedRole {
            role: AssumedRole::read(&result)?,
            subject: result.text("SubjectFromWebIdentityToken")?,
            audience: result.text("Audience")?,
            provider: result.text("Provider")?,
        })
    }
}
