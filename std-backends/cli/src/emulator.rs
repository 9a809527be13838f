//! `cloudauth emulator`: the emulator in the foreground.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use cloudauth_emulator::{Config, EmulatorError, Options};

use crate::error::CliError;

#[derive(Args)]
pub(crate) struct Emulator {
    /// Where to listen with TLS; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to listen without TLS; also an HTTPS proxy to the services' real names
    #[arg(long, value_name = "ADDRESS")]
    listen_http: Option<SocketAddr>,
    /// Allow addresses other than loopback: whoever reaches the emulator can steer it
    #[arg(long)]
    allow_remote: bool,
    /// A further name or address for the certificate; may be repeated
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// A unix socket for Confidential Space's token service (teeserver.sock)
    #[arg(long, value_name = "PATH")]
    teeserver: Option<PathBuf>,
    /// A directory for ca.pem, which clients must trust
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// What the services know: a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Know the well-known demo identities
    #[arg(long, conflicts_with = "config")]
    demo: bool,
    /// Seconds that the emulator's clock is ahead
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    time_offset: i64,
}

/// Runs until the process is ended.
pub(crate) fn run(args: Emulator) -> Result<Vec<u8>, CliError> {
    let config = match &args.config {
        Some(path) => Config::from_file(path).map_err(|e| failed(&e))?,
        None if args.demo => Config::demo(),
        None => Config::default(),
    };
    // Standard error is the log; the level is RUST_LOG's.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(level())
        .init();
    let mut options = Options::default();
    options.listen = args.listen;
    options.listen_http = args.listen_http;
    options.allow_remote = args.allow_remote;
    options.names = args.name;
    options.teeserver = args.teeserver;
    options.state_dir = args.state_dir;
    options.time_offset = args.time_offset;
    options.config = config;
    cloudauth_emulator::run(options).map_err(|e| failed(&e))?;
    Ok(Vec::new())
}

fn level() -> tracing_subscriber::filter::LevelFilter {
    let text = std::env::var("RUST_LOG").unwrap_or_default();
    text.parse().unwrap_or(tracing_subscriber::filter::LevelFilter::WARN)
}

fn failed(error: &EmulatorError) -> CliError {
    let text = format!("emulator: {error}");
    match error {
        EmulatorError::NotLoopback(_) => CliError::Usage(format!("{text}; see --allow-remote")),
        _ => CliError::Input(text),
    }
}
