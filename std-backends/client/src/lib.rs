//! Live credentials of AWS, Azure and Google Cloud from keys that cannot be copied.

#![forbid(unsafe_code)]

mod clock;
mod credential;
mod error;
mod freshness;
#[cfg_attr(not(test), expect(dead_code, reason = "the providers use it"))]
mod memory;

pub use credential::{AwsKeys, BearerToken, Credential};
pub use error::{Error, Result};
