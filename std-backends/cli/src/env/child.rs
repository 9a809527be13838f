//! The command that runs: its start, the signals for it, its end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal as Number, WaitId, WaitIdOptions, kill_process, waitid};

use super::folder::Folder;
use super::variables::Variables;
use crate::error::CliError;
use crate::signals::{Signal, die, on_signal};

/// Where signals go.
#[derive(Clone, Copy)]
enum Stage {
    /// There is no child yet: they end this process.
    Before,
    /// To the child.
    Running(Pid),
    /// The child has ended; this process is about to.
    After,
}

/// What passes signals on.
pub(super) struct Signals(Arc<Mutex<Stage>>);

impl Signals {
    /// From now on a signal removes the directory and ends this process, or goes to the child.
    pub(super) fn new(folder: &Folder) -> Result<Self, CliError> {
        let stage = Arc::new(Mutex::new(Stage::Before));
        let (shared, folder) = (stage.clone(), folder.clone());
        on_signal(move |signal| {
            // Held while the signal is sent: until then the child is not reaped, and its number is its own.
            let stage = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match *stage {
                Stage::Before => {
                    folder.remove();
                    die(signal);
                }
                Stage::Running(pid) => pass_on(signal, pid),
                Stage::After => {}
            }
        })?;
        Ok(Self(stage))
    }

    fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Runs a command until it ends, and gives its exit code.
    pub(super) fn run(&self, command: &[OsString], with: Variables) -> Result<ExitCode, CliError> {
        let (program, args) =
            command.split_first().ok_or_else(|| CliError::Usage("no command".to_owned()))?;
        let mut command = Command::new(program);
        with.apply(command.args(args));
        // No signal is passed on until it is known to whom.
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => return Ok(not_started(program, &e)),
        };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| CliError::input("command", "has no process id"))?;
        *stage = Stage::Running(pid);
        drop(stage);
        let ended = loop {
            // Not yet reaped: it keeps its number for the signals.
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                ended => break ended,
            }
        };
        self.set(Stage::After);
        let status = ended.map_err(io::Error::from).and_then(|_| child.wait());
        let status = status.map_err(|e| CliError::input("wait for the command", e))?;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
    }
}

/// What is typed at the terminal the child gets from there; twice, it would end many a program at once.
fn pass_on(signal: &Signal, pid: Pid) {
    if let (false, Some(number)) = (signal.typed, Number::from_named_raw(signal.number)) {
        // An error says that the child has ended.
        let _ = kill_process(pid, number);
    }
}

/// As of env(1) and the shells: 127 when there is no such command, 126 when it cannot be run.
fn not_started(program: &OsString, e: &io::Error) -> ExitCode {
    super::say(&format!("{}: {e}", program.display()));
    ExitCode::from(if e.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}
