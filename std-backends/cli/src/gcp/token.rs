//! `cloudauth gcp token`.

use cloudauth_core::Assertion;
use cloudauth_core::gcp::{AccessTokenRequest, CLOUD_PLATFORM, Grant, SelfSigned};
use serde_json::json;

use super::{Account, scheme, token_uri};
use crate::context::{Context, Output, json, with_buffer};
use crate::error::CliError;

const AFTER: &str = "\
Example:
  curl -H \"Authorization: Bearer $(cloudauth gcp token --key file:service-account.json)\" \\
    \"https://storage.googleapis.com/storage/v1/b?project=PROJECT\"";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    account: Account,
    /// A scope; may be repeated or a comma-separated list [default:
    /// https://www.googleapis.com/auth/cloud-platform]
    #[arg(long = "scope", alias = "scopes", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// An audience in place of scopes: one API's URL, such as that of pubsub.googleapis.com
    #[arg(long, conflicts_with = "scopes")]
    audience: Option<String>,
    /// A user to act for, with domain-wide delegation
    #[arg(long, value_name = "USER")]
    subject: Option<String>,
    /// The token's life in seconds (1 to 3600)
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    lifetime: u32,
    /// Ask Google's token endpoint for an access token, in place of a self-signed one
    #[arg(long, conflicts_with = "audience")]
    oauth: bool,
    /// Print the raw HTTP request that --oauth would send (this version sends none)
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    match (args.oauth, args.dry_run) {
        (true, false) => {
            return Err(CliError::Usage(
                "--oauth needs --dry-run: this version sends no requests".to_owned(),
            ));
        }
        (false, true) => {
            return Err(CliError::Usage(
                "--dry-run needs --oauth: a self-signed token is made without a request".to_owned(),
            ));
        }
        _ => {}
    }
    let key = context.key(&args.account.key)?;
    let email = args.account.email(&key)?;
    let key_id = args.account.key_id(&key);
    let subject = args.subject.as_deref();
    let lifetime = args.lifetime;
    let scopes: Vec<&str> = match args.scopes.as_slice() {
        [] => vec![CLOUD_PLATFORM],
        scopes => scopes.iter().map(String::as_str).collect(),
    };
    let scheme = scheme(&key)?;
    if args.oauth {
        let token_uri = token_uri(&key);
        let request = AccessTokenRequest {
            key_id,
            subject,
            lifetime,
            scheme,
            token_uri,
            ..AccessTokenRequest::new(email, &scopes)
        };
        return context.show_signed(&request, &key);
    }
    let grant = match args.audience.as_deref() {
        Some(audience) => Grant::Audience(audience),
        None => Grant::Scopes(&scopes),
    };
    let token = SelfSigned { key_id, grant, subject, lifetime, scheme, ..SelfSigned::new(email) };
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
