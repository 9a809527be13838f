//! HMAC-SHA256 with a key in memory.

use core::fmt;

use crate::aws::SecretAccessKey;
use crate::digest::KeyStates;
use crate::signer::{Mac, SignError};

/// An HMAC-SHA256 key (RFC 2104), kept as the keyed state of the hash: the key itself is not stored. It
/// wipes itself.
#[derive(Clone)]
pub struct HmacKey(KeyStates);

impl HmacKey {
    /// A key of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(KeyStates::new(key))
    }

    /// The tag over `message`, in its place: it may be a key.
    pub fn write_tag(&self, message: &[u8], tag: &mut [u8; 32]) {
        self.0.write_tag(message, tag);
    }
}

/// The key that a secret access key is: `"AWS4"` and the secret.
impl From<SecretAccessKey> for HmacKey {
    fn from(key: SecretAccessKey) -> Self {
        Self(key.0)
    }
}

impl Mac for HmacKey {
    fn hmac_sha256(&self, message: &[u8]) -> Result<[u8; 32], SignError> {
        Ok(self.0.tag(message))
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey([key])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2.
    #[test]
    fn known_answer_twice_and_no_secret_shown() {
        let key = HmacKey::new(b"Jefe");
        for _ in 0..2 {
            let tag = key.hmac_sha256(b"what do ya want for nothing?").unwrap();
            assert_eq!(tag[..4], [0x5b, 0xdc, 0xc1, 0x46]);
            assert_eq!(tag[28..], [0x64, 0xec, 0x38, 0x43]);
        }
        assert_eq!(format!("{key:?}"), "HmacKey([key])");
    }

    #[test]
    fn a_secret_access_key_is_one() {
        let mut tag = [0; 32];
        HmacKey::from(SecretAccessKey::new("secret").unwrap()).write_tag(b"20150830", &mut tag);
        assert_eq!(HmacKey::new(b"AWS4secret").hmac_sha256(b"20150830"), Ok(tag));
    }
}
