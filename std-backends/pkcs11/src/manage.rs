//! Keys in a token: listed, made, imported and deleted.

use core::fmt;

use cloudauth_core::verifier::{KeyAlgorithm, PublicKey};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use zeroize::Zeroize as _;

use crate::error::{Pkcs11Error, Result};
use crate::key::KeyQuery;
use crate::modules::{Module, ModulePolicy};
use crate::object::{self, Attributes, KeyClass, Object, ObjectQuery};
use crate::token::{Pin, PinProvider, Token};

/// A key in a token, as the token describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// A private key, or a secret one.
    pub class: KeyClass,
    /// Type and size, such as `RSA-2048`, `EC P-256` or `generic secret, 44 octets`.
    pub kind: String,
    /// The token's label.
    pub token: String,
    /// The token's serial number.
    pub serial: String,
    /// The label (CKA_LABEL), which may be empty.
    pub label: Vec<u8>,
    /// The identifier (CKA_ID), which may be empty.
    pub id: Vec<u8>,
    /// The SubjectPublicKeyInfo in DER, when the token has it.
    pub public_key: Option<Vec<u8>>,
    /// The certificate of the same id or label, in DER.
    pub certificate: Option<Vec<u8>>,
    /// Whether the token never shows the key in the clear (CKA_SENSITIVE).
    pub sensitive: Option<bool>,
    /// Whether the key can leave the token at all (CKA_EXTRACTABLE).
    pub extractable: Option<bool>,
    /// Whether the key was made in the token (CKA_LOCAL).
    pub local: Option<bool>,
    /// Whether each signature wants the PIN again (CKA_ALWAYS_AUTHENTICATE).
    pub always_authenticate: bool,
    /// Why it cannot be used here, when it cannot.
    pub problem: Option<String>,
}

/// A kind of key that a token makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewKey {
    /// RSA with a modulus of so many bits and the exponent 65537.
    Rsa {
        /// 2048 to 8192.
        bits: u16,
    },
    /// EC on P-256.
    P256,
    /// EC on P-384.
    P384,
    /// A secret of 32 octets for HMAC-SHA256.
    Hmac,
}

/// A key to put into a token. All numbers are big-endian.
#[derive(Clone, Copy)]
#[non_exhaustive]
#[allow(missing_docs)] // the names of RFC 8017, appendix A.1.2
pub enum KeyMaterial<'a> {
    /// An RSA key.
    Rsa {
        n: &'a [u8],
        e: &'a [u8],
        d: &'a [u8],
        p: &'a [u8],
        q: &'a [u8],
        dp: &'a [u8],
        dq: &'a [u8],
        qinv: &'a [u8],
    },
    /// An EC key: the point as 0x04, x and y (65 octets for P-256, 97 for P-384), and the scalar.
    Ec { point: &'a [u8], scalar: &'a [u8] },
    /// A secret for HMAC-SHA256.
    Secret(&'a [u8]),
}

/// The keys that fit `query`, of one class or both. There may be none.
///
/// # Errors
/// [`Pkcs11Error`] names the call, its return code and what to do.
pub fn list(
    query: &KeyQuery,
    class: Option<KeyClass>,
    pin: Box<PinProvider>,
    policy: &ModulePolicy,
) -> Result<Vec<KeyInfo>> {
    with(query, pin, policy, false, |session, token| {
        let found = find(session, &query.object, class)?;
        found.iter().map(|object| describe(session, token, object)).collect()
    })
}

/// Makes a key in the token: sensitive, not extractable, and only for signatures (or tags).
///
/// # Errors
/// [`Pkcs11Error`]; no key is made when there is one that the query fits already.
pub fn generate(
    query: &KeyQuery,
    kind: NewKey,
    pin: Box<PinProvider>,
    policy: &ModulePolicy,
) -> Result<KeyInfo> {
    check_named(&query.object)?;
    with(query, pin, policy, true, |session, token| {
        let name = new_name(session, token, &query.object)?;
        let (mechanism, parameters) = match kind {
            NewKey::Rsa { bits } => (
                Mechanism::RsaPkcsKeyPairGen,
                vec![
                    Attribute::ModulusBits(Ulong::from(cryptoki_sys::CK_ULONG::from(bits))),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ],
            ),
            NewKey::P256 => (Mechanism::EccKeyPairGen, vec![parameters(P256)]),
            NewKey::P384 => (Mechanism::EccKeyPairGen, vec![parameters(P384)]),
            NewKey::Hmac => {
                let mut template = secret_template(&name);
                template.push(Attribute::ValueLen(Ulong::from(32)));
                let made = session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
                return finish(session, token, KeyClass::Secret, made, None);
            }
        };
        let mut public = public_template(&name);
        public.extend(parameters);
        let private = private_template(&name);
        let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
        finish(session, token, KeyClass::Private, private, Some(public))
    })
}

