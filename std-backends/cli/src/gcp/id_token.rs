//! `cloudauth gcp id-token`.

use cloudauth_client::GcpIdToken;

use super::Account;
use crate::context::{Context, key_uri};
use crate::error::CliError;
use crate::live::Live;

const AFTER: &str = "\
Example:
  cloudauth gcp id-token --key file:service-account.json \\
    --audience https://service-abcdefghij-ew.a.run.app";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    purpose: Purpose,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Purpose {
    /// Who the ID token is for: a service's URL or an OAuth client id
    #[arg(long, required_unless_present = "profile")]
    audience: Option<String>,
    /// The life of the request in seconds (1 to 3600) [default: 3600]; the ID token's is up to Google
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u32>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let source = match (&args.account.key, &args.purpose.audience) {
        (Some(key), Some(audience)) => Some(GcpIdToken {
            key: key_uri(key)?,
            email: args.account.email.clone(),
            key_id: args.account.key_id.clone(),
            audience: audience.clone(),
            lifetime: args.purpose.lifetime,
            endpoint_url: args.live.endpoint_url.clone(),
        }),
        _ => None,
    };
    args.live.run(source.map(Into::into), &["gcp-id-token"], context)
}
