//! Base64 (RFC 4648). Decoding is `base64ct`'s, but for what is known to be public. Encoding is a table
//! here, fed through a [`Sink`] a piece at a time: nothing secret is ever encoded, and a constant-time
//! encoder would cost more than all the rest of building a JWT.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};

use crate::out::{Sink, copy};
use crate::{Error, Result, SMALL};

/// Length of the base64url form without padding of `n` octets.
#[must_use]
pub const fn url_encoded_len(n: usize) -> usize {
    // One more for each three begun.
    n + n.div_ceil(3)
}

/// Length of the padded base64 form of `n` octets.
#[must_use]
pub const fn encoded_len(n: usize) -> usize {
    n.div_ceil(3).saturating_mul(4)
}

/// Appends `bytes` as base64url without padding, as JOSE wants it (RFC 7515, section 2).
pub fn url_encode(bytes: &[u8], out: &mut (impl Sink + ?Sized)) {
    if SMALL {
        small(bytes, URL_ALPHABET, "", out);
    } else {
        pieces(bytes, url_characters, "", out);
    }
}

const URL_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends `bytes` as standard base64 with padding.
pub fn encode(bytes: &[u8], out: &mut (impl Sink + ?Sized)) {
    if SMALL {
        small(bytes, ALPHABET, "==", out);
    } else {
        pieces(bytes, |group| characters(group, ALPHABET), "==", out);
    }
}

/// Reads base64url without padding; whitespace, padding and non-zero trailing bits are refused.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed), or
/// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall) with the needed size.
pub fn url_decode<'o>(text: &[u8], out: &'o mut [u8]) -> Result<&'o [u8]> {
    decode_as::<Base64UrlUnpadded>(text, url_decoded_len(text.len()), out)
}

/// As [`url_decode`], several times as fast, for what is not secret: how long it takes may depend on the
/// text. Header and claims of a token are on their way to someone else anyway, and its signature is
/// public once it is checked.
///
/// # Errors
/// As [`url_decode`].
pub fn url_decode_vartime<'o>(text: &[u8], out: &'o mut [u8]) -> Result<&'o mut [u8]> {
    const WRONG: Error = Error::malformed("base64", "wrong character, length or padding");
    let needed = url_decoded_len(text.len());
    let out = out.get_mut(..needed).ok_or(Error::too_small("decoded base64", needed))?;
    // What a wrong character means has bits that no group has: one look at the end finds them all.
    let mut seen = 0;
    let (words, rest) = text.as_chunks::<8>();
    let (to_words, to_rest) = out.split_at_mut_checked(words.len() * 6).ok_or(WRONG)?;
    for (word, to) in words.iter().zip(to_words.as_chunks_mut::<6>().0) {
        let [a, b, c, d, e, f, g, h] = *word;
        let (high, low) = (group([a, b, c, d]), group([e, f, g, h]));
        seen |= high | low;
        let [_, _, bytes @ ..] = (u64::from(high) << 24 | u64::from(low)).to_be_bytes();
        *to = bytes;
    }
    let mut to = to_rest.iter_mut();
    for chunk in rest.chunks(4) {
        // A is zero bits.
        let mut filled = [b'A'; 4];
        filled.iter_mut().zip(chunk).for_each(|(to, c)| *to = *c);
        let group = group(filled);
        seen |= group;
        let [_, bytes @ ..] = group.to_be_bytes();
        let len = url_decoded_len(chunk.len());
        // A last group says 8 or 16 bits, and the bits after these must be zero (RFC 4648, section 3.5).
        if len == 0 || bytes.iter().skip(len).any(|b| *b != 0) {
            return Err(WRONG);
        }
        for (byte, to) in bytes.iter().take(len).zip(&mut to) {
            *to = *byte;
        }
    }
    if seen < 1 << 24 { Ok(out) } else { Err(WRONG) }
}

/// The most octets that `n` characters of base64url say.
pub(crate) const fn url_decoded_len(n: usize) -> usize {
    n / 4 * 3 + n % 4 * 3 / 4
}

