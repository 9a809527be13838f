//! `cloudauth gcp federate`.

use std::path::PathBuf;

use clap::ValueEnum;
use cloudauth_core::Secret;
use cloudauth_core::gcp::{
    CLOUD_PLATFORM, DEFAULT_UNIVERSE, Subject, SubjectToken, SubjectTokenType, TokenExchange,
};
use zeroize::Zeroizing;

use super::scheme;
use crate::context::{Context, DryRun, read};
use crate::error::CliError;

const AFTER: &str = "\
One token is needed: --key, --issuer and --subject for one that the key signs, or --token-file.

Example:
  cloudauth gcp federate --dry-run --key file:machine.key --issuer https://issuer.example \\
    --subject machine-1 --provider //iam.googleapis.com/projects/123456789012/locations/global/\\
workloadIdentityPools/POOL/providers/PROVIDER";

// Beside the option that conflicts with the one they require, clap passes over `requires`.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    dry_run: DryRun,
    /// The provider's resource name, //iam.googleapis.com/…/providers/PROVIDER
    #[arg(long, value_name = "NAME")]
    provider: String,
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
    /// The key's id in the provider's JWKS (kid)
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
    /// The domain of the cloud
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_UNIVERSE)]
    universe_domain: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum TokenType {
    Aws4Request,
    IdToken,
    Jwt,
    Saml2,
}

/// The most octets of a subject token.
const MAX_TOKEN: u64 = 64 << 10;

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    args.dry_run.check()?;
    let scopes: Vec<&str> = match args.scopes.as_slice() {
        [] => vec![CLOUD_PLATFORM],
        scopes => scopes.iter().map(String::as_str).collect(),
    };
    let exchange = |subject| TokenExchange {
        user_project: args.user_project.as_deref(),
        universe: &args.universe_domain,
        ..TokenExchange::new(subject, &scopes)
    };
    if let Some(uri) = &args.key {
        let key = context.key(uri)?;
        let issuer = args.issuer.as_deref().unwrap_or_default();
        let subject = args.subject.as_deref().unwrap_or_default();
        let default = SubjectToken::new(&args.provider, issuer, subject);
        let token = SubjectToken {
            audience: args.audience.as_deref(),
            key_id: args.key_id.as_deref(),
            lifetime: args.lifetime.unwrap_or(default.lifetime),
            scheme: scheme(&key)?,
            ..default
        };
        return context.show_signed(&exchange(Subject::Signed(token)), &key);
    }
    let Some(file) = &args.token_file else {
        return Err(CliError::Usage(
            "no token: give --key, --issuer and --subject, or --token-file".to_owned(),
        ));
    };
    let token = Zeroizing::new(read(file, MAX_TOKEN)?);
    let token = core::str::from_utf8(&token)
        .map_err(|_| CliError::input("subject token", "is not UTF-8"))?;
    context.show_unsigned(&exchange(Subject::Given {
        provider: &args.provider,
        token: Secret::new(token.trim()),
        token_type: match args.token_type {
            Some(TokenType::Aws4Request) => SubjectTokenType::Aws4Request,
            Some(TokenType::IdToken) => SubjectTokenType::IdToken,
            Some(TokenType::Jwt) | None => SubjectTokenType::Jwt,
            Some(TokenType::Saml2) => SubjectTokenType::Saml2,
        },
    }))
}
