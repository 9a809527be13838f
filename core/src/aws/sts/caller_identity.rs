//! `GetCallerIdentity`.

use core::fmt;

use super::answer::result;
use super::check;
use super::request::{Route, write};
use crate::Result;
use crate::aws::sigv4::SigV4;
use crate::exchange::{Attempt, Draft, Exchange, Failure};
use crate::http::ResponseHead;

/// `GetCallerIdentity`: whose credentials these are. No policy can forbid it.
#[derive(Clone, Copy)]
pub struct GetCallerIdentity<'a> {
    /// Who signs: the key must be derived for the service `sts`. Its region is the one that is called.
    pub signer: SigV4<'a>,
    /// A host (with an optional port) in place of the region's endpoint. The global
    /// `sts.amazonaws.com` takes keys for `us-east-1` only.
    pub endpoint: Option<&'a str>,
    /// Ask for JSON. XML is what AWS documents; answers of both kinds are read either way.
    pub accept_json: bool,
}

/// What `GetCallerIdentity` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerIdentity<'b> {
    /// The account's twelve digits.
    pub account: &'b str,
    /// The ARN of the user or the role session.
    pub arn: &'b str,
    /// The unique id; for a role session with the session's name behind a colon.
    pub user_id: &'b str,
}

impl<'a> GetCallerIdentity<'a> {
    /// A call of the signing key's region.
    #[must_use]
    pub const fn new(signer: SigV4<'a>) -> Self {
        Self { signer, endpoint: None, accept_json: false }
    }
}

impl fmt::Debug for GetCallerIdentity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetCallerIdentity")
            .field("access_key_id", &self.signer.access_key_id)
            .field("key", &self.signer.key)
            .finish_non_exhaustive()
    }
}

impl Exchange for GetCallerIdentity<'_> {
    type Output<'b> = CallerIdentity<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        check::signer(&self.signer, self.endpoint)?;
        let route = Route {
            region: self.signer.key.region(),
            endpoint: self.endpoint,
            accept_json: self.accept_json,
        };
        write(draft, &route, Some((&self.signer, at.time())), "GetCallerIdentity", |_| {})
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<CallerIdentity<'b>, Failure<'b>> {
        let result = result(head, body, ["GetCallerIdentityResponse", "GetCallerIdentityResult"])?;
        Ok(CallerIdentity {
            account: result.filled("Account")?,
            arn: result.filled("Arn")?,
            user_id: result.filled("UserId")?,
        })
    }
}
