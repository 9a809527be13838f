//! `cloudauth azure`.

mod assertion;
mod token;

use clap::Subcommand;
use cloudauth_core::azure::{Application, Authority};

use crate::context::{Context, given, variable};
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
    /// The tenant: its id or a domain [env: AZURE_TENANT_ID]
    #[arg(long)]
    tenant: Option<String>,
    /// The app's (client) id [env: AZURE_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Host of the authority, for other clouds: login.microsoftonline.us (US government),
    /// login.partner.microsoftonline.cn (China) [env: AZURE_AUTHORITY_HOST]
    #[arg(long, value_name = "HOST")]
    authority: Option<String>,
}

/// The app, once options and variables are read.
struct AppNames {
    tenant: String,
    client_id: String,
    authority: Option<String>,
}

impl App {
    fn names(&self) -> Result<AppNames, CliError> {
        let authority = match &self.authority {
            Some(host) => Some(host.clone()),
            None => variable("AZURE_AUTHORITY_HOST")?,
        };
        Ok(AppNames {
            tenant: given("--tenant", self.tenant.as_deref(), &["AZURE_TENANT_ID"])?,
            client_id: given("--client-id", self.client_id.as_deref(), &["AZURE_CLIENT_ID"])?,
            authority,
        })
    }
}

impl AppNames {
    fn application(&self) -> Application<'_> {
        let host = self.authority.as_deref();
        let host =
            host.map(|host| host.strip_prefix("https://").unwrap_or(host).trim_end_matches('/'));
        Application {
            tenant: &self.tenant,
            client_id: &self.client_id,
            authority: host.map_or(Authority::Public, Authority::Custom),
        }
    }
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Assertion(args) => assertion::run(args, context),
        Command::Token(args) => token::run(args, context),
    }
}
