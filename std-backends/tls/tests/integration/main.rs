//! The transport against servers on loopback: those of this test, and OpenSSL's.

mod connection;
mod limits;
mod mutual;
mod proxy;
mod repetition;
mod support;
mod tls;
