//! What every call goes through: checking pointers, reading and writing structures, the buffer
//! protocol.

#[cfg(test)]
mod tests;

use core::cell::Cell;
use core::mem::{MaybeUninit, size_of};
use core::slice;

use cloudauth_core::{Attempt, UnixTime};
use zeroize::Zeroize;

use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::exchange::cloudauth_attempt;
use crate::layout::Struct;
use crate::result::{CLOUDAUTH_ERR_UTF8, CLOUDAUTH_OK, Fault, cloudauth_error, cloudauth_result};

/// The largest structure that is looked at: one of a later version of this library may be longer
/// than ours, as long as the rest is zero.
const MAX_STRUCT_LEN: usize = 4096;

/// The memory of one call. Whoever makes one vouches for every pointer that is read through it: it
/// is null, or points to as much as the structure or length beside it says, for the time of the
/// call.
///
/// A function first claims its outputs, all of them, and then looks at its inputs. What is wrong with
/// the arguments that all functions have (`early`) is told only then, so that outputs are zeroed
/// whatever is wrong. Nothing is written before the end of a call: what overlaps may be an input.
pub(crate) struct Cx {
    /// The size of the caller's buffer.
    cap: usize,
    /// What this call writes to: nothing else may lie there.
    outputs: [Cell<Claim>; MAX_OUTPUTS],
    /// How many of these there are.
    claimed: Cell<usize>,
    early: Outcome,
}

/// Memory that a call writes to.
#[derive(Clone, Copy)]
struct Claim {
    ptr: *mut u8,
    len: usize,
    /// From where on it is zeroed on failure.
    zero_from: usize,
}

impl Claim {
    const NONE: Self = Self { ptr: core::ptr::null_mut(), len: 0, zero_from: 0 };
}

/// The most outputs of one function.
const MAX_OUTPUTS: usize = 6;

pub(crate) type Outcome<T = ()> = Result<T, Fault>;

impl Cx {
    /// # Safety
    /// All pointers that are read through it are as the type says.
    const unsafe fn new(cap: usize) -> Self {
        let outputs = [const { Cell::new(Claim::NONE) }; MAX_OUTPUTS];
        Self { cap, outputs, claimed: Cell::new(0), early: Ok(()) }
    }

    /// How much the caller's buffer holds.
    pub(crate) const fn cap(&self) -> usize {
        self.cap
    }

    /// Fails if the arguments that all functions have are wrong. Looking at an input does so too.
    pub(crate) const fn ready(&self) -> Outcome {
        self.early
    }

    /// Looks at `count` times `size` octets, whatever is in them.
    #[inline(never)]
    fn area(&self, from: usize, count: usize, size: usize, field: &'static str) -> Outcome {
        let len = count.checked_mul(size).filter(|len| isize::try_from(*len).is_ok());
        let len = len.ok_or(Fault::length(field))?;
        if from == 0 && len != 0 {
            return Err(Fault::null(field));
        }
        let mut apart = true;
        for output in self.claims() {
            let Claim { ptr, len: other, .. } = output.get();
            let start = ptr.addr();
            // One begins within the other.
            let meets = start.wrapping_sub(from) < len || from.wrapping_sub(start) < other;
            if meets && len != 0 && other != 0 {
                // It may be an input.
                output.set(Claim { zero_from: other, ..output.get() });
                apart = false;
            }
        }
        if apart { Ok(()) } else { Err(Fault::overlap(field)) }
    }

    fn claims(&self) -> impl Iterator<Item = &Cell<Claim>> {
        self.outputs.iter().take(self.claimed.get())
    }

