//! Results: frozen numbers, their texts, and what goes into `cloudauth_error`.

use core::ffi::c_char;
use core::num::NonZeroU32;

#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
use cloudauth_core::jws::JwksError;
use cloudauth_core::{Error, ErrorKind};

use crate::bytes::cloudauth_bytes;

/// What every function that can fail gives: CLOUDAUTH_OK, or a negative number. -1 to -99 are
/// mistakes in the calling program, -100 and below are found at run time. The numbers never change.
pub type cloudauth_result = i32;

/// Success.
pub const CLOUDAUTH_OK: cloudauth_result = 0;
/// A pointer that must not be NULL is.
pub const CLOUDAUTH_ERR_NULL: cloudauth_result = -1;
/// A length cannot be right: above PTRDIFF_MAX, or not that of a fixed-size value.
pub const CLOUDAUTH_ERR_LENGTH: cloudauth_result = -2;
/// The member `size` of a structure is not sizeof of that structure.
pub const CLOUDAUTH_ERR_STRUCT_SIZE: cloudauth_result = -3;
/// An output overlaps an input or another output.
pub const CLOUDAUTH_ERR_OVERLAP: cloudauth_result = -4;
/// A number or a flag is none of those this header defines.
pub const CLOUDAUTH_ERR_UNKNOWN_NUMBER: cloudauth_result = -5;
/// A text is not UTF-8.
pub const CLOUDAUTH_ERR_UTF8: cloudauth_result = -6;
/// An opaque object was not initialised, was wiped, or is of another kind.
pub const CLOUDAUTH_ERR_STATE: cloudauth_result = -7;
/// The output buffer is too small: *len says how many octets are needed. Nothing was written.
pub const CLOUDAUTH_ERR_BUFFER_TOO_SMALL: cloudauth_result = -100;
/// A documented capacity is exceeded.
pub const CLOUDAUTH_ERR_CAPACITY: cloudauth_result = -101;
/// A parameter has a value that cannot be used.
pub const CLOUDAUTH_ERR_INVALID: cloudauth_result = -102;
/// Octets from outside (an answer, a token, a certificate) do not parse.
pub const CLOUDAUTH_ERR_MALFORMED: cloudauth_result = -103;
/// Two inputs do not belong together, such as a certificate and a key.
pub const CLOUDAUTH_ERR_MISMATCH: cloudauth_result = -104;
/// The signer (or MAC) failed, or broke its contract.
pub const CLOUDAUTH_ERR_SIGNER: cloudauth_result = -105;
/// Well-formed, but not something this build or this key can do.
pub const CLOUDAUTH_ERR_UNSUPPORTED: cloudauth_result = -106;
/// A signature or a claim does not hold.
pub const CLOUDAUTH_ERR_VERIFICATION: cloudauth_result = -107;
/// The service refused: see cloudauth_refusal, or cloudauth_message.
pub const CLOUDAUTH_ERR_SERVICE: cloudauth_result = -108;
/// There is no such member, header or element.
pub const CLOUDAUTH_ERR_NOT_FOUND: cloudauth_result = -109;
/// A key cannot be opened: see cloudauth_message. This and the following are of the hosted functions.
pub const CLOUDAUTH_ERR_KEY: cloudauth_result = -110;
/// A configuration file, a profile or a variable cannot be used: see cloudauth_message.
pub const CLOUDAUTH_ERR_CONFIG: cloudauth_result = -111;
/// A file cannot be read or written: see cloudauth_message.
pub const CLOUDAUTH_ERR_FILE: cloudauth_result = -112;
/// A service gave no usable answer: it was not reached, it is not trusted, or it is not what it should
/// be. See cloudauth_message.
pub const CLOUDAUTH_ERR_TRANSPORT: cloudauth_result = -113;
/// A mistake in this library.
pub const CLOUDAUTH_ERR_INTERNAL: cloudauth_result = -199;

/// What a failure is about. Pass NULL where it is of no interest. All texts are static and hold
/// nothing of the input, so they can be logged anywhere. In builds without the feature `error-text`
/// they are empty.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_error {
    /// sizeof(cloudauth_error)
    pub size: usize,
    /// The result, again.
    pub result: cloudauth_result,
    /// Which element of a list is wrong, counted from 1; 0 if it is no list, or not known.
    pub element: u32,
    /// The input that is wrong ("profile ARN").
    pub field: cloudauth_bytes,
    /// What is expected instead, or what to do.
    pub help: cloudauth_bytes,
    /// CLOUDAUTH_ERR_BUFFER_TOO_SMALL: the needed size. CLOUDAUTH_ERR_MALFORMED: the octet where
    /// parsing stopped, if known. Otherwise 0.
    pub detail: usize,
}

