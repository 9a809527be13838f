//! Public keys as SubjectPublicKeyInfo and JWK, and the trait for checking signatures with them.

use der::Decode;
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Reader as _, SliceReader};
use spki::SubjectPublicKeyInfoRef;

use crate::digest::Sha256;
use crate::encode::base64;
use crate::json::{Object, Value};
use crate::{Error, Out, Result, Scheme, Sink};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// `SEQUENCE { OID rsaEncryption, NULL }`
const RSA_ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;
const MAX_RSA_LEN: usize = MAX_RSA_BITS / 8;
const MAX_EXPONENT_LEN: usize = 8;

/// The longest SubjectPublicKeyInfo that [`PublicKey`] reads and [`spki_from_jwk`] writes, in octets:
/// RSA with 8192 bits and an exponent of 64 bits.
pub const MAX_SPKI_LEN: usize = {
    let pair = tlv_len(MAX_RSA_LEN + 1) + tlv_len(MAX_EXPONENT_LEN + 1);
    tlv_len(RSA_ALGORITHM.len() + tlv_len(1 + tlv_len(pair)))
};

/// A parsed SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) of a kind this crate can use: RSA of 2048
/// to 8192 bits, P-256 or P-384.
///
/// Two are equal when they are the same key: RSA parameters `NULL` or absent make no difference. That
/// an EC point lies on its curve is for the verifier to check, which has the arithmetic.
#[derive(Clone, Copy, Debug)]
pub struct PublicKey<'a> {
    spki: &'a [u8],
    key: Key<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key<'a> {
    P256(&'a [u8]),
    P384(&'a [u8]),
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// The NIST curve P-256 (secp256r1, prime256v1).
    P256,
    /// The NIST curve P-384 (secp384r1).
    P384,
    /// RSA.
    Rsa {
        /// Size of the modulus.
        bits: usize,
    },
}

impl<'a> PublicKey<'a> {
    /// Reads a SubjectPublicKeyInfo in strict DER, with nothing after it.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) for what is not one (RFC 8017, appendix A.1; RFC 5480,
    /// section 2), and for an RSA key with an even modulus, or an exponent that is even, below 3 or
    /// above 64 bits. [`Unsupported`](crate::ErrorKind::Unsupported) for other algorithms, curves,
    /// sizes, and compressed points.
    pub fn from_spki(der: &'a [u8]) -> Result<Self> {
        const BAD: Error =
            Error::malformed("public key", "expected one SubjectPublicKeyInfo in DER");
        const BAD_EC: Error =
            Error::malformed("EC public key", "expected a named curve and 0x04, x and y");
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| BAD)?;
        let bits = spki.subject_public_key.as_bytes().ok_or(BAD)?;
        let key = match spki.algorithm.oid {
            RSA_ENCRYPTION => {
                if spki.algorithm.parameters.is_some_and(|p| !p.is_null()) {
                    return Err(BAD_RSA);
                }
                rsa_public_key(bits)?
            }
            EC_PUBLIC_KEY => {
                let (point, len) = match spki.algorithm.parameters_oid().map_err(|_| BAD_EC)? {
                    PRIME256V1 => (Key::P256(bits), 65),
                    SECP384R1 => (Key::P384(bits), 97),
                    _ => return Err(Error::unsupported("EC curve", "use P-256 or P-384")),
                };
                match bits {
                    [0x04, ..] if bits.len() == len => point,
                    [0x02 | 0x03, ..] if bits.len() == len.div_ceil(2) => {
                        return Err(Error::unsupported(
                            "EC public key",
                            "use the uncompressed form of the point",
                        ));
                    }
                    _ => return Err(BAD_EC),
                }
            }
            _ => return Err(Error::unsupported("public key", "use RSA, P-256 or P-384")),
        };
        Ok(Self { spki: der, key })
    }

    /// The SubjectPublicKeyInfo it was read from.
    #[must_use]
    pub const fn spki(&self) -> &'a [u8] {
        self.spki
    }

    /// The kind of key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self.key {
            Key::P256(_) => KeyAlgorithm::P256,
            Key::P384(_) => KeyAlgorithm::P384,
            Key::Rsa { modulus, .. } => KeyAlgorithm::Rsa { bits: bit_len(modulus) },
        }
    }

    /// Whether signatures of `scheme` can be made and checked with such a key.
    #[must_use]
    pub fn supports(&self, scheme: Scheme) -> bool {
        self.max_signature_len(scheme) != 0
    }

    /// The length of a signature of `scheme` in octets, 0 when such a key has none: 64 or 96 for ECDSA
    /// (r||s), the length of the modulus for RSA.
    #[must_use]
    pub fn max_signature_len(&self, scheme: Scheme) -> usize {
        match (self.key, scheme) {
            (Key::P256(_), Scheme::EcdsaP256Sha256) => 64,
            (Key::P384(_), Scheme::EcdsaP384Sha256 | Scheme::EcdsaP384Sha384) => 96,
            (Key::Rsa { modulus, .. }, Scheme::RsaPkcs1Sha256 | Scheme::RsaPssSha256) => {
                modulus.len()
            }
            _ => 0,
        }
    }

    /// Modulus and exponent of an RSA key, big-endian without leading zeros.
    #[must_use]
    pub fn rsa(&self) -> Option<(&'a [u8], &'a [u8])> {
        match self.key {
            Key::Rsa { modulus, exponent } => Some((modulus, exponent)),
            _ => None,
        }
    }

    /// The uncompressed point of an EC key (SEC 1, section 2.3.3): 0x04, x, y.
    #[must_use]
    pub fn ec_point(&self) -> Option<&'a [u8]> {
        match self.key {
            Key::P256(point) | Key::P384(point) => Some(point),
            Key::Rsa { .. } => None,
        }
    }

    /// Writes the key as a JWK (RFC 7517; members by RFC 7518, section 6), with `kid` and `alg` where
    /// they are given.
    pub fn write_jwk(&self, kid: Option<&str>, alg: Option<&str>, out: &mut impl Sink) {
        let mut object = Object::new(out);
        self.write_jwk_members(&mut object);
        object.optional("alg", alg).optional("kid", kid);
        object.end();
    }

    /// The SHA-256 thumbprint of the JWK (RFC 7638).
    #[must_use]
    pub fn jwk_thumbprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut object = Object::new(&mut hash);
        self.write_jwk_members(&mut object);
        object.end();
        hash.finish()
    }

    /// The required members in lexicographic order, as the thumbprint wants them.
    fn write_jwk_members<S: Sink>(&self, object: &mut Object<'_, S>) {
        let (curve, point) = match self.key {
            Key::Rsa { modulus, exponent } => {
                octets(object, "e", exponent);
                object.string("kty", "RSA");
                octets(object, "n", modulus);
                return;
            }
            Key::P256(point) => ("P-256", point),
            Key::P384(point) => ("P-384", point),
        };
        let xy = point.get(1..).unwrap_or_default();
        let (x, y) = xy.split_at_checked(xy.len() / 2).unwrap_or_default();
        object.string("crv", curve).string("kty", "EC");
        octets(object, "x", x);
        octets(object, "y", y);
    }
}

