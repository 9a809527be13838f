//! AWS secret access keys.

use core::fmt;

use cloudauth_core::digest::HmacSha256;
use cloudauth_core::{Mac, SignError};
use cloudauth_pkcs11::TokenMac;
use zeroize::Zeroizing;

use crate::uri::Target;
use crate::{KeyError, KeyUri, Prompt, Result, Warning, files, token};

/// An AWS secret access key: HMAC-SHA256 under `"AWS4"` and the secret, the first step of the key chain
/// of Signature Version 4. The prefix is added here.
///
/// Or a secret key in a token or a TPM that holds the prefix and the secret already.
pub struct MacKey {
    keyed: Keyed,
    name: String,
    warnings: Vec<Warning>,
}

enum Keyed {
    Software(Box<HmacSha256>),
    Token(Box<TokenMac>),
    #[cfg(feature = "tpm")]
    Tpm(Box<cloudauth_tpm::TpmMac>),
}

impl MacKey {
    /// Opens the file or variable that holds the bare secret, and nothing else but one line end; or the
    /// secret key of a `pkcs11:` (`type=secret-key`) or `tpm:` URI, which holds `"AWS4"` and the secret: a
    /// device cannot put the prefix before it.
    ///
    /// # Errors
    /// [`KeyError`] when it cannot be read, when others can change the file, or when its text is not a
    /// bare secret: PEM, white space, or a secret that begins with `AWS4` (which would be added twice).
    pub fn open(uri: &KeyUri) -> Result<Self> {
        Self::open_with(uri, &Prompt::none())
    }

    /// As [`open`](Self::open); a PIN that no source names is asked for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(uri: &KeyUri, prompt: &Prompt) -> Result<Self> {
        let place = uri.place();
        match uri.target() {
            Target::Pkcs11(attributes) => {
                let (token, warnings) = token::open_mac(attributes, &place, prompt)?;
                return Ok(Self { keyed: Keyed::Token(Box::new(token)), name: place, warnings });
            }
            #[cfg(feature = "tpm")]
            Target::Tpm(attributes) => {
                let mut warnings = Vec::new();
                let mac = crate::tpm::open_mac(attributes, &place, prompt, &mut warnings)?;
                return Ok(Self { keyed: Keyed::Tpm(Box::new(mac)), name: place, warnings });
            }
            _ => {}
        }
        let (prefixed, warnings) = prefixed(uri)?;
        let keyed = Keyed::Software(Box::new(HmacSha256::new(&prefixed)));
        Ok(Self { keyed, name: uri.to_string(), warnings })
    }

    /// What the user should know about how the secret is kept.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl Mac for MacKey {
    fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError> {
        match &self.keyed {
            Keyed::Software(keyed) => {
                let mut mac = HmacSha256::clone(keyed);
                mac.update(message);
                Ok(mac.finish())
            }
            Keyed::Token(token) => token.hmac_sha256(message),
            #[cfg(feature = "tpm")]
            Keyed::Tpm(key) => key.hmac_sha256(message),
        }
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({})", self.name)
    }
}

/// `"AWS4"` and the secret access key in a file or a variable.
pub(crate) fn prefixed(uri: &KeyUri) -> Result<(Zeroizing<Vec<u8>>, Vec<Warning>)> {
    let mut warnings = Vec::new();
    let secret = match uri.target() {
        Target::File { path, passphrase: None } => files::read(path, false, &mut warnings)?,
        Target::Env { name, passphrase: None } => files::read_variable(name)?,
        Target::File { .. } | Target::Env { .. } => {
            return Err(KeyError::uri(
                "an AWS secret access key is not encrypted: leave passphrase-source out",
            ));
        }
        #[cfg(not(feature = "tpm"))]
        Target::Tpm(_) => return Err(uri.no_backend()),
        _ => return Err(uri.not_read()),
    };
    Ok((prefix(secret, uri.place())?, warnings))
}

