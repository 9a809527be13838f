//! For programs without an asynchronous runtime.

use std::fmt;

use tokio::runtime::{Builder, Runtime as Tokio};

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
    /// Does not wait for a device that never answers.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}
