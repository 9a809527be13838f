//! `pkcs11:` URIs (RFC 7512).

use core::fmt;
use core::str;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{percent_decode, to_path};
use crate::{KeyError, Result, SecretRef};

/// The attributes of a `pkcs11:` URI (RFC 7512, section 2.3), decoded. What is absent matches anything.
///
/// Every attribute stands there at most once. One that is not in the RFC is refused, also a vendor's: an
/// attribute that is passed over could have named another key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `manufacturer` of the token.
    pub manufacturer: Option<String>,
    /// `serial` number of the token.
    pub serial: Option<String>,
    /// `model` of the token.
    pub model: Option<String>,
    /// `library-manufacturer`: who made the module.
    pub library_manufacturer: Option<String>,
    /// `library-description`: what the module says it is.
    pub library_description: Option<String>,
    /// `library-version`: major and minor.
    pub library_version: Option<(u8, u8)>,
    /// `object`: the key's label (CKA_LABEL).
    pub object: Option<String>,
    /// `id`: the key's identifier (CKA_ID), any octets.
    pub id: Option<Vec<u8>>,
    /// `type`: the class of the object.
    pub object_type: Option<Pkcs11Type>,
    /// `slot-id`: the slot's number.
    pub slot_id: Option<u64>,
    /// `slot-manufacturer`.
    pub slot_manufacturer: Option<String>,
    /// `slot-description`.
    pub slot_description: Option<String>,
    /// `module-path`: the module's file, or a directory in which `module-name` is looked for.
    pub module_path: Option<PathBuf>,
    /// `module-name`: the module's file name without `lib` and the extension.
    pub module_name: Option<String>,
    /// `pin-source`: where the PIN is.
    pub pin_source: Option<PinSource>,
    /// `pin-value`: the PIN itself. Never printed.
    pub pin_value: Option<Zeroizing<String>>,
}

/// The class of object that a `pkcs11:` URI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkcs11Type {
    /// `public`: a public key.
    Public,
    /// `private`: a private key.
    Private,
    /// `cert`: a certificate.
    Cert,
    /// `secret-key`: a symmetric key, such as one for HMAC.
    SecretKey,
    /// `data`: anything.
    Data,
}

/// Where the PIN of a `pkcs11:` URI is.
#[derive(Clone, PartialEq, Eq)]
pub enum PinSource {
    /// `file:PATH`, `env:NAME` or `fd:N`.
    Secret(SecretRef),
    /// `|PROGRAM ARGUMENT...`: what this program prints. It is run only when the operator allows it.
    Command(Zeroizing<String>),
}

impl Pkcs11Type {
    const ALL: [Self; 5] = [Self::Public, Self::Private, Self::Cert, Self::SecretKey, Self::Data];

    /// The name in the URI.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Cert => "cert",
            Self::SecretKey => "secret-key",
            Self::Data => "data",
        }
    }
}

impl Pkcs11Uri {
    /// Reads what stands behind `pkcs11:`.
    pub(super) fn parse(path: &str, query: Option<&str>) -> Result<Self> {
        let mut uri = Self::default();
        // An empty path names every key; section 2.3 allows it.
        for part in path.split(';').filter(|_| !path.is_empty()) {
            uri.path_attribute(part)?;
        }
        for part in query.into_iter().flat_map(|q| q.split('&')) {
            uri.query_attribute(part)?;
        }
        if uri.pin_source.is_some() && uri.pin_value.is_some() {
            return Err(KeyError::uri("pin-source and pin-value exclude each other (RFC 7512)"));
        }
        Ok(uri)
    }

