//! What an answer may hold besides credentials: a refusal; and secrets, that do not show themselves.

use core::fmt::{self, Write as _};

use crate::Error;

/// Why an answer gave no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'b> {
    /// The answer cannot be understood: not what this service sends.
    Answer(Error),
    /// The service refused.
    Service(ServiceError<'b>),
}

impl From<Error> for Failure<'_> {
    fn from(e: Error) -> Self {
        Self::Answer(e)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(e) => e.fmt(f),
            Self::Service(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for Failure<'_> {}

/// A service's refusal, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceError<'b> {
    /// The HTTP status.
    pub status: u16,
    /// The error's name (`AccessDeniedException`, `invalid_client`); empty when the service gave none.
    pub code: &'b str,
    /// The service's text for people; empty when there is none.
    pub message: &'b str,
}

impl ServiceError<'_> {
    /// Whether the same request may succeed later: throttling (429 or its name) and failures of the
    /// server. OAuth's names for these (RFC 6749, section 4.1.2.1; RFC 8628, section 3.5; Google's
    /// `internal_failure`) and AWS's come with any status.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        const OAUTH: [&str; 4] =
            ["internal_failure", "server_error", "slow_down", "temporarily_unavailable"];
        // As botocore's standard retry mode has them.
        const AWS: [&str; 7] = [
            "BandwidthLimitExceeded",
            "IDPCommunicationError",
            "PriorRequestNotComplete",
            "RequestLimitExceeded",
            "RequestTimeout",
            "RequestTimeoutException",
            "TooManyRequestsException",
        ];
        self.status >= 500
            || matches!(self.status, 408 | 429)
            || self.code.contains("Throttl")
            || OAUTH.contains(&self.code)
            || AWS.contains(&self.code)
    }
}

impl fmt::Display for ServiceError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", self.status)?;
        for part in [self.code, self.message] {
            if part.is_empty() {
                continue;
            }
            f.write_str(": ")?;
            // Line ends and terminal escapes are for nobody's log.
            for c in part.chars() {
                f.write_char(if c.is_control() { ' ' } else { c })?;
            }
        }
        Ok(())
    }
}

/// A secret in an answer. It shows itself only when asked, and compares in constant time.
#[derive(Clone, Copy)]
pub struct Secret<'b>(&'b str);

impl PartialEq for Secret<'_> {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}

impl Eq for Secret<'_> {}

impl<'b> Secret<'b> {
    /// Wraps a secret.
    #[must_use]
    pub const fn new(secret: &'b str) -> Self {
        Self(secret)
    }

    /// The secret itself.
    #[must_use]
    pub const fn expose(&self) -> &'b str {
        self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
