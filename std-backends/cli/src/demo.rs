use crate::{context::Context, error::CliError};
pub(crate) fn run(_: &Context) -> Result<Vec<u8>, CliError> {
    Ok(vec![])
}