    fn path_attribute(&mut self, part: &str) -> Result<()> {
        let (name, value) = split(part)?;
        match name {
            "token" => text(&mut self.token, "token", value),
            "manufacturer" => text(&mut self.manufacturer, "manufacturer", value),
            "serial" => text(&mut self.serial, "serial", value),
            "model" => text(&mut self.model, "model", value),
            "library-manufacturer" => {
                text(&mut self.library_manufacturer, "library-manufacturer", value)
            }
            "library-description" => {
                text(&mut self.library_description, "library-description", value)
            }
            "object" => text(&mut self.object, "object", value),
            "slot-manufacturer" => text(&mut self.slot_manufacturer, "slot-manufacturer", value),
            "slot-description" => text(&mut self.slot_description, "slot-description", value),
            "id" => once(&mut self.id, "id", decode("id", value, PATH)?.to_vec()),
            "type" => {
                let found = Pkcs11Type::ALL.into_iter().find(|t| t.name() == value);
                let found = found.ok_or_else(|| {
                    KeyError::uri("type is one of private, secret-key, public, cert, data")
                })?;
                once(&mut self.object_type, "type", found)
            }
            "slot-id" => {
                let id = decimal(value).ok_or_else(|| {
                    KeyError::uri("slot-id is a decimal number, such as slot-id=3")
                })?;
                once(&mut self.slot_id, "slot-id", id)
            }
            "library-version" => {
                let (major, minor) = value.split_once('.').unwrap_or((value, "0"));
                let version = decimal(major).zip(decimal(minor));
                let version = version.ok_or_else(|| {
                    KeyError::uri("library-version is a number or two, such as 2 or 2.6")
                })?;
                once(&mut self.library_version, "library-version", version)
            }
            "pin-value" | "pin-source" | "module-path" | "module-name" => Err(KeyError::uri(
                format!("{name} stands behind the question mark: pkcs11:…?{name}=…"),
            )),
            _ => Err(unknown(name)),
        }
    }

    fn query_attribute(&mut self, part: &str) -> Result<()> {
        let (name, value) = split(part)?;
        match name {
            "pin-value" => {
                let pin = Zeroizing::new(utf8("pin-value", value, QUERY)?);
                once(&mut self.pin_value, "pin-value", not_empty("pin-value", pin)?)
            }
            "pin-source" => {
                let source = Zeroizing::new(utf8("pin-source", value, QUERY)?);
                let source = match source.strip_prefix('|') {
                    Some(command) => PinSource::Command(Zeroizing::new(command.to_owned())),
                    // A file: URI keeps its own encoding inside the attribute's.
                    None => PinSource::Secret(SecretRef::parse(&source)?),
                };
                once(&mut self.pin_source, "pin-source", source)
            }
            "module-path" => {
                // A PIN behind a wrong separator would become part of a path, and be printed.
                if value.contains('?') {
                    return Err(KeyError::uri(
                        "a second question mark; attributes behind the first are separated by &, and \
                         ? in a path is written %3F",
                    ));
                }
                let bytes = decode("module-path", value, QUERY)?;
                if bytes.is_empty() || bytes.contains(&0) {
                    return Err(KeyError::uri(
                        "module-path wants the path of the PKCS#11 module, such as \
                         module-path=/usr/lib/softhsm/libsofthsm2.so",
                    ));
                }
                once(&mut self.module_path, "module-path", to_path(bytes.to_vec())?)
            }
            "module-name" => {
                let name = utf8("module-name", value, QUERY)?;
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_+.".contains(&b);
                if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
                    return Err(KeyError::uri(
                        "module-name is a file name without lib and .so, such as softhsm2; a path \
                         goes into module-path",
                    ));
                }
                once(&mut self.module_name, "module-name", name)
            }
            _ if PATH_NAMES.split(' ').any(|known| known == name) => Err(KeyError::uri(format!(
                "{name} stands before the question mark: pkcs11:{name}=…"
            ))),
            _ => Err(unknown(name)),
        }
    }
}

const PATH_NAMES: &str = "token manufacturer serial model library-manufacturer library-description \
    library-version object id type slot-id slot-manufacturer slot-description";

/// What may stand unencoded beside letters, digits and `-._~` (RFC 7512, section 2.3).
const PATH: &[u8] = b":[]@!$'()*+,=&";
const QUERY: &[u8] = b":[]@!$'()*+,=/?|";

fn split(part: &str) -> Result<(&str, &str)> {
    part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        KeyError::uri(
            "every attribute of a pkcs11: URI is NAME=VALUE; ; separates them before the question \
             mark and & behind it (in a value write them %3B and %26)",
        )
    })
}

fn once<T>(to: &mut Option<T>, name: &str, value: T) -> Result<()> {
    if to.replace(value).is_some() {
        return Err(KeyError::uri(format!("{name} stands there twice")));
    }
    Ok(())
}

fn unknown(name: &str) -> KeyError {
    // The name may be the rest of a PIN with a separator in it.
    let name = match name {
        "slot" => " slot (it is slot-id)",
        "label" => " label (it is object)",
        "pin" => " pin (it is pin-source)",
        _ => "",
    };
    KeyError::uri(format!(
        "unknown attribute{name} of a pkcs11: URI; vendors' own are refused too, because one that is \
         passed over could have named another key. Known are {PATH_NAMES} before the question mark, \
         and module-path module-name pin-source pin-value behind it"
    ))
}

