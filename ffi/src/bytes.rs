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

/// The text that `bytes` are, if they are UTF-8.
#[cfg(not(thumb2))]
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

/// The text that `bytes` are, if they are UTF-8. The library's own way is a third faster, and four times
/// as long.
#[cfg(thumb2)]
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    // SAFETY: they are.
    utf8::is(bytes).then(|| unsafe { core::str::from_utf8_unchecked(bytes) })
}

#[cfg(any(test, thumb2))]
mod utf8 {
    /// Whether `bytes` are UTF-8 (RFC 3629, section 4).
    pub(super) fn is(bytes: &[u8]) -> bool {
        // How many octets of a character are to come, and between what the next one lies.
        let (mut more, mut low, mut high) = (0, 0x80, 0xbf);
        for c in bytes {
            if more == 0 && c.is_ascii() {
                continue;
            }
            if more > 0 {
                if !(low..=high).contains(c) {
                    return false;
                }
                more -= 1;
                (low, high) = (0x80, 0xbf);
                continue;
            }
            more = match c {
                0xc2..=0xdf => 1,
                0xe0..=0xef => 2,
                0xf0..=0xf4 => 3,
                _ => return false,
            };
            match c {
                // Overlong forms.
                0xe0 => low = 0xa0,
                0xf0 => low = 0x90,
                // Surrogates, and what lies above U+10FFFF.
                0xed => high = 0x9f,
                0xf4 => high = 0x8f,
                _ => {}
            }
        }
        more == 0
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
