//! The unix socket's file.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::EmulatorError;

/// The file of a socket that is listened on; dropping it removes the file.
pub(crate) struct Socket(PathBuf);

impl Socket {
    /// Listens there, in the place of a socket that nobody listens on any more.
    pub(crate) fn bind(path: PathBuf) -> Result<(UnixListener, Self), EmulatorError> {
        match listen(&path) {
            Ok(listener) => Ok((listener, Self(path))),
            Err(error) => Err(EmulatorError::Socket(path, error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        let left = UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        if left {
            fs::remove_file(path)?;
        }
    }
    let listener = UnixListener::bind(path)?;
    // Who reaches it gets tokens: the folder's rights decide who else may.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
