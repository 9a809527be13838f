//! What a key can be asked to do, and the two forms of an ECDSA signature.

use core::fmt;

use crate::digest::{sha256, sha384};
use crate::error::Text;
use crate::{Error, ErrorKind, Result};

/// A signature scheme: key type, padding and hash in one name. The numbers are frozen for the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017): JWS `RS256`.
    RsaPkcs1Sha256 = 1,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets: JWS `PS256`.
    RsaPssSha256 = 2,
    /// ECDSA on P-256 with SHA-256: JWS `ES256`.
    EcdsaP256Sha256 = 3,
    /// ECDSA on P-384 with SHA-256: IAM Roles Anywhere hashes with SHA-256 whatever the curve.
    EcdsaP384Sha256 = 4,
    /// ECDSA on P-384 with SHA-384: JWS `ES384`.
    EcdsaP384Sha384 = 5,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 5] = [
        Self::RsaPkcs1Sha256,
        Self::RsaPssSha256,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha256,
        Self::EcdsaP384Sha384,
    ];

    /// The name in a JWS header (RFC 7518, section 3.1); none for P-384 with SHA-256.
    #[must_use]
    pub const fn jws_name(self) -> Option<&'static str> {
        match self {
            Self::RsaPkcs1Sha256 => Some("RS256"),
            Self::RsaPssSha256 => Some("PS256"),
            Self::EcdsaP256Sha256 => Some("ES256"),
            Self::EcdsaP384Sha256 => None,
            Self::EcdsaP384Sha384 => Some("ES384"),
        }
    }

    /// The scheme of a JWS name.
    #[must_use]
    pub fn from_jws_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.jws_name() == Some(name))
    }

    /// The size of one ECDSA coordinate in octets; none for RSA.
    #[must_use]
    pub const fn coordinate_len(self) -> Option<usize> {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 => None,
            Self::EcdsaP256Sha256 => Some(32),
            Self::EcdsaP384Sha256 | Self::EcdsaP384Sha384 => Some(48),
        }
    }
}

/// The largest signature that [`Exchange::request`](crate::Exchange::request) and
/// [`Assertion::sign`](crate::Assertion::sign) have room for, in octets: RSA with 8192 bits.
pub const MAX_SIGNATURE_LEN: usize = 1024;

/// What is to be signed. A TPM takes the digest, ML-DSA and smart HSMs take the message: each signer
/// asks for what it needs.
#[derive(Clone, Copy)]
pub struct ToSign<'a> {
    octets: &'a [u8],
    /// They are the digest of a message that nobody has here.
    hashed: bool,
    seed: &'a [u8; 32],
}

impl<'a> ToSign<'a> {
    /// `message`, with 32 fresh random octets from which [`entropy`](Self::entropy) is made.
    #[must_use]
    pub const fn new(message: &'a [u8], seed: &'a [u8; 32]) -> Self {
        Self { octets: message, hashed: false, seed }
    }

    /// The `digest` of a message, for interfaces that were given no more; all else is as with
    /// [`new`](Self::new). Whoever signs a digest signs any message that has it: it must come from
    /// where the message would.
    #[must_use]
    pub const fn prehashed(digest: &'a [u8], seed: &'a [u8; 32]) -> Self {
        Self { octets: digest, hashed: true, seed }
    }

    /// The octets to sign; none when there is a digest alone. A signer that cannot do with that refuses
    /// with [`SignError::NO_MESSAGE`].
    #[must_use]
    pub const fn message(&self) -> Option<&'a [u8]> {
        if self.hashed { None } else { Some(self.octets) }
    }

    /// The digest that `scheme` signs.
    ///
    /// # Errors
    /// [`SignError::DIGEST_LENGTH`], if the digest came from outside.
    pub fn digest(&self, scheme: Scheme) -> core::result::Result<Digest, SignError> {
        let mut digest = Digest { bytes: [0; 48], len: 48 };
        if scheme != Scheme::EcdsaP384Sha384 {
            digest.len = 32;
            if let Some(to) = digest.bytes.get_mut(..32) {
                crate::out::copy(&self.sha256()?, to);
            }
        } else if !self.hashed {
            digest.bytes = sha384(self.octets);
        } else {
            digest.bytes = self.octets.try_into().map_err(|_| SignError::DIGEST_LENGTH)?;
        }
        Ok(digest)
    }

    /// The digest of every scheme with SHA-256, for whoever has no other: nothing of SHA-384 is linked.
    ///
    /// # Errors
    /// As [`digest`](Self::digest).
    pub fn sha256(&self) -> core::result::Result<[u8; 32], SignError> {
        if self.hashed {
            return self.octets.try_into().map_err(|_| SignError::DIGEST_LENGTH);
        }
        Ok(sha256(self.octets))
    }

    /// 32 octets for a PSS salt, RSA blinding or hedged ECDSA: secret, and unrelated to any other value
    /// made from the same attempt.
    #[must_use]
    pub fn entropy(&self) -> [u8; 32] {
        derive(self.seed, b"signature entropy")
    }
}

