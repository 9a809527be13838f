//! What every call goes through: checking pointers, reading and writing structures, the buffer
//! protocol.

use core::cell::Cell;
use core::mem::{MaybeUninit, size_of};
use core::slice;

use cloudauth_core::{Attempt, UnixTime};
use zeroize::Zeroize;

use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::exchange::cloudauth_attempt;
use crate::layout::Struct;
use crate::result::{
    CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_OK, Fault,
    cloudauth_error, cloudauth_result,
};

/// The largest structure that is looked at: one of a later version of this library may be longer
/// than ours, as long as the rest is zero.
const MAX_STRUCT_LEN: usize = 4096;

/// The memory of one call. Whoever makes one vouches for every pointer that is read through it: it
/// is null, or points to as much as the structure or length beside it says, for the time of the
/// call.
pub(crate) struct Cx {
    /// The size of the caller's buffer.
    cap: usize,
    /// What this call writes to, as addresses from and to: nothing else may lie there.
    outputs: Cell<[(usize, usize); MAX_OUTPUTS]>,
}

/// The most outputs of one function.
const MAX_OUTPUTS: usize = 6;

pub(crate) type Outcome<T = ()> = Result<T, Fault>;

impl Cx {
    /// # Safety
    /// All pointers that are read through it are as the type says.
    unsafe fn new(out: *mut u8, cap: usize) -> Self {
        let mut outputs = [(0, 0); MAX_OUTPUTS];
        outputs[0] = (out.addr(), out.addr().saturating_add(cap));
        Self { cap, outputs: Cell::new(outputs) }
    }

    /// How much the caller's buffer holds.
    pub(crate) fn cap(&self) -> usize {
        self.cap
    }

    fn disjoint(&self, from: usize, len: usize, field: &'static str) -> Outcome {
        let to = from.saturating_add(len);
        let meets = |(start, end): (usize, usize)| start < end && from < end && start < to;
        match len != 0 && self.outputs.get().into_iter().any(meets) {
            true => Err(Fault::overlap(field)),
            false => Ok(()),
        }
    }

    /// Looks at memory that this call will write to, and keeps everything else out of it from here
    /// on.
    pub(crate) fn claim<T>(&self, ptr: *mut T, count: usize, field: &'static str) -> Outcome {
        self.check(ptr, count, field)?;
        let from = ptr.addr();
        let mut outputs = self.outputs.get();
        let free = outputs.iter_mut().find(|(start, end)| start >= end);
        *free.ok_or(Fault::internal())? =
            (from, from.saturating_add(count.saturating_mul(size_of::<T>())));
        self.outputs.set(outputs);
        Ok(())
    }

    fn check<T>(&self, ptr: *const T, count: usize, field: &'static str) -> Outcome {
        let len = count.checked_mul(size_of::<T>()).filter(|len| isize::try_from(*len).is_ok());
        let len = len.ok_or(Fault::length(field))?;
        if ptr.is_null() && len != 0 {
            return Err(Fault::null(field));
        }
        self.disjoint(ptr.addr(), len, field)
    }

    /// Looks at memory for one `T`, whatever is in it.
    pub(crate) fn room<T>(&self, ptr: *const T, field: &'static str) -> Outcome {
        self.check(ptr, 1, field)
    }

