//! Microsoft Entra ID: the client assertion that a certificate's key signs, and the token request it is
//! for; and what such a token opens: Key Vault.

mod client_assertion;
pub mod keyvault;
mod token;

pub use client_assertion::{Authority, ClientAssertion, Thumbprint};
pub use token::{Application, Credential, Token, TokenRequest, aadsts_code};
