//! PEM (RFC 7468), with the headers of RFC 1421 recognised, and certificates out of it.

use cloudauth_core::encode::base64;
use pkcs8::LineEnding;
use pkcs8::der::{AnyRef, Decode as _};
use zeroize::Zeroizing;

use crate::{KeyError, Result};

// The lines are ours, the base64 is base64ct's: pem-rfc7468 reads one block and no headers, and
// rustls-pki-types passes over the labels it does not know, encrypted keys among them.

/// The most octets of a certificate file.
const MAX_LEN: usize = 256 * 1024;

/// One block.
pub(crate) struct Block<'a> {
    /// Such as `PRIVATE KEY`.
    pub(crate) label: &'a str,
    /// Whether `Proc-Type: 4,ENCRYPTED` or another header stands before the base64.
    pub(crate) headers: bool,
    /// The octets.
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// The certificates of a PEM text, in DER, in the order in which they stand there. Other blocks and the
/// text around them are passed over. One certificate in DER is taken too.
///
/// # Errors
/// [`KeyError::TooLarge`] above 256 KiB, [`KeyError::Malformed`] for damaged PEM or when there is no
/// certificate.
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>> {
    const PLACE: &str = "certificates";
    if pem.len() > MAX_LEN {
        return Err(KeyError::TooLarge { place: PLACE.to_owned(), limit: MAX_LEN });
    }
    let whole = |der: &[u8]| matches!(der, [0x30, ..]) && AnyRef::from_der(der).is_ok();
    let damaged = || KeyError::malformed(PLACE, "a certificate is not one whole DER value");
    if pem.first() == Some(&0x30) {
        return whole(pem).then(|| vec![pem.to_vec()]).ok_or_else(damaged);
    }
    let mut found = Vec::new();
    for block in blocks(pem, PLACE)? {
        if block.label == "CERTIFICATE" {
            found.push(whole(&block.der).then(|| block.der.to_vec()).ok_or_else(damaged)?);
        }
    }
    if found.is_empty() {
        return Err(KeyError::malformed(PLACE, "no -----BEGIN CERTIFICATE----- block"));
    }
    Ok(found)
}

/// The private key of a PEM text, in DER: exactly one, unencrypted, in PKCS#8 (`PRIVATE KEY`). Certificates and
/// the text around them are passed over.
///
/// # Errors
/// [`KeyError::TooLarge`] above 256 KiB, [`KeyError::Malformed`] for damaged PEM, for a key in another form, and
/// for none or several.
pub fn private_key(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    const PLACE: &str = "private key";
    if pem.len() > MAX_LEN {
        return Err(KeyError::TooLarge { place: PLACE.to_owned(), limit: MAX_LEN });
    }
    let mut keys = blocks(pem, PLACE)?;
    keys.retain(|block| block.label.ends_with("PRIVATE KEY"));
    match (keys.pop(), keys.pop()) {
        (Some(key), None) if key.label == "PRIVATE KEY" && !key.headers => Ok(key.der),
        (Some(_), None) => Err(KeyError::malformed(
            PLACE,
            "expected PKCS#8 without encryption (-----BEGIN PRIVATE KEY-----); convert it",
        )),
        (None, _) => Err(KeyError::malformed(PLACE, "no -----BEGIN PRIVATE KEY----- block")),
        (Some(_), Some(_)) => Err(KeyError::malformed(PLACE, "more than one; give one")),
    }
}

/// `der` as a PEM block with this label, such as `PUBLIC KEY`.
///
/// # Errors
/// [`KeyError::Malformed`] when it is too large, or when the label is none.
pub fn encode(label: &str, der: &[u8]) -> Result<String> {
    pkcs8::der::pem::encode_string(label, LineEnding::LF, der)
        .map_err(|_| KeyError::malformed("PEM", "cannot be written"))
}

