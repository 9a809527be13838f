//! Asking a person.

use core::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

type Ask = dyn Fn(&str) -> Result<Option<Zeroizing<String>>, String> + Send + Sync;

/// What asks a person for a PIN or a passphrase that no source names. This crate asks nobody by itself:
/// the program that talks to people gives it one.
#[derive(Clone, Default)]
pub struct Prompt(Option<Arc<Ask>>);

impl Prompt {
    /// Nobody is asked.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// `ask` gets the question, such as `PIN for pkcs11:token=t`, and gives the answer; `None` when there
    /// is nobody to ask. An error is shown as it is, and must not hold the answer. An empty answer is for
    /// this crate to judge.
    #[must_use]
    pub fn new(
        ask: impl Fn(&str) -> Result<Option<Zeroizing<String>>, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(ask)))
    }

    pub(crate) fn ask(&self, question: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        match self.ask_optional(question)? {
            Some(answer) if answer.is_empty() => Err(format!("{question}: nothing was entered")),
            answer => Ok(answer),
        }
    }

    /// As [`ask`](Self::ask), of what may be empty.
    pub(crate) fn ask_optional(
        &self,
        question: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let Some(ask) = &self.0 else { return Ok(None) };
        // The bytes of the text, without a copy.
        Ok(ask(question)?.map(|mut text| Zeroizing::new(core::mem::take(&mut *text).into_bytes())))
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Prompt" } else { "Prompt(nobody)" })
    }
}
