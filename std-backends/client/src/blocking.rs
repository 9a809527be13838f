//! For programs without an asynchronous runtime.

use core::time::Duration;
use std::fmt;

use tokio::runtime::{Builder, Handle, Runtime as Tokio};

use crate::{Error, Result};

/// What waits for providers: a runtime that works while somebody waits, and keeps no thread of its own but
/// those that sign. Several threads can wait at once.
///
/// ```no_run
/// # fn f(provider: &cloudauth_client::Provider) -> cloudauth_client::Result<()> {
/// let runtime = cloudauth_client::blocking::Runtime::new()?;
/// let keys = runtime.wait(provider.aws_keys())?;
/// # Ok(()) }
/// ```
pub struct Runtime(Option<Tokio>);

impl Runtime {
    /// A runtime.
    ///
    /// # Errors
    /// [`Error::File`] when the system refuses what it needs.
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        runtime
            .map(|runtime| Self(Some(runtime)))
            .map_err(|e| Error::file("open", "the runtime's event queue", e))
    }

    /// Waits for what a provider gives.
    ///
    /// # Errors
    /// Those of the future.
    ///
    /// # Panics
    /// Where it is called from within an asynchronous runtime.
    pub fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => Err(Error::config("runtime", "has ended")),
        }
    }
}

impl Drop for Runtime {
    /// Waits for the threads that signed, lest they still end while the process forks or unloads a module; but
    /// not for a device that never answers.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_millis(250);
        match self.0.take() {
            // Nobody may wait within another runtime.
            Some(runtime) if Handle::try_current().is_ok() => runtime.shutdown_background(),
            Some(runtime) => runtime.shutdown_timeout(PATIENCE),
            None => {}
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    static ENDED: AtomicBool = AtomicBool::new(false);

    struct End;

    impl Drop for End {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(30));
            ENDED.store(true, Ordering::SeqCst);
        }
    }

    thread_local! { static AT_END: RefCell<Option<End>> = const { RefCell::new(None) } }

    async fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<()> {
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::config("thread", e.to_string()))
    }

    #[test]
    fn threads_have_ended_behind_it() {
        let runtime = Runtime::new().unwrap();
        let work = || AT_END.with(|end| *end.borrow_mut() = Some(End));
        runtime.wait(on_a_thread(work)).unwrap();
        assert!(!ENDED.load(Ordering::SeqCst));
        drop(runtime);
        assert!(ENDED.load(Ordering::SeqCst));
    }

    #[test]
    fn nobody_waits_for_a_device_for_good() {
        let within = |drop_it: fn(Runtime)| {
            let (runtime, start) = (Runtime::new().unwrap(), Instant::now());
            let (begun, begins) = std::sync::mpsc::channel();
            let (_keep, silent) = std::sync::mpsc::channel::<()>();
            let work = async move {
                tokio::task::spawn_blocking(move || {
                    begun.send(()).unwrap();
                    let _ = silent.recv_timeout(Duration::from_secs(20));
                });
                Ok(())
            };
            runtime.wait(work).unwrap();
            begins.recv().unwrap();
            drop_it(runtime);
            assert!(start.elapsed() < Duration::from_secs(10));
        };
        within(drop);
        // Within another runtime it must not wait at all, nor panic.
        within(|runtime| {
            let other = Builder::new_current_thread().build().unwrap();
            other.block_on(async move { drop(runtime) });
        });
    }
}
