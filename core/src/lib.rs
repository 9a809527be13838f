#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "rsa")]
extern crate alloc;

pub mod attest;
pub mod aws;
pub mod azure;
pub mod broker;
pub mod digest;
pub mod ekm;
pub mod encode;
mod error;
mod exchange;
pub mod gcp;
mod http;
pub mod json;
pub mod jws;
mod oauth;
mod out;
pub mod signer;
pub mod soft;
mod time;
pub mod verifier;
pub mod x509;
pub mod xml;

/// Whether this is a build for a microcontroller, where small comes before fast.
const SMALL: bool = cfg!(all(target_os = "none", target_pointer_width = "32"));

pub use error::{Error, ErrorKind, Result};
pub use exchange::{
    Assertion, Attempt, Detached, DetachedJws, Draft, Exchange, Failure, Prepared, PreparedJws,
    Secret, ServiceError,
};
pub use http::{HttpRequest, ResponseHead};
pub use oauth::AccessToken;
pub use out::{Out, Sink};
pub use signer::{Mac, Scheme, SignError, Signer, ToSign};
pub use time::UnixTime;
