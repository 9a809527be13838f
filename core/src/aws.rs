//! AWS: Signature Version 4, and the exchanges that give AWS credentials.

mod canonical;
mod class;
mod endpoint;
mod error;
pub mod rolesanywhere;
mod signing_key;
pub mod sigv4;
pub mod sts;

pub use rolesanywhere::CreateSession;
pub use signing_key::{MAX_SCOPE_LEN, SecretAccessKey, SigningKey};
pub use sts::{AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, GetSessionToken};

use crate::exchange::Secret;
use crate::time::UnixTime;

/// Temporary AWS credentials out of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'b> {
    /// The access key id (`ASIA…`).
    pub access_key_id: &'b str,
    /// The secret access key.
    pub secret_access_key: Secret<'b>,
    /// The session token that goes with the key.
    pub session_token: Secret<'b>,
    /// When the service stops accepting them.
    pub expiration: UnixTime,
}
