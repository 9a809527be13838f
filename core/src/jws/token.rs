//! Reading the three parts of a token. Nothing is believed here.

use core::fmt;

use crate::encode::base64::{url_decode_vartime, url_decoded_len};
use crate::json::{self, Kind, Value};
use crate::{Error, ErrorKind, Result};

/// The longest token that is read, in octets. HTTP servers take far less in a header.
pub const MAX_TOKEN_LEN: usize = 65_536;

/// A compact JWS whose header and payload are JSON objects: a signed JWT (RFC 7519, section 3), read but
/// not verified. The header can be looked at; the claims come out of a [`Report`](super::Report) only.
///
/// `'t` is the token's text, `'b` the buffer that holds what is decoded.
#[derive(Clone, Copy)]
pub struct Token<'t, 'b> {
    /// `base64url(header) "." base64url(claims)` (RFC 7515, section 5.1).
    pub(super) signed: &'t [u8],
    pub(super) header: Value<'b>,
    pub(super) claims: Value<'b>,
    pub(super) signature: &'b [u8],
}

impl<'t, 'b> Token<'t, 'b> {
    /// Reads `token`, which must be the token and nothing else: no white space around it, no `Bearer`.
    ///
    /// Exactly three parts; base64url without padding, line breaks or unused bits (RFC 7515, section 2);
    /// header and claims are each one JSON object by the rules of [`json::parse`], no name twice at any
    /// level (RFC 7515, section 4; RFC 7519, section 4, leave that open). Three quarters of the token's
    /// length are enough for `buf`.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed); [`Capacity`](ErrorKind::Capacity) above [`MAX_TOKEN_LEN`] or
    /// the limits of [`json`]; [`BufferTooSmall`](ErrorKind::BufferTooSmall) with the needed size.
    pub fn parse(token: &'t str, buf: &'b mut [u8]) -> Result<Self> {
        const PARTS: Error =
            Error::malformed("token", "expected three parts with dots between (a compact JWS)");
        if token.len() > MAX_TOKEN_LEN {
            let help = "at most 65,536 octets";
            return Err(Error::new(ErrorKind::Capacity, "token", help));
        }
        // The first and the last dot divide it. Another between them is no base64url, and found there.
        let dot = token.bytes().rposition(|c| c == b'.').ok_or(PARTS)?;
        let signed = token.get(..dot).unwrap_or_default();
        let signature = token.get(dot + 1..).unwrap_or_default();
        let (header, claims) = signed.split_once('.').ok_or(PARTS)?;

        let lens = [header, claims, signature].map(|part| url_decoded_len(part.len()));
        let small = Error::too_small("token buffer", lens.iter().sum());
        let [header_len, claims_len, signature_len] = lens;
        let (header_buf, rest) = buf.split_at_mut_checked(header_len).ok_or(small)?;
        let (claims_buf, rest) = rest.split_at_mut_checked(claims_len).ok_or(small)?;
        let signature_buf = rest.get_mut(..signature_len).ok_or(small)?;

        let header = object("JWS header", header, header_buf)?;
        let claims = object("JWS claims", claims, claims_buf)
            .map_err(|error| if claims.contains('.') { PARTS } else { error })?;
        let signature = octets("JWS signature", signature, signature_buf)?;
        Ok(Self { signed: signed.as_bytes(), header, claims, signature })
    }

    /// The header (RFC 7515, section 4), which nobody has verified: good for finding out which keys to
    /// ask for, and for nothing else.
    #[must_use]
    pub const fn header(&self) -> Value<'b> {
        self.header
    }

    /// The claims, which nobody has verified: for whoever asked for the token, to see that it is the one.
    pub(crate) const fn unverified_claims(&self) -> Value<'b> {
        self.claims
    }
}

/// Whether `text` has the form of a signed compact JWS (RFC 7515, section 7.1).
pub(crate) fn is_compact(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

/// Sizes only.
impl fmt::Debug for Token<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} octets signed)", self.signed.len())
    }
}

fn octets<'b>(field: &'static str, text: &str, out: &'b mut [u8]) -> Result<&'b mut [u8]> {
    url_decode_vartime(text.as_bytes(), out)
        .map_err(|_| Error::malformed(field, "expected base64url without padding"))
}

