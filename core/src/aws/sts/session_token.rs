//! `GetSessionToken`.

use core::fmt;

use super::answer::result;
use super::check;
use super::request::{Route, write};
use crate::Result;
use crate::aws::Credentials;
use crate::aws::sigv4::SigV4;
use crate::exchange::{Attempt, Draft, Exchange, Failure};
use crate::http::ResponseHead;

/// `GetSessionToken`: temporary credentials with a user's own rights, such as for multi-factor
/// authentication. Only long-term credentials may ask.
///
/// `Debug` leaves out what might be secret.
#[derive(Clone, Copy)]
pub struct GetSessionToken<'a> {
    /// Who signs: the key must be derived for the service `sts`. Its region is the one that is called.
    pub signer: SigV4<'a>,
    /// The life of the credentials, 900 to 129,600 seconds; `None` is the service's twelve hours.
    pub duration_seconds: Option<u32>,
    /// The device of multi-factor authentication: serial number or ARN. Goes with `token_code`.
    pub serial_number: Option<&'a str>,
    /// The device's present code. Goes with `serial_number`.
    pub token_code: Option<&'a str>,
    /// A host (with an optional port) in place of the region's endpoint. The global
    /// `sts.amazonaws.com` takes keys for `us-east-1` only.
    pub endpoint: Option<&'a str>,
    /// Ask for JSON. XML is what AWS documents; answers of both kinds are read either way.
    pub accept_json: bool,
}

impl<'a> GetSessionToken<'a> {
    /// Credentials for the service's default time, from the signing key's region.
    #[must_use]
    pub const fn new(signer: SigV4<'a>) -> Self {
        Self {
            signer,
            duration_seconds: None,
            serial_number: None,
            token_code: None,
            endpoint: None,
            accept_json: false,
        }
    }
}

impl fmt::Debug for GetSessionToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetSessionToken")
            .field("access_key_id", &self.signer.access_key_id)
            .field("key", &self.signer.key)
            .field("duration_seconds", &self.duration_seconds)
            .finish_non_exhaustive()
    }
}

impl Exchange for GetSessionToken<'_> {
    type Output<'b> = Credentials<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        check::signer(&self.signer, self.endpoint)?;
        check::token_duration(self.duration_seconds)?;
        check::mfa(self.serial_number, self.token_code)?;
        if self.signer.session_token.is_some() {
            return Err(crate::Error::invalid(
                "session token",
                "GetSessionToken takes long-term credentials only; leave the session token out",
            ));
        }
        let route = Route {
            region: self.signer.key.region(),
            endpoint: self.endpoint,
            accept_json: self.accept_json,
        };
        write(draft, &route, Some((&self.signer, at.time())), "GetSessionToken", |body| {
            body.number("DurationSeconds", self.duration_seconds);
            body.optional("SerialNumber", self.serial_number);
            body.optional("TokenCode", self.token_code);
        })
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Credentials<'b>, Failure<'b>> {
        let result = result(head, body, ["GetSessionTokenResponse", "GetSessionTokenResult"])?;
        Ok(result.credentials()?)
    }
}
