//! What `cloudauth broker check` shows: what is wrong with a configuration, and what a token would get.

use std::path::Path;
use std::sync::Arc;

use cloudauth_core::UnixTime;
use serde::Serialize;

use crate::config::Config;
use crate::config::server::Server;
use crate::decision::CheckLine;
use crate::error::LoadError;
use crate::key_sets::KeySets;
use crate::policy::Policy;
use crate::server::load::{Certificates, Tls};

/// A configuration that loads.
pub struct Check {
    key_sets: Arc<KeySets>,
    policy: Policy,
    server: Server,
    certificates: Certificates,
    grants: Vec<String>,
    warnings: Vec<String>,
}

/// What a token from a file would get.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TokenReport {
    /// What the token says of the workload.
    pub claims: serde_json::Value,
    /// Each grant.
    pub grants: Vec<GrantReport>,
}

/// What one grant says of a token.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct GrantReport {
    /// Its name.
    pub grant: String,
    /// Whether it would give its credential, if the token were bound to the connection and the client were
    /// where the grant wants it: a file shows neither.
    pub would_give: bool,
    /// Every check.
    pub checks: Vec<CheckReport>,
}

/// One check.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Its name, such as `exp` or `image`.
    pub name: String,
    /// `passed`, `waived`, `not-asked`, `not-reached` or `failed`.
    pub outcome: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<CheckLine> for CheckReport {
    fn from(line: CheckLine) -> Self {
        Self { name: line.name, outcome: line.outcome, reason: line.reason }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("grants", &self.grants).finish_non_exhaustive()
    }
}

impl Check {
    /// Reads a configuration and every file that it names.
    ///
    /// # Errors
    /// [`LoadError`] with all that is wrong.
    pub fn load(config: &Path) -> Result<Self, LoadError> {
        let config = Config::from_file(config)?;
        let mut wrong = LoadError::default();
        let key_sets = wrong.take(KeySets::new(&config, None));
        // Without key sets, grants can still be looked at.
        let sets = key_sets.clone().unwrap_or_default();
        let policy = wrong.take(Policy::new(&config, &sets));
        let certificates = wrong.take(Certificates::read(&config.server));
        wrong.finish()?;
        let (Some(key_sets), Some(policy), Some(certificates)) = (key_sets, policy, certificates)
        else {
            return Err(LoadError::one("configuration", "cannot be loaded"));
        };
        Ok(Self {
            key_sets,
            policy,
            grants: config.grants.keys().cloned().collect(),
            warnings: [config.warnings(), certificates.warnings()].concat(),
            server: config.server,
            certificates,
        })
    }

    /// The names of its grants.
    #[must_use]
    pub fn grants(&self) -> &[String] {
        &self.grants
    }

    /// What loads, and yet may not be meant: a line each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Opens the server's key, and those that grants use, and signs with these what would be sent to the clouds;
    /// nothing is sent. Returns what the operator should know about the server's key.
    ///
    /// # Errors
    /// [`LoadError`] with what cannot be opened, or does not fit its certificate.
    pub fn keys(&self) -> Result<Vec<String>, LoadError> {
        let mut wrong = LoadError::default();
        let tls = wrong.take(Tls::open(&self.server, &self.certificates));
        wrong.take(self.policy.try_keys());
        wrong.finish()?;
        Ok(tls.map(|tls| tls.warnings).unwrap_or_default())
    }

    /// Fetches the issuers' keys.
    ///
    /// # Errors
    /// [`LoadError`] with the issuers whose keys could not be had.
    pub async fn issuers(&self) -> Result<(), LoadError> {
        self.key_sets.load().await;
        self.key_sets.ready().map_err(|help| LoadError::one("issuers", help))
    }

    /// Runs a token through every grant, as of `time`. `fetch` lets an issuer's keys be fetched that are not
    /// there.
    ///
    /// # Errors
    /// In words, why it cannot be looked at: it is no token, or of nobody who is configured.
    pub async fn token(
        &self,
        token: &str,
        time: UnixTime,
        fetch: bool,
    ) -> Result<TokenReport, String> {
        let tried = self.policy.try_token(token, time, fetch).await?;
        let grants = tried.grants.into_iter().map(|(grant, would_give, checks)| GrantReport {
            grant,
            would_give,
            checks: checks.into_iter().map(CheckReport::from).collect(),
        });
        Ok(TokenReport { claims: tried.claims, grants: grants.collect() })
    }
}
