//! Attested connections beside programs that others wrote; `tests/attested/run` builds those.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
// Of texts that are ASCII.
#![allow(clippy::string_slice)]

mod exporters;
mod peers;
mod seeds;
