//! Everything libcloudauth emits or accepts, against implementations that others wrote.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod attest;
mod jws;
mod roles_anywhere;
mod sigv4;
mod soft;
mod wycheproof;
