//! Which credential.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloudauth_core::{Attempt, HttpRequest};
use cloudauth_keys::{KeyUri, SecretRef};
use serde::{Deserialize, Serialize};

use crate::attested::Attested;
use crate::aws::{AssumeRole, RolesAnywhere, SessionToken, WebIdentity};
use crate::azure::AzureToken;
use crate::flow::Flow;
use crate::gcp::{GcpFederated, GcpIdToken, GcpImpersonated, GcpOauth, GcpToken};
use crate::{Credential, Error, Inputs, Result};

/// Which credential, and how it is got: what a profile says, by its `kind`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// `attested`
    Attested(Attested),
    /// `aws-roles-anywhere`
    AwsRolesAnywhere(RolesAnywhere),
    /// `aws-assume-role`
    AwsAssumeRole(AssumeRole),
    /// `aws-session-token`
    AwsSessionToken(SessionToken),
    /// `aws-web-identity`
    AwsWebIdentity(WebIdentity),
    /// `azure-token`
    AzureToken(AzureToken),
    /// `gcp-token`
    GcpToken(GcpToken),
    /// `gcp-oauth`
    GcpOauth(GcpOauth),
    /// `gcp-id-token`
    GcpIdToken(GcpIdToken),
    /// `gcp-federated`
    GcpFederated(GcpFederated),
    /// `gcp-impersonated`
    GcpImpersonated(GcpImpersonated),
}

