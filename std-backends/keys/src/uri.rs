//! The names of keys.

use core::fmt;
use core::str::FromStr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{KeyError, Result, SecretRef, files};

mod pkcs11;
mod tpm;

pub use pkcs11::{PinSource, Pkcs11Type, Pkcs11Uri};
pub use tpm::TpmUri;

/// The variable with the passphrase of an encrypted key whose URI has no `passphrase-source`.
pub const PASSPHRASE_VARIABLE: &str = "CLOUDAUTH_KEY_PASSPHRASE";

/// The variable with the PIN of a token whose URI has neither `pin-source` nor `pin-value`.
pub const PIN_VARIABLE: &str = "CLOUDAUTH_KEY_PIN";

/// The variable with the authorization value of a TPM key whose URI has no `auth-source`.
pub const AUTH_VARIABLE: &str = "CLOUDAUTH_KEY_AUTH";

/// The variable with the authorization value of a TPM key's parent, without `parent-auth-source`.
pub const PARENT_AUTH_VARIABLE: &str = "CLOUDAUTH_PARENT_AUTH";

/// The variable with the authorization value of a TPM's owner hierarchy, without `owner-auth-source`.
pub const OWNER_AUTH_VARIABLE: &str = "CLOUDAUTH_OWNER_AUTH";

const SCHEMES: &str = "file:PATH, env:NAME, pkcs11:… and tpm:…";
const MAX_LEN: usize = 4096;
const REDACTED: &str = "[redacted]";

/// The name of a key: `file:PATH`, `env:NAME`, `pkcs11:…` (RFC 7512) or `tpm:…`.
///
/// Paths are percent-encoded where they need to be (`%3F` for `?`, `%23` for `#`, `%25` for `%`), may be
/// relative, and may be written `file:///absolute/path` (RFC 8089). `file:` and `env:` take one
/// attribute: `?passphrase-source=env:NAME`, `file:PATH` or `fd:N`.
///
/// `Display` and `Debug` leave out whatever could be a secret, such as the value of `pin-value`.
#[derive(Clone)]
pub struct KeyUri {
    text: Zeroizing<String>,
    target: Target,
}

/// The part of a [`KeyUri`] before the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriScheme {
    /// A key in a file.
    File,
    /// A key in an environment variable.
    Env,
    /// A key in a PKCS#11 token.
    Pkcs11,
    /// A key in a TPM.
    Tpm,
}

/// What a URI leads to.
#[derive(Clone)]
pub(crate) enum Target {
    File { path: PathBuf, passphrase: Option<SecretRef> },
    Env { name: String, passphrase: Option<SecretRef> },
    Pkcs11(Box<Pkcs11Uri>),
    Tpm(Box<TpmUri>),
}

impl KeyUri {
    /// Reads a key URI.
    ///
    /// # Errors
    /// [`KeyError::Uri`] says what is expected, without repeating what could be a secret.
    pub fn parse(text: &str) -> Result<Self> {
        if text.contains("-----BEGIN") {
            return Err(KeyError::uri(
                "this is a key, not the name of one; keep it in a file or a variable, and write \
                 file:PATH or env:NAME",
            ));
        }
        if text.len() > MAX_LEN {
            return Err(KeyError::uri(format!("more than {MAX_LEN} octets")));
        }
        let (scheme, rest) = split_scheme(text).ok_or_else(|| {
            KeyError::uri(format!(
                "no scheme; a key file is written file:PATH (the schemes are {SCHEMES})"
            ))
        })?;
        check_characters(rest)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let target = match scheme.as_str() {
            "file" => Target::File { path: decode_path(path)?, passphrase: passphrase(query)? },
            "env" => Target::Env { name: variable_name(path)?, passphrase: passphrase(query)? },
            "pkcs11" => Target::Pkcs11(Box::new(Pkcs11Uri::parse(path, query)?)),
            "tpm" => Target::Tpm(Box::new(TpmUri::parse(path, query)?)),
            _ => return Err(KeyError::uri(format!("unknown scheme; expected {SCHEMES}"))),
        };
        Ok(Self { text: Zeroizing::new(text.to_owned()), target })
    }

