//! Live credentials of AWS, Azure and Google Cloud from keys that cannot be copied.

#![forbid(unsafe_code)]

mod credential;
mod error;

pub use credential::{AwsKeys, BearerToken, Credential};
pub use error::{Error, Result};
