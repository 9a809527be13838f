//! Sends the exchanges of [`cloudauth_core`]: rustls over tokio and hyper.
//!
//! - [`Transport`] sends any [`Exchange`](cloudauth_core::Exchange), each on a connection of its own, and
//!   tries again where that is safe. TLS 1.2 and 1.3, post-quantum key exchange (X25519MLKEM768) where
//!   the server has it.
//! - [`Connection`] sends several exchanges on one TLS 1.3 connection and exports keying material from it.
//! - [`Identity`] is a client certificate with any [`Signer`](cloudauth_core::Signer): the TPM key as the
//!   TLS client key.
//! - [`Acceptor`] is the server's side of such connections.
//! - [`Endpoint`] sends requests somewhere else: an emulator, a private endpoint, a gateway.
//!
//! | limit | default |
//! |---|---|
//! | connecting, TLS included | 5 s |
//! | head of an answer, and each part of its body | 10 s |
//! | the whole call, repetitions included | 30 s |
//! | size of an answer's head | 64 KiB |
//! | size of an answer's body | 1 MiB |
//! | how often a request is sent | 3 |
//!
//! Everything here needs a tokio runtime with I/O and time enabled. What happens is told through `tracing` at the
//! level `debug`: hosts, TLS parameters, statuses and waits, no secrets. The buffers of this crate that
//! hold requests' bodies and answers are wiped; those within hyper and rustls are not ours to wipe.

#![forbid(unsafe_code)]

mod builder;
mod connect;
mod connection;
mod endpoint;
mod error;
mod http1;
mod identity;
mod progress;
mod proxy;
mod request;
mod retry;
mod server;
mod shared;
mod transport;
mod trust;

pub use builder::Builder;
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use error::{BuildError, Refusal, Step, TransportError};
pub use identity::Identity;
pub use request::Request;
pub use server::{AcceptError, Accepted, Acceptor, ClientCertificates, Protocol, Session};
pub use transport::Transport;
pub use trust::Trust;
