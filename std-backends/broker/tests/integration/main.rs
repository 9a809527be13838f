//! The broker from outside: raw TLS clients, the emulator's tokens and clouds.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

mod api;
mod compatibility;
mod limits;
mod operation;
mod support;
