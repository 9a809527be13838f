//! `cloudauth gcp federate`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use cloudauth_client::blocking::Runtime;
use cloudauth_client::{GcpFederated, GcpImpersonated, GcpTokenType};
use serde_json::json;

use crate::context::{Context, Output, json, key_uri};
use crate::error::CliError;
use crate::live::{Live, inputs, print};

const AFTER: &str = "\
One token is needed: --key, --issuer and --subject for one that the key signs, or --token-file.

--output google-executable prints that token alone, unspent, as the executable of an external account does
(credential_source.executable of google-auth and the other client libraries).

Example:
  cloudauth gcp federate --key file:machine.key --issuer https://issuer.example \\
    --subject machine-1 --provider //iam.googleapis.com/projects/123456789012/locations/global/\\
workloadIdentityPools/POOL/providers/PROVIDER";

// Beside the option that conflicts with the one they require, clap passes over `requires`.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// Then impersonate this service account, by its e-mail
    #[arg(long, value_name = "EMAIL", conflicts_with_all = ["profile", "dry_run"])]
    impersonate: Option<String>,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Source {
    /// The provider's resource name, //iam.googleapis.com/…/providers/PROVIDER
    #[arg(long, value_name = "NAME", required_unless_present = "profile")]
    provider: Option<String>,
    /// A scope; may be repeated or a comma-separated list [default:
    /// https://www.googleapis.com/auth/cloud-platform]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// The key that signs the subject token
    #[arg(long, value_name = "URI", group = "token", requires_all = ["issuer", "subject"])]
    key: Option<String>,
    /// The provider's issuer (iss)
    #[arg(long, value_name = "URI", requires = "key", conflicts_with = "token_file")]
    issuer: Option<String>,
    /// The subject (sub)
    #[arg(long, requires = "key", conflicts_with = "token_file")]
    subject: Option<String>,
    /// The subject token's audience (aud) [default: https: and the provider]
    #[arg(long, requires = "key", conflicts_with = "token_file")]
    audience: Option<String>,
    /// The key's id in the provider's JWKS (kid) [default: its JWK thumbprint, as key show --jwks prints it]
    #[arg(long, value_name = "ID", requires = "key", conflicts_with = "token_file")]
    key_id: Option<String>,
    /// The subject token's life in seconds (1 to 86400) [default: 600]
    #[arg(long, value_name = "SECONDS", requires = "key", conflicts_with = "token_file")]
    lifetime: Option<u32>,
    /// A file with a token that another issuer gave, or - for standard input
    #[arg(long, value_name = "FILE", group = "token")]
    token_file: Option<PathBuf>,
    /// What kind of token the file holds [default: jwt]
    #[arg(long, value_enum, requires = "token_file", conflicts_with = "key")]
    token_type: Option<TokenType>,
    /// The project that is billed, for workforce pools
    #[arg(long, value_name = "PROJECT")]
    user_project: Option<String>,
    /// The domain of the cloud [default: googleapis.com]
    #[arg(long, value_name = "DOMAIN")]
    universe_domain: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum TokenType {
    Aws4Request,
    IdToken,
    Jwt,
    Saml2,
}

impl Args {
    fn federated(&self) -> Result<Option<GcpFederated>, CliError> {
        let args = &self.source;
        let Some(provider) = &args.provider else { return Ok(None) };
        if args.key.is_none() && args.token_file.is_none() {
            return Err(CliError::Usage(
                "no token: give --key, --issuer and --subject, or --token-file".to_owned(),
            ));
        }
        Ok(Some(GcpFederated {
            provider: provider.clone(),
            scopes: args.scopes.clone(),
            key: args.key.as_deref().map(key_uri).transpose()?,
            issuer: args.issuer.clone(),
            subject: args.subject.clone(),
            audience: args.audience.clone(),
            key_id: args.key_id.clone(),
            lifetime: args.lifetime,
            token_file: args.token_file.clone(),
            token_type: match args.token_type {
                Some(TokenType::Aws4Request) => GcpTokenType::Aws4Request,
                Some(TokenType::IdToken) => GcpTokenType::IdToken,
                Some(TokenType::Jwt) | None => GcpTokenType::Jwt,
                Some(TokenType::Saml2) => GcpTokenType::Saml2,
            },
            user_project: args.user_project.clone(),
            universe_domain: args.universe_domain.clone(),
            endpoint_url: self.live.endpoint_url.clone(),
        }))
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let federated = args.federated()?;
    if context.output == Output::GoogleExecutable {
        let of_exchange = args.impersonate.is_some()
            || args.live.dry_run
            || args.live.endpoint_url.is_some()
            || !args.source.scopes.is_empty();
        if of_exchange {
            return Err(CliError::Usage(
                "--impersonate, --scope, --dry-run and --endpoint-url are about an exchange, which \
                 --output google-executable leaves to the client library"
                    .to_owned(),
            ));
        }
        return executable(args, federated, context);
    }
    let (Some(federated), Some(email)) = (&federated, &args.impersonate) else {
        let kinds = ["gcp-federated", "gcp-impersonated"];
        return args.live.run(federated.map(Into::into), &kinds, context);
    };
    let config = args.live.setup.read()?;
    let client = args.live.setup.client(&config, context)?;
    let impersonated = GcpImpersonated {
        email: email.clone(),
        scopes: federated.scopes.clone(),
        universe_domain: federated.universe_domain.clone(),
        endpoint_url: federated.endpoint_url.clone(),
        ..GcpImpersonated::default()
    };
    // What impersonates needs this scope, whatever the new token is for.
    let base = GcpFederated { scopes: Vec::new(), ..federated.clone() };
    let provider = client.chained(impersonated, Some(client.provider(base)));
    let credential = Runtime::new()?.wait(provider.credential())?;
    print(&credential, context)
}

/// The subject token, in the form of Google's AIP-4117, "Determining subject token from executable-sourced
/// credentials".
fn executable(
    args: &Args,
    federated: Option<GcpFederated>,
    context: &Context,
) -> Result<Vec<u8>, CliError> {
    let federated = match federated {
        Some(federated) => federated,
        None => args.live.federated_profile()?,
    };
    let token = federated.subject_token(&Arc::new(inputs(context)), &context.attempt()?)?;
    Ok(json(&json!({
        "version": 1,
        "success": true,
        "token_type": "urn:ietf:params:oauth:token-type:jwt",
        "id_token": *token.token,
        "expiration_time": token.expiration.as_secs(),
    })))
}
