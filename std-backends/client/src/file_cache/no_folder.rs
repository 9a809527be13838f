//! Where there are no Unix permissions and locks: no folder can be made, so none is ever used.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Folder(Infallible);

#[derive(Debug)]
pub(super) struct Lock(Infallible);

/// As on Unix.
pub(super) enum Read {
    Absent,
    Bytes(Zeroizing<Vec<u8>>),
    Broken(&'static str),
    Foreign(String),
}

impl Folder {
    pub(super) fn in_runtime_dir(_: &Path) -> Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn at(dir: &Path) -> Result<Self> {
        Err(Error::config(
            dir.display().to_string(),
            "the credential cache in files needs a Unix system; remove cache-dir",
        ))
    }

    pub(super) fn place(&self) -> String {
        match self.0 {}
    }

    pub(super) fn place_of(&self, _: &str) -> String {
        match self.0 {}
    }

    pub(super) fn read(&self, _: &str) -> Read {
        match self.0 {}
    }

    pub(super) async fn lock(&self, _: &str, _: Duration) -> io::Result<Option<Lock>> {
        match self.0 {}
    }

    pub(super) fn try_lock(&self, _: &str) -> io::Result<Option<Lock>> {
        match self.0 {}
    }

    pub(super) fn write(&self, _: &str, _: &[u8], _: &Lock) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn names(&self, _: usize) -> io::Result<BTreeSet<String>> {
        match self.0 {}
    }

    pub(super) fn remove(&self, _: &str) -> io::Result<bool> {
        match self.0 {}
    }

    pub(super) fn remove_with_lock(&self, _: &str, _: &Lock) -> io::Result<()> {
        match self.0 {}
    }
}
