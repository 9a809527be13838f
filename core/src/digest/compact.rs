//! The form for microcontrollers: small. The compression function is written here, because the compact form
//! of the crate `sha2` takes half as many instructions again: it moves every variable in every round, and
//! works out anew where each word of the message lies.

use zeroize::optimization_barrier;

use super::INITIAL;
use crate::out::{Sink, copy};

/// The constants of the rounds (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
static ROUNDS: [[u32; 16]; 4] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
     0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
     0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
     0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
     0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// The compression function (FIPS 180-4, section 6.2.2).
#[inline(never)]
fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    let block = block.as_chunks::<4>().0;
    let word = |i| block.get(i).map_or(0, |octets| u32::from_be_bytes(*octets));
    let mut words: [u32; 16] = core::array::from_fn(word);
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    let mut left = ROUNDS.as_slice();
    while let [rounds, after @ ..] = left {
        left = after;
        // Two rounds at a time, since each moves all variables by one place.
        let pairs = rounds.as_chunks::<2>().0.iter().zip(words.as_chunks::<2>().0);
        for ([first, second], [word, next]) in pairs {
            h = h.wrapping_add(*first).wrapping_add(*word);
            h = h.wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25));
            h = h.wrapping_add((f ^ g) & e ^ g);
            d = d.wrapping_add(h);
            h = h.wrapping_add(a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22));
            h = h.wrapping_add((a | b) & c | a & b);
            g = g.wrapping_add(*second).wrapping_add(*next);
            g = g.wrapping_add(d.rotate_right(6) ^ d.rotate_right(11) ^ d.rotate_right(25));
            g = g.wrapping_add((e ^ f) & d ^ f);
            c = c.wrapping_add(g);
            g = g.wrapping_add(h.rotate_right(2) ^ h.rotate_right(13) ^ h.rotate_right(22));
            g = g.wrapping_add((h | a) & b | h & a);
            (a, b, c, d, e, f, g, h) = (g, h, a, b, c, d, e, f);
        }
        if left.is_empty() {
            break;
        }
        // The next sixteen words, each in the place of the one it needs last.
        // The remainders keep the indices inside.
        #[allow(clippy::indexing_slicing)]
        for i in 0..16 {
            let (early, late) = (words[(i + 1) % 16], words[(i + 14) % 16]);
            let early = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
            let late = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
            let sum = words[(i + 9) % 16].wrapping_add(early).wrapping_add(late);
            words[i] = words[i].wrapping_add(sum);
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}

/// Streaming SHA-256 (FIPS 180-4).
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    block: [u8; 64],
    /// Octets so far; the last of them are in `block`.
    len: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// An empty hash.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: INITIAL, block: [0; 64], len: 0 }
    }

    /// How many octets are in `block`.
    #[allow(clippy::cast_possible_truncation)]
    const fn held(&self) -> usize {
        (self.len % 64) as usize
    }

    /// Adds `bytes`.
    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let held = self.held();
            let room = self.block.get_mut(held..).unwrap_or_default();
            let now = room.len().min(rest.len());
            copy(rest, room);
            self.len = self.len.wrapping_add(now as u64);
            rest = rest.get(now..).unwrap_or_default();
            if self.len.is_multiple_of(64) {
                compress(&mut self.state, &self.block);
            }
        }
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let mut digest = [0; 32];
        self.end(&mut digest);
        digest
    }

    /// Writes the digest, leaving nothing behind: what is hashed may be a key. The hash is of no use then.
    #[inline(never)]
    pub(crate) fn end(&mut self, digest: &mut [u8; 32]) {
        self.pad();
        for (to, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(&self.state) {
            *to = word.to_be_bytes();
        }
        self.state = [0; 8];
        self.block = [0; 64];
        optimization_barrier(self);
    }

    /// Comes to the last state.
    #[inline(never)]
    fn pad(&mut self) {
        // A one bit, zeros, and the length in bits in the last eight octets (section 5.1.1).
        let bits = self.len.wrapping_mul(8);
        self.octet(0x80);
        loop {
            let at = self.held();
            self.block.iter_mut().skip(at).for_each(|octet| *octet = 0);
            if at <= 56 {
                break;
            }
            compress(&mut self.state, &self.block);
            self.len = 0;
        }
        if let Some(to) = self.block.last_chunk_mut() {
            *to = bits.to_be_bytes();
        }
        compress(&mut self.state, &self.block);
    }
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }

    // A call with a number is half as long as one with a slice.
    #[inline(never)]
    fn octet(&mut self, c: u8) {
        let at = self.held();
        if let Some(to) = self.block.get_mut(at) {
            *to = c;
        }
        self.len = self.len.wrapping_add(1);
        if at == 63 {
            compress(&mut self.state, &self.block);
        }
    }
}

