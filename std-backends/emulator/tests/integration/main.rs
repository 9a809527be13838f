//! The emulator over the network, asked by a client put together here.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
// Of texts that are ASCII.
#![allow(clippy::string_slice)]

mod attestation;
mod aws;
mod client;
mod server;
mod teeserver;
mod tokens;
