//! The one error type of this crate: small, `Copy`, and free of user data.

use core::fmt;

/// Result of this crate.
pub type Result<T> = core::result::Result<T, Error>;

/// What went wrong, where, and what to do about it.
///
/// It carries only text that is part of the program, so it can be logged anywhere: no key, no token,
/// no part of the input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: Text,
    detail: usize,
}

/// The two texts of an error; nothing without the feature `error-text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    #[cfg(feature = "error-text")]
    field: &'static str,
    #[cfg(feature = "error-text")]
    help: &'static str,
}

impl Text {
    #[cfg_attr(not(feature = "error-text"), expect(unused_variables))]
    pub(crate) const fn new(field: &'static str, help: &'static str) -> Self {
        Self {
            #[cfg(feature = "error-text")]
            field,
            #[cfg(feature = "error-text")]
            help,
        }
    }
}

/// The classes of failure, for programs to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's buffer is too small; [`Error::needed`] says how large it must be.
    BufferTooSmall,
    /// A documented fixed capacity is exceeded; the text names it.
    Capacity,
    /// An argument from the caller cannot be used.
    Invalid,
    /// Octets from outside (a file, an answer, a token) do not parse.
    Malformed,
    /// Two inputs do not belong together, such as a certificate and a key.
    Mismatch,
    /// The key or the device could not sign.
    Signer,
    /// Well-formed, but not something this build or this key can do.
    Unsupported,
    /// A signature, a digest, a tag or a claim of a token does not hold.
    Verification,
}

impl Error {
    /// An error of `kind` about `field`; `help` says what is expected. Both are sentence fragments.
    #[must_use]
    pub const fn new(kind: ErrorKind, field: &'static str, help: &'static str) -> Self {
        Self { kind, text: Text::new(field, help), detail: 0 }
    }

    /// [`ErrorKind::Invalid`].
    #[must_use]
    pub const fn invalid(field: &'static str, help: &'static str) -> Self {
        Self::new(ErrorKind::Invalid, field, help)
    }

    /// [`ErrorKind::Malformed`].
    #[must_use]
    pub const fn malformed(field: &'static str, help: &'static str) -> Self {
        Self::new(ErrorKind::Malformed, field, help)
    }

    /// [`ErrorKind::Mismatch`].
    #[must_use]
    pub const fn mismatch(field: &'static str, help: &'static str) -> Self {
        Self::new(ErrorKind::Mismatch, field, help)
    }

    /// [`ErrorKind::Unsupported`].
    #[must_use]
    pub const fn unsupported(field: &'static str, help: &'static str) -> Self {
        Self::new(ErrorKind::Unsupported, field, help)
    }

    /// [`ErrorKind::Verification`].
    #[must_use]
    pub const fn verification(field: &'static str, help: &'static str) -> Self {
        Self::new(ErrorKind::Verification, field, help)
    }

    /// [`ErrorKind::BufferTooSmall`]; `needed` is the size that would do, in octets.
    #[must_use]
    pub const fn too_small(field: &'static str, needed: usize) -> Self {
        let help = "give a buffer of at least the needed size";
        Self::new(ErrorKind::BufferTooSmall, field, help).at(needed)
    }

    /// The same error at an octet of the input (counted from 0), or with a device's return code.
    #[must_use]
    pub const fn at(mut self, detail: usize) -> Self {
        self.detail = detail;
        self
    }

    /// The class of failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// An error of `kind` with these texts.
    pub(crate) const fn of(kind: ErrorKind, text: Text) -> Self {
        Self { kind, text, detail: 0 }
    }

    /// The input that is wrong, in the field's own terms ("profile ARN"). Empty without the feature
    /// `error-text`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        #[cfg(feature = "error-text")]
        return self.text.field;
        #[cfg(not(feature = "error-text"))]
        ""
    }

    /// What is expected instead, or what to do. Empty without the feature `error-text`.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        #[cfg(feature = "error-text")]
        return self.text.help;
        #[cfg(not(feature = "error-text"))]
        ""
    }

    /// The buffer size that would do, for [`ErrorKind::BufferTooSmall`].
    #[must_use]
    pub const fn needed(&self) -> Option<usize> {
        match self.kind {
            ErrorKind::BufferTooSmall => Some(self.detail),
            _ => None,
        }
    }

    /// The octet of the input where parsing stopped, for [`ErrorKind::Malformed`] where it is known.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match self.kind {
            ErrorKind::Malformed if self.detail != 0 => Some(self.detail),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())?;
        f.write_str(": ")?;
        f.write_str(self.help())?;
        match self.kind {
            ErrorKind::BufferTooSmall => write!(f, " ({} octets)", self.detail),
            ErrorKind::Malformed if self.detail != 0 => write!(f, " (at octet {})", self.detail),
            ErrorKind::Signer if self.detail != 0 => write!(f, " (code {:#x})", self.detail),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind)
    }
}

impl core::error::Error for Error {}