/// A failure on its way to the caller. Without texts it fits two registers, and so does an [`Outcome`]
/// that holds a pointer.
///
/// [`Outcome`]: crate::call::Outcome
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// The result without its sign, and above it the element of a list that is wrong, counted from 1.
    code: NonZeroU32,
    detail: usize,
    #[cfg(feature = "error-text")]
    text: Error,
}

/// Where the element begins.
const ELEMENT: u32 = 8;

impl Fault {
    pub(crate) const fn new(
        result: cloudauth_result,
        field: &'static str,
        help: &'static str,
    ) -> Self {
        Self::of(result, Error::new(ErrorKind::Invalid, field, help))
    }

    #[cfg_attr(not(feature = "error-text"), expect(unused_variables))]
    const fn of(result: cloudauth_result, error: Error) -> Self {
        Self {
            code: match NonZeroU32::new(result.unsigned_abs()) {
                Some(code) => code,
                None => NonZeroU32::MAX,
            },
            detail: 0,
            #[cfg(feature = "error-text")]
            text: error,
        }
    }

    pub(crate) const fn result(&self) -> cloudauth_result {
        -(self.code.get() & ((1 << ELEMENT) - 1)).cast_signed()
    }

    pub(crate) const fn null(field: &'static str) -> Self {
        Self::new(CLOUDAUTH_ERR_NULL, field, "must not be NULL")
    }

    pub(crate) const fn length(field: &'static str) -> Self {
        Self::new(CLOUDAUTH_ERR_LENGTH, field, "has a length that cannot be right")
    }

    pub(crate) const fn size(field: &'static str) -> Self {
        let help = "expected sizeof of the structure in its member size";
        Self::new(CLOUDAUTH_ERR_STRUCT_SIZE, field, help)
    }

    pub(crate) const fn number(field: &'static str) -> Self {
        Self::new(CLOUDAUTH_ERR_UNKNOWN_NUMBER, field, "is none of the numbers of cloudauth.h")
    }

    pub(crate) const fn capacity(field: &'static str) -> Self {
        let help = "has more entries than this library has room for";
        Self::new(CLOUDAUTH_ERR_CAPACITY, field, help)
    }

    pub(crate) const fn overlap(field: &'static str) -> Self {
        Self::new(CLOUDAUTH_ERR_OVERLAP, field, "overlaps an output; give it memory of its own")
    }

    pub(crate) const fn internal() -> Self {
        Self::new(CLOUDAUTH_ERR_INTERNAL, "library", "please report this")
    }

    /// The same of the element at an index, counted from 0, of a list.
    pub(crate) fn of_element(mut self, index: usize) -> Self {
        // No list of this interface is as long as there is room for.
        let element = u32::try_from(index).map_or(0, |index| index.saturating_add(1));
        self.code |= element << ELEMENT;
        self
    }

    pub(crate) const fn needed(&self) -> Option<usize> {
        match self.result() {
            CLOUDAUTH_ERR_BUFFER_TOO_SMALL => Some(self.detail),
            _ => None,
        }
    }

    /// Which input is wrong, and what is expected.
    #[cfg(feature = "std")]
    pub(crate) const fn texts(&self) -> (&'static str, &'static str) {
        (self.text.field(), self.text.help())
    }

    /// What goes into `cloudauth_error`.
    pub(crate) fn describe(&self, error: &mut cloudauth_error) {
        #[cfg(feature = "error-text")]
        let (field, help) = (self.text.field(), self.text.help());
        #[cfg(not(feature = "error-text"))]
        let (field, help) = ("", "");
        error.result = self.result();
        error.element = self.code.get() >> ELEMENT;
        error.field = cloudauth_bytes::text(field);
        error.help = cloudauth_bytes::text(help);
        error.detail = self.detail;
    }
}

