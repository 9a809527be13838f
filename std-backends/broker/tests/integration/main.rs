//! The broker from outside: raw TLS clients, the emulator's tokens and clouds.

mod api;
mod compatibility;
mod limits;
mod operation;
mod support;
