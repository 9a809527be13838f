//! Against swtpm, with keys of the tools that others wrote, and with faults. Ignored by `cargo test`, because
//! swtpm and the tools must be installed; `tests/run` runs them (`cargo test -p cloudauth-tpm -- --ignored
//! --test-threads=1`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod bus;
mod fapi;
mod faults;
mod keys;
mod manage;
mod proxy;
mod support;
