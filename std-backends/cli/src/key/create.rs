//! `cloudauth key create`.

use clap::ValueEnum;
use cloudauth_keys::manage::{self, KeyKind};

use super::csr::{self, Request};
use super::show;
use crate::context::{Context, key_uri};
use crate::error::CliError;

const AFTER: &str = "\
Examples:
  cloudauth key create --type rsa-2048 --csr --subject CN=robot,O=Example \\
    --key 'pkcs11:token=LABEL;object=robot?module-path=/usr/lib/softhsm/libsofthsm2.so' >robot.csr
  cloudauth key create --type rsa-2048 --key tpm:file=robot.pem
  cloudauth key create --type ec-p256 --key file:robot.pem

A key in a device is sensitive, not extractable and for signatures alone. A file is PKCS#8 in PEM that its
owner alone can read, encrypted when its URI has a passphrase-source. Nothing is ever replaced.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The new key: pkcs11:token=LABEL;object=NEW-LABEL?module-path=…, tpm:file=NEW.pem, tpm:handle=0x81000005,
    /// tpm:fapi=/HS/SRK/NEW, or file:PATH
    #[arg(long, value_name = "URI")]
    key: String,
    /// What kind of key
    #[arg(long = "type", value_enum)]
    kind: Kind,
    #[command(flatten)]
    request: Request,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// RSA of 2048 bits: every cloud takes it
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    /// Fast; for AWS Roles Anywhere and Google
    EcP256,
    /// For AWS Roles Anywhere
    EcP384,
    /// A secret that no one else has; AWS makes its secrets itself: import those
    HmacSha256,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let kind = match args.kind {
        Kind::Rsa2048 => KeyKind::Rsa2048,
        Kind::Rsa3072 => KeyKind::Rsa3072,
        Kind::Rsa4096 => KeyKind::Rsa4096,
        Kind::EcP256 => KeyKind::EcP256,
        Kind::EcP384 => KeyKind::EcP384,
        Kind::HmacSha256 => KeyKind::HmacSha256,
    };
    // A subject that is wrong must not leave a key behind.
    let subject = args.request.subject()?;
    if subject.is_some() && kind == KeyKind::HmacSha256 {
        return Err(CliError::Usage("--csr: a secret has no certificate".to_owned()));
    }
    let uri = key_uri(&args.key)?;
    let made = manage::create(&uri, kind, &context.prompt)?;
    match subject {
        // By the URI as it was given, which may name a passphrase: the same one, because a descriptor gives it
        // once.
        Some(subject) => csr::signed(subject, &context.open(&uri)?, context),
        None => show::output(&made, Vec::new(), context),
    }
}
