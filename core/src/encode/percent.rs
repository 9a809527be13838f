//! Percent-encoding (RFC 3986, section 2.1) with the unreserved set that AWS signs with.

use super::hex;
use crate::SMALL;
use crate::out::Sink;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Whether RFC 3986 leaves `c` as it is: letters, digits, `-`, `.`, `_`, `~`.
#[must_use]
pub const fn unreserved(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~')
}

/// Length of the encoded form of `bytes`.
#[must_use]
pub fn encoded_len(bytes: &[u8]) -> usize {
    bytes.iter().map(|c| if unreserved(*c) { 1 } else { 3 }).sum()
}

/// Appends `bytes`, everything but the unreserved set as `%XX` in upper case.
pub fn encode(bytes: &[u8], out: &mut (impl Sink + ?Sized)) {
    encode_but(bytes, unreserved, out);
}

/// Appends `bytes`, encoding what `keep` does not keep. Runs that are kept are passed on whole.
pub fn encode_but(bytes: &[u8], keep: impl Fn(u8) -> bool, out: &mut (impl Sink + ?Sized)) {
    if SMALL {
        for c in bytes {
            if keep(*c) { out.octet(*c) } else { out.put(&triplet(*c)) }
        }
        return;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|c| keep(**c)).count();
        let (plain, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        if !plain.is_empty() {
            out.put(plain);
        }
        rest = match after.split_first() {
            Some((c, later)) => {
                out.put(&triplet(*c));
                later
            }
            None => after,
        };
    }
}

/// `%XX` for one octet.
#[must_use]
pub fn triplet(c: u8) -> [u8; 3] {
    // The masks keep the indices inside the table, so no bounds check is left.
    #[allow(clippy::indexing_slicing)]
    [b'%', UPPER[usize::from(c >> 4 & 15)], UPPER[usize::from(c & 15)]]
}

/// The octets of a query component: `%XX` decoded, `+` as a space (as HTML forms and AWS's servers read
/// it), a `%` that starts no valid triplet kept as it is.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Decodes `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }
}

impl Decoder<'_> {
    /// Passes over `c` if it comes next as it is.
    pub(crate) fn eat(&mut self, c: u8) -> bool {
        let next = self.rest.split_first().filter(|(first, _)| **first == c);
        if let Some((_, rest)) = next {
            self.rest = rest;
        }
        next.is_some()
    }
}

impl Iterator for Decoder<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        match first {
            b'+' => Some(b' '),
            b'%' => {
                if let [high, low, after @ ..] = rest
                    && let (Some(high), Some(low)) = (hex::value(*high), hex::value(*low))
                {
                    self.rest = after;
                    return Some(high << 4 | low);
                }
                Some(b'%')
            }
            c => Some(*c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Out;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut buf = vec![0u8; bytes.len() * 3];
        let mut out = Out::new(&mut buf);
        encode(bytes, &mut out);
        String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn known() {
        assert_eq!(encoded("a b/ሴ~+%".as_bytes()), "a%20b%2F%E1%88%B4~%2B%25");
        assert_eq!(Decoder::new(b"a+b%2f%zz%4").collect::<Vec<_>>(), b"a b/%zz%4");
    }

    proptest! {
        #[test]
        fn round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let text = encoded(&bytes);
            prop_assert_eq!(text.len(), encoded_len(&bytes));
            prop_assert_eq!(Decoder::new(text.as_bytes()).collect::<Vec<_>>(), bytes);
        }
    }
}
