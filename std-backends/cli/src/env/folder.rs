//! The private directory of one command, and the tokens in it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudauth_client::variable;
use tempfile::{NamedTempFile, TempDir};

use crate::context::warn;
use crate::error::CliError;

/// A directory that only this user can enter, removed when it is told to, or dropped. A clone is another
/// handle on it.
#[derive(Clone)]
pub(super) struct Folder {
    path: PathBuf,
    dir: Arc<Mutex<Option<TempDir>>>,
}

impl Folder {
    /// One in `XDG_RUNTIME_DIR`, which is memory that ends with the session; else among the temporary files.
    pub(super) fn new() -> Result<Self, CliError> {
        let runtime = variable("XDG_RUNTIME_DIR")?.map(PathBuf::from);
        let runtime = runtime.filter(|path| path.is_absolute() && path.is_dir());
        let parent = runtime.unwrap_or_else(std::env::temp_dir);
        let mut builder = tempfile::Builder::new();
        builder.prefix("cloudauth-env-");
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let parent = std::path::absolute(&parent).map_err(|e| unmade(&parent, &e))?;
        let dir = builder.tempdir_in(&parent).map_err(|e| unmade(&parent, &e))?;
        Ok(Self { path: dir.path().to_owned(), dir: Arc::new(Mutex::new(Some(dir))) })
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that this user alone can read. Whoever reads it finds the old content or the new one,
    /// whole. Once the directory is removed nothing is written.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), CliError> {
        let dir = self.lock();
        let Some(dir) = &*dir else { return Ok(()) };
        let path = self.file(name);
        let failed = |e: io::Error| CliError::input(format_args!("write {}", path.display()), e);
        let mut file = NamedTempFile::new_in(dir.path()).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(&self) {
        let Some(dir) = self.lock().take() else { return };
        if let Err(e) = dir.close() {
            let path = self.path.display();
            warn(&[format!("{path} could not be removed, and holds tokens: {e}")]);
        }
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, Option<TempDir>> {
        self.dir.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unmade(parent: &Path, e: &io::Error) -> CliError {
    CliError::input(format_args!("make a directory in {}", parent.display()), e)
}
