//! Lower-case hexadecimal.

use crate::out::Sink;
use crate::{Error, Out, Result, SMALL};

/// Length of the hexadecimal form of `n` octets.
#[must_use]
pub const fn encoded_len(n: usize) -> usize {
    n.saturating_mul(2)
}

/// Appends `bytes` in lower-case hexadecimal.
pub fn encode(bytes: &[u8], out: &mut (impl Sink + ?Sized)) {
    const PIECE: usize = if SMALL { 4 } else { 32 };
    for part in bytes.chunks(PIECE) {
        let mut text = [0u8; 2 * PIECE];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(part) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        out.put(text.get(..encoded_len(part.len())).unwrap_or_default());
    }
}

/// A SHA-256 digest in hexadecimal.
#[must_use]
pub fn digest(digest: &[u8; 32]) -> [u8; 64] {
    let mut text = [0u8; 64];
    write(digest, &mut text);
    text
}

/// Appends a SHA-256 digest in hexadecimal.
#[inline]
pub(crate) fn put_digest(bytes: &[u8; 32], out: &mut impl Sink) {
    // Of a fixed length, it is vectorised better.
    if SMALL { encode(bytes, out as &mut dyn Sink) } else { out.put(&digest(bytes)) }
}

/// A SHA-256 digest in hexadecimal, to `text`.
pub(crate) fn write(digest: &[u8; 32], text: &mut [u8; 64]) {
    if SMALL {
        return encode(digest, &mut Out::new(text) as &mut dyn Sink);
    }
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// Reads hexadecimal of either case into `out`, which must have exactly half the length of `text`.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed) on any other character or length.
pub fn decode(text: &[u8], out: &mut [u8]) -> Result<()> {
    const BAD: Error = Error::malformed("hexadecimal", "expected pairs of 0-9, a-f");
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != out.len() {
        return Err(BAD);
    }
    for ([high, low], to) in pairs.iter().zip(out) {
        *to = value(*high).ok_or(BAD)? << 4 | value(*low).ok_or(BAD)?;
    }
    Ok(())
}

/// Arithmetic in place of a table: it is vectorised, and its time does not depend on the nibble.
#[inline]
const fn digit(nibble: u8) -> u8 {
    nibble + b'0' + (nibble > 9) as u8 * (b'a' - b'9' - 1)
}

#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
pub(crate) const fn value(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Out;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_format_writes_it(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut buf = [0u8; 200];
            let mut out = Out::new(&mut buf);
            encode(&bytes, &mut out);
            let text = out.finish().unwrap();
            let want: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            prop_assert_eq!(&*text, want.as_bytes());
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            let mut back = vec![0u8; bytes.len()];
            decode(want.to_uppercase().as_bytes(), &mut back).unwrap();
            prop_assert_eq!(back, bytes);
        }
    }

    #[test]
    fn refusals() {
        let mut out = [0u8; 1];
        assert!(decode(b"0", &mut out).is_err());
        assert!(decode(b"0g", &mut out).is_err());
        assert!(decode(b"0000", &mut out).is_err());
        assert!(decode(b"0f", &mut out).is_ok());
    }
}
