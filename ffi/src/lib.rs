//! The C interface of libcloudauth. `include/cloudauth.h` is made from it and is its documentation.
//!
//! # Safety Every function is as safe as its pointers: each must be null or point to what the
//! header says, for as long as the header says. Nulls, wrong sizes and lengths, unknown numbers,
//! text that is not UTF-8 and buffers that overlap are found, and give an error.

#![no_std]
// The comments are for the header, where a URL is what it says.
#![allow(rustdoc::bare_urls)]
// The names are those of the header, the safety section is the one above, and C functions take what they
// need as arguments.
#![allow(non_camel_case_types, clippy::missing_safety_doc, clippy::too_many_arguments)]

#[cfg(not(target_os = "none"))]
extern crate std;

#[cfg(all(target_os = "none", feature = "std"))]
compile_error!("the feature `std` is for systems with files and sockets");

#[cfg(all(target_os = "none", not(panic = "abort")))]
compile_error!("bare-metal builds need panic = \"abort\"");

mod aws;
mod azure;
mod bytes;
mod call;
mod ekm;
mod encode;
mod exchange;
mod gcp;
mod handle;
#[cfg(feature = "std")]
mod hosted;
mod http;
#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
mod json;
#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
mod jws;
mod layout;
#[cfg(thumb2)]
mod memory;
mod prepared;
mod result;
mod signer;
mod soft;
mod x509;

pub use aws::*;
pub use azure::*;
pub use bytes::*;
pub use ekm::*;
pub use encode::*;
pub use exchange::*;
pub use gcp::*;
#[cfg(feature = "std")]
pub use hosted::*;
pub use http::*;
#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
pub use json::*;
#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
pub use jws::*;
pub use prepared::*;
pub use result::*;
pub use signer::*;
#[cfg(any(feature = "hmac", feature = "p256"))]
pub use soft::*;
pub use x509::*;

#[cfg(all(target_os = "none", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