    pub(crate) fn bytes<'a>(
        &'a self,
        bytes: cloudauth_bytes,
        field: &'static str,
    ) -> Outcome<&'a [u8]> {
        self.check(bytes.ptr, bytes.len, field)?;
        if bytes.len == 0 {
            return Ok(&[]);
        }
        // SAFETY: not null, at most isize::MAX, and not written to in this call; see `Cx`.
        Ok(unsafe { slice::from_raw_parts(bytes.ptr, bytes.len) })
    }

    pub(crate) fn array<'a, const N: usize>(
        &'a self,
        ptr: *const u8,
        field: &'static str,
    ) -> Outcome<&'a [u8; N]> {
        self.check(ptr, N, field)?;
        // SAFETY: not null, and not written to in this call; see `Cx`.
        Ok(unsafe { &*ptr.cast() })
    }

    pub(crate) fn text<'a>(
        &'a self,
        bytes: cloudauth_bytes,
        field: &'static str,
    ) -> Outcome<&'a str> {
        core::str::from_utf8(self.bytes(bytes, field)?)
            .map_err(|_| Fault::new(CLOUDAUTH_ERR_UTF8, field, "expected UTF-8"))
    }

    /// An empty text is none.
    pub(crate) fn optional<'a>(
        &'a self,
        bytes: cloudauth_bytes,
        field: &'static str,
    ) -> Outcome<Option<&'a str>> {
        Ok(Some(self.text(bytes, field)?).filter(|text| !text.is_empty()))
    }

    fn element<T: Copy>(&self, ptr: *const T, index: usize) -> T {
        // SAFETY: below the count that `check` has looked at; see `Cx`.
        unsafe { ptr.add(index).read_unaligned() }
    }

    /// Fills `into` with what `read` makes of each of `count` elements.
    pub(crate) fn list<'l, T: Copy, U>(
        &self,
        (ptr, count): (*const T, usize),
        field: &'static str,
        into: &'l mut [U],
        read: impl Fn(T) -> Outcome<U>,
    ) -> Outcome<&'l [U]> {
        self.check(ptr, count, field)?;
        let into = into.get_mut(..count).ok_or(cloudauth_core::Error::new(
            cloudauth_core::ErrorKind::Capacity,
            field,
            "has more entries than this library has room for",
        ))?;
        for (index, slot) in into.iter_mut().enumerate() {
            *slot = read(self.element(ptr, index)).map_err(|fault| fault.of_element(index))?;
        }
        Ok(into)
    }

    pub(crate) fn texts<'l, 'a: 'l>(
        &'a self,
        list: (*const cloudauth_bytes, usize),
        field: &'static str,
        into: &'l mut [&'a str],
    ) -> Outcome<&'l [&'a str]> {
        self.list(list, field, into, |bytes| self.text(bytes, field))
    }

    pub(crate) fn octets<'l, 'a: 'l>(
        &'a self,
        list: (*const cloudauth_bytes, usize),
        field: &'static str,
        into: &'l mut [&'a [u8]],
    ) -> Outcome<&'l [&'a [u8]]> {
        self.list(list, field, into, |bytes| self.bytes(bytes, field))
    }

    pub(crate) fn pairs<'l, 'a: 'l>(
        &'a self,
        list: (*const cloudauth_pair, usize),
        field: &'static str,
        into: &'l mut [(&'a str, &'a str)],
    ) -> Outcome<&'l [(&'a str, &'a str)]> {
        self.list(list, field, into, |pair: cloudauth_pair| {
            Ok((self.text(pair.name, field)?, self.text(pair.value, field)?))
        })
    }

    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    /// Calls `look` with each of `count` elements.
    pub(crate) fn each<T: Copy>(
        &self,
        (ptr, count): (*const T, usize),
        field: &'static str,
        look: &mut dyn FnMut(T) -> Outcome,
    ) -> Outcome {
        self.check(ptr, count, field)?;
        (0..count).try_for_each(|index| {
            look(self.element(ptr, index)).map_err(|fault| fault.of_element(index))
        })
    }

    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    /// One element of a list that `each` has looked at.
    pub(crate) fn nth<T: Copy>(&self, (ptr, count): (*const T, usize), index: usize) -> Option<T> {
        (index < count).then(|| self.element(ptr, index))
    }

    /// A copy of the caller's structure, which may be of a later version if the rest of it is zero.
    pub(crate) fn read<T: Struct>(&self, ptr: *const T, field: &'static str) -> Outcome<T> {
        self.check(ptr.cast::<usize>(), 1, field)?;
        let size = self.element(ptr.cast::<usize>(), 0);
        const WRONG: &str = "expected sizeof of the structure in its member size";
        let wrong = Fault::new(CLOUDAUTH_ERR_STRUCT_SIZE, field, WRONG);
        if !(size_of::<T>()..=MAX_STRUCT_LEN).contains(&size) {
            return Err(wrong);
        }
        self.check(ptr.cast::<u8>(), size, field)?;
        let more = size_of::<T>()..size;
        if more.into_iter().any(|at| self.element(ptr.cast::<u8>(), at) != 0) {
            return Err(wrong);
        }
        Ok(self.element(ptr, 0))
    }

    /// Looks at an output structure and zeroes all of it but its size.
    pub(crate) fn clear<T: Struct>(&self, ptr: *mut T, field: &'static str) -> Outcome {
        self.check(ptr.cast::<usize>(), 1, field)?;
        let size = self.element(ptr.cast::<usize>(), 0);
        if !(size_of::<T>()..=MAX_STRUCT_LEN).contains(&size) {
            let help = "expected sizeof of the structure in its member size";
            return Err(Fault::new(CLOUDAUTH_ERR_STRUCT_SIZE, field, help));
        }
        self.claim(ptr.cast::<u8>(), size, field)?;
        // SAFETY: within what `size` says; see `Cx`.
        unsafe {
            ptr.cast::<u8>().add(size_of::<usize>()).write_bytes(0, size - size_of::<usize>())
        };
        Ok(())
    }

    /// Writes an output structure that `clear` has looked at; its size stays.
    pub(crate) fn write<T: Struct>(&self, ptr: *mut T, value: T) {
        let size = self.element(ptr.cast::<usize>(), 0);
        // SAFETY: as in `clear`.
        unsafe {
            ptr.write_unaligned(value);
            ptr.cast::<usize>().write_unaligned(size);
        }
    }

    /// Claims memory for a plain value, and sets it to `first`.
    pub(crate) fn put<T: Copy>(&self, ptr: *mut T, first: T, field: &'static str) -> Outcome {
        self.claim(ptr, 1, field)?;
        self.update(ptr, first);
        Ok(())
    }

    /// Writes a plain value to memory that is claimed.
    pub(crate) fn update<T: Copy>(&self, ptr: *mut T, value: T) {
        // SAFETY: not null; see `Cx`.
        unsafe { ptr.write_unaligned(value) };
    }

    pub(crate) fn time(&self, seconds: i64) -> Outcome<UnixTime> {
        const BAD: Fault = Fault::new(
            crate::result::CLOUDAUTH_ERR_INVALID,
            "time",
            "expected seconds since 1970, before the year 10000",
        );
        let seconds = u64::try_from(seconds).map_err(|_| BAD)?;
        UnixTime::new(seconds).map_err(|_| BAD)
    }

    pub(crate) fn attempt(&self, at: *const cloudauth_attempt) -> Outcome<Attempt> {
        let mut at = self.read(at, "attempt")?;
        let zeros = at.random == [0; 32];
        let attempt = Attempt::new(self.time(at.time)?, at.random);
        at.random.zeroize();
        if zeros {
            let help = "are all zeros; fill them from the system's random source";
            return Err(Fault::new(crate::result::CLOUDAUTH_ERR_INVALID, "random octets", help));
        }
        Ok(attempt)
    }
}

