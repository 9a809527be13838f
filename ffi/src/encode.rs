//! Base64url, and the two forms of an ECDSA signature.

use cloudauth_core::encode::base64;
use cloudauth_core::signer::{ecdsa_der_from_raw, ecdsa_raw_from_der};
use cloudauth_core::{Error, Out};

use crate::bytes::cloudauth_bytes;
use crate::call::{Output, fill};
use crate::result::{Fault, cloudauth_error, cloudauth_result};

/// Writes `bytes` in base64url without padding (RFC 7515, section 2).
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_base64url_encode(
    bytes: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let bytes = cx.bytes(bytes, "bytes")?;
            let needed = bytes.len().div_ceil(3).checked_mul(4);
            if needed.is_none_or(|needed| isize::try_from(needed).is_err()) {
                return Err(Fault::length("bytes"));
            }
            if buf.is_empty() && !bytes.is_empty() {
                let needed = base64::url_encoded_len(bytes.len());
                return Err(Error::too_small("text buffer", needed).into());
            }
            let mut out = Out::new(buf);
            base64::url_encode(bytes, &mut out);
            Ok(out.finish()?.len())
        })
    }
}

/// Reads base64url. White space, padding, and bits that belong to no octet are refused.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_base64url_decode(
    text: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            Ok(base64::url_decode(cx.bytes(text, "text")?, buf)?.len())
        })
    }
}

/// Writes an ECDSA signature, given as r||s of 64 or 96 octets, in DER (RFC 3279, section 2.2.3).
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ecdsa_der_from_raw(
    raw: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            Ok(ecdsa_der_from_raw(cx.bytes(raw, "signature")?, buf)?.len())
        })
    }
}

/// Writes an ECDSA signature, given in DER, as r||s, each padded on the left to `size` octets: 32
/// for P-256, 48 for P-384.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER for another size; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ecdsa_raw_from_der(
    der: cloudauth_bytes,
    size: usize,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            if size != 32 && size != 48 {
                return Err(Fault::number("size"));
            }
            Ok(ecdsa_raw_from_der(cx.bytes(der, "signature")?, size, buf)?.len())
        })
    }
}
