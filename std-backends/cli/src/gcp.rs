//! `cloudauth gcp`.

use clap::Subcommand;
use cloudauth_core::gcp::{CLOUD_PLATFORM, Grant, SelfSigned};
use cloudauth_core::{Assertion, Scheme, Signer};
use serde_json::json;

use crate::context::{Context, Output, json, with_buffer};
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A self-signed token: Google's APIs take it as an access token
    Token(TokenArgs),
}

const AFTER: &str = "\
Example:
  curl -H \"Authorization: Bearer $(cloudauth gcp token --key file:service-account.json)\" \\
    https://storage.googleapis.com/storage/v1/b?project=PROJECT";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct TokenArgs {
    /// The service account's key; a service-account JSON brings e-mail and key id with it
    #[arg(long, value_name = "URI")]
    key: String,
    /// The service account's e-mail
    #[arg(long)]
    email: Option<String>,
    /// The key's id at Google (kid); none is sent when none is known
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// A scope; may be repeated or a comma-separated list [default: cloud-platform]
    #[arg(long = "scope", alias = "scopes", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// An audience in place of scopes, such as <https://pubsub.googleapis.com/>
    #[arg(long, conflicts_with = "scopes")]
    audience: Option<String>,
    /// A user to act for, with domain-wide delegation
    #[arg(long, value_name = "USER")]
    subject: Option<String>,
    /// The token's life in seconds (1 to 3600)
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    lifetime: u32,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    let Command::Token(args) = command;
    let key = context.key(&args.key)?;
    let account = key.google();
    let email = args.email.as_deref().or(account.map(|a| a.client_email.as_str()));
    let email = email.ok_or_else(|| {
        CliError::Usage(
            "--email is missing: only a service-account JSON brings it along".to_owned(),
        )
    })?;
    // An id in the JSON belongs to the key in the JSON, whatever e-mail is given.
    let key_id =
        args.key_id.as_deref().or_else(|| account.and_then(|a| a.private_key_id.as_deref()));
    let scopes: Vec<&str> = match args.scopes.as_slice() {
        [] => vec![CLOUD_PLATFORM],
        scopes => scopes.iter().map(String::as_str).collect(),
    };
    let scheme = [Scheme::RsaPkcs1Sha256, Scheme::EcdsaP256Sha256];
    let scheme = scheme.into_iter().find(|s| key.supports(*s)).ok_or_else(|| {
        CliError::Key("key: Google takes RSA keys (RS256) or P-256 keys (ES256)".to_owned())
    })?;
    let token = SelfSigned {
        key_id,
        grant: match args.audience.as_deref() {
            Some(audience) => Grant::Audience(audience),
            None => Grant::Scopes(&scopes),
        },
        subject: args.subject.as_deref(),
        lifetime: args.lifetime,
        scheme,
        ..SelfSigned::new(email)
    };
    let at = context.attempt()?;
    let token = with_buffer(|buf| Ok(token.sign(&key, &at, buf)?.to_owned()))?;
    Ok(match context.output {
        Output::Text => format!("{token}\n").into_bytes(),
        Output::Json => json(&json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": args.lifetime,
        })),
    })
}
