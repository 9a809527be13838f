//! `cloudauth broker check`.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};

use cloudauth_broker::LoadError;
use cloudauth_broker::check::{Check, TokenReport};
use serde_json::json;

use crate::context::{Context, Output, json, place, read, warn};
use crate::error::CliError;

const AFTER: &str = "\
Without --offline the server's key is opened, those of the grants are opened and sign what would be sent, the
issuers' keys are fetched, and no cloud is asked. With --token every grant is tried on an attestation from a file, as of now or of --time. A
file cannot show that the token belongs to a connection, nor who the client is: those checks are not reached.

Exit codes: 0 nothing is wrong, and, with --token, some grant would give; 4 something is wrong; 7 no grant would
give. What is wrong is on standard error, a line each; so are warnings, and the report of a token that gets nothing.

Example:
  cloudauth broker check --config broker.toml --token attestation.jwt --time 2026-11-22T12:00:00Z";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The broker's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// An attestation (JWT), in a file; - is standard input. It may end with a newline
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Open no key and fetch nothing; tokens are verified only for issuers with a keys-file or a root
    #[arg(long)]
    offline: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let wrong = |e: LoadError| CliError::Input(e.to_string());
    let check = Check::load(&args.config).map_err(wrong)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::input("starting threads", e))?;
    warn(check.warnings());
    if !args.offline {
        warn(&check.keys().map_err(wrong)?);
        runtime.block_on(check.issuers()).map_err(wrong)?;
    }
    let Some(path) = &args.token else {
        return Ok(match context.output {
            Output::Json => json(&json!({"grants": check.grants()})),
            _ => {
                let grants = check.grants().join(", ");
                format!("nothing is wrong; grants: {grants}\n").into_bytes()
            }
        });
    };
    let token = token(path)?;
    let report = runtime
        .block_on(check.token(&token, context.now()?, !args.offline))
        .map_err(|e| CliError::Refused(format!("{}: {e}", place(path))))?;
    let shown = match context.output {
        Output::Json => json(&json!(report)),
        _ => text(&report).into_bytes(),
    };
    if report.grants.iter().any(|grant| grant.would_give) {
        return Ok(shown);
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    Err(CliError::Refused(format!("no grant would give anything\n{}", shown.trim_end())))
}

/// The most octets of a token, with what may stand around it.
const MAX_TOKEN: u64 = (cloudauth_core::jws::MAX_TOKEN_LEN + 2) as u64;

fn token(path: &Path) -> Result<String, CliError> {
    let octets = read(path, MAX_TOKEN)?;
    let text = core::str::from_utf8(&octets)
        .map_err(|_| CliError::input(place(path), "the token is not UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn text(report: &TokenReport) -> String {
    let mut text = format!("the token says {}\n", report.claims);
    for grant in &report.grants {
        let verdict = match grant.would_give {
            true => "would give, if the token is bound to the connection",
            false => "would not give",
        };
        let _ = writeln!(text, "\n{}: {verdict}", grant.grant);
        for check in &grant.checks {
            let reason = check.reason.as_ref().map(|reason| format!(": {reason}"));
            let _ = writeln!(
                text,
                "  {:<12} {}{}",
                check.outcome,
                check.name,
                reason.unwrap_or_default()
            );
        }
    }
    text
}
