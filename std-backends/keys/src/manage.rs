//! Keys listed, made, imported and deleted, whatever holds them.

use core::fmt;
use std::path::Path;

use cloudauth_core::Signer as _;
use cloudauth_pkcs11::manage::{self as token, KeyInfo, KeyMaterial, NewKey};
use cloudauth_pkcs11::{KeyClass, ModulePolicy};
use pkcs8::der::Decode as _;
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::{LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use crate::key::Software;
use crate::software::SoftwareKey;
use crate::token::{failed, pin, query, take};
#[cfg(feature = "tpm")]
use crate::tpm;
use crate::uri::Target;
use crate::{
    GoogleAccount, Key, KeyError, KeyUri, PASSPHRASE_VARIABLE, Pkcs11Type, Pkcs11Uri, Prompt,
    Result, SecretRef, Warning, files, mac,
};

mod material;

pub use material::{Imported, Material};

/// A kind of key that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of 2048 bits and the exponent 65537.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// EC on P-256.
    EcP256,
    /// EC on P-384.
    EcP384,
    /// A secret for HMAC-SHA256, in a device. It is of no use with AWS, which makes the secret itself.
    HmacSha256,
}

/// What can be said about a key. Nothing of it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// A URI that names this key and no other, without secrets.
    pub uri: String,
    /// Type and size, such as `RSA-2048`, `EC P-256` or `generic secret, 44 octets`.
    pub kind: String,
    /// Whether it is a secret for HMAC, not a key that signs.
    pub secret: bool,
    /// What holds it: the token's label.
    pub token: Option<String>,
    /// Its label there.
    pub label: Option<String>,
    /// Its identifier there.
    pub id: Option<Vec<u8>>,
    /// The SubjectPublicKeyInfo in DER; none for a secret.
    pub public_key: Option<Vec<u8>>,
    /// A certificate that lies beside it, in DER.
    pub certificate: Option<Vec<u8>>,
    /// Whether the device never shows it.
    pub sensitive: Option<bool>,
    /// Whether it can leave the device.
    pub extractable: Option<bool>,
    /// Whether it was made in the device.
    pub made_in_device: Option<bool>,
    /// Whether each signature wants the PIN again.
    pub always_authenticate: Option<bool>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// The keys of the device that `uri` names, those that fit all its attributes.
///
/// # Errors
/// [`KeyError`]; files and variables are not listed.
pub fn list(uri: &KeyUri, prompt: &Prompt) -> Result<Vec<Description>> {
    match uri.target() {
        Target::Pkcs11(attributes) => listed(uri, attributes, prompt),
        #[cfg(feature = "tpm")]
        Target::Tpm(attributes) => tpm::list(uri, attributes),
        #[cfg(not(feature = "tpm"))]
        Target::Tpm(_) => Err(uri.no_backend()),
        Target::File { .. } | Target::Env { .. } => Err(KeyError::NotDone {
            what: format!("list the keys of {}", uri.place()),
            help: "only devices have a list of keys; show the key itself".to_owned(),
        }),
    }
}

/// The one key that `uri` names.
///
/// # Errors
/// [`KeyError`], also when several keys fit.
pub fn describe(uri: &KeyUri, prompt: &Prompt) -> Result<Description> {
    match uri.target() {
        Target::Pkcs11(attributes) => {
            let mut found = listed(uri, attributes, prompt)?;
            match (found.pop(), found.as_slice()) {
                (Some(one), []) => Ok(one),
                (None, _) => Err(not_one(
                    uri,
                    "no key fits the URI; to see what is there: cloudauth key list".to_owned(),
                )),
                (Some(last), others) => {
                    let uris: Vec<_> = others.iter().chain([&last]).map(|d| &*d.uri).collect();
                    Err(not_one(uri, format!("several keys fit the URI: {}", uris.join(" and "))))
                }
            }
        }
        #[cfg(feature = "tpm")]
        Target::Tpm(attributes) => tpm::describe(uri, attributes),
        #[cfg(not(feature = "tpm"))]
        Target::Tpm(_) => Err(uri.no_backend()),
        Target::File { .. } | Target::Env { .. } => {
            let key = Key::open_with(uri, prompt)?;
            let mut notes: Vec<_> = key.warnings().iter().map(ToString::to_string).collect();
            if let Some(account) = key.google() {
                notes.push(google_note(account));
            }
            notes.push("a key in software: whoever reads it has it".to_owned());
            Ok(Description {
                uri: uri.to_string(),
                kind: key.algorithm().to_string(),
                public_key: Some(key.public_key().to_vec()),
                notes,
                ..Description::default()
            })
        }
    }
}

