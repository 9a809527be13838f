//! `cloudauth aws assume-role`, `caller-identity`, `session-token` and `web-identity`: STS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloudauth_client::blocking::Runtime;
use cloudauth_client::{AssumeRole, CallerIdentity, SessionToken, Source, WebIdentity};
use cloudauth_keys::{KeyUri, SecretRef};
use serde_json::json;

use super::pairs;
use crate::context::{Context, json, key_uri};
use crate::error::CliError;
use crate::live::{Live, Setup, inputs, shown};

const CREDENTIALS: &str = "\
Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; with --key the
secret access key comes from there instead, never from the command line.";

#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Call {
    /// The region, such as eu-central-1 [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long)]
    region: Option<String>,
    /// Ask for an answer in JSON in place of XML
    #[arg(long)]
    accept_json: bool,
}

#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Caller {
    /// The access key id [env: AWS_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// The secret access key: in a device (pkcs11:, tpm:), or file:PATH of a file that holds it and nothing
    /// else, or env:NAME [default: env:AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "URI")]
    key: Option<String>,
    /// Where the session token of temporary credentials is: env:NAME, file:PATH or fd:N [default, without
    /// --access-key-id: env:AWS_SESSION_TOKEN]
    #[arg(long, value_name = "SECRET")]
    session_token_source: Option<String>,
}

/// What both ways to a role have in common.
#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Role {
    /// The life of the credentials in seconds (900 to 43200) [default: an hour, by the service]
    #[arg(long, aliases = ["duration-seconds", "session-duration"], value_name = "SECONDS")]
    duration: Option<u32>,
    /// A policy in JSON that narrows the session: a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A managed policy that narrows the session; may be repeated
    #[arg(long = "policy-arn", value_name = "ARN")]
    policy_arns: Vec<String>,
}

#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Mfa {
    /// The device of multi-factor authentication: serial number or ARN
    #[arg(long, value_name = "ID")]
    serial_number: Option<String>,
    /// The device's present code of six digits
    #[arg(long, value_name = "CODE")]
    token_code: Option<String>,
}

fn after(example: &str) -> String {
    format!("{CREDENTIALS}\n\nExample:\n  {example}")
}

#[derive(clap::Args)]
#[command(after_help = after("cloudauth aws assume-role --region eu-central-1 \\
    --role-arn arn:aws:iam::123456789012:role/R --session-name robot-7"))]
pub(crate) struct AssumeRoleArgs {
    #[command(flatten)]
    source: RoleSource,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(id = "assume_role", conflicts_with = "profile")]
struct RoleSource {
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    caller: Caller,
    /// The role
    #[arg(long, value_name = "ARN", required_unless_present = "profile")]
    role_arn: Option<String>,
    /// The session's name, which logs and policies show
    #[arg(
        long,
        alias = "role-session-name",
        value_name = "NAME",
        required_unless_present = "profile"
    )]
    session_name: Option<String>,
    #[command(flatten)]
    role: Role,
    /// The id that the role's owner wants from third parties
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A session tag; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,
    /// The key of a tag that goes on to further sessions; may be repeated
    #[arg(long = "transitive-tag-key", value_name = "KEY")]
    transitive_tag_keys: Vec<String>,
    /// Who is behind the session, kept through all that follow
    #[arg(long, value_name = "NAME")]
    source_identity: Option<String>,
    #[command(flatten)]
    mfa: Mfa,
    /// A context provider and the file with its assertion; may be repeated
    #[arg(long = "provided-context", value_name = "ARN=FILE")]
    provided_contexts: Vec<String>,
}

#[derive(clap::Args)]
#[command(after_help = after("cloudauth aws session-token --region eu-central-1 --duration 3600 \\
    --serial-number arn:aws:iam::123456789012:mfa/U --token-code 123456"))]
pub(crate) struct SessionTokenArgs {
    #[command(flatten)]
    source: SessionSource,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(id = "session_token", conflicts_with = "profile")]
struct SessionSource {
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    caller: Caller,
    /// The life of the credentials in seconds (900 to 129600) [default: twelve hours, by the service]
    #[arg(long, alias = "duration-seconds", value_name = "SECONDS")]
    duration: Option<u32>,
    #[command(flatten)]
    mfa: Mfa,
}

