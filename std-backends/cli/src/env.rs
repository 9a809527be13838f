//! `cloudauth env`: a command that finds credentials in its environment which stay fresh.

mod aws;
mod azure;
mod folder;
mod gcp;
mod renewal;
mod static_credentials;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use cloudauth_client::{Config, Inputs, PROFILE_VARIABLE, Source, variable};

use crate::child::Signals;
use crate::context::{Context, Output};
use crate::error::CliError;
use crate::live::{Setup, inputs};
use crate::variables::Variables;
use folder::Folder;
use renewal::{End, Token};

const AFTER: &str = "\
The command finds sources that the clouds' own tools renew from, not secrets:
  aws-…          AWS_CONFIG_FILE, whose credential_process is cloudauth credential
  azure-token    AZURE_FEDERATED_TOKEN_FILE with a client assertion, renewed in place
  gcp-federated  GOOGLE_APPLICATION_CREDENTIALS (and for gcloud CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE),
                 an external account whose subject token is renewed in place; also gcp-impersonated on one
At most one profile a cloud. Variables that would win over these are removed; endpoints are kept.

With --static it finds the credentials themselves, which nothing renews:
  aws-…          AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION
  azure-token    AZURE_ACCESS_TOKEN
  gcp-…          GOOGLE_OAUTH_ACCESS_TOKEN, CLOUDSDK_AUTH_ACCESS_TOKEN

Variables with keys and PINs (those that the profiles name, and CLOUDAUTH_KEY_PIN, CLOUDAUTH_KEY_PASSPHRASE,
CLOUDAUTH_KEY_AUTH, CLOUDAUTH_PARENT_AUTH, CLOUDAUTH_OWNER_AUTH) are kept from the command. A profile of AWS
that needs one is refused without --static: the credential process is started by the command.

The files are in a private directory in XDG_RUNTIME_DIR, or among the temporary files, which is removed at the
end. Signals are passed on. The exit code is the command's, 128 and the number of the signal that ended it,
127 when there is no such command, 126 when it cannot be run.

Example:
  cloudauth env --profile deploy -- aws s3 ls";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A profile of the configuration file; may be repeated [env: CLOUDAUTH_PROFILE]
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Put credentials themselves into the environment, for tools that read nothing else
    #[arg(long = "static")]
    fixed: bool,
    #[command(flatten)]
    setup: Setup,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What a cloud's part works on.
struct Plan<'a> {
    folder: &'a Folder,
    variables: Variables,
    /// What is renewed in the directory.
    tokens: Vec<Token>,
    /// When what is not renewed ends.
    ends: Vec<End>,
    inputs: Arc<Inputs>,
    setup: &'a Setup,
}

/// A profile, and those that it stands on.
struct Profile<'a> {
    name: &'a str,
    source: &'a Source,
    below: Vec<&'a Source>,
}

/// The clouds, and how the kinds of their profiles begin.
const CLOUDS: [&str; 3] = ["aws-", "azure-", "gcp-"];

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode, CliError> {
    if context.time.is_some() || context.output != Output::Text {
        let help =
            "--time and --output are not for env: the command has clock and output of its own";
        return Err(CliError::Usage(help.to_owned()));
    }
    let setup = absolute(&args.setup)?;
    let config = setup.read()?;
    let names = args.names()?;
    let profiles = profiles(&config, &names)?;
    let folder = Folder::new()?;
    // Before anything can wait: whatever ends this process removes the directory.
    let signals = Signals::new({
        let folder = folder.clone();
        move || folder.remove()
    })?;
    let code = prepared(args, context, &setup, &config, &profiles, &folder, &signals);
    folder.remove();
    code
}

