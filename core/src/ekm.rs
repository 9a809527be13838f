//! Channel binding: the nonce that ties an attestation to one TLS connection (exported keying material,
//! RFC 8446, section 7.5).
//!
//! Both ends compute the nonce from their own view of the connection. The prover has it put into its
//! attestation; the verifier compares it with [`Binder::verify`]. These are functions over exported
//! octets: the TLS library does the export, with [`Prover::label`], the challenge as context and
//! [`EXPORTED_LEN`] octets.
//!
//! ```
//! use cloudauth_core::ekm::{Binder, Exported, Prover};
//!
//! let binder = Binder {
//!     exported: &Exported::new(Prover::Client, [1; 32])?,
//!     challenge: &[2; 32],
//!     server_spki: b"abc", // the SubjectPublicKeyInfo of the server's certificate, in DER
//!     client_spki: None,
//!     audience: "https://broker.example",
//!     request: br#"{"grant":"g"}"#,
//! };
//! assert_eq!(binder.nonce()?.as_str(), "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M");
//! # Ok::<(), cloudauth_core::Error>(())
//! ```

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::digest::{Sha256, sha256};
use crate::encode::{base64, hex};
use crate::out::{Out, Sink};
use crate::{Error, Result};

/// How many octets to export.
pub const EXPORTED_LEN: usize = 32;

/// How many octets a challenge has.
pub const CHALLENGE_LEN: usize = 32;

const VERSION: &[u8; 23] = b"libcloudauth binder v1\0";

/// Which end of the TLS connection shows its attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prover {
    /// The TLS client attests: a workload that asks a broker.
    Client,
    /// The TLS server attests: a broker that shows what it is.
    Server,
}

impl Prover {
    /// The exporter's label. The two ends of a mutual attestation use two labels, so that neither can
    /// pass the other's value off as its own.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "EXPORTER-libcloudauth-v1-client",
            Self::Server => "EXPORTER-libcloudauth-v1-server",
        }
    }

    const fn role(self) -> u8 {
        match self {
            Self::Client => 1,
            Self::Server => 2,
        }
    }
}

/// What the TLS connection exported for one prover. It wipes itself: it must not be sent, logged or
/// stored.
pub struct Exported {
    prover: Prover,
    octets: [u8; EXPORTED_LEN],
}

impl Exported {
    /// The octets that were exported under [`Prover::label`] with the challenge as context. The value
    /// stays with its prover from here on: one made under the other label cannot be compared with it.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for all zeros: an export that failed unnoticed.
    pub fn new(prover: Prover, octets: [u8; EXPORTED_LEN]) -> Result<Self> {
        let exported = Self { prover, octets };
        if is_zero(&exported.octets) {
            return Err(Error::invalid(
                "exported keying material",
                "is all zeros; check the result of the TLS library's export",
            ));
        }
        Ok(exported)
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exported({:?}, …)", self.prover)
    }
}

fn is_zero(octets: &[u8; 32]) -> bool {
    bool::from(octets.ct_eq(&[0; 32]))
}

/// Everything that an attestation is bound to: binder v1 of this project's protocol.
#[derive(Clone, Copy, Debug)]
pub struct Binder<'a> {
    /// What the connection exported.
    pub exported: &'a Exported,
    /// The verifier's challenge, which was also the export's context.
    pub challenge: &'a [u8; CHALLENGE_LEN],
    /// The SubjectPublicKeyInfo, in DER, of the server's leaf certificate as used on this connection.
    pub server_spki: &'a [u8],
    /// The same of the client's leaf certificate, if it sent one.
    pub client_spki: Option<&'a [u8]>,
    /// The audience, exactly as in the attestation's `aud`.
    pub audience: &'a str,
    /// The octets of the request that the attestation authorises.
    pub request: &'a [u8],
}

