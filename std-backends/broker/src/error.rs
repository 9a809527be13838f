//! Why a configuration is refused.

use std::fmt;

/// All that is wrong with a configuration: one line each, with file, place and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(Vec<String>);

impl LoadError {
    pub(crate) fn one(place: impl fmt::Display, help: impl fmt::Display) -> Self {
        Self(vec![format!("{place}: {help}")])
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for LoadError {}