/// Ends a call: fills in the caller's `cloudauth_error`.
///
/// # Safety
/// `error` is null, or points to a `cloudauth_error`.
unsafe fn report(error: *mut cloudauth_error, outcome: Outcome) -> cloudauth_result {
    // SAFETY: the caller's promise is passed on.
    let cx = unsafe { Cx::new(core::ptr::null_mut(), 0) };
    let described = match (&outcome, error.is_null()) {
        (_, true) => Ok(()),
        (Ok(()), false) => cx.clear(error, "error"),
        (Err(fault), false) => cx.clear(error, "error").map(|()| cx.write(error, fault.describe())),
    };
    match (outcome, described) {
        (Err(fault), _) => fault.result,
        // The work is done; that nobody can be told what went wrong is then no failure.
        (Ok(()), _) => CLOUDAUTH_OK,
    }
}

/// A call without an output buffer.
///
/// # Safety
/// `error` is null or points to a `cloudauth_error`; all other pointers are as [`Cx`] says.
pub(crate) unsafe fn run(
    error: *mut cloudauth_error,
    body: &mut dyn FnMut(&Cx) -> Outcome,
) -> cloudauth_result {
    // SAFETY: the caller's promise is passed on.
    let cx = unsafe { Cx::new(core::ptr::null_mut(), 0) };
    let outcome = check_error(&cx, error).and_then(|()| body(&cx));
    // SAFETY: the caller's promise is passed on.
    unsafe { report(error, outcome) }
}

/// A wrong `cloudauth_error` is a mistake like any other, found before anything is done.
fn check_error(cx: &Cx, error: *mut cloudauth_error) -> Outcome {
    if error.is_null() { Ok(()) } else { cx.clear(error, "error") }
}

/// A buffer of the caller's that is changed in place.
pub(crate) struct InPlace {
    pub(crate) ptr: *mut u8,
    pub(crate) len: usize,
}

