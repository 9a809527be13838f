//! Secrets that a broker gives, as a view over its answer.

use core::fmt;

use crate::encode::base64;
use crate::json::{Kind, Value};
use crate::{Error, Result};

/// The most octets of the name of a secret, or of one of its fields.
pub const MAX_NAME: usize = 127;

/// The most octets of an answer with secrets.
pub const MAX_SECRETS: usize = 1024 * 1024;

/// A bundle of secrets, each with at least one field. Names are of `A-Za-z0-9_.-`, at most [`MAX_NAME`]
/// octets, and stand once.
///
/// Comparing two takes a constant time for each field's text, not for the names.
#[derive(Clone, Copy)]
pub struct Secrets<'b>(Value<'b>);

/// The fields of one secret: `value` alone, or `crt`, `key` and `chain` of a certificate.
#[derive(Clone, Copy)]
pub struct Fields<'b>(Value<'b>);

/// What a field holds, in base64. It shows itself only when asked, and compares in constant time.
#[derive(Clone, Copy)]
pub struct Encoded<'b>(&'b str);

impl<'b> Secrets<'b> {
    /// The member `secrets` of an answer.
    pub(super) fn read(bundle: Value<'b>) -> Result<Self> {
        let wrong = |help| Err(Error::malformed("secrets", help));
        if bundle.kind() != Kind::Object {
            return wrong("expected a JSON object");
        }
        if bundle.members().next().is_none() {
            return wrong("is empty; expected at least one secret");
        }
        for (name, fields) in bundle.members() {
            if !is_name(name) {
                return wrong("expected names of 1 to 127 octets of A-Z, a-z, 0-9, _, . and -");
            }
            if fields.kind() != Kind::Object || fields.members().next().is_none() {
                return wrong("expected an object with at least one field for each secret");
            }
            if !fields.members().all(|(field, text)| is_name(field) && text.as_str().is_some()) {
                return wrong("expected fields with names as the secrets have, each a text");
            }
        }
        Ok(Self(bundle))
    }

    /// The names and the secrets, in the order of the answer.
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, Fields<'b>)> + use<'b> {
        self.0.members().map(|(name, fields)| (name, Fields(fields)))
    }

    /// The secret of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Fields<'b>> {
        self.0.get(name).map(Fields)
    }
}

impl<'b> Fields<'b> {
    /// The names and contents of the fields, in the order of the answer.
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, Encoded<'b>)> + use<'b> {
        self.0.members().filter_map(|(field, text)| Some((field, Encoded(text.as_str()?))))
    }

    /// The field of this name.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<Encoded<'b>> {
        self.0.get(field)?.as_str().map(Encoded)
    }
}

impl<'b> Encoded<'b> {
    /// The base64 text (RFC 4648, section 4: with padding), unchecked.
    #[must_use]
    pub const fn expose(&self) -> &'b str {
        self.0
    }

    /// The most octets that [`decode`](Self::decode) can give.
    #[must_use]
    pub const fn max_len(&self) -> usize {
        self.0.len() / 4 * 3
    }

    /// The octets, in constant time.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) if it is no base64 with padding;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall), with the needed size.
    pub fn decode<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8]> {
        base64::decode(self.0.as_bytes(), out)
    }
}

/// Whether a text can name a secret or a field: 1 to [`MAX_NAME`] octets of `A-Za-z0-9_.-`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
}

impl PartialEq for Secrets<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Secrets<'_> {}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields<'_> {}

impl PartialEq for Encoded<'_> {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}

impl Eq for Encoded<'_> {}

impl fmt::Debug for Secrets<'_> {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Fields<'_> {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(field, _)| field)).finish()
    }
}

impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoded(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::json::parse;
    use proptest::prelude::*;

    /// The name, the field, and the octets.
    type Row = (String, String, Result<Vec<u8>>);

    /// What is read of `text`.
    fn read(text: &str) -> Result<Vec<Row>> {
        let mut text = text.as_bytes().to_vec();
        let mut read = Vec::new();
        for (name, fields) in Secrets::read(parse(&mut text)?)?.iter() {
            for (field, encoded) in fields.iter() {
                let mut space = vec![0; encoded.max_len()];
                let octets = encoded.decode(&mut space).map(<[u8]>::to_vec);
                read.push((name.to_owned(), field.to_owned(), octets));
            }
        }
        Ok(read)
    }

    #[test]
    fn a_bundle() {
        // By `printf … | base64`.
        let text =
            r#"{"api-key":{"value":"Z2VoZWlt"},"tls.1":{"crt":"Yw==","key":"a2U=","chain":""}}"#;
        let found = read(text).unwrap();
        let found: Vec<_> =
            found.iter().map(|(n, f, o)| (&**n, &**f, &**o.as_ref().unwrap())).collect();
        let expected: [(&str, &str, &[u8]); 4] = [
            ("api-key", "value", b"geheim"),
            ("tls.1", "crt", b"c"),
            ("tls.1", "key", b"ke"),
            ("tls.1", "chain", b""),
        ];
        assert_eq!(found, expected);
        let mut octets = text.as_bytes().to_vec();
        let secrets = Secrets::read(parse(&mut octets).unwrap()).unwrap();
        assert_eq!(
            format!("{secrets:?}"),
            r#"{"api-key": {"value"}, "tls.1": {"crt", "key", "chain"}}"#
        );
        let value = secrets.get("api-key").unwrap().get("value").unwrap();
        assert_eq!((value.expose(), format!("{value:?}")), ("Z2VoZWlt", "Encoded(…)".into()));
        assert!(
            secrets.get("api").is_none() && secrets.get("tls.1").unwrap().get("value").is_none()
        );
        let small = value.decode(&mut [0; 5]).unwrap_err();
        assert_eq!((small.kind(), small.needed()), (ErrorKind::BufferTooSmall, Some(6)));
        let mut other = text.replace("Z2VoZWlt", "Z2VoZWls").into_bytes();
        let other = Secrets::read(parse(&mut other).unwrap()).unwrap();
        assert!(secrets == secrets && secrets != other);
    }

    #[test]
    fn refused() {
        let longest = "x".repeat(MAX_NAME);
        for name in ["a", "A-Z_0.9", "..", &longest] {
            assert!(read(&format!(r#"{{"{name}":{{"{name}":""}}}}"#)).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "a\\u0000", "ä", "${a}", &format!("{longest}x")] {
            for text in [
                format!(r#"{{"{name}":{{"value":""}}}}"#),
                format!(r#"{{"a":{{"value":""}},"b":{{"{name}":""}}}}"#),
            ] {
                let e = read(&text).unwrap_err();
                assert_eq!((e.kind(), e.field()), (ErrorKind::Malformed, "secrets"), "{text}");
            }
        }
        for text in [
            "[]",
            "\"a\"",
            "{}",
            r#"{"a":{}}"#,
            r#"{"a":"Z2VoZWlt"}"#,
            r#"{"a":{"value":1}}"#,
            r#"{"a":{"value":null}}"#,
            r#"{"a":{"value":["Z2VoZWlt"]}}"#,
            r#"{"a":{"value":""},"b":{}}"#,
        ] {
            assert_eq!(read(text).unwrap_err().field(), "secrets", "{text}");
        }
        for twice in [
            r#"{"a":{"value":""},"a":{"value":""}}"#,
            r#"{"a":{"value":"","value":""}}"#,
            r#"{"a":{"value":""},"\u0061":{"value":""}}"#,
        ] {
            assert_eq!(read(twice).unwrap_err().field(), "JSON", "{twice}");
        }
    }

    #[test]
    fn what_is_no_base64() {
        for bad in ["Z2VoZWl", "Z2VoZWl=", "Z2Vo ZWlt", "Yx==", "Y-__", "=", "Z2VoZWlt\\n"] {
            let found = read(&format!(r#"{{"a":{{"value":"{bad}"}}}}"#)).unwrap();
            let e = found[0].2.as_ref().unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Malformed, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_bundle_is_read_back(
            bundle in proptest::collection::btree_map(
                "[A-Za-z0-9_.-]{1,127}",
                proptest::collection::btree_map(
                    "[A-Za-z0-9_.-]{1,20}", any::<Vec<u8>>(), 1..4),
                1..9)
        ) {
            let mut expected = Vec::new();
            let mut text = String::from("{");
            for (name, fields) in &bundle {
                text += &format!("{}\"{name}\":{{", if text.len() > 1 { "," } else { "" });
                for (i, (field, octets)) in fields.iter().enumerate() {
                    let mut space = vec![0; base64::encoded_len(octets.len())];
                    let mut out = crate::Out::new(&mut space);
                    base64::encode(octets, &mut out);
                    let encoded = std::str::from_utf8(out.finish().unwrap()).unwrap();
                    text += &format!("{}\"{field}\":\"{encoded}\"", if i > 0 { "," } else { "" });
                    expected.push((name.clone(), field.clone(), Ok(octets.clone())));
                }
                text += "}";
            }
            text += "}";
            prop_assert_eq!(read(&text).unwrap(), expected);
        }
    }
}