/// `"AWS4"` and the bare secret of a text from `place`.
pub(crate) fn prefix(mut secret: Zeroizing<Vec<u8>>, place: String) -> Result<Zeroizing<Vec<u8>>> {
    files::drop_newline(&mut secret);
    if secret.is_empty() {
        return Err(KeyError::Empty { place });
    }
    if let Some(help) = refusal(&secret) {
        return Err(KeyError::MacSecret { place, help });
    }
    let mut prefixed = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    prefixed.extend_from_slice(b"AWS4");
    prefixed.extend_from_slice(&secret);
    Ok(prefixed)
}

/// Why this is not the bare text of a secret.
fn refusal(secret: &[u8]) -> Option<&'static str> {
    if secret.windows(10).any(|w| w == b"-----BEGIN") {
        return Some("this is PEM; expected the bare secret of some 40 characters");
    }
    if secret.starts_with(b"AWS4") {
        return Some("it begins with AWS4; leave the prefix out, it is added here");
    }
    if secret.iter().any(u8::is_ascii_whitespace) {
        return Some("white space in it; expected the bare secret and at most one line end");
    }
    if !secret.iter().all(u8::is_ascii_graphic) {
        return Some("control or non-ASCII characters in it; expected the bare secret");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDir;
    use aws_lc_rs::hmac;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn open(dir: &TestDir, text: &[u8]) -> Result<MacKey> {
        let path = dir.write("secret", text, 0o600);
        MacKey::open(&KeyUri::parse(&format!("file:{}", path.display())).unwrap())
    }

    #[test]
    fn prefixes_and_signs() {
        let dir = TestDir::new();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[b"AWS4", SECRET].concat());
        let expected = hmac::sign(&key, b"20150830");
        for end in ["", "\n", "\r\n"] {
            let mac = open(&dir, &[SECRET, end.as_bytes()].concat()).unwrap();
            for _ in 0..2 {
                assert_eq!(mac.hmac_sha256(b"20150830").unwrap(), expected.as_ref());
            }
            assert!(mac.warnings().is_empty());
            assert!(!format!("{mac:?}").contains("wJalr"));
        }
        fn shared<T: Send + Sync>() {}
        shared::<MacKey>();
    }

    #[test]
    fn refusals() {
        let dir = TestDir::new();
        let pem = b"-----BEGIN PRIVATE KEY-----\nwJalr\n-----END PRIVATE KEY-----\n";
        let cases: [(&[u8], &str); 12] = [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (pem, "PEM"),
            (b"AWS4wJalr", "AWS4"),
            (b"wJalr\n\n", "white space"),
            (b" wJalr", "white space"),
            (b"wJalr ", "white space"),
            (b"wJ alr", "white space"),
            (b"wJ\talr", "white space"),
            (b"wJalr\0", "control"),
            (b"\xef\xbb\xbfwJalr", "non-ASCII"),
            ("wJalr\u{e4}".as_bytes(), "non-ASCII"),
        ];
        for (text, expected) in cases {
            let error = open(&dir, text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("wJalr"), "{error}");
        }
        let open = |uri: &str| MacKey::open(&KeyUri::parse(uri).unwrap()).unwrap_err();
        assert!(open("env:X?passphrase-source=fd:3").to_string().contains("passphrase-source"));
        #[cfg(not(feature = "tpm"))]
        {
            let error = open("tpm:handle=0x81000001");
            assert!(error.to_string().contains("--features tpm"), "{error}");
        }
        assert!(matches!(open("env:CLOUDAUTH_TEST_NO_SUCH"), KeyError::NotSet { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn permissions() {
        let dir = TestDir::new();
        let path = dir.write("secret", SECRET, 0o644);
        let uri = KeyUri::parse(&format!("file:{}", path.display())).unwrap();
        assert_eq!(MacKey::open(&uri).unwrap().warnings().len(), 1);
        dir.write("secret", SECRET, 0o666);
        assert!(matches!(MacKey::open(&uri).unwrap_err(), KeyError::WritableByOthers { .. }));
    }
}