/// A value for one purpose out of an attempt's random octets, which stay secret.
pub(crate) fn derive(seed: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    crate::digest::hmac_sha256(seed, purpose)
}

impl fmt::Debug for ToSign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.hashed { "digest" } else { "message" };
        write!(f, "ToSign({what} of {} octets)", self.octets.len())
    }
}

/// A message digest: 32 or 48 octets, by [`ToSign::digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; 48],
    len: usize,
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A key that signs and never shows itself: in a TPM, an HSM, a secure element, a remote service, or in
/// memory.
pub trait Signer {
    /// The public key as a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    fn public_key(&self) -> &[u8];

    /// Whether this key can sign with `scheme`.
    fn supports(&self, scheme: Scheme) -> bool;

    /// The most octets a signature of `scheme` can have. Asking is free: nothing is signed.
    fn max_signature_len(&self, scheme: Scheme) -> usize;

    /// Signs, writes the signature to the start of `out`, and returns its length. An ECDSA signature is
    /// r||s, each padded on the left to the size of the curve.
    ///
    /// # Errors
    /// [`SignError`], with `out` in any state; [`NO_MESSAGE`](SignError::NO_MESSAGE) and
    /// [`DIGEST_LENGTH`](SignError::DIGEST_LENGTH) where only a digest is to be signed.
    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError>;
}

impl<T: Signer + ?Sized> Signer for &T {
    fn public_key(&self) -> &[u8] {
        (**self).public_key()
    }

    fn supports(&self, scheme: Scheme) -> bool {
        (**self).supports(scheme)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        (**self).max_signature_len(scheme)
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        (**self).sign(scheme, to_sign, out)
    }
}

/// A key that makes HMAC-SHA256 tags: the AWS secret (`"AWS4"` and the secret access key) inside a
/// device, or in memory.
pub trait Mac {
    /// The tag over `message`.
    ///
    /// # Errors
    /// [`SignError`] when the device fails.
    fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError>;
}

impl<T: Mac + ?Sized> Mac for &T {
    fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError> {
        (**self).hmac_sha256(message)
    }
}

/// Why a key did not sign. Like [`Error`], it holds no data of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignError {
    text: Text,
    code: u32,
}

impl SignError {
    /// The key cannot sign with the scheme asked for.
    pub const UNSUPPORTED: Self =
        Self::new("sign", "this key does not support the signature scheme asked for");

    /// The key needs the message, and was given a digest alone.
    pub const NO_MESSAGE: Self = Self::new(
        "sign",
        "this key hashes the message itself: have it sign the message, not a digest",
    );

    /// The digest to sign is not one of the scheme's hash.
    pub const DIGEST_LENGTH: Self = Self::new(
        "digest",
        "must be as long as the scheme's hash: 32 octets for SHA-256, 48 for SHA-384",
    );

    /// The buffer for the signature is shorter than `max_signature_len`.
    pub const TOO_SMALL: Self = Self::new("sign", "the buffer for the signature is too small");

    /// `operation` failed (the device's own name for it, such as `C_Sign`); `help` says what to do.
    #[must_use]
    pub const fn new(operation: &'static str, help: &'static str) -> Self {
        Self { text: Text::new(operation, help), code: 0 }
    }

    /// The same error with the device's return code.
    #[must_use]
    pub const fn code(mut self, code: u32) -> Self {
        self.code = code;
        self
    }

    /// The device's return code, 0 when there is none.
    #[must_use]
    pub const fn return_code(&self) -> u32 {
        self.code
    }
}

impl From<SignError> for Error {
    fn from(e: SignError) -> Self {
        Self::of(ErrorKind::Signer, e.text).at(e.code as usize)
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Error::from(*self).fmt(f)
    }
}

impl core::error::Error for SignError {}

/// Signs into `out`, holding the signer to its word: a scheme it supports, and a length that fits.
pub(crate) fn sign_into<'o>(
    signer: &dyn Signer,
    scheme: Scheme,
    to_sign: &ToSign<'_>,
    out: &'o mut [u8],
) -> Result<&'o [u8]> {
    if !signer.supports(scheme) {
        return Err(SignError::UNSUPPORTED.into());
    }
    let len = signer.sign(scheme, to_sign, out)?;
    out.get(..len)
        .ok_or(SignError::new("sign", "the signer claims to have written too much").into())
}

