//! `cloudauth gcp id-token`.

use cloudauth_core::gcp::IdTokenRequest;

use super::{Account, scheme, token_uri};
use crate::context::{Context, DryRun};
use crate::error::CliError;

const AFTER: &str = "\
Example:
  cloudauth gcp id-token --dry-run --key file:service-account.json \\
    --audience https://service-abcdefghij-ew.a.run.app";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    account: Account,
    /// Who the ID token is for: a service's URL or an OAuth client id
    #[arg(long)]
    audience: String,
    /// The life of the request in seconds (1 to 3600); the ID token's is up to Google
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    lifetime: u32,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    args.dry_run.check()?;
    let key = context.key(&args.account.key)?;
    let request = IdTokenRequest {
        key_id: args.account.key_id(&key),
        lifetime: args.lifetime,
        scheme: scheme(&key)?,
        token_uri: token_uri(&key),
        ..IdTokenRequest::new(args.account.email(&key)?, &args.audience)
    };
    context.show_signed(&request, &key)
}