fn parameters(curve: &[u8]) -> Attribute {
    Attribute::EcParams(curve.to_vec())
}

/// Puts a key into the token: sensitive, not extractable, and only for signatures (or tags). Its public
/// half goes with it.
///
/// # Errors
/// As [`generate`]. Some tokens take no keys from outside.
pub fn import(
    query: &KeyQuery,
    material: KeyMaterial<'_>,
    pin: Box<PinProvider>,
    policy: &ModulePolicy,
) -> Result<KeyInfo> {
    check_named(&query.object)?;
    with(query, pin, policy, true, |session, token| {
        let name = new_name(session, token, &query.object)?;
        let (key_type, public) = match material {
            KeyMaterial::Rsa { n, e, .. } => {
                let key = [Attribute::Modulus(n.to_vec()), Attribute::PublicExponent(e.to_vec())];
                (KeyType::RSA, Some(key))
            }
            KeyMaterial::Ec { point, .. } => {
                // An OCTET STRING of at most 97 octets.
                let wrapped = [&[0x04, u8::try_from(point.len()).unwrap_or(0)], point].concat();
                (KeyType::EC, Some([parameters(curve(point)), Attribute::EcPoint(wrapped)]))
            }
            KeyMaterial::Secret(_) => (KeyType::GENERIC_SECRET, None),
        };
        let class = if public.is_some() { KeyClass::Private } else { KeyClass::Secret };
        let mut template = Wiped(match class {
            KeyClass::Private => private_template(&name),
            KeyClass::Secret => secret_template(&name),
        });
        template.0.extend([Attribute::Class(class.class()), Attribute::KeyType(key_type)]);
        template.add(material);
        let key = session.create_object(&template.0)?;
        drop(template);
        let Some(public) = public else { return finish(session, token, class, key, None) };
        let mut template = public_template(&name);
        template.extend([Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(key_type)]);
        template.extend(public);
        match session.create_object(&template) {
            Ok(public) => finish(session, token, class, key, Some(public)),
            Err(error) => {
                let _ = session.destroy_object(key);
                Err(error.into())
            }
        }
    })
}

/// Deletes the one key that fits `query`, and the public key of the same id and label. A certificate
/// stays.
///
/// # Errors
/// [`Pkcs11Error`]; nothing is deleted when several keys fit, or none.
pub fn delete(
    query: &KeyQuery,
    class: Option<KeyClass>,
    pin: Box<PinProvider>,
    policy: &ModulePolicy,
) -> Result<KeyInfo> {
    check_named(&query.object)?;
    with(query, pin, policy, true, |session, token| {
        let found = find(session, &query.object, class)?;
        let key = match found.as_slice() {
            [key] => key,
            [] => {
                return Err(Pkcs11Error::Key(format!(
                    "C_FindObjects: no key of {token} fits the URI; to see its keys: cloudauth key list"
                )));
            }
            several => {
                return Err(Pkcs11Error::Key(format!(
                    "C_FindObjects: several keys of {token} fit the URI, and none was deleted; name one \
                     by id, object or type: {}",
                    names(several)
                )));
            }
        };
        let info = describe(session, token, key)?;
        let mut twin = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
        twin.extend((!info.label.is_empty()).then(|| Attribute::Label(info.label.clone())));
        twin.extend((!info.id.is_empty()).then(|| Attribute::Id(info.id.clone())));
        session.destroy_object(key.handle)?;
        if info.class == KeyClass::Private && twin.len() > 1 {
            for public in session.find_objects(&twin)? {
                session.destroy_object(public)?;
            }
        }
        Ok(info)
    })
}

/// Calls `then` with the token, logged in, and a session that is closed after it.
fn with<T>(
    query: &KeyQuery,
    pin: Box<PinProvider>,
    policy: &ModulePolicy,
    write: bool,
    then: impl FnOnce(&Session, &Token) -> Result<T>,
) -> Result<T> {
    let path = policy.find(query.module_path.as_deref(), query.module_name.as_deref())?;
    let module = Module::load(&path)?;
    module.check_process()?;
    let entered = module.enter();
    let token = Token::find(&module, &query.token, None)?;
    let run = || {
        let pin = Pin::new(pin);
        let mut logged_in = token.login(&pin)?;
        let session = if write { token.writer() } else { token.reader() }?;
        if logged_in && token.has_logged_out(&session)? {
            logged_in = token.login(&pin)?;
        }
        if !logged_in {
            return Err(Pkcs11Error::Pin(token.no_pin()));
        }
        then(&session, &token)
    };
    let result = run();
    drop(entered);
    if let Err(Pkcs11Error::Call(error)) = &result
        && error.is_loss()
    {
        // Not tried again, because it may have been done; but the next call starts afresh.
        token.retire(error);
        module.revive(error, token.epoch)?;
    }
    result
}

