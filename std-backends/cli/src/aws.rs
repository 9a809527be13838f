//! `cloudauth aws`.

mod roles_anywhere;
mod sign;
mod sts;

use clap::Subcommand;

use crate::context::{Context, given, variable};
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// STS: the AssumeRole request
    AssumeRole(Box<sts::AssumeRoleArgs>),
    /// STS: the GetCallerIdentity request, which tells whose credentials these are
    CallerIdentity(Box<sts::CallerIdentityArgs>),
    /// IAM Roles Anywhere: the CreateSession request that a certificate's key signs
    RolesAnywhere(Box<roles_anywhere::Args>),
    /// STS: the GetSessionToken request, for temporary credentials of one's own
    SessionToken(Box<sts::SessionTokenArgs>),
    /// Sign a raw HTTP request with Signature Version 4
    Sign(Box<sign::Args>),
    /// STS: the AssumeRoleWithWebIdentity request, with an identity provider's token
    WebIdentity(Box<sts::WebIdentityArgs>),
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::AssumeRole(args) => sts::assume_role(args, context),
        Command::CallerIdentity(args) => sts::get_caller_identity(args, context),
        Command::RolesAnywhere(args) => roles_anywhere::run(args, context),
        Command::SessionToken(args) => sts::get_session_token(args, context),
        Command::Sign(args) => sign::run(args, context),
        Command::WebIdentity(args) => sts::web_identity(args, context),
    }
}

/// The region, from the option or the variables of AWS's own tools.
fn region(option: Option<&str>) -> Result<String, CliError> {
    given("--region", option, &["AWS_REGION", "AWS_DEFAULT_REGION"])
}

/// The access key id, from the option or AWS's own variable.
fn access_key_id(option: Option<&str>) -> Result<String, CliError> {
    given("--access-key-id", option, &["AWS_ACCESS_KEY_ID"])
}

/// The session token of temporary credentials.
fn session_token() -> Result<Option<String>, CliError> {
    variable("AWS_SESSION_TOKEN")
}

/// The host of an endpoint that may be given as a URL.
fn host(endpoint: &str) -> &str {
    endpoint.strip_prefix("https://").unwrap_or(endpoint).trim_end_matches('/')
}