    /// The URI of the file at `path`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse): for an empty path, or one that is too long.
    pub fn of_file(path: &Path) -> Result<Self> {
        Self::parse(&format!("file:{}", encode_path(path)))
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> UriScheme {
        match self.target {
            Target::File { .. } => UriScheme::File,
            Target::Env { .. } => UriScheme::Env,
            Target::Pkcs11(_) => UriScheme::Pkcs11,
            Target::Tpm(_) => UriScheme::Tpm,
        }
    }

    /// The file that holds the key, of `file:PATH` and `tpm:file=PATH`: when it changes, the key is another.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.target {
            Target::File { path, .. } => Some(path),
            Target::Tpm(uri) => uri.file.as_deref(),
            Target::Env { .. } | Target::Pkcs11(_) => None,
        }
    }

    /// What stands between the scheme's colon and the question mark, as written: percent-encoded, and
    /// for `pkcs11:` and `tpm:` a list of attributes. It can hold secrets: never print it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.rest().split_once('?').map_or(self.rest(), |(path, _)| path)
    }

    /// What stands after the question mark, as [`path`](Self::path). It can hold secrets.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.rest().split_once('?').map(|(_, query)| query)
    }

    /// The environment variables that opening this key reads. Each holds a secret: a program that
    /// starts others removes them from the environment that it gives them.
    #[must_use]
    pub fn env_variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        match &self.target {
            Target::File { passphrase, .. } | Target::Env { passphrase, .. } => {
                if let Target::Env { name, .. } = &self.target {
                    names.push(name.clone());
                }
                match passphrase {
                    Some(secret) => names.extend(secret.env_variable().map(str::to_owned)),
                    None => names.push(PASSPHRASE_VARIABLE.to_owned()),
                }
            }
            Target::Pkcs11(uri) => match (&uri.pin_source, &uri.pin_value) {
                (Some(PinSource::Secret(secret)), _) => {
                    names.extend(secret.env_variable().map(str::to_owned));
                }
                (None, None) => names.push(PIN_VARIABLE.to_owned()),
                _ => {}
            },
            Target::Tpm(uri) => {
                for (source, variable) in uri.sources() {
                    match source {
                        Some(secret) => names.extend(secret.env_variable().map(str::to_owned)),
                        None => names.push(variable.to_owned()),
                    }
                }
            }
        }
        names
    }

    /// The attributes of a `pkcs11:` URI.
    #[must_use]
    pub fn pkcs11(&self) -> Option<&Pkcs11Uri> {
        match &self.target {
            Target::Pkcs11(uri) => Some(uri),
            _ => None,
        }
    }

    /// The attributes of a `tpm:` URI.
    #[must_use]
    pub fn tpm(&self) -> Option<&TpmUri> {
        match &self.target {
            Target::Tpm(uri) => Some(uri),
            _ => None,
        }
    }

    /// Whether the URI holds a secret itself (`pin-value`). Such a URI belongs into a configuration
    /// file or a variable, never onto a command line, which every user of the machine can read.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        self.pkcs11().is_some_and(|uri| uri.pin_value.is_some())
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// How an error names the key.
    pub(crate) fn place(&self) -> String {
        match &self.target {
            Target::File { path, .. } => files::place(path),
            Target::Env { name, .. } => files::variable_place(name),
            Target::Pkcs11(_) | Target::Tpm(_) => self.to_string(),
        }
    }

    fn rest(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, rest)| rest)
    }

    /// The attributes of path and query, not decoded; the value is none without an equals sign.
    fn attributes(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let query = self.query().into_iter().flat_map(|q| q.split('&'));
        self.path().split(';').chain(query).map(|part| match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        })
    }
}

impl UriScheme {
    /// The scheme's name, without the colon.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Env => "env",
            Self::Pkcs11 => "pkcs11",
            Self::Tpm => "tpm",
        }
    }
}

impl FromStr for KeyUri {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.target, Target::File { .. } | Target::Env { .. }) {
            // Every part of these was understood, and none is a secret.
            return f.write_str(&self.text);
        }
        write!(f, "{}:", self.scheme().name())?;
        let path_parts = self.path().split(';').count();
        let mut secret_seen = false;
        for (i, (name, value)) in self.attributes().enumerate() {
            match i {
                0 => {}
                i if i < path_parts => f.write_str(";")?,
                i if i == path_parts => f.write_str("?")?,
                _ => f.write_str("&")?,
            }
            // Only what is known to be harmless is shown. A part without a known name may be the rest of
            // a PIN in which a separator was not encoded.
            match value {
                Some(value) if shown(name, value) => write!(f, "{name}={value}")?,
                Some(_) if !secret_seen && attribute_name(name) => write!(f, "{name}={REDACTED}")?,
                None if name.is_empty() => continue,
                _ => f.write_str(REDACTED)?,
            }
            secret_seen |= !value.is_some_and(|value| shown(name, value));
        }
        Ok(())
    }
}

impl fmt::Debug for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUri({self})")
    }
}

/// Attributes of a device's URI that are no secrets.
const HARMLESS: &str = "token manufacturer serial model library-manufacturer library-description \
    library-version object id type slot-id slot-manufacturer slot-description module-path \
    module-name handle file fapi tcti parent pcrs srk-name ek-name fapi-profile fapi-user-dir \
    fapi-system-dir";

