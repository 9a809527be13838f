//! Google Cloud: self-signed tokens, the exchanges that turn them into others, workload identity
//! federation, impersonation, and the service-account file.

mod federation;
mod id_token;
mod impersonation;
mod self_signed;
mod service_account;
mod token;

pub use federation::{Subject, SubjectToken, SubjectTokenType, TokenExchange};
pub use id_token::IdTokenRequest;
pub use impersonation::{GenerateAccessToken, GenerateIdToken, ImpersonatedToken};
pub use self_signed::{CLOUD_PLATFORM, Grant, SelfSigned};
pub use service_account::{DEFAULT_UNIVERSE, ServiceAccount, TOKEN_URI};
pub use token::AccessTokenRequest;
