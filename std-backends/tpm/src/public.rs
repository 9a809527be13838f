//! Public areas: what a key is, its SubjectPublicKeyInfo, its Name.

use cloudauth_core::Scheme;
use cloudauth_core::verifier::{MAX_SPKI_LEN, spki_from_ec, spki_from_rsa};
use tss_esapi::attributes::{ObjectAttributes, ObjectAttributesBuilder};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    Digest, EccParameter, EccPoint, EccScheme, HashScheme, HmacScheme, KeyDerivationFunctionScheme,
    KeyedHashScheme, Public, PublicBuilder, PublicEccParameters, PublicEccParametersBuilder,
    PublicKeyRsa, PublicRsaParametersBuilder, RsaExponent, RsaScheme, SignatureScheme,
    SymmetricDefinitionObject,
};
use tss_esapi::traits::Marshall as _;

use crate::error::{Call as _, Result, TpmError};
use crate::policy::hash;

const SHA256: HashScheme = HashScheme::new(HashingAlgorithm::Sha256);
const SHA384: HashScheme = HashScheme::new(HashingAlgorithm::Sha384);

/// The parts that every kind of public area has.
pub(crate) fn common(public: &Public) -> (ObjectAttributes, HashingAlgorithm, &[u8]) {
    match public {
        Public::Rsa { object_attributes, name_hashing_algorithm, auth_policy, .. }
        | Public::KeyedHash { object_attributes, name_hashing_algorithm, auth_policy, .. }
        | Public::Ecc { object_attributes, name_hashing_algorithm, auth_policy, .. }
        | Public::SymCipher { object_attributes, name_hashing_algorithm, auth_policy, .. } => {
            (*object_attributes, *name_hashing_algorithm, auth_policy.value())
        }
    }
}

/// The Name (TPM 2.0 Library, part 1, section 16): the number of the hash, and the hash of the public area.
pub(crate) fn name(public: &Public) -> Result<Vec<u8>> {
    let (_, algorithm, _) = common(public);
    let number: u16 = match algorithm {
        HashingAlgorithm::Sha1 => 0x0004,
        HashingAlgorithm::Sha256 => 0x000b,
        HashingAlgorithm::Sha384 => 0x000c,
        HashingAlgorithm::Sha512 => 0x000d,
        _ => return Err(TpmError::Key("the key's Name is made with an unknown hash".to_owned())),
    };
    let area = public.marshall().call("Tss2_MU_TPMT_PUBLIC_Marshal")?;
    let digest = hash(algorithm, &[&area]).unwrap_or_default();
    Ok([&number.to_be_bytes()[..], &digest].concat())
}

/// Whether other keys can be made under this one.
pub(crate) fn is_storage(public: &Public) -> bool {
    let (attributes, ..) = common(public);
    attributes.restricted() && attributes.decrypt() && !attributes.sign_encrypt()
}

/// The SubjectPublicKeyInfo, in DER.
pub(crate) fn spki(public: &Public) -> Result<Vec<u8>> {
    let mut out = [0; MAX_SPKI_LEN];
    let written = match public {
        Public::Rsa { parameters, unique, .. } => {
            // 0 stands for 65537.
            let exponent = match parameters.exponent().value() {
                0 => 65537,
                value => value,
            };
            spki_from_rsa(unique.value(), &exponent.to_be_bytes(), &mut out)
        }
        Public::Ecc { parameters, unique, .. } => {
            let size = coordinate_len(parameters.ecc_curve()).ok_or_else(|| {
                TpmError::Key("the key's curve is not supported; use P-256 or P-384".to_owned())
            })?;
            let (x, y) = (padded(unique.x(), size)?, padded(unique.y(), size)?);
            spki_from_ec(&x, &y, &mut out)
        }
        _ => return Err(TpmError::Key("a secret key has no public key".to_owned())),
    };
    written.map(<[u8]>::to_vec).map_err(|e| TpmError::Key(e.to_string()))
}

