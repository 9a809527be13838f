//! Texts with references to secrets: `${NAME.FIELD:FORMAT}`.

use std::collections::BTreeMap;

use cloudauth_core::Out;
use cloudauth_core::encode::{base64, hex};
use zeroize::Zeroizing;

/// The secrets of a broker: fields by name, by the secret's name.
pub(super) type Bundle = BTreeMap<String, BTreeMap<String, Zeroizing<Vec<u8>>>>;

/// The field of a reference that names none.
const VALUE: &str = "value";

/// A text, read.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// What is named, and how it is written.
    Secret(String, Format),
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Raw,
    Base64,
    Base64Url,
    Hex,
}

impl Format {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "raw" => Self::Raw,
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "hex" => Self::Hex,
            _ => {
                return Err(format!("format {text:?}: expected raw, base64, base64url or hex"));
            }
        })
    }

    const fn len(self, octets: usize) -> usize {
        match self {
            Self::Raw => octets,
            Self::Base64 => base64::encoded_len(octets),
            Self::Base64Url => base64::url_encoded_len(octets),
            Self::Hex => hex::encoded_len(octets),
        }
    }

    /// Appends to what has room for it.
    fn write(self, octets: &[u8], to: &mut Vec<u8>) -> Result<(), String> {
        if matches!(self, Self::Raw) {
            to.extend_from_slice(octets);
            return Ok(());
        }
        let start = to.len();
        to.resize(start + self.len(octets.len()), 0);
        let mut out = Out::new(to.get_mut(start..).unwrap_or_default());
        match self {
            Self::Base64 => base64::encode(octets, &mut out),
            Self::Base64Url => base64::url_encode(octets, &mut out),
            Self::Hex | Self::Raw => hex::encode(octets, &mut out),
        }
        out.finish().map(drop).map_err(|e| e.to_string())
    }
}

impl Template {
    /// Reads a text, in which `$$` is a `$`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let Some(reference) = after.strip_prefix('{') else {
                return Err("a $ stands for itself as $$, and before a {".to_owned());
            };
            let (reference, after) = reference.split_once('}').ok_or("a ${ has no } behind it")?;
            let (name, format) = match reference.split_once(':') {
                Some((name, format)) => (name, Format::parse(format)?),
                None => (reference, Format::Raw),
            };
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if name.is_empty() || !name.chars().all(allowed) {
                return Err(format!(
                    "${{{reference}}}: expected NAME or NAME.FIELD, of A-Z a-z 0-9 _ . -"
                ));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Secret(name.to_owned(), format));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The text with the secrets in it.
    pub(super) fn render(&self, bundle: &Bundle) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut found = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            found.push(match part {
                Part::Text(text) => (text.as_bytes(), Format::Raw),
                Part::Secret(name, format) => (field(bundle, name)?, *format),
            });
        }
        // Room for everything at once: a vector that grows leaves copies behind.
        let len = found.iter().map(|(octets, format)| format.len(octets.len())).sum();
        let mut text = Zeroizing::new(Vec::with_capacity(len));
        for (octets, format) in found {
            format.write(octets, &mut text)?;
        }
        Ok(text)
    }
}

/// `NAME.FIELD`, or `NAME` alone. A name may hold dots, too: what could be either is an error.
fn field<'b>(bundle: &'b Bundle, reference: &str) -> Result<&'b [u8], String> {
    let of = |name: &str, field: &str| bundle.get(name).and_then(|fields| fields.get(field));
    let split = reference.rsplit_once('.');
    let whole = of(reference, VALUE);
    match (split.and_then(|(name, field)| of(name, field)), whole) {
        (Some(octets), None) | (None, Some(octets)) => Ok(octets),
        (Some(_), Some(_)) => Err(format!(
            "${{{reference}}} could be the field of one secret and the value of another; write \
             ${{{reference}.{VALUE}}} for the latter"
        )),
        (None, None) => Err(missing(bundle, reference)),
    }
}

/// Why there is no such field: with what there is, by name.
fn missing(bundle: &Bundle, reference: &str) -> String {
    let names = |names: Vec<&String>| {
        let names: Vec<_> = names.into_iter().map(String::as_str).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let secret = [Some(reference), reference.rsplit_once('.').map(|(name, _)| name)];
    match secret.into_iter().flatten().find_map(|name| Some((name, bundle.get(name)?))) {
        Some((name, fields)) => {
            let fields = names(fields.keys().collect());
            format!(
                "${{{reference}}}: the broker's secret {name:?} has no such field; it has {fields}"
            )
        }
        None => {
            let bundle = names(bundle.keys().collect());
            format!("${{{reference}}}: the broker gives no such secret; it gives {bundle}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let secret = |fields: &[(&str, &[u8])]| {
            let field = |(name, octets): &(&str, &[u8])| {
                ((*name).to_owned(), Zeroizing::new(octets.to_vec()))
            };
            fields.iter().map(field).collect()
        };
        Bundle::from([
            ("api-key".to_owned(), secret(&[("value", b"s3cr3t")])),
            ("bin".to_owned(), secret(&[("value", b"\xfb\xff\x00")])),
            ("tls".to_owned(), secret(&[("crt", b"CRT"), ("key", b"KEY"), ("chain", b"")])),
            ("a.crt".to_owned(), secret(&[("value", b"dotted")])),
            ("both".to_owned(), secret(&[("x", b"field")])),
            ("both.x".to_owned(), secret(&[("value", b"secret")])),
        ])
    }

    fn render(text: &str) -> Result<Vec<u8>, String> {
        Template::parse(text)?.render(&bundle()).map(|text| text.to_vec())
    }

    #[test]
    fn references() {
        for (text, expected) in [
            ("", &b""[..]),
            ("plain", b"plain"),
            ("$$", b"$"),
            ("$${api-key}", b"${api-key}"),
            ("${api-key}", b"s3cr3t"),
            ("${api-key.value:raw}", b"s3cr3t"),
            ("a${api-key:hex}b", b"a733363723374b"),
            ("${bin:base64}", b"+/8A"),
            ("${bin:base64url}", b"-_8A"),
            ("${api-key:base64url}", b"czNjcjN0"),
            ("${bin}", b"\xfb\xff\x00"),
            ("${tls.crt}\n${tls.chain}$$${tls.key}", b"CRT\n$KEY"),
            ("${a.crt}", b"dotted"),
            ("${a.crt.value}", b"dotted"),
            ("${both.x.value}", b"secret"),
            ("é${api-key}ü", "és3cr3tü".as_bytes()),
        ] {
            assert_eq!(render(text).unwrap(), expected, "{text}");
        }
        // In one piece: nothing is left behind by growth.
        let text = Template::parse("x${bin:base64}${tls.key}").unwrap().render(&bundle()).unwrap();
        assert_eq!((text.len(), text.capacity()), (8, 8));
    }

    #[test]
    fn what_is_none() {
        for (text, says) in [
            ("$", "$$"),
            ("5$ and", "$$"),
            ("${api-key", "no }"),
            ("${}", "NAME.FIELD"),
            ("${a b}", "NAME.FIELD"),
            ("${api-key:}", "base64url"),
            ("${api-key:Hex}", "base64url"),
            ("${tls.pem}", "it has chain, crt, key"),
            ("${tls}", "it has chain, crt, key"),
            ("${api_key}", "it gives a.crt, api-key, bin"),
            ("${both.x}", "could be"),
        ] {
            let error = render(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("s3cr3t"), "{text}: {error}");
        }
    }
}