/// Makes a key: in a device so that it never leaves it, or as a new PEM file (PKCS#8, only its owner may
/// read it; encrypted when a passphrase is named). Nothing is ever replaced.
///
/// # Errors
/// [`KeyError`]; a key or file of this name that is there already is one.
pub fn create(uri: &KeyUri, kind: KeyKind, prompt: &Prompt) -> Result<Description> {
    match uri.target() {
        Target::Pkcs11(attributes) => {
            let secret = kind == KeyKind::HmacSha256;
            check_type(attributes, if secret { KeyClass::Secret } else { KeyClass::Private })?;
            let kind = match kind {
                KeyKind::Rsa2048 => NewKey::Rsa { bits: 2048 },
                KeyKind::Rsa3072 => NewKey::Rsa { bits: 3072 },
                KeyKind::Rsa4096 => NewKey::Rsa { bits: 4096 },
                KeyKind::EcP256 => NewKey::P256,
                KeyKind::EcP384 => NewKey::P384,
                KeyKind::HmacSha256 => NewKey::Hmac,
            };
            let place = uri.place();
            let (pin, warnings) = pin(attributes, &place, prompt);
            token::generate(&query(attributes), kind, pin, &ModulePolicy::from_env())
                .map(|info| description(attributes, info, take(&warnings)))
                .map_err(|error| failed(&place, error))
        }
        #[cfg(feature = "tpm")]
        Target::Tpm(attributes) => tpm::create(uri, attributes, kind),
        #[cfg(not(feature = "tpm"))]
        Target::Tpm(_) => Err(uri.no_backend()),
        Target::File { path, passphrase } => {
            write_new(path, kind, passphrase.as_ref())?;
            describe(uri, prompt)
        }
        Target::Env { .. } => Err(KeyError::NotDone {
            what: format!("make a key in {}", uri.place()),
            help: "a program cannot set variables of others; name a device, or file:PATH"
                .to_owned(),
        }),
    }
}

/// Puts a key into a device, from which it does not come out again.
///
/// # Errors
/// [`KeyError`]; a key of this name that is there already is one.
pub fn import(uri: &KeyUri, material: &Material, prompt: &Prompt) -> Result<Description> {
    match uri.target() {
        Target::Pkcs11(attributes) => {
            let secret = matches!(material, Material::Hmac(_));
            check_type(attributes, if secret { KeyClass::Secret } else { KeyClass::Private })?;
            let place = uri.place();
            material.with_parts(|parts: KeyMaterial<'_>| {
                let (pin, warnings) = pin(attributes, &place, prompt);
                token::import(&query(attributes), parts, pin, &ModulePolicy::from_env())
                    .map(|info| description(attributes, info, take(&warnings)))
                    .map_err(|error| failed(&place, error))
            })?
        }
        #[cfg(feature = "tpm")]
        Target::Tpm(attributes) => tpm::import(uri, attributes, material),
        #[cfg(not(feature = "tpm"))]
        Target::Tpm(_) => Err(uri.no_backend()),
        Target::File { .. } | Target::Env { .. } => Err(KeyError::NotDone {
            what: format!("import into {}", uri.place()),
            help: "keys are imported into devices, from where nobody copies them".to_owned(),
        }),
    }
}

/// Deletes the one key that `uri` names, for good, and says which it was.
///
/// # Errors
/// [`KeyError`], also when several keys fit, and for files and variables.
pub fn delete(uri: &KeyUri, prompt: &Prompt) -> Result<Description> {
    match uri.target() {
        Target::Pkcs11(attributes) => {
            let class = class(attributes)?;
            let place = uri.place();
            let (pin, warnings) = pin(attributes, &place, prompt);
            token::delete(&query(attributes), class, pin, &ModulePolicy::from_env())
                .map(|info| description(attributes, info, take(&warnings)))
                .map_err(|error| failed(&place, error))
        }
        #[cfg(feature = "tpm")]
        Target::Tpm(attributes) => tpm::delete(uri, attributes),
        #[cfg(not(feature = "tpm"))]
        Target::Tpm(_) => Err(uri.no_backend()),
        Target::File { .. } | Target::Env { .. } => Err(KeyError::NotDone {
            what: format!("delete {}", uri.place()),
            help:
                "only keys in devices are deleted; remove a file yourself, and mind its copies in \
                   backups and snapshots"
                    .to_owned(),
        }),
    }
}

fn listed(uri: &KeyUri, attributes: &Pkcs11Uri, prompt: &Prompt) -> Result<Vec<Description>> {
    let class = class(attributes)?;
    let place = uri.place();
    let (pin, warnings) = pin(attributes, &place, prompt);
    let found = token::list(&query(attributes), class, pin, &ModulePolicy::from_env())
        .map_err(|error| failed(&place, error))?;
    let warnings = take(&warnings);
    Ok(found.into_iter().map(|info| description(attributes, info, warnings.clone())).collect())
}

fn not_one(uri: &KeyUri, help: String) -> KeyError {
    KeyError::NotDone { what: format!("open {}", uri.place()), help }
}

