//! Google Cloud: an external account whose subject token is in a file.

use std::path::PathBuf;
use std::time::Duration;

use cloudauth_client::{GcpFederated, GcpImpersonated, GcpTokenType, Source};
use cloudauth_core::gcp::DEFAULT_UNIVERSE;
use serde_json::{Map, Value, json};

use super::renewal::{Made, Token, attempt};
use super::{Plan, Profile};
use crate::context::json as text;
use crate::error::CliError;

/// What Google's tools, and Terraform, look at before it.
const REMOVED: [&str; 8] = [
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "GCLOUD_KEYFILE_JSON",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
];

const FILE: &str = "google-external-account.json";
const TOKEN: &str = "google-subject-token";

pub(super) fn remove(plan: &mut Plan<'_>) {
    plan.variables.remove(&REMOVED);
}

pub(super) fn federated(
    plan: &mut Plan<'_>,
    profile: &Profile<'_>,
    source: &GcpFederated,
) -> Result<(), CliError> {
    let account = account(plan, profile, source)?;
    write(plan, account)
}

pub(super) fn impersonated(
    plan: &mut Plan<'_>,
    profile: &Profile<'_>,
    source: &GcpImpersonated,
) -> Result<(), CliError> {
    let below = match (source.source_profile.as_deref(), profile.below.as_slice()) {
        (Some(_), [Source::GcpFederated(below)]) => below,
        _ => return Err(profile.only_static("its source profile is not of kind gcp-federated")),
    };
    if source.id_token_audience.is_some() {
        return Err(super::static_credentials::no_access_token(profile));
    }
    if !source.delegates.is_empty() {
        return Err(profile.only_static("an external account has no delegates"));
    }
    let mut account = account(plan, profile, below)?;
    let universe = source.universe_domain.as_deref().unwrap_or(DEFAULT_UNIVERSE);
    let base = base(source.endpoint_url.as_deref(), &format!("iamcredentials.{universe}"));
    let url = format!("{base}/v1/projects/-/serviceAccounts/{}:generateAccessToken", source.email);
    account.insert("service_account_impersonation_url".to_owned(), url.into());
    if let Some(lifetime) = source.lifetime {
        let lifetime = json!({ "token_lifetime_seconds": lifetime });
        account.insert("service_account_impersonation".to_owned(), lifetime);
    }
    write(plan, account)
}

/// An external account without impersonation. Source: Google's AIP-4117, "External Account Credentials".
fn account(
    plan: &mut Plan<'_>,
    profile: &Profile<'_>,
    source: &GcpFederated,
) -> Result<Map<String, Value>, CliError> {
    let file = subject_token(plan, profile, source)?;
    let kind = match source.token_type {
        GcpTokenType::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        GcpTokenType::IdToken => "urn:ietf:params:oauth:token-type:id_token",
        GcpTokenType::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
        GcpTokenType::Aws4Request => {
            return Err(profile.only_static("client libraries sign a request of AWS themselves"));
        }
    };
    let file = file.to_str().ok_or_else(|| CliError::input(file.display(), "is not UTF-8"))?;
    let universe = source.universe_domain.as_deref().unwrap_or(DEFAULT_UNIVERSE);
    let base = base(source.endpoint_url.as_deref(), &format!("sts.{universe}"));
    let mut account = Map::new();
    for (name, value) in [
        ("type", "external_account"),
        ("audience", &source.provider),
        ("subject_token_type", kind),
        ("token_url", &format!("{base}/v1/token")),
        ("universe_domain", universe),
    ] {
        account.insert(name.to_owned(), value.into());
    }
    account.insert("credential_source".to_owned(), json!({ "file": file }));
    if let Some(project) = &source.user_project {
        account.insert("workforce_pool_user_project".to_owned(), project.as_str().into());
    }
    Ok(account)
}

/// The file of another issuer's token, or one that is renewed.
fn subject_token(
    plan: &mut Plan<'_>,
    profile: &Profile<'_>,
    source: &GcpFederated,
) -> Result<PathBuf, CliError> {
    if let (None, Some(file)) = (&source.key, &source.token_file) {
        return Ok(file.clone());
    }
    let (source, inputs) = (source.clone(), plan.inputs.clone());
    let make = move || {
        let at = attempt()?;
        let made = source.subject_token(&inputs, &at)?;
        let (end, now) = (made.expiration.as_secs(), at.time().as_secs());
        // Whoever reads it has half of its life left.
        let every = Duration::from_secs((end.saturating_sub(now) / 2).max(1));
        Ok(Made { token: made.token, end, every })
    };
    plan.tokens.push(Token::first(profile.name, TOKEN, Box::new(make), plan.folder)?);
    Ok(plan.folder.file(TOKEN))
}

fn write(plan: &mut Plan<'_>, account: Map<String, Value>) -> Result<(), CliError> {
    remove(plan);
    plan.folder.write(FILE, &text(&Value::Object(account)))?;
    let file = plan.folder.file(FILE);
    plan.variables.set("GOOGLE_APPLICATION_CREDENTIALS", &file);
    plan.variables.set("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", &file);
    Ok(())
}

/// Where requests go: a URL, or a bare host.
fn base(endpoint: Option<&str>, host: &str) -> String {
    let place = endpoint.unwrap_or(host).trim_end_matches('/');
    if place.contains("://") { place.to_owned() } else { format!("https://{place}") }
}
