//! `cloudauth azure`.

mod assertion;
mod token;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use cloudauth_client::{AzureAlgorithm, AzureThumbprint, AzureToken};

use crate::context::{Context, key_uri};
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A client assertion: what an app sends to Entra ID in place of a secret
    Assertion(Box<assertion::Args>),
    /// An app's access token, for a certificate's key, a secret or a federated token
    Token(Box<token::Args>),
}

/// The app, for every command.
#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct App {
    /// The tenant: its id or a domain [env: AZURE_TENANT_ID]
    #[arg(long, alias = "tenant-id")]
    tenant: Option<String>,
    /// The app's (client) id [env: AZURE_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The authority, a host or URL, for other clouds: login.microsoftonline.us (US government),
    /// login.partner.microsoftonline.cn (China) [env: AZURE_AUTHORITY_HOST]
    #[arg(long, alias = "authority-host", value_name = "HOST")]
    authority: Option<String>,
}

/// What an assertion is made of.
#[derive(clap::Args)]
#[group(id = "certificate_key", conflicts_with_all = ["profile", "given"])]
struct Assertion {
    /// The key of the certificate [default: the one in the file of AZURE_CLIENT_CERTIFICATE_PATH]
    #[arg(long, value_name = "URI")]
    key: Option<String>,
    /// The certificate that is registered with the app, PEM or DER; further certificates are its chain
    /// [env: AZURE_CLIENT_CERTIFICATE_PATH]
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The signature algorithm [default: PS256 where the key can, else RS256]
    #[arg(long, value_enum, requires = "key")]
    algorithm: Option<Algorithm>,
    /// The certificate's thumbprint in the header: x5t#S256, or x5t (SHA-1) [default: sha256]
    #[arg(long, value_enum, requires = "key")]
    thumbprint: Option<Hash>,
    /// Send the certificates too (x5c): subject-name and issuer authentication [for the certificate of the
    /// variable also: AZURE_CLIENT_SEND_CERTIFICATE_CHAIN]
    #[arg(long, requires = "key")]
    send_chain: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    #[value(name = "PS256")]
    Ps256,
    #[value(name = "RS256")]
    Rs256,
}

#[derive(Clone, Copy, ValueEnum)]
enum Hash {
    Sha1,
    Sha256,
}

/// The app and what its assertion is made of.
fn source(app: &App, assertion: &Assertion) -> Result<AzureToken, CliError> {
    Ok(AzureToken {
        tenant: app.tenant.clone(),
        client_id: app.client_id.clone(),
        authority: app.authority.clone(),
        key: assertion.key.as_deref().map(key_uri).transpose()?,
        certificate: assertion.certificate.clone(),
        algorithm: assertion.algorithm.map(|algorithm| match algorithm {
            Algorithm::Ps256 => AzureAlgorithm::Ps256,
            Algorithm::Rs256 => AzureAlgorithm::Rs256,
        }),
        thumbprint: match assertion.thumbprint {
            Some(Hash::Sha1) => AzureThumbprint::Sha1,
            Some(Hash::Sha256) | None => AzureThumbprint::Sha256,
        },
        send_chain: assertion.send_chain.then_some(true),
        ..AzureToken::default()
    })
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Assertion(args) => assertion::run(args, context),
        Command::Token(args) => token::run(args, context),
    }
}
