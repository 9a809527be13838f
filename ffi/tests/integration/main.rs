//! The C interface, called as C would: through its exported functions, with raw pointers. What belongs
//! to Miri is small enough for it; the software keys are not.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
// All as the header says, but for what a test is about.
#![allow(clippy::undocumented_unsafe_blocks, clippy::too_many_arguments)]

mod abuse;
mod cases;
mod core_agrees;
mod header;
#[cfg(feature = "std")]
mod hosted;
mod probe;
mod tokens;