impl PartialEq for PublicKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PublicKey<'_> {}

const BAD_RSA: Error =
    Error::malformed("RSA public key", "expected an odd modulus and an odd exponent from 3");

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017, appendix A.1.1).
fn rsa_public_key(der: &[u8]) -> Result<Key<'_>> {
    let read = |der| -> der::Result<_> {
        let mut reader = SliceReader::new(der)?;
        let pair = reader.sequence(|seq| -> der::Result<_> {
            Ok((UintRef::decode(seq)?.as_bytes(), UintRef::decode(seq)?.as_bytes()))
        })?;
        reader.finish()?;
        Ok(pair)
    };
    let (modulus, exponent) = read(der).map_err(|_| BAD_RSA)?;
    match bit_len(modulus) {
        ..MIN_RSA_BITS => {
            return Err(Error::unsupported("RSA key", "use one of at least 2048 bits"));
        }
        MIN_RSA_BITS..=MAX_RSA_BITS => {}
        _ => {
            return Err(Error::unsupported("RSA key", "use one of at most 8192 bits"));
        }
    }
    let odd = |n: &[u8]| n.last().is_some_and(|b| b & 1 == 1);
    if !odd(modulus) || !odd(exponent) || exponent == [1] || exponent.len() > MAX_EXPONENT_LEN {
        return Err(BAD_RSA);
    }
    Ok(Key::Rsa { modulus, exponent })
}

