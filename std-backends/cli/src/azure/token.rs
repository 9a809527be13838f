//! `cloudauth azure token`.

use std::path::PathBuf;

use cloudauth_client::AzureToken;
use cloudauth_keys::SecretRef;

use super::{App, Assertion, source};
use crate::context::Context;
use crate::error::CliError;
use crate::live::Live;

const AFTER: &str = "\
One credential is needed: --key with --certificate, --client-secret or --federated-token-file. Where
none is named, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE and AZURE_CLIENT_SECRET are
looked at, in this order.

Example:
  cloudauth azure token --key tpm:handle=0x81000005 --certificate app.pem \\
    --tenant contoso.onmicrosoft.com --client-id 11111111-2222-3333-4444-555555555555 \\
    --scope https://vault.azure.net/.default";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    app: App,
    /// What the token is for; may be repeated
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required_unless_present = "profile",
        conflicts_with = "profile"
    )]
    scopes: Vec<String>,
    /// The claims that a resource asked for: a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "profile")]
    claims: Option<String>,
    #[command(flatten)]
    assertion: Assertion,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(id = "given", multiple = false, conflicts_with = "profile")]
struct Given {
    /// The client secret: env:NAME, file:PATH or fd:N [default: env:AZURE_CLIENT_SECRET]
    #[arg(long, value_name = "SECRET")]
    client_secret: Option<String>,
    /// A file with a token (JWT) of an issuer that the app trusts, or - for standard input
    /// [env: AZURE_FEDERATED_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    federated_token_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let kinds = ["azure-token"];
    if args.live.profile.is_some() {
        return args.live.run(None, &kinds, context);
    }
    let secret = args.given.client_secret.as_deref();
    let source = AzureToken {
        scopes: args.scopes.clone(),
        claims: args.claims.clone(),
        client_secret: secret.map(SecretRef::parse).transpose()?,
        federated_token_file: args.given.federated_token_file.clone(),
        endpoint_url: args.live.endpoint_url.clone(),
        ..source(&args.app, &args.assertion)?
    };
    args.live.run(Some(source.into()), &kinds, context)
}