fn object<'b>(field: &'static str, text: &str, out: &'b mut [u8]) -> Result<Value<'b>> {
    let value = json::parse(octets(field, text, out)?).map_err(|error| {
        Error::new(error.kind(), field, error.help()).at(error.position().unwrap_or(0))
    })?;
    match value.kind() {
        Kind::Object => Ok(value),
        _ => Err(Error::malformed(field, "expected a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::base64::url_encode;
    use crate::out::Out;
    use proptest::prelude::*;

    pub(super) fn encoded(octets: &[u8]) -> String {
        let mut buf = vec![0; octets.len() * 2 + 4];
        let mut out = Out::new(&mut buf);
        url_encode(octets, &mut out);
        String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
    }

    fn token(header: &str, claims: &str, signature: &[u8]) -> String {
        [header.as_bytes(), claims.as_bytes(), signature].map(encoded).join(".")
    }

    fn refused(token: &str) -> Error {
        Token::parse(token, &mut vec![0; token.len()]).unwrap_err()
    }

    #[test]
    fn three_parts() {
        let good = token(r#"{"alg":"ES256"}"#, r#"{"a":[1]}"#, &[1, 2, 3]);
        let mut buf = [0; 64];
        let read = Token::parse(&good, &mut buf).unwrap();
        assert_eq!(read.signed, good.rsplit_once('.').unwrap().0.as_bytes());
        assert_eq!(read.header().get("alg").unwrap().as_str(), Some("ES256"));
        assert_eq!(read.claims.pointer("/a/0").unwrap().as_u64(), Some(1));
        assert_eq!(read.signature, [1, 2, 3]);
        assert_eq!(format!("{read:?}"), format!("Token({} octets signed)", read.signed.len()));

        // An empty signature is for the verifier to refuse.
        assert!(Token::parse(&token("{}", "{}", b""), &mut buf).is_ok());
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            good.replace('.', ""),
            good.rsplit_once('.').unwrap().0.to_owned(),
            format!("{good}.AQID"),
            format!(".{good}"),
            format!("{good}."),
        ] {
            assert_eq!(refused(&bad).kind(), ErrorKind::Malformed, "{bad}");
        }
        assert!(refused(&format!("{good}.AQID")).help().contains("three parts"));
    }

    #[test]
    fn strict_in_every_part() {
        let good = token(r#"{"alg":"x"}"#, r#"{"sub":"ab"}"#, &[1, 2, 3, 4]);
        assert!(Token::parse(&good, &mut [0; 64]).is_ok());
        let parts: Vec<&str> = good.split('.').collect();
        assert_eq!(parts.iter().map(|p| p.len() % 4).collect::<Vec<_>>(), [3, 0, 2]);
        // Three more characters leave a lone one over, or break the JSON.
        for (at, field) in ["JWS header", "JWS claims", "JWS signature"].into_iter().enumerate() {
            let with = |part: String| {
                let mut parts: Vec<String> = parts.iter().map(|p| (*p).to_owned()).collect();
                parts[at] = part;
                refused(&parts.join("."))
            };
            let part = parts[at];
            for bad in ["=", "==", "\n", " ", "+", "/", "é", "AAA", "\0"] {
                assert_eq!(with(format!("{part}{bad}")).field(), field, "{bad}");
            }
            assert_eq!(with(format!(" {part}")).field(), field);
        }
        // Bits after the last octet: "AQIDBA" says 1, 2, 3, 4, and so, to lax decoders, does this.
        let lax = format!("{}B", good.strip_suffix('A').unwrap());
        assert_eq!(refused(&lax).field(), "JWS signature");
        for whole in [format!("{good}\n"), format!(" {good}"), format!("Bearer {good}")] {
            assert_eq!(refused(&whole).kind(), ErrorKind::Malformed);
        }
    }

    #[test]
    fn objects_with_every_name_once() {
        for bad in [
            "",
            "[]",
            "null",
            "\"a\"",
            "{} ,",
            "{}{}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":[{"b":{"c":1,"c":2}}]}"#,
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            "{'a':1}",
        ] {
            assert_eq!(refused(&token(bad, "{}", b"x")).field(), "JWS header", "{bad}");
            assert_eq!(refused(&token("{}", bad, b"x")).field(), "JWS claims", "{bad}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(refused(&token("{}", &deep, b"x")).kind(), ErrorKind::Capacity);
        let not_utf8 = ["{}".as_bytes(), b"{\"a\":\"\xff\"}", b"x"].map(encoded).join(".");
        assert_eq!(refused(&not_utf8).field(), "JWS claims");
    }

    #[test]
    fn sizes() {
        // Three parts, so that only the size can be wrong.
        let claims = format!("{{\"a\":\"{}\"}}", "a".repeat(1 << 20));
        let error = Token::parse(&token("{}", &claims, b"x"), &mut []).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Capacity, "token"));
        let of_len = |len: usize| {
            // e30 is {}; the signature fills up.
            format!("e30.e30.{}", "A".repeat(len - 8))
        };
        assert!(Token::parse(&of_len(MAX_TOKEN_LEN), &mut vec![0; MAX_TOKEN_LEN]).is_ok());
        assert_eq!(refused(&of_len(MAX_TOKEN_LEN + 1)).kind(), ErrorKind::Capacity);

        let good = token(r#"{"alg":"x"}"#, r#"{"sub":"ab"}"#, &[1, 2, 3, 4]);
        let needed = 11 + 12 + 4;
        for len in 0..needed {
            let error = Token::parse(&good, &mut vec![0; len]).unwrap_err();
            assert_eq!(error.needed(), Some(needed));
        }
        assert!(needed <= good.len() * 3 / 4);
        assert!(Token::parse(&good, &mut vec![0; needed]).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = Token::parse(&text, &mut [0; 80]);
        }

        #[test]
        fn no_octets_panic(parts: [Vec<u8>; 3]) {
            let text = parts.map(|p| encoded(&p)).join(".");
            let _ = Token::parse(&text, &mut vec![0; text.len()]);
        }

        #[test]
        fn reads_what_serde_json_writes(name in "\\PC{0,8}", text: String, n: u64) {
            let value = serde_json::json!({ &name: text, "\u{1}": n });
            let text = token("{}", &value.to_string(), b"");
            let mut buf = vec![0; text.len()];
            let read = Token::parse(&text, &mut buf).unwrap();
            prop_assert_eq!(read.claims.get(&name).unwrap().as_str(), value[&name].as_str());
            prop_assert_eq!(read.claims.get("\u{1}").unwrap().as_u64(), Some(n));
        }
    }
}
