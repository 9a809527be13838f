//! `cloudauth broker`.

mod check;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Look at a broker's configuration: what is wrong with it, and what a token would get
    Check(check::Args),
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Check(args) => check::run(args, context),
    }
}
