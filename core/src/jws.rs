//! Compact JWS (RFC 7515, section 7.1) with JWT claims (RFC 7519): writing, verifying, and the key sets
//! (RFC 7517) that say whose signatures count.
//!
//! A token is verified in steps that cannot be left out or swapped: [`Token::parse`] reads it;
//! [`Token::verify`] holds it against what the caller pins ([`Expect`]) and the keys ([`KeySet`]), and
//! gives a [`Report`] of every check; [`Report::verdict`] gives the claims, or the first failure.
//!
//! ```
//! use cloudauth_core::jws::{Expect, Key, Token};
//! use cloudauth_core::verifier::Verifier;
//! use cloudauth_core::{Scheme, UnixTime};
//!
//! # fn example(token: &str, verifier: &dyn Verifier, now: u64) -> cloudauth_core::Result<()> {
//! let mut buf = [0; 4096];
//! let token = Token::parse(token, &mut buf)?;
//! let expect = Expect {
//!     issuer: Some("https://accounts.example"),
//!     audience: Some("https://service.example"),
//!     ..Expect::new(&[Scheme::EcdsaP256Sha256], UnixTime::new(now)?)
//! };
//! let keys = [Key { kid: Some("2026-11"), scheme: None, verifier }];
//! let report = token.verify(&expect, &keys);
//! let subject = report.verdict()?.claims().string("sub")?;
//! # Ok(())
//! # }
//! ```

mod jwks;
mod token;
mod verify;
mod write;

pub use jwks::{Jwk, JwkKeys, Jwks, JwksError};
pub(crate) use token::is_compact;
pub use token::{MAX_TOKEN_LEN, Token};
pub(crate) use verify::single_audience;
pub use verify::{
    Check, DEFAULT_SKEW, Expect, Key, KeySet, MAX_KEYS, Outcome, Outcomes, Report, Verified,
};
pub(crate) use write::plain;
#[cfg(test)]
pub(crate) use write::testing;
pub use write::{Part, signing_input};
