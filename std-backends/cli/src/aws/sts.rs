//! `cloudauth aws assume-role`, `caller-identity`, `session-token` and `web-identity`: STS.

use std::path::{Path, PathBuf};

use cloudauth_core::aws::sigv4::SigV4;
use cloudauth_core::aws::sts::ProvidedContext;
use cloudauth_core::aws::{
    AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, GetSessionToken, SigningKey,
};
use cloudauth_core::{Attempt, json};
use zeroize::Zeroizing;

use super::{access_key_id, host, region, session_token};
use crate::context::{Context, DryRun, given, place, read};
use crate::error::CliError;

/// The most octets of a token or a policy that are read. STS takes fewer of either.
const MAX_TEXT: u64 = 1 << 16;

const CREDENTIALS: &str = "\
Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; with --key the
secret access key comes from there instead, never from the command line.";

#[derive(clap::Args)]
struct Call {
    #[command(flatten)]
    dry_run: DryRun,
    /// The region, such as eu-central-1 [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long)]
    region: Option<String>,
    /// Host (and port) in place of the region's endpoint
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// Ask for an answer in JSON in place of XML
    #[arg(long)]
    accept_json: bool,
}

#[derive(clap::Args)]
struct Caller {
    /// The access key id [env: AWS_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Where the secret access key is: file:PATH of a file that holds it and nothing else, or env:NAME
    #[arg(long, value_name = "URI", default_value = "env:AWS_SECRET_ACCESS_KEY")]
    key: String,
}

/// What both ways to a role have in common.
#[derive(clap::Args)]
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
#[command(after_help = after("cloudauth aws assume-role --dry-run --region eu-central-1 \\
    --role-arn arn:aws:iam::123456789012:role/R --session-name robot-7"))]