impl Binder<'_> {
    /// The nonce to ask of the attestation service: 43 characters of base64url.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when a part is missing: an empty key, audience or request,
    /// or a challenge of zeros.
    pub fn nonce(&self) -> Result<Nonce> {
        self.check()?;
        let mut hash = Sha256::new();
        hash.put(VERSION);
        hash.put(&[self.exported.prover.role()]);
        hash.put(&self.exported.octets);
        hash.put(self.challenge);
        hash.put(&sha256(self.server_spki));
        match self.client_spki {
            Some(spki) => {
                hash.put(&[1]);
                hash.put(&sha256(spki));
            }
            None => hash.put(&[0; 33]),
        }
        hash.put(&sha256(self.audience.as_bytes()));
        let mut request = Sha256::new();
        request.put(b"POST /v1/credentials\n");
        request.put(self.request);
        hash.put(&request.finish());
        Ok(Nonce::new(|out| base64::url_encode(&hash.finish(), out)))
    }

    /// Whether the nonce of an attestation is this connection's, in constant time.
    ///
    /// # Errors
    /// As [`nonce`](Self::nonce); [`Verification`](crate::ErrorKind::Verification) when it is another's.
    pub fn verify(&self, nonce: &str) -> Result<()> {
        self.nonce()?.verify(nonce)
    }

    fn check(&self) -> Result<()> {
        let parts = [
            (self.server_spki.is_empty(), "server public key"),
            (self.client_spki.is_some_and(<[u8]>::is_empty), "client public key"),
            (self.audience.is_empty(), "audience"),
            (self.request.is_empty(), "request"),
            (is_zero(self.challenge), "challenge"),
        ];
        match parts.into_iter().find(|(missing, _)| *missing) {
            Some((_, field)) => {
                Err(Error::invalid(field, "is missing; without it nothing is bound"))
            }
            None => Ok(()),
        }
    }
}

/// Schemes of other systems, for working with their servers and workloads. They bind the connection and
/// nothing else: no challenge, certificate, audience or request. Use [`Binder`] where you have the
/// choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// Of the `aws-` and `azure-channel-jwt-credential` brokers: the exported octets themselves, in
    /// lower-case hexadecimal. Such a nonce is a secret of the connection: mask it in records.
    Seed,
    /// Of Google's Confidential Space codelab on health data: standard base64 of the SHA-256 of the
    /// exported octets.
    GoogleCodelab,
}

impl Compat {
    /// The exporter's label, for [`EXPORTED_LEN`] octets without a context.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Seed => "my_nonce",
            Self::GoogleCodelab => "testing_nonce",
        }
    }

    /// The nonce to ask of the attestation service: 64 or 44 characters.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the exported octets are all zeros.
    pub fn nonce(self, exported: &[u8; EXPORTED_LEN]) -> Result<Nonce> {
        // The prover does not matter here; the check for zeros does.
        let exported = Exported::new(Prover::Client, *exported)?;
        Ok(Nonce::new(|out| match self {
            Self::Seed => hex::encode(&exported.octets, out),
            Self::GoogleCodelab => base64::encode(&sha256(&exported.octets), out),
        }))
    }

    /// Whether the nonce of an attestation is this connection's, in constant time.
    ///
    /// # Errors
    /// As [`nonce`](Self::nonce); [`Verification`](crate::ErrorKind::Verification) when it is another's.
    pub fn verify(self, exported: &[u8; EXPORTED_LEN], nonce: &str) -> Result<()> {
        self.nonce(exported)?.verify(nonce)
    }
}

/// The text of a nonce. It wipes itself and does not show itself: under [`Compat::Seed`] it is a secret.
pub struct Nonce {
    text: [u8; 64],
    len: usize,
}

impl Nonce {
    fn new(write: impl FnOnce(&mut Out<'_>)) -> Self {
        let mut text = [0; 64];
        let mut out = Out::new(&mut text);
        write(&mut out);
        let len = out.len();
        Self { text, len }
    }

    /// The text, for the request to the attestation service.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.len).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }

    fn verify(&self, other: &str) -> Result<()> {
        if bool::from(self.as_str().as_bytes().ct_eq(other.as_bytes())) {
            Ok(())
        } else {
            Err(Error::verification(
                "nonce",
                "the attestation was not made for this connection and request",
            ))
        }
    }
}

impl Drop for Nonce {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({} characters)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;

