//! `cloudauth run`: a command that has its secrets only where it is attested.

mod config;
mod files;
mod lease;
mod metrics;
mod renewal;
mod template;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cloudauth_client::blocking::Runtime;
use cloudauth_client::{Client, Credential, Source};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use tokio::time::timeout;

use crate::child::{Signals, not_started};
use crate::context::{Context, Output};
use crate::error::CliError;
use crate::live::{inputs, of_profile};
use crate::log::Log;
use crate::variables::Variables;
use crate::worker::Worker;
use config::{DIRECTORY_VARIABLE, PROFILE, Plan};
use files::Files;
use lease::Moment;
use metrics::Metrics;
use renewal::{Fetch, Keeper, Target};

/// How long the end waits until its last words are written.
const SAID: Duration = Duration::from_secs(1);

const AFTER: &str = "\
Attests, gets the secrets of one grant from the broker, and only then starts the command: with secrets in its
environment, and in files on a tmpfs (0400, replaced atomically). The lease is renewed, at a random time between
half and three quarters of it, with one attestation; when files have changed all are replaced, and the command
gets a signal, or nothing. Whom to trust stands in the file, and nowhere else; it belongs into the measured image:

  [attested]
  url = \"https://broker.example:8443\"
  ca-file = \"broker-ca.pem\"            # or pin = the SHA-256 of the broker's public key
  grant = \"rest-api\"
  audience = \"https://broker.example\"

  [environment]
  API_KEY = \"${api-key}\"               # NAME, NAME.FIELD, with :raw, :base64, :base64url or :hex; $$ is $

  [files]
  directory = \"/run/rest-api\"          # the command sees CLOUDAUTH_RUN_DIRECTORY
  [files.content]
  \"tls.crt\" = \"${tls.crt}${tls.chain}\"
  \"tls.key\" = \"${tls.key}\"

  [renewal]
  on-change = \"SIGHUP\"                 # default: nothing
  at-end = \"stop\"                      # when a lease ends that could not be renewed: or keep, or wipe

run.example.toml in the repository has all of it, with comments.

It works as the first process of a container: signals are passed on, and every process that ends is reaped.
The files are wiped at the end, and processes that the command has left are told to end, and killed after
stop-after seconds. Is this program killed, the kernel kills the command, too (but not what that has started, nor one
that has changed its user or group, as setpriv and gosu do), and the next run with the same directory wipes what was
left.

Exit codes: the command's, 128 and the number of the signal that ended it, 127 when there is no such command, 126
when it cannot be run; 5 when it was stopped at the end of a lease; 2 to 5 as of other commands when it was never
started.

Example:
  cloudauth run --config /etc/cloudauth/run.toml -- gunicorn --certfile /run/rest-api/tls.crt app:app";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// What to get, from whom, and where to put it
    #[arg(long, value_name = "FILE", required_unless_present = "parent")]
    config: Option<PathBuf>,
    /// Only start the command, which ends with the process that has this number
    #[arg(long, hide = true, value_name = "PID", conflicts_with = "config")]
    parent: Option<i32>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode, CliError> {
    let (program, rest) =
        args.command.split_first().ok_or_else(|| CliError::Usage("no command".to_owned()))?;
    if let Some(parent) = args.parent {
        return become_command(parent, program, rest);
    }
    if context.time.is_some() || context.output != Output::Text {
        let help =
            "--time and --output are not for run: the command has clock and output of its own";
        return Err(CliError::Usage(help.to_owned()));
    }
    let missing = || CliError::Usage("--config is missing".to_owned());
    let plan = Plan::read(args.config.as_deref().ok_or_else(missing)?)?;
    let files = Files::new(&plan.files)?;
    // Before anything can wait: whatever ends this process wipes the files.
    let signals = Signals::new({
        let files = files.clone();
        move || files.remove()
    });
    let code = signals.and_then(|signals| prepared(plan, context, &files, &signals, program, rest));
    files.remove();
    code
}