fn prepared(
    args: &Args,
    context: &Context,
    setup: &Setup,
    config: &Config,
    profiles: &[Profile<'_>],
    folder: &Folder,
    signals: &Signals,
) -> Result<ExitCode, CliError> {
    let mut plan = Plan {
        folder,
        variables: Variables::new(),
        tokens: Vec::new(),
        ends: Vec::new(),
        inputs: Arc::new(inputs(context)),
        setup,
    };
    for profile in profiles {
        for source in profile.all() {
            plan.variables.remove(&source.env_variables());
        }
        match profile.source {
            _ if args.fixed => static_credentials::add(&mut plan, profile, config, context)?,
            Source::AzureToken(token) => azure::add(&mut plan, profile, token)?,
            Source::GcpFederated(source) => gcp::federated(&mut plan, profile, source)?,
            Source::GcpImpersonated(source) => gcp::impersonated(&mut plan, profile, source)?,
            source if source.kind().starts_with("aws-") => aws::add(&mut plan, profile)?,
            Source::GcpIdToken(_) => return Err(static_credentials::no_access_token(profile)),
            _ => return Err(profile.only_static("no client library renews from it")),
        }
    }
    let Plan { variables, tokens, ends, .. } = plan;
    let renewal = renewal::start(tokens, ends, folder)?;
    let code = run_command(&args.command, variables, signals);
    if let Some(renewal) = renewal {
        renewal.stop();
    }
    code
}

fn run_command(
    command: &[OsString],
    variables: Variables,
    signals: &Signals,
) -> Result<ExitCode, CliError> {
    let (program, args) =
        command.split_first().ok_or_else(|| CliError::Usage("no command".to_owned()))?;
    let mut command = Command::new(program);
    variables.apply(command.args(args));
    signals.run(program, command)
}

impl Args {
    fn names(&self) -> Result<Vec<String>, CliError> {
        if !self.profiles.is_empty() {
            return Ok(self.profiles.clone());
        }
        let missing = || format!("--profile is missing; give it, or set {PROFILE_VARIABLE}");
        let name = variable(PROFILE_VARIABLE)?.ok_or_else(|| CliError::Usage(missing()))?;
        Ok(vec![name])
    }
}

impl Profile<'_> {
    /// It and those below.
    fn all(&self) -> impl Iterator<Item = &Source> {
        core::iter::once(self.source).chain(self.below.iter().copied())
    }

    fn only_static(&self, why: &str) -> CliError {
        let (name, kind) = (self.name, self.source.kind());
        CliError::Usage(format!("profile {name:?} ({kind}) needs --static: {why}"))
    }
}

/// The profiles by name, no two of one cloud: a tool has one place to look.
fn profiles<'a>(config: &'a Config, names: &'a [String]) -> Result<Vec<Profile<'a>>, CliError> {
    let (mut found, mut clouds) = (Vec::new(), BTreeSet::new());
    for name in names {
        let source = config.profile(name)?;
        let cloud = CLOUDS.into_iter().find(|cloud| source.kind().starts_with(cloud));
        if !clouds.insert(cloud) {
            return Err(CliError::Usage(format!(
                "profile {name:?} is the second of one cloud ({}); one is what the command can find",
                source.kind()
            )));
        }
        let mut below = Vec::new();
        let mut next = source.source_profile();
        while let Some(name) = next {
            let source = config.profile(name)?;
            below.push(source);
            next = source.source_profile();
        }
        found.push(Profile { name, source, below });
    }
    Ok(found)
}

/// The same setup wherever the command goes.
fn absolute(setup: &Setup) -> Result<Setup, CliError> {
    let absolute = |path: Option<PathBuf>| {
        path.map(|path| std::path::absolute(&path).map_err(|e| CliError::input(path.display(), e)))
            .transpose()
    };
    let config = match &setup.config {
        Some(path) => Some(path.clone()),
        None => Config::default_path()?,
    };
    Ok(Setup {
        config: absolute(config)?,
        ca_file: absolute(setup.ca_file.clone())?,
        cache_dir: absolute(setup.cache_dir.clone())?,
        ..setup.clone()
    })
}
