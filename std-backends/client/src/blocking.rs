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
pub struct Runtime(Tokio);

impl Runtime {
    /// A runtime.
    ///
    /// # Errors
    /// [`Error::File`] when the system refuses what it needs.
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        runtime.map(Self).map_err(|e| Error::file("open", "the runtime's event queue", e))
    }

    /// Waits for a future. It must not be called from within one.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}
