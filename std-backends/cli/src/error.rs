//! What can go wrong, and the exit code that tells scripts which.

use core::fmt;

use cloudauth_core::{Error, ErrorKind};
use cloudauth_keys::KeyError;

/// A failure of a command. The text never holds a secret.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The options do not make sense together: exit code 2, as for those that clap refuses.
    Usage(String),
    /// The key cannot be opened or cannot sign: 3.
    Key(String),
    /// A file, a variable or an argument cannot be used: 4.
    Input(String),
    /// A service was not reached, or refused: 5.
    Service(String),
    /// Standard output cannot be written: 6.
    Output(std::io::Error),
    /// A token does not verify: 7.
    Refused(String),
}

impl CliError {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Key(_) => 3,
            Self::Input(_) => 4,
            Self::Service(_) => 5,
            Self::Output(_) => 6,
            Self::Refused(_) => 7,
        }
    }

    /// An input error in a named place.
    pub(crate) fn input(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self::Input(format!("{place}: {what}"))
    }
}

impl From<Error> for CliError {
    fn from(e: Error) -> Self {
        match e.kind() {
            ErrorKind::Signer => Self::Key(e.to_string()),
            ErrorKind::Unsupported if e.field() == "key" => Self::Key(e.to_string()),
            _ => Self::Input(e.to_string()),
        }
    }
}

impl From<KeyError> for CliError {
    fn from(e: KeyError) -> Self {
        Self::Key(e.to_string())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::Key(text)
            | Self::Input(text)
            | Self::Service(text)
            | Self::Refused(text) => f.write_str(text),
            Self::Output(e) => write!(f, "standard output: {e}"),
        }
    }
}
