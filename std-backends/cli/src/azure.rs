//! `cloudauth azure`.

mod assertion;
mod token;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A client assertion: what an app sends to Entra ID in place of a secret
    Assertion(Box<assertion::Args>),
    /// The request for an app's access token, with a certificate's key, a secret or a federated token
    Token(Box<token::Args>),
}

/// The app, for every command.
#[derive(clap::Args)]
struct App {
    /// The tenant: its id or a domain
    #[arg(long, env = "AZURE_TENANT_ID", hide_env_values = true)]
    tenant: String,
    /// The app's (client) id
    #[arg(long, env = "AZURE_CLIENT_ID", hide_env_values = true, value_name = "ID")]
    client_id: String,
    /// Host of the authority, for other clouds: login.microsoftonline.us (US government),
    /// login.partner.microsoftonline.cn (China)
    #[arg(long, env = "AZURE_AUTHORITY_HOST", hide_env_values = true, value_name = "HOST")]
    authority: Option<String>,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Assertion(args) => assertion::run(args, context),
        Command::Token(args) => token::run(args, context),
    }
}
