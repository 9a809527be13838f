//! Keys in PKCS#11 tokens (HSMs, smart cards, SoftHSM): [`TokenKey`] is a
//! [`Signer`](cloudauth_core::Signer), [`TokenMac`] a [`Mac`](cloudauth_core::Mac). `cloudauth-keys`
//! opens them by `pkcs11:` URI.
//!
//! - A module is loaded and initialised once a process, and only from where nobody but root can put
//!   code, or from the operator's list: [`ModulePolicy`].
//! - A token gets one login, and a key one look-up. Sessions are pooled, so threads sign in parallel.
//! - When the session is closed, the login ends or the token goes away and comes back, the next signature
//!   logs in and finds the key again, once. It must be the same token (label, serial number, model and
//!   manufacturer), in whatever slot: another one that fits the URI would be given the PIN of the first.
//!   A token that was initialised anew has another serial number, and none of its keys: open the key again.
//! - A PIN that a token refused is not tried again in this process, and none is tried when one more wrong
//!   PIN would lock the token.
//! - Where the token hashes, it gets the message; else the digest.
//! - [`manage`] lists, makes, imports and deletes keys. What it makes or imports is sensitive, not
//!   extractable, and for signatures (or tags) alone.
//!
//! # Forks
//! PKCS#11 sessions do not survive `fork()`. A key that was opened before says so when it is used in the
//! child: open it there again. A child of a process with several threads can find locks that will never be
//! released, of modules as of this crate: fork before opening keys, or start a new program.

#![deny(unsafe_code)]

mod error;
mod key;
pub mod manage;
mod mechanism;
mod modules;
mod object;
mod raw;
mod token;

pub use error::{CallError, Pkcs11Error, Result};
pub use key::{KeyQuery, TokenKey, TokenMac};
pub use modules::{ALLOWED_MODULES_VARIABLE, MODULE_VARIABLE, ModulePolicy};
pub use object::{KeyClass, ObjectQuery};
pub use token::{PinProvider, TokenQuery};
