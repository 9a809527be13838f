//! The `cloudauth` program.

#![forbid(unsafe_code)]

mod attested;
mod aws;
mod azure;
mod broker;
mod cache;
#[cfg(unix)]
mod child;
mod context;
mod credential;
mod demo;
mod emulator;
#[cfg(unix)]
mod env;
mod error;
mod gcp;
mod jwt;
mod key;
mod live;
mod log;
mod raw_request;
#[cfg(target_os = "linux")]
mod run;
#[cfg(unix)]
mod signals;
mod terminal;
#[cfg(unix)]
mod variables;
#[cfg(unix)]
mod worker;

use std::alloc::System;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use zeroizing_alloc::ZeroAlloc;

use context::{Context, Global, Output};
use error::CliError;

/// Wipes what is freed. Secrets go through buffers of TLS, HTTP and PKCS#12, whose libraries leave that to others.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

const ABOUT: &str = "Cloud credentials from keys that cannot be copied";

const AFTER: &str = "\
Keys are named by URI:
  file:PATH   PEM (PKCS#8, also encrypted; PKCS#1; SEC1) or a Google service-account JSON;
              ?passphrase-source=env:NAME, file:PATH or fd:N for an encrypted one
  env:NAME    the same, in an environment variable
  pkcs11:token=LABEL;object=LABEL?module-path=/path/to/module.so
              a key in a PKCS#11 token (RFC 7512); &pin-source=file:PATH, env:NAME or fd:N for its
              PIN, else the variable CLOUDAUTH_KEY_PIN, else it is asked for at the terminal
  tpm:file=key.pem, tpm:handle=0x81000005 or tpm:fapi=/HS/SRK/name
              a key in a TPM 2.0, where the program is built with --features tpm

CLOUDAUTH_KEY_PASSPHRASE holds the passphrase of an encrypted key where none is named; else it is asked
for at the terminal. For the AWS commands that sign with a secret access key, --key names a file or a
variable with the bare secret, or a secret key in a token. cloudauth key --help is about keys themselves.

What --dry-run prints holds live secrets: tokens, client secrets, signatures that count until they expire.

Exit codes, but for env's and run's: 0 success, 2 usage, 3 key, 4 input, 5 service, 6 output, 7 a token does not verify.
Nothing is printed on standard output unless the command succeeds.";

#[derive(Parser)]
#[command(name = "cloudauth", version, about = ABOUT, after_help = AFTER)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Credentials for an attested workload, from a token broker
    #[command(subcommand)]
    Attested(attested::Command),
    /// AWS: sign requests, STS, IAM Roles Anywhere
    #[command(subcommand)]
    Aws(aws::Command),
    /// Azure: client assertions and token requests for Entra ID
    #[command(subcommand)]
    Azure(azure::Command),
    /// Give cloud credentials to workloads that attest what they are
    #[command(subcommand)]
    Broker(broker::Command),
    /// The credentials that processes share
    #[command(subcommand)]
    Cache(cache::Command),
    /// The credential of a profile of the configuration file, whatever its kind
    Credential(Box<credential::Args>),
    /// Make throw-away keys, run every flow, verify each with another implementation
    Demo,
    /// Run local stand-ins for the clouds' token services, which check what they get
    Emulator(Box<emulator::Emulator>),
    /// Run a command that finds fresh credentials of profiles in its environment
    #[cfg(unix)]
    Env(Box<env::Args>),
    /// Google Cloud: self-signed tokens, token requests, identity federation
    #[command(subcommand)]
    Gcp(gcp::Command),
    /// Signed tokens (JWT): verify them
    #[command(subcommand)]
    Jwt(jwt::Command),
    /// Keys: make, import, show, test and delete them in devices
    #[command(subcommand)]
    Key(key::Command),
    /// Run a command that has its secrets only where it is attested
    #[cfg(target_os = "linux")]
    Run(Box<run::Args>),
}

