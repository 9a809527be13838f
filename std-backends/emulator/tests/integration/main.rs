//! The emulator over the network, asked by a client put together here.

mod aws;
mod client;
mod server;
mod tokens;
