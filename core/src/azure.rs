//! Microsoft Entra ID: the client assertion that a certificate's key signs, and the token request it is
//! for.

mod client_assertion;
mod token;

pub use client_assertion::{Authority, ClientAssertion, Thumbprint};
pub use token::{Application, Credential, Token, TokenRequest, aadsts_code};