/// What each octet means as a character of base64url, in each of the four places of a group. All bits
/// when it is none.
static URL_VALUES: [[u32; 256]; 4] = [url_values(18), url_values(12), url_values(6), url_values(0)];

// An octet is always within such a table.
#[allow(clippy::indexing_slicing)]
const fn url_values(shift: u32) -> [u32; 256] {
    let mut values = [u32::MAX; 256];
    let mut value = 0;
    let mut rest: &[u8] = URL_ALPHABET;
    while let [c, after @ ..] = rest {
        values[*c as usize] = value << shift;
        value += 1;
        rest = after;
    }
    values
}

/// The 24 bits of four characters.
#[inline]
fn group(characters: [u8; 4]) -> u32 {
    let [a, b, c, d] = characters;
    let [first, second, third, fourth] = &URL_VALUES;
    // An octet is always within such a table.
    #[allow(clippy::indexing_slicing)]
    {
        first[usize::from(a)]
            | second[usize::from(b)]
            | third[usize::from(c)]
            | fourth[usize::from(d)]
    }
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

fn small(bytes: &[u8], table: &[u8; 64], padding: &str, out: &mut (impl Sink + ?Sized)) {
    for piece in bytes.chunks(3) {
        let mut group = [0; 3];
        copy(piece, &mut group);
        let text = characters(group, table);
        out.put(text.get(..=piece.len()).unwrap_or_default());
        out.text(padding.get(..3 - piece.len()).unwrap_or_default());
    }
}

fn pieces(
    bytes: &[u8],
    characters: impl Fn([u8; 3]) -> [u8; 4],
    padding: &str,
    out: &mut (impl Sink + ?Sized),
) {
    // 48 octets make 64 characters: a whole number of groups, so pieces join without padding.
    for piece in bytes.chunks(48) {
        let mut text = [0u8; 64];
        let (groups, rest) = piece.as_chunks::<3>();
        let mut to = text.as_chunks_mut::<4>().0.iter_mut();
        for (group, to) in groups.iter().zip(&mut to) {
            *to = characters(*group);
        }
        let last = match *rest {
            [a] => Some([a, 0, 0]),
            [a, b] => Some([a, b, 0]),
            _ => None,
        };
        if let (Some(group), Some(to)) = (last, to.next()) {
            *to = characters(group);
        }
        out.put(text.get(..url_encoded_len(piece.len())).unwrap_or_default());
        // One missing octet is one padding character, two are two.
        out.text(padding.get(..(3 - rest.len()) % 3).unwrap_or_default());
    }
}

#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
#[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
fn characters([a, b, c]: [u8; 3], table: &[u8; 64]) -> [u8; 4] {
    // The masks keep the indices inside the table, so no bounds check is left.
    #[allow(clippy::indexing_slicing)]
    let pick = |six: u8| table[usize::from(six & 63)];
    [pick(a >> 2), pick(a << 4 | b >> 4), pick(b << 2 | c >> 6), pick(c)]
}

/// The two characters of base64url for twelve bits.
static URL_PAIRS: [[u8; 2]; 4096] = {
    let mut pairs = [[0; 2]; 4096];
    let mut i = 0;
    // Within the alphabet and the table, all three.
    #[allow(clippy::indexing_slicing)]
    while i < pairs.len() {
        pairs[i] = [URL_ALPHABET[i >> 6], URL_ALPHABET[i & 63]];
        i += 1;
    }
    pairs
};

/// As [`characters`], twelve bits at a time: half as many looks into a table.
#[inline]
fn url_characters([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, a, b, c]);
    // The masks keep the indices inside the table, so no bounds check is left.
    #[allow(clippy::indexing_slicing)]
    let pair = |twelve: u32| URL_PAIRS[(twelve & 0xfff) as usize];
    let ([a, b], [c, d]) = (pair(bits >> 12), pair(bits));
    [a, b, c, d]
}

