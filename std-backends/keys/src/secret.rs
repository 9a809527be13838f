//! Secrets that are no keys (passphrases, PINs, client secrets), named and never written out.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::uri::{self, decode_path, variable_name};
use crate::{KeyError, Result, Warning, files};

/// Where a secret is: `env:NAME`, `file:PATH` (percent-encoded, relative or absolute) or `fd:N`, a file
/// descriptor that the process inherited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef(Source);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Env(String),
    File(PathBuf),
    Fd(u32, Once),
}

/// What a descriptor gave: a pipe gives it once, and a key may be opened more than once. Clones share it.
#[derive(Clone, Default)]
struct Once(Arc<Mutex<Option<Zeroizing<Vec<u8>>>>>);

impl Once {
    fn read(&self, number: u32) -> Result<Zeroizing<Vec<u8>>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known.as_ref() {
            return Ok(secret.clone());
        }
        let secret = files::read_descriptor(number)?;
        if !secret.is_empty() {
            *known = Some(secret.clone());
        }
        Ok(secret)
    }
}

/// Two references to one descriptor are the same, whether it was read or not.
impl PartialEq for Once {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Once {}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl SecretRef {
    /// Reads `env:NAME`, `file:PATH` or `fd:N`.
    ///
    /// # Errors
    /// [`KeyError::SecretReference`] for anything else. The text is not repeated: it may be the secret
    /// itself, put here by mistake.
    pub fn parse(text: &str) -> Result<Self> {
        const EXPECTED: &str =
            "expected env:NAME, file:PATH or fd:N; a secret itself is never written here";
        let bad = |help: &str| KeyError::SecretReference { help: help.to_owned() };
        let because = |error| match error {
            KeyError::Uri { help } => KeyError::SecretReference { help },
            other => other,
        };
        let (scheme, rest) = uri::split_scheme(text).ok_or_else(|| bad(EXPECTED))?;
        let source = match scheme.as_str() {
            "env" => Source::Env(variable_name(rest).map_err(because)?),
            "file" if rest.contains('?') => {
                return Err(bad("a file: secret has no attributes; write ? in a path as %3F"));
            }
            "file" => Source::File(decode_path(rest).map_err(because)?),
            "fd" => {
                let number = descriptor(rest).ok_or_else(|| {
                    bad("fd: wants the number of an open file descriptor, such as fd:3")
                })?;
                Source::Fd(number, Once::default())
            }
            _ => return Err(bad(EXPECTED)),
        };
        Ok(Self(source))
    }

    pub(crate) fn variable(name: &str) -> Self {
        Self(Source::Env(name.to_owned()))
    }

    /// The environment variable that holds the secret, if one does: remove it from the environment of
    /// child processes.
    #[must_use]
    pub fn env_variable(&self) -> Option<&str> {
        match &self.0 {
            Source::Env(name) => Some(name),
            Source::File(_) | Source::Fd(..) => None,
        }
    }

    /// The secret, without one line end at its end. A descriptor is read once, and its secret kept for this
    /// reference and its clones.
    ///
    /// # Errors
    /// [`KeyError`] when it is not there, not readable, empty or larger than 64 KiB, or when it is a file
    /// that others can change.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.read_with(&mut Vec::new())
    }

    /// As [`read`](Self::read); adds to `warnings` when others can read the file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(&self, warnings: &mut Vec<Warning>) -> Result<Zeroizing<Vec<u8>>> {
        let mut secret = match &self.0 {
            Source::Env(name) => files::read_variable(name)?,
            Source::File(path) => files::read(path, true, warnings)?,
            Source::Fd(number, once) => once.read(*number)?,
        };
        files::drop_newline(&mut secret);
        if secret.is_empty() {
            return Err(KeyError::Empty { place: self.place() });
        }
        Ok(secret)
    }

    /// The reference as it is written: `env:NAME`, `file:PATH` (percent-encoded) or `fd:N`.
    pub(crate) fn to_uri(&self) -> String {
        match &self.0 {
            Source::Env(name) => format!("env:{name}"),
            Source::File(path) => format!("file:{}", uri::encode_path(path)),
            Source::Fd(number, _) => format!("fd:{number}"),
        }
    }

    fn place(&self) -> String {
        match &self.0 {
            Source::Env(name) => files::variable_place(name),
            Source::File(path) => files::place(path),
            Source::Fd(number, _) => format!("file descriptor {number}"),
        }
    }
}

