//! What a provider gives.

use std::fmt;

use cloudauth_core::UnixTime;
use zeroize::Zeroizing;

/// A credential and the moment from which the cloud refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// Temporary AWS credentials.
    Aws(AwsKeys),
    /// A token for the `Authorization: Bearer` header, of Azure or Google Cloud.
    Bearer(BearerToken),
}

/// Temporary AWS credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// The access key id (`ASIA…`).
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Zeroizing<String>,
    /// The session token that goes with the key.
    pub session_token: Zeroizing<String>,
    /// When AWS stops accepting them.
    pub expiration: UnixTime,
}

/// A bearer token: an access token or an ID token.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    /// The token: printable ASCII without spaces.
    pub token: Zeroizing<String>,
    /// When the cloud stops accepting it.
    pub expiration: UnixTime,
}

impl Credential {
    /// When the cloud stops accepting it.
    #[must_use]
    pub const fn expiration(&self) -> UnixTime {
        match self {
            Self::Aws(keys) => keys.expiration,
            Self::Bearer(token) => token.expiration,
        }
    }

    /// Whether one of its fields has no value.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Aws(keys) => {
                keys.access_key_id.is_empty()
                    || keys.secret_access_key.is_empty()
                    || keys.session_token.is_empty()
            }
            Self::Bearer(token) => token.token.is_empty(),
        }
    }
}

impl fmt::Debug for AwsKeys {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeys")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BearerToken {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}
