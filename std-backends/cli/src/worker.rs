//! A thread that works while a command runs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::error::CliError;

/// How long the end waits for what the thread has begun, such as a signature of a device.
const PATIENCE: Duration = Duration::from_secs(2);

/// The thread.
pub(crate) struct Worker {
    stop: Sender<()>,
    end: Receiver<()>,
}

/// What the thread is told by.
pub(crate) struct Stopped(Receiver<()>);

impl Worker {
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce(&Stopped) + Send + 'static,
    ) -> Result<Self, CliError> {
        let (stop, stopped) = channel();
        let (ended, end) = channel::<()>();
        let work = move || {
            let _ended = ended;
            work(&Stopped(stopped));
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        thread.map_err(|e| CliError::input("start a thread", e))?;
        Ok(Self { stop, end })
    }

    /// Ends it; what it has begun is waited for, but not forever.
    pub(crate) fn stop(self) {
        drop(self.stop);
        let _ = self.end.recv_timeout(PATIENCE);
    }
}

impl Stopped {
    /// Waits; whether the thread is to end.
    pub(crate) fn within(&self, pause: Duration) -> bool {
        !matches!(self.0.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }
}