#[derive(clap::Args)]
#[command(after_help = after("cloudauth aws caller-identity --region eu-central-1"))]
pub(crate) struct CallerIdentityArgs {
    #[command(flatten)]
    caller: Caller,
    /// The region, such as eu-central-1 [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long)]
    region: Option<String>,
    /// Ask for an answer in JSON in place of XML
    #[arg(long)]
    accept_json: bool,
    /// Ask about the credentials of this profile of the configuration file
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Send the request to this URL (https, or http on loopback), in place of the region's own
    #[arg(long, alias = "endpoint", value_name = "URL")]
    endpoint_url: Option<String>,
    /// Send nothing: print the raw HTTP request
    #[arg(long, conflicts_with = "profile")]
    dry_run: bool,
    #[command(flatten)]
    setup: Setup,
}

const WEB_IDENTITY: &str = "\
No credentials are needed, and nothing is signed. The token is never taken from the command line.

Example:
  cloudauth aws web-identity --region eu-central-1 --token-file token.jwt \\
    --role-arn arn:aws:iam::123456789012:role/R --session-name robot-7";

#[derive(clap::Args)]
#[command(after_help = WEB_IDENTITY)]
pub(crate) struct WebIdentityArgs {
    #[command(flatten)]
    source: WebSource,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(id = "web_identity", conflicts_with = "profile")]
struct WebSource {
    #[command(flatten)]
    call: Call,
    /// The file with the provider's token, or - for standard input [env: AWS_WEB_IDENTITY_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The role [env: AWS_ROLE_ARN]
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The session's name, which logs and policies show [env: AWS_ROLE_SESSION_NAME]
    #[arg(long, alias = "role-session-name", value_name = "NAME")]
    session_name: Option<String>,
    /// The provider's host, for OAuth 2.0 access tokens only
    #[arg(long, value_name = "HOST")]
    provider_id: Option<String>,
    #[command(flatten)]
    role: Role,
}

/// Where the secret and its session token are: [`CallerIdentity`] and its like take these apart.
type Secret = (Option<String>, Option<KeyUri>, Option<SecretRef>);

impl Caller {
    /// The session token of the environment belongs to the access key id of the environment.
    fn parts(&self) -> Result<Secret, CliError> {
        let key = self.key.as_deref().map(key_uri).transpose()?;
        let token = match &self.session_token_source {
            Some(reference) => Some(SecretRef::parse(reference)?),
            None => None,
        };
        Ok((self.access_key_id.clone(), key, token))
    }
}

pub(crate) fn assume_role(args: &AssumeRoleArgs, context: &Context) -> Result<Vec<u8>, CliError> {
    let kinds = ["aws-assume-role"];
    let given = &args.source;
    let (Some(role_arn), Some(session_name)) = (&given.role_arn, &given.session_name) else {
        return args.live.run(None, &kinds, context);
    };
    let stdin = given.provided_contexts.iter().filter(|context| context.ends_with("=-")).count()
        + usize::from(given.role.policy.as_deref() == Some(Path::new("-")));
    if stdin > 1 {
        return Err(CliError::Usage(
            "standard input can be one of --policy and --provided-context, not several".to_owned(),
        ));
    }
    let contexts = pairs(&given.provided_contexts, "provided context", "ARN=FILE")?;
    let (access_key_id, key, session_token) = given.caller.parts()?;
    let source = AssumeRole {
        source_profile: None,
        access_key_id,
        key,
        session_token,
        role_arn: role_arn.clone(),
        session_name: session_name.clone(),
        region: given.call.region.clone(),
        duration: given.role.duration,
        policy: given.role.policy.clone(),
        policy_text: None,
        policy_arns: given.role.policy_arns.clone(),
        external_id: given.external_id.clone(),
        tags: pairs(&given.tags, "session tag", "KEY=VALUE")?,
        transitive_tag_keys: given.transitive_tag_keys.clone(),
        source_identity: given.source_identity.clone(),
        serial_number: given.mfa.serial_number.clone(),
        token_code: given.mfa.token_code.clone().map(Into::into),
        provided_contexts: contexts.into_iter().map(|(arn, file)| (arn, file.into())).collect(),
        accept_json: given.call.accept_json,
        endpoint_url: args.live.endpoint_url.clone(),
    };
    args.live.run(Some(source.into()), &kinds, context)
}

