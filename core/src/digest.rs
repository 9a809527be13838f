//! SHA-256, SHA-384 and HMAC-SHA256, streaming. The compression functions are those of the crate `sha2`;
//! firmware builds choose its compact form with `--cfg sha2_backend_soft="compact"`.
//!
//! Padding and HMAC are written here, over `sha2::block_api`: the generic wrappers of `digest`, `hmac` and
//! `block-buffer` cost as much again as the few compressions of a request's signature, most of it in
//! wiping buffers that hold nothing secret.

use sha2::Digest as _;
use zeroize::Zeroize;

use crate::out::Sink;

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Streaming SHA-256 (FIPS 180-4).
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    block: [u8; 64],
    /// Octets so far; those modulo 64 wait in `block`.
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

    /// A hash that has taken one block and come to `state`.
    const fn after_block(state: [u32; 8]) -> Self {
        Self { state, block: [0; 64], len: 64 }
    }

    /// Adds `bytes`.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        let held = (self.len % 64) as usize;
        self.len = self.len.wrapping_add(bytes.len() as u64);
        let free = 64 - held;
        if bytes.len() < free {
            if let Some(to) = self.block.get_mut(held..held + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            return;
        }
        let mut rest = bytes;
        if held > 0 {
            let (now, later) = bytes.split_at_checked(free).unwrap_or_default();
            if let Some(to) = self.block.get_mut(held..)
                && to.len() == now.len()
            {
                to.copy_from_slice(now);
            }
            sha2::block_api::compress256(&mut self.state, core::slice::from_ref(&self.block));
            rest = later;
        }
        let (blocks, rest) = rest.as_chunks::<64>();
        if !blocks.is_empty() {
            sha2::block_api::compress256(&mut self.state, blocks);
        }
        if let Some(to) = self.block.get_mut(..rest.len()) {
            to.copy_from_slice(rest);
        }
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        self.digest()
    }

    fn digest(&mut self) -> [u8; 32] {
        // A one bit, zeros, and the length in bits in the last eight octets (section 5.1.1).
        let held = (self.len % 64) as usize;
        if let Some([first, zeros @ ..]) = self.block.get_mut(held..) {
            *first = 0x80;
            zeros.fill(0);
        }
        if held >= 56 {
            sha2::block_api::compress256(&mut self.state, core::slice::from_ref(&self.block));
            self.block = [0; 64];
        }
        if let Some(end) = self.block.last_chunk_mut::<8>() {
            *end = self.len.wrapping_mul(8).to_be_bytes();
        }
        sha2::block_api::compress256(&mut self.state, core::slice::from_ref(&self.block));
        octets(&self.state)
    }
}

fn octets(state: &[u32; 8]) -> [u8; 32] {
    let mut digest = [0u8; 32];
    for (to, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    digest
}

impl Sink for Sha256 {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
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
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.finish()
}

/// SHA-384 of `bytes`.
#[must_use]
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    sha2::Sha384::digest(bytes).into()
}

/// Streaming HMAC-SHA256 (RFC 2104), already keyed. A clone starts from the keyed state without hashing
/// the key again; every copy wipes what depends on the key.
#[derive(Clone)]
pub struct HmacSha256 {
    inner: Sha256,
    outer: [u32; 8],
}

/// What follows a digest of 32 octets behind a block of key: a one bit, zeros, 768 bits of length.
const OUTER_PADDING: [u8; 64] = {
    let mut block = [0; 64];
    block[32] = 0x80;
    block[62] = 3;
    block
};

impl HmacSha256 {
    /// A MAC under `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        // A key longer than the block is hashed first.
        let mut block = [0u8; 64];
        if let Some(to) = block.get_mut(..key.len()) {
            to.copy_from_slice(key);
        } else if let Some(to) = block.first_chunk_mut::<32>() {
            let mut hash = Sha256::new();
            hash.update(key);
            *to = hash.digest();
            hash.block.zeroize();
            hash.state.zeroize();
        }
        block.iter_mut().for_each(|octet| *octet ^= 0x36);
        let mut inner = INITIAL;
        sha2::block_api::compress256(&mut inner, core::slice::from_ref(&block));
        block.iter_mut().for_each(|octet| *octet ^= 0x36 ^ 0x5c);
        let mut outer = INITIAL;
        sha2::block_api::compress256(&mut outer, core::slice::from_ref(&block));
        // What follows the key's own octets is padding.
        if let Some(used) = block.get_mut(..key.len().clamp(32, 64)) {
            used.zeroize();
        }
        let mac = Self { inner: Sha256::after_block(inner), outer };
        inner.zeroize();
        outer.zeroize();
        mac
    }

    /// Adds `bytes`.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The tag over all that was added.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        // The outer hash takes one more block, whose padding is always the same.
        let mut block = OUTER_PADDING;
        if let Some(to) = block.first_chunk_mut() {
            *to = self.inner.digest();
        }
        sha2::block_api::compress256(&mut self.outer, core::slice::from_ref(&block));
        octets(&self.outer)
    }
}

impl Drop for HmacSha256 {
    fn drop(&mut self) {
        self.inner.state.zeroize();
        self.outer.zeroize();
    }
}

impl Sink for HmacSha256 {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl core::fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HmacSha256([key])")
    }
}

/// HMAC-SHA256 of `message` under `key`.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = HmacSha256::new(key);
    mac.update(message);
    mac.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn in_pieces_as_the_crates_do_at_once(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..150), 0..6),
            key in proptest::collection::vec(any::<u8>(), 0..150),
        ) {
            use hmac::{KeyInit as _, Mac as _};
            let whole = parts.concat();
            let mut hash = Sha256::new();
            let mut mac = HmacSha256::new(&key);
            for part in &parts {
                hash.update(part);
                mac.update(part);
            }
            let want: [u8; 32] = sha2::Sha256::digest(&whole).into();
            prop_assert_eq!(hash.finish(), want);
            let mut peer = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            peer.update(&whole);
            let want: [u8; 32] = peer.finalize().into_bytes().into();
            prop_assert_eq!(mac.finish(), want);
        }
    }

    // FIPS 180-4 examples, RFC 4231 test cases 2 and 6.
    #[test]
    fn known_answers() {
        let hex = |b: &[u8]| b.iter().map(|x| format!("{x:02x}")).collect::<String>();
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&sha384(b"abc")),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7"
        );
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
