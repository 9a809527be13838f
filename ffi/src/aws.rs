//! AWS.

mod rolesanywhere;
mod sigv4;
mod sts;

pub use rolesanywhere::*;
pub use sigv4::*;
pub use sts::*;
