//! Google Cloud.

mod federation;
mod impersonation;
mod token;

pub use federation::*;
pub use impersonation::*;
pub use token::*;
