//! Reading small secrets from files, variables and descriptors, with the permissions checked.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::{KeyError, Result, Warning};

/// The most octets of a key or a secret that are read: an RSA key of 8192 bits has 6.5 KiB of PEM.
pub(crate) const MAX_LEN: usize = 64 * 1024;

/// How an error names a file. `Debug` quotes it and escapes control characters.
pub(crate) fn place(path: &Path) -> String {
    format!("file {path:?}")
}

/// The file at `path`. `pipes`: a FIFO will do too, such as a shell's process substitution.
pub(crate) fn read(
    path: &Path,
    pipes: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Zeroizing<Vec<u8>>> {
    // Asked before opening, because opening a FIFO waits for its writer; the permissions are asked of
    // the open file, so that nobody can exchange it between check and use.
    check_kind(
        path,
        pipes,
        &std::fs::metadata(path).map_err(|e| io_error(path, &e))?,
    )?;
    let file = File::open(path).map_err(|e| io_error(path, &e))?;
    let metadata = file.metadata().map_err(|e| io_error(path, &e))?;
    check_kind(path, pipes, &metadata)?;
    check_mode(path, &metadata, warnings)?;
    read_all(file, &place(path))
}

/// What the process inherited as file descriptor `number`.
#[cfg(unix)]
pub(crate) fn read_descriptor(number: u32) -> Result<Zeroizing<Vec<u8>>> {
    let place = format!("file descriptor {number}");
    // Safe Rust cannot make a File of a bare number; /dev/fd can.
    let file = File::open(format!("/dev/fd/{number}")).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => KeyError::Missing {
            place: place.clone(),
            hint: "; the descriptor is not open in this process",
        },
        reason => KeyError::Unreadable {
            place: place.clone(),
            reason,
        },
    })?;
    read_all(file, &place)
}

#[cfg(not(unix))]
pub(crate) fn read_descriptor(_: u32) -> Result<Zeroizing<Vec<u8>>> {
    Err(KeyError::SecretReference {
        help: "this system has no fd: sources; use env:NAME or file:PATH".to_owned(),
    })
}

/// The value of the environment variable `name`.
pub(crate) fn read_variable(name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let value = std::env::var_os(name).ok_or_else(|| KeyError::NotSet {
        name: name.to_owned(),
    })?;
    let value = Zeroizing::new(value.into_encoded_bytes());
    if value.len() > MAX_LEN {
        return Err(KeyError::TooLarge {
            place: variable_place(name),
            limit: MAX_LEN,
        });
    }
    Ok(value)
}

/// How an error names a variable.
pub(crate) fn variable_place(name: &str) -> String {
    format!("variable {name}")
}

/// Drops one line end (LF or CRLF) at the end of `secret`: editors and `echo` leave one there.
pub(crate) fn drop_newline(secret: &mut Vec<u8>) {
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
}

fn read_all(mut file: File, place: &str) -> Result<Zeroizing<Vec<u8>>> {
    // One allocation of the largest size: growing would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_LEN + 1]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                return Err(KeyError::Unreadable {
                    place: place.to_owned(),
                    reason: e.kind(),
                });
            }
        }
    }
    if filled > MAX_LEN {
        return Err(KeyError::TooLarge {
            place: place.to_owned(),
            limit: MAX_LEN,
        });
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn io_error(path: &Path, error: &io::Error) -> KeyError {
    let place = place(path);
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => KeyError::Missing {
            place,
            hint: if path.starts_with("~") {
                "; ~ has no meaning in a URI: write the whole path"
            } else {
                ""
            },
        },
        reason => KeyError::Unreadable { place, reason },
    }
}

fn check_kind(path: &Path, pipes: bool, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() || pipes && is_fifo(metadata) {
        return Ok(());
    }
    let found = match metadata {
        m if m.is_dir() => "a directory",
        m if is_fifo(m) => "a pipe",
        _ => "a device or socket",
    };
    Err(KeyError::NotAFile {
        place: place(path),
        found,
    })
}

