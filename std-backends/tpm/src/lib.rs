//! Keys in a TPM 2.0: [`TpmKey`] is a [`Signer`](cloudauth_core::Signer), [`TpmMac`] a
//! [`Mac`](cloudauth_core::Mac). `cloudauth-keys` opens them by `tpm:` URI.
//!
//! - A key is a persistent handle, a `TSS2 PRIVATE KEY` file, or a path of the FAPI key store.
//! - A process has one connection to a TPM. The storage primary is made, and a key loaded, once: not for
//!   each signature. Every transient object and session is flushed again, on every path.
//! - Every command that uses a key runs in an HMAC session that is salted to the storage root key, with its
//!   first parameter encrypted in both directions: who listens learns neither authorization values nor
//!   secrets. With a [pinned name](Pin) the sessions that use a key are with that TPM and no other.
//!   Making and importing keys, and the owner hierarchy's value, are not protected from one who can
//!   change what goes over the bus.
//! - Messages are hashed here, so they have any length.
//! - When the connection breaks or the TPM restarts, the next signature connects and loads again, once.
//! - An authorization value that the TPM refused is not tried again by the key that has it, and in
//!   lockout nothing is retried: repeated tries lock every key that the TPM protects against guessing.
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
