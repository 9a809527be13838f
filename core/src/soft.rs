//! Keys in memory, and verification in software, each behind a feature: `p256`, `p384`, `rsa`, `hmac`.
//! Private keys wipe themselves and never show in `Debug`.

#[cfg(feature = "hmac")]
mod hmac;
#[cfg(feature = "p256")]
mod p256;
#[cfg(feature = "p384")]
mod p384;
#[cfg(feature = "rsa")]
mod rsa;
#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
mod verify;

#[cfg(feature = "hmac")]
pub use self::hmac::HmacKey;
#[cfg(feature = "p256")]
pub use self::p256::P256Key;
#[cfg(feature = "p384")]
pub use self::p384::P384Key;
#[cfg(feature = "rsa")]
pub use self::rsa::RsaKey;
#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
pub use self::verify::SoftVerifier;
