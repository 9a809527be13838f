//! Borrowed octets.

use core::ffi::c_void;
use core::{ptr, slice};

/// Octets that belong to someone else, or a text in UTF-8 (not ended by NUL). `ptr` may be NULL
/// only if `len` is 0. As a parameter, an empty value means "not given" where that is possible.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_bytes {
    /// The first octet.
    pub ptr: *const u8,
    /// How many octets there are.
    pub len: usize,
}

impl cloudauth_bytes {
    pub(crate) const EMPTY: Self = Self { ptr: ptr::null(), len: 0 };

    /// NULL if and only if there are none.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::EMPTY,
            _ => Self { ptr: bytes.as_ptr(), len: bytes.len() },
        }
    }

    pub(crate) const fn text(text: &str) -> Self {
        Self::of(text.as_bytes())
    }

    pub(crate) const fn optional(text: Option<&str>) -> Self {
        match text {
            Some(text) => Self::text(text),
            None => Self::EMPTY,
        }
    }
}

/// A name and a value: a header, a tag, a property.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_pair {
    /// The name.
    pub name: cloudauth_bytes,
    /// The value.
    pub value: cloudauth_bytes,
}

/// Overwrites `len` octets at `ptr` with zeros, and is not optimised away: for buffers that held
/// requests, answers, tokens or random octets. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_wipe(ptr: *mut c_void, len: usize) {
    if !ptr.is_null() && isize::try_from(len).is_ok() {
        // SAFETY: the caller keeps the header's rules.
        unsafe { wipe(ptr.cast(), len) };
    }
}

/// # Safety
/// There are `len` octets at `ptr`, that nobody else uses.
pub(crate) unsafe fn wipe(ptr: *mut u8, len: usize) {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        ptr.write_bytes(0, len);
        zeroize::optimization_barrier(slice::from_raw_parts(ptr, len));
    }
}
