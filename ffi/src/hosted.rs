//! The hosted half: keys by URI, and live credentials. It reads files, opens devices and connects.

mod client;
mod key;
mod message;

use core::marker::PhantomData;

pub use client::*;
pub use key::*;
pub use message::*;

/// Fails a build in which several threads may not use a `T` at once.
const fn shared<T: Send + Sync>(_: PhantomData<T>) {}
