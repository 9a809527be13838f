//! The `cloudauth` program as its users run it.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[cfg(unix)]
mod attested;
mod aws_signing_suite;
mod broker_check;
mod broker_convert;
mod program;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod secrets;
