//! The signals that ask a process to end, or to do something else than before.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::Cause;

use crate::error::CliError;

/// All that end a process which does nothing about them, and that one process sends to another.
const SIGNALS: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// One signal that came.
pub(crate) struct Signal {
    pub(crate) number: i32,
    /// It was typed at the terminal, which sends it to every process in the foreground.
    pub(crate) typed: bool,
}

/// Gives every signal to `then`, in a thread of its own, from now until the process ends. What was ignored
/// when the process began (`nohup`) stays so, for it and for those that it starts.
pub(crate) fn on_signal(then: impl FnMut(&Signal) + Send + 'static) -> Result<(), CliError> {
    on_signal_or(&[], then)
}

/// The same with `more` signals, which would not have ended the process.
pub(crate) fn on_signal_or(
    more: &[i32],
    mut then: impl FnMut(&Signal) + Send + 'static,
) -> Result<(), CliError> {
    let ignored = ignored();
    let all = SIGNALS.iter().chain(more).copied();
    let wanted = all.filter(|number| ignored >> (number - 1) & 1 == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(wanted).map_err(|e| failed(&e))?;
    let forever = move || {
        for origin in signals.forever() {
            let kernel = matches!(origin.cause, Cause::Kernel);
            // A hang-up comes to the leader of a session alone.
            let typed = kernel && matches!(origin.signal, SIGINT | SIGQUIT | SIGWINCH);
            then(&Signal { number: origin.signal, typed });
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(forever).map_err(|e| failed(&e))?;
    Ok(())
}

/// Ends this process as the signal would have, had nobody waited for it. The first process of a container no
/// signal of its own ends.
pub(crate) fn die(signal: &Signal) {
    if std::process::id() == 1 || emulate_default_handler(signal.number).is_err() {
        std::process::exit(128 + signal.number);
    }
}

/// The signals that are ignored, one a bit. Only Linux tells it without unsafe code; elsewhere none is.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn failed(e: &io::Error) -> CliError {
    CliError::input("signals", e)
}