/// Bits of a big-endian integer without leading zero octets.
fn bit_len(magnitude: &[u8]) -> usize {
    match magnitude {
        [first, rest @ ..] => 8 - first.leading_zeros() as usize + rest.len() * 8,
        [] => 0,
    }
}

/// A string member that holds base64url.
fn octets<S: Sink>(object: &mut Object<'_, S>, name: &str, value: &[u8]) {
    let out = object.name(name);
    out.put(b"\"");
    base64::url_encode(value, out);
    out.put(b"\"");
}

/// Writes the SubjectPublicKeyInfo of a JWK (RFC 7517): `kty` "RSA" with `n` and `e`, or `kty` "EC" with
/// `crv`, `x` and `y` (RFC 7518, section 6). Other members are not looked at. [`MAX_SPKI_LEN`] octets of
/// `out` are always enough.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed) when a member is missing or not base64url; otherwise as
/// [`spki_from_rsa`] and [`spki_from_ec`].
pub fn spki_from_jwk<'o>(jwk: &Value<'_>, out: &'o mut [u8]) -> Result<&'o [u8]> {
    match jwk.string("kty")? {
        "RSA" => {
            let (mut n, mut e) = ([0; MAX_RSA_LEN], [0; MAX_EXPONENT_LEN]);
            let n = jwk_octets(jwk.string("n")?, &mut n)?;
            let e = jwk_octets(jwk.string("e")?, &mut e)?;
            spki_from_rsa(n, e, out)
        }
        "EC" => {
            let len = match jwk.string("crv")? {
                "P-256" => 32,
                "P-384" => 48,
                _ => return Err(Error::unsupported("JWK crv", "use P-256 or P-384")),
            };
            let (mut x, mut y) = ([0; 48], [0; 48]);
            let x = jwk_octets(jwk.string("x")?, &mut x)?;
            let y = jwk_octets(jwk.string("y")?, &mut y)?;
            if x.len() != len || y.len() != len {
                return Err(BAD_COORDINATES);
            }
            spki_from_ec(x, y, out)
        }
        _ => Err(Error::unsupported("JWK kty", "use RSA or EC")),
    }
}

fn jwk_octets<'o>(text: &str, out: &'o mut [u8]) -> Result<&'o [u8]> {
    base64::url_decode(text.as_bytes(), out).map_err(|e| match e.needed() {
        Some(_) => Error::unsupported("JWK", "a member is larger than in any key supported here"),
        None => Error::malformed("JWK", "expected base64url without padding in n, e, x and y"),
    })
}

const BAD_COORDINATES: Error =
    Error::malformed("EC public key", "expected x and y of 32 octets (P-256) or 48 (P-384)");

/// Writes the SubjectPublicKeyInfo of the RSA key with modulus `n` and exponent `e`, both big-endian, at
/// the start of `out`. Leading zeros are dropped.
///
/// # Errors
/// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall), or as [`PublicKey::from_spki`].
pub fn spki_from_rsa<'o>(n: &[u8], e: &[u8], out: &'o mut [u8]) -> Result<&'o [u8]> {
    let (n, e) = (strip_zeros(n), strip_zeros(e));
    if n.len() > MAX_RSA_LEN {
        return Err(Error::unsupported("RSA key", "use one of at most 8192 bits"));
    }
    if e.len() > MAX_EXPONENT_LEN {
        return Err(BAD_RSA);
    }
    let pair = integer_len(n) + integer_len(e);
    let bits = 1 + tlv_len(pair);
    let mut to = Out::new(out);
    header(0x30, RSA_ALGORITHM.len() + tlv_len(bits), &mut to);
    to.put(&RSA_ALGORITHM);
    header(0x03, bits, &mut to);
    to.put(&[0]);
    header(0x30, pair, &mut to);
    integer(n, &mut to);
    integer(e, &mut to);
    checked(to)
}

