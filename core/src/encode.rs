//! Text encodings of octets: pure functions, each with its `encoded_len` beside it.

pub mod base64;
pub mod form;
pub mod hex;
pub mod percent;
