//! The attested token broker: a workload shows an attestation that is bound to its TLS connection, and gets
//! the narrow cloud credential that a grant of the operator's policy gives.

#![forbid(unsafe_code)]

#[allow(dead_code, unreachable_pub, reason = "the server and the policy that use it come next")]
mod config;
#[allow(dead_code, reason = "the server and the policy that use it come next")]
mod decision;