/// A call that changes a buffer in place. Nothing else may overlap it.
///
/// # Safety
/// As [`run`].
pub(crate) unsafe fn run_in_place<'b>(
    buffer: InPlace,
    error: *mut cloudauth_error,
    body: &mut dyn FnMut(&Cx, &'b mut [u8]) -> Outcome,
) -> cloudauth_result {
    let InPlace { ptr, len } = buffer;
    // SAFETY: the caller's promise is passed on.
    let cx = unsafe { Cx::new(ptr, len) };
    let outcome = check_error(&cx, error).and_then(|()| {
        // Without the range, or it would overlap itself.
        // SAFETY: the caller's promise is passed on.
        unsafe { Cx::new(core::ptr::null_mut(), 0) }.check(ptr, len, "body")?;
        let bytes = match len {
            0 => &mut [],
            // SAFETY: not null, at most isize::MAX, and nothing else is read that overlaps it.
            _ => unsafe { slice::from_raw_parts_mut(ptr, len) },
        };
        body(&cx, bytes)
    });
    // SAFETY: the caller's promise is passed on.
    unsafe { report(error, outcome) }
}

/// The output of a call.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) ptr: *mut u8,
    pub(crate) cap: usize,
    pub(crate) len: *mut usize,
}

/// A call that fills a buffer. `body` gives the length. It runs first with an empty buffer, which
/// tells the needed size, then with one of just that size, if there is so much; nothing is signed
/// before.
///
/// # Safety As [`run`].
pub(crate) unsafe fn fill(
    output: Output,
    error: *mut cloudauth_error,
    body: &mut dyn FnMut(&Cx, &mut [u8]) -> Outcome<usize>,
) -> cloudauth_result {
    // SAFETY: the caller's promise is passed on.
    let outcome = unsafe { fill_checked(output, error, body) };
    // SAFETY: the caller's promise is passed on.
    unsafe { report(error, outcome) }
}

/// # Safety
/// As [`run`].
unsafe fn fill_checked(
    output: Output,
    error: *mut cloudauth_error,
    body: &mut dyn FnMut(&Cx, &mut [u8]) -> Outcome<usize>,
) -> Outcome {
    let Output { ptr, cap, len } = output;
    // SAFETY: the caller's promise is passed on.
    let outside = unsafe { Cx::new(core::ptr::null_mut(), 0) };
    let start = || -> Outcome<Cx> {
        // SAFETY: the caller's promise is passed on.
        let cx = unsafe { Cx::new(ptr, cap) };
        cx.claim(len, 1, "len")?;
        check_error(&cx, error)?;
        Ok(cx)
    };
    outside.check(len, 1, "len")?;
    outside.check(ptr, cap, "out")?;
    start()?;
    outside.update(len, 0);
    let zero = |fault: Fault| {
        if fault.result != CLOUDAUTH_ERR_OVERLAP && cap != 0 {
            // SAFETY: not null, and as long as the caller says.
            unsafe { ptr.write_bytes(0, cap) };
        }
        fault
    };
    let need = match body(&start()?, &mut []) {
        Ok(0) => return Ok(()),
        Ok(_) => return Err(Fault::internal()),
        Err(fault) => match fault.needed() {
            Some(need) if need <= cap => need,
            Some(need) => {
                outside.update(len, need);
                return Err(fault);
            }
            None => return Err(zero(fault)),
        },
    };
    // It may never have been written to, which a slice must have been.
    // SAFETY: not null, and as long as the caller says; nothing else overlaps it.
    let buf = unsafe {
        ptr.write_bytes(0, need);
        slice::from_raw_parts_mut(ptr, need)
    };
    match body(&start()?, buf) {
        Ok(written) => {
            outside.update(len, written);
            Ok(())
        }
        Err(fault) if fault.needed().is_some() => Err(zero(Fault::internal())),
        Err(fault) => Err(zero(fault)),
    }
}

/// Members called `reserved` must be 0, so that a later version can use them.
pub(crate) const fn unused(reserved: u32) -> Outcome {
    if reserved == 0 { Ok(()) } else { Err(Fault::number("reserved")) }
}

/// All zeros.
pub(crate) fn zeroed<T: Struct>() -> T {
    // SAFETY: all zeros are a value of every `Struct`.
    unsafe { MaybeUninit::zeroed().assume_init() }
}
