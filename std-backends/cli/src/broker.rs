//! `cloudauth broker`.

#[cfg(unix)]
mod serve;

use clap::Subcommand;

use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the broker in the foreground
    #[cfg(unix)]
    Serve(serve::Args),
}

pub(crate) fn run(command: &Command) -> Result<Vec<u8>, CliError> {
    match command {
        #[cfg(unix)]
        Command::Serve(args) => serve::run(args),
    }
}
