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
        return Ok(b"0 removed: there is no cache\n".to_vec());
    };
    let removed = cache.clear()?;
    Ok(format!("{removed} removed\n").into_bytes())
}
