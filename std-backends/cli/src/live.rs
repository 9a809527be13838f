//! What the commands share that ask a service: the options, the profile, and how a credential is printed.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use cloudauth_client::blocking::Runtime;
use cloudauth_client::{
    AwsKeys, BearerToken, CONFIG_VARIABLE, Client, Config, Credential, Error, FileCache,
    GcpFederated, Inputs, PROFILE_VARIABLE, Provider, Source, variable,
};
use cloudauth_core::{HttpRequest, UnixTime};
use serde_json::json;

use crate::context::{Context, Output, json, warn};
use crate::error::CliError;

/// Where configuration and cache are, and how services are reached.
#[derive(Args, Clone, Default)]
pub(crate) struct Setup {
    /// The configuration file [env: CLOUDAUTH_CONFIG] [default: ~/.config/cloudauth/config.toml]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(crate) config: Option<PathBuf>,
    /// Trust these certificates (PEM) and no others [env: AWS_CA_BUNDLE] [default: the system's own]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(crate) ca_file: Option<PathBuf>,
    /// How long a call may take, repetitions included [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = "Connection")]
    pub(crate) timeout: Option<u32>,
    /// Where processes share credentials [default: cloudauth in XDG_RUNTIME_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Connection")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Neither read nor write shared credentials
    #[arg(long, conflicts_with = "cache_dir", help_heading = "Connection")]
    pub(crate) no_cache: bool,
}

/// For a command that gets one credential: a profile, or options that stand for one.
#[derive(Args, Clone)]
pub(crate) struct Live {
    /// Take everything from this profile of the configuration file, in place of options
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Send requests to this URL (https, or http on loopback), in place of the service's own
    #[arg(long, alias = "endpoint", value_name = "URL", conflicts_with = "profile")]
    pub(crate) endpoint_url: Option<String>,
    /// Send nothing: print the raw HTTP request. It holds live secrets: tokens, signatures
    #[arg(long, conflicts_with = "profile")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) setup: Setup,
}

impl Setup {
    /// The configuration that the options and the file make together. There need not be a file, unless it is
    /// named.
    pub(crate) fn read(&self) -> Result<Config, CliError> {
        let mut config = match (&self.config, Config::default_path()?) {
            (Some(path), _) => Config::from_file(path)?,
            (None, Some(path)) => match Config::from_file(&path) {
                Err(Error::File { source, .. })
                    if source.kind() == ErrorKind::NotFound
                        && variable(CONFIG_VARIABLE)?.is_none() =>
                {
                    Config::default()
                }
                config => config?,
            },
            (None, None) => Config::default(),
        };
        if let Some(path) = &self.ca_file {
            config.ca_file = Some(path.clone());
        }
        config.timeout = self.timeout.or(config.timeout);
        if let Some(path) = &self.cache_dir {
            config.cache_dir = Some(path.clone());
        }
        if self.no_cache {
            config.cache_dir = None;
        }
        Ok(config)
    }

    /// The cache: that of the configuration, else of the runtime directory.
    pub(crate) fn cache(&self, config: &Config) -> Result<Option<FileCache>, CliError> {
        Ok(match &config.cache_dir {
            _ if self.no_cache => None,
            Some(path) => Some(FileCache::at(path)?),
            // A session of another user (sudo, su): then without it.
            None => FileCache::in_runtime_dir().unwrap_or_else(|e| {
                let _ = writeln!(std::io::stderr(), "cloudauth: warning: no cache: {e}");
                None
            }),
        })
    }

    pub(crate) fn client(&self, config: &Config, context: &Context) -> Result<Client, CliError> {
        let offset = context.clock_offset()?;
        let mut without_cache = config.clone();
        without_cache.cache_dir = None;
        let client = without_cache.client(inputs(context), offset)?;
        // What another time makes of a cache is for nobody else.
        Ok(match self.cache(config)? {
            Some(cache) if offset == 0 => client.with_file_cache(cache),
            _ => client,
        })
    }
}

/// What asks and warns at the terminal.
pub(crate) fn inputs(context: &Context) -> Inputs {
    Inputs::interactive(context.prompt.clone(), |warning| warn(core::slice::from_ref(warning)))
}

/// For a command that works with whatever a profile gives.
#[derive(Args, Clone)]
pub(crate) struct OfProfile {
    /// The profile of the configuration file [env: CLOUDAUTH_PROFILE]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    pub(crate) setup: Setup,
}

impl OfProfile {
    /// The profile's name, from the option or the variable.
    pub(crate) fn name(&self) -> Result<String, CliError> {
        let name = match &self.profile {
            Some(name) => Some(name.clone()),
            None => variable(PROFILE_VARIABLE)?,
        };
        let missing = || format!("--profile is missing; give it, or set {PROFILE_VARIABLE}");
        name.ok_or_else(|| CliError::Usage(missing()))
    }

    pub(crate) fn provider(&self, context: &Context) -> Result<Provider, CliError> {
        let config = self.setup.read()?;
        Ok(config.provider(&self.setup.client(&config, context)?, &self.name()?)?)
    }
}

