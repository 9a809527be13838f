//! Microsoft Entra ID: the client assertion that a certificate's key signs.

mod client_assertion;

pub use client_assertion::{Authority, ClientAssertion, Thumbprint};
