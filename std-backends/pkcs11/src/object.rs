//! Keys in a token: finding them, and their public halves.

use cloudauth_core::verifier::{MAX_SPKI_LEN, PublicKey, spki_from_ec, spki_from_rsa};
use cloudauth_core::x509::Certificate;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{
    Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;

use crate::error::{Pkcs11Error, Result};
use crate::token::Token;

/// Which key: what is absent matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectQuery {
    /// The label (CKA_LABEL).
    pub label: Option<Vec<u8>>,
    /// The identifier (CKA_ID).
    pub id: Option<Vec<u8>>,
}

/// What kind of key is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Private,
    Secret,
}

impl Kind {
    fn class(self) -> ObjectClass {
        match self {
            Self::Private => ObjectClass::PRIVATE_KEY,
            Self::Secret => ObjectClass::SECRET_KEY,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Private => "private key",
            Self::Secret => "secret key",
        }
    }
}

/// An attribute of an object; none when the object lacks it or does not show it.
fn get(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Option<Attribute>> {
    use cryptoki::error::{Error, RvError};

    match session.get_attributes(object, &[kind]) {
        Ok(attributes) => Ok(attributes.into_iter().next()),
        // Some modules refuse the whole call; cryptoki cannot read values of unknown kinds.
        Err(
            Error::Pkcs11(
                RvError::AttributeTypeInvalid
                | RvError::AttributeSensitive
                | RvError::AttributeValueInvalid,
                _,
            )
            | Error::InvalidValue
            | Error::NotSupported
            | Error::TryFromSlice(_),
        ) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The octets of an attribute, empty when there is none.
fn bytes(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Vec<u8>> {
    Ok(match get(session, object, kind)? {
        Some(
            Attribute::Label(b)
            | Attribute::Id(b)
            | Attribute::Modulus(b)
            | Attribute::PublicExponent(b)
            | Attribute::EcParams(b)
            | Attribute::EcPoint(b)
            | Attribute::PublicKeyInfo(b)
            | Attribute::Value(b),
        ) => b,
        _ => Vec::new(),
    })
}

fn flag(
    session: &Session,
    object: ObjectHandle,
    kind: AttributeType,
    absent: bool,
) -> Result<bool> {
    Ok(match get(session, object, kind)? {
        Some(Attribute::Sign(b) | Attribute::AlwaysAuthenticate(b)) => b,
        _ => absent,
    })
}

fn key_type(session: &Session, object: ObjectHandle) -> Result<Option<KeyType>> {
    Ok(match get(session, object, AttributeType::KeyType)? {
        Some(Attribute::KeyType(t)) => Some(t),
        _ => None,
    })
}

/// How errors name a key: class, type, label and id, nothing else.
fn describe(session: &Session, object: ObjectHandle, kind: Kind) -> String {
    let text = |kind| bytes(session, object, kind).unwrap_or_default();
    let id: String = text(AttributeType::Id).iter().map(|b| format!("%{b:02x}")).collect();
    let key_type = match key_type(session, object) {
        Ok(Some(t)) if t == KeyType::RSA => "RSA ",
        Ok(Some(t)) if t == KeyType::EC => "EC ",
        Ok(Some(t)) if t == KeyType::GENERIC_SECRET => "generic ",
        Ok(Some(t)) if t == KeyType::SHA256_HMAC => "SHA256-HMAC ",
        Ok(Some(t)) if t == KeyType::AES => "AES ",
        _ => "",
    };
    let label = text(AttributeType::Label);
    format!("{key_type}{} (object {:?}, id={id})", kind.name(), String::from_utf8_lossy(&label))
}

fn describe_all(session: &Session, objects: &[ObjectHandle], kind: Kind) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<_> =
        objects.iter().take(SHOWN).map(|object| describe(session, *object, kind)).collect();
    if objects.len() > SHOWN {
        names.push(format!("and {} more", objects.len() - SHOWN));
    }
    names.join("; ")
}

/// The one key that fits.
pub(crate) fn find(
    session: &Session,
    token: &Token,
    kind: Kind,
    query: &ObjectQuery,
    logged_in: bool,
) -> Result<ObjectHandle> {
    let mut template = vec![Attribute::Class(kind.class())];
    template.extend(query.label.clone().map(Attribute::Label));
    template.extend(query.id.clone().map(Attribute::Id));
    let found = session.find_objects(&template)?;
    let name = kind.name();
    let key = match found.as_slice() {
        [key] => *key,
        [] if !logged_in => return Err(Pkcs11Error::Pin(token.no_pin())),
        [] => {
            let all = session.find_objects(&[Attribute::Class(kind.class())])?;
            let there = if all.is_empty() {
                format!("there is no {name} on it at all")
            } else {
                format!("there are: {}", describe_all(session, &all, kind))
            };
            return Err(Pkcs11Error::Key(format!(
                "C_FindObjects: no {name} of {token} fits the URI; {there}"
            )));
        }
        several => {
            return Err(Pkcs11Error::Key(format!(
                "C_FindObjects: several keys of {token} fit the URI; name one by id or object: {}",
                describe_all(session, several, kind)
            )));
        }
    };
    if !flag(session, key, AttributeType::Sign, true)? {
        return Err(Pkcs11Error::Key(format!(
            "the {} must not sign: its attribute CKA_SIGN is false; use another key",
            describe(session, key, kind)
        )));
    }
    Ok(key)
}

/// Whether each signature wants a login of its own.
pub(crate) fn always_authenticate(session: &Session, key: ObjectHandle) -> Result<bool> {
    flag(session, key, AttributeType::AlwaysAuthenticate, false)
}

/// The mechanisms that the key is bound to (CKA_ALLOWED_MECHANISMS); empty when it is bound to none.
pub(crate) fn allowed_mechanisms(
    session: &Session,
    key: ObjectHandle,
) -> Result<Vec<MechanismType>> {
    Ok(match get(session, key, AttributeType::AllowedMechanisms)? {
        Some(Attribute::AllowedMechanisms(mechanisms)) => mechanisms,
        _ => Vec::new(),
    })
}

/// Checks that a secret key can make HMAC-SHA256 tags.
pub(crate) fn check_mac(session: &Session, key: ObjectHandle) -> Result<()> {
    match key_type(session, key)? {
        Some(t) if t == KeyType::GENERIC_SECRET || t == KeyType::SHA256_HMAC => Ok(()),
        _ => Err(Pkcs11Error::Key(format!(
            "the {} cannot make HMAC-SHA256 tags; import the secret (AWS4 and the secret access key) as \
             a generic secret (CKK_GENERIC_SECRET or CKK_SHA256_HMAC)",
            describe(session, key, Kind::Secret)
        ))),
    }
}

/// The public key as a SubjectPublicKeyInfo: from the object of the same id (else label), else from the
/// private key itself, else from a certificate.
pub(crate) fn public_key(session: &Session, key: ObjectHandle) -> Result<Vec<u8>> {
    let name = || describe(session, key, Kind::Private);
    let is_rsa = match key_type(session, key)? {
        Some(t) if t == KeyType::RSA => true,
        Some(t) if t == KeyType::EC => false,
        _ => {
            return Err(Pkcs11Error::Key(format!(
                "the {} is of a type that is not supported; use RSA of 2048 to 8192 bits, or EC on \
                 P-256 or P-384",
                name()
            )));
        }
    };
    let read = |object| if is_rsa { rsa(session, object) } else { ec(session, object, key) };
    let twin = twin(session, key, &[Attribute::Class(ObjectClass::PUBLIC_KEY)])?;
    let of_twin = match twin {
        Some(twin) => read(twin)?,
        None => None,
    };
    let own = match read(key)? {
        Some(own) => Some(own),
        None => Some(bytes(session, key, AttributeType::PublicKeyInfo)?).filter(|i| !i.is_empty()),
    };
    if let (Some(twin), Some(own)) = (&of_twin, &own)
        && twin != own
    {
        return Err(Pkcs11Error::Key(format!(
            "the public key of the same id belongs to another key than the {}; delete it, and let the \
             token make it again",
            name()
        )));
    }
    let spki = match of_twin.or(own) {
        Some(spki) => spki,
        None => certificate(session, key)?.ok_or_else(|| {
            Pkcs11Error::Key(format!(
                "no public key for the {}: neither a public key nor a certificate of the same id is on \
                 the token; import one, with: pkcs11-tool --write-object public.der --type pubkey --id",
                name()
            ))
        })?,
    };
    PublicKey::from_spki(&spki)
        .map_err(|e| Pkcs11Error::Key(format!("the public key of the {}: {e}", name())))?;
    if is_rsa {
        // Where the public key came from elsewhere: the private key shows its modulus in most tokens.
        let modulus = bytes(session, key, AttributeType::Modulus)?;
        let modulus = without_zeros(&modulus);
        let public = PublicKey::from_spki(&spki).ok().and_then(|k| k.rsa()).map(|(n, _)| n);
        if !modulus.is_empty() && public.map(without_zeros) != Some(modulus) {
            return Err(Pkcs11Error::Key(format!(
                "the certificate of the same id belongs to another key than the {}",
                name()
            )));
        }
    }
    Ok(spki)
}

/// The one object with the same id as `key`, or when it has no id, with the same label.
fn twin(session: &Session, key: ObjectHandle, like: &[Attribute]) -> Result<Option<ObjectHandle>> {
    let id = bytes(session, key, AttributeType::Id)?;
    let label = bytes(session, key, AttributeType::Label)?;
    for name in [
        (!id.is_empty()).then_some(Attribute::Id(id)),
        (!label.is_empty()).then_some(Attribute::Label(label)),
    ] {
        let Some(name) = name else { continue };
        let template: Vec<_> = like.iter().cloned().chain([name]).collect();
        match session.find_objects(&template)?.as_slice() {
            [] => {}
            // Several of one id: the first signature is verified, which finds a wrong one.
            [first, ..] => return Ok(Some(*first)),
        }
    }
    Ok(None)
}

fn rsa(session: &Session, object: ObjectHandle) -> Result<Option<Vec<u8>>> {
    let n = bytes(session, object, AttributeType::Modulus)?;
    let e = bytes(session, object, AttributeType::PublicExponent)?;
    if n.is_empty() || e.is_empty() {
        return Ok(None);
    }
    let mut space = [0; MAX_SPKI_LEN];
    let spki = spki_from_rsa(without_zeros(&n), without_zeros(&e), &mut space);
    Ok(Some(spki.map_err(|e| Pkcs11Error::Key(format!("the RSA public key: {e}")))?.to_vec()))
}

/// The named curves in DER: an OBJECT IDENTIFIER, or the name as some tokens write it.
const P256: [&[u8]; 3] = [
    &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    b"\x13\x0asecp256r1",
    b"\x13\x0aprime256v1",
];
const P384: [&[u8]; 2] = [&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], b"\x13\x09secp384r1"];

fn ec(session: &Session, object: ObjectHandle, key: ObjectHandle) -> Result<Option<Vec<u8>>> {
    let point = bytes(session, object, AttributeType::EcPoint)?;
    if point.is_empty() {
        return Ok(None);
    }
    let curve = bytes(session, key, AttributeType::EcParams)?;
    let size = if P256.contains(&curve.as_slice()) {
        32
    } else if P384.contains(&curve.as_slice()) {
        48
    } else {
        return Err(Pkcs11Error::Key(format!(
            "the {} is on a curve that is not supported; use P-256 (secp256r1) or P-384 (secp384r1)",
            describe(session, key, Kind::Private)
        )));
    };
    let bad = || {
        Pkcs11Error::Key(format!(
            "CKA_EC_POINT of the {} is not 0x04, x and y of {size} octets each",
            describe(session, key, Kind::Private)
        ))
    };
    let (x, y) = coordinates(&point, size).ok_or_else(bad)?;
    let mut space = [0; MAX_SPKI_LEN];
    Ok(Some(spki_from_ec(x, y, &mut space).map_err(|_| bad())?.to_vec()))
}

/// x and y of an uncompressed point: the standard wraps it in an OCTET STRING, some tokens do not.
fn coordinates(point: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let bare = |point: &'_ [u8]| point.first() == Some(&4) && point.len() == 2 * size + 1;
    let point = match point {
        // 0x04 is the tag of an OCTET STRING and the mark of an uncompressed point: the length tells.
        point if bare(point) => point,
        [4, len, inner @ ..] if usize::from(*len) == inner.len() && bare(inner) => inner,
        _ => return None,
    };
    point.get(1..)?.split_at_checked(size)
}

fn certificate(session: &Session, key: ObjectHandle) -> Result<Option<Vec<u8>>> {
    let like = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
    ];
    let Some(object) = twin(session, key, &like)? else { return Ok(None) };
    let der = bytes(session, object, AttributeType::Value)?;
    let certificate = Certificate::parse(&der)
        .map_err(|e| Pkcs11Error::Key(format!("the certificate on the token: {e}")))?;
    Ok(Some(certificate.spki().to_vec()))
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points() {
        for size in [32, 48] {
            let x = vec![1; size];
            let y = vec![2; size];
            let bare = [&[4][..], &x, &y].concat();
            let len = u8::try_from(bare.len()).unwrap();
            let wrapped = [&[4, len][..], &bare].concat();
            for point in [&bare, &wrapped] {
                assert_eq!(coordinates(point, size), Some((&x[..], &y[..])));
                assert_eq!(coordinates(&point[1..], size), None);
                assert_eq!(coordinates(&point[..point.len() - 1], size), None);
                assert_eq!(coordinates(&[point, &[0][..]].concat(), size), None);
            }
            let compressed = [&[2][..], &x].concat();
            assert_eq!(coordinates(&compressed, size), None);
        }
        assert_eq!(coordinates(&[], 32), None);
    }
}
