//! Keys in memory, signed with aws-lc-rs.

use core::fmt;

use aws_lc_rs::encoding::{
    AsBigEndian, AsDer, EcPrivateKeyBin, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der,
};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
};
use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use ecdsa::hazmat::sign_prehashed_rfc6979;
use p384::NistP384;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use pkcs8::der::{
    AnyRef, Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _,
};
use pkcs8::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use crate::manage::KeyKind;
use crate::{KeyError, Result};

/// The type and size of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// 2048 to 8192.
        bits: usize,
    },
    /// Elliptic curve P-256 (secp256r1).
    P256,
    /// Elliptic curve P-384 (secp384r1).
    P384,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::P256 => f.write_str("EC P-256"),
            Self::P384 => f.write_str("EC P-384"),
        }
    }
}

/// A key in memory. aws-lc wipes what it holds of it.
pub(crate) struct SoftwareKey {
    pair: Pair,
    spki: PublicKeyX509Der<'static>,
}

enum Pair {
    Rsa { key: rsa::KeyPair, bits: usize },
    P256(EcdsaKeyPair),
    // aws-lc-rs has no P-384 with SHA-256: p384 signs that, and needs the scalar.
    P384 { key: EcdsaKeyPair, scalar: p384::SecretKey },
}

impl SoftwareKey {
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        match self.pair {
            Pair::Rsa { bits, .. } => KeyAlgorithm::Rsa { bits },
            Pair::P256(_) => KeyAlgorithm::P256,
            Pair::P384 { .. } => KeyAlgorithm::P384,
        }
    }

    /// A PKCS#8 `PrivateKeyInfo` (RFC 5958).
    pub(crate) fn from_pkcs8(der: &[u8], place: &str) -> Result<Self> {
        let info = PrivateKeyInfoRef::from_der(der)
            .map_err(|_| KeyError::malformed(place, "damaged PKCS#8"))?;
        match info.algorithm.oid {
            RSA_ENCRYPTION => Self::from_pkcs1(info.private_key.as_bytes(), place),
            EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.and_then(|p| p.decode_as().ok());
                let curve = Curve::named(curve, place)?;
                let key = EcdsaKeyPair::from_pkcs8(curve.algorithm(), der);
                Self::from_ec(curve, key.map_err(|_| inconsistent(place))?, place)
            }
            oid => Err(unsupported_algorithm(oid, place)),
        }
    }

    /// An `RSAPrivateKey` (RFC 8017, appendix A.1.2).
    pub(crate) fn from_pkcs1(der: &[u8], place: &str) -> Result<Self> {
        let bits = modulus_bits(der, place)?;
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::RsaSize { place: place.to_owned(), bits });
        }
        let key = rsa::KeyPair::from_der(der).map_err(|_| inconsistent(place))?;
        let spki = key.public_key().as_der().map_err(|_| inconsistent(place))?;
        Ok(Self { pair: Pair::Rsa { key, bits }, spki })
    }

    /// An `ECPrivateKey` (RFC 5915); `outer` is the curve of an `EC PARAMETERS` block before it.
    pub(crate) fn from_sec1(
        der: &[u8],
        outer: Option<ObjectIdentifier>,
        place: &str,
    ) -> Result<Self> {
        let inner = sec1_curve(der)
            .map_err(|_| KeyError::malformed(place, "damaged EC PRIVATE KEY (RFC 5915)"))?;
        let inner = match inner {
            Some(parameters) => Some(parameters.decode_as().map_err(|_| explicit_curve(place))?),
            None => None,
        };
        if outer.is_some() && inner.is_some() && outer != inner {
            return Err(inconsistent(place));
        }
        let curve = Curve::named(inner.or(outer), place)?;
        let key = EcdsaKeyPair::from_private_key_der(curve.algorithm(), der)
            .map_err(|_| inconsistent(place))?;
        Self::from_ec(curve, key, place)
    }

    /// The key as a PKCS#8 `PrivateKeyInfo`.
    pub(crate) fn to_pkcs8(&self, place: &str) -> Result<Zeroizing<Vec<u8>>> {
        let der = match &self.pair {
            Pair::Rsa { key, .. } => {
                let der: Pkcs8V1Der<'static> = key.as_der().map_err(|_| inconsistent(place))?;
                return Ok(Zeroizing::new(der.as_ref().to_vec()));
            }
            Pair::P256(key) => ec_pkcs8(key, P256_OID),
            Pair::P384 { key, .. } => ec_pkcs8(key, P384_OID),
        };
        der.ok_or_else(|| inconsistent(place))
    }

    /// A new key in memory, as a PKCS#8 `PrivateKeyInfo`.
    pub(crate) fn generate(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>> {
        let rsa = |size| {
            let key = rsa::KeyPair::generate(size).ok()?;
            let der: Pkcs8V1Der<'static> = key.as_der().ok()?;
            Some(Zeroizing::new(der.as_ref().to_vec()))
        };
        let ec = |algorithm, curve| ec_pkcs8(&EcdsaKeyPair::generate(algorithm).ok()?, curve);
        let made = match kind {
            KeyKind::Rsa2048 => rsa(rsa::KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(rsa::KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(rsa::KeySize::Rsa4096),
            KeyKind::EcP256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, P256_OID),
            KeyKind::EcP384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, P384_OID),
            KeyKind::HmacSha256 => {
                return Err(KeyError::NotDone {
                    what: "make an HMAC secret".to_owned(),
                    help: "only tokens make one; the secret access key of AWS comes from AWS"
                        .to_owned(),
                });
            }
        };
        made.ok_or_else(|| KeyError::NotDone {
            what: "make a key".to_owned(),
            help: "aws-lc failed".to_owned(),
        })
    }

    fn from_ec(curve: Curve, key: EcdsaKeyPair, place: &str) -> Result<Self> {
        let spki = key.public_key().as_der().map_err(|_| inconsistent(place))?;
        let pair = match curve {
            Curve::P256 => Pair::P256(key),
            Curve::P384 => {
                let scalar: EcPrivateKeyBin<'_> =
                    key.private_key().as_be_bytes().map_err(|_| inconsistent(place))?;
                let scalar = p384::SecretKey::from_slice(scalar.as_ref())
                    .map_err(|_| inconsistent(place))?;
                Pair::P384 { key, scalar }
            }
        };
        Ok(Self { pair, spki })
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &[u8] {
        self.spki.as_ref()
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.max_signature_len(scheme) != 0
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        match (&self.pair, scheme) {
            (Pair::Rsa { bits, .. }, Scheme::RsaPkcs1Sha256 | Scheme::RsaPssSha256) => {
                bits.div_ceil(8)
            }
            (Pair::P256(_), Scheme::EcdsaP256Sha256) => 64,
            (Pair::P384 { .. }, Scheme::EcdsaP384Sha256 | Scheme::EcdsaP384Sha384) => 96,
            _ => 0,
        }
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        let len = self.max_signature_len(scheme);
        if len == 0 {
            return Err(SignError::UNSUPPORTED);
        }
        let out = out.get_mut(..len).ok_or(SignError::TOO_SMALL)?;
        match (&self.pair, scheme) {
            (Pair::Rsa { key, .. }, _) => {
                let padding: &'static dyn RsaEncoding = match scheme {
                    Scheme::RsaPssSha256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let signed = match to_sign.message() {
                    Some(message) => key.sign(padding, &SystemRandom::new(), message, out),
                    None => key.sign_digest(padding, &imported(scheme, to_sign)?, out),
                };
                signed.map_err(|_| FAILED)?;
            }
            (Pair::P384 { scalar, .. }, Scheme::EcdsaP384Sha256) => {
                // RFC 6979 with additional data (section 3.6): hedged, so that neither a fault nor a bad
                // random source alone gives the key away.
                let scalar = Zeroizing::new(scalar.to_nonzero_scalar());
                let entropy = Zeroizing::new(to_sign.entropy());
                let digest = to_sign.digest(scheme)?;
                let (signature, _) = sign_prehashed_rfc6979::<NistP384, P384Digest>(
                    &scalar,
                    digest.as_ref(),
                    entropy.as_ref(),
                );
                copy(&signature.to_bytes(), out)?;
            }
            (Pair::P256(key) | Pair::P384 { key, .. }, _) => {
                let signature = match to_sign.message() {
                    Some(message) => key.sign(&SystemRandom::new(), message),
                    None => key.sign_digest(&imported(scheme, to_sign)?),
                };
                copy(signature.map_err(|_| FAILED)?.as_ref(), out)?;
            }
        }
        Ok(len)
    }
}

/// The hash inside RFC 6979's generator, not the one of the message.
type P384Digest = <NistP384 as ecdsa::DigestAlgorithm>::Digest;

/// An EC key as PKCS#8 (RFC 5958), around the `ECPrivateKey` that aws-lc writes.
fn ec_pkcs8(key: &EcdsaKeyPair, curve: ObjectIdentifier) -> Option<Zeroizing<Vec<u8>>> {
    let sec1: EcPrivateKeyRfc5915Der<'static> = key.private_key().as_der().ok()?;
    let algorithm =
        AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(AnyRef::from(&curve)) };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(sec1.as_ref()).ok()?);
    // All the room at once: a vector that grows leaves copies behind.
    let mut der = Zeroizing::new(vec![0; usize::try_from(info.encoded_len().ok()?).ok()?]);
    info.encode_to_slice(&mut der).ok()?;
    Some(der)
}