impl Source {
    /// Its name in profiles.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Attested(_) => "attested",
            Self::AwsRolesAnywhere(_) => "aws-roles-anywhere",
            Self::AwsAssumeRole(_) => "aws-assume-role",
            Self::AwsSessionToken(_) => "aws-session-token",
            Self::AwsWebIdentity(_) => "aws-web-identity",
            Self::AzureToken(_) => "azure-token",
            Self::GcpToken(_) => "gcp-token",
            Self::GcpOauth(_) => "gcp-oauth",
            Self::GcpIdToken(_) => "gcp-id-token",
            Self::GcpFederated(_) => "gcp-federated",
            Self::GcpImpersonated(_) => "gcp-impersonated",
        }
    }

    /// The profile that this one stands on.
    #[must_use]
    pub fn source_profile(&self) -> Option<&str> {
        match self {
            Self::AwsAssumeRole(source) => source.source_profile.as_deref(),
            Self::GcpImpersonated(source) => source.source_profile.as_deref(),
            _ => None,
        }
    }

    /// The key that it names, if it names one.
    #[must_use]
    pub const fn key(&self) -> Option<&KeyUri> {
        match self {
            Self::Attested(source) => source.key.as_ref(),
            Self::AwsRolesAnywhere(source) => Some(&source.key),
            Self::AwsAssumeRole(source) => source.key.as_ref(),
            Self::AwsSessionToken(source) => source.key.as_ref(),
            Self::AzureToken(source) => source.key.as_ref(),
            Self::GcpToken(source) => Some(&source.key),
            Self::GcpOauth(source) => Some(&source.key),
            Self::GcpIdToken(source) => Some(&source.key),
            Self::GcpFederated(source) => source.key.as_ref(),
            Self::AwsWebIdentity(_) | Self::GcpImpersonated(_) => None,
        }
    }

    /// The environment variables with secrets that it names: those of its key
    /// ([`KeyUri::env_variables`]) and of its other secrets (`env:NAME`). A program that starts others
    /// removes them from the environment that it gives them.
    #[must_use]
    pub fn env_variables(&self) -> Vec<String> {
        let secret = match self {
            Self::AwsAssumeRole(source) => source.session_token.as_ref(),
            Self::AwsSessionToken(source) => source.session_token.as_ref(),
            Self::AzureToken(source) => source.client_secret.as_ref(),
            Self::Attested(_)
            | Self::AwsRolesAnywhere(_)
            | Self::AwsWebIdentity(_)
            | Self::GcpToken(_)
            | Self::GcpOauth(_)
            | Self::GcpIdToken(_)
            | Self::GcpFederated(_)
            | Self::GcpImpersonated(_) => None,
        };
        let mut names = self.key().map(KeyUri::env_variables).unwrap_or_default();
        names.extend(secret.and_then(SecretRef::env_variable).map(str::to_owned));
        names
    }

    /// Builds the request that would be sent, and hands it to `then`. Nothing is sent. `base` is the
    /// credential that this stands on, if it stands on one.
    ///
    /// # Errors
    /// As a provider's, but for the network; [`Error::Config`] for what is made without a request.
    pub fn request(
        &self,
        inputs: &Arc<Inputs>,
        base: Option<&Credential>,
        at: &Attempt,
        mut then: impl FnMut(&HttpRequest<'_>),
    ) -> Result<()> {
        if base.is_none() {
            self.check_base(None)?;
        }
        match self.open(inputs, base)? {
            Some(flow) => flow.request(at, &mut then),
            None => Err(Error::config("request", "there is none: the token is made without one")),
        }
    }

    /// Whether it is AWS that is asked.
    pub(crate) const fn is_aws(&self) -> bool {
        matches!(
            self,
            Self::AwsRolesAnywhere(_)
                | Self::AwsAssumeRole(_)
                | Self::AwsSessionToken(_)
                | Self::AwsWebIdentity(_)
        )
    }

    /// Whether it holds a code of multi-factor authentication.
    pub(crate) const fn has_code(&self) -> bool {
        match self {
            Self::AwsAssumeRole(source) => source.token_code.is_some(),
            Self::AwsSessionToken(source) => source.token_code.is_some(),
            _ => false,
        }
    }

    /// Whether this can stand on `base`, or without one.
    pub(crate) fn check_base(&self, base: Option<&Self>) -> Result<()> {
        let wrong = |help: &str| {
            let below = base.map_or("nothing", Self::kind);
            Err(Error::config(self.kind(), format!("stands on {below}: {help}")))
        };
        match (self, base) {
            (Self::AwsAssumeRole(source), None) if source.source_profile.is_none() => Ok(()),
            (Self::AwsAssumeRole(_), None) => wrong("its source-profile was not set up"),
            (Self::AwsAssumeRole(source), Some(base)) => {
                let own = source.access_key_id.is_some()
                    || source.key.is_some()
                    || source.session_token.is_some();
                match (base.is_aws(), own) {
                    (true, false) => Ok(()),
                    (true, true) => wrong("give an access key of its own or a source-profile"),
                    (false, _) => wrong("expected a kind that begins with aws-"),
                }
            }
            (Self::GcpImpersonated(_), Some(base)) => match base {
                Self::GcpToken(_) | Self::GcpOauth(_) | Self::GcpFederated(_) => Ok(()),
                Self::GcpImpersonated(base) if base.id_token_audience.is_none() => Ok(()),
                _ => wrong("expected a kind that gives an access token of Google Cloud"),
            },
            (Self::GcpImpersonated(_), None) => wrong("name a source-profile"),
            (Self::Attested(source), None) => source.check(),
            (_, None) => Ok(()),
            (_, Some(_)) => wrong("this kind stands on its own"),
        }
    }

    /// Lets relative paths in it start at `directory`.
    pub fn resolve_paths(&mut self, directory: &Path) {
        self.paths(&mut |path| *path = directory.join(&*path));
    }

    /// Every path in it.
    fn paths(&mut self, change: &mut dyn FnMut(&mut PathBuf)) {
        match self {
            Self::Attested(source) => {
                let files = [&mut source.ca_file, &mut source.certificate, &mut source.sts_ca_file];
                files.into_iter().chain([&mut source.teeserver]).flatten().for_each(change);
            }
            Self::AwsRolesAnywhere(source) => {
                change(&mut source.certificate);
                source.intermediates.iter_mut().for_each(change);
            }
            Self::AwsAssumeRole(source) => {
                source.policy.iter_mut().for_each(&mut *change);
                source.provided_contexts.iter_mut().for_each(|(_, path)| change(path));
            }
            Self::AwsWebIdentity(source) => {
                source.token_file.iter_mut().chain(&mut source.policy).for_each(change);
            }
            Self::AzureToken(source) => {
                let certificate = source.certificate.iter_mut();
                certificate.chain(&mut source.federated_token_file).for_each(change);
            }
            Self::GcpFederated(source) => source.token_file.iter_mut().for_each(change),
            Self::AwsSessionToken(_)
            | Self::GcpToken(_)
            | Self::GcpOauth(_)
            | Self::GcpIdToken(_)
            | Self::GcpImpersonated(_) => {}
        }
    }

    /// Reads the inputs. `base` is the credential of the provider that this one stands on. `None` for what
    /// nobody is asked for.
    pub(crate) fn open(
        &self,
        inputs: &Arc<Inputs>,
        base: Option<&Credential>,
    ) -> Result<Option<Arc<dyn Flow>>> {
        Ok(Some(match self {
            Self::Attested(_) => {
                let help = "depends on the connection it is sent on; it cannot be had without one";
                return Err(Error::config("request", help));
            }
            Self::AwsRolesAnywhere(source) => Arc::new(source.open(inputs)?),
            Self::AwsAssumeRole(source) => Arc::new(source.open(inputs, base)?),
            Self::AwsSessionToken(source) => Arc::new(source.open(inputs)?),
            Self::AwsWebIdentity(source) => Arc::new(source.open(inputs)?),
            Self::AzureToken(source) => Arc::new(source.open(inputs)?),
            Self::GcpToken(_) => return Ok(None),
            Self::GcpOauth(source) => Arc::new(source.open(inputs)?),
            Self::GcpIdToken(source) => Arc::new(source.open(inputs)?),
            Self::GcpFederated(source) => Arc::new(source.open(inputs)?),
            Self::GcpImpersonated(source) => Arc::new(source.open(base)?),
        }))
    }
}

macro_rules! from {
    ($($variant:ident($type:ty)),* $(,)?) => {$(
        impl From<$type> for Source {
            fn from(source: $type) -> Self {
                Self::$variant(source)
            }
        }
    )*};
}

from! {
    Attested(Attested),
    AwsRolesAnywhere(RolesAnywhere),
    AwsAssumeRole(AssumeRole),
    AwsSessionToken(SessionToken),
    AwsWebIdentity(WebIdentity),
    AzureToken(AzureToken),
    GcpToken(GcpToken),
    GcpOauth(GcpOauth),
    GcpIdToken(GcpIdToken),
    GcpFederated(GcpFederated),
    GcpImpersonated(GcpImpersonated),
}
