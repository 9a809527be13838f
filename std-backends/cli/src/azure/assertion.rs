//! `cloudauth azure assertion`.

use std::sync::Arc;

use clap::ArgGroup;
use cloudauth_core::azure::ClientAssertion;
use serde_json::json;

use super::{App, Assertion, source};
use crate::context::{Context, Output, json};
use crate::error::CliError;
use crate::live::inputs;

const AFTER: &str = "\
Example:
  cloudauth azure assertion --key file:app.key --certificate app.pem \\
    --tenant contoso.onmicrosoft.com --client-id 11111111-2222-3333-4444-555555555555";

#[derive(clap::Args)]
#[command(after_help = AFTER, groups = [ArgGroup::new("given"), ArgGroup::new("profile")])]
pub(crate) struct Args {
    #[command(flatten)]
    assertion: Assertion,
    #[command(flatten)]
    app: App,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let source = source(&args.app, &args.assertion)?;
    let token = source.assertion(&Arc::new(inputs(context)), &context.attempt()?)?;
    Ok(match context.output {
        Output::Json => json(&json!({
            "client_assertion": *token,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "expires_in": ClientAssertion::LIFETIME,
        })),
        _ => format!("{}\n", *token).into_bytes(),
    })
}