pub(crate) struct AssumeRoleArgs {
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    caller: Caller,
    /// The role
    #[arg(long, value_name = "ARN")]
    role_arn: String,
    /// The session's name, which logs and policies show
    #[arg(long, alias = "role-session-name", value_name = "NAME")]
    session_name: String,
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
#[command(after_help = after("cloudauth aws session-token --dry-run --region eu-central-1 --duration 3600 \\
    --serial-number arn:aws:iam::123456789012:mfa/U --token-code 123456"))]
pub(crate) struct SessionTokenArgs {
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
#[command(after_help = after("cloudauth aws caller-identity --dry-run --region eu-central-1"))]
pub(crate) struct CallerIdentityArgs {
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    caller: Caller,
}

const WEB_IDENTITY: &str = "\
No credentials are needed, and nothing is signed. The token is never taken from the command line.

Example:
  cloudauth aws web-identity --dry-run --region eu-central-1 --token-file token.jwt \\
    --role-arn arn:aws:iam::123456789012:role/R --session-name robot-7";

#[derive(clap::Args)]
#[command(after_help = WEB_IDENTITY)]
pub(crate) struct WebIdentityArgs {
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

impl Call {
    fn region(&self) -> Result<String, CliError> {
        region(self.region.as_deref())
    }

    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().map(host)
    }
}

impl Caller {
    /// Runs `with` a signer for STS.
    fn sign(
        &self,
        call: &Call,
        context: &Context,
        with: impl FnOnce(SigV4<'_>, &Attempt) -> Result<Vec<u8>, CliError>,
    ) -> Result<Vec<u8>, CliError> {
        call.dry_run.check()?;
        let at = context.attempt()?;
        let region = call.region()?;
        let id = access_key_id(self.access_key_id.as_deref())?;
        let token = session_token()?;
        let secret = context.mac_key(&self.key)?;
        let key = SigningKey::derive(&secret, at.time(), &region, "sts")?;
        let signer = SigV4::new(&id, &key);
        with(SigV4 { session_token: token.as_deref(), ..signer }, &at)
    }
}

impl Role {
    fn policy(&self) -> Result<Option<Zeroizing<String>>, CliError> {
        let Some(path) = self.policy.as_deref() else { return Ok(None) };
        let policy = text(path)?;
        json::parse(&mut policy.as_bytes().to_vec()).map_err(|e| {
            CliError::input(place(path), format_args!("the policy is no JSON: {e}"))
        })?;
        Ok(Some(policy))
    }
}

pub(crate) fn assume_role(args: &AssumeRoleArgs, context: &Context) -> Result<Vec<u8>, CliError> {
    let stdin = args.provided_contexts.iter().filter(|context| context.ends_with("=-")).count()
        + usize::from(args.role.policy.as_deref() == Some(Path::new("-")));
    if stdin > 1 {
        return Err(CliError::Usage(
            "standard input can be one of --policy and --provided-context, not several".to_owned(),
        ));
    }
    let policy = args.role.policy()?;
    let mut tags = Vec::new();
    for tag in &args.tags {
        let pair = tag.split_once('=');
        tags.push(pair.ok_or_else(|| CliError::input("session tag", "expected KEY=VALUE"))?);
    }
    let mut assertions = Vec::new();
    for context in &args.provided_contexts {
        let (arn, file) = context
            .split_once('=')
            .ok_or_else(|| CliError::input("provided context", "expected ARN=FILE"))?;
        assertions.push((arn, line(Path::new(file))?));
    }
    let contexts: Vec<ProvidedContext<'_>> = assertions
        .iter()
        .map(|(arn, assertion)| ProvidedContext { provider_arn: arn, context_assertion: assertion })
        .collect();
    args.caller.sign(&args.call, context, |signer, at| {
        let call = AssumeRole {
            policy_arns: &strs(&args.role.policy_arns),
            policy: policy.as_deref().map(String::as_str),
            duration_seconds: args.role.duration,
            tags: &tags,
            transitive_tag_keys: &strs(&args.transitive_tag_keys),
            external_id: args.external_id.as_deref(),
            serial_number: args.mfa.serial_number.as_deref(),
            token_code: args.mfa.token_code.as_deref(),
            source_identity: args.source_identity.as_deref(),
            provided_contexts: &contexts,
            endpoint: args.call.endpoint(),
            accept_json: args.call.accept_json,
            ..AssumeRole::new(signer, &args.role_arn, &args.session_name)
        };
        context.show_at(&call, at)
    })
}

pub(crate) fn get_session_token(
    args: &SessionTokenArgs,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    args.caller.sign(&args.call, context, |signer, at| {
        let call = GetSessionToken {
            duration_seconds: args.duration,
            serial_number: args.mfa.serial_number.as_deref(),
            token_code: args.mfa.token_code.as_deref(),
            endpoint: args.call.endpoint(),
            accept_json: args.call.accept_json,
            ..GetSessionToken::new(signer)
        };
        context.show_at(&call, at)
    })
}

pub(crate) fn get_caller_identity(
    args: &CallerIdentityArgs,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    args.caller.sign(&args.call, context, |signer, at| {
        let call = GetCallerIdentity {
            endpoint: args.call.endpoint(),
            accept_json: args.call.accept_json,
            ..GetCallerIdentity::new(signer)
        };
        context.show_at(&call, at)
    })
}

pub(crate) fn web_identity(args: &WebIdentityArgs, context: &Context) -> Result<Vec<u8>, CliError> {
    args.call.dry_run.check()?;
    let region = args.call.region()?;
    let role_arn = given("--role-arn", args.role_arn.as_deref(), &["AWS_ROLE_ARN"])?;
    let name = given("--session-name", args.session_name.as_deref(), &["AWS_ROLE_SESSION_NAME"])?;
    let file = match &args.token_file {
        Some(file) => file.clone(),
        None => given("--token-file", None, &["AWS_WEB_IDENTITY_TOKEN_FILE"])?.into(),
    };
    let stdin = Path::new("-");
    if file == stdin && args.role.policy.as_deref() == Some(stdin) {
        return Err(CliError::Usage(
            "--token-file and --policy cannot both be standard input".to_owned(),
        ));
    }
    let token = line(&file)?;
    let policy = args.role.policy()?;
    let call = AssumeRoleWithWebIdentity {
        provider_id: args.provider_id.as_deref(),
        policy_arns: &strs(&args.role.policy_arns),
        policy: policy.as_deref().map(String::as_str),
        duration_seconds: args.role.duration,
        endpoint: args.call.endpoint(),
        accept_json: args.call.accept_json,
        ..AssumeRoleWithWebIdentity::new(&region, &role_arn, &name, &token)
    };
    context.show_unsigned(&call)
}

fn text(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let bytes = read(path, MAX_TEXT)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliError::input(place(path), "is not UTF-8"))?;
    Ok(Zeroizing::new(text))
}

/// A text that may end with a line end, which is no part of it.
fn line(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let mut text = text(path)?;
    let len = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(len);
    Ok(text)
}

fn strs(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}
