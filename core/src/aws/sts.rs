//! AWS Security Token Service: credentials of a role, of one's own for a while, or for a web identity.
//!
//! ```
//! use cloudauth_core::aws::sigv4::SigV4;
//! use cloudauth_core::aws::{AssumeRole, SecretAccessKey, SigningKey};
//! use cloudauth_core::{Attempt, Exchange, ResponseHead, UnixTime};
//!
//! let now = UnixTime::parse("2026-11-22T12:00:00Z")?;
//! let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")?;
//! let key = SigningKey::derive(&secret, now, "eu-central-1", "sts")?; // keep it for the day
//! let call = AssumeRole {
//!     duration_seconds: Some(900),
//!     ..AssumeRole::new(
//!         SigV4::new("AKIDEXAMPLE", &key),
//!         "arn:aws:iam::123456789012:role/demo",
//!         "robot-7",
//!     )
//! };
//! let mut buf = [0u8; 1024];
//! let request = call.build(&Attempt::new(now, [0; 32]), &mut buf)?;
//! assert_eq!(request.host(), "sts.eu-central-1.amazonaws.com");
//! assert!(request.body().starts_with(b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws"));
//! # Ok::<(), cloudauth_core::Error>(())
//! ```
//!
//! A derived key signs, so there is no [`Signer`](crate::Signer): [`build`](crate::Exchange::build)
//! gives the whole request. Sources: AWS, "AWS Security Token Service API Reference", version
//! 2011-06-15, whose limits are checked before anything is sent; botocore 1.44.5, whose requests are
//! the same octet for octet.

mod answer;
mod assume_role;
mod caller_identity;
mod check;
mod request;
mod session_token;
#[cfg(test)]
mod tests;
mod web_identity;

pub use assume_role::{AssumeRole, AssumedRole, ProvidedContext};
pub use caller_identity::{CallerIdentity, GetCallerIdentity};
pub use session_token::GetSessionToken;
pub use web_identity::{AssumeRoleWithWebIdentity, FederatedRole};

/// The most managed policies of one session.
pub const MAX_POLICY_ARNS: usize = 10;

/// The most tags of one session, and the most transitive keys.
pub const MAX_TAGS: usize = 50;

/// The most characters of a session policy.
pub const MAX_POLICY_LEN: usize = 2048;

/// The most [`ProvidedContext`]s of one call.
pub const MAX_PROVIDED_CONTEXTS: usize = 5;

const SERVICE: &str = "sts";
