//! The form for hosts: fast. The compression functions are those of the crate `sha2`. Padding and HMAC are
//! written here, over `sha2::block_api`: the generic wrappers of `digest`, `hmac` and `block-buffer` cost as
//! much again as the few compressions of a request's signature, most of it in wiping buffers that hold
//! nothing secret.

use core::slice::from_ref;

use sha2::block_api::compress256;
use zeroize::optimization_barrier;

use super::INITIAL;
use crate::out::{Sink, copy};

/// Blocks held back, so that a request's many short pieces make few calls of the compression.
const HELD: usize = 2;

/// Streaming SHA-256 (FIPS 180-4).
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// With room for the padding.
    held: [[u8; 64]; HELD + 1],
    /// Octets in `held`.
    len: usize,
    /// Octets that were compressed.
    done: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// An empty hash.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { state: INITIAL, held: [[0; 64]; HELD + 1], len: 0, done: 0 }
    }

    /// A hash that has taken one block and come to `state`.
    #[inline]
    const fn after_block(state: [u32; 8]) -> Self {
        Self { state, held: [[0; 64]; HELD + 1], len: 0, done: 64 }
    }

    /// What `update` fills.
    #[inline]
    fn room(&mut self) -> &mut [u8] {
        self.held.split_last_mut().map(|(_, held)| held).unwrap_or_default().as_flattened_mut()
    }

    /// Adds `bytes`.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        let (from, to) = (self.len, self.len + bytes.len());
        match self.room().get_mut(from..to) {
            Some(to) => {
                copy(bytes, to);
                self.len += bytes.len();
            }
            None => self.overflow(bytes),
        }
    }

    #[cold]
    fn overflow(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.len > 0 {
            let held = self.len;
            let to = self.room().get_mut(held..).unwrap_or_default();
            let (now, later) = bytes.split_at_checked(to.len()).unwrap_or_default();
            copy(now, to);
            compress256(&mut self.state, self.held.get(..HELD).unwrap_or_default());
            self.done = self.done.wrapping_add(64 * HELD as u64);
            rest = later;
        }
        let (blocks, rest) = rest.as_chunks::<64>();
        compress256(&mut self.state, blocks);
        self.done = self.done.wrapping_add(64 * blocks.len() as u64);
        if let Some(to) = self.room().get_mut(..rest.len()) {
            to.copy_from_slice(rest);
        }
        self.len = rest.len();
    }

    /// The digest of all that was added.
    #[must_use]
    #[inline]
    pub fn finish(mut self) -> [u8; 32] {
        self.pad();
        octets(&self.state)
    }

    /// Writes the digest. The hash is of no use then.
    #[inline]
    pub(crate) fn end(&mut self, digest: &mut [u8; 32]) {
        self.pad();
        *digest = octets(&self.state);
    }

    /// Comes to the last state.
    fn pad(&mut self) {
        let len = self.done.wrapping_add(self.len as u64);
        compress256(&mut self.state, padded(&mut self.held, self.len, len));
    }
}

/// The blocks that `held` octets at the start of `blocks` come to with their padding, when the message
/// has `len` octets (FIPS 180-4, section 5.1.1); none without room for them.
#[inline]
fn padded(blocks: &mut [[u8; 64]], held: usize, len: u64) -> &[[u8; 64]] {
    let blocks = blocks.get_mut(..(held + 9).div_ceil(64)).unwrap_or_default();
    // A one bit, zeros, and the length in bits in the last eight octets.
    if let Some([one, zeros @ ..]) = blocks.as_flattened_mut().get_mut(held..) {
        *one = 0x80;
        zeros.fill(0);
        if let Some(bits) = zeros.last_chunk_mut() {
            *bits = len.wrapping_mul(8).to_be_bytes();
        }
    }
    blocks
}

/// The state after `rest` and the padding, which follow `done` octets.
#[inline]
fn last(mut state: [u32; 8], done: u64, rest: &[u8]) -> [u32; 8] {
    let (blocks, tail) = rest.as_chunks::<64>();
    // Written before the long compression: what was written in pieces cannot be read as a block at once.
    let mut end = [[0; 64]; 2];
    if let Some(to) = end.as_flattened_mut().get_mut(..tail.len()) {
        to.copy_from_slice(tail);
    }
    let end = padded(&mut end, tail.len(), done.wrapping_add(rest.len() as u64));
    if !blocks.is_empty() {
        compress256(&mut state, blocks);
    }
    compress256(&mut state, end);
    state
}