/// Whether an attribute of a device's URI may be printed.
fn shown(name: &str, value: &str) -> bool {
    // A PIN behind a wrong separator is part of the value before it.
    if value.contains("pin-value=") {
        return false;
    }
    match name {
        // The place of a secret, unless it is the secret itself, put there by mistake.
        "pin-source" | "passphrase-source" => {
            decoded(value).is_some_and(|v| SecretRef::parse(&v).is_ok())
        }
        "auth-source" | "parent-auth-source" | "owner-auth-source" => {
            SecretRef::parse(value).is_ok()
        }
        _ => HARMLESS.split(' ').any(|harmless| harmless == name),
    }
}

fn attribute_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// The scheme in lower case (RFC 3986, section 3.1: case does not matter) and what follows its colon.
/// One letter is no scheme here but the drive of a Windows path.
pub(crate) fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    valid.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// Line ends and the like are never meant, and would let a name write lines into a log.
fn check_characters(rest: &str) -> Result<()> {
    if rest.contains('#') {
        return Err(KeyError::uri("a key URI has no fragment; write # as %23"));
    }
    if rest.contains(char::is_control) {
        return Err(KeyError::uri("control characters (such as a line end) must not stand in it"));
    }
    Ok(())
}

/// A path as it stands in a `file:` URI.
pub(crate) fn encode_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let encoded: String = bytes
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => {
                char::from(*b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect();
    // file://x would be a host.
    let host = if encoded.starts_with("//") { "//" } else { "" };
    format!("{host}{encoded}")
}

/// The path of a `file:` URI, for [`SecretRef`] too.
pub(crate) fn decode_path(path: &str) -> Result<PathBuf> {
    check_characters(path)?;
    let path = match path.strip_prefix("//") {
        None => path,
        // file://localhost/path and file:///path (RFC 8089, section 2).
        Some(rest) => {
            let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(KeyError::uri(
                    "after file:// stands a host; a local file is file:PATH or file:///PATH",
                ));
            }
            rest.strip_prefix(host).unwrap_or(rest)
        }
    };
    let bytes = percent_decode(path)
        .ok_or_else(|| KeyError::uri("after % stand two hex digits; write % itself as %25"))?;
    if bytes.is_empty() {
        return Err(KeyError::uri("file: wants a path, such as file:key.pem or file:/etc/key.pem"));
    }
    if bytes.contains(&0) {
        return Err(KeyError::uri("a path must not contain %00"));
    }
    to_path(bytes)
}

#[cfg(unix)]
fn to_path(bytes: Vec<u8>) -> Result<PathBuf> {
    Ok(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes)))
}

#[cfg(not(unix))]
fn to_path(bytes: Vec<u8>) -> Result<PathBuf> {
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| KeyError::uri("the path is not UTF-8"))
}

/// Checks the name of an environment variable: letters, digits, `_`, `-` and `.`, no digit first.
/// Narrower than the system, so that a secret in its place is mostly refused and never repeated.
pub(crate) fn variable_name(name: &str) -> Result<String> {
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if !valid {
        return Err(KeyError::uri(
            "env: wants the name of a variable (letters, digits, _ - .), such as env:MY_KEY",
        ));
    }
    Ok(name.to_owned())
}

/// The one attribute of `file:` and `env:`. Its value is a reference as [`SecretRef`] reads it, which
/// decodes it: once, not twice.
fn passphrase(query: Option<&str>) -> Result<Option<SecretRef>> {
    const EXPECTED: &str = "the one attribute is ?passphrase-source=env:NAME, file:PATH or fd:N";
    let mut passphrase = None;
    for part in query.into_iter().flat_map(|q| q.split('&')) {
        match part.split_once('=') {
            Some(("passphrase-source", value)) => {
                if passphrase.replace(SecretRef::parse(value)?).is_some() {
                    return Err(KeyError::uri("passphrase-source stands there twice"));
                }
            }
            Some((name, _)) if attribute_name(name) => {
                return Err(KeyError::uri(format!("unknown attribute {name}; {EXPECTED}")));
            }
            _ => return Err(KeyError::uri(format!("unknown attribute; {EXPECTED}"))),
        }
    }
    Ok(passphrase)
}

/// Percent-decoding (RFC 3986, section 2.1); none when a percent sign has no two hex digits.
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let mut value = 0;
        for digit in digits {
            value = value << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        }
        bytes.push(value);
        rest = after;
    }
    Some(bytes)
}

fn decoded(value: &str) -> Option<Zeroizing<String>> {
    String::from_utf8(percent_decode(value)?).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