/// The longest DER form of an ECDSA signature on P-384.
pub const MAX_ECDSA_DER_LEN: usize = 104;

/// r||s, both of the same size, to the DER `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279, section
/// 2.2.3), at the start of `out`.
///
/// # Errors
/// [`Malformed`](ErrorKind::Malformed) unless `raw` has 64 or 96 octets and neither half is zero;
/// [`BufferTooSmall`](ErrorKind::BufferTooSmall).
pub fn ecdsa_der_from_raw<'o>(raw: &[u8], out: &'o mut [u8]) -> Result<&'o [u8]> {
    const BAD: Error =
        Error::malformed("ECDSA signature", "expected r||s of 64 or 96 octets, neither zero");
    if raw.len() != 64 && raw.len() != 96 {
        return Err(BAD);
    }
    let (r, s) = raw.split_at_checked(raw.len() / 2).ok_or(BAD)?;
    let (r, s) = (magnitude(r).ok_or(BAD)?, magnitude(s).ok_or(BAD)?);
    let body = 4 + der_integer_len(r) + der_integer_len(s);
    let mut to = crate::Out::new(out);
    // At most 2 * (2 + 1 + 48) = 102 octets: always the short form of a length.
    let octet = |len| u8::try_from(len).unwrap_or_default();
    crate::Sink::put(&mut to, &[0x30, octet(body)]);
    for part in [r, s] {
        crate::Sink::put(&mut to, &[0x02, octet(der_integer_len(part))]);
        if part.first().is_some_and(|b| b & 0x80 != 0) {
            crate::Sink::put(&mut to, &[0]);
        }
        crate::Sink::put(&mut to, part);
    }
    Ok(to.finish()?)
}

/// A strict DER `SEQUENCE { r INTEGER, s INTEGER }` to r||s, each padded on the left to `size` octets
/// (32 for P-256, 48 for P-384), at the start of `out`.
///
/// # Errors
/// [`Malformed`](ErrorKind::Malformed) for anything that is not the one DER form of two positive
/// integers of at most `size` octets; [`BufferTooSmall`](ErrorKind::BufferTooSmall).
pub fn ecdsa_raw_from_der<'o>(der: &[u8], size: usize, out: &'o mut [u8]) -> Result<&'o [u8]> {
    const BAD: Error =
        Error::malformed("ECDSA signature", "expected the DER form of two positive integers");
    let [0x30, len, body @ ..] = der else {
        return Err(BAD);
    };
    if usize::from(*len) != body.len() || *len >= 0x80 {
        return Err(BAD);
    }
    let (r, body) = der_integer(body).ok_or(BAD)?;
    let (s, rest) = der_integer(body).ok_or(BAD)?;
    if !rest.is_empty() {
        return Err(BAD);
    }
    ecdsa_raw_from_parts(r, s, size, out)
}

/// r and s as a device gave them (big-endian, any length) to r||s, each padded on the left to `size`
/// octets: a TPM drops leading zeros, so about one signature in 128 is short.
///
/// # Errors
/// [`Malformed`](ErrorKind::Malformed) when a part is zero or larger than `size` octets;
/// [`BufferTooSmall`](ErrorKind::BufferTooSmall).
pub fn ecdsa_raw_from_parts<'o>(
    r: &[u8],
    s: &[u8],
    size: usize,
    out: &'o mut [u8],
) -> Result<&'o [u8]> {
    const BAD: Error =
        Error::malformed("ECDSA signature", "r and s must be positive and fit the curve");
    let needed = size.saturating_mul(2);
    let to = out.get_mut(..needed).ok_or(Error::too_small("ECDSA signature", needed))?;
    to.fill(0);
    for (part, half) in [r, s].into_iter().zip(to.chunks_exact_mut(size.max(1))) {
        let part = magnitude(part).ok_or(BAD)?;
        let gap = half.len().checked_sub(part.len()).ok_or(BAD)?;
        crate::out::copy(part, half.get_mut(gap..).ok_or(BAD)?);
    }
    Ok(to)
}

/// A big-endian integer without its leading zeros; none for zero.
fn magnitude(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.iter().position(|b| *b != 0)?;
    bytes.get(start..)
}

fn der_integer_len(magnitude: &[u8]) -> usize {
    magnitude.len() + usize::from(magnitude.first().is_some_and(|b| b & 0x80 != 0))
}

