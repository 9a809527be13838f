//! Calls a function as a case describes it, with one thing wrong at a time.

use std::cell::{Cell, RefCell};

use cloudauth::*;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing, with a buffer of this size.
    Cap(usize),
    /// The n-th borrowed octets are impossibly long.
    Length(usize),
    /// The n-th pointer is null.
    Null(usize),
    /// The output is where the n-th input is.
    Overlap(usize),
    /// The n-th structure has a wrong size.
    Size(usize),
}

pub(crate) const CAP: usize = 8192;

/// Fills the arguments of one call. Memory is leaked: there is little of it.
pub(crate) struct Probe {
    pub(crate) mode: Mode,
    pub(crate) pointers: Cell<usize>,
    pub(crate) sizes: Cell<usize>,
    pub(crate) lengths: Cell<usize>,
    pub(crate) inputs: RefCell<Vec<*mut u8>>,
    pub(crate) buf: *mut u8,
    pub(crate) len: *mut usize,
    pub(crate) error: *mut cloudauth_error,
}

pub(crate) fn leak<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// A structure of zeros, but for its size.
pub(crate) fn blank<T>() -> *mut T {
    // SAFETY: the structures of the header are integers and pointers.
    let ptr = leak(unsafe { std::mem::zeroed::<T>() });
    // SAFETY: they begin with their size.
    unsafe { ptr.cast::<usize>().write(size_of::<T>()) };
    ptr
}

/// One with what `set` puts there.
pub(crate) fn made<T>(set: impl FnOnce(&mut T)) -> *mut T {
    let ptr = blank();
    // SAFETY: just made.
    set(unsafe { &mut *ptr });
    ptr
}

pub(crate) fn bytes(bytes: &[u8]) -> cloudauth_bytes {
    match bytes {
        [] => cloudauth_bytes { ptr: std::ptr::null(), len: 0 },
        _ => cloudauth_bytes { ptr: bytes.to_vec().leak().as_mut_ptr(), len: bytes.len() },
    }
}

pub(crate) fn text(text: &str) -> cloudauth_bytes {
    bytes(text.as_bytes())
}

pub(crate) fn list(texts: &[&str]) -> (*const cloudauth_bytes, usize) {
    let list: Vec<_> = texts.iter().copied().map(text).collect();
    (list.leak().as_mut_ptr(), texts.len())
}

/// What borrowed octets hold.
pub(crate) fn held(bytes: cloudauth_bytes) -> Vec<u8> {
    match bytes.len {
        0 => Vec::new(),
        // SAFETY: made by the library or by `bytes`.
        _ => unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) }.to_vec(),
    }
}

impl Probe {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            pointers: Cell::new(0),
            sizes: Cell::new(0),
            lengths: Cell::new(0),
            inputs: RefCell::default(),
            buf: leak([0xaa_u8; CAP]).cast(),
            len: leak(usize::MAX),
            error: blank(),
        }
    }

    pub(crate) fn good() -> Self {
        Self::new(Mode::Cap(CAP))
    }

    fn next(counter: &Cell<usize>) -> usize {
        counter.replace(counter.get() + 1)
    }

    /// A pointer that must not be null.
    pub(crate) fn ptr<T>(&self, ptr: *mut T) -> *mut T {
        if Mode::Null(Self::next(&self.pointers)) == self.mode { std::ptr::null_mut() } else { ptr }
    }

    /// A pointer to what is read.
    pub(crate) fn input<T>(&self, ptr: *mut T) -> *mut T {
        self.inputs.borrow_mut().push(ptr.cast());
        self.ptr(ptr)
    }

    /// A structure with a size that is read.
    pub(crate) fn params<T>(&self, ptr: *mut T) -> *mut T {
        self.inputs.borrow_mut().push(ptr.cast());
        self.output(ptr)
    }

    /// A structure with a size that is written.
    pub(crate) fn output<T>(&self, ptr: *mut T) -> *mut T {
        if Mode::Size(Self::next(&self.sizes)) == self.mode {
            // SAFETY: it begins with its size.
            unsafe { ptr.cast::<usize>().write(size_of::<T>() - 1) };
        }
        self.ptr(ptr)
    }

    /// Borrowed octets.
    pub(crate) fn bytes(&self, mut bytes: cloudauth_bytes) -> cloudauth_bytes {
        self.inputs.borrow_mut().push(bytes.ptr.cast_mut());
        if Mode::Length(Self::next(&self.lengths)) == self.mode {
            bytes.len = usize::MAX;
        }
        cloudauth_bytes { ptr: self.ptr(bytes.ptr.cast_mut()), len: bytes.len }
    }

    pub(crate) fn out(&self) -> *mut u8 {
        match self.mode {
            Mode::Overlap(n) => self.inputs.borrow()[n],
            _ => self.ptr(self.buf),
        }
    }

    pub(crate) fn cap(&self) -> usize {
        match self.mode {
            Mode::Cap(cap) => cap,
            Mode::Overlap(_) => 1,
            _ => CAP,
        }
    }

    pub(crate) fn len(&self) -> *mut usize {
        self.ptr(self.len)
    }

    /// The present content of the buffer.
    pub(crate) fn content(&self) -> Vec<u8> {
        // SAFETY: it has CAP octets.
        unsafe { std::slice::from_raw_parts(self.buf, CAP) }.to_vec()
    }

    pub(crate) fn written(&self) -> usize {
        // SAFETY: made by `new`.
        unsafe { *self.len }
    }
}
