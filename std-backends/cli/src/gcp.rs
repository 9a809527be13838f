//! `cloudauth gcp`.

mod federate;
mod id_token;
mod token;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A federated access token, for a token that a key signs or that another issuer gave
    Federate(Box<federate::Args>),
    /// A service account's ID token
    IdToken(Box<id_token::Args>),
    /// A self-signed token, which Google's APIs take as an access token; or one of Google's, with --oauth
    Token(Box<token::Args>),
}

impl Command {
    pub(crate) const fn is_federate(&self) -> bool {
        matches!(self, Self::Federate(_))
    }
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Federate(args) => federate::run(args, context),
        Command::IdToken(args) => id_token::run(args, context),
        Command::Token(args) => token::run(args, context),
    }
}

/// The service account, for every command that its key signs in.
#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Account {
    /// The service account's key; a service-account JSON brings e-mail and key id with it
    #[arg(long, value_name = "URI", required_unless_present = "profile")]
    key: Option<String>,
    /// The service account's e-mail
    #[arg(long)]
    email: Option<String>,
    /// The key's id at Google (kid); none is sent when none is known
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
}