    /// Looks at memory that this call will write to, and keeps everything else out of it from here
    /// on. On failure it is zeroed, but for the first octets.
    #[inline(never)]
    fn claim_but(
        &self,
        ptr: *mut u8,
        (count, size): (usize, usize),
        zero_from: usize,
        field: &'static str,
    ) -> Outcome {
        self.area(ptr.addr(), count, size, field)?;
        // It does not overflow: `area` has looked.
        let len = count.wrapping_mul(size);
        let index = self.claimed.get();
        let zero_from = zero_from.min(len);
        self.outputs.get(index).ok_or(Fault::internal())?.set(Claim { ptr, len, zero_from });
        self.claimed.set(index + 1);
        Ok(())
    }

    /// The same of memory that is left as it is on failure.
    pub(crate) fn claim<T>(&self, ptr: *mut T, count: usize, field: &'static str) -> Outcome {
        self.claim_but(ptr.cast(), (count, size_of::<T>()), usize::MAX, field)
    }

    /// The same of memory for one `T`, that is zeroed on failure.
    pub(crate) fn put<T>(&self, ptr: *mut T, field: &'static str) -> Outcome {
        self.claim_but(ptr.cast(), (1, size_of::<T>()), 0, field)
    }

    /// What is claimed there is written, and stays on failure.
    fn keep(&self, ptr: *mut u8) {
        for output in self.claims() {
            let claim = output.get();
            if claim.ptr == ptr {
                output.set(Claim { zero_from: claim.len, ..claim });
            }
        }
    }

    /// Whether what is claimed there overlaps nothing that this call was given so far.
    #[cfg(feature = "std")]
    pub(crate) fn is_apart<T>(&self, ptr: *const T) -> bool {
        let mut claims = self.claims().map(Cell::get);
        claims.any(|claim| ptr.addr() == claim.ptr.addr() && claim.zero_from < claim.len)
    }

    /// Looks at memory for `count` of `T` that is read.
    pub(crate) fn check<T>(&self, ptr: *const T, count: usize, field: &'static str) -> Outcome {
        self.check_area(ptr.addr(), count, size_of::<T>(), field)
    }

    #[inline(never)]
    fn check_area(&self, from: usize, count: usize, size: usize, field: &'static str) -> Outcome {
        self.ready()?;
        self.area(from, count, size, field)
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
        self.check_text(bytes, field)?;
        // SAFETY: it is UTF-8.
        Ok(unsafe { core::str::from_utf8_unchecked(self.seen(bytes)) })
    }

    // A failure fits registers, a failure or a text does not.
    #[inline(never)]
    fn check_text(&self, bytes: cloudauth_bytes, field: &'static str) -> Outcome {
        match crate::bytes::is_utf8(self.bytes(bytes, field)?) {
            true => Ok(()),
            false => Err(Fault::new(CLOUDAUTH_ERR_UTF8, field, "expected UTF-8")),
        }
    }

