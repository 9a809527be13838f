//! The configuration file.

pub(crate) mod server;