/// A minimal positive INTEGER at the start of `der`, and what follows it.
fn der_integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x02, len @ 1..=0x7f, rest @ ..] = der else {
        return None;
    };
    let (value, after) = rest.split_at_checked(usize::from(*len))?;
    match value {
        // A zero octet stands only before a set top bit.
        [0, next, ..] if next & 0x80 != 0 => Some((value, after)),
        [first, ..] if *first != 0 && first & 0x80 == 0 => Some((value, after)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn der(raw: &[u8]) -> Vec<u8> {
        ecdsa_der_from_raw(raw, &mut [0; MAX_ECDSA_DER_LEN]).unwrap().to_vec()
    }

    #[test]
    fn a_digest_is_taken_as_it_is() {
        let seed = [7; 32];
        let (short, long) = (sha256(b"message"), sha384(b"message"));
        let message = ToSign::new(b"message", &seed);
        assert_eq!(message.message(), Some(&b"message"[..]));
        for scheme in Scheme::ALL {
            let (right, wrong): (&[u8], &[u8]) = match scheme {
                Scheme::EcdsaP384Sha384 => (&long, &short),
                _ => (&short, &long),
            };
            let digest = ToSign::prehashed(right, &seed);
            assert_eq!(digest.digest(scheme).unwrap().as_ref(), right, "{scheme:?}");
            assert_eq!(digest.digest(scheme), message.digest(scheme), "{scheme:?}");
            assert_eq!((digest.message(), digest.entropy()), (None, message.entropy()));
            for wrong in [wrong, &right[1..], &[]] {
                let refused = ToSign::prehashed(wrong, &seed).digest(scheme);
                assert_eq!(refused, Err(SignError::DIGEST_LENGTH), "{scheme:?}");
            }
        }
        assert_eq!(ToSign::prehashed(&long, &seed).sha256(), Err(SignError::DIGEST_LENGTH));
        assert_eq!(format!("{message:?}"), "ToSign(message of 7 octets)");
    }

    #[test]
    fn short_and_high_integers() {
        let mut raw = [0u8; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let made = der(&raw);
        assert_eq!(&made[..7], [0x30, 38, 2, 1, 1, 2, 33]);
        assert_eq!(&made[7..9], [0, 0x80]);
        let mut back = [0u8; 64];
        assert_eq!(ecdsa_raw_from_der(&made, 32, &mut back).unwrap(), raw);
        // A TPM's short r, and an s with a DER-like zero in front.
        let joined = ecdsa_raw_from_parts(&[7], &[0; 40], 32, &mut back);
        assert!(joined.is_err());
        let mut long = [0u8; 33];
        long[1] = 0xff;
        let joined = ecdsa_raw_from_parts(&[7], &long, 32, &mut back).unwrap();
        assert_eq!((joined[31], joined[32], joined.len()), (7, 0xff, 64));
    }

    #[test]
    fn refusals() {
        let mut out = [0u8; 96];
        let good = [0x30, 6, 2, 1, 1, 2, 1, 1];
        assert!(ecdsa_raw_from_der(&good, 32, &mut out).is_ok());
        let bad: [&[u8]; 9] = [
            &[],
            &[0x30, 6, 2, 1, 1, 2, 1],
            &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],
            &[0x30, 6, 2, 1, 0, 2, 1, 1],
            &[0x30, 6, 2, 1, 0x81, 2, 1, 1],
            &[0x30, 5, 2, 0, 2, 1, 1],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
        ];
        for b in bad {
            assert!(ecdsa_raw_from_der(b, 32, &mut out).is_err(), "{b:?}");
        }
        assert!(ecdsa_der_from_raw(&[1; 63], &mut out).is_err());
        assert!(ecdsa_der_from_raw(&[0; 64], &mut out).is_err());
        let small = ecdsa_der_from_raw(&[0x81; 64], &mut [0; 71]).unwrap_err();
        assert_eq!(small.needed(), Some(72));
    }

    proptest! {
        #[test]
        fn round_trip(mut raw in proptest::collection::vec(any::<u8>(), 96), cut in 0usize..48) {
            raw[..cut].fill(0);
            raw[47] |= 1;
            raw[95] |= 1;
            let made = der(&raw);
            let mut back = [0u8; 96];
            prop_assert_eq!(ecdsa_raw_from_der(&made, 48, &mut back).unwrap(), &raw[..]);
        }

        #[test]
        fn der_reader_never_panics(der in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = ecdsa_raw_from_der(&der, 32, &mut [0; 64]);
        }
    }
}
