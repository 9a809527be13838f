//! The files with secrets: where they are, how they are replaced, and how they are wiped.

mod directory;
mod place;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::config;
use crate::context::warn;
use crate::error::CliError;
use directory::Directory;
use place::Place;

/// All files of one command. A clone is another handle on them.
#[derive(Clone)]
pub(super) struct Files {
    path: Option<PathBuf>,
    inner: Arc<Mutex<Option<Inner>>>,
}

struct Inner {
    directory: Directory,
    paths: Vec<PathBuf>,
}

impl Files {
    /// Makes the directory, or takes one that is empty, and wipes what an earlier run has left. Without files
    /// and a directory there is nothing.
    pub(super) fn new(config: &config::Files) -> Result<Self, CliError> {
        if config.content.is_empty() && config.directory.is_none() {
            return Ok(Self { path: None, inner: Arc::default() });
        }
        let paths: Vec<_> = config.content.iter().map(|(path, _)| path.clone()).collect();
        let directory = Directory::new(config, &paths)?;
        let path = Some(directory.path().to_owned());
        Ok(Self { path, inner: Arc::new(Mutex::new(Some(Inner { directory, paths }))) })
    }

    /// The directory, where there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Replaces these files, by their place in the configuration. Whoever reads one finds the old content or the
    /// new one, whole; should one not be written, all stay as they are. Should one not be put in its place then, which
    /// takes somebody who changes its directory, those before it are new, and the next attempt has them all. Once they
    /// are removed nothing is written.
    pub(super) fn replace(
        &self,
        contents: &[(usize, &Zeroizing<Vec<u8>>)],
    ) -> Result<(), CliError> {
        match &*self.lock() {
            Some(inner) => inner.replace(contents),
            None => Ok(()),
        }
    }

    /// Wipes the files.
    pub(super) fn wipe(&self) {
        if let Some(inner) = &*self.lock() {
            inner.wipe();
        }
    }

    /// Wipes the files, and removes what was made for them. Nothing is written any more.
    pub(super) fn remove(&self) {
        let Some(inner) = self.lock().take() else { return };
        inner.wipe();
        inner.directory.remove(&inner.paths);
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, Option<Inner>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn replace(&self, contents: &[(usize, &Zeroizing<Vec<u8>>)]) -> Result<(), CliError> {
        let mut places: Vec<(Place, &Path)> = Vec::with_capacity(contents.len());
        let written = contents.iter().try_for_each(|(i, content)| {
            let Some(path) = self.paths.get(*i) else { return Ok(()) };
            let failed = |e| self.failed("write", path, e);
            let place = self.directory.place(path, true).map_err(failed)?;
            let written = place.write(content, self.directory.owner()).map_err(failed);
            places.push((place, path));
            written
        });
        let replaced = written.and_then(|()| {
            places.iter().try_for_each(|(place, path)| {
                place.replace().map_err(|e| self.failed("replace", path, e))
            })
        });
        if replaced.is_err() {
            for (place, _) in &places {
                // Best effort: what is left is wiped in the end.
                let _ = place.wipe_new(self.directory.in_memory());
            }
        }
        replaced
    }

    fn wipe(&self) {
        for path in &self.paths {
            if let Err(e) = self.directory.wipe(path) {
                let path = self.directory.path().join(path);
                warn(&[format!(
                    "{} could not be wiped, and may hold a secret: {e}",
                    path.display()
                )]);
            }
        }
    }

    fn failed(&self, what: &str, path: &Path, e: io::Error) -> CliError {
        CliError::input(format_args!("{what} {}", self.directory.path().join(path).display()), e)
    }
}
