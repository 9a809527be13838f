//! `cloudauth credential`.

use cloudauth_client::blocking::Runtime;

use crate::context::Context;
use crate::error::CliError;
use crate::live::{OfProfile, of_profile, print};

const AFTER: &str = "\
Prints the JSON of credential_process for AWS, and the token itself for Azure and Google Cloud (or, with
--output json, its end too).

Example, in ~/.aws/config:
  [profile deploy]
  credential_process = cloudauth credential --profile deploy";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    of: OfProfile,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let provider = args.of.provider(context)?;
    let credential = Runtime::new()?.wait(provider.credential());
    let credential = match credential {
        Err(e) => return Err(of_profile(&args.of.name()?, e)),
        Ok(credential) => credential,
    };
    print(&credential, context)
}