    /// What `bytes` or `text` has looked at.
    pub(crate) fn seen(&self, bytes: cloudauth_bytes) -> &[u8] {
        match bytes.len {
            0 => &[],
            // SAFETY: as in `bytes`, which found nothing wrong.
            len => unsafe { slice::from_raw_parts(bytes.ptr, len) },
        }
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
        let into = into.get_mut(..count).ok_or(Fault::capacity(field))?;
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

    pub(crate) fn pair(&self, pair: cloudauth_pair, field: &'static str) -> Outcome<(&str, &str)> {
        Ok((self.text(pair.name, field)?, self.text(pair.value, field)?))
    }

    pub(crate) fn pairs<'l, 'a: 'l>(
        &'a self,
        list: (*const cloudauth_pair, usize),
        field: &'static str,
        into: &'l mut [(&'a str, &'a str)],
    ) -> Outcome<&'l [(&'a str, &'a str)]> {
        self.list(list, field, into, |pair| self.pair(pair, field))
    }

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

    /// One element of a list that `each` has looked at.
    pub(crate) fn nth<T: Copy>(&self, (ptr, count): (*const T, usize), index: usize) -> Option<T> {
        (index < count).then(|| self.element(ptr, index))
    }

    /// A copy of the caller's structure, which may be of another version: what it does not have is
    /// zero, and what we do not have must be.
    pub(crate) fn read<T: Struct>(&self, ptr: *const T, field: &'static str) -> Outcome<T> {
        let mut value = zeroed::<T>();
        self.read_to(ptr, &mut value, field)?;
        Ok(value)
    }

    /// The same in its place, which is shorter.
    pub(crate) fn read_to<T: Struct>(
        &self,
        ptr: *const T,
        value: &mut T,
        field: &'static str,
    ) -> Outcome {
        self.copy(ptr.cast(), (&raw mut *value).cast(), T::FIRST, size_of::<T>(), field)
    }

    fn copy(
        &self,
        from: *const u8,
        to: *mut u8,
        first: usize,
        known: usize,
        field: &'static str,
    ) -> Outcome {
        self.ready()?;
        let size = self.size(from, first, field)?;
        self.area(from.addr(), size, 1, field)?;
        // SAFETY: the caller's structure has `size` octets, and ours has `known`.
        unsafe { to.copy_from_nonoverlapping(from, size.min(known)) };
        match (known..size).all(|at| self.element(from, at) == 0) {
            true => Ok(()),
            false => Err(Fault::size(field)),
        }
    }

    /// The size of a structure, according to itself.
    fn size(&self, ptr: *const u8, first: usize, field: &'static str) -> Outcome<usize> {
        self.area(ptr.addr(), 1, size_of::<usize>(), field)?;
        let size = self.element(ptr.cast::<usize>(), 0);
        match (first..=MAX_STRUCT_LEN).contains(&size) {
            true => Ok(size),
            false => Err(Fault::size(field)),
        }
    }

    /// Claims an output structure. On failure all of it but its size is zeroed.
    pub(crate) fn clear<T: Struct>(&self, ptr: *mut T, field: &'static str) -> Outcome {
        self.clear_from(ptr.cast(), T::FIRST, field)
    }

    fn clear_from(&self, ptr: *mut u8, first: usize, field: &'static str) -> Outcome {
        let size = self.size(ptr, first, field)?;
        self.claim_but(ptr, (size, 1), size_of::<usize>(), field)
    }

    /// Writes an output structure that `clear` has looked at: its size stays, and members that the
    /// caller does not know are left out.
    pub(crate) fn write<T: Struct>(&self, ptr: *mut T, value: &T) {
        self.write_from(ptr.cast(), (&raw const *value).cast(), size_of::<T>());
    }

    #[inline(never)]
    fn write_from(&self, to: *mut u8, from: *const u8, len: usize) {
        let rest = size_of::<usize>();
        let size = self.element(to.cast::<usize>(), 0);
        let known = size.min(len).saturating_sub(rest);
        // SAFETY: as in `clear`.
        unsafe {
            let to = to.add(rest);
            to.copy_from_nonoverlapping(from.add(rest), known);
            to.add(known).write_bytes(0, size.saturating_sub(rest).saturating_sub(known));
        }
        self.keep(to);
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
        let mut copy = zeroed::<cloudauth_attempt>();
        self.read_to(at, &mut copy, "attempt")?;
        let at = &mut copy;
        let attempt = match self.time(at.time) {
            Ok(_) if at.random.iter().fold(0, |any, octet| any | octet) == 0 => {
                let help = "are all zeros; fill them from the system's random source";
                Err(Fault::new(crate::result::CLOUDAUTH_ERR_INVALID, "random octets", help))
            }
            Ok(time) => Ok(Attempt::new(time, at.random)),
            Err(fault) => Err(fault),
        };
        at.random.zeroize();
        attempt
    }
}

impl Cx {
    /// Begins a call: claims the caller's `cloudauth_error`, too.
    fn begin(&mut self, claimed: Outcome, error: *mut cloudauth_error) -> bool {
        let told = if error.is_null() { Ok(()) } else { self.clear(error, "error") };
        self.early = claimed.and(told);
        told.is_ok() && !error.is_null()
    }