impl core::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sha256")
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    hash(bytes, &mut digest);
    digest
}

#[inline(never)]
fn hash(bytes: &[u8], digest: &mut [u8; 32]) {
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.end(digest);
}

/// The outer hash of HMAC, behind its block of key, over the inner one's digest. It leaves nothing behind.
#[inline(never)]
fn close(inner: &mut Sha256, outer: &[u32; 8], tag: &mut [u8; 32]) {
    inner.pad();
    for (to, word) in inner.block.as_chunks_mut::<4>().0.iter_mut().zip(&inner.state) {
        *to = word.to_be_bytes();
    }
    inner.state = *outer;
    inner.len = 64 + 32;
    inner.end(tag);
}

/// What a key of HMAC-SHA256 comes to: the states of the inner and the outer hash behind their block of
/// key. It wipes itself.
#[derive(Clone)]
pub(crate) struct KeyStates {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl KeyStates {
    /// Of no key.
    pub(crate) const fn unset() -> Self {
        Self { inner: [0; 8], outer: [0; 8] }
    }

    /// Of `key`, of any length.
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut states = Self::unset();
        states.set(key);
        states
    }

    /// Takes another key, of any length.
    #[inline(never)]
    pub(crate) fn set(&mut self, key: &[u8]) {
        let mut block = [0; 64];
        match block.first_chunk_mut() {
            // A key longer than the block is hashed first.
            Some(digest) if key.len() > 64 => hash(key, digest),
            _ => copy(key, &mut block),
        }
        // The second pad, 0x5c, is laid over the first, 0x36.
        for (state, pad) in [(&mut self.inner, 0x3636_3636), (&mut self.outer, 0x6a6a_6a6a)] {
            for word in block.as_chunks_mut::<4>().0 {
                *word = (u32::from_ne_bytes(*word) ^ pad).to_ne_bytes();
            }
            *state = INITIAL;
            compress(state, &block);
        }
        block = [0; 64];
        optimization_barrier(&block);
    }

    /// The tag over `message`.
    pub(crate) fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        self.write_tag(message, &mut tag);
        tag
    }

    /// The same, in its place.
    #[inline(never)]
    pub(crate) fn write_tag(&self, message: &[u8], tag: &mut [u8; 32]) {
        self.tag_of(|hash| hash.update(message), tag);
    }

    /// The tag over what `write` writes. In its place from the start, since what is moved lies on the stack
    /// twice.
    #[inline(always)]
    pub(crate) fn tag_of(&self, write: impl FnOnce(&mut Sha256), tag: &mut [u8; 32]) {
        let mut inner = Sha256 { state: self.inner, block: [0; 64], len: 64 };
        write(&mut inner);
        close(&mut inner, &self.outer, tag);
    }

    /// A MAC under the key.
    fn mac(&self) -> HmacSha256 {
        let inner = Sha256 { state: self.inner, block: [0; 64], len: 64 };
        HmacSha256 { inner, outer: self.outer }
    }
}

impl Drop for KeyStates {
    fn drop(&mut self) {
        self.inner = [0; 8];
        self.outer = [0; 8];
        optimization_barrier(self);
    }
}

/// A chain of keys: each tag is the key of the next message.
#[derive(Default)]
pub(crate) struct Chain<'m>([&'m [u8]; 3]);

impl<'m> Chain<'m> {
    /// Takes the messages. Always true, unlike the form for hosts.
    pub(crate) fn load(&mut self, messages: [&'m [u8]; 3]) -> bool {
        self.0 = messages;
        true
    }

    /// Puts the last tag in the place of the first key.
    pub(crate) fn run(&mut self, link: &mut [u8; 32]) {
        let mut key = KeyStates::unset();
        for message in self.0 {
            key.set(link);
            key.write_tag(message, link);
        }
    }
}

/// Streaming HMAC-SHA256 (RFC 2104), already keyed. A clone starts from the keyed state without hashing
/// the key again; every copy wipes what depends on the key.
#[derive(Clone)]
pub struct HmacSha256 {
    inner: Sha256,
    outer: [u32; 8],
}

impl HmacSha256 {
    /// A MAC under `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        KeyStates::new(key).mac()
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The tag over all that was added.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let mut tag = [0; 32];
        close(&mut self.inner, &self.outer, &mut tag);
        tag
    }
}

impl Drop for HmacSha256 {
    fn drop(&mut self) {
        self.inner.state = [0; 8];
        self.outer = [0; 8];
        optimization_barrier(self);
    }
}

impl Sink for HmacSha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl core::fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HmacSha256([key])")
    }
}
