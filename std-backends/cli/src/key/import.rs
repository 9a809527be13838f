//! `cloudauth key import`.

use std::io::{IsTerminal as _, stdin};
use std::path::Path;

use cloudauth_keys::manage::{self, Imported, Material};
use cloudauth_keys::{KeyUri, SecretRef};
use zeroize::Zeroizing;

use super::show;
use crate::context::{Context, key_uri, warn};
use crate::error::CliError;
use crate::terminal;

const AFTER: &str = "\
Examples:
  cloudauth key import --from service-account.json \\
    --key 'pkcs11:token=LABEL;object=robot?module-path=/usr/lib/softhsm/libsofthsm2.so'
  printf %s \"$AWS_SECRET_ACCESS_KEY\" | cloudauth key import --aws-secret --from - \\
    --key 'pkcs11:token=LABEL;object=aws?module-path=/usr/lib/softhsm/libsofthsm2.so'
  cloudauth key import --from service-account.json --key tpm:handle=0x81000005

The key becomes sensitive and not extractable. Then delete the file it came from: until then there is a copy.
The secret of AWS is put into the device with AWS4 before it, as the signature wants it; AWS4 must not stand
in the file.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The new key: pkcs11:token=LABEL;object=NEW-LABEL?module-path=…, tpm:file=NEW.pem, tpm:handle=0x81000005 or
    /// tpm:fapi=/HS/SRK/NEW
    #[arg(long, value_name = "URI")]
    key: String,
    /// The file with the key, PEM or a service-account JSON; - is standard input. file:PATH and env:NAME too,
    /// with ?passphrase-source=
    #[arg(long, value_name = "FILE")]
    from: String,
    /// It is an AWS secret access key, and nothing else
    #[arg(long)]
    aws_secret: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let uri = key_uri(&args.key)?;
    let Imported { material, google, warnings } = read(args, context)?;
    warn(&warnings);
    let made = manage::import(&uri, &material, &context.prompt)?;
    let mut notes = Vec::new();
    if let Some(account) = google {
        let id = account.private_key_id.map(|id| format!(" --key-id {id}")).unwrap_or_default();
        notes.push(format!("use it with --email {}{id}", account.client_email));
    }
    if matches!(material, Material::Hmac(_)) {
        notes.push("use it with --access-key-id, or AWS_ACCESS_KEY_ID".to_owned());
    }
    if args.from != "-" {
        notes.push("what it was imported from is a copy still: delete it".to_owned());
    }
    show::output(&made, notes, context)
}

fn read(args: &Args, context: &Context) -> Result<Imported, CliError> {
    const STDIN: &str = "standard input";
    let named = ["file:", "env:"].iter().any(|scheme| args.from.starts_with(scheme));
    if args.from != "-" {
        let from = if named {
            KeyUri::parse(&args.from)?
        } else {
            KeyUri::of_file(Path::new(&args.from))?
        };
        return Ok(match args.aws_secret {
            true => Imported::aws_secret(&from)?,
            false => Imported::private_key(&from, &context.prompt)?,
        });
    }
    if args.aws_secret && stdin().is_terminal() {
        let secret = terminal::ask("AWS secret access key").map_err(CliError::Key)?;
        let secret =
            secret.map(|mut text| Zeroizing::new(core::mem::take(&mut *text).into_bytes()));
        return Ok(Imported::aws_secret_text(secret.unwrap_or_default(), STDIN)?);
    }
    // The descriptor itself: Rust's standard input would keep a copy in its buffer.
    let text = SecretRef::parse("fd:0")?.read()?;
    Ok(match args.aws_secret {
        true => Imported::aws_secret_text(text, STDIN)?,
        false => Imported::private_key_text(&text, STDIN, None, &context.prompt)?,
    })
}