/// The octets of a state.
fn octets(state: &[u32; 8]) -> [u8; 32] {
    let mut digest = [0u8; 32];
    for (to, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    digest
}

/// The octets of a state that is not left behind: a tag may be a key.
#[inline]
fn taken(state: &mut [u32; 8]) -> [u8; 32] {
    let tag = octets(state);
    *state = [0; 8];
    optimization_barrier(state);
    tag
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
    octets(&last(INITIAL, 0, bytes))
}

/// What a key of HMAC-SHA256 comes to: the states of the inner and the outer hash behind their block of
/// key. It wipes itself.
#[derive(Clone)]
pub(crate) struct KeyStates {
    inner: [u32; 8],
    outer: [u32; 8],
}

/// What follows a digest of 32 octets behind a block of key: a one bit, zeros, 768 bits of length.
const OUTER_PADDING: [u8; 64] = {
    let mut block = [0; 64];
    block[32] = 0x80;
    block[62] = 3;
    block
};

#[inline]
fn outer_block(inner: &[u32; 8]) -> [u8; 64] {
    let mut block = OUTER_PADDING;
    if let Some(to) = block.first_chunk_mut() {
        *to = octets(inner);
    }
    block
}

impl KeyStates {
    /// Of no key.
    pub(crate) const fn unset() -> Self {
        Self { inner: [0; 8], outer: [0; 8] }
    }

    /// Of `key`, of any length.
    #[inline]
    pub(crate) fn new(key: &[u8]) -> Self {
        // A key longer than the block is hashed first.
        let mut block = [0u8; 64];
        if let Some(to) = block.get_mut(..key.len()) {
            to.copy_from_slice(key);
        } else if let Some(to) = block.first_chunk_mut() {
            let mut hash = Sha256::new();
            hash.update(key);
            hash.pad();
            *to = octets(&hash.state);
            hash = Sha256::new();
            optimization_barrier(&hash);
        }
        let states = Self::of_block(&block);
        block = [0; 64];
        optimization_barrier(&block);
        states
    }

    /// Takes another key, of any length.
    #[inline]
    pub(crate) fn set(&mut self, key: &[u8]) {
        *self = Self::new(key);
    }

    /// Of a key of up to 64 octets, filled up with zeros.
    #[inline]
    pub(crate) fn of_block(block: &[u8; 64]) -> Self {
        // The two compressions stand side by side, so that a processor can run them at a time.
        // In their place: what is made elsewhere and copied stays behind.
        let mut pads = [[0x36; 64], [0x5c; 64]];
        for pad in &mut pads {
            pad.iter_mut().zip(block).for_each(|(to, octet)| *to ^= octet);
        }
        let mut states = Self { inner: INITIAL, outer: INITIAL };
        let [inner, outer] = &pads;
        compress256(&mut states.inner, from_ref(inner));
        compress256(&mut states.outer, from_ref(outer));
        pads = [[0; 64]; 2];
        optimization_barrier(&pads);
        states
    }

    /// The tag over `message`.
    #[inline]
    pub(crate) fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.close(&last(self.inner, 64, message))
    }

    /// The same, in its place.
    #[cfg(feature = "hmac")]
    #[inline]
    pub(crate) fn write_tag(&self, message: &[u8], tag: &mut [u8; 32]) {
        *tag = self.tag(message);
    }

    /// The tag over what `write` writes.
    #[inline]
    pub(crate) fn tag_of(&self, write: impl FnOnce(&mut Sha256), tag: &mut [u8; 32]) {
        // In its place, without a copy of the outer state.
        let mut inner = Sha256::after_block(self.inner);
        write(&mut inner);
        inner.pad();
        *tag = self.close(&inner.state);
        inner.state = [0; 8];
        optimization_barrier(&inner.state);
    }

    /// A MAC under the key.
    #[inline]
    fn mac(&self) -> HmacSha256 {
        HmacSha256 { inner: Sha256::after_block(self.inner), key: self.clone() }
    }

    /// The outer hash takes one more block, whose padding is always the same.
    #[inline]
    fn close(&self, inner: &[u32; 8]) -> [u8; 32] {
        let mut outer = self.outer;
        compress256(&mut outer, from_ref(&outer_block(inner)));
        taken(&mut outer)
    }
}

