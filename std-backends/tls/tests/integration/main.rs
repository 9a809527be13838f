//! The transport against servers on loopback: those of this test, and OpenSSL's.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod acceptor;
mod connection;
mod limits;
mod mutual;
mod proxy;
mod repetition;
mod support;
mod tls;
#[cfg(unix)]
mod unix;
