//! `cloudauth azure token`.

use std::path::PathBuf;

use cloudauth_core::azure::{Credential, TokenRequest};
use cloudauth_core::{Secret, json};
use zeroize::Zeroizing;

use super::App;
use super::assertion::{Algorithm, Choice, Hash, certificate};
use crate::context::{Context, DryRun, path_or, read};
use crate::error::CliError;

const AFTER: &str = "\
One credential is needed: --key with --certificate, --client-secret or --federated-token-file.
AZURE_CLIENT_CERTIFICATE_PATH stands for --certificate beside --key, AZURE_FEDERATED_TOKEN_FILE for
--federated-token-file where no credential is named.

Example:
  cloudauth azure token --dry-run --key file:app.key --certificate app.pem \\
    --tenant contoso.onmicrosoft.com --client-id 11111111-2222-3333-4444-555555555555 \\
    --scope https://vault.azure.net/.default";

/// What the options of an assertion are refused beside: clap passes over `requires` there.
const GIVEN: [&str; 2] = ["client_secret", "federated_token_file"];

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    app: App,
    /// What the token is for; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// The claims that a resource asked for: a JSON object
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// The key of the certificate
    #[arg(long, value_name = "URI", group = "credential")]
    key: Option<String>,
    /// The certificate that is registered with the app, PEM or DER; further certificates are its chain
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = GIVEN)]
    certificate: Option<PathBuf>,
    /// The signature algorithm [default: PS256 where the key can, else RS256]
    #[arg(long, value_enum, requires = "key", conflicts_with_all = GIVEN)]
    algorithm: Option<Algorithm>,
    /// The certificate's thumbprint in the header: x5t#S256, or x5t (SHA-1) [default: sha256]
    #[arg(long, value_enum, requires = "key", conflicts_with_all = GIVEN)]
    thumbprint: Option<Hash>,
    /// Send the certificates too (x5c): subject-name and issuer authentication
    #[arg(long, requires = "key", conflicts_with_all = GIVEN)]
    send_chain: bool,
    /// The client secret: env:NAME, file:PATH or fd:N
    #[arg(long, value_name = "SECRET", group = "credential")]
    client_secret: Option<String>,
    /// A file with a token (JWT) of an issuer that the app trusts, or - for standard input
    #[arg(long, value_name = "FILE", group = "credential")]
    federated_token_file: Option<PathBuf>,
}

impl Args {
    fn request<'a>(
        &'a self,
        scopes: &'a [&'a str],
        credential: Credential<'a>,
    ) -> TokenRequest<'a> {
        TokenRequest { scopes, claims: self.claims.as_deref(), credential }
    }
}

/// The most octets of a federated token.
const MAX_TOKEN: u64 = 64 << 10;

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    args.dry_run.check()?;
    let names = args.app.names()?;
    let app = names.application();
    if let Some(claims) = &args.claims {
        json::parse(&mut claims.clone().into_bytes()).map_err(|e| {
            CliError::input(
                "--claims",
                format_args!("expected a JSON object, not the base64 of one: {e}"),
            )
        })?;
    }
    let scopes: Vec<&str> = args.scopes.iter().map(String::as_str).collect();
    if let Some(uri) = &args.key {
        let certificate = certificate(args.certificate.as_deref())?;
        let choice = Choice {
            app,
            certificate: &certificate,
            algorithm: args.algorithm,
            thumbprint: args.thumbprint.unwrap_or(Hash::Sha256),
            send_chain: args.send_chain,
        };
        let key = context.key(uri)?;
        return choice.with(context, &key, |assertion| {
            context.show_signed(&args.request(&scopes, Credential::Assertion(*assertion)), &key)
        });
    }
    if let Some(reference) = &args.client_secret {
        let secret = context.secret(reference, "client secret")?;
        let credential = Credential::Secret(app, Secret::new(&secret));
        return context.show_unsigned(&args.request(&scopes, credential));
    }
    let file = path_or(args.federated_token_file.as_deref(), "AZURE_FEDERATED_TOKEN_FILE")?;
    let file = file.ok_or_else(|| {
        CliError::Usage(
            "no credential: give --key with --certificate, --client-secret (such as \
             env:AZURE_CLIENT_SECRET) or --federated-token-file, or set AZURE_FEDERATED_TOKEN_FILE"
                .to_owned(),
        )
    })?;
    let token = Zeroizing::new(read(&file, MAX_TOKEN)?);
    // What is not text is no JWT either, and is refused as such.
    let token = core::str::from_utf8(&token).unwrap_or_default().trim();
    context.show_unsigned(&args.request(&scopes, Credential::Federated(app, Secret::new(token))))
}