impl Live {
    /// Shows the request for `source`, or gets the credential. Without a source it is the profile's, which
    /// must be of one of `kinds`.
    pub(crate) fn run(
        &self,
        source: Option<Source>,
        kinds: &[&str],
        context: &Context,
    ) -> Result<Vec<u8>, CliError> {
        if self.dry_run {
            let source = source.ok_or_else(nothing)?;
            let (inputs, at) = (Arc::new(inputs(context)), context.attempt()?);
            return shown(context, |then| Ok(source.request(&inputs, None, &at, then)?));
        }
        let config = self.setup.read()?;
        let client = self.setup.client(&config, context)?;
        let provider = match source {
            Some(source) => client.provider(source),
            None => self.of_profile(&config, &client, kinds)?,
        };
        let credential = Runtime::new()?.wait(provider.credential());
        let credential = match &self.profile {
            Some(name) => credential.map_err(|e| of_profile(name, e))?,
            None => credential?,
        };
        print(&credential, context)
    }

    /// The profile, which must be of the kind `gcp-federated`.
    pub(crate) fn federated_profile(&self) -> Result<GcpFederated, CliError> {
        let name = self.profile.as_deref().ok_or_else(nothing)?;
        match self.setup.read()?.profile(name)? {
            Source::GcpFederated(federated) => Ok(federated.clone()),
            source => Err(CliError::Usage(format!(
                "profile {name:?} is of kind {}; expected gcp-federated",
                source.kind()
            ))),
        }
    }

    fn of_profile(
        &self,
        config: &Config,
        client: &Client,
        kinds: &[&str],
    ) -> Result<Provider, CliError> {
        let name = self.profile.as_deref().ok_or_else(nothing)?;
        let kind = config.profile(name)?.kind();
        if !kinds.contains(&kind) {
            return Err(CliError::Usage(format!(
                "profile {name:?} is of kind {kind}, which this command does not give; cloudauth \
                 credential --profile {name} gives whatever it is"
            )));
        }
        Ok(config.provider(client, name)?)
    }
}

fn nothing() -> CliError {
    CliError::Usage(
        "nothing says which credential: give --profile, or the options of this command (see --help)"
            .to_owned(),
    )
}

impl From<Error> for CliError {
    fn from(e: Error) -> Self {
        match e {
            // A field of a profile and the option for it have one name.
            Error::Missing { field, help } => Self::Usage(format!("--{field} is missing; {help}")),
            Error::Key(e) => e.into(),
            Error::Request(e) => e.into(),
            Error::Service { .. }
            | Error::Expired { .. }
            | Error::Empty { .. }
            | Error::Refused { .. } => Self::Service(e.to_string()),
            e => Self::Input(e.to_string()),
        }
    }
}

/// An error of a profile: what it lacks is no option.
pub(crate) fn of_profile(name: &str, e: Error) -> CliError {
    match e {
        Error::Missing { field, help } => CliError::input(
            format_args!("profile {name:?}"),
            format_args!("{field} is missing; {help}"),
        ),
        e => e.into(),
    }
}

/// What `build` hands over, as [`Context::show`] shows it.
pub(crate) fn shown(
    context: &Context,
    build: impl FnOnce(&mut dyn FnMut(&HttpRequest<'_>)) -> Result<(), CliError>,
) -> Result<Vec<u8>, CliError> {
    let mut text = Ok(Vec::new());
    build(&mut |request| text = context.show(request))?;
    text
}

/// A credential: AWS keys in the form of `credential_process`, a token alone or in JSON.
pub(crate) fn print(credential: &Credential, context: &Context) -> Result<Vec<u8>, CliError> {
    match credential {
        Credential::Aws(keys) => Ok(aws(keys)),
        Credential::Bearer(token) => bearer(token, context),
        Credential::Secrets(_) => Err(secrets()),
        _ => Err(CliError::Usage("this credential cannot be printed".to_owned())),
    }
}

/// What no command for a cloud's credentials gives out.
pub(crate) fn secrets() -> CliError {
    CliError::Usage(
        "the broker gave secrets, not credentials of a cloud; use cloudauth run, which gives them to a program"
            .to_owned(),
    )
}

/// Source: AWS SDKs and Tools Reference Guide, "Process credential provider".
fn aws(keys: &AwsKeys) -> Vec<u8> {
    json(&json!({
        "Version": 1,
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": *keys.secret_access_key,
        "SessionToken": *keys.session_token,
        "Expiration": rfc3339(keys.expiration),
    }))
}

fn bearer(token: &BearerToken, context: &Context) -> Result<Vec<u8>, CliError> {
    if context.output != Output::Json {
        return Ok(format!("{}\n", *token.token).into_bytes());
    }
    let now = context.now()?.as_secs();
    Ok(json(&json!({
        "access_token": *token.token,
        "token_type": "Bearer",
        "expires_in": token.expiration.as_secs().saturating_sub(now),
        "expires_on": rfc3339(token.expiration),
    })))
}

/// As in RFC 3339, in UTC.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    String::from_utf8_lossy(&time.rfc3339()).into_owned()
}

/// The present time of this machine, in seconds.
pub(crate) fn system_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