/// Every block of `text`.
pub(crate) fn blocks<'a>(text: &'a [u8], place: &str) -> Result<Vec<Block<'a>>> {
    let bad = |help: &str| KeyError::malformed(place, help);
    let mut found = Vec::new();
    let mut open: Option<Body<'a>> = None;
    for line in text.split(|b| *b == b'\n') {
        let line = line.trim_ascii_end();
        let begin = line.strip_prefix(b"-----BEGIN ");
        let end = line.strip_prefix(b"-----END ");
        open = match (open, begin, end) {
            (None, None, None) => None,
            (None, Some(rest), _) => Some(Body::new(label(rest).ok_or_else(|| {
                bad("a PEM BEGIN line must end with ----- and a line break (not \\n as text)")
            })?)),
            (None, None, Some(_)) => return Err(bad("a PEM END line without its BEGIN line")),
            (Some(_), Some(_), _) => return Err(bad("a PEM block without its END line")),
            (Some(body), None, Some(rest)) => {
                if label(rest) != Some(body.label) {
                    return Err(bad("the END line of a PEM block does not match its BEGIN line"));
                }
                found.push(
                    body.decode().ok_or_else(|| bad("the base64 of a PEM block is damaged"))?,
                );
                None
            }
            (Some(mut body), None, None) => {
                body.line(line);
                Some(body)
            }
        };
    }
    match open {
        None => Ok(found),
        Some(_) => Err(bad("a PEM block without its END line; the text is cut off")),
    }
}

/// The label before `-----`: capitals, digits and single spaces or punctuation (RFC 7468, section 3).
fn label(rest: &[u8]) -> Option<&str> {
    let label = core::str::from_utf8(rest.strip_suffix(b"-----")?).ok()?;
    let valid = !label.is_empty()
        && label.len() <= 64
        && label
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" .#/".contains(&b));
    valid.then_some(label)
}

/// A block that is being read.
struct Body<'a> {
    label: &'a str,
    headers: bool,
    base64: Zeroizing<Vec<u8>>,
}

impl<'a> Body<'a> {
    fn new(label: &'a str) -> Self {
        // Room for an RSA key of 4096 bits, so that growing rarely leaves a copy behind.
        Self { label, headers: false, base64: Zeroizing::new(Vec::with_capacity(4096)) }
    }

    fn line(&mut self, line: &[u8]) {
        let header = line.contains(&b':') || self.headers && line.starts_with(b" ");
        if self.base64.is_empty() && header {
            self.headers = true;
        } else {
            grow(&mut self.base64, line.len());
            self.base64.extend_from_slice(line);
        }
    }

    fn decode(self) -> Option<Block<'a>> {
        let mut der = Zeroizing::new(vec![0; self.base64.len().div_ceil(4) * 3]);
        let len = base64::decode(&self.base64, &mut der).ok()?.len();
        der.truncate(len);
        (len > 0).then_some(Block { label: self.label, headers: self.headers, der })
    }
}

