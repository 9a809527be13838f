//! Binder v1 by hand, from the protocol's text alone: none of the library's code takes part.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) const CLIENT_LABEL: &str = "EXPORTER-libcloudauth-v1-client";
pub(crate) const SERVER_LABEL: &str = "EXPORTER-libcloudauth-v1-server";
pub(crate) const SEED_LABEL: &str = "my_nonce";

/// What the client is, in the octet for the role.
pub(crate) const CLIENT: u8 = 1;
pub(crate) const SERVER: u8 = 2;

/// All that a binder is made of. An attack changes one of them.
#[derive(Clone)]
pub(crate) struct Binder {
    pub(crate) role: u8,
    pub(crate) exported: [u8; 32],
    pub(crate) challenge: [u8; 32],
    pub(crate) server_spki: Vec<u8>,
    pub(crate) client_spki: Option<Vec<u8>>,
    pub(crate) audience: String,
    pub(crate) request: Vec<u8>,
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    digest(&SHA256, octets).as_ref().try_into().unwrap()
}

pub(crate) fn base64url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Binder {
    pub(crate) fn nonce(&self) -> String {
        let mut m = b"libcloudauth binder v1\0".to_vec();
        m.push(self.role);
        m.extend(self.exported);
        m.extend(self.challenge);
        m.extend(sha256(&self.server_spki));
        match &self.client_spki {
            Some(spki) => {
                m.push(1);
                m.extend(sha256(spki));
            }
            None => m.extend([0; 33]),
        }
        m.extend(sha256(self.audience.as_bytes()));
        m.extend(sha256(&[b"POST /v1/credentials\n", self.request.as_slice()].concat()));
        assert_eq!(m.len(), 217);
        base64url(&sha256(&m))
    }
}

/// The known answers of the protocol: without them, nothing below means anything.
pub(crate) fn known_answers() {
    let mut binder = Binder {
        role: CLIENT,
        exported: [1; 32],
        challenge: [2; 32],
        server_spki: b"abc".to_vec(),
        client_spki: None,
        audience: "https://broker.example".to_owned(),
        request: br#"{"grant":"g"}"#.to_vec(),
    };
    assert_eq!(binder.nonce(), "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M");
    binder.role = SERVER;
    assert_eq!(binder.nonce(), "XmSWfpnclvk0V6kBegVHgAiZrxowAEyXGdEpVr5a0IE");
    binder.role = CLIENT;
    binder.client_spki = Some(b"xyz".to_vec());
    assert_eq!(binder.nonce(), "05WgssMs67XVxYejVwHEFkZ4nIx0HEDsk9MYylh80ok");
}