/// Only decimal digits, no sign and no leading zero, so that a number has one spelling.
fn descriptor(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok()?;
    (plain && number <= i32::MAX.unsigned_abs()).then_some(number)
}

impl FromStr for SecretRef {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// The place, for messages; never the secret.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDir;
    use proptest::prelude::*;

    #[test]
    fn parses() {
        let env = SecretRef::parse("env:MY_PIN").unwrap();
        assert_eq!(env.env_variable(), Some("MY_PIN"));
        let file = SecretRef::parse("FILE:/run/a%20pin%3f").unwrap();
        assert_eq!(file.0, Source::File("/run/a pin?".into()));
        assert_eq!(file.env_variable(), None);
        assert_eq!(SecretRef::parse("file:///run/pin").unwrap().0, Source::File("/run/pin".into()));
        assert_eq!(SecretRef::parse("fd:0").unwrap().0, Source::Fd(0, Once::default()));
        assert_eq!(SecretRef::parse("fd:63").unwrap().to_string(), "file descriptor 63");
        for bad in [
            "",
            "hunter2",
            "env:",
            "env:A=B",
            "env:9x",
            "env:hunter2/+",
            "file:",
            "file:a?b",
            "file:a#b",
            "file:%zz",
            "file:%00",
            "fd:",
            "fd:-1",
            "fd:+1",
            "fd:03",
            "fd:4294967295",
            "fd:2147483648",
            "pass:hunter2",
            "stdin",
            "env:A\n",
        ] {
            let error = SecretRef::parse(bad).unwrap_err();
            assert!(matches!(error, KeyError::SecretReference { .. }), "{bad:?}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn reads_a_variable() {
        // Cargo sets this variable for tests; forbid(unsafe_code) leaves no way to set one.
        let name = SecretRef::parse("env:CARGO_PKG_NAME").unwrap();
        assert_eq!(name.read().unwrap().as_slice(), b"cloudauth-keys");
        let missing = SecretRef::parse("env:CLOUDAUTH_TEST_NO_SUCH_VARIABLE").unwrap();
        assert!(matches!(missing.read().unwrap_err(), KeyError::NotSet { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn reads_files_and_descriptors() {
        use std::os::fd::AsRawFd as _;

        let dir = TestDir::new();
        let path = dir.write("pin", b"1234\n", 0o640);
        let secret = SecretRef::parse(&format!("file:{}", path.display())).unwrap();
        let mut warnings = Vec::new();
        assert_eq!(secret.read_with(&mut warnings).unwrap().as_slice(), b"1234");
        assert_eq!(warnings.len(), 1);
        assert!(!format!("{secret} {secret:?} {warnings:?}").contains("1234"));

        let file = std::fs::File::open(&path).unwrap();
        let fd = SecretRef::parse(&format!("fd:{}", file.as_raw_fd())).unwrap();
        assert_eq!(fd.read().unwrap().as_slice(), b"1234");
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"from a pipe\r\n").unwrap();
        drop(writer);
        let fd = SecretRef::parse(&format!("fd:{}", reader.as_raw_fd())).unwrap();
        assert_eq!(fd.read().unwrap().as_slice(), b"from a pipe");
        // A pipe gives it once: what has the same reference has it still, and another one gets an error.
        assert_eq!(fd.clone().read().unwrap().as_slice(), b"from a pipe");
        assert!(!format!("{fd:?}").contains("102"), "{fd:?}");
        let another = SecretRef::parse(&format!("fd:{}", reader.as_raw_fd())).unwrap();
        assert_eq!(another, fd);
        assert!(matches!(another.read().unwrap_err(), KeyError::Empty { .. }));
        let closed = SecretRef::parse("fd:2000000000").unwrap();
        assert!(matches!(closed.read().unwrap_err(), KeyError::Missing { .. }));

        let empty = dir.write("empty", b"\n", 0o600);
        let empty = SecretRef::parse(&format!("file:{}", empty.display())).unwrap();
        assert!(matches!(empty.read().unwrap_err(), KeyError::Empty { .. }));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(env:|file:|fd:|)\\PC{0,40}") {
            let _ = SecretRef::parse(&text);
        }
    }
}