/// The class that a URI asks for.
fn class(uri: &Pkcs11Uri) -> Result<Option<KeyClass>> {
    match uri.object_type {
        None => Ok(None),
        Some(Pkcs11Type::Private) => Ok(Some(KeyClass::Private)),
        Some(Pkcs11Type::SecretKey) => Ok(Some(KeyClass::Secret)),
        Some(_) => Err(KeyError::uri("a key has type=private or type=secret-key, or no type")),
    }
}

fn check_type(uri: &Pkcs11Uri, wanted: KeyClass) -> Result<()> {
    match class(uri)? {
        Some(found) if found != wanted => {
            Err(KeyError::uri("the type in the URI is not that of the key; leave it out"))
        }
        _ => Ok(()),
    }
}

/// What a token says, with a URI that names this key alone.
fn description(given: &Pkcs11Uri, info: KeyInfo, warnings: Vec<Warning>) -> Description {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let label = String::from_utf8(info.label).ok().and_then(some);
    let id = Some(info.id).filter(|id| !id.is_empty());
    let uri = Pkcs11Uri {
        token: some(info.token.clone()),
        serial: some(info.serial),
        object: label.clone(),
        id: id.clone(),
        object_type: Some(match info.class {
            KeyClass::Secret => Pkcs11Type::SecretKey,
            _ => Pkcs11Type::Private,
        }),
        module_path: given.module_path.clone(),
        module_name: given.module_name.clone(),
        pin_source: given.pin_source.clone(),
        ..Pkcs11Uri::default()
    };
    let mut notes: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    notes.extend(info.problem);
    if info.extractable == Some(true) || info.sensitive == Some(false) {
        notes.push("the key can leave the token".to_owned());
    }
    Description {
        uri: uri.to_string(),
        kind: info.kind,
        secret: info.class == KeyClass::Secret,
        token: some(info.token),
        label,
        id,
        public_key: info.public_key,
        certificate: info.certificate,
        sensitive: info.sensitive,
        extractable: info.extractable,
        made_in_device: info.local,
        always_authenticate: Some(info.always_authenticate),
        notes,
    }
}

pub(crate) fn google_note(account: &GoogleAccount) -> String {
    let id = account.private_key_id.as_deref();
    format!(
        "it belongs to --email {}{}",
        account.client_email,
        id.map(|id| format!(" --key-id {id}")).unwrap_or_default()
    )
}

/// Writes a new key as PEM. The file appears under its name when it is whole, and only if there is none.
fn write_new(path: &Path, kind: KeyKind, passphrase: Option<&SecretRef>) -> Result<()> {
    use std::io::Write as _;

    let place = files::place(path);
    let not_written = |e: &std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => KeyError::NotDone {
            what: format!("write {place}"),
            help: "there is a file of this name already, which is not replaced".to_owned(),
        },
        reason => KeyError::NotWritten { place: place.clone(), reason },
    };
    if path.symlink_metadata().is_ok() {
        return Err(not_written(&std::io::ErrorKind::AlreadyExists.into()));
    }
    // Before the key is made: a passphrase may be missing.
    let passphrase = match passphrase {
        Some(source) => Some(source.read()?),
        None => SecretRef::variable(PASSPHRASE_VARIABLE).read().ok(),
    };
    let der = SoftwareKey::generate(kind)?;
    let pem = match passphrase {
        Some(passphrase) => encrypted(&der, &passphrase),
        None => SecretDocument::try_from(der.as_slice())
            .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
            .ok(),
    };
    let pem = pem.ok_or_else(|| KeyError::NotDone {
        what: format!("write {place}"),
        help: "the key cannot be encoded".to_owned(),
    })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Mode 0600 from the start.
    let mut file = tempfile::Builder::new()
        .prefix(".cloudauth-key-")
        .tempfile_in(folder)
        .map_err(|e| not_written(&e))?;
    file.write_all(pem.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| not_written(&e))?;
    file.persist_noclobber(path).map_err(|e| not_written(&e.error))?;
    Ok(())
}

/// PBES2 with PBKDF2 on HMAC-SHA256 and AES-256-CBC (RFC 8018), which every tool reads.
fn encrypted(der: &[u8], passphrase: &[u8]) -> Option<Zeroizing<String>> {
    const ITERATIONS: u32 = 600_000;
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    aws_lc_rs::rand::fill(&mut salt).and_then(|()| aws_lc_rs::rand::fill(&mut iv)).ok()?;
    let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv).ok()?;
    PrivateKeyInfoRef::from_der(der)
        .ok()?
        .encrypt_with_params(parameters, passphrase)
        .ok()?
        .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
        .ok()
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::EcP256 => "EC P-256",
            Self::EcP384 => "EC P-384",
            Self::HmacSha256 => "HMAC-SHA256",
        })
    }
}

#[cfg(test)]
mod tests;
