//! Who gets what: the grants of a configuration, ready to decide.

use std::sync::Arc;

use crate::config::Config;
use crate::decision::{CheckLine, Decision, Evidence, GiveError, Given, Granted, Refusal};
use crate::error::LoadError;
use crate::key_sets::KeySets;

/// The policy of one configuration. It does not change; a reload makes another.
#[derive(Debug)]
pub(crate) struct Policy {}

impl Policy {
    /// The policy of `config`: every grant is checked, files are read, keys are not opened yet.
    ///
    /// # Errors
    /// [`LoadError`] with all that is wrong.
    pub(crate) fn new(_config: &Config, _key_sets: &Arc<KeySets>) -> Result<Self, LoadError> {
        Ok(Self {})
    }

    /// Decides. No cloud is asked; an issuer's keys may be fetched, where the token names one that is unknown.
    pub(crate) async fn decide(&self, _evidence: &Evidence<'_>) -> Decision {
        Decision {
            grant: None,
            claims: serde_json::Value::Null,
            checks: vec![CheckLine { name: "policy".into(), outcome: "not-reached", reason: None }],
            verdict: Err(Refusal::Denied),
        }
    }

    /// Gets the credential of what was granted.
    ///
    /// # Errors
    /// [`GiveError`].
    pub(crate) async fn give(&self, _granted: &Granted) -> Result<Given, GiveError> {
        Err(GiveError::Unavailable("nothing gives yet".into()))
    }
}
