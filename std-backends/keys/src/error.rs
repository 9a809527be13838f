//! What can go wrong between a key URI and a key, and what to do about it.

use core::fmt;
use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = core::result::Result<T, KeyError>;

/// Why a key could not be opened. Every text names the place (a path or a variable, never what it
/// holds) and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not a key URI.
    #[error("key URI: {help}")]
    Uri {
        /// What is expected.
        help: String,
    },
    /// The text does not name a secret (`env:`, `file:` or `fd:`).
    #[error("secret reference: {help}")]
    SecretReference {
        /// What is expected.
        help: String,
    },
    /// The URI is right, but this build cannot open keys of its scheme.
    #[error(
        "open a {scheme}: key: this build has no {backend} support; build it with: --features {feature}"
    )]
    NoBackend {
        /// The URI's scheme.
        scheme: &'static str,
        /// What is missing.
        backend: &'static str,
        /// The feature that brings it.
        feature: &'static str,
    },
    /// A key in a TPM could not be opened.
    #[cfg(feature = "tpm")]
    #[error("open {place}: {error}")]
    Tpm {
        /// The URI, without secrets.
        place: String,
        /// What the TPM, or the way to it, said.
        error: cloudauth_tpm::TpmError,
    },
    /// A key in a token could not be opened.
    #[error("open {place}: {error}")]
    Token {
        /// The URI, without secrets.
        place: String,
        /// What the module, the token or the key said.
        error: cloudauth_pkcs11::Pkcs11Error,
    },
    /// There is no such file.
    #[error("open {place}: no such file{hint}")]
    Missing {
        /// The file.
        place: String,
        /// A guess at the reason; may be empty.
        hint: &'static str,
    },
    /// The system refused to open or read it.
    #[error("read {place}: {reason}; it must be readable by the user this program runs as")]
    Unreadable {
        /// The file or descriptor.
        place: String,
        /// The system's reason.
        reason: io::ErrorKind,
    },
    /// A directory or a device stands where a file is expected.
    #[error("open {place}: it is {found}, not a regular file; name the file that holds the key")]
    NotAFile {
        /// The path.
        place: String,
        /// What was found there.
        found: &'static str,
    },
    /// More octets than any key or secret has.
    #[error("read {place}: more than {limit} octets; this is not the expected file")]
    TooLarge {
        /// The file, variable or descriptor.
        place: String,
        /// The most octets that are read.
        limit: usize,
    },
    /// Others than the owner can change the file, and so the identity that this program takes.
    #[error("open {place}: others can change it (mode {mode:04o}); run: chmod go-w {path:?}")]
    WritableByOthers {
        /// The file.
        place: String,
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The environment variable does not exist.
    #[error("read variable {name}: it is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// Nothing is there.
    #[error("read {place}: it is empty")]
    Empty {
        /// The file, variable or descriptor.
        place: String,
    },
    /// PEM, DER or JSON that does not parse.
    #[error("parse {place}: {help}")]
    Malformed {
        /// The file or variable.
        place: String,
        /// What is expected.
        help: String,
    },
    /// Well-formed, but something other than a private key.
    #[error("parse {place}: this is {found}, not a private key; {help}")]
    NotAPrivateKey {
        /// The file or variable.
        place: String,
        /// What was found.
        found: String,
        /// What to do.
        help: &'static str,
    },
    /// A key type, curve, format or cipher that cannot be used here.
    #[error("open {place}: {found} is not supported; {help}")]
    Unsupported {
        /// The file or variable.
        place: String,
        /// The name of the thing.
        found: String,
        /// What to do.
        help: &'static str,
    },
    /// An RSA modulus that is too short to be safe, or too long to be useful.
    #[error("open {place}: an RSA key of {bits} bits; use one of 2048 to 8192 bits")]
    RsaSize {
        /// The file or variable.
        place: String,
        /// The size of the modulus.
        bits: usize,
    },
    /// The parts of the key contradict each other, or its public key is not on the curve.
    #[error("open {place}: the parts of the key do not belong together; the key is damaged")]
    Inconsistent {
        /// The file or variable.
        place: String,
    },
    /// The passphrase is missing or wrong.
    #[error("decrypt {place}: {help}")]
    Passphrase {
        /// The file or variable.
        place: String,
        /// What to do.
        help: &'static str,
    },
    /// The person at the terminal gave no PIN or passphrase.
    #[error("{help}")]
    Prompt {
        /// Why not, and what to do.
        help: String,
    },
    /// Something that cannot be done with keys of this kind.
    #[error("{what}: {help}")]
    NotDone {
        /// The operation and the place.
        what: String,
        /// Why, and what to do.
        help: String,
    },
    /// A new key file could not be written.
    #[error("write {place}: {reason}")]
    NotWritten {
        /// The file.
        place: String,
        /// The system's reason.
        reason: io::ErrorKind,
    },
    /// A Google service-account JSON whose field cannot be used.
    #[error("parse {place}: service-account JSON, {field}: {help}")]
    ServiceAccount {
        /// The file or variable.
        place: String,
        /// The member of the JSON object.
        field: &'static str,
        /// What is expected.
        help: String,
    },
    /// Not the bare text of an AWS secret access key.
    #[error("read the AWS secret access key from {place}: {help}")]
    MacSecret {
        /// The file or variable.
        place: String,
        /// What is expected.
        help: &'static str,
    },
}

impl KeyError {
    pub(crate) fn uri(help: impl Into<String>) -> Self {
        Self::Uri { help: help.into() }
    }

    pub(crate) fn malformed(place: &str, help: impl Into<String>) -> Self {
        Self::Malformed { place: place.to_owned(), help: help.into() }
    }
}

/// Something to tell the user about a key that was opened all the same. The library prints nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Others than the owner can read the file.
    ReadableByOthers {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The URI names a passphrase, but the key is not encrypted.
    NotEncrypted {
        /// The file or variable.
        place: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadableByOthers { path, mode } => {
                write!(
                    f,
                    "others can read file {path:?} (mode {mode:04o}); run: chmod 600 {path:?}"
                )
            }
            Self::NotEncrypted { place } => write!(
                f,
                "{place} is not encrypted although a passphrase-source is given; encrypt it with: \
                 openssl pkcs8 -topk8"
            ),
        }
    }
}