impl Drop for KeyStates {
    #[inline]
    fn drop(&mut self) {
        self.inner = [0; 8];
        self.outer = [0; 8];
        optimization_barrier(self);
    }
}

/// A chain of keys: each tag is the key of the next message.
#[derive(Default)]
pub(crate) struct Chain([ChainStep; 3]);

impl Chain {
    /// Takes the messages; false for one of more than 119 octets. They are made ready ahead of the
    /// compressions: what was written in pieces cannot be read as a block at once.
    #[inline]
    pub(crate) fn load(&mut self, messages: [&[u8]; 3]) -> bool {
        self.0.iter_mut().zip(messages).all(|(step, message)| step.load(message).is_some())
    }

    /// Puts the last tag in the place of the first key.
    #[inline]
    pub(crate) fn run(&mut self, link: &mut [u8; 32]) {
        for step in &mut self.0 {
            step.tag(link);
        }
    }
}

/// One step of a chain of keys: a short message, made ready for the key that is the tag before. It wipes
/// itself.
struct ChainStep {
    /// Room for the block of key, and the padded message.
    inner: [[u8; 64]; 3],
    count: usize,
}

impl ChainStep {
    /// None for more than 119 octets.
    #[inline]
    fn load(&mut self, message: &[u8]) -> Option<()> {
        let [_, padding @ ..] = &mut self.inner;
        padding.as_flattened_mut().get_mut(..message.len())?.copy_from_slice(message);
        self.count = 1 + padded(padding, message.len(), 64 + message.len() as u64).len();
        (self.count > 1).then_some(())
    }

    /// Puts the tag under the key `link` in its place, with three calls of the compression in place of four.
    /// Not inlined: the octets of the key would be spread over registers one by one.
    #[inline(never)]
    fn tag(&mut self, link: &mut [u8; 32]) {
        // In its place: what is made elsewhere and copied stays behind.
        let pad = |block: &mut [u8; 64], link: &[u8; 32], with: u8| {
            // Each octet is written once: what was just written in pieces is slow to read as a whole.
            let (key, rest) = block.split_at_mut(link.len());
            key.iter_mut().zip(link).for_each(|(to, octet)| *to = octet ^ with);
            rest.fill(with);
        };
        let mut outer_pad = [0; 64];
        pad(&mut outer_pad, link, 0x5c);
        let [key_block, ..] = &mut self.inner;
        pad(key_block, link, 0x36);
        let (mut inner, mut outer) = (INITIAL, INITIAL);
        // First, so that a processor runs it beside the inner ones, which do not wait for it.
        compress256(&mut outer, from_ref(&outer_pad));
        compress256(&mut inner, self.inner.get(..self.count).unwrap_or_default());
        let mut end = outer_block(&inner);
        compress256(&mut outer, from_ref(&end));
        (outer_pad, end) = ([0; 64], [0; 64]);
        optimization_barrier(&outer_pad);
        optimization_barrier(&end);
        for (to, word) in link.as_chunks_mut::<4>().0.iter_mut().zip(&outer) {
            *to = word.to_be_bytes();
        }
        outer = INITIAL;
        optimization_barrier(&outer);
    }
}

impl Default for ChainStep {
    #[inline]
    fn default() -> Self {
        Self { inner: [[0; 64]; 3], count: 0 }
    }
}

impl Drop for ChainStep {
    #[inline]
    fn drop(&mut self) {
        let [key_block, ..] = &mut self.inner;
        *key_block = [0; 64];
        optimization_barrier(key_block);
    }
}

/// Streaming HMAC-SHA256 (RFC 2104), already keyed. A clone starts from the keyed state without hashing
/// the key again; every copy wipes what depends on the key.
#[derive(Clone)]
pub struct HmacSha256 {
    inner: Sha256,
    key: KeyStates,
}

impl HmacSha256 {
    /// A MAC under `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        KeyStates::new(key).mac()
    }

    /// Adds `bytes`.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The tag over all that was added.
    #[must_use]
    #[inline]
    pub fn finish(mut self) -> [u8; 32] {
        self.inner.pad();
        self.key.close(&self.inner.state)
    }
}

impl Drop for HmacSha256 {
    #[inline]
    fn drop(&mut self) {
        self.inner.state = [0; 8];
        optimization_barrier(&self.inner.state);
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
