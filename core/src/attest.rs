//! Attestation: what a confidential workload shows, and what of it is believed.

pub mod teeserver;
