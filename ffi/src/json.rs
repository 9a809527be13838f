//! Values of verified tokens, found by JSON pointer.

use cloudauth_core::Out;
use cloudauth_core::json::{Kind, Value};

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome, Output, fill, run};
use crate::handle::{self, Handle};
use crate::result::{
    CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_NOT_FOUND, Fault, cloudauth_error, cloudauth_result,
};

/// A JSON value: header or claims of a verified token. It points into the buffer that the token was
/// decoded to, and is good as long as that is unchanged. It may be copied and needs no wiping.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_json {
    /// Opaque.
    pub reserved: [u64; 6],
}

/// A value, and the buffer it points into.
pub(crate) struct Decoded {
    value: Value<'static>,
    buf: *const u8,
    len: usize,
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_json {
    type Value = Decoded;
    const TAG: u64 = u64::from_le_bytes(*b"jsonvalu");
}

const _: () = assert!(handle::fits::<cloudauth_json>());

/// CLOUDAUTH_JSON_*: an array.
pub const CLOUDAUTH_JSON_ARRAY: u32 = 1;
/// true or false.
pub const CLOUDAUTH_JSON_BOOL: u32 = 2;
/// null.
pub const CLOUDAUTH_JSON_NULL: u32 = 3;
/// A number.
pub const CLOUDAUTH_JSON_NUMBER: u32 = 4;
/// An object.
pub const CLOUDAUTH_JSON_OBJECT: u32 = 5;
/// A string.
pub const CLOUDAUTH_JSON_STRING: u32 = 6;

/// Puts a value into a handle, that nothing keeps from outliving it but the header's rules.
///
/// # Safety
/// There is a handle.
pub(crate) unsafe fn put(json: *mut cloudauth_json, value: Value<'_>, buf: (*const u8, usize)) {
    // SAFETY: the same type but for the lifetime; it needs no dropping.
    unsafe {
        let value = core::mem::transmute::<Value<'_>, Value<'static>>(value);
        handle::move_in(json, &Decoded { value, buf: buf.0, len: buf.1 });
    }
}

/// The value at a pointer.
fn find<'a>(
    cx: &'a Cx,
    json: *const cloudauth_json,
    pointer: cloudauth_bytes,
) -> Outcome<Value<'a>> {
    let Decoded { value, buf, len } = handle::get(cx, json, "json")?;
    cx.check(*buf, *len, "buffer of the claims")?;
    let found = value.pointer(cx.text(pointer, "pointer")?);
    found.ok_or(Fault::new(CLOUDAUTH_ERR_NOT_FOUND, "pointer", "there is no such value"))
}

const OTHER: Fault = Fault::new(CLOUDAUTH_ERR_MALFORMED, "value", "is of another type");

/// Gives the kind, CLOUDAUTH_JSON_*, of the value at a JSON pointer (RFC 6901) such as
/// "/google/email" or "/aud/0"; the empty pointer is the whole.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_json_kind(
    json: *const cloudauth_json,
    pointer: cloudauth_bytes,
    kind: *mut u32,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(kind, "kind")?;
            let number = match find(cx, json, pointer)?.kind() {
                Kind::Array => CLOUDAUTH_JSON_ARRAY,
                Kind::Bool => CLOUDAUTH_JSON_BOOL,
                Kind::Null => CLOUDAUTH_JSON_NULL,
                Kind::Number => CLOUDAUTH_JSON_NUMBER,
                Kind::Object => CLOUDAUTH_JSON_OBJECT,
                Kind::String => CLOUDAUTH_JSON_STRING,
            };
            cx.update(kind, number);
            Ok(())
        })
    }
}

/// Gives the string at a JSON pointer, unescaped.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_MALFORMED if it is no string;
/// CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_json_string(
    json: *const cloudauth_json,
    pointer: cloudauth_bytes,
    string: *mut cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(string, "string")?;
            let text = find(cx, json, pointer)?.as_str().ok_or(OTHER)?;
            cx.update(string, cloudauth_bytes::text(text));
            Ok(())
        })
    }
}

/// Gives the integer at a JSON pointer.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_MALFORMED if it is none, or does
/// not fit; CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_json_integer(
    json: *const cloudauth_json,
    pointer: cloudauth_bytes,
    integer: *mut i64,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(integer, "integer")?;
            cx.update(integer, find(cx, json, pointer)?.as_i64().ok_or(OTHER)?);
            Ok(())
        })
    }
}

/// Gives the boolean at a JSON pointer as 0 or 1.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_MALFORMED if it is none;
/// CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_json_bool(
    json: *const cloudauth_json,
    pointer: cloudauth_bytes,
    boolean: *mut u32,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(boolean, "boolean")?;
            cx.update(boolean, find(cx, json, pointer)?.as_bool().ok_or(OTHER)?.into());
            Ok(())
        })
    }
}

/// Writes the value at a JSON pointer as JSON text.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_NOT_FOUND;
/// CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
/// CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_json_write(
    json: *const cloudauth_json,
    pointer: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let mut out = Out::new(buf);
            find(cx, json, pointer)?.write(&mut out);
            Ok(out.finish()?.len())
        })
    }
}
