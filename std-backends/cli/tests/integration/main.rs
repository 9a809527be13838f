//! The `cloudauth` program as its users run it.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod aws_signing_suite;
mod broker_check;
mod program;
