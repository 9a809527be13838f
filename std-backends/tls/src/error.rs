//! What can go wrong between a request and its answer.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use cloudauth_core::{Error, ServiceError};
use rustls::{AlertDescription, CertificateError};

/// Why an exchange gave nothing: where it went, at which step it failed, and what to do about it.
///
/// Nothing in it is secret: it can be logged. The exception is the service's own text in a [`Refusal`],
/// which is passed on as it came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The transport, an endpoint or an identity cannot be set up so.
    #[error("{what}: {help}")]
    Config {
        /// What cannot be used.
        what: &'static str,
        /// What is wrong with it, and what to do.
        help: String,
    },
    /// The request could not be built or signed; nothing was sent.
    #[error("building the request failed: {source}")]
    Build {
        /// The exchange's or the key's own error.
        source: BuildError,
    },
    /// The host's name has no address.
    #[error("{host}: no address found for this name: {source}; check the name, the region and DNS")]
    Resolve {
        /// The host, or the proxy's.
        host: String,
        /// The system's error.
        source: io::Error,
    },
    /// None of the host's addresses takes connections.
    #[error(
        "{host}: connecting failed: {source}; {}", reach(.host)
    )]
    Connect {
        /// The host, or the proxy's, with the port.
        host: String,
        /// The system's error for the address that failed last.
        source: io::Error,
    },
    /// The proxy did not open a tunnel.
    #[error("{host}: the proxy {proxy} gave no connection: {reason}")]
    Proxy {
        /// The host behind the proxy.
        host: String,
        /// The proxy's host and port.
        proxy: String,
        /// What the proxy said, and what to do.
        reason: String,
        /// Whether the proxy may change its mind.
        transient: bool,
    },
    /// No TLS connection: the certificate of either side, or no common version.
    #[error("{host}: TLS failed: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong, in words, and what to do.
        reason: String,
        /// Whether it was the connection that broke, rather than a check that failed.
        transient: bool,
    },
    /// The connection broke after it stood: the request may have been received or not.
    #[error("{host}: the connection broke before the answer was complete: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// A limit of time was reached.
    #[error("{host}: no {step} within {}; raise the limit or look at the network", Seconds(*.limit))]
    TimedOut {
        /// The host.
        host: String,
        /// What was being done.
        step: Step,
        /// The limit that ended it: connecting, reading, or the whole call.
        limit: Duration,
    },
    /// The answer is larger than allowed.
    #[error(
        "{host}: the {part} of the answer is larger than {limit} octets; is this the right endpoint?"
    )]
    TooLarge {
        /// The host.
        host: String,
        /// `head` or `body`.
        part: &'static str,
        /// The limit in octets.
        limit: usize,
    },
    /// The host sends the client somewhere else. That is never followed: it would hand the request's
    /// secrets on.
    #[error(
        "{host}: answered with a redirect ({status}) to {to}, which is not followed; correct the endpoint"
    )]
    Redirect {
        /// The host.
        host: String,
        /// The status, 300 to 399.
        status: u16,
        /// The host it points to, or `an unknown place`.
        to: String,
    },
    /// What came back is not this service's answer.
    #[error(
        "{host}: answered {status}, which cannot be understood: {source}; is this the right endpoint?"
    )]
    Answer {
        /// The host.
        host: String,
        /// The status of the answer.
        status: u16,
        /// What is wrong with it.
        source: Error,
    },
    /// What came back is not HTTP/1.1.
    #[error("{host}: did not answer in HTTP/1.1: {reason}; is this the right endpoint and port?")]
    NotHttp {
        /// The host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The service refused.
    #[error("{host}: {refusal}")]
    Service {
        /// The host.
        host: String,
        /// What the service said.
        refusal: Box<Refusal>,
    },
    /// This [`Connection`](crate::Connection) failed earlier, or the server ended it.
    #[error("{host}: this connection has ended; open a new one and begin again")]
    Ended {
        /// The host.
        host: String,
    },
    /// The connection has no keying material to export.
    #[error("{host}: exporting keying material failed: {reason}")]
    Export {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
}

/// What to do about a connection that failed.
fn reach(host: &str) -> &'static str {
    if host.starts_with("socket ") {
        "is the service running that listens there, and may this user connect to it?"
    } else {
        "check that it can be reached from here, or set HTTPS_PROXY"
    }
}

