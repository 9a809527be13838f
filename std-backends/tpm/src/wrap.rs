//! Keys from outside, wrapped for a parent (TPM 2.0 Library, part 1, section 23, and annexes B.10.3 and
//! C.6.3): only the TPM that has the parent can open them, so they are never in the clear on the bus.

use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use cloudauth_core::digest::{hmac_sha256, sha256};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, SymmetricMode};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::AesKeyBits;
use tss_esapi::structures::{Public, SymmetricDefinitionObject};
use zeroize::Zeroizing;

use crate::error::{Result, TpmError};
use crate::public;

/// A wrapped key: what TPM2_Import takes.
pub(crate) struct Wrapped {
    /// What TPM2B_PRIVATE holds.
    pub(crate) duplicate: Vec<u8>,
    /// What TPM2B_ENCRYPTED_SECRET holds.
    pub(crate) secret: Vec<u8>,
}

/// TPMT_SENSITIVE: the private half of an object.
pub(crate) struct Sensitive<'a> {
    /// TPM_ALG_ID of the object's type.
    pub(crate) kind: u16,
    pub(crate) auth: &'a [u8],
    /// For a secret key: what its public area is made unique with.
    pub(crate) seed: &'a [u8],
    /// A prime, a scalar, or the secret.
    pub(crate) value: &'a [u8],
}

pub(crate) const TYPE_RSA: u16 = 0x0001;
pub(crate) const TYPE_KEYEDHASH: u16 = 0x0008;
pub(crate) const TYPE_ECC: u16 = 0x0023;

fn failed(help: &str) -> TpmError {
    TpmError::Key(format!("wrap a key for the TPM: {help}"))
}

/// Wraps `sensitive`, the private half of `object`, for `parent`.
pub(crate) fn wrap(parent: &Public, object: &Public, sensitive: &Sensitive<'_>) -> Result<Wrapped> {
    let (_, hash, _) = public::common(parent);
    if hash != HashingAlgorithm::Sha256 || !public::is_storage(parent) {
        return Err(failed("the parent is no storage key with SHA-256; name another with parent="));
    }
    let (seed, secret) = seed(parent)?;
    let bits = match symmetric(parent) {
        Some(SymmetricDefinitionObject::Aes { key_bits, mode: SymmetricMode::Cfb }) => key_bits,
        _ => return Err(failed("the parent does not use AES in CFB mode")),
    };
    let name = public::name(object)?;
    let mut encrypted = Zeroizing::new(two_b(&marshal(sensitive)?)?);
    let key = match bits {
        AesKeyBits::Aes128 => {
            let key = kdfa(&seed, b"STORAGE\0", &name, 128);
            UnboundCipherKey::new(&AES_128, key.get(..16).unwrap_or_default())
        }
        AesKeyBits::Aes256 => {
            UnboundCipherKey::new(&AES_256, &*kdfa(&seed, b"STORAGE\0", &name, 256))
        }
        AesKeyBits::Aes192 => return Err(failed("the parent uses AES-192")),
    };
    key.and_then(EncryptingKey::cfb128)
        .and_then(|key| {
            let iv = EncryptionContext::Iv128(FixedLength::from([0; 16]));
            key.less_safe_encrypt(&mut encrypted, iv)
        })
        .map_err(|_| failed("AES failed"))?;
    let integrity = kdfa(&seed, b"INTEGRITY\0", &[], 256);
    let mac = hmac_sha256(&*integrity, &[&encrypted[..], &name].concat());
    let duplicate = [&two_b(&mac)?[..], &encrypted].concat();
    Ok(Wrapped { duplicate, secret })
}

fn symmetric(public: &Public) -> Option<SymmetricDefinitionObject> {
    match public {
        Public::Rsa { parameters, .. } => Some(parameters.symmetric_definition_object()),
        Public::Ecc { parameters, .. } => Some(parameters.symmetric_definition_object()),
        _ => None,
    }
}

/// A fresh seed, and how only the parent learns it.
fn seed(parent: &Public) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>)> {
    const LABEL: &[u8] = b"DUPLICATE\0";
    match parent {
        Public::Rsa { .. } => {
            let mut seed = Zeroizing::new([0; 32]);
            fill(&mut *seed).map_err(|_| failed("the system gives no random octets"))?;
            let spki = public::spki(parent)?;
            let key = PublicEncryptingKey::from_der(&spki)
                .ok()
                .and_then(|key| OaepPublicEncryptingKey::new(key).ok())
                .ok_or_else(|| failed("the parent's RSA key cannot be used"))?;
            let mut secret = vec![0; key.ciphertext_size()];
            key.encrypt(&OAEP_SHA256_MGF1SHA256, &*seed, &mut secret, Some(LABEL))
                .map_err(|_| failed("the parent's RSA key cannot be used"))?;
            Ok((seed, secret))
        }
        Public::Ecc { parameters, .. } if parameters.ecc_curve() == EccCurve::NistP256 => {
            let bad = || failed("the parent's EC key cannot be used");
            let point = public::point(parent)?;
            let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
                .map_err(|_| bad())?;
            let ours = private.compute_public_key().map_err(|_| bad())?;
            // 04, x, y
            let (x, y) =
                ours.as_ref().get(1..).and_then(|xy| xy.split_at_checked(32)).ok_or_else(bad)?;
            let parent_x = point.get(1..33).ok_or_else(bad)?;
            let peer = UnparsedPublicKey::new(&ECDH_P256, &point);
            let seed = agree_ephemeral(private, peer, bad(), |z| {
                // KDFe, one round.
                let input = [&1u32.to_be_bytes()[..], z, LABEL, x, parent_x].concat();
                Ok(Zeroizing::new(sha256(&Zeroizing::new(input))))
            })?;
            Ok((seed, [two_b(x)?, two_b(y)?].concat()))
        }
        _ => Err(failed("the parent is neither an RSA key nor an EC key on P-256")),
    }
}

/// KDFa (TPM 2.0 Library, part 1, section 11.4.10.2) with SHA-256: one round gives up to 256 bits.
fn kdfa(key: &[u8; 32], label: &[u8], context: &[u8], bits: u32) -> Zeroizing<[u8; 32]> {
    let input = [&1u32.to_be_bytes()[..], label, context, &bits.to_be_bytes()].concat();
    Zeroizing::new(hmac_sha256(key, &input))
}

fn marshal(sensitive: &Sensitive<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let Sensitive { kind, auth, seed, value } = sensitive;
    let mut out = Zeroizing::new(Vec::with_capacity(8 + auth.len() + seed.len() + value.len()));
    out.extend(kind.to_be_bytes());
    for part in [auth, seed, value] {
        let len = u16::try_from(part.len()).map_err(|_| failed("the key is too large"))?;
        out.extend(len.to_be_bytes());
        out.extend_from_slice(part);
    }
    Ok(out)
}

/// Octets with their length before them, in one allocation.
fn two_b(bytes: &[u8]) -> Result<Vec<u8>> {
    let len = u16::try_from(bytes.len()).map_err(|_| failed("the key is too large"))?;
    Ok([&len.to_be_bytes()[..], bytes].concat())
}
