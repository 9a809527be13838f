//! `cloudauth broker serve`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use cloudauth_broker::{Addresses, Broker};
use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2};
use tokio::sync::mpsc;
use tracing_subscriber::filter::LevelFilter;

use crate::error::CliError;
use crate::log::Log;
use crate::signals::{die, on_signal};

const AFTER: &str = "\
Once it answers, one line of JSON on standard output says where: {\"api\": …, \"admin\": …, \"compatibility\": […]}.
The log is on standard error; RUST_LOG is its level (info).

SIGHUP   reads the configuration, certificates, keys and policies again; what is wrong with them is in the log,
         and the broker goes on as it was. The file of the decision records is opened again.
SIGTERM  ends: requests in flight are answered for as long as drain-seconds says; so does SIGINT. A second
         one ends at once.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The broker's configuration, in TOML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs until a signal ends it.
pub(crate) fn run(args: &Args) -> Result<Vec<u8>, CliError> {
    let log = Log::new(std::io::stderr()).map_err(|e| CliError::input("starting threads", e))?;
    tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_max_level(level())
        .init();
    // Before the broker starts: a signal that comes early counts, too.
    let (to, signals) = mpsc::unbounded_channel();
    let mut ending = false;
    on_signal(move |signal| {
        let ends = !matches!(signal.number, SIGHUP | SIGUSR1 | SIGUSR2);
        if ends && ending {
            die(signal);
        }
        ending |= ends;
        let _ = to.send(signal.number);
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::input("starting threads", e))?;
    let served = runtime.block_on(serve(args, signals));
    // A thread that waits for a device is not waited for.
    runtime.shutdown_background();
    log.flush(Duration::from_secs(1));
    served.map(|()| Vec::new())
}

async fn serve(args: &Args, mut signals: Signals) -> Result<(), CliError> {
    let mut reload = false;
    let broker = tokio::select! {
        broker = Broker::start(&args.config) => broker.map_err(|e| CliError::Input(e.to_string()))?,
        () = told_to_end(&mut signals, &mut reload) => return Ok(()),
    };
    say(broker.addresses())?;
    while reload || matches!(told(&mut signals).await, Told::Reload) {
        reload = false;
        tokio::select! {
            // What is wrong with the configuration is in the log.
            _ = broker.reload() => {}
            () = told_to_end(&mut signals, &mut reload) => break,
        }
    }
    if !broker.drain().await {
        let help = "requests in flight were cut off after drain-seconds";
        return Err(CliError::Service(format!("broker: {help}")));
    }
    Ok(())
}

type Signals = mpsc::UnboundedReceiver<i32>;

enum Told {
    Reload,
    End,
}

async fn told(signals: &mut Signals) -> Told {
    loop {
        match signals.recv().await {
            Some(SIGHUP) => return Told::Reload,
            Some(SIGUSR1 | SIGUSR2) => {}
            _ => return Told::End,
        }
    }
}

/// Waits for the end. However often SIGHUP comes meanwhile, it is one reload.
async fn told_to_end(signals: &mut Signals, reload: &mut bool) {
    while let Told::Reload = told(signals).await {
        *reload = true;
    }
}

/// One line, so that a program that starts the broker can read it.
fn say(addresses: &Addresses) -> Result<(), CliError> {
    let line = serde_json::json!({
        "api": addresses.api,
        "admin": addresses.admin,
        "compatibility": addresses.compatibility,
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(CliError::Output)
}

fn level() -> LevelFilter {
    // An empty text would parse, as the level error.
    let text = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    text.and_then(|text| text.parse().ok()).unwrap_or(LevelFilter::INFO)
}