/// What a request's builder may fail with: [`cloudauth_core::Error`], or the error of a key or of a task.
pub type BuildError = Box<dyn StdError + Send + Sync>;

/// What a call is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Step {
    /// Building and signing the request.
    Build,
    /// Looking up the host's name.
    Resolve,
    /// Connecting.
    Connect,
    /// Asking the proxy for a tunnel.
    Proxy,
    /// Shaking hands.
    Handshake,
    /// Sending the request and waiting for the head of the answer.
    Answer,
    /// Reading the body of the answer.
    Body,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "signed request",
            Self::Resolve => "address from DNS",
            Self::Connect => "connection",
            Self::Proxy => "answer from the proxy",
            Self::Handshake => "TLS handshake",
            Self::Answer => "answer",
            Self::Body => "complete body of the answer",
        })
    }
}

/// A service's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error's name (`AccessDeniedException`, `invalid_client`); empty when the service gave none.
    pub code: String,
    /// The service's text for people; empty when there is none. At most 1024 octets of it.
    pub message: String,
    /// What to tell the service's support, when the service gave one.
    pub request_id: Option<String>,
    /// By how many seconds the service's clock (its `Date`) is ahead of the time the call was first made
    /// with, when that is more than a minute.
    pub clock_skew: Option<i64>,
    /// How long the service asks to be left alone (`Retry-After`). A call waits for that by itself, unless
    /// it is longer than a minute or than the call may take.
    pub retry_after: Option<Duration>,
    /// Whether the same request may succeed later ([`ServiceError::is_transient`]).
    pub transient: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, message, .. } = self;
        ServiceError { status: *status, code, message }.fmt(f)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request id {id})")?;
        }
        if let Some(after) = self.retry_after {
            write!(f, "; it asks not to be called again for {}", Seconds(after))?;
        }
        match self.clock_skew {
            Some(skew @ 1..) => {
                write!(f, "; this machine's clock is {skew} s behind the service's: set it")
            }
            Some(skew) => {
                let skew = skew.unsigned_abs();
                write!(f, "; this machine's clock is {skew} s ahead of the service's: set it")
            }
            None => Ok(()),
        }
    }
}

impl TransportError {
    pub(crate) fn config(what: &'static str, help: impl Into<String>) -> Self {
        Self::Config { what, help: help.into() }
    }

    pub(crate) fn tls(host: &str, error: &rustls::Error) -> Self {
        Self::Tls { host: host.to_owned(), reason: tls_reason(error), transient: false }
    }

    /// Of an I/O error below or beside TLS.
    pub(crate) fn handshake(host: &str, error: &io::Error) -> Self {
        match find::<rustls::Error>(error) {
            Some(tls) => Self::tls(host, tls),
            None => Self::Tls {
                host: host.to_owned(),
                reason: format!("the connection broke during the handshake: {error}"),
                transient: true,
            },
        }
    }

    /// Of hyper, after the handshake.
    pub(crate) fn http(host: &str, error: &hyper::Error, head_limit: usize) -> Self {
        let host = host.to_owned();
        if error.is_parse_too_large() {
            Self::TooLarge { host, part: "head", limit: head_limit }
        } else if error.is_parse() {
            Self::NotHttp { host, reason: error.to_string() }
        } else if let Some(tls) = find::<rustls::Error>(error) {
            // TLS 1.3: the server looks at the client's certificate after the client is through.
            Self::tls(&host, tls)
        } else {
            let reason = match find::<io::Error>(error) {
                Some(io) => io.to_string(),
                None => error.to_string(),
            };
            Self::Broken { host, reason }
        }
    }