fn text(to: &mut Option<String>, name: &str, value: &str) -> Result<()> {
    once(to, name, utf8(name, value, PATH)?)
}

fn utf8(name: &str, value: &str, allowed: &[u8]) -> Result<String> {
    let mut bytes = decode(name, value, allowed)?;
    String::from_utf8(core::mem::take(&mut *bytes)).map_err(|e| {
        drop(Zeroizing::new(e.into_bytes()));
        KeyError::uri(format!("{name} is not UTF-8"))
    })
}

fn not_empty(name: &str, value: Zeroizing<String>) -> Result<Zeroizing<String>> {
    if value.is_empty() {
        return Err(KeyError::uri(format!("{name} is empty")));
    }
    Ok(value)
}

fn decode(name: &str, value: &str, allowed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    // A PIN behind a wrong separator would be part of what is printed.
    if value.contains("pin-value=") {
        return Err(KeyError::uri(
            "pin-value inside another attribute; it stands behind the question mark, or after &",
        ));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b) || allowed.contains(&b);
    if !value.bytes().all(plain) {
        return Err(KeyError::uri(format!(
            "{name}: a character that must be percent-encoded (a space is %20, / before the question \
             mark %2F, ü %C3%BC)"
        )));
    }
    let bytes = percent_decode(value).map(Zeroizing::new);
    bytes.ok_or_else(|| {
        KeyError::uri(format!("{name}: after % stand two hex digits; write % itself as %25"))
    })
}

/// Digits only: no sign, no space.
fn decimal<T: str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// The URI in its one canonical spelling, without the PIN: `pin-value` and a command are left out.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let mut path = Attributes { f, next: "", between: ";" };
        path.text("token", self.token.as_deref(), PATH)?;
        path.text("manufacturer", self.manufacturer.as_deref(), PATH)?;
        path.text("serial", self.serial.as_deref(), PATH)?;
        path.text("model", self.model.as_deref(), PATH)?;
        path.text("library-manufacturer", self.library_manufacturer.as_deref(), PATH)?;
        path.text("library-description", self.library_description.as_deref(), PATH)?;
        let version = self.library_version.map(|(major, minor)| format!("{major}.{minor}"));
        path.text("library-version", version.as_deref(), PATH)?;
        path.text("object", self.object.as_deref(), PATH)?;
        // Section 2.3: all octets of an id should be percent-encoded.
        path.bytes("id", self.id.as_deref(), None)?;
        path.text("type", self.object_type.map(Pkcs11Type::name), PATH)?;
        path.text("slot-id", self.slot_id.map(|id| id.to_string()).as_deref(), PATH)?;
        path.text("slot-manufacturer", self.slot_manufacturer.as_deref(), PATH)?;
        path.text("slot-description", self.slot_description.as_deref(), PATH)?;
        let mut query = Attributes { f: path.f, next: "?", between: "&" };
        // Without ?: a second one is refused here, though RFC 7512 allows it.
        let path = self.module_path.as_ref().map(|p| p.as_os_str().as_encoded_bytes());
        query.bytes("module-path", path, Some(b":[]@!$'()*+,=/"))?;
        query.text("module-name", self.module_name.as_deref(), QUERY)?;
        if let Some(PinSource::Secret(source)) = &self.pin_source {
            query.text("pin-source", Some(&source.to_uri()), b":/")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Uri({self})")
    }
}

/// Only the kind: a command may hold a secret.
impl fmt::Debug for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(source) => write!(f, "{source}"),
            Self::Command(_) => f.write_str("a command"),
        }
    }
}

/// Writes attributes with the right separators.
struct Attributes<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    next: &'static str,
    between: &'static str,
}

impl Attributes<'_, '_> {
    fn text(&mut self, name: &str, value: Option<&str>, allowed: &[u8]) -> fmt::Result {
        self.bytes(name, value.map(str::as_bytes), Some(allowed))
    }

    /// `allowed`: what is not encoded, beside letters and digits; with none everything is.
    fn bytes(&mut self, name: &str, value: Option<&[u8]>, allowed: Option<&[u8]>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        write!(self.f, "{}{name}=", core::mem::replace(&mut self.next, self.between))?;
        for byte in value {
            let plain = allowed.is_some_and(|allowed| {
                byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || allowed.contains(byte)
            });
            if plain {
                write!(self.f, "{}", char::from(*byte))?;
            } else {
                write!(self.f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
