//! The attested token broker: a workload shows an attestation that is bound to its TLS connection, and gets
//! the narrow cloud credential that a grant of the operator's policy gives.
//!
//! - [`Broker`] serves: TLS 1.3 and HTTP/1.1, challenges and credentials, older brokers' clients where the
//!   configuration asks for it, and health and metrics on a second, plain listener.
//! - [`check`] looks at a configuration without serving it.
//!
//! It keeps no state that outlives a connection: any number of brokers can stand behind a balancer that passes
//! TCP on.

#![forbid(unsafe_code)]

pub mod check;
mod config;
mod decision;
mod error;
mod give;
mod key_sets;
mod policy;
mod server;
#[cfg(test)]
mod tests;

pub use error::LoadError;
pub use server::{Addresses, Broker, StartError};
