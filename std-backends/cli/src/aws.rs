//! `cloudauth aws`.

mod roles_anywhere;
mod sign;
mod sts;
#[cfg(unix)]
mod write_credentials;

use clap::Subcommand;

use crate::context::{Context, given, variable};
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Assume a role (STS): its credentials
    AssumeRole(Box<sts::AssumeRoleArgs>),
    /// Ask STS whose credentials these are
    CallerIdentity(Box<sts::CallerIdentityArgs>),
    /// Credentials for a certificate and its key (IAM Roles Anywhere)
    RolesAnywhere(Box<roles_anywhere::Args>),
    /// Temporary credentials of one's own (STS)
    SessionToken(Box<sts::SessionTokenArgs>),
    /// Sign a raw HTTP request with Signature Version 4
    Sign(Box<sign::Args>),
    /// A role's credentials, for an identity provider's token (STS)
    WebIdentity(Box<sts::WebIdentityArgs>),
    /// Keep a profile's credentials in AWS's shared credentials file
    #[cfg(unix)]
    WriteCredentials(Box<write_credentials::Args>),
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::AssumeRole(args) => sts::assume_role(args, context),
        Command::CallerIdentity(args) => sts::get_caller_identity(args, context),
        Command::RolesAnywhere(args) => roles_anywhere::run(args, context),
        Command::SessionToken(args) => sts::get_session_token(args, context),
        Command::Sign(args) => sign::run(args, context),
        Command::WebIdentity(args) => sts::web_identity(args, context),
        #[cfg(unix)]
        Command::WriteCredentials(args) => write_credentials::run(args, context),
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

/// Options with a name and a value in one.
fn pairs(options: &[String], what: &str, form: &str) -> Result<Vec<(String, String)>, CliError> {
    let pair = |option: &String| {
        let pair = option.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| CliError::input(what, format_args!("expected {form}")))
    };
    options.iter().map(pair).collect()
}
