//! The command that runs: its start, the signals for it, its end.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(target_os = "linux")]
use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal as Number, WaitId, WaitIdOptions, kill_process, waitid};
#[cfg(target_os = "linux")]
use rustix::process::{getpid, set_child_subreaper};
use signal_hook::consts::SIGWINCH;

use crate::context::say;
use crate::error::CliError;
use crate::signals::{Signal, die, on_signal_or};

/// How often it is looked for what the command has left, and how long after it was killed.
#[cfg(target_os = "linux")]
const LOOK: Duration = Duration::from_millis(20);
#[cfg(target_os = "linux")]
const KILLED: Duration = Duration::from_secs(2);

/// Where signals go.
#[derive(Clone, Copy)]
enum Stage {
    /// There is no child yet: they end this process.
    Before,
    /// To the child.
    Running(Pid),
    /// The child has ended, with this code where somebody else has seen it; this process is about to.
    After(Option<i32>),
}

/// What passes signals on. A clone is another handle on it.
#[derive(Clone)]
pub(crate) struct Signals {
    stage: Arc<Mutex<Stage>>,
    #[cfg(target_os = "linux")]
    own: Arc<Mutex<()>>,
}

impl Signals {
    /// From now on a signal calls `clean_up` and ends this process, or goes to the child.
    pub(crate) fn new(clean_up: impl Fn() + Send + 'static) -> Result<Self, CliError> {
        let stage = Arc::new(Mutex::new(Stage::Before));
        let shared = stage.clone();
        on_signal_or(&[SIGWINCH], move |signal| {
            // Held while the signal is sent: until then the child is not reaped, and its number is its own.
            let stage = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match *stage {
                Stage::Before if signal.number == SIGWINCH => {}
                Stage::Before => {
                    clean_up();
                    die(signal);
                }
                Stage::Running(pid) => pass_on(signal, pid),
                Stage::After(_) => {}
            }
        })?;
        Ok(Self {
            stage,
            #[cfg(target_os = "linux")]
            own: Arc::default(),
        })
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command until it ends, and gives its exit code. `program` is its name in messages.
    pub(crate) fn run(&self, program: &OsStr, mut command: Command) -> Result<ExitCode, CliError> {
        // No signal is passed on until it is known to whom.
        let mut stage = self.stage();
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => return Ok(not_started(program, &e)),
        };
        // What it was given is in the child alone from here on.
        drop(command);
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
        let mut stage = self.stage();
        if let Stage::After(Some(code)) = *stage {
            return Ok(exit_code(code));
        }
        *stage = Stage::After(None);
        drop(stage);
        let status = ended.map_err(io::Error::from).and_then(|_| child.wait());
        let status = status.map_err(|e| CliError::input("wait for the command", e))?;
        Ok(exit_code(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())))
    }
}

#[cfg(target_os = "linux")]
impl Signals {
    /// Sends the child a signal, as long as there is one.
    pub(crate) fn send(&self, number: Number) {
        if let Stage::Running(pid) = *self.stage() {
            // An error says that the child has ended.
            let _ = kill_process(pid, number);
        }
    }

    /// While this is held, children of this process are somebody's who waits for them.
    pub(crate) fn own_children(&self) -> MutexGuard<'_, ()> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on processes whose parents have ended are this process's, and it reaps them: those below it, and
    /// all when it is the first of a container.
    pub(crate) fn reap_orphans(&self) -> Result<(), CliError> {
        let failed = |e: io::Error| CliError::input("signals", e);
        set_child_subreaper(Some(getpid())).map_err(|e| failed(e.into()))?;
        let mut ended =
            signal_hook::iterator::Signals::new([signal_hook::consts::SIGCHLD]).map_err(failed)?;
        let signals = self.clone();
        let forever = move || ended.forever().for_each(|_| signals.reap());
        thread::Builder::new().name("orphans".to_owned()).spawn(forever).map_err(failed)?;
        Ok(())
    }

    /// After the command: tells what it has left to end, and kills what has not `within` this time. Orphans come to
    /// this process, so that those below are found in turn.
    pub(crate) fn end_the_rest(within: Duration) {
        use rustix::process::{WaitOptions, wait};

        let began = Instant::now();
        let mut told = HashSet::new();
        while began.elapsed() < within + KILLED {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            let rest = children();
            if rest.is_empty() {
                return;
            }
            let late = began.elapsed() >= within;
            for pid in rest {
                // An error says that it has ended.
                let _ = match late {
                    true => kill_process(pid, Number::KILL),
                    false if told.insert(pid) => kill_process(pid, Number::TERM),
                    false => Ok(()),
                };
            }
            thread::sleep(LOOK);
        }
    }

    /// Reaps all that have ended, unless one may be somebody's: then this is called again.
    pub(crate) fn reap(&self) {
        use rustix::process::{WaitOptions, wait};

        // In this order: whoever comes while another is at it comes after that.
        let mut stage = self.stage();
        let Ok(_own) = self.own.try_lock() else { return };
        let Stage::Running(child) = *stage else { return };
        // There is no call that waits for all but one: the child's end may be among what comes.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                let signal = status.terminating_signal().unwrap_or_default();
                *stage = Stage::After(Some(status.exit_status().unwrap_or(128 + signal)));
                return;
            }
        }
    }
}

/// The processes whose parent this one is.
#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_pid();
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let child = |entry: std::fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        // After the name, which may hold anything: the state, and the parent (proc_pid_stat(5)).
        let stat = std::fs::read(entry.path().join("stat")).ok()?;
        let name_end = stat.iter().rposition(|c| *c == b')')?;
        let after = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
        let parent: i32 = after.split_ascii_whitespace().nth(1)?.parse().ok()?;
        (parent == own).then_some(pid)
    };
    all.filter_map(|entry| child(entry.ok()?)).collect()
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// What is typed at the terminal the child gets from there; twice, it would end many a program at once.
fn pass_on(signal: &Signal, pid: Pid) {
    if let (false, Some(number)) = (signal.typed, Number::from_named_raw(signal.number)) {
        // An error says that the child has ended.
        let _ = kill_process(pid, number);
    }
}

/// As of env(1) and the shells: 127 when there is no such command, 126 when it cannot be run.
pub(crate) fn not_started(program: &OsStr, e: &io::Error) -> ExitCode {
    say(&format!("{}: {e}", program.display()));
    ExitCode::from(if e.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}