    /// Ends a call: fills in the `cloudauth_error`, if `begin` found it to be one; zeroes outputs on
    /// failure.
    fn end(&self, outcome: Outcome, tell: bool, error: *mut cloudauth_error) -> cloudauth_result {
        let mut told = zeroed::<cloudauth_error>();
        if let Err(fault) = outcome.and(self.early) {
            for output in self.claims() {
                let Claim { ptr, len, zero_from } = output.get();
                if zero_from < len {
                    // SAFETY: `area` has looked at it.
                    unsafe { ptr.add(zero_from).write_bytes(0, len - zero_from) };
                }
            }
            fault.describe(&mut told);
        }
        let overlaps = |output: &Cell<Claim>| {
            let Claim { ptr, len, zero_from } = output.get();
            ptr == error.cast() && zero_from == len
        };
        if tell && !self.claims().any(overlaps) {
            self.write(error, &told);
        }
        told.result
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
    let mut cx = unsafe { Cx::new(0) };
    let tell = cx.begin(Ok(()), error);
    let outcome = body(&cx);
    cx.end(outcome, tell, error)
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
    let mut cx = unsafe { Cx::new(0) };
    let claimed = cx.claim(ptr, len, "body");
    let tell = cx.begin(claimed, error);
    let bytes = match (claimed, len) {
        (Err(_), _) | (_, 0) => &mut [],
        // SAFETY: not null, at most isize::MAX, and nothing else is read that overlaps it.
        _ => unsafe { slice::from_raw_parts_mut(ptr, len) },
    };
    let outcome = body(&cx, bytes);
    cx.end(outcome, tell, error)
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
/// # Safety
/// As [`run`].
pub(crate) unsafe fn fill(
    output: Output,
    error: *mut cloudauth_error,
    body: &mut dyn FnMut(&Cx, &mut [u8]) -> Outcome<usize>,
) -> cloudauth_result {
    let Output { ptr, cap, len } = output;
    // SAFETY: the caller's promise is passed on.
    let mut cx = unsafe { Cx::new(cap) };
    // Each for itself, so that one that is wrong keeps none of the others from being zeroed.
    let count = cx.put(len, "len");
    let out = cx.claim_but(ptr, (cap, 1), 0, "out");
    let tell = cx.begin(count.and(out), error);
    let mut written = 0;
    let outcome = fill_claimed(&cx, ptr, body, &mut written);
    if let Err(fault) = &outcome
        && fault.needed().is_some()
    {
        cx.keep(ptr);
    }
    let result = cx.end(outcome, tell, error);
    if written != 0 || result == CLOUDAUTH_OK {
        cx.update(len, written);
    }
    result
}

/// Sets `written` to what the caller is to be told of the length.
fn fill_claimed(
    cx: &Cx,
    ptr: *mut u8,
    body: &mut dyn FnMut(&Cx, &mut [u8]) -> Outcome<usize>,
    written: &mut usize,
) -> Outcome {
    let claimed = cx.claimed.get();
    let need = match body(cx, &mut []).and_then(|len| cx.ready().map(|()| len)) {
        Ok(0) => return Ok(()),
        Ok(_) => return Err(Fault::internal()),
        Err(fault) => match fault.needed().ok_or(fault)? {
            need if need > cx.cap => {
                *written = need;
                return Err(fault);
            }
            need => need,
        },
    };
    // The second run claims its outputs itself.
    cx.claimed.set(claimed);
    // It may never have been written to, which a slice must have been.
    // SAFETY: not null, and as long as the caller says; nothing else overlaps it.
    let buf = unsafe {
        ptr.write_bytes(0, need);
        slice::from_raw_parts_mut(ptr, need)
    };
    match body(cx, buf) {
        Ok(len) => {
            *written = len;
            Ok(())
        }
        Err(fault) if fault.needed().is_some() => Err(Fault::internal()),
        Err(fault) => Err(fault),
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
