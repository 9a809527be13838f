//! Borrowed octets.

use core::ptr;

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