    /// Whether the same call may succeed later: connections that were refused, broken or too slow,
    /// throttling, and failures of the server. Not: what a check refused.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. } => true,
            Self::Proxy { transient, .. } | Self::Tls { transient, .. } => *transient,
            Self::Service { refusal, .. } => refusal.transient,
            Self::Config { .. }
            | Self::Build { .. }
            | Self::TooLarge { .. }
            | Self::Redirect { .. }
            | Self::Answer { .. }
            | Self::NotHttp { .. }
            | Self::Ended { .. }
            | Self::Export { .. } => false,
        }
    }

    /// What the service said, if it refused.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Service { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Whether it happened before any octet of the request was sent.
    pub(crate) const fn is_before_sending(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::Proxy { .. }
                | Self::TimedOut {
                    step: Step::Resolve | Step::Connect | Step::Proxy | Step::Handshake,
                    ..
                }
        ) || matches!(self, Self::Tls { transient: true, .. })
    }
}

/// A duration for people: whole seconds, or milliseconds below ten seconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(10) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{} s", self.0.as_secs())
        }
    }
}

/// The first error of type `T` among `error` and its causes. An I/O error's payload is a cause too.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What is wrong, and what to do.
fn tls_reason(error: &rustls::Error) -> String {
    use rustls::Error as Tls;
    let text = match error {
        Tls::InvalidCertificate(certificate) => return certificate_reason(certificate),
        Tls::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the server wants a client certificate; set one, with its key (certificate and key in a profile)"
            }
            AlertDescription::UnknownCA => {
                "the server does not know the issuer of the client certificate; send its chain, or have the issuer added there"
            }
            AlertDescription::CertificateExpired => {
                "the server says that the client certificate has expired; renew it"
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied => {
                return format!("the server refuses the client certificate ({alert:?})");
            }
            AlertDescription::DecryptError => {
                "the server says that a signature is wrong (DecryptError); does the client certificate belong to the key?"
            }
            AlertDescription::ProtocolVersion => {
                "the server speaks none of the TLS versions allowed here; it must be updated"
            }
            AlertDescription::HandshakeFailure => {
                "the server accepts none of what was offered, or wants a client certificate (HandshakeFailure)"
            }
            AlertDescription::NoApplicationProtocol => "the server does not speak http/1.1 (ALPN)",
            AlertDescription::UnrecognisedName => "the server does not know this host name",
            _ => return format!("the server ended it with the alert {alert:?}"),
        },
        Tls::PeerIncompatible(what) => {
            return format!("the server cannot do what is needed here: {what:?}");
        }
        Tls::NoCertificatesPresented => "the server sent no certificate",
        Tls::InvalidMessage(_) => {
            "the server does not speak TLS; is this the right port (and https rather than http)?"
        }
        Tls::General(text) => text,
        other => return other.to_string(),
    };
    text.to_owned()
}

fn certificate_reason(error: &CertificateError) -> String {
    use CertificateError as Certificate;
    let text = match error {
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "the server's certificate has expired; it must be renewed there, unless this machine's clock is ahead"
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; is this machine's clock behind?"
        }
        Certificate::UnknownIssuer => {
            "the server's certificate comes from an issuer that is not trusted here; trust its CA (a ca-file, or SSL_CERT_FILE)"
        }
        Certificate::NotValidForNameContext { presented, .. } => {
            return format!(
                "the server's certificate is for another name ({}); use that name, or correct the certificate",
                presented.join(", ")
            );
        }
        Certificate::NotValidForName => "the server's certificate is for another name",
        Certificate::Revoked => "the server's certificate has been revoked",
        Certificate::BadSignature => {
            "a signature on or with the server's certificate is wrong: someone is in between, or a CA of the same name as its issuer is trusted here"
        }
        Certificate::BadEncoding => "the server's certificate cannot be parsed",
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for TLS servers (extended key usage)"
        }
        Certificate::ApplicationVerificationFailure => {
            "the server's key is not the one that is pinned; if the server's key was renewed, pin the new one"
        }
        other => return format!("the server's certificate was refused: {other}"),
    };
    text.to_owned()
}