fn prepared(
    plan: Plan,
    context: &Context,
    files: &Files,
    signals: &Signals,
    program: &OsStr,
    args: &[OsString],
) -> Result<ExitCode, CliError> {
    let metrics = Arc::new(Metrics::default());
    if let Some(address) = plan.renewal.metrics_listen {
        metrics.serve(address)?;
    }
    let mut variables = Variables::new();
    if let Source::Attested(source) = plan.attested.profile(PROFILE)? {
        variables.remove(&Source::Attested(source.clone()).env_variables());
    }
    let fetch = fetch(plan.attested, context);
    let asked = Moment::now();
    let secrets = fetch(None)?;
    let target =
        Target { environment: plan.environment, content: plan.files.content, files: files.clone() };
    let rendered = target.render(&secrets.bundle)?;
    target.write(&rendered)?;
    for ((name, _), value) in target.environment.iter().zip(&rendered.environment) {
        if value.contains(&0) {
            let help = "holds a zero octet, which no variable can; write it with :base64 or :hex";
            return Err(CliError::input(format_args!("environment {name:?}"), help));
        }
        variables.set(name, OsString::from_vec(value.to_vec()));
    }
    variables.remove(&[DIRECTORY_VARIABLE]);
    if let Some(path) = files.path() {
        variables.set(DIRECTORY_VARIABLE, path);
    }
    let log = Log::new(std::io::stderr()).map_err(|e| CliError::input("start a thread", e))?;
    let stop_after = plan.renewal.stop_after;
    let keeper = Keeper::new(
        fetch,
        target,
        plan.renewal,
        signals.clone(),
        (metrics.clone(), log.clone()),
        (&rendered, &secrets, asked),
    );
    drop((rendered, secrets));
    let renewal = Worker::start("renewal", move |stopped| keeper.work(stopped))?;
    signals.reap_orphans()?;
    // This very program, whatever stands at its path by now.
    let mut command = Command::new("/proc/self/exe");
    command.args(["run", "--parent", &std::process::id().to_string(), "--"]);
    command.arg(program).args(args);
    variables.apply(&mut command);
    let code = signals.run(program, command);
    // Before a renewal under way is waited for: from here on it writes nothing.
    files.remove();
    renewal.stop();
    Signals::end_the_rest(stop_after);
    log.flush(SAID);
    if metrics.stopped.load(Relaxed) {
        return Err(CliError::Service(
            "the command was ended: the lease of its secrets was over, and not renewed".to_owned(),
        ));
    }
    code
}

/// Attests, each time.
fn fetch(config: cloudauth_client::Config, context: &Context) -> Fetch {
    let client = Client::attested(inputs(context));
    Box::new(move |limit| {
        // Where the system gives no more threads, those below would end the program.
        let probe = std::thread::Builder::new().spawn(|| {});
        probe.map_err(|e| CliError::input("start a thread", e))?.join().ok();
        // A new one each time: it keeps no secret.
        let provider = config.provider(&client, PROFILE)?;
        let get = async {
            match limit {
                None => provider.credential().await.map(Some),
                // None: too late.
                Some(limit) => timeout(limit, provider.credential()).await.ok().transpose(),
            }
        };
        let credential = Runtime::new()?.wait(get).map_err(|e| of_profile(PROFILE, e))?;
        let late = || CliError::Service("the broker did not answer in time".to_owned());
        let credential = credential.ok_or_else(late)?;
        drop(provider);
        match Arc::try_unwrap(credential) {
            Ok(Credential::Secrets(secrets)) => Ok(secrets),
            Err(shared) => match &*shared {
                Credential::Secrets(secrets) => Ok(secrets.clone()),
                _ => Err(not_secrets()),
            },
            Ok(_) => Err(not_secrets()),
        }
    })
}

fn not_secrets() -> CliError {
    CliError::Input(
        "the grant gives a credential of a cloud, not secrets; name one of kind \"secrets\" (cloudauth \
         attested gives such a credential)"
            .to_owned(),
    )
}

/// The last step, in the child: the kernel kills it when its parent is, for nobody would renew or wipe what it
/// has. Only the process itself can ask for that.
fn become_command(parent: i32, program: &OsStr, args: &[OsString]) -> Result<ExitCode, CliError> {
    let failed = |e| CliError::input("the kernel's word on the end of cloudauth run", e);
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // It may have ended before that.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(CliError::Usage("--parent is for cloudauth run itself".to_owned()));
    }
    let e = Command::new(program).args(args).exec();
    Ok(not_started(program, &e))
}