/// The point of an EC key, uncompressed: 04, x, y.
pub(crate) fn point(public: &Public) -> Result<Vec<u8>> {
    match (public, public_size(public)) {
        (Public::Ecc { unique, .. }, Some(size)) => {
            Ok([&[4][..], &padded(unique.x(), size)?, &padded(unique.y(), size)?].concat())
        }
        _ => Err(TpmError::Key("not an EC key on P-256 or P-384".to_owned())),
    }
}

fn public_size(public: &Public) -> Option<usize> {
    match public {
        Public::Ecc { parameters, .. } => coordinate_len(parameters.ecc_curve()),
        _ => None,
    }
}

fn coordinate_len(curve: EccCurve) -> Option<usize> {
    match curve {
        EccCurve::NistP256 => Some(32),
        EccCurve::NistP384 => Some(48),
        _ => None,
    }
}

/// A TPM may leave leading zeros out.
fn padded(value: &EccParameter, size: usize) -> Result<Vec<u8>> {
    let value = value.value();
    let missing = size
        .checked_sub(value.len())
        .ok_or_else(|| TpmError::Key("a coordinate of the key is too long".to_owned()))?;
    Ok([&vec![0; missing][..], value].concat())
}

/// What the key signs, with the scheme to name to the TPM.
pub(crate) fn schemes(public: &Public) -> Result<Vec<(Scheme, SignatureScheme)>> {
    let (attributes, ..) = common(public);
    if !attributes.sign_encrypt() {
        return Err(TpmError::Key(
            "the key must not sign; make one with the attribute sign (tpm2_create: -a \
             \"fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign\")"
                .to_owned(),
        ));
    }
    if attributes.restricted() {
        return Err(TpmError::Key(
            "the key is restricted: it signs only what the TPM has made or hashed itself (quotes); make \
             one without the attribute restricted"
                .to_owned(),
        ));
    }
    let pkcs1 = (Scheme::RsaPkcs1Sha256, SignatureScheme::RsaSsa { hash_scheme: SHA256 });
    let pss = (Scheme::RsaPssSha256, SignatureScheme::RsaPss { hash_scheme: SHA256 });
    let ecdsa = |scheme, hash_scheme| (scheme, SignatureScheme::EcDsa { hash_scheme });
    let found = match public {
        Public::Rsa { parameters, .. } => match parameters.rsa_scheme() {
            RsaScheme::Null => vec![pkcs1, pss],
            RsaScheme::RsaSsa(SHA256) => vec![pkcs1],
            RsaScheme::RsaPss(SHA256) => vec![pss],
            _ => Vec::new(),
        },
        Public::Ecc { parameters, .. } => {
            let (null, fixed) = match parameters.ecc_scheme() {
                EccScheme::Null => (true, None),
                EccScheme::EcDsa(hash) => (false, Some(hash)),
                _ => (false, None),
            };
            let all = match parameters.ecc_curve() {
                EccCurve::NistP256 => vec![(Scheme::EcdsaP256Sha256, SHA256)],
                EccCurve::NistP384 => {
                    vec![(Scheme::EcdsaP384Sha384, SHA384), (Scheme::EcdsaP384Sha256, SHA256)]
                }
                _ => Vec::new(),
            };
            let fits = all.into_iter().filter(|(_, hash)| null || fixed == Some(*hash));
            fits.map(|(scheme, hash)| ecdsa(scheme, hash)).collect()
        }
        _ => return Err(TpmError::Key("this is a secret key; it makes HMAC tags only".to_owned())),
    };
    if found.is_empty() {
        return Err(TpmError::Key(
            "the key is made for a signature scheme, a hash or a curve that is not supported; make an RSA \
             key with the scheme null, rsassa or rsapss with SHA-256, or an EC key on P-256 or P-384 with \
             the scheme null or ecdsa"
                .to_owned(),
        ));
    }
    Ok(found)
}

