//! Writing into the caller's buffer, or into a hash, with the same code.

use crate::{Error, Result, SMALL};

/// Where octets go: a buffer ([`Out`]), a hash, or a MAC. Writing cannot fail; a full buffer shows when
/// it is finished.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Appends one octet.
    #[inline]
    fn octet(&mut self, c: u8) {
        self.put(&[c]);
    }

    /// Appends the text `s`.
    #[inline]
    fn text(&mut self, s: &str) {
        self.put(s.as_bytes());
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }

    fn octet(&mut self, c: u8) {
        (**self).octet(c);
    }
}

/// A bounded writer over the caller's buffer. It goes on counting past the end, so that the needed size
/// is known after a single pass, however small the buffer was.
pub struct Out<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl core::fmt::Debug for Out<'_> {
    /// Sizes only: what is written may be secret, and what is not yet written may be older.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Out({} of {} octets)", self.len, self.buf.len())
    }
}

impl<'a> Out<'a> {
    /// A writer at the start of `buf`.
    #[must_use]
    pub fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Octets written so far, counting those that did not fit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What stands between two positions, or nothing when it did not fit.
    #[must_use]
    pub fn written(&self, from: usize, to: usize) -> &[u8] {
        self.buf.get(from..to).unwrap_or_default()
    }

    /// The whole buffer, to be used further; what was written stands at its start.
    #[must_use]
    pub fn into_buffer(self) -> &'a mut [u8] {
        self.buf
    }

    /// The written octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall) with the needed size.
    pub fn finish(self) -> Result<&'a mut [u8]> {
        let Self { buf, len } = self;
        buf.get_mut(..len).ok_or(Error::too_small("output buffer", len))
    }
}

impl Sink for Out<'_> {
    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    #[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(to) = self.buf.get_mut(self.len..end) {
            copy(bytes, to);
        }
        self.len = end;
    }

    // A call with a number is half as long as one with a slice.
    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    #[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
    fn octet(&mut self, c: u8) {
        self.put(&[c]);
    }
}

/// Copies as many octets as both have. The library's own way panics where they differ, and the compiler
/// does not always see that they do not.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    if !SMALL && from.len() == to.len() {
        // A request has many short pieces, and a call for each costs more than the copy.
        match from.len() {
            4..8 => ends::<4>(from, to),
            8..16 => ends::<8>(from, to),
            16..=32 => ends::<16>(from, to),
            _ => to.copy_from_slice(from),
        }
        return;
    }
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Copies what has N to 2 N octets: the first and the last N, which may overlap.
#[inline]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        if let Some(to) = to.first_chunk_mut() {
            *to = *first;
        }
        if let Some(to) = to.last_chunk_mut() {
            *to = *last;
        }
    }
}

/// Appends `n` in decimal.
// What is cut off of a digit is zero.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn decimal(out: &mut (impl Sink + ?Sized), n: u64) {
    let mut digits = [0u8; 20];
    let (mut rest, mut quarters) = (n, quarters(n));
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        let done;
        if SMALL {
            *slot = b'0' + by_ten(&mut quarters);
            done = quarters == [0; 4];
        } else {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
            done = rest == 0;
        }
        used += 1;
        if done {
            break;
        }
    }
    out.put(digits.get(digits.len().wrapping_sub(used)..).unwrap_or_default());
}

/// 16 bits at a time, the highest first.
#[allow(clippy::cast_possible_truncation)]
fn quarters(n: u64) -> [u16; 4] {
    [48, 32, 16, 0].map(|shift| (n >> shift) as u16)
}

/// Divides by ten, and gives the remainder, as a microcontroller can: it divides 32 bits, which are the
/// remainder of what stands higher and the next 16.
// What is cut off is zero: a remainder is below ten, and a tenth of it and 16 bits has 16 bits.
#[allow(clippy::cast_possible_truncation)]
fn by_ten(quarters: &mut [u16; 4]) -> u8 {
    let mut rest = 0;
    for quarter in quarters {
        let whole = rest << 16 | u32::from(*quarter);
        *quarter = (whole / 10) as u16;
        rest = whole % 10;
    }
    rest as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_past_the_end_and_says_the_need() {
        let mut buf = [0u8; 4];
        let mut out = Out::new(&mut buf);
        out.text("abc");
        out.text("def");
        out.text("g");
        assert_eq!(out.len(), 7);
        assert_eq!(out.finish().unwrap_err().needed(), Some(7));
        let mut buf = [0u8; 7];
        let mut out = Out::new(&mut buf);
        out.text("abc");
        out.text("defg");
        assert_eq!(out.finish().unwrap(), b"abcdefg");
    }

    #[test]
    fn a_microcontroller_divides_as_a_host_does() {
        for n in [0, 9, 10, 655_360, 1_700_000_000, 253_402_300_799, u64::MAX - 5, u64::MAX] {
            let mut parts = quarters(n);
            assert_eq!(u64::from(by_ten(&mut parts)), n % 10);
            assert_eq!(parts, quarters(n / 10));
        }
    }

    #[test]
    fn decimals() {
        for n in [0, 7, 10, 999, 1_700_000_000, u64::MAX] {
            let mut buf = [0u8; 20];
            let mut out = Out::new(&mut buf);
            decimal(&mut out, n);
            let text = core::str::from_utf8(out.finish().unwrap()).unwrap();
            assert_eq!(text.parse::<u64>().unwrap(), n);
        }
    }
}