    /// The inputs, owned, so that a test can change each.
    #[derive(Clone, Debug, PartialEq)]
    struct Inputs {
        prover: Prover,
        exported: [u8; 32],
        challenge: [u8; 32],
        server_spki: Vec<u8>,
        client_spki: Option<Vec<u8>>,
        audience: String,
        request: Vec<u8>,
    }

    impl Inputs {
        fn known() -> Self {
            Self {
                prover: Prover::Client,
                exported: [1; 32],
                challenge: [2; 32],
                server_spki: b"abc".to_vec(),
                client_spki: None,
                audience: "https://broker.example".into(),
                request: br#"{"grant":"g"}"#.to_vec(),
            }
        }

        fn with<T>(&self, then: impl FnOnce(&Binder<'_>) -> T) -> T {
            then(&Binder {
                exported: &Exported::new(self.prover, self.exported).unwrap(),
                challenge: &self.challenge,
                server_spki: &self.server_spki,
                client_spki: self.client_spki.as_deref(),
                audience: &self.audience,
                request: &self.request,
            })
        }

        fn nonce(&self) -> String {
            self.with(|binder| binder.nonce().unwrap().as_str().to_owned())
        }
    }

    // The known answers of the protocol.
    #[test]
    fn known_answers() {
        let client = Inputs::known();
        assert_eq!(client.nonce(), "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M");
        let server = Inputs { prover: Prover::Server, ..client.clone() };
        assert_eq!(server.nonce(), "XmSWfpnclvk0V6kBegVHgAiZrxowAEyXGdEpVr5a0IE");
        let mutual = Inputs { client_spki: Some(b"xyz".to_vec()), ..client };
        assert_eq!(mutual.nonce(), "05WgssMs67XVxYejVwHEFkZ4nIx0HEDsk9MYylh80ok");
    }

    // The layout once more, put together by hand and hashed by the crate sha2 itself.
    #[test]
    fn layout() {
        use sha2::Digest as _;
        let hash = |bytes: &[u8]| sha2::Sha256::digest(bytes).to_vec();
        let inputs = Inputs { client_spki: Some(vec![9; 91]), ..Inputs::known() };
        let message = [
            b"libcloudauth binder v1\0".to_vec(),
            vec![1],
            vec![1; 32],
            vec![2; 32],
            hash(b"abc"),
            vec![1],
            hash(&[9; 91]),
            hash(b"https://broker.example"),
            hash(b"POST /v1/credentials\n{\"grant\":\"g\"}"),
        ]
        .concat();
        assert_eq!(message.len(), 217);
        let mut buf = [0; 64];
        let mut out = Out::new(&mut buf);
        base64::url_encode(&hash(&message), &mut out);
        assert_eq!(inputs.nonce().as_bytes(), out.finish().unwrap());
    }

    // By `printf "\1%.0s" {1..32} | openssl dgst -sha256 -binary | base64`.
    #[test]
    fn compatibility() {
        let seed = Compat::Seed.nonce(&[0xa1; 32]).unwrap();
        assert_eq!(seed.as_str(), "a1".repeat(32));
        let codelab = Compat::GoogleCodelab.nonce(&[1; 32]).unwrap();
        assert_eq!(codelab.as_str(), "cs1uhCLEB/ttCYaQ8RMLfe1+wvf14dML2dUh8BU2N5M=");
        for scheme in [Compat::Seed, Compat::GoogleCodelab] {
            let nonce = scheme.nonce(&[0xa1; 32]).unwrap();
            assert!(scheme.verify(&[0xa1; 32], nonce.as_str()).is_ok());
            assert!(scheme.verify(&[2; 32], nonce.as_str()).is_err());
            assert!(scheme.verify(&[0xa1; 32], &nonce.as_str().to_uppercase()).is_err());
            assert!(scheme.nonce(&[0; 32]).is_err());
        }
        assert_eq!(Compat::Seed.label(), "my_nonce");
        assert_eq!(Compat::GoogleCodelab.label(), "testing_nonce");
    }