/// Makes room for `more` octets; a buffer that must move wipes its old place.
fn grow(buffer: &mut Zeroizing<Vec<u8>>, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        let mut larger = Vec::with_capacity((buffer.len() + more) * 2);
        larger.extend_from_slice(buffer);
        *buffer = Zeroizing::new(larger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pem;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        match blocks(text.as_bytes(), "test") {
            Err(error) => error.to_string(),
            Ok(found) => panic!("{} blocks", found.len()),
        }
    }

    #[test]
    fn several_blocks_with_text_around() {
        let text = format!(
            "Bag Attributes\r\n  friendlyName: x\r\n{}between: them\n{}",
            pem("CERTIFICATE", &[0x30, 2, 5, 0]).replace('\n', "\r\n"),
            pem("X509 CRL", &[7; 100]),
        );
        let found = blocks(text.as_bytes(), "test").unwrap();
        let seen: Vec<_> = found.iter().map(|b| (b.label, b.der.to_vec(), b.headers)).collect();
        assert_eq!(
            seen,
            [("CERTIFICATE", vec![0x30, 2, 5, 0], false), ("X509 CRL", vec![7; 100], false)]
        );
        assert!(blocks(b"", "test").unwrap().is_empty());
    }

    #[test]
    fn headers() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,\n \
                    00\n\nAQID\n-----END RSA PRIVATE KEY-----";
        let found = blocks(text.as_bytes(), "test").unwrap();
        assert!(found[0].headers);
        assert_eq!(found[0].der.as_slice(), [1, 2, 3]);
    }

    #[test]
    fn damaged() {
        let body = |body: &str| format!("-----BEGIN A-----\n{body}\n-----END A-----\n");
        assert!(blocks(body("AQID").as_bytes(), "test").is_ok());
        assert!(blocks(body("AQ\r\n\nID \t").as_bytes(), "test").is_ok());
        for bad in ["", "AQI", "AQID=", "AQ=D", "AQ==AQ==", "A QID", "AQI-", "AR==", "AQID\nx: y"] {
            assert!(refused(&body(bad)).contains("base64"), "{bad:?}");
        }
        assert!(refused("-----BEGIN A-----\nAQID\n").contains("cut off"));
        assert!(refused("-----BEGIN A-----\nAQID\n-----END A----").contains("match"));
        assert!(refused("-----BEGIN A-----\nAQID\n-----END B-----").contains("match"));
        assert!(refused("-----BEGIN A-----\n-----BEGIN A-----\n").contains("without its END"));
        assert!(refused("AQID\n-----END A-----\n").contains("without its BEGIN"));
        assert!(refused("-----BEGIN A-----\\nAQID\\n-----END A-----").contains("line break"));
        assert!(refused("-----BEGIN a\u{1b}-----\nAQID\n-----END a\u{1b}-----").contains("BEGIN"));
    }

    #[test]
    fn chains() {
        let (one, two) = ([0x30, 3, 2, 1, 1], [0x30, 3, 2, 1, 2]);
        let text = pem("CERTIFICATE", &one) + &pem("PRIVATE KEY", &[9]) + &pem("CERTIFICATE", &two);
        assert_eq!(certificates(text.as_bytes()).unwrap(), [one.to_vec(), two.to_vec()]);
        assert_eq!(certificates(&one).unwrap(), [one.to_vec()]);
        for bad in [&one[..4], &[0x30, 3, 2, 1, 1, 0], &[0x30, 0x80, 0, 0]] {
            assert!(certificates(bad).is_err(), "{bad:?}");
            assert!(certificates(pem("CERTIFICATE", bad).as_bytes()).is_err(), "{bad:?}");
        }
        let error = certificates(pem("PRIVATE KEY", &[9]).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{error}");
        let large = certificates(&vec![b'\n'; MAX_LEN + 1]).unwrap_err();
        assert!(matches!(large, KeyError::TooLarge { .. }));
        assert!(certificates(b"").is_err());
    }

    #[test]
    fn private_keys() {
        let key = pem("PRIVATE KEY", &[9]);
        let text = pem("CERTIFICATE", &[0x30, 3, 2, 1, 1]) + &key;
        assert_eq!(*private_key(text.as_bytes()).unwrap(), [9]);
        for (bad, help) in [
            (pem("CERTIFICATE", &[0x30, 3, 2, 1, 1]), "BEGIN PRIVATE KEY"),
            (pem("EC PRIVATE KEY", &[9]), "PKCS#8"),
            (pem("ENCRYPTED PRIVATE KEY", &[9]), "PKCS#8"),
            (key.replace("KEY-----\nCQ", "KEY-----\nDEK-Info: x\n\nCQ"), "PKCS#8"),
            (key.clone() + &key, "more than one"),
            (key.clone() + &pem("RSA PRIVATE KEY", &[9]), "more than one"),
        ] {
            let error = private_key(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(help), "{bad}: {error}");
        }
        let large = private_key(&vec![b'\n'; MAX_LEN + 1]).unwrap_err();
        assert!(matches!(large, KeyError::TooLarge { .. }));
    }

    proptest! {
        #[test]
        fn round_trip(
            ders in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..5000), 0..4),
        ) {
            let text: String = ders.iter().map(|der| pem("X", der)).collect();
            let found = blocks(text.as_bytes(), "test").unwrap();
            prop_assert_eq!(found.into_iter().map(|b| b.der.to_vec()).collect::<Vec<_>>(), ders);
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(prop_oneof![
            Just("-----BEGIN A-----".to_owned()), Just("-----END A-----".to_owned()),
            Just("\n".to_owned()), Just("AQID".to_owned()), "\\PC{0,8}",
        ], 0..12)) {
            let text = text.concat();
            let _ = blocks(text.as_bytes(), "test");
            let _ = certificates(text.as_bytes());
        }

        #[test]
        fn octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = blocks(&bytes, "test");
            let _ = certificates(&bytes);
        }
    }
}
