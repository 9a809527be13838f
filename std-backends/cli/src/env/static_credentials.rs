//! The credentials themselves, for tools that read nothing else.

use cloudauth_client::blocking::Runtime;
use cloudauth_client::{Config, Credential, Source};

use super::renewal::End;
use super::{Plan, Profile, aws, azure, gcp};
use crate::context::{Context, say};
use crate::error::CliError;
use crate::live::{rfc3339, secrets};

pub(super) fn add(
    plan: &mut Plan<'_>,
    profile: &Profile<'_>,
    config: &Config,
    context: &Context,
) -> Result<(), CliError> {
    match profile.source {
        Source::GcpIdToken(_) => return Err(no_access_token(profile)),
        Source::GcpImpersonated(source) if source.id_token_audience.is_some() => {
            return Err(no_access_token(profile));
        }
        _ => {}
    }
    let provider = config.provider(&plan.setup.client(config, context)?, profile.name)?;
    let credential = Runtime::new()?.wait(provider.credential())?;
    match &*credential {
        Credential::Aws(keys) => {
            aws::remove(plan);
            aws::region(plan, profile);
            let variables = &mut plan.variables;
            variables.set("AWS_ACCESS_KEY_ID", &keys.access_key_id);
            variables.set("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.as_str());
            variables.set("AWS_SESSION_TOKEN", keys.session_token.as_str());
            variables.set("AWS_CREDENTIAL_EXPIRATION", rfc3339(keys.expiration));
        }
        Credential::Bearer(token) if matches!(profile.source, Source::AzureToken(_)) => {
            azure::remove(plan);
            plan.variables.set("AZURE_ACCESS_TOKEN", token.token.as_str());
        }
        Credential::Bearer(token) => {
            gcp::remove(plan);
            plan.variables.set("GOOGLE_OAUTH_ACCESS_TOKEN", token.token.as_str());
            plan.variables.set("CLOUDSDK_AUTH_ACCESS_TOKEN", token.token.as_str());
        }
        Credential::Secrets(_) => return Err(secrets()),
        _ => return Err(CliError::Usage("this credential fits into no variable".to_owned())),
    }
    let (name, end) = (profile.name, credential.expiration());
    say(&format!("profile {name:?}: ends at {}, and is not renewed (--static)", rfc3339(end)));
    plan.ends.push(End { profile: name.to_owned(), time: end.as_secs() });
    Ok(())
}

/// Tools take what they find for an access token.
pub(super) fn no_access_token(profile: &Profile<'_>) -> CliError {
    let name = profile.name;
    CliError::Usage(format!(
        "profile {name:?} gives an ID token, which no tool takes from its environment; cloudauth credential \
         --profile {name} prints it"
    ))
}
