//! The names of keys.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &str) -> PathBuf {
        match KeyUri::parse(text).unwrap().target {
            Target::File { path, .. } => path,
            _ => panic!("{text} is no file"),
        }
    }

    fn refused(text: &str) -> String {
        match KeyUri::parse(text) {
            Err(KeyError::Uri { help } | KeyError::SecretReference { help }) => help,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn files_and_variables() {
        assert_eq!(file("file:key.pem"), PathBuf::from("key.pem"));
        assert_eq!(file("file:../a b/ü.pem"), PathBuf::from("../a b/ü.pem"));
        assert_eq!(file("file:/etc/key.pem"), PathBuf::from("/etc/key.pem"));
        assert_eq!(file("file:///etc/key.pem"), PathBuf::from("/etc/key.pem"));
        assert_eq!(file("file://LOCALHOST/etc/key.pem"), PathBuf::from("/etc/key.pem"));
        assert_eq!(file("FILE:a%20b%3F%23%25%2f.pem"), PathBuf::from("a b?#%/.pem"));
        assert_eq!(file("file:a:b.pem"), PathBuf::from("a:b.pem"));
        let uri = KeyUri::parse("env:MY_KEY").unwrap();
        assert_eq!(uri.scheme(), UriScheme::Env);
        assert_eq!((uri.path(), uri.query()), ("MY_KEY", None));
        assert_eq!(uri.env_variables(), ["MY_KEY", PASSPHRASE_VARIABLE]);
    }

    #[cfg(unix)]
    #[test]
    fn paths_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(file("file:%ff%fe").as_os_str().as_bytes(), [0xff, 0xfe]);
    }

    #[test]
    fn passphrase_sources() {
        let uri = KeyUri::parse("file:k.pem?passphrase-source=env:PW").unwrap();
        assert_eq!(uri.env_variables(), ["PW"]);
        assert_eq!(uri.to_string(), "file:k.pem?passphrase-source=env:PW");
        assert_eq!(uri.query(), Some("passphrase-source=env:PW"));
        let uri = KeyUri::parse("env:K?passphrase-source=file:/run/a%2520b%26c").unwrap();
        let Target::Env { passphrase, .. } = &uri.target else { panic!("{uri:?}") };
        // Decoded once: %25 becomes a percent sign, and stays one.
        assert_eq!(*passphrase, Some(SecretRef::parse("file:/run/a%2520b%26c").unwrap()));
        assert_eq!(passphrase.as_ref().unwrap().to_string(), "file \"/run/a%20b&c\"");
        assert_eq!(uri.env_variables(), ["K"]);
        let uri = KeyUri::parse("file:k?passphrase-source=fd:3").unwrap();
        assert!(uri.env_variables().is_empty());
    }

    #[test]
    fn refusals() {
        for bare in ["", "key.pem", "/etc/key.pem", "./a:b", "C:\\keys\\key.pem", "C:key.pem"] {
            assert!(refused(bare).contains("file:PATH"), "{bare}");
        }
        for unknown in ["https://example.com/key", "azkms:x", "data:,x", "pass:hunter2"] {
            let help = refused(unknown);
            for scheme in ["file:", "env:", "pkcs11:", "tpm:"] {
                assert!(help.contains(scheme), "{help}");
            }
            assert!(!help.contains("hunter2"), "{help}");
        }
        assert!(refused("-----BEGIN PRIVATE KEY-----").contains("keep it in a file"));
        assert!(refused("file:").contains("wants a path"));
        assert!(refused("file://").contains("wants a path"));
        assert!(refused("file:?passphrase-source=env:X").contains("wants a path"));
        assert!(refused("file://key.pem").contains("host"));
        assert!(refused("file://server/key.pem").contains("host"));
        assert!(refused("file:a%").contains("%25"));
        assert!(refused("file:a%2").contains("%25"));
        assert!(refused("file:a%+1").contains("%25"));
        assert!(refused("file:a%00b").contains("%00"));
        assert!(refused("file:a#b").contains("%23"));
        assert!(refused("file:a\nb").contains("control"));
        assert!(refused("env:").contains("env:MY_KEY"));
        assert!(refused("env:wJalrXUtnFEMI/K7MDENG").contains("env:MY_KEY"));
        assert!(refused("env:A%42").contains("env:MY_KEY"));
        assert!(refused("file:a?pin-value=hunter2").contains("unknown attribute pin-value"));
        assert!(refused("file:a?hunter2").contains("unknown attribute; "));
        assert!(refused("file:a?").contains("passphrase-source"));
        assert!(refused("file:a?passphrase-source=hunter2").contains("env:NAME"));
        assert!(refused("file:a?passphrase-source=fd:1&passphrase-source=fd:1").contains("twice"));
        assert!(refused(&format!("file:{}", "x".repeat(MAX_LEN))).contains("4096"));
    }

    #[test]
    fn devices() {
        let text = "pkcs11:token=Cloud%20HSM;object=k;type=private?module-path=/usr/lib/x.so\
                    &pin-source=env:HSM_PIN";
        let uri = KeyUri::parse(text).unwrap();
        assert_eq!(uri.scheme(), UriScheme::Pkcs11);
        assert_eq!(uri.path(), "token=Cloud%20HSM;object=k;type=private");
        assert_eq!(uri.query(), Some("module-path=/usr/lib/x.so&pin-source=env:HSM_PIN"));
        assert_eq!(uri.env_variables(), ["HSM_PIN"]);
        assert_eq!(uri.to_string(), text);
        let uri = KeyUri::parse("tpm:handle=0x81000002;tcti=device:/dev/tpmrm0").unwrap();
        assert_eq!(uri.scheme(), UriScheme::Tpm);
        assert_eq!(format!("{uri:?}"), "KeyUri(tpm:handle=0x81000002;tcti=device:/dev/tpmrm0)");
    }

    #[test]
    fn secrets_are_redacted() {
        let shown = |text: &str| {
            let (shown, all) = match KeyUri::parse(text) {
                Ok(uri) => {
                    (uri.to_string(), format!("{uri} {uri:?} {} {:?}", uri.place(), uri.pkcs11()))
                }
                Err(error) => (String::new(), format!("{error} {error:?}")),
            };
            for secret in ["1234", "99", "5678"] {
                assert!(!all.contains(secret), "{all}");
            }
            shown
        };
        assert_eq!(
            shown("pkcs11:token=t?module-name=m&pin-value=1234"),
            "pkcs11:token=t?module-name=m&pin-value=[redacted]"
        );
        assert_eq!(shown("pkcs11:?pin-value=1234"), "pkcs11:?pin-value=[redacted]");
        assert_eq!(
            shown("pkcs11:token=t?pin-value=1234&module-name=m"),
            "pkcs11:token=t?pin-value=[redacted]&module-name=m"
        );
        shown("tpm:handle=0x81000001?pin-source=file:a/pin-value=1234");
        assert_eq!(shown("pkcs11:?pin-source=|pin%201234"), "pkcs11:?pin-source=[redacted]");
        // Refused, and not repeated.
        for refused in [
            "pkcs11:pin-value=1234",
            // Separators that the user forgot to encode.
            "pkcs11:?pin-value=1234&5678&99=1;x",
            "pkcs11:?pin-value=1234&abc=1&module-name=m",
            "pkcs11:token=t?PIN-VALUE=1234",
            "pkcs11:token=t?pin%2Dvalue=1234",
            "pkcs11:token=t?pin-source=1234",
            // A separator that is none there.
            "pkcs11:token=t?module-path=m?pin-value=1234",
            "pkcs11:token=t,pin-value=1234",
        ] {
            assert_eq!(shown(refused), "", "{refused}");
        }
        shown("tpm:handle=0x81000001?auth=1234&5678&99=1;x");
        shown("tpm:handle=0x81000001?auth-source=1234");
        shown("tpm:handle=0x81000001;auth=1234;5678");
        shown("tpm:1234");
    }

    proptest! {
        #[test]
        fn never_panics(text in "(file:|env:|pkcs11:|tpm:|)(//)?\\PC{0,40}(\\?\\PC{0,40})?") {
            if let Ok(uri) = KeyUri::parse(&text) {
                prop_assert_eq!(format!("{uri:?}"), format!("KeyUri({uri})"));
                let _ = uri.env_variables();
            }
        }

        #[test]
        fn a_pin_is_never_shown(pin in "[0-9]{6,12}", before in "(token=)?[a-z;=&]{0,12}") {
            let path = format!("pkcs11:{before}?pin-value={pin}&module-name=m");
            let shown = match KeyUri::parse(&path) {
                Ok(uri) => format!("{uri} {uri:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!shown.contains(&pin));
        }

        #[test]
        fn any_path_can_be_written(bytes in proptest::collection::vec(1u8..=127, 1..40)) {
            let encoded: String = bytes.iter().map(|b| format!("%{b:02x}")).collect();
            let expected = PathBuf::from(String::from_utf8(bytes).unwrap());
            prop_assert_eq!(file(&format!("file:{encoded}")), expected);
        }
    }
}