/// What a new key is called, once it is sure that nothing else is.
fn new_name(session: &Session, token: &Token, query: &ObjectQuery) -> Result<Vec<Attribute>> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY, ObjectClass::PUBLIC_KEY] {
        let by_label = query.label.clone().map(Attribute::Label);
        let by_id = query.id.clone().map(Attribute::Id);
        for name in [by_label, by_id].into_iter().flatten() {
            let what = if matches!(name, Attribute::Id(_)) { "id" } else { "object" };
            if !session.find_objects(&[Attribute::Class(class), name])?.is_empty() {
                return Err(Pkcs11Error::Key(format!(
                    "C_FindObjects: {token} has a key of this {what} already, which is not replaced; \
                     choose another one, or delete it first"
                )));
            }
        }
    }
    let id = match &query.id {
        Some(id) => id.clone(),
        None => session.generate_random_vec(8)?,
    };
    let label = query.label.clone().unwrap_or_default();
    Ok(vec![Attribute::Label(label), Attribute::Id(id), Attribute::Token(true)])
}

fn check_named(query: &ObjectQuery) -> Result<()> {
    if query.label.is_none() && query.id.is_none() {
        return Err(Pkcs11Error::Key(
            "the URI names no key; add object=LABEL, or id=%01%02 (before the question mark)"
                .to_owned(),
        ));
    }
    Ok(())
}

fn find(session: &Session, query: &ObjectQuery, class: Option<KeyClass>) -> Result<Vec<Object>> {
    let mut found = Vec::new();
    for class in
        [KeyClass::Private, KeyClass::Secret].into_iter().filter(|c| class.is_none_or(|w| w == *c))
    {
        for handle in session.find_objects(&query.template(class))? {
            found.push(Object::read(session, handle, class)?);
        }
    }
    Ok(found)
}

