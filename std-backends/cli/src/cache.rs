//! `cloudauth cache`.

use clap::Subcommand;

use crate::error::CliError;
use crate::live::Setup;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Remove every credential that processes share
    Clear(Box<Setup>),
}

pub(crate) fn run(command: &Command) -> Result<Vec<u8>, CliError> {
    let Command::Clear(setup) = command;
    let Some(cache) = setup.cache(&setup.read()?)? else {
        return Err(CliError::Usage(
            "there is no cache: XDG_RUNTIME_DIR is not set, and no cache-dir is configured"
                .to_owned(),
        ));
    };
    let removed = cache.clear()?;
    Ok(format!("{removed} removed\n").into_bytes())
}