/// A [`Sink`] that passes on what it is given as base64url, so that JSON can be written straight into a
/// JWS without a buffer between.
pub struct UrlEncoder<'s, S: Sink> {
    to: &'s mut S,
    /// A multiple of three, so that only the last piece has a short group.
    pending: [u8; HELD],
    len: usize,
}

const HELD: usize = if SMALL { 3 } else { 192 };

impl<S: Sink> core::fmt::Debug for UrlEncoder<'_, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "UrlEncoder({} octets held)", self.len)
    }
}

impl<'s, S: Sink> UrlEncoder<'s, S> {
    /// An encoder in front of `to`.
    #[must_use]
    pub fn new(to: &'s mut S) -> Self {
        Self { to, pending: [0; HELD], len: 0 }
    }

    /// Writes what is still held back.
    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    pub fn finish(self) {
        url_encode(self.pending.get(..self.len).unwrap_or_default(), self.to);
    }
}

impl<S: Sink> Sink for UrlEncoder<'_, S> {
    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    #[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
    fn put(&mut self, bytes: &[u8]) {
        if SMALL {
            return bytes.iter().for_each(|c| self.octet(*c));
        }
        match self.pending.get_mut(self.len..self.len + bytes.len()) {
            Some(to) => {
                copy(bytes, to);
                self.len += bytes.len();
            }
            None => self.overflow(bytes),
        }
    }

    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    #[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
    fn octet(&mut self, c: u8) {
        if !SMALL {
            return self.put(&[c]);
        }
        if let Some(to) = self.pending.get_mut(self.len) {
            *to = c;
        }
        self.len += 1;
        if self.len == HELD {
            let group = self.pending.first_chunk().copied().unwrap_or_default();
            self.to.put(&characters(group, URL_ALPHABET));
            self.len = 0;
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
                copy(now, to);
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
            let mut back = [0u8; 2000];
            prop_assert_eq!(url_decode_vartime(text, &mut back).unwrap(), &whole[..]);
        }

        // Against base64ct, with texts that are nearly right.
        #[test]
        fn the_fast_decoder_is_as_strict(
            text in "[A-Za-z0-9_-]{0,40}", at in 0usize..60, c: u8) {
            let mut text = text.into_bytes();
            if let Some(to) = text.get_mut(at) {
                *to = c;
            }
            same_as_base64ct(&text)?;
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

    fn same_as_base64ct(text: &[u8]) -> core::result::Result<(), TestCaseError> {
        let (mut ours, mut theirs) = ([0; 64], [0; 64]);
        let ours = url_decode_vartime(text, &mut ours).ok();
        prop_assert_eq!(ours.as_deref(), url_decode(text, &mut theirs).ok(), "{:?}", text);
        Ok(())
    }

    #[test]
    fn the_fast_decoder_knows_every_octet_in_every_place() {
        let mut accepted = 0;
        for len in 0..=13 {
            for at in 0..len {
                for c in 0..=0xff {
                    let mut text = vec![b'A'; len];
                    text[at] = c;
                    same_as_base64ct(&text).unwrap();
                    accepted += usize::from(url_decode(&text, &mut [0; 16]).is_ok());
                }
            }
        }
        assert!(accepted > 3000, "{accepted}");
    }

    #[test]
    fn refusals() {
        let mut out = [0u8; 8];
        for bad in ["Zg==", "Zh", "Z", "Zg ", "Z+8", "Zm8\n"] {
            assert!(url_decode(bad.as_bytes(), &mut out).is_err(), "{bad}");
            assert!(url_decode_vartime(bad.as_bytes(), &mut out).is_err(), "{bad}");
        }
        assert_eq!(url_decode_vartime(b"Zm9vYmE", &mut [0; 4]).unwrap_err().needed(), Some(5));
        assert_eq!(url_decode(b"Zg", &mut out).unwrap(), b"f");
        assert_eq!(url_decode(b"Zm9vYmE", &mut [0; 4]).unwrap_err().needed(), Some(5));
    }
}
