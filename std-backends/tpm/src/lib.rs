//! Keys in a TPM 2.0: [`TpmKey`] is a [`Signer`](cloudauth_core::Signer), [`TpmMac`] a
//! [`Mac`](cloudauth_core::Mac). `cloudauth-keys` opens them by `tpm:` URI.
//!
//! - A key is a persistent handle, a `TSS2 PRIVATE KEY` file, or a path of the FAPI key store.
//! - A process has one connection to a TPM. The storage primary is made, and a key loaded, once: not for
//!   each signature. Every transient object and session is flushed again, on every path.
//! - Every command that uses a key runs in an HMAC session that is salted to the storage root key, with its
//!   first parameter encrypted in both directions: who listens learns neither authorization values nor
//!   secrets. With a [pinned name](Pin) the sessions are with that TPM and no other: the owner hierarchy's
//!   value, the parent of a new key and the key that is wrapped for it are protected from one who can
//!   change what goes over the bus, too.
//! - Messages are hashed here, so they have any length.
//! - When the connection breaks or the TPM restarts, the next signature connects and loads again, once.
//! - An authorization value that the TPM refused is not tried again by the key that has it, and in
//!   lockout nothing is retried: repeated tries lock every key that the TPM protects against guessing.
//!   When one more wrong value would do that, none is tried.
//! - A TPM that takes the connection and then says nothing is given up after 30 seconds when it is first
//!   asked. A command in progress has no time limit of this crate: the TPM software stack's one-call
//!   interface, which `tss-esapi` wraps, waits for the answer. The Linux driver (`/dev/tpm0`,
//!   `/dev/tpmrm0`) limits every command itself; a simulator that hangs holds the one thread that
//!   asked, and all others get an error after 30 seconds.
//!
//! # Forks
//! A connection does not survive `fork()`: a key that was opened before says so in the child.

#![forbid(unsafe_code)]

mod authorize;
mod device;
mod error;
mod fapi;
mod key;
mod keyfile;
mod manage;
mod pin;
mod policy;
mod public;
mod source;
mod tcti;
mod trust;
mod wrap;

pub use error::{CallError, Result, TpmError};
pub use fapi::FapiStore;
pub use key::{KeyQuery, TpmKey, TpmMac};
pub use keyfile::KeyFile;
pub use manage::{Description, Destination, Material, create, delete, describe, import, list};
pub use policy::PcrSelection;
pub use public::KeyKind;
pub use source::{Access, AuthProvider, Hierarchy, KeySource, Parent, Pin};
pub use tcti::Tcti;
