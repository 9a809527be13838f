//! `cloudauth aws write-credentials`: AWS's shared credentials file, kept fresh.

mod section;
mod shared_file;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloudauth_client::blocking::Runtime;
use cloudauth_client::{AwsKeys, Provider, variable};

use crate::context::Context;
use crate::error::CliError;
use crate::live::{OfProfile, rfc3339, system_seconds};
use crate::signals::{die, on_signal};
use section::Entry;

const AFTER: &str = "\
Prefer cloudauth env, or credential_process = cloudauth credential --profile NAME: they keep no secret on the
disk. This is for programs that read nothing but the file.

Of the section it changes aws_access_key_id, aws_secret_access_key, aws_session_token and
x_security_token_expires (the end; aws_security_token too where it stands), and nothing else in the file. The
file is replaced as a whole, never cut short; a new one only its owner can read.

Without --once it runs until it is ended, and renews before the end. While that fails the file keeps what it
has; what has expired is never written.

Example:
  cloudauth aws write-credentials --profile deploy --to-profile deploy";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    of: OfProfile,
    /// The section of the file
    #[arg(long, value_name = "NAME", default_value = "default")]
    to_profile: String,
    /// The file [env: AWS_SHARED_CREDENTIALS_FILE] [default: ~/.aws/credentials]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Write once, and end
    #[arg(long)]
    once: bool,
}

/// The longest pause between two looks, and after failures, in seconds.
const LOOK: u64 = 30;

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    check_name(&args.to_profile)?;
    let path = args.path()?;
    let provider = args.of.provider(context)?;
    let kind = provider.source().kind();
    if !kind.starts_with("aws-") {
        let help = format!("the profile is of kind {kind}, which gives no AWS credentials");
        return Err(CliError::Usage(help));
    }
    // What a signal ends is never half written.
    let writing = Arc::new(Mutex::new(()));
    let held = writing.clone();
    on_signal(move |signal| {
        let _held = held.lock().unwrap_or_else(PoisonError::into_inner);
        die(signal);
    })?;
    let write = |keys: &AwsKeys| {
        let _held = writing.lock().unwrap_or_else(PoisonError::into_inner);
        write(&path, &args.to_profile, keys)
    };
    let runtime = Runtime::new()?;
    if args.once {
        write(&runtime.wait(provider.aws_keys())?)?;
        return Ok(Vec::new());
    }
    // Renewals that fail while there is a valid credential are told there.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    keep(&runtime, &provider, context.clock_offset()?, write)
}

/// Writes each new credential, for ever.
fn keep(
    runtime: &Runtime,
    provider: &Provider,
    offset: i64,
    write: impl Fn(&AwsKeys) -> Result<(), CliError>,
) -> Result<Vec<u8>, CliError> {
    let (mut written, mut failures) = (None, 0);
    loop {
        // It gives the one that it has, until it is to be renewed.
        let result = runtime.wait(provider.aws_keys()).map_err(CliError::from);
        let pause = match result.and_then(|keys| {
            if written.as_ref() != Some(&keys) {
                write(&keys)?;
                written = Some(keys.clone());
            }
            Ok(keys)
        }) {
            Ok(keys) => {
                failures = 0;
                let now = system_seconds().saturating_add_signed(offset);
                (keys.expiration.as_secs().saturating_sub(now) / 20).clamp(1, LOOK)
            }
            // Nothing was ever written: a mistake in the profile is to be seen at once.
            Err(e @ (CliError::Usage(_) | CliError::Input(_))) if written.is_none() => {
                return Err(e);
            }
            Err(e) => {
                let pause = LOOK.min(1 << failures.min(6));
                failures += 1;
                let again = format_args!("the next attempt is in {pause} s");
                let _ = writeln!(std::io::stderr(), "cloudauth: warning: {e}; {again}");
                pause
            }
        };
        std::thread::sleep(Duration::from_secs(pause));
    }
}

impl Args {
    fn path(&self) -> Result<PathBuf, CliError> {
        if let Some(path) = &self.file {
            return Ok(path.clone());
        }
        if let Some(path) = variable("AWS_SHARED_CREDENTIALS_FILE")? {
            return Ok(path.into());
        }
        let home = variable("HOME")?.ok_or_else(|| {
            let help = "no file: give --file, or set AWS_SHARED_CREDENTIALS_FILE or HOME";
            CliError::Usage(help.to_owned())
        })?;
        Ok(Path::new(&home).join(".aws").join("credentials"))
    }
}

/// The names that all SDKs read alike. Source: AWS SDKs and Tools Reference Guide, "Format of the config and
/// credentials files".
fn check_name(name: &str) -> Result<(), CliError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./%@:+".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        let help = "expected letters, digits and - _ . / % @ : +";
        return Err(CliError::Usage(format!("--to-profile {name:?}: {help}")));
    }
    Ok(())
}

fn write(path: &Path, name: &str, keys: &AwsKeys) -> Result<(), CliError> {
    // A line end in it would be a section of the service's choice.
    let graphic = |value: &str| value.bytes().all(|c| c.is_ascii_graphic());
    if ![&keys.access_key_id, &*keys.secret_access_key, &*keys.session_token]
        .into_iter()
        .all(|v| graphic(v))
    {
        let help = "the service issued a credential with characters that no credential has";
        return Err(CliError::Service(help.to_owned()));
    }
    let entry = |key, value| Entry { key, value, replace_only: false };
    let end = rfc3339(keys.expiration);
    let entries = [
        entry("aws_access_key_id", &*keys.access_key_id),
        entry("aws_secret_access_key", &keys.secret_access_key),
        entry("aws_session_token", &keys.session_token),
        // An old name, which botocore still looks at first.
        Entry { key: "aws_security_token", value: &keys.session_token, replace_only: true },
        // No SDK reads it; it is how tools such as saml2aws say it, and prompts show it.
        entry("x_security_token_expires", &end),
    ];
    shared_file::change(path, |file| {
        section::with(file, name, &entries)
            .map_err(|e| CliError::input(path.display(), format_args!("[{name}]: {e}")))
    })
}
