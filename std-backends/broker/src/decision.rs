//! What the server and the policy say to each other: evidence in, a decision with its reasons out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use cloudauth_client::{AwsKeys, BearerToken, Secrets};
use cloudauth_core::UnixTime;
use cloudauth_core::ekm::Exported;

/// What a request shows.
pub(crate) struct Evidence<'a> {
    /// The attestation: a compact JWS that nobody has verified.
    pub(crate) attestation: &'a str,
    /// What the attestation must be bound to.
    pub(crate) channel: Channel<'a>,
    /// Who is on the other end.
    pub(crate) peer: Peer<'a>,
    /// The present time.
    pub(crate) time: UnixTime,
}

/// Without the attestation, in which an exported value may stand.
impl fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("channel", &self.channel)
            .field("peer", &self.peer)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// The TLS connection, as the broker itself saw it, and the request on it.
pub(crate) enum Channel<'a> {
    /// Binder v1.
    V1 {
        /// Exported under the client's label, with the challenge as context.
        exported: &'a Exported,
        /// The challenge, spent by now.
        challenge: &'a [u8; 32],
        /// The key of the certificate that was used on this connection.
        server_spki: &'a [u8],
        /// The key of the client's certificate, if it sent one.
        client_spki: Option<&'a [u8]>,
        /// The octets of the request (R), which nobody has parsed.
        request: &'a [u8],
    },
    /// The older brokers' scheme, on a listener that stands for one grant.
    Seed {
        /// Exported under that scheme's label, without a context.
        exported: &'a [u8; 32],
        /// The request, which nobody has verified: a JWS with HS256 under the exported octets.
        token_jwt: &'a str,
        /// The listener's grant.
        grant: &'a str,
    },
    /// The scheme of Google's codelab, on a listener that stands for one grant.
    GoogleCodelab {
        /// Exported under that scheme's label, without a context.
        exported: &'a [u8; 32],
        /// The listener's grant.
        grant: &'a str,
    },
}

impl fmt::Debug for Channel<'_> {
    /// Without what was exported.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 { .. } => "V1",
            Self::Seed { .. } => "Seed",
            Self::GoogleCodelab { .. } => "GoogleCodelab",
        })
    }
}

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer<'a> {
    /// Its address: of the TCP connection, or what a trusted balancer says.
    pub(crate) address: IpAddr,
    /// Its leaf certificate in DER, verified against the configured authorities.
    pub(crate) certificate: Option<&'a [u8]>,
}

/// What the policy says, with all its reasons.
#[derive(Debug)]
pub(crate) struct Decision {
    /// The grant that was asked for; `None` when it did not come to that.
    pub(crate) grant: Option<String>,
    /// What the record shows of the claims: no nonce, no token.
    pub(crate) claims: serde_json::Value,
    /// Every check that was made, or not reached, in order.
    pub(crate) checks: Vec<CheckLine>,
    /// What follows.
    pub(crate) verdict: Result<Granted, Refusal>,
}

/// One check, for the record.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct CheckLine {
    /// Its name, such as `exp`, `image` or `source-network`.
    pub(crate) name: String,
    /// `passed`, `waived`, `not-asked`, `not-reached` or `failed`.
    pub(crate) outcome: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Why there is no credential. Only the record says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request cannot be read.
    Malformed,
    /// The attestation was not made for this connection and request.
    ChannelMismatch,
    /// The attestation is not one of a trusted issuer's, or is not valid now.
    AttestationInvalid,
    /// No grant of this name gives this workload anything.
    Denied,
    /// There is no key of the issuer to hold the attestation against: it may work later.
    Unavailable,
}

/// What a grant gave.
#[derive(Debug)]
pub(crate) enum Given {
    /// Temporary AWS credentials, and the region to use them in.
    Aws(AwsKeys, String),
    /// A token of Azure or Google Cloud.
    Bearer(BearerToken),
    /// Secrets, and the version of each, for the record.
    Secrets(Secrets, BTreeMap<String, String>),
}

/// Why a grant's credential could not be had. The texts are for the record.
#[derive(Debug)]
pub(crate) enum GiveError {
    /// The cloud refused.
    Upstream(String),
    /// The cloud was not reached, or a key did not sign: it may work later.
    Unavailable(String),
}

/// Leave to get a grant's credential. Only a decision makes one.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The grant's name.
    pub(crate) grant: String,
    /// What to ask the cloud for.
    pub(crate) order: crate::give::Order,
}
