//! Keys in a token: finding them, and their public halves.

use core::fmt;

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

impl ObjectQuery {
    pub(crate) fn template(&self, kind: KeyClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(kind.class())];
        template.extend(self.label.clone().map(Attribute::Label));
        template.extend(self.id.clone().map(Attribute::Id));
        template
    }
}

/// The class of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyClass {
    /// A private key: it signs.
    Private,
    /// A secret key: it makes tags.
    Secret,
}

impl KeyClass {
    pub(crate) fn class(self) -> ObjectClass {
        match self {
            Self::Private => ObjectClass::PRIVATE_KEY,
            Self::Secret => ObjectClass::SECRET_KEY,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Private => "private key",
            Self::Secret => "secret key",
        }
    }
}

/// Attributes of an object, as far as it has and shows them.
pub(crate) struct Attributes(Vec<Attribute>);

impl Attributes {
    /// Reads them together: every call to a token takes time. Each is asked for alone when the token
    /// refuses them together, or has one that cryptoki cannot read.
    ///
    /// Kinds of a fixed size that an object may lack stand at the end: a module that breaks off there,
    /// which it must not, leaves them zero.
    pub(crate) fn read(
        session: &Session,
        object: ObjectHandle,
        kinds: &[AttributeType],
    ) -> Result<Self> {
        use cryptoki::error::{Error, RvError};

        match session.get_attributes(object, kinds) {
            Ok(attributes) => Ok(Self(attributes)),
            Err(
                Error::Pkcs11(
                    RvError::AttributeTypeInvalid
                    | RvError::AttributeSensitive
                    | RvError::AttributeValueInvalid
                    | RvError::BufferTooSmall,
                    _,
                )
                | Error::InvalidValue
                | Error::NotSupported
                | Error::TryFromSlice(_),
            ) => match kinds {
                [] | [_] => Ok(Self(Vec::new())),
                several => {
                    let mut all = Vec::new();
                    for kind in several {
                        all.extend(Self::read(session, object, &[*kind])?.0);
                    }
                    Ok(Self(all))
                }
            },
            Err(e) => Err(e.into()),
        }
    }