const FAILED: SignError = SignError::new("sign", "aws-lc failed to sign; the key may be damaged");

/// The digest of what nobody has here, for aws-lc.
fn imported(
    scheme: Scheme,
    to_sign: &ToSign<'_>,
) -> core::result::Result<aws_lc_rs::digest::Digest, SignError> {
    crate::verifier::imported(&to_sign.digest(scheme)?).ok_or(FAILED)
}

fn copy(signature: &[u8], out: &mut [u8]) -> core::result::Result<(), SignError> {
    if signature.len() != out.len() {
        return Err(FAILED);
    }
    out.copy_from_slice(signature);
    Ok(())
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
}

impl Curve {
    fn named(oid: Option<ObjectIdentifier>, place: &str) -> Result<Self> {
        let oid = oid.ok_or_else(|| explicit_curve(place))?;
        match oid {
            P256_OID => return Ok(Self::P256),
            P384_OID => return Ok(Self::P384),
            _ => {}
        }
        let oid = oid.to_string();
        let name = match oid.as_str() {
            "1.3.132.0.33" => "P-224",
            "1.3.132.0.35" => "P-521",
            "1.3.132.0.10" => "secp256k1",
            other => other,
        };
        let found = format!("the elliptic curve {name}");
        Err(KeyError::Unsupported { place: place.to_owned(), found, help: KEY_TYPES })
    }

    fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

const KEY_TYPES: &str = "use an RSA key of 2048 to 8192 bits, or an EC key on P-256 or P-384";

fn explicit_curve(place: &str) -> KeyError {
    KeyError::Unsupported {
        place: place.to_owned(),
        found: "an elliptic curve without a name".to_owned(),
        help: "convert it with: openssl ec -param_enc named_curve",
    }
}

fn inconsistent(place: &str) -> KeyError {
    KeyError::Inconsistent { place: place.to_owned() }
}

fn unsupported_algorithm(oid: ObjectIdentifier, place: &str) -> KeyError {
    let oid = oid.to_string();
    let found = match oid.as_str() {
        "1.3.101.112" => "an Ed25519 key",
        "1.3.101.113" => "an Ed448 key",
        "1.3.101.110" => "an X25519 key (which cannot sign)",
        "1.3.101.111" => "an X448 key (which cannot sign)",
        "1.2.840.10040.4.1" => "a DSA key",
        "1.2.840.113549.1.1.10" => "an RSA key bound to PSS (id-RSASSA-PSS)",
        "1.2.840.113549.1.3.1" => "a Diffie-Hellman key (which cannot sign)",
        "2.16.840.1.101.3.4.3.17" => "an ML-DSA-44 key",
        "2.16.840.1.101.3.4.3.18" => "an ML-DSA-65 key",
        "2.16.840.1.101.3.4.3.19" => "an ML-DSA-87 key",
        other => &format!("a key with the algorithm {other}"),
    };
    KeyError::Unsupported { place: place.to_owned(), found: found.to_owned(), help: KEY_TYPES }
}

/// The size of the modulus, asked before aws-lc is, which would not say what is wrong with it. aws-lc
/// checks the rest, but not that nothing follows.
fn modulus_bits(der: &[u8], place: &str) -> Result<usize> {
    let read = |der| -> pkcs8::der::Result<(u8, usize)> {
        let mut reader = SliceReader::new(der)?;
        let found = reader.sequence(|r| -> pkcs8::der::Result<_> {
            let version: u8 = r.decode()?;
            let modulus: UintRef<'_> = r.decode()?;
            r.read_slice(r.remaining_len())?;
            let bytes = modulus.as_bytes();
            let unused = bytes.first().map_or(0, |b| b.leading_zeros() as usize);
            Ok((version, bytes.len() * 8 - unused))
        })?;
        reader.finish()?;
        Ok(found)
    };
    match read(der) {
        Ok((0, bits)) => Ok(bits),
        Ok(_) => Err(KeyError::Unsupported {
            place: place.to_owned(),
            found: "an RSA key of more than two primes".to_owned(),
            help: KEY_TYPES,
        }),
        Err(_) => Err(KeyError::malformed(place, "damaged RSA private key (RFC 8017)")),
    }
}

/// The parameters inside an `ECPrivateKey`.
fn sec1_curve(der: &[u8]) -> pkcs8::der::Result<Option<AnyRef<'_>>> {
    let mut reader = SliceReader::new(der)?;
    let curve = reader.sequence(|r| -> pkcs8::der::Result<_> {
        let _version: u8 = r.decode()?;
        let _scalar: &OctetStringRef = r.decode()?;
        let mut curve = None;
        while !r.is_finished() {
            let field: AnyRef<'_> = r.decode()?;
            if field.tag() == (Tag::ContextSpecific { constructed: true, number: TagNumber(0) }) {
                curve = Some(AnyRef::from_der(field.value())?);
            }
        }
        Ok(curve)
    })?;
    reader.finish()?;
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, der_sequence, der_uint};
    use aws_lc_rs::signature as lc;
    use cloudauth_core::signer::{MAX_ECDSA_DER_LEN, ecdsa_der_from_raw};

    const MESSAGE: &[u8] = b"the message";

    fn open(pkcs8: &[u8]) -> SoftwareKey {
        SoftwareKey::from_pkcs8(pkcs8, "test").unwrap()
    }

    fn verifies(key: &SoftwareKey, scheme: Scheme, signature: &[u8]) -> bool {
        let mut der = [0; MAX_ECDSA_DER_LEN];
        let (algorithm, signature): (&'static dyn lc::VerificationAlgorithm, &[u8]) = match scheme {
            Scheme::RsaPkcs1Sha256 => (&lc::RSA_PKCS1_2048_8192_SHA256, signature),
            Scheme::RsaPssSha256 => (&lc::RSA_PSS_2048_8192_SHA256, signature),
            Scheme::EcdsaP256Sha256 => (&lc::ECDSA_P256_SHA256_FIXED, signature),
            Scheme::EcdsaP384Sha384 => (&lc::ECDSA_P384_SHA384_FIXED, signature),
            Scheme::EcdsaP384Sha256 => {
                (&lc::ECDSA_P384_SHA256_ASN1, ecdsa_der_from_raw(signature, &mut der).unwrap())
            }
            _ => panic!("a new scheme"),
        };
        lc::UnparsedPublicKey::new(algorithm, key.public_key()).verify(MESSAGE, signature).is_ok()
    }

    #[test]
    fn every_scheme() {
        use Scheme::{
            EcdsaP256Sha256, EcdsaP384Sha256, EcdsaP384Sha384, RsaPkcs1Sha256, RsaPssSha256,
        };
        let rsa = KeyAlgorithm::Rsa { bits: 2048 };
        let cases: [(&[u8], KeyAlgorithm, &[Scheme], usize); 3] = [
            (testing::rsa_2048(), rsa, &[RsaPkcs1Sha256, RsaPssSha256], 256),
            (testing::p256(), KeyAlgorithm::P256, &[EcdsaP256Sha256], 64),
            (testing::p384(), KeyAlgorithm::P384, &[EcdsaP384Sha256, EcdsaP384Sha384], 96),
        ];
        for (pkcs8, algorithm, schemes, len) in cases {
            let key = open(pkcs8);
            assert_eq!(key.algorithm(), algorithm);
            for scheme in Scheme::ALL {
                let to_sign = ToSign::new(MESSAGE, &[7; 32]);
                let mut out = [0x55; 300];
                if !schemes.contains(&scheme) {
                    assert!(!key.supports(scheme));
                    assert_eq!(key.max_signature_len(scheme), 0);
                    let refused = key.sign(scheme, &to_sign, &mut out);
                    assert_eq!(refused, Err(SignError::UNSUPPORTED));
                    continue;
                }
                assert!(key.supports(scheme));
                assert_eq!(key.max_signature_len(scheme), len);
                assert_eq!(key.sign(scheme, &to_sign, &mut out), Ok(len));
                assert!(verifies(&key, scheme, &out[..len]), "{scheme:?}");
                assert!(out[len..].iter().all(|b| *b == 0x55), "written past the signature");
                out[len / 2] ^= 1;
                assert!(!verifies(&key, scheme, &out[..len]), "{scheme:?}");
                let exact = key.sign(scheme, &to_sign, &mut out[..len]);
                assert_eq!(exact, Ok(len));
                let short = key.sign(scheme, &to_sign, &mut out[..len - 1]);
                assert_eq!(short, Err(SignError::TOO_SMALL));

                use aws_lc_rs::digest::{SHA256, SHA384, digest};
                let hash = if scheme == EcdsaP384Sha384 { &SHA384 } else { &SHA256 };
                let digest = digest(hash, MESSAGE);
                let to_sign = ToSign::prehashed(digest.as_ref(), &[7; 32]);
                assert_eq!(key.sign(scheme, &to_sign, &mut out), Ok(len));
                assert!(verifies(&key, scheme, &out[..len]), "{scheme:?}");
                for wrong in [0, 20, 31, 80 - digest.as_ref().len(), 64] {
                    let to_sign = ToSign::prehashed(&[7; 64][..wrong], &[7; 32]);
                    let refused = key.sign(scheme, &to_sign, &mut out);
                    assert_eq!(refused, Err(SignError::DIGEST_LENGTH), "{scheme:?} {wrong}");
                }
            }
        }
    }

    #[test]
    fn p384_with_sha256_is_hedged() {
        let key = open(testing::p384());
        let sign = |seed: u8| {
            let mut out = [0; 96];
            let seed = [seed; 32];
            let to_sign = ToSign::new(MESSAGE, &seed);
            key.sign(Scheme::EcdsaP384Sha256, &to_sign, &mut out).unwrap();
            out
        };
        assert_eq!(sign(1), sign(1));
        assert_ne!(sign(1), sign(2));
        for seed in 0..50 {
            assert!(verifies(&key, Scheme::EcdsaP384Sha256, &sign(seed)));
        }
    }

    #[test]
    fn larger_rsa() {
        for (size, bits) in [(rsa::KeySize::Rsa3072, 3072), (rsa::KeySize::Rsa4096, 4096)] {
            let pkcs8 = rsa::KeyPair::generate(size).unwrap().as_der().unwrap();
            let key = open(pkcs8.as_ref());
            assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits });
            let mut out = vec![0; bits / 8];
            let to_sign = ToSign::new(MESSAGE, &[0; 32]);
            key.sign(Scheme::RsaPssSha256, &to_sign, &mut out).unwrap();
            assert!(verifies(&key, Scheme::RsaPssSha256, &out));
        }
    }

    #[test]
    fn rsa_sizes() {
        let key = |bits: usize| {
            let mut modulus = vec![0xff; bits.div_ceil(8)];
            modulus[0] >>= bits.div_ceil(8) * 8 - bits;
            let mut parts = vec![der_uint(&[0]), der_uint(&modulus)];
            parts.resize(9, der_uint(&[3]));
            der_sequence(&parts)
        };
        let refused = |bits| SoftwareKey::from_pkcs1(&key(bits), "test").err().unwrap();
        for bits in [1, 512, 1024, 2047, 8193, 16384] {
            assert_eq!(refused(bits), KeyError::RsaSize { place: "test".into(), bits });
        }
        // The sizes pass; the made-up numbers do not.
        for bits in [2048, 8192] {
            assert_eq!(refused(bits), inconsistent("test"));
        }
    }

    #[test]
    fn rsa_with_parts_missing() {
        let parts = testing::rsa_parts();
        assert_eq!(parts.len(), 9);
        assert!(SoftwareKey::from_pkcs1(&der_sequence(&parts), "test").is_ok());
        for missing in 2..9 {
            let mut parts = parts.clone();
            parts[missing] = der_uint(&[0]);
            let refused = SoftwareKey::from_pkcs1(&der_sequence(&parts), "test").err().unwrap();
            assert_eq!(refused, inconsistent("test"), "{missing}");
        }
        // n, e and d alone.
        let mut bare = parts.clone();
        bare[4..].fill(der_uint(&[0]));
        assert!(SoftwareKey::from_pkcs1(&der_sequence(&bare), "test").is_err());
        let mut primes = parts.clone();
        primes[0] = der_uint(&[1]);
        primes.push(der_sequence(&[]));
        let refused = SoftwareKey::from_pkcs1(&der_sequence(&primes), "test").err().unwrap();
        assert!(refused.to_string().contains("more than two primes"), "{refused}");
        let mut long = der_sequence(&parts);
        long.push(0);
        assert!(SoftwareKey::from_pkcs1(&long, "test").is_err());
    }

    #[test]
    fn other_key_types_are_named() {
        let ed25519 =
            lc::Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap().as_ref().to_vec();
        let p521 = EcdsaKeyPair::generate(&lc::ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let k1 = EcdsaKeyPair::generate(&lc::ECDSA_P256K1_SHA256_FIXED_SIGNING).unwrap();
        for (pkcs8, name) in [
            (ed25519, "Ed25519"),
            (p521.to_pkcs8v1().unwrap().as_ref().to_vec(), "P-521"),
            (k1.to_pkcs8v1().unwrap().as_ref().to_vec(), "secp256k1"),
            (testing::pkcs8_with_oid("1.2.840.10040.4.1"), "DSA"),
            (testing::pkcs8_with_oid("1.2.840.113549.1.1.10"), "PSS"),
            (testing::pkcs8_with_oid("1.2.3.4"), "1.2.3.4"),
            (testing::pkcs8_with_oid("1.2.840.10045.2.1"), "without a name"),
        ] {
            let error = SoftwareKey::from_pkcs8(&pkcs8, "test").err().unwrap();
            assert!(matches!(error, KeyError::Unsupported { .. }), "{error:?}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_wrong_public_point_is_refused() {
        for (pkcs8, other) in [(testing::p256(), 32), (testing::p384(), 48)] {
            // The last octets are the public point.
            let mut changed = pkcs8.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            let refused = SoftwareKey::from_pkcs8(&changed, "test").err().unwrap();
            assert_eq!(refused, inconsistent("test"), "{other}");
        }
    }
}
