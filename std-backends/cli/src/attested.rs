//! `cloudauth attested`.

mod seed;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Subcommand;
use cloudauth_client::blocking::Runtime;
use cloudauth_client::{Attested, Client, Config, Credential, SeedRequest, Source};

use crate::context::Context;
use crate::error::CliError;
use crate::live::{inputs, of_profile, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// AWS credentials of an attested token broker, as JSON of credential_process
    Aws(Box<Args>),
    /// A token for Azure of an attested token broker
    Azure(Box<Args>),
    /// A token for Google Cloud of an attested token broker
    Gcp(Box<Args>),
    /// AWS credentials of an aws-channel-jwt-credential broker, by its own process credential's flags
    #[command(disable_help_flag = true)]
    Seed(Flags),
}

const AFTER: &str = "\
Whom to trust stands in the file, and nowhere else: no variable and no option changes it. The file belongs
into the measured image:

  [profiles.reader]
  kind = \"attested\"
  broker = \"https://broker.example:8443\"
  ca-file = \"broker-ca.pem\"            # or pin = the SHA-256 of the broker's public key
  grant = \"s3-reader\"
  audience = \"https://broker.example\"
  expect-account = \"123456789012\"      # or expect-tenant, expect-project

Example, in ~/.aws/config:
  [profile reader]
  credential_process = cloudauth attested aws --config /etc/cloudauth/attested.toml";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The profile, where there is more than one that is attested
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The flags; -h shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cloud {
    Aws,
    Azure,
    Gcp,
}

impl Cloud {
    const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }

    /// Whose credentials a profile expects, where it says so.
    const fn of(source: &Attested) -> Option<Self> {
        match (&source.expect_account, &source.expect_tenant, &source.expect_project, &source.seed)
        {
            (Some(_), ..) | (.., Some(SeedRequest::Aws { .. })) => Some(Self::Aws),
            (_, Some(_), ..) | (.., Some(SeedRequest::Azure { .. })) => Some(Self::Azure),
            (_, _, Some(_), _) => Some(Self::Gcp),
            _ => None,
        }
    }
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    if context.time.is_some() {
        return Err(CliError::Usage("--time has no part in attested".to_owned()));
    }
    match command {
        Command::Aws(args) => of_file(args, Cloud::Aws, context),
        Command::Azure(args) => of_file(args, Cloud::Azure, context),
        Command::Gcp(args) => of_file(args, Cloud::Gcp, context),
        Command::Seed(Flags { flags }) => match seed::read(flags)? {
            Some(source) => {
                let client = Client::attested(inputs(context));
                let keys = Runtime::new()?.wait(client.provider(source).credential());
                print(&*keys?, context)
            }
            None => Ok(Vec::new()),
        },
    }
}

fn of_file(args: &Args, cloud: Cloud, context: &Context) -> Result<Vec<u8>, CliError> {
    let config = Config::from_file(&args.config)?;
    let name = name(&config, args)?;
    let Source::Attested(source) = config.profile(name)? else {
        return Err(CliError::Usage(format!(
            "profile {name:?} is not attested; cloudauth credential --profile {name} gives what it is"
        )));
    };
    let other = |of: &str| {
        Err(CliError::Usage(format!("profile {name:?} is of {of}, not of {}", cloud.name())))
    };
    match Cloud::of(source) {
        Some(of) if of != cloud => return other(of.name()),
        _ => {}
    }
    let client = Client::attested(inputs(context));
    let provider = config.provider(&client, name)?;
    let credential =
        Runtime::new()?.wait(provider.credential()).map_err(|e| of_profile(name, e))?;
    match &*credential {
        Credential::Aws(_) if cloud != Cloud::Aws => other("aws"),
        Credential::Bearer(_) if cloud == Cloud::Aws => other("azure or gcp"),
        credential => print(credential, context),
    }
}

/// The profile that is named, else the only one that is attested.
fn name<'a>(config: &'a Config, args: &'a Args) -> Result<&'a str, CliError> {
    if let Some(name) = &args.profile {
        return Ok(name);
    }
    let mut attested = config.profiles.iter().filter(|(_, p)| matches!(p, Source::Attested(_)));
    match (attested.next(), attested.next()) {
        (Some((name, _)), None) => Ok(name),
        (None, _) => Err(CliError::input(
            args.config.display(),
            "has no profile with kind = \"attested\"; see --help",
        )),
        (Some(_), Some(_)) => Err(CliError::Usage(
            "--profile is missing: the file has more than one attested profile".to_owned(),
        )),
    }
}
