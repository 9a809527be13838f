//! Writing objects, a member at a time.

use crate::SMALL;
use crate::encode::hex;
use crate::out::{Sink, decimal};

/// Writes one JSON object: members in the order of the calls, no white space, everything outside
/// printable ASCII but UTF-8 text escaped.
#[derive(Debug)]
pub struct Object<'s, S: Sink> {
    to: &'s mut S,
    first: bool,
}

impl<'s, S: Sink> Object<'s, S> {
    /// Opens an object.
    #[must_use]
    pub fn new(to: &'s mut S) -> Self {
        to.octet(b'{');
        Self { to, first: true }
    }

    /// A string member.
    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    pub fn string(&mut self, name: &str, value: &str) -> &mut Self {
        string(value, self.name(name));
        self
    }

    /// A string member, unless it is `None`.
    pub fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.string(name, value);
        }
        self
    }

    /// A number member.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        decimal(self.name(name), value);
        self
    }

    /// Writes the name, and gives the sink for a value that the caller writes.
    pub fn name(&mut self, name: &str) -> &mut S {
        if !self.first {
            self.to.octet(b',');
        }
        self.first = false;
        string(name, self.to);
        self.to.octet(b':');
        self.to
    }

    /// Closes the object.
    pub fn end(self) {
        self.to.octet(b'}');
    }
}

/// A JSON string: quotes, backslashes and control characters escaped (RFC 8259, section 7).
pub(crate) fn string(value: &str, out: &mut (impl Sink + ?Sized)) {
    out.octet(b'"');
    if SMALL {
        for c in value.bytes() {
            match c {
                b'"' | b'\\' => out.octet(b'\\'),
                0..=0x1f => out.text("\\u00"),
                _ => {}
            }
            match c {
                0..=0x1f => hex::encode(&[c], out),
                _ => out.octet(c),
            }
        }
        return out.octet(b'"');
    }
    let mut rest = value.as_bytes();
    // Without an early end, so that it is vectorised: most strings need no escape.
    let escaped = |found, c: &u8| found | (*c < 0x20) | (*c == b'"') | (*c == b'\\');
    if !rest.iter().fold(false, escaped) {
        out.put(rest);
        rest = &[];
    }
    while !rest.is_empty() {
        let run = rest.iter().take_while(|c| !matches!(c, b'"' | b'\\' | 0..=0x1f)).count();
        let (plain, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        if !plain.is_empty() {
            out.put(plain);
        }
        rest = match after.split_first() {
            Some((c @ (b'"' | b'\\'), later)) => {
                out.put(&[b'\\', *c]);
                later
            }
            Some((c, later)) => {
                out.put(b"\\u00");
                hex::encode(&[*c], out);
                later
            }
            None => after,
        };
    }
    out.octet(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Out;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn serde_json_reads_it(name in "\\PC{0,10}", value in any::<String>(), n: u64) {
            let mut buf = vec![0u8; 16_384];
            let mut out = Out::new(&mut buf);
            let mut object = Object::new(&mut out);
            object.string("s", &value).optional("none", None).number("n", n);
            object.optional(&format!("x{name}"), Some(&name));
            object.end();
            let text = out.finish().unwrap();
            let read: serde_json::Value = serde_json::from_slice(text).unwrap();
            prop_assert_eq!(read["s"].as_str(), Some(value.as_str()));
            prop_assert_eq!(read["n"].as_u64(), Some(n));
            prop_assert_eq!(read[format!("x{name}")].as_str(), Some(name.as_str()));
            prop_assert_eq!(read.as_object().unwrap().len(), 3);
        }
    }
}
