//! `cloudauth key`.

mod create;
mod csr;
mod import;
mod show;
mod test;

pub(crate) use show::{jwks, thumbprint};

use clap::Subcommand;
use cloudauth_keys::manage;
use serde_json::Value;

use crate::context::{Context, Output, json, key_uri};
use crate::error::CliError;
use crate::terminal;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key in a device, or in a new file; its certificate request (CSR)
    Create(Box<create::Args>),
    /// Delete a key from a device, for good
    Delete(DeleteArgs),
    /// Put a key into a device: from PEM, a service-account JSON or an AWS secret access key
    Import(import::Args),
    /// The keys of a token or a TPM, each with a URI that names it alone
    List(ListArgs),
    /// A key's algorithm, public key, thumbprints and uses; its key set (JWKS) or certificate request
    Show(Box<show::Args>),
    /// Sign in every way the key can, verify it with its public key, and time it
    Test(test::Args),
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// The token, and what the keys have in common: pkcs11:token=LABEL?module-path=/path/to/module.so; tpm: for
    /// the persistent keys of a TPM, tpm:fapi=/HS/SRK for those of a FAPI key store
    #[arg(long, value_name = "URI")]
    key: String,
}

#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    /// The key: pkcs11:…, tpm:handle=0x81000005, tpm:file=PATH or tpm:fapi=/HS/SRK/NAME. Nothing is deleted when
    /// several keys fit
    #[arg(long, value_name = "URI")]
    key: String,
    /// Do not ask. Without a terminal it must be given
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    match command {
        Command::Create(args) => create::run(args, context),
        Command::Delete(args) => delete(args, context),
        Command::Import(args) => import::run(args, context),
        Command::List(args) => list(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Test(args) => test::run(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Vec<u8>, CliError> {
    let found = manage::list(&key_uri(&args.key)?, &context.prompt)?;
    if context.output == Output::Json {
        let all: Result<Vec<Value>, CliError> = found.iter().map(show::facts).collect();
        return Ok(json(&Value::Array(all?)));
    }
    let mut text = String::new();
    for key in &found {
        text.push_str(&format!("{:<28} {}\n", key.kind, key.uri));
        for note in &key.notes {
            text.push_str(&format!("{:<28} note: {note}\n", ""));
        }
    }
    Ok(text.into_bytes())
}

fn delete(args: &DeleteArgs, context: &Context) -> Result<Vec<u8>, CliError> {
    let key = manage::describe(&key_uri(&args.key)?, &context.prompt)?;
    let name = format!("{} {}", key.kind, key.uri);
    if !args.yes {
        match terminal::confirm(&format!("Delete {name} for good?"))? {
            Some(true) => {}
            Some(false) => return Err(CliError::Usage("nothing was deleted".to_owned())),
            None => {
                return Err(CliError::Usage(format!(
                    "--yes is needed where nobody can be asked; it would delete {name}"
                )));
            }
        }
    }
    // By the URI that names this key alone, whatever fits the other one by now.
    let gone = manage::delete(&key_uri(&key.uri)?, &context.prompt)?;
    if context.output == Output::Json {
        return Ok(json(&serde_json::json!({ "deleted": gone.uri })));
    }
    let mut text = format!("deleted {} {}\n", gone.kind, gone.uri);
    if gone.certificate.is_some() {
        text.push_str("its certificate is still in the token\n");
    }
    Ok(text.into_bytes())
}
