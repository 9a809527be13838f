//! Keys named by URI: [`KeyUri`] to [`Key`] (a [`Signer`](cloudauth_core::Signer)) or [`MacKey`] (a
//! [`Mac`](cloudauth_core::Mac)). Software keys sign with aws-lc-rs.
//!
//! | URI | what it names |
//! |---|---|
//! | `file:PATH` | PEM (PKCS#8 plain or encrypted, PKCS#1, SEC1), or a Google service-account JSON |
//! | `env:NAME` | the same text in an environment variable |
//! | `pkcs11:…` | a key in a PKCS#11 token (RFC 7512); see [`cloudauth_pkcs11`] |
//! | `tpm:…` | a key in a TPM 2.0, with the feature `tpm`: see [`TpmUri`] |
//!
//! `?passphrase-source=env:NAME`, `file:PATH` or `fd:N` names the passphrase of an encrypted key; without
//! it the variable [`PASSPHRASE_VARIABLE`] is read. The PIN of a token is named by `pin-source` in the same
//! way, else by [`PIN_VARIABLE`]; the authorization value of a TPM key by `auth-source`, else by
//! [`AUTH_VARIABLE`].
//!
//! # Features
//! `tpm` (off): keys in a TPM. It links the system's tss2 libraries (Debian: `libtss2-dev`).
//!
//! ```no_run
//! use cloudauth_keys::{Key, KeyUri};
//!
//! let key = Key::open(&KeyUri::parse("file:/etc/cloudauth/key.pem?passphrase-source=fd:3")?)?;
//! for warning in key.warnings() {
//!     eprintln!("warning: {warning}");
//! }
//! # Ok::<(), cloudauth_keys::KeyError>(())
//! ```
//!
//! [`PublicVerifier`] and [`KeySet`] check signatures, of tokens above all: they are what
//! [`cloudauth_core::jws`] asks.
//!
//! [`manage`] lists, makes, imports and deletes keys. A [`Prompt`] asks a person for what no source names.
//!
//! The library prints nothing, and no error, `Debug` or `Display` holds a secret.

#![forbid(unsafe_code)]

mod error;
mod files;
mod google;
mod key;
mod mac;
pub mod manage;
pub mod pem;
mod prompt;
mod secret;
mod software;
#[cfg(test)]
mod testing;
mod token;
#[cfg(feature = "tpm")]
mod tpm;
mod uri;
mod verifier;

pub use error::{KeyError, Result, Warning};
pub use google::GoogleAccount;
pub use key::Key;
pub use mac::MacKey;
pub use prompt::Prompt;
pub use secret::SecretRef;
pub use software::KeyAlgorithm;
pub use token::PIN_COMMAND_VARIABLE;
pub use uri::{
    AUTH_VARIABLE, KeyUri, OWNER_AUTH_VARIABLE, PARENT_AUTH_VARIABLE, PASSPHRASE_VARIABLE,
    PIN_VARIABLE, PinSource, Pkcs11Type, Pkcs11Uri, TpmUri, UriScheme,
};
pub use verifier::{KeySet, PublicVerifier};

/// The variable with the operator's allow-list of PKCS#11 modules.
pub use cloudauth_pkcs11::ALLOWED_MODULES_VARIABLE;