fn main() -> ExitCode {
    // Before clap, whose messages quote the argument they refuse.
    if own_args().any(|arg| arg.to_string_lossy().contains("-----BEGIN")) {
        return fail(&CliError::Usage(
            "a key or certificate itself is on the command line, where every user of this machine can \
             read it; name it: file:PATH or env:NAME for --key, a path for --certificate"
                .to_owned(),
        ));
    }
    if own_args().skip(1).any(|arg| is_secret(&arg.to_string_lossy())) {
        return fail(&CliError::Usage(
            "a secret or a token is on the command line, where every user of this machine can read it; \
             name it: a file or a variable for --key and --client-secret, AWS_SESSION_TOKEN, a file or \
             standard input for tokens"
                .to_owned(),
        ));
    }
    let args: Vec<_> = own_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if args.iter().zip(args.iter().skip(1).map(Some).chain([None])).any(is_aws_secret) {
        return fail(&CliError::Usage(
            "--aws-secret takes no value: the secret access key itself must not stand on the command \
             line, where every user of this machine can read it; name its file with --from, or pipe it \
             in with --from -"
                .to_owned(),
        ));
    }
    if own_args().any(|arg| holds_pin(&arg.to_string_lossy())) {
        return fail(&CliError::Usage(
            "a PIN itself (pin-value) is on the command line, where every user of this machine can read \
             it; name it: pin-source=file:PATH, env:NAME or fd:N, or set CLOUDAUTH_KEY_PIN"
                .to_owned(),
        ));
    }
    let Cli { global, command } = Cli::parse();
    let context = Context::new(global);
    if context.output == Output::GoogleExecutable
        && !matches!(&command, Command::Gcp(c) if c.is_federate())
    {
        return fail(&CliError::Usage("--output google-executable is for gcp federate".to_owned()));
    }
    let result = match command {
        Command::Attested(command) => attested::run(&command, &context),
        Command::Aws(command) => aws::run(&command, &context),
        Command::Azure(command) => azure::run(&command, &context),
        Command::Broker(command) => broker::run(&command, &context),
        Command::Cache(command) => cache::run(&command),
        Command::Credential(args) => credential::run(&args, &context),
        Command::Demo => demo::run(&context),
        Command::Emulator(args) => emulator::run(*args),
        #[cfg(unix)]
        Command::Env(args) => {
            return env::run(&args, &context).unwrap_or_else(|error| fail(&error));
        }
        Command::Gcp(command) => gcp::run(&command, &context),
        Command::Jwt(command) => jwt::run(&command, &context),
        Command::Key(command) => key::run(&command, &context),
        #[cfg(target_os = "linux")]
        Command::Run(args) => {
            return run::run(&args, &context).unwrap_or_else(|error| fail(&error));
        }
    };
    match result.and_then(|output| print(&output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The arguments, but for those of the command that `env` or `run` runs, which are its own affair.
fn own_args() -> impl Iterator<Item = OsString> {
    let mut runs = false;
    std::env::args_os().take_while(move |arg| {
        runs |= arg == "env" || arg == "run";
        !runs || arg != "--"
    })
}

/// Options that other tools have and this one never will, and tokens (JWT), which no file is named like.
fn is_secret(arg: &str) -> bool {
    let option = ["--secret-access-key", "--session-token", "--secret", "--password", "--pin"];
    let (name, value) = arg.split_once('=').unwrap_or((arg, arg));
    let token = value.strip_prefix("Bearer ").unwrap_or(value);
    let in_token = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    // A header is an object: { in base64url.
    let object = matches!(token.as_bytes(), [b'e', b'w'..=b'z' | b'0'..=b'9', ..]);
    option.contains(&name)
        || object
            && token.split('.').count() == 3
            && token.bytes().all(in_token)
            && !Path::new(value).exists()
}

/// Whether something stands behind the flag for a secret access key.
fn is_aws_secret((arg, next): (&String, Option<&String>)) -> bool {
    arg.starts_with("--aws-secret=")
        || arg == "--aws-secret" && next.is_some_and(|next| !next.starts_with("--"))
}

/// Whether an argument is a key URI with a PIN in it, or was meant as one.
fn holds_pin(arg: &str) -> bool {
    let arg = arg.to_ascii_lowercase().replace("%2d", "-");
    arg.contains("pkcs11:") && arg.contains("pin-value")
}

fn fail(error: &CliError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "cloudauth: {error}");
    ExitCode::from(error.exit_code())
}

/// All output at once, at the end: a failure prints nothing on standard output.
fn print(output: &[u8]) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(output).and_then(|()| stdout.flush()).map_err(CliError::Output)
}