fn names(objects: &[Object]) -> String {
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn describe(session: &Session, token: &Token, key: &Object) -> Result<KeyInfo> {
    use AttributeType as A;

    let flags = Attributes::read(session, key.handle, &[A::Sensitive, A::Extractable, A::Local])?;
    let key_type = key.attributes.key_type();
    let mut info = KeyInfo {
        class: key.class,
        kind: String::new(),
        token: token.label().to_owned(),
        serial: token.serial().to_owned(),
        label: key.attributes.bytes(A::Label).to_vec(),
        id: key.attributes.bytes(A::Id).to_vec(),
        public_key: None,
        certificate: None,
        sensitive: flags.flag(A::Sensitive),
        extractable: flags.flag(A::Extractable),
        local: flags.flag(A::Local),
        always_authenticate: key.always_authenticate(),
        problem: None,
    };
    let usable = match key.class {
        KeyClass::Private => {
            info.certificate = object::certificate(session, key)?.filter(|der| !der.is_empty());
            object::public_key(session, key).map(|spki| info.public_key = Some(spki))
        }
        KeyClass::Secret => object::check_mac(key),
    };
    match usable {
        Ok(()) if key.attributes.flag(A::Sign) == Some(false) => {
            info.problem = Some("it must not sign (CKA_SIGN is false)".to_owned());
        }
        Ok(()) => {}
        Err(Pkcs11Error::Key(problem)) => info.problem = Some(problem),
        Err(error) => return Err(error),
    }
    info.kind = kind(session, key, key_type, info.public_key.as_deref())?;
    Ok(info)
}

fn kind(
    session: &Session,
    key: &Object,
    key_type: Option<KeyType>,
    spki: Option<&[u8]>,
) -> Result<String> {
    let algorithm = spki.and_then(|spki| PublicKey::from_spki(spki).ok()).map(|k| k.algorithm());
    Ok(match (algorithm, key_type) {
        (Some(KeyAlgorithm::Rsa { bits }), _) => format!("RSA-{bits}"),
        (Some(KeyAlgorithm::P256), _) => "EC P-256".to_owned(),
        (Some(KeyAlgorithm::P384), _) => "EC P-384".to_owned(),
        (_, Some(t)) if t == KeyType::RSA => "RSA".to_owned(),
        (_, Some(t)) if t == KeyType::EC => "EC".to_owned(),
        (_, Some(t)) => {
            let name = match t {
                t if t == KeyType::GENERIC_SECRET => "generic secret".to_owned(),
                t if t == KeyType::SHA256_HMAC => "SHA256-HMAC secret".to_owned(),
                t if t == KeyType::AES => "AES".to_owned(),
                t => t.to_string(),
            };
            match key.class {
                KeyClass::Private => name,
                KeyClass::Secret => match secret_len(session, key.handle)? {
                    Some(octets) => format!("{name}, {octets} octets"),
                    None => name,
                },
            }
        }
        _ => "unknown".to_owned(),
    })
}

fn secret_len(session: &Session, key: ObjectHandle) -> Result<Option<u64>> {
    let read = Attributes::read(session, key, &[AttributeType::ValueLen])?;
    Ok(read.number(AttributeType::ValueLen))
}

/// What was made, once it is sure that the token keeps it. A key that it would give away is deleted.
fn finish(
    session: &Session,
    token: &Token,
    class: KeyClass,
    key: ObjectHandle,
    public: Option<ObjectHandle>,
) -> Result<KeyInfo> {
    let checked = Object::read(session, key, class)
        .and_then(|object| describe(session, token, &object))
        .and_then(|info| match (&info.problem, info.sensitive, info.extractable) {
            (Some(problem), ..) => Err(Pkcs11Error::Key(problem.clone())),
            (_, Some(false), _) | (_, _, Some(true)) => Err(Pkcs11Error::Key(format!(
                "{token} keeps such keys only where they can be read out (CKA_SENSITIVE is false or \
                 CKA_EXTRACTABLE is true); the key was deleted again"
            ))),
            _ => Ok(info),
        });
    if checked.is_err() {
        for object in [Some(key), public].into_iter().flatten() {
            let _ = session.destroy_object(object);
        }
    }
    checked
}

fn public_template(name: &[Attribute]) -> Vec<Attribute> {
    let mut template = name.to_vec();
    template.extend([
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
    ]);
    template
}

/// It signs, and does nothing else: what is not said here, some tokens allow.
fn private_template(name: &[Attribute]) -> Vec<Attribute> {
    let mut template = kept(name);
    template.extend([
        Attribute::Decrypt(false),
        Attribute::SignRecover(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    template
}

/// It makes tags, and does nothing else.
fn secret_template(name: &[Attribute]) -> Vec<Attribute> {
    let mut template = kept(name);
    template.extend([
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    template
}

fn kept(name: &[Attribute]) -> Vec<Attribute> {
    let mut template = name.to_vec();
    template.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    template
}

const P256: &[u8] = object::P256[0];
const P384: &[u8] = object::P384[0];

fn curve(point: &[u8]) -> &'static [u8] {
    if point.len() == 65 { P256 } else { P384 }
}

/// A template that holds a key: its memory is wiped in the end.
struct Wiped(Vec<Attribute>);

impl Wiped {
    fn add(&mut self, material: KeyMaterial<'_>) {
        match material {
            KeyMaterial::Rsa { n, e, d, p, q, dp, dq, qinv } => self.0.extend([
                Attribute::Modulus(n.to_vec()),
                Attribute::PublicExponent(e.to_vec()),
                Attribute::PrivateExponent(d.to_vec()),
                Attribute::Prime1(p.to_vec()),
                Attribute::Prime2(q.to_vec()),
                Attribute::Exponent1(dp.to_vec()),
                Attribute::Exponent2(dq.to_vec()),
                Attribute::Coefficient(qinv.to_vec()),
            ]),
            KeyMaterial::Ec { point, scalar } => {
                self.0.extend([parameters(curve(point)), Attribute::Value(scalar.to_vec())])
            }
            KeyMaterial::Secret(value) => self.0.push(Attribute::Value(value.to_vec())),
        }
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
            if let Attribute::PrivateExponent(secret)
            | Attribute::Prime1(secret)
            | Attribute::Prime2(secret)
            | Attribute::Exponent1(secret)
            | Attribute::Exponent2(secret)
            | Attribute::Coefficient(secret)
            | Attribute::Value(secret) = attribute
            {
                secret.zeroize();
            }
        }
    }
}

/// Never the key.
impl fmt::Debug for KeyMaterial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa { .. } => "KeyMaterial(RSA)",
            Self::Ec { .. } => "KeyMaterial(EC)",
            Self::Secret(_) => "KeyMaterial(secret)",
        })
    }
}
