//! Base64 (RFC 4648). Decoding is `base64ct`'s. Encoding is a table here, fed through a [`Sink`] a piece
//! at a time: nothing secret is ever encoded, and a constant-time encoder would cost more than all the
//! rest of building a JWT.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};

use crate::out::Sink;
use crate::{Error, Result};

/// Length of the base64url form without padding of `n` octets.
#[must_use]
pub const fn url_encoded_len(n: usize) -> usize {
    n / 3 * 4 + (n % 3 * 4).div_ceil(3)
}

/// Length of the padded base64 form of `n` octets.
#[must_use]
pub const fn encoded_len(n: usize) -> usize {
    n.div_ceil(3).saturating_mul(4)
}

/// Appends `bytes` as base64url without padding, as JOSE wants it (RFC 7515, section 2).
pub fn url_encode(bytes: &[u8], out: &mut (impl Sink + ?Sized)) {
    pieces(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "", out);
}

/// Appends `bytes` as standard base64 with padding.
pub fn encode(bytes: &[u8], out: &mut (impl Sink + ?Sized)) {
    pieces(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "==", out);
}

/// Reads base64url without padding; whitespace, padding and non-zero trailing bits are refused.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed), or
/// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall) with the needed size.
pub fn url_decode<'o>(text: &[u8], out: &'o mut [u8]) -> Result<&'o [u8]> {
    decode_as::<Base64UrlUnpadded>(text, text.len() / 4 * 3 + text.len() % 4 * 3 / 4, out)
}

/// Reads standard base64 with padding; whitespace and non-zero trailing bits are refused.
///
/// # Errors
/// As [`url_decode`].
pub fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Result<&'o [u8]> {
    let padding = text.iter().rev().take(2).take_while(|c| **c == b'=').count();
    let needed = (text.len() / 4 * 3).saturating_sub(padding);
    decode_as::<Base64>(text, needed, out)
}

fn decode_as<'o, E: Encoding>(text: &[u8], needed: usize, out: &'o mut [u8]) -> Result<&'o [u8]> {
    if out.len() < needed {
        return Err(Error::too_small("decoded base64", needed));
    }
    E::decode(text, out)
        .map_err(|_| Error::malformed("base64", "wrong character, length or padding"))
}

fn pieces(bytes: &[u8], table: &[u8; 64], padding: &str, out: &mut (impl Sink + ?Sized)) {
    // 48 octets make 64 characters: a whole number of groups, so pieces join without padding.
    for piece in bytes.chunks(48) {
        let mut text = [0u8; 64];
        let (groups, rest) = piece.as_chunks::<3>();
        let mut to = text.as_chunks_mut::<4>().0.iter_mut();
        for (group, to) in groups.iter().zip(&mut to) {
            *to = characters(*group, table);
        }
        let last = match *rest {
            [a] => Some([a, 0, 0]),
            [a, b] => Some([a, b, 0]),
            _ => None,
        };
        if let (Some(group), Some(to)) = (last, to.next()) {
            *to = characters(group, table);
        }
        out.put(text.get(..url_encoded_len(piece.len())).unwrap_or_default());
        // One missing octet is one padding character, two are two.
        out.text(padding.get(..(3 - rest.len()) % 3).unwrap_or_default());
    }
}

#[inline]
fn characters([a, b, c]: [u8; 3], table: &[u8; 64]) -> [u8; 4] {
    // The masks keep the indices inside the table, so no bounds check is left.
    #[allow(clippy::indexing_slicing)]
    let pick = |six: u8| table[usize::from(six & 63)];
    [pick(a >> 2), pick(a << 4 | b >> 4), pick(b << 2 | c >> 6), pick(c)]
}

/// A [`Sink`] that passes on what it is given as base64url, so that JSON can be written straight into a
/// JWS without a buffer between.
pub struct UrlEncoder<'s, S: Sink> {
    to: &'s mut S,
    /// A multiple of three, so that only the last piece has a short group.
    pending: [u8; 192],
    len: usize,
}

impl<S: Sink> core::fmt::Debug for UrlEncoder<'_, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "UrlEncoder({} octets held)", self.len)
    }
}

impl<'s, S: Sink> UrlEncoder<'s, S> {
    /// An encoder in front of `to`.
    #[must_use]
    pub fn new(to: &'s mut S) -> Self {
        Self { to, pending: [0; 192], len: 0 }
    }

    /// Writes what is still held back.
    pub fn finish(self) {
        url_encode(self.pending.get(..self.len).unwrap_or_default(), self.to);
    }
}

impl<S: Sink> Sink for UrlEncoder<'_, S> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        match self.pending.get_mut(self.len..self.len + bytes.len()) {
            Some(to) => {
                to.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.overflow(bytes),
        }
    }
}

impl<S: Sink> UrlEncoder<'_, S> {
    #[cold]
    fn overflow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let free = self.pending.get_mut(self.len..).unwrap_or_default();
            let n = free.len().min(bytes.len());
            let (now, later) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
            if let Some(to) = free.get_mut(..now.len()) {
                to.copy_from_slice(now);
            }
            self.len += n;
            bytes = later;
            if self.len == self.pending.len() {
                url_encode(&self.pending, self.to);
                self.len = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Out;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn streams_as_at_once(parts in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..70), 0..8)) {
            let whole = parts.concat();
            let mut want = vec![0u8; 2000];
            let want = Base64UrlUnpadded::encode(&whole, &mut want).unwrap();
            let mut buf = [0u8; 2000];
            let mut out = Out::new(&mut buf);
            let mut encoder = UrlEncoder::new(&mut out);
            for part in &parts {
                encoder.put(part);
            }
            encoder.finish();
            let text = out.finish().unwrap();
            prop_assert_eq!(&*text, want.as_bytes());
            prop_assert_eq!(text.len(), url_encoded_len(whole.len()));
            let mut back = [0u8; 2000];
            prop_assert_eq!(url_decode(text, &mut back).unwrap(), &whole[..]);
        }

        #[test]
        fn standard_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buf = [0u8; 300];
            let mut out = Out::new(&mut buf);
            encode(&bytes, &mut out);
            let text = out.finish().unwrap();
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            let mut want = [0u8; 400];
            let want = Base64::encode(&bytes, &mut want).unwrap();
            prop_assert_eq!(want.as_bytes(), &*text);
            let mut back = vec![0u8; bytes.len()];
            prop_assert_eq!(decode(text, &mut back).unwrap(), &bytes[..]);
        }
    }

    #[test]
    fn refusals() {
        let mut out = [0u8; 8];
        for bad in ["Zg==", "Zh", "Z", "Zg ", "Z+8", "Zm8\n"] {
            assert!(url_decode(bad.as_bytes(), &mut out).is_err(), "{bad}");
        }
        assert_eq!(url_decode(b"Zg", &mut out).unwrap(), b"f");
        assert_eq!(url_decode(b"Zm9vYmE", &mut [0; 4]).unwrap_err().needed(), Some(5));
    }
}