impl From<Error> for Fault {
    #[inline(never)]
    fn from(error: Error) -> Self {
        let result = match error.kind() {
            ErrorKind::BufferTooSmall => CLOUDAUTH_ERR_BUFFER_TOO_SMALL,
            ErrorKind::Capacity => CLOUDAUTH_ERR_CAPACITY,
            ErrorKind::Invalid => CLOUDAUTH_ERR_INVALID,
            ErrorKind::Malformed => CLOUDAUTH_ERR_MALFORMED,
            ErrorKind::Mismatch => CLOUDAUTH_ERR_MISMATCH,
            ErrorKind::Signer => CLOUDAUTH_ERR_SIGNER,
            ErrorKind::Unsupported => CLOUDAUTH_ERR_UNSUPPORTED,
            ErrorKind::Verification => CLOUDAUTH_ERR_VERIFICATION,
            _ => CLOUDAUTH_ERR_INTERNAL,
        };
        let detail = error.needed().or(error.position()).unwrap_or(0);
        Self { detail, ..Self::of(result, error) }
    }
}

#[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
impl From<JwksError> for Fault {
    fn from(error: JwksError) -> Self {
        let fault = Self::from(error.error());
        error.key().map_or(fault, |key| fault.of_element(key))
    }
}

/// The meaning of a result as a static text that ends with NUL; never NULL, also for unknown
/// numbers.
#[unsafe(no_mangle)]
pub extern "C" fn cloudauth_strerror(result: cloudauth_result) -> *const c_char {
    let text = match result {
        CLOUDAUTH_OK => c"success",
        CLOUDAUTH_ERR_NULL => c"a pointer that must not be NULL is",
        CLOUDAUTH_ERR_LENGTH => c"a length cannot be right",
        CLOUDAUTH_ERR_STRUCT_SIZE => c"the size member of a structure is wrong",
        CLOUDAUTH_ERR_OVERLAP => c"an output overlaps an input",
        CLOUDAUTH_ERR_UNKNOWN_NUMBER => c"an unknown number or flag",
        CLOUDAUTH_ERR_UTF8 => c"a text is not UTF-8",
        CLOUDAUTH_ERR_STATE => c"an object is not initialised",
        CLOUDAUTH_ERR_BUFFER_TOO_SMALL => c"the buffer is too small",
        CLOUDAUTH_ERR_CAPACITY => c"a capacity is exceeded",
        CLOUDAUTH_ERR_INVALID => c"a parameter cannot be used",
        CLOUDAUTH_ERR_MALFORMED => c"the input does not parse",
        CLOUDAUTH_ERR_MISMATCH => c"two inputs do not belong together",
        CLOUDAUTH_ERR_SIGNER => c"the signer failed",
        CLOUDAUTH_ERR_UNSUPPORTED => c"not supported",
        CLOUDAUTH_ERR_VERIFICATION => c"verification failed",
        CLOUDAUTH_ERR_SERVICE => c"the service refused",
        CLOUDAUTH_ERR_NOT_FOUND => c"not found",
        CLOUDAUTH_ERR_KEY => c"a key cannot be opened",
        CLOUDAUTH_ERR_CONFIG => c"the configuration cannot be used",
        CLOUDAUTH_ERR_FILE => c"a file cannot be read or written",
        CLOUDAUTH_ERR_TRANSPORT => c"no usable answer from the service",
        CLOUDAUTH_ERR_INTERNAL => c"a mistake in libcloudauth",
        _ => c"unknown result",
    };
    text.as_ptr()
}

/// The version of the library that is linked, as text that ends with NUL: "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn cloudauth_version() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    TEXT.as_ptr().cast()
}

/// The version of the library as a number: major * 10000 + minor * 100 + patch.
#[unsafe(no_mangle)]
pub extern "C" fn cloudauth_version_number() -> u32 {
    const fn number(text: &str) -> u32 {
        let mut value = 0;
        let mut rest = text.as_bytes();
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            value = value * 10 + (*digit - b'0') as u32;
            rest = after;
        }
        value
    }
    const {
        number(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
            + number(env!("CARGO_PKG_VERSION_MINOR")) * 100
            + number(env!("CARGO_PKG_VERSION_PATCH"))
    }
}

/// The version of the binary interface that this header describes.
pub const CLOUDAUTH_ABI_VERSION: u32 = 0;

/// The version of the binary interface of the library that is linked. It must be
/// CLOUDAUTH_ABI_VERSION; see ABI.md.
#[unsafe(no_mangle)]
pub extern "C" fn cloudauth_abi_version() -> u32 {
    CLOUDAUTH_ABI_VERSION
}
