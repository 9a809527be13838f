//! Why a configuration is refused.

use std::fmt;

/// All that is wrong with a configuration: a line each, with the file, the place in it, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadError(Vec<String>);

impl LoadError {
    pub(crate) fn one(place: impl fmt::Display, help: impl fmt::Display) -> Self {
        let mut error = Self::default();
        error.add(place, help);
        error
    }

    pub(crate) fn add(&mut self, place: impl fmt::Display, help: impl fmt::Display) {
        self.0.push(format!("{place}: {help}"));
    }

    /// Takes over what is wrong, and gives what is right.
    pub(crate) fn take<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Self(lines)) => {
                self.0.extend(lines);
                None
            }
        }
    }

    /// The lines, each about the thing at `place`.
    pub(crate) fn within(self, place: impl fmt::Display) -> Self {
        Self(self.0.into_iter().map(|line| format!("{place}: {line}")).collect())
    }

    /// # Errors
    /// Itself, if anything is wrong.
    pub(crate) fn finish(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The lines; at least one.
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