    #[test]
    fn what_is_missing_is_refused() {
        let known = Inputs::known();
        assert!(known.with(|b| b.verify(&known.nonce())).is_ok());
        for (inputs, field) in [
            (Inputs { challenge: [0; 32], ..known.clone() }, "challenge"),
            (Inputs { server_spki: vec![], ..known.clone() }, "server public key"),
            (Inputs { client_spki: Some(vec![]), ..known.clone() }, "client public key"),
            (Inputs { audience: String::new(), ..known.clone() }, "audience"),
            (Inputs { request: vec![], ..known.clone() }, "request"),
        ] {
            let error = inputs.with(|b| b.nonce().unwrap_err());
            assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, field));
        }
        assert!(Exported::new(Prover::Client, [0; 32]).is_err());
        let error = known.with(|b| b.verify("").unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Verification);
    }

    #[test]
    fn debug_shows_no_exported_octet() {
        let exported = Exported::new(Prover::Client, [0xa1; 32]).unwrap();
        let nonce = Compat::Seed.nonce(&[0xa1; 32]).unwrap();
        let shown = format!("{exported:?} {nonce:?}");
        assert!(!shown.contains("a1") && !shown.contains("161"), "{shown}");
    }

    fn inputs() -> impl Strategy<Value = Inputs> {
        let octets = || prop::collection::vec(any::<u8>(), 1..100);
        (
            prop_oneof![Just(Prover::Client), Just(Prover::Server)],
            any::<[u8; 32]>().prop_filter("zeros", |e| *e != [0; 32]),
            any::<[u8; 32]>().prop_filter("zeros", |c| *c != [0; 32]),
            octets(),
            prop::option::of(octets()),
            "\\PC{1,40}",
            octets(),
        )
            .prop_map(
                |(prover, exported, challenge, server_spki, client_spki, audience, request)| {
                    Inputs {
                        prover,
                        exported,
                        challenge,
                        server_spki,
                        client_spki,
                        audience,
                        request,
                    }
                },
            )
    }

    proptest! {
        // Each input alone, and a bit of each: any change changes the nonce.
        #[test]
        fn every_input_counts(one in inputs(), two in inputs(), at: prop::sample::Index, bit in 0u8..8) {
            let nonce = one.nonce();
            let flip = |octets: &[u8]| {
                let mut octets = octets.to_vec();
                let i = at.index(octets.len());
                octets[i] ^= 1 << bit;
                octets
            };
            let array = |octets: &[u8; 32]| -> [u8; 32] { flip(octets).try_into().unwrap() };
            let changed = [
                Inputs { prover: two.prover, ..one.clone() },
                Inputs { exported: array(&one.exported), ..one.clone() },
                Inputs { challenge: array(&one.challenge), ..one.clone() },
                Inputs { server_spki: flip(&one.server_spki), ..one.clone() },
                Inputs { server_spki: two.server_spki, ..one.clone() },
                Inputs { client_spki: two.client_spki, ..one.clone() },
                Inputs { client_spki: one.client_spki.as_deref().map(flip), ..one.clone() },
                Inputs { audience: two.audience, ..one.clone() },
                Inputs { request: flip(&one.request), ..one.clone() },
                Inputs { request: two.request, ..one.clone() },
            ];
            for other in changed {
                if other.exported == [0; 32] || other.challenge == [0; 32] {
                    continue;
                }
                prop_assert_eq!(other.nonce() == nonce, other == one, "{:?}", other);
                prop_assert_eq!(other.with(|b| b.verify(&nonce)).is_ok(), other == one);
            }
        }
    }
}
