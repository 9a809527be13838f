//! Objects that lie in the caller's memory and hold a Rust value.

use core::mem::{ManuallyDrop, align_of, size_of};
use core::ptr;

use crate::bytes;
use crate::call::{Cx, Outcome};
use crate::result::{CLOUDAUTH_ERR_STATE, Fault};

/// An opaque structure of the header: `repr(C)`, and nothing but an array of `u64`. The first says
/// what it holds, the rest is room for it.
///
/// # Safety It is just such a structure, and no two have the same tag.
pub(crate) unsafe trait Handle: Sized {
    type Value;
    const TAG: u64;
}

/// Whether the value fits, to be asserted at compile time for each handle.
pub(crate) const fn fits<H: Handle>() -> bool {
    size_of::<H::Value>() + size_of::<u64>() <= size_of::<H>()
        && align_of::<H::Value>() <= align_of::<u64>()
        && align_of::<H>() == align_of::<u64>()
}

fn aligned(words: *const u64, field: &'static str) -> Outcome {
    match words.is_aligned() {
        true => Ok(()),
        false => Err(Fault::new(CLOUDAUTH_ERR_STATE, field, "is not aligned")),
    }
}

/// Makes sure that `set` will do. What was there is not dropped: the memory may never have been
/// written to.
pub(crate) fn clear<H: Handle>(cx: &Cx, handle: *mut H, field: &'static str) -> Outcome {
    cx.put(handle, field)?;
    aligned(handle.cast(), field)
}

/// Puts a value into what `clear` has looked at. It is taken from where it was made, and nothing of it
/// is left there.
pub(crate) fn set<H: Handle, E>(
    _: &Cx,
    handle: *mut H,
    made: &mut ManuallyDrop<Result<H::Value, E>>,
) -> Outcome
where
    Fault: From<E>,
    E: Copy,
{
    let set = match &**made {
        // SAFETY: as in `clear`. The value is not used again.
        Ok(value) => unsafe {
            handle.cast::<u8>().write_bytes(0, size_of::<H>());
            move_in(handle, value);
            Ok(())
        },
        Err(error) => Err(Fault::from(*error)),
    };
    // SAFETY: it is not looked at again, and not dropped.
    unsafe { bytes::wipe((&raw mut *made).cast(), size_of_val(made)) };
    set
}

/// As `set`, for a value that is made in its place: `empty` is put there, and `make` makes of it what it
/// is to be.
pub(crate) fn make<H: Handle, E>(
    _: &Cx,
    handle: *mut H,
    empty: H::Value,
    make: impl FnOnce(&mut H::Value) -> Result<(), E>,
) -> Outcome
where
    Fault: From<E>,
{
    let words = handle.cast::<u64>();
    // SAFETY: as in `clear`; that the value fits behind the tag is asserted for every handle.
    unsafe {
        words.write_bytes(0, size_of::<H>() / size_of::<u64>());
        let value = words.add(1).cast::<H::Value>();
        value.write(empty);
        let made = make(&mut *value);
        match made {
            Ok(()) => words.write(H::TAG),
            Err(_) => {
                ptr::drop_in_place(value);
                bytes::wipe(words.cast(), size_of::<H>());
            }
        }
        Ok(made?)
    }
}

/// Puts a value into a handle. It is never copied as an array of numbers: these do not keep what
/// pointers point to.
///
/// # Safety
/// There is a handle, and `value` is neither used nor dropped again.
pub(crate) unsafe fn move_in<H: Handle>(handle: *mut H, value: &H::Value) {
    let words = handle.cast::<u64>();
    // SAFETY: that the value fits behind the tag is asserted for every handle.
    unsafe {
        let to = words.add(1).cast::<u8>();
        to.copy_from_nonoverlapping((&raw const *value).cast(), size_of::<H::Value>());
        words.write_unaligned(H::TAG);
    }
}

/// The value in a handle.
pub(crate) fn get<'a, H: Handle>(
    cx: &'a Cx,
    handle: *const H,
    field: &'static str,
) -> Outcome<&'a H::Value> {
    let words = handle.cast();
    tagged(cx, words, size_of::<H>() / size_of::<u64>(), H::TAG, field)?;
    // SAFETY: aligned, as long as the caller's structure, and not written to in this call. The value is
    // there since the tag is.
    Ok(unsafe { &*words.add(1).cast::<H::Value>() })
}

#[inline(never)]
fn tagged(cx: &Cx, words: *const u64, count: usize, tag: u64, field: &'static str) -> Outcome {
    cx.check(words, count, field)?;
    aligned(words, field)?;
    // SAFETY: not null, aligned, and not written to in this call; see `Cx`.
    match unsafe { words.read() } == tag {
        true => Ok(()),
        false => Err(Fault::new(CLOUDAUTH_ERR_STATE, field, "is not initialised")),
    }
}

/// Drops the value and zeroes its memory; does nothing if there is none.
///
/// # Safety
/// `handle` is null, or points to the structure, which nobody else uses.
pub(crate) unsafe fn wipe<H: Handle>(handle: *mut H) {
    let words = handle.cast::<u64>();
    if words.is_null() || !words.is_aligned() {
        return;
    }
    // SAFETY: the caller's promise; the value is there if the tag is.
    unsafe {
        if words.read() == H::TAG {
            ptr::drop_in_place(words.add(1).cast::<H::Value>());
        }
        bytes::wipe(words.cast(), size_of::<H>());
    }
}
