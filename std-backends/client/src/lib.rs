//! Live credentials of AWS, Azure and Google Cloud from keys that cannot be copied.

#![forbid(unsafe_code)]

#[cfg_attr(not(test), expect(dead_code, reason = "the providers use it"))]
mod clock;
mod credential;
mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "the providers use it"))]
mod file_cache;
mod freshness;
#[cfg_attr(not(test), expect(dead_code, reason = "the providers use it"))]
mod memory;

pub use credential::{AwsKeys, BearerToken, Credential};
pub use error::{Error, Result};
pub use file_cache::FileCache;