#[cfg(unix)]
fn is_fifo(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_fifo(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &Metadata, warnings: &mut Vec<Warning>) -> Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if !metadata.is_file() {
        return Ok(());
    }
    if mode & 0o022 != 0 {
        return Err(KeyError::WritableByOthers {
            place: place(path),
            path: path.to_owned(),
            mode,
        });
    }
    if mode & 0o044 != 0 {
        warnings.push(Warning::ReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &Metadata, _: &mut Vec<Warning>) -> Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::testing::{TestDir, fifo};

    #[test]
    fn permissions() {
        let dir = TestDir::new();
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            let path = dir.write("key", b"secret", mode);
            let mut warnings = Vec::new();
            assert_eq!(
                read(&path, false, &mut warnings).unwrap().as_slice(),
                b"secret"
            );
            let expected = warned.then(|| Warning::ReadableByOthers {
                path: path.clone(),
                mode,
            });
            assert_eq!(warnings, Vec::from_iter(expected), "{mode:o}");
        }
        for mode in [0o620, 0o602, 0o666, 0o777] {
            let path = dir.write("key", b"secret", mode);
            let error = read(&path, false, &mut Vec::new()).unwrap_err();
            assert!(matches!(error, KeyError::WritableByOthers { mode: m, .. } if m == mode));
            assert!(error.to_string().contains("chmod go-w"), "{error}");
        }
    }

    #[test]
    fn what_is_no_readable_file() {
        let dir = TestDir::new();
        let mut warnings = Vec::new();
        let mut refused = |path: &Path| read(path, false, &mut warnings).unwrap_err();
        let name = |path: &Path| place(path);

        let missing = dir.path().join("missing\n");
        assert_eq!(
            refused(&missing),
            KeyError::Missing {
                place: name(&missing),
                hint: ""
            }
        );
        assert!(
            !refused(&missing).to_string().contains('\n'),
            "control characters are escaped"
        );
        let home = Path::new("~/no such key");
        assert!(refused(home).to_string().contains("write the whole path"));
        let below = dir.write("file", b"x", 0o600).join("below");
        assert!(matches!(refused(&below), KeyError::Missing { .. }));
        let found = "a directory";
        assert_eq!(
            refused(dir.path()),
            KeyError::NotAFile {
                place: name(dir.path()),
                found
            }
        );
        let null = Path::new("/dev/null");
        let found = "a device or socket";
        assert_eq!(
            refused(null),
            KeyError::NotAFile {
                place: name(null),
                found
            }
        );

        let fits = dir.write("fits", &[b'x'; MAX_LEN], 0o600);
        let large = dir.write("large", &[b'x'; MAX_LEN + 1], 0o600);
        let limit = MAX_LEN;
        assert_eq!(
            refused(&large),
            KeyError::TooLarge {
                place: name(&large),
                limit
            }
        );
        assert_eq!(read(&fits, false, &mut warnings).unwrap().len(), MAX_LEN);

        // Root reads everything: only others see this refusal.
        let secret = dir.write("secret", b"x", 0o000);
        match File::open(&secret) {
            Ok(_) => assert!(read(&secret, false, &mut warnings).is_ok()),
            Err(_) => assert!(matches!(
                read(&secret, false, &mut warnings).unwrap_err(),
                KeyError::Unreadable {
                    reason: io::ErrorKind::PermissionDenied,
                    ..
                }
            )),
        }
    }

    #[test]
    fn pipes_only_where_allowed() {
        let dir = TestDir::new();
        let Some(path) = fifo(&dir) else { return };
        let refused = read(&path, false, &mut Vec::new()).unwrap_err();
        assert_eq!(
            refused,
            KeyError::NotAFile {
                place: place(&path),
                found: "a pipe"
            }
        );
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "from a pipe")
        });
        assert_eq!(
            read(&path, true, &mut Vec::new()).unwrap().as_slice(),
            b"from a pipe"
        );
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn one_line_end_is_dropped() {
        for (given, left) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\r", "a\r"),
            ("\n", ""),
        ] {
            let mut secret = given.as_bytes().to_vec();
            drop_newline(&mut secret);
            assert_eq!(secret, left.as_bytes());
        }
    }
}
