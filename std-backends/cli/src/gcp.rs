//! `cloudauth gcp`.

mod federate;
mod id_token;
mod token;

use clap::Subcommand;
use cloudauth_core::gcp::TOKEN_URI;
use cloudauth_core::{Scheme, Signer};
use cloudauth_keys::Key;

use crate::context::Context;
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The request for a federated access token, with a token that a key signs or another issuer gave
    Federate(Box<federate::Args>),
    /// The request for a service account's ID token
    IdToken(Box<id_token::Args>),
    /// A self-signed token: Google's APIs take it as an access token
    Token(Box<token::Args>),
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
struct Account {
    /// The service account's key; a service-account JSON brings e-mail and key id with it
    #[arg(long, value_name = "URI")]
    key: String,
    /// The service account's e-mail
    #[arg(long)]
    email: Option<String>,
    /// The key's id at Google (kid); none is sent when none is known
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
}

impl Account {
    fn email<'a>(&'a self, key: &'a Key) -> Result<&'a str, CliError> {
        let of_file = || key.google().map(|a| a.client_email.as_str());
        self.email.as_deref().or_else(of_file).ok_or_else(|| {
            CliError::Usage(
                "--email is missing: only a service-account JSON brings it along".to_owned(),
            )
        })
    }

    /// An id in the JSON belongs to the key in the JSON, whatever e-mail is given.
    fn key_id<'a>(&'a self, key: &'a Key) -> Option<&'a str> {
        let of_file = || key.google().and_then(|a| a.private_key_id.as_deref());
        self.key_id.as_deref().or_else(of_file)
    }
}

fn token_uri(key: &Key) -> &str {
    key.google().map_or(TOKEN_URI, |a| &a.token_uri)
}

fn scheme(key: &Key) -> Result<Scheme, CliError> {
    let schemes = [Scheme::RsaPkcs1Sha256, Scheme::EcdsaP256Sha256];
    schemes.into_iter().find(|s| key.supports(*s)).ok_or_else(|| {
        CliError::Key("key: Google takes RSA keys (RS256) or P-256 keys (ES256)".to_owned())
    })
}
