//! Azure: a file with a client assertion, which is sent as a federated token is.

use std::time::Duration;

use cloudauth_client::AzureToken;
use cloudauth_core::azure::ClientAssertion;

use super::renewal::{Made, Token, attempt};
use super::{Plan, Profile};
use crate::error::CliError;

/// What Microsoft's SDKs look at before the federated token, or that would choose another.
const REMOVED: [&str; 7] = [
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_TOKEN_CREDENTIALS",
];

const FILE: &str = "azure-federated-token";

/// Far below the ten minutes of an assertion: SDKs keep what they read for as long, and an assertion that is
/// used twice may be taken for a replay.
const EVERY: Duration = Duration::from_secs(30);

pub(super) fn remove(plan: &mut Plan<'_>) {
    plan.variables.remove(&REMOVED);
}

pub(super) fn add(
    plan: &mut Plan<'_>,
    profile: &Profile<'_>,
    token: &AzureToken,
) -> Result<(), CliError> {
    if token.client_secret.is_some() {
        return Err(profile.only_static("its credential is a client secret"));
    }
    if token.endpoint_url.is_some() {
        return Err(profile.only_static("Microsoft's SDKs know authorities, and no endpoint-url"));
    }
    remove(plan);
    let variables = &mut plan.variables;
    variables.set_some("AZURE_TENANT_ID", token.tenant.as_deref());
    variables.set_some("AZURE_CLIENT_ID", token.client_id.as_deref());
    variables.set_some("AZURE_AUTHORITY_HOST", token.authority.as_deref());
    if let Some(file) = &token.federated_token_file {
        variables.set("AZURE_FEDERATED_TOKEN_FILE", file);
        return Ok(());
    }
    variables.set("AZURE_FEDERATED_TOKEN_FILE", plan.folder.file(FILE));
    let (source, inputs) = (token.clone(), plan.inputs.clone());
    let make = move || {
        let at = attempt()?;
        Ok(Made {
            token: source.assertion(&inputs, &at)?,
            end: at.time().as_secs() + ClientAssertion::LIFETIME,
            every: EVERY,
        })
    };
    plan.tokens.push(Token::first(profile.name, FILE, Box::new(make), plan.folder)?);
    Ok(())
}
