//! Live credentials of AWS, Azure and Google Cloud from keys that cannot be copied.
//!
//! A [`Source`] says which credential; a [`Client`] makes a [`Provider`] of it, which gives a credential
//! that is good now.
//!
//! ```no_run
//! use cloudauth_client::{Client, GcpToken, Inputs};
//! use cloudauth_tls::Transport;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Transport::builder().build()?, Inputs::default());
//! let provider = client.provider(GcpToken {
//!     key: "tpm:handle=0x81000005".parse()?,
//!     email: Some("robot@project.iam.gserviceaccount.com".into()),
//!     key_id: None,
//!     scopes: vec![],
//!     audience: None,
//!     subject: None,
//!     lifetime: None,
//! });
//! let token = provider.bearer_token().await?;
//! # Ok(()) }
//! ```
//!
//! Or a [`Config`] names them: profiles in a TOML file. [`blocking`] is for programs without a runtime.
//!
//! - **Fresh.** However many ask at once, one call is made. A credential is renewed before its end, at a time
//!   that differs from machine to machine; while that fails, the last one serves until its end, and then the
//!   error is told. An empty or expired credential is never given.
//! - **Across processes.** A [`FileCache`] keeps credentials for programs that run for a moment.
//! - **Reloaded.** Certificates, tokens and policies are read for each call, and key files when they change.

#![forbid(unsafe_code)]

mod attested;
mod aws;
mod azure;
pub mod blocking;
mod clock;
mod config;
mod credential;
mod environment;
mod error;
mod file_cache;
mod flow;
mod freshness;
mod gcp;
mod inputs;
mod memory;
mod provider;
mod source;
mod text;

pub use attested::{AttestationType, Attested, AttestedScheme, SeedRequest};
pub use aws::{
    AssumeRole, CallerIdentity, Identity, RolesAnywhere, SessionToken, TokenCode, WebIdentity,
};
pub use azure::{AzureAlgorithm, AzureThumbprint, AzureToken};
pub use config::{CONFIG_VARIABLE, Config, PROFILE_VARIABLE, from_toml, without_value};
pub use credential::{AwsKeys, BearerToken, Credential, Secrets};
pub use environment::variable;
pub use error::{Error, Result};
pub use file_cache::FileCache;
pub use gcp::{GcpFederated, GcpIdToken, GcpImpersonated, GcpOauth, GcpToken, GcpTokenType};
pub use inputs::{Inputs, read_own_file};
pub use provider::{Client, Provider};
pub use source::Source;
