//! Google Cloud: self-signed tokens, and the service-account file.

mod self_signed;
mod service_account;

pub use self_signed::{CLOUD_PLATFORM, Grant, SelfSigned};
pub use service_account::{DEFAULT_UNIVERSE, ServiceAccount, TOKEN_URI};
