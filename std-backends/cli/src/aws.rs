//! `cloudauth aws`.

mod roles_anywhere;
mod sign;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// IAM Roles Anywhere: the CreateSession request that a certificate's key signs
    RolesAnywhere(Box<roles_anywhere::Args>),
    /// Sign a raw HTTP request with Signature Version 4
    Sign(Box<sign::Args>),
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::RolesAnywhere(args) => roles_anywhere::run(args, context),
        Command::Sign(args) => sign::run(args, context),
    }
}
