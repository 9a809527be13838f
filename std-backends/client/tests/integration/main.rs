//! Providers live against the emulator, which checks every request with other implementations.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
// Of texts that are ASCII.
#![allow(clippy::string_slice)]

mod caching;
mod faults;
mod leaks;
mod profiles;
mod sources;
mod world;