pub(crate) fn get_session_token(
    args: &SessionTokenArgs,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    let kinds = ["aws-session-token"];
    if args.live.profile.is_some() {
        return args.live.run(None, &kinds, context);
    }
    let given = &args.source;
    let (access_key_id, key, session_token) = given.caller.parts()?;
    let source = SessionToken {
        access_key_id,
        key,
        session_token,
        region: given.call.region.clone(),
        duration: given.duration,
        serial_number: given.mfa.serial_number.clone(),
        token_code: given.mfa.token_code.clone().map(Into::into),
        accept_json: given.call.accept_json,
        endpoint_url: args.live.endpoint_url.clone(),
    };
    args.live.run(Some(source.into()), &kinds, context)
}

pub(crate) fn get_caller_identity(
    args: &CallerIdentityArgs,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    let profile = args.profile.as_deref();
    let (access_key_id, key, session_token) = match profile {
        Some(_) => (None, None, None),
        None => args.caller.parts()?,
    };
    let call = CallerIdentity {
        access_key_id,
        key,
        session_token,
        region: args.region.clone(),
        accept_json: args.accept_json,
        endpoint_url: args.endpoint_url.clone(),
    };
    if args.dry_run {
        let (inputs, at) = (Arc::new(inputs(context)), context.attempt()?);
        return shown(context, |then| Ok(call.request(&inputs, &at, then)?));
    }
    let config = args.setup.read()?;
    let client = args.setup.client(&config, context)?;
    let mut call = call;
    let mut base = None;
    if let Some(name) = profile {
        base = Some(config.provider(&client, name)?);
        let (region, endpoint_url) = place(config.profile(name)?);
        call.region = call.region.or(region);
        call.endpoint_url = call.endpoint_url.or(endpoint_url);
    }
    let identity = Runtime::new()?.wait(client.caller_identity(&call, base.as_ref()))?;
    Ok(json(&json!({
        "Account": identity.account,
        "Arn": identity.arn,
        "UserId": identity.user_id,
    })))
}

/// Where STS is for a profile's credentials, if it says so.
fn place(source: &Source) -> (Option<String>, Option<String>) {
    match source {
        Source::AwsAssumeRole(source) => (source.region.clone(), source.endpoint_url.clone()),
        Source::AwsSessionToken(source) => (source.region.clone(), source.endpoint_url.clone()),
        Source::AwsWebIdentity(source) => (source.region.clone(), source.endpoint_url.clone()),
        Source::AwsRolesAnywhere(source) => {
            let anchor = source.trust_anchor_arn.split(':').nth(3).map(str::to_owned);
            (source.region.clone().or(anchor), None)
        }
        _ => (None, None),
    }
}

pub(crate) fn web_identity(args: &WebIdentityArgs, context: &Context) -> Result<Vec<u8>, CliError> {
    let kinds = ["aws-web-identity"];
    if args.live.profile.is_some() {
        return args.live.run(None, &kinds, context);
    }
    let given = &args.source;
    let stdin = Some(Path::new("-"));
    if given.token_file.as_deref() == stdin && given.role.policy.as_deref() == stdin {
        return Err(CliError::Usage(
            "--token-file and --policy cannot both be standard input".to_owned(),
        ));
    }
    let source = WebIdentity {
        token_file: given.token_file.clone(),
        role_arn: given.role_arn.clone(),
        session_name: given.session_name.clone(),
        provider_id: given.provider_id.clone(),
        region: given.call.region.clone(),
        duration: given.role.duration,
        policy: given.role.policy.clone(),
        policy_arns: given.role.policy_arns.clone(),
        accept_json: given.call.accept_json,
        endpoint_url: args.live.endpoint_url.clone(),
    };
    args.live.run(Some(source.into()), &kinds, context)
}
