//! `cloudauth gcp token`.

use cloudauth_client::{Credential, GcpOauth, GcpToken, Source};

use super::Account;
use crate::context::{Context, key_uri};
use crate::error::CliError;
use crate::live::{Live, inputs, print};

const AFTER: &str = "\
Example:
  curl -H \"Authorization: Bearer $(cloudauth gcp token --key file:service-account.json)\" \\
    \"https://storage.googleapis.com/storage/v1/b?project=PROJECT\"";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    grant: Grant,
    #[command(flatten)]
    live: Live,
}

#[derive(clap::Args)]
#[group(conflicts_with = "profile")]
struct Grant {
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
    /// The token's life in seconds (1 to 3600) [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u32>,
    /// Ask Google's token endpoint for an access token, in place of a self-signed one
    #[arg(long, conflicts_with = "audience")]
    oauth: bool,
}

impl Args {
    fn source(&self) -> Result<Option<Source>, CliError> {
        let Some(key) = &self.account.key else { return Ok(None) };
        let (account, grant) = (&self.account, &self.grant);
        let key = key_uri(key)?;
        let (email, key_id) = (account.email.clone(), account.key_id.clone());
        let (scopes, subject) = (grant.scopes.clone(), grant.subject.clone());
        let lifetime = grant.lifetime;
        if grant.oauth {
            let endpoint_url = self.live.endpoint_url.clone();
            let source = GcpOauth { key, email, key_id, scopes, subject, lifetime, endpoint_url };
            return Ok(Some(source.into()));
        }
        if self.live.dry_run || self.live.endpoint_url.is_some() {
            return Err(CliError::Usage(
                "--dry-run and --endpoint-url need --oauth: a self-signed token is made without a \
                 request"
                    .to_owned(),
            ));
        }
        if self.live.setup.ca_file.is_some() || self.live.setup.timeout.is_some() {
            return Err(CliError::Usage(
                "--ca-file and --timeout need --oauth: a self-signed token is made without a request".to_owned(),
            ));
        }
        let audience = grant.audience.clone();
        Ok(Some(GcpToken { key, email, key_id, scopes, audience, subject, lifetime }.into()))
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    match args.source()? {
        // Nobody is asked, so there is nothing to set up.
        Some(Source::GcpToken(source)) => {
            let token = source.sign(&inputs(context), &context.attempt()?)?;
            print(&Credential::Bearer(token), context)
        }
        source => args.live.run(source, &["gcp-token", "gcp-oauth"], context),
    }
}