/// Whether the key makes HMAC-SHA256 tags.
pub(crate) fn check_mac(public: &Public) -> Result<()> {
    let (attributes, ..) = common(public);
    let bad = |help: &str| Err(TpmError::Key(help.to_owned()));
    let Public::KeyedHash { parameters, .. } = public else {
        return bad(
            "this is no HMAC key; a key for AWS Signature Version 4 is made with: cloudauth key import",
        );
    };
    let scheme = tss_esapi::tss2_esys::TPMS_KEYEDHASH_PARMS::from(*parameters).scheme;
    match KeyedHashScheme::try_from(scheme).call("TPMT_KEYEDHASH_SCHEME")? {
        KeyedHashScheme::Null => {}
        KeyedHashScheme::Hmac { hmac_scheme }
            if hmac_scheme == HmacScheme::new(HashingAlgorithm::Sha256) => {}
        _ => return bad("the key's scheme is not HMAC with SHA-256"),
    }
    if !attributes.sign_encrypt() || attributes.restricted() {
        return bad(
            "an HMAC key has the attribute sign, and not the attribute restricted (a sealed \
                    object has neither)",
        );
    }
    Ok(())
}

/// From which template a primary is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// The TCG's (TPM 2.0 Provisioning Guidance, section 7.5.1), with an empty unique field.
    Tcg,
    /// That of `tpm2_createprimary` without `-a`: the attribute noDA is missing.
    Tools,
}

/// The public area of a storage primary: RSA-2048 or ECC P-256, AES-128.
pub(crate) fn storage_template(rsa: bool, template: Template) -> Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(template == Template::Tcg)
        .with_restricted(true)
        .with_decrypt(true)
        .build()
        .call("TPMA_OBJECT")?;
    let builder = PublicBuilder::new()
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes);
    let builder = if rsa {
        let parameters = PublicRsaParametersBuilder::new_restricted_decryption_key(
            SymmetricDefinitionObject::AES_128_CFB,
            RsaKeyBits::Rsa2048,
            RsaExponent::ZERO_EXPONENT,
        );
        builder
            .with_public_algorithm(PublicAlgorithm::Rsa)
            .with_rsa_parameters(parameters.build().call("TPMS_RSA_PARMS")?)
            .with_rsa_unique_identifier(PublicKeyRsa::default())
    } else {
        let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
            SymmetricDefinitionObject::AES_128_CFB,
            EccCurve::NistP256,
        );
        builder
            .with_public_algorithm(PublicAlgorithm::Ecc)
            .with_ecc_parameters(parameters.build().call("TPMS_ECC_PARMS")?)
            .with_ecc_unique_identifier(EccPoint::default())
    };
    builder.build().call("TPMT_PUBLIC")
}

/// What kind of signing key this is, if it is one that this crate makes.
pub(crate) fn kind(public: &Public) -> Option<KeyKind> {
    let (attributes, ..) = common(public);
    if !attributes.sign_encrypt() {
        return None;
    }
    match public {
        Public::Rsa { parameters, .. } => match parameters.key_bits() {
            RsaKeyBits::Rsa2048 => Some(KeyKind::Rsa2048),
            RsaKeyBits::Rsa3072 => Some(KeyKind::Rsa3072),
            RsaKeyBits::Rsa4096 => Some(KeyKind::Rsa4096),
            RsaKeyBits::Rsa1024 => None,
        },
        Public::Ecc { parameters, .. } => match parameters.ecc_curve() {
            EccCurve::NistP256 => Some(KeyKind::EcP256),
            EccCurve::NistP384 => Some(KeyKind::EcP384),
            _ => None,
        },
        Public::KeyedHash { .. } => Some(KeyKind::HmacSha256),
        Public::SymCipher { .. } => None,
    }
}

/// What a new key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// EC on P-256.
    EcP256,
    /// EC on P-384.
    EcP384,
    /// A secret for HMAC-SHA256.
    HmacSha256,
}

