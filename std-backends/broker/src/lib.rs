//! The attested token broker: a workload shows an attestation that is bound to its TLS connection, and gets
//! the narrow cloud credential that a grant of the operator's policy gives.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the server that uses the policy comes next")]

pub mod check;
mod config;
mod decision;
mod error;
mod give;
mod key_sets;
mod policy;
#[cfg(test)]
mod tests;

pub use error::LoadError;
