//! What can go wrong between a profile and a credential.

use std::io;
use std::sync::Arc;

use cloudauth_keys::KeyError;
use cloudauth_tls::TransportError;

/// Result of this crate.
pub type Result<T> = core::result::Result<T, Error>;

/// Why there is no credential: what failed, and what to do. Nothing in it is secret; the service's own
/// words in a [`TransportError::Service`] are passed on as they came.
///
/// It is cheap to clone: callers that waited for one attempt all get its error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A profile, a variable or an option cannot be used so.
    #[error("{place}: {help}")]
    Config {
        /// What cannot be used: a file and the profile in it, a variable, a field.
        place: String,
        /// What is wrong with it, and what to do.
        help: String,
    },
    /// A field is not given, and no variable stands for it.
    #[error("{field} is missing; {help}")]
    Missing {
        /// The field's name in a profile, such as `region`.
        field: &'static str,
        /// What to do.
        help: String,
    },
    /// A file could not be read or written.
    #[error("{operation} {place}: {source}")]
    File {
        /// What was being done, such as `read`.
        operation: &'static str,
        /// The file, and what it is.
        place: String,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// A key could not be opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A request could not be built: a parameter is wrong, or the key refused to sign.
    #[error(transparent)]
    Request(#[from] cloudauth_core::Error),
    /// The service was not reached, or refused.
    #[error("{call}: {source}")]
    Service {
        /// The call, such as `AssumeRole`.
        call: &'static str,
        /// What went wrong.
        source: Arc<TransportError>,
    },
    /// Something that must hold does not: an attestation could not be had or is not what was asked for, or a
    /// broker gave something else than the configuration expects.
    #[error("{what}: {help}")]
    Refused {
        /// What was refused, or what refused.
        what: &'static str,
        /// Why, and what to do.
        help: String,
    },
    /// What the service issued was expired, or as good as expired, when it came.
    #[error(
        "{call}: the service issued a credential that has expired already; look at this machine's clock"
    )]
    Expired {
        /// The call.
        call: &'static str,
    },
    /// What the service issued has a field without a value.
    #[error("{call}: the service issued a credential that is empty in part; it cannot be used")]
    Empty {
        /// The call.
        call: &'static str,
    },
}

impl Error {
    pub(crate) fn config(place: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Config { place: place.into(), help: help.into() }
    }

    pub(crate) fn refused(what: &'static str, help: impl Into<String>) -> Self {
        Self::Refused { what, help: help.into() }
    }

    /// Of a call; what went wrong before it was sent is told as what it is.
    pub(crate) fn service(call: &'static str, e: TransportError) -> Self {
        match e {
            TransportError::Build { source } => match source.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(source) => {
                    Self::Service { call, source: Arc::new(TransportError::Build { source }) }
                }
            },
            e => Self::Service { call, source: Arc::new(e) },
        }
    }

    /// Whether AWS or Google refuses the credential that a call was made with, rather than the call.
    pub(crate) fn refuses_caller(&self) -> bool {
        let Self::Service { source, .. } = self else { return false };
        source.refusal().is_some_and(|refusal| {
            refusal.status == 401
                || matches!(
                    &*refusal.code,
                    "ExpiredToken"
                        | "ExpiredTokenException"
                        | "InvalidClientTokenId"
                        | "UnrecognizedClientException"
                )
        })
    }

    pub(crate) fn file(operation: &'static str, place: impl Into<String>, e: io::Error) -> Self {
        Self::File { operation, place: place.into(), source: Arc::new(e) }
    }
}