/// The public area of a signing key without a fixed scheme. `unique` holds the public key of one that comes
/// from outside: the TPM wants such a key to be movable.
pub(crate) fn signing_template(
    kind: KeyKind,
    policy: &[u8],
    protected: bool,
    unique: Option<Unique>,
) -> Result<Public> {
    let own = unique.is_none();
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(own)
        .with_fixed_parent(own)
        .with_sensitive_data_origin(own && kind != KeyKind::HmacSha256)
        .with_user_with_auth(policy.is_empty())
        // There is nothing to guess; and a lockout, which a loss of power brings nearer, passes it by.
        .with_no_da(!protected)
        .with_sign_encrypt(true)
        .build()
        .call("TPMA_OBJECT")?;
    let policy = Digest::try_from(policy).call("TPM2B_DIGEST")?;
    let builder = PublicBuilder::new()
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy);
    let rsa = |bits| -> Result<PublicBuilder> {
        let parameters = PublicRsaParametersBuilder::new_unrestricted_signing_key(
            RsaScheme::Null,
            bits,
            RsaExponent::ZERO_EXPONENT,
        );
        let unique = match &unique {
            Some(Unique::Rsa(n)) => {
                PublicKeyRsa::try_from(n.as_slice()).call("TPM2B_PUBLIC_KEY_RSA")?
            }
            _ => PublicKeyRsa::default(),
        };
        Ok(builder
            .clone()
            .with_public_algorithm(PublicAlgorithm::Rsa)
            .with_rsa_parameters(parameters.build().call("TPMS_RSA_PARMS")?)
            .with_rsa_unique_identifier(unique))
    };
    let ecc = |curve| -> Result<PublicBuilder> {
        let parameters = PublicEccParameters::new(
            SymmetricDefinitionObject::Null,
            EccScheme::Null,
            curve,
            KeyDerivationFunctionScheme::Null,
        );
        let unique = match &unique {
            Some(Unique::Ec(x, y)) => EccPoint::new(
                EccParameter::try_from(x.as_slice()).call("TPM2B_ECC_PARAMETER")?,
                EccParameter::try_from(y.as_slice()).call("TPM2B_ECC_PARAMETER")?,
            ),
            _ => EccPoint::default(),
        };
        Ok(builder
            .clone()
            .with_public_algorithm(PublicAlgorithm::Ecc)
            .with_ecc_parameters(parameters)
            .with_ecc_unique_identifier(unique))
    };
    let builder = match kind {
        KeyKind::Rsa2048 => rsa(RsaKeyBits::Rsa2048)?,
        KeyKind::Rsa3072 => rsa(RsaKeyBits::Rsa3072)?,
        KeyKind::Rsa4096 => rsa(RsaKeyBits::Rsa4096)?,
        KeyKind::EcP256 => ecc(EccCurve::NistP256)?,
        KeyKind::EcP384 => ecc(EccCurve::NistP384)?,
        KeyKind::HmacSha256 => {
            let parameters = tss_esapi::structures::PublicKeyedHashParameters::new(
                KeyedHashScheme::HMAC_SHA_256,
            );
            let unique = match &unique {
                Some(Unique::Hash(digest)) => {
                    Digest::try_from(digest.as_slice()).call("TPM2B_DIGEST")?
                }
                _ => Digest::default(),
            };
            builder
                .with_public_algorithm(PublicAlgorithm::KeyedHash)
                .with_keyed_hash_parameters(parameters)
                .with_keyed_hash_unique_identifier(unique)
        }
    };
    builder.build().call("TPMT_PUBLIC")
}

/// The public key of one that comes from outside.
#[derive(Clone)]
pub(crate) enum Unique {
    /// The modulus.
    Rsa(Vec<u8>),
    /// The coordinates.
    Ec(Vec<u8>, Vec<u8>),
    /// Of a secret: the hash of its seed and itself.
    Hash(Vec<u8>),
}
