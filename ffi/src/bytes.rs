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

/// Whether `bytes` are UTF-8.
#[cfg(not(thumb2))]
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok()
}

/// Whether `bytes` are UTF-8. The library's own way is a third faster, and four times as long.
#[cfg(thumb2)]
pub(crate) use utf8::is as is_utf8;

#[cfg(any(test, thumb2))]
mod utf8 {
    /// Whether `bytes` are UTF-8 (RFC 3629, section 4).
    pub(crate) fn is(bytes: &[u8]) -> bool {
        let mut rest = bytes.iter();
        while let Some(first) = rest.next() {
            if first.is_ascii() {
                continue;
            }
            // Below begin only what comes later in a character and shorter forms exist, above is nothing.
            if !(0xc2..=0xf4).contains(first) {
                return false;
            }
            // As many as the first has leading ones make one character.
            let len = first.leading_ones();
            let mut character = u32::from(first & 0x7f >> len);
            for _ in 1..len {
                match rest.next() {
                    Some(next) if next & 0xc0 == 0x80 => {
                        character = character << 6 | u32::from(next & 0x3f);
                    }
                    _ => return false,
                }
            }
            // Shorter forms have up to 11 and 16 bits; surrogates are U+D800 to U+DFFF.
            let short = character >> (5 * len - 4) == 0;
            if short || character >> 11 == 0x1b || character > 0x10_ffff {
                return false;
            }
        }
        true
    }

    #[cfg(test)]
    mod tests {
        use super::is;

        #[test]
        fn as_the_library_says() {
            // Every octet before every other, with what may follow, at every border.
            let border = [0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
            for first in 0..=255 {
                for second in 0..=255 {
                    for third in border {
                        for fourth in border {
                            let all = [first, second, third, fourth, b'a'];
                            for len in 0..=all.len() {
                                let (text, _) = all.split_at(len);
                                assert_eq!(
                                    is(text),
                                    core::str::from_utf8(text).is_ok(),
                                    "{text:x?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
