//! The configuration file.

pub(crate) mod server;

use std::path::Path;

use serde::Deserialize;

use crate::error::LoadError;
use server::{Compatibility, Server};

/// A broker's configuration, in TOML. Unknown fields are refused; relative paths start at the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// How it listens.
    pub(crate) server: Server,
    /// Listeners for clients of other systems.
    #[serde(default)]
    pub(crate) compatibility: Vec<Compatibility>,
    /// The audience of attestations for grants that name no other.
    pub(crate) audience: Option<String>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`LoadError`] with all that is wrong with it.
    pub(crate) fn from_file(_path: &Path) -> Result<Self, LoadError> {
        Err(LoadError::one("configuration", "cannot be read yet"))
    }
}