/// Writes the SubjectPublicKeyInfo of the EC key with the coordinates `x` and `y` at the start of `out`:
/// 32 octets each for P-256 (91 octets are written), 48 for P-384 (120). That the point lies on the curve
/// is not checked.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed) for other lengths, or
/// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
pub fn spki_from_ec<'o>(x: &[u8], y: &[u8], out: &'o mut [u8]) -> Result<&'o [u8]> {
    // SEQUENCE { SEQUENCE { OID ecPublicKey, OID curve }, BIT STRING of the point from 0x04 on }
    const P256: [u8; 27] = [
        0x30, 89, 0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
        0x3d, 3, 1, 7, 3, 66, 0, 4,
    ];
    const P384: [u8; 24] = [
        0x30, 118, 0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 34,
        3, 98, 0, 4,
    ];
    let prefix: &[u8] = match (x.len(), y.len()) {
        (32, 32) => &P256,
        (48, 48) => &P384,
        _ => return Err(BAD_COORDINATES),
    };
    let mut to = Out::new(out);
    to.put(prefix);
    to.put(x);
    to.put(y);
    checked(to)
}

/// What was written, once the reader agrees: one place decides which keys are acceptable.
fn checked(written: Out<'_>) -> Result<&[u8]> {
    let spki: &[u8] = written.finish()?;
    PublicKey::from_spki(spki).map(|key| key.spki())
}

fn strip_zeros(n: &[u8]) -> &[u8] {
    let zeros = n.iter().take_while(|b| **b == 0).count();
    n.get(zeros..).unwrap_or_default()
}

/// Octets of a DER value of `len` octets with its tag and length.
const fn tlv_len(len: usize) -> usize {
    len + match len {
        0..0x80 => 2,
        0x80..0x100 => 3,
        _ => 4,
    }
}

/// Tag and length in DER; `len` must be below 65,536.
fn header(tag: u8, len: usize, out: &mut impl Sink) {
    let [.., high, low] = len.to_be_bytes();
    match len {
        0..0x80 => out.put(&[tag, low]),
        0x80..0x100 => out.put(&[tag, 0x81, low]),
        _ => out.put(&[tag, 0x82, high, low]),
    }
}

/// Whether DER needs a zero octet in front, so that the integer is not negative, nor empty.
fn needs_zero(magnitude: &[u8]) -> bool {
    magnitude.first().is_none_or(|b| b & 0x80 != 0)
}

fn integer_len(magnitude: &[u8]) -> usize {
    tlv_len(magnitude.len() + usize::from(needs_zero(magnitude)))
}

fn integer(magnitude: &[u8], out: &mut impl Sink) {
    let zero = needs_zero(magnitude);
    header(0x02, magnitude.len() + usize::from(zero), out);
    if zero {
        out.put(&[0]);
    }
    out.put(magnitude);
}

/// Something that checks signatures with one public key: in software, or in a device.
pub trait Verifier {
    /// Whether it can check signatures of `scheme`.
    fn supports(&self, scheme: Scheme) -> bool;

    /// Checks `signature` over `message`. An ECDSA signature is r||s, each padded on the left to the size
    /// of the curve.
    ///
    /// # Errors
    /// [`Verification`](crate::ErrorKind::Verification) when it does not hold, however it is wrong;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for another scheme.
    fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<()>;
}

impl<T: Verifier + ?Sized> Verifier for &T {
    fn supports(&self, scheme: Scheme) -> bool {
        (**self).supports(scheme)
    }

    fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<()> {
        (**self).verify(scheme, message, signature)
    }
}

#[cfg(test)]
mod tests;