    fn find<'a, T>(&'a self, pick: impl Fn(&'a Attribute) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }

    /// The octets of an attribute, empty when there is none.
    pub(crate) fn bytes(&self, kind: AttributeType) -> &[u8] {
        let found = self.find(|a| match a {
            Attribute::Label(b)
            | Attribute::Id(b)
            | Attribute::Modulus(b)
            | Attribute::PublicExponent(b)
            | Attribute::EcParams(b)
            | Attribute::EcPoint(b)
            | Attribute::PublicKeyInfo(b)
            | Attribute::Value(b)
                if a.attribute_type() == kind =>
            {
                Some(b.as_slice())
            }
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// A flag, when the object has it.
    pub(crate) fn flag(&self, kind: AttributeType) -> Option<bool> {
        self.find(|a| match a {
            Attribute::Sign(b)
            | Attribute::AlwaysAuthenticate(b)
            | Attribute::Sensitive(b)
            | Attribute::Extractable(b)
            | Attribute::Local(b)
                if a.attribute_type() == kind =>
            {
                Some(*b)
            }
            _ => None,
        })
    }

    /// A number, when the object has it.
    pub(crate) fn number(&self, kind: AttributeType) -> Option<u64> {
        self.find(|a| match a {
            #[allow(clippy::useless_conversion)] // it has 32 bits on some systems
            Attribute::ValueLen(n) if a.attribute_type() == kind => Some(u64::from(**n)),
            _ => None,
        })
    }

    pub(crate) fn key_type(&self) -> Option<KeyType> {
        self.find(|a| match a {
            Attribute::KeyType(t) => Some(*t),
            _ => None,
        })
    }
}

/// The octets of one attribute, empty when there is none.
fn bytes(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Vec<u8>> {
    Ok(Attributes::read(session, object, &[kind])?.bytes(kind).to_vec())
}

/// A key that was found, with what every key has.
pub(crate) struct Object {
    pub(crate) handle: ObjectHandle,
    pub(crate) class: KeyClass,
    pub(crate) attributes: Attributes,
}

impl Object {
    pub(crate) fn read(session: &Session, handle: ObjectHandle, class: KeyClass) -> Result<Self> {
        use AttributeType as A;

        let kinds = [A::KeyType, A::Label, A::Id, A::Sign, A::AlwaysAuthenticate];
        // Only private keys have the last one.
        let kinds = if class == KeyClass::Private { &kinds[..] } else { &kinds[..4] };
        Ok(Self { handle, class, attributes: Attributes::read(session, handle, kinds)? })
    }

    /// Whether each signature wants a login of its own.
    pub(crate) fn always_authenticate(&self) -> bool {
        self.attributes.flag(AttributeType::AlwaysAuthenticate).unwrap_or(false)
    }
}

/// How messages name a key: class, type, label and id, nothing else.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_type = match self.attributes.key_type() {
            Some(t) if t == KeyType::RSA => "RSA ",
            Some(t) if t == KeyType::EC => "EC ",
            Some(t) if t == KeyType::GENERIC_SECRET => "generic ",
            Some(t) if t == KeyType::SHA256_HMAC => "SHA256-HMAC ",
            Some(t) if t == KeyType::AES => "AES ",
            _ => "",
        };
        let label = String::from_utf8_lossy(self.attributes.bytes(AttributeType::Label));
        write!(f, "{key_type}{} (object {label:?}, id=", self.class.name())?;
        for byte in self.attributes.bytes(AttributeType::Id) {
            write!(f, "%{byte:02x}")?;
        }
        f.write_str(")")
    }
}

pub(crate) fn describe_all(session: &Session, objects: &[ObjectHandle], kind: KeyClass) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<_> = objects
        .iter()
        .take(SHOWN)
        .filter_map(|object| Object::read(session, *object, kind).ok())
        .map(|object| object.to_string())
        .collect();
    if objects.len() > SHOWN {
        names.push(format!("and {} more", objects.len() - SHOWN));
    }
    names.join("; ")
}

/// The one key that fits.
pub(crate) fn find(
    session: &Session,
    token: &Token,
    kind: KeyClass,
    query: &ObjectQuery,
    logged_in: bool,
) -> Result<Object> {
    let found = session.find_objects(&query.template(kind))?;
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
    let key = Object::read(session, key, kind)?;
    if key.attributes.flag(AttributeType::Sign) == Some(false) {
        return Err(Pkcs11Error::Key(format!(
            "the {key} must not sign: its attribute CKA_SIGN is false; use another key"
        )));
    }
    Ok(key)
}

/// The mechanisms that the key is bound to (CKA_ALLOWED_MECHANISMS); empty when it is bound to none.
pub(crate) fn allowed_mechanisms(
    session: &Session,
    key: ObjectHandle,
) -> Result<Vec<MechanismType>> {
    let read = Attributes::read(session, key, &[AttributeType::AllowedMechanisms])?;
    let found = read.find(|a| match a {
        Attribute::AllowedMechanisms(mechanisms) => Some(mechanisms.clone()),
        _ => None,
    });
    Ok(found.unwrap_or_default())
}

/// Checks that a secret key can make HMAC-SHA256 tags.
pub(crate) fn check_mac(key: &Object) -> Result<()> {
    match key.attributes.key_type() {
        Some(t) if t == KeyType::GENERIC_SECRET || t == KeyType::SHA256_HMAC => Ok(()),
        _ => Err(Pkcs11Error::Key(format!(
            "the {key} cannot make HMAC-SHA256 tags; import the secret (AWS4 and the secret access key) \
             as a generic secret, with: cloudauth key import --aws-secret"
        ))),
    }
}

/// The public key as a SubjectPublicKeyInfo: from the object of the same id (else label), else from the
/// private key itself, else from a certificate.
pub(crate) fn public_key(session: &Session, key: &Object) -> Result<Vec<u8>> {
    let is_rsa = match key.attributes.key_type() {
        Some(t) if t == KeyType::RSA => true,
        Some(t) if t == KeyType::EC => false,
        _ => {
            return Err(Pkcs11Error::Key(format!(
                "the {key} is of a type that is not supported; use RSA of 2048 to 8192 bits, or EC on \
                 P-256 or P-384"
            )));
        }
    };
    let read = |object| match is_rsa {
        true => {
            let kinds = [AttributeType::Modulus, AttributeType::PublicExponent];
            rsa(&Attributes::read(session, object, &kinds)?)
        }
        false => {
            let kinds = [AttributeType::EcParams, AttributeType::EcPoint];
            ec(&Attributes::read(session, object, &kinds)?, session, key)
        }
    };
    let twin = twin(session, key, &[Attribute::Class(ObjectClass::PUBLIC_KEY)])?;
    let of_twin = match twin {
        Some(twin) => read(twin)?,
        None => None,
    };
    let own = match read(key.handle)? {
        Some(own) => Some(own),
        None => Some(bytes(session, key.handle, AttributeType::PublicKeyInfo)?)
            .filter(|i| !i.is_empty()),
    };
    if let (Some(twin), Some(own)) = (&of_twin, &own)
        && twin != own
    {
        return Err(Pkcs11Error::Key(format!(
            "the public key of the same id belongs to another key than the {key}; delete it, and let the \
             token make it again"
        )));
    }
    let from_key = own.is_some();
    let spki = match of_twin.or(own) {
        Some(spki) => spki,
        None => public_of_certificate(session, key)?.ok_or_else(|| {
            Pkcs11Error::Key(format!(
                "no public key for the {key}: neither a public key nor a certificate of the same id is \
                 on the token; import one, with: pkcs11-tool --write-object public.der --type pubkey --id"
            ))
        })?,
    };
    PublicKey::from_spki(&spki)
        .map_err(|e| Pkcs11Error::Key(format!("the public key of the {key}: {e}")))?;
    if is_rsa && !from_key {
        // The public key came from elsewhere, but some tokens show the modulus alone.
        let modulus = bytes(session, key.handle, AttributeType::Modulus)?;
        let modulus = without_zeros(&modulus);
        let public = PublicKey::from_spki(&spki).ok().and_then(|k| k.rsa()).map(|(n, _)| n);
        if !modulus.is_empty() && public.map(without_zeros) != Some(modulus) {
            return Err(Pkcs11Error::Key(format!(
                "the public key or the certificate of the same id belongs to another key than the {key}"
            )));
        }
    }
    Ok(spki)
}

/// The one object with the same id as `key`, or when it has no id, with the same label.
pub(crate) fn twin(
    session: &Session,
    key: &Object,
    like: &[Attribute],
) -> Result<Option<ObjectHandle>> {
    let id = key.attributes.bytes(AttributeType::Id).to_vec();
    let label = key.attributes.bytes(AttributeType::Label).to_vec();
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

fn rsa(object: &Attributes) -> Result<Option<Vec<u8>>> {
    let n = object.bytes(AttributeType::Modulus);
    let e = object.bytes(AttributeType::PublicExponent);
    if n.is_empty() || e.is_empty() {
        return Ok(None);
    }
    let mut space = [0; MAX_SPKI_LEN];
    let spki = spki_from_rsa(without_zeros(n), without_zeros(e), &mut space);
    Ok(Some(spki.map_err(|e| Pkcs11Error::Key(format!("the RSA public key: {e}")))?.to_vec()))
}

/// The named curves in DER: an OBJECT IDENTIFIER, or the name as some tokens write it.
pub(crate) const P256: [&[u8]; 3] = [
    &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    b"\x13\x0asecp256r1",
    b"\x13\x0aprime256v1",
];
pub(crate) const P384: [&[u8]; 2] =
    [&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], b"\x13\x09secp384r1"];

fn ec(object: &Attributes, session: &Session, key: &Object) -> Result<Option<Vec<u8>>> {
    let point = object.bytes(AttributeType::EcPoint);
    if point.is_empty() {
        return Ok(None);
    }
    let mut curve = object.bytes(AttributeType::EcParams).to_vec();
    if curve.is_empty() {
        curve = bytes(session, key.handle, AttributeType::EcParams)?;
    }
    let size = if P256.contains(&curve.as_slice()) {
        32
    } else if P384.contains(&curve.as_slice()) {
        48
    } else {
        return Err(Pkcs11Error::Key(format!(
            "the {key} is on a curve that is not supported; use P-256 (secp256r1) or P-384 (secp384r1)"
        )));
    };
    let bad = || {
        Pkcs11Error::Key(format!(
            "CKA_EC_POINT of the {key} is not 0x04, x and y of {size} octets each"
        ))
    };
    let (x, y) = coordinates(point, size).ok_or_else(bad)?;
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

/// The certificate of the same id, else label, in DER.
pub(crate) fn certificate(session: &Session, key: &Object) -> Result<Option<Vec<u8>>> {
    let like = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
    ];
    let Some(object) = twin(session, key, &like)? else { return Ok(None) };
    Ok(Some(bytes(session, object, AttributeType::Value)?))
}

fn public_of_certificate(session: &Session, key: &Object) -> Result<Option<Vec<u8>>> {
    let Some(der) = certificate(session, key)? else { return Ok(None) };
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
