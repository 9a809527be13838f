//! `cloudauth broker`.

mod check;
mod convert;
#[cfg(unix)]
#[cfg(unix)]
mod serve;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Look at a broker's configuration: what is wrong with it, and what a token would get
    Check(check::Args),
    /// Take over what another system was told
    #[command(subcommand)]
    Convert(convert::Command),
    /// Run the broker until a signal ends it
    #[cfg(unix)]
    Serve(serve::Args),
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Check(args) => check::run(args, context),
        Command::Convert(command) => convert::run(command),
        #[cfg(unix)]
        Command::Serve(args) => serve::run(args),
    }
}
