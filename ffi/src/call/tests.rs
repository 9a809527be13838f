//! Structures that have grown, and what becomes of outputs.

use super::*;
use crate::result::{CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE};

/// A structure that has grown: a program may know no more than `second`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grown {
    size: usize,
    first: u32,
    second: u32,
    third: u64,
}

// SAFETY: repr(C), begins with its size, and all zeros are a value.
unsafe impl Struct for Grown {
    const FIRST: usize = size_of::<usize>() + 8;
}

const VALUE: Grown = Grown { size: 0, first: 1, second: 2, third: 3 };

fn cx() -> Cx {
    // SAFETY: what is read below is there.
    unsafe { Cx::new(0) }
}

#[test]
fn an_older_caller_is_read_and_written_by_its_own_size() {
    let full = size_of::<Grown>();
    for (size, third) in [(Grown::FIRST, 0), (full, 3)] {
        let from = Grown { size, ..VALUE };
        let read = cx().read(&raw const from, "x").ok();
        assert_eq!(read, Some(Grown { third, ..from }));

        // What lies behind the older structure is not the library's.
        let mut to = Grown { size, first: 7, second: 7, third: 7 };
        let cx = cx();
        assert!(cx.clear(&raw mut to, "x").is_ok());
        cx.write(&raw mut to, &VALUE);
        assert_eq!(to, Grown { size, third: if third == 0 { 7 } else { 3 }, ..VALUE });
    }
    for size in [0, Grown::FIRST - 1, MAX_STRUCT_LEN + 1, usize::MAX] {
        let mut from = Grown { size, ..VALUE };
        let refused = cx().read(&raw const from, "x").unwrap_err();
        assert_eq!(refused.result(), CLOUDAUTH_ERR_STRUCT_SIZE);
        let refused = cx().clear(&raw mut from, "x").unwrap_err();
        assert_eq!(refused.result(), CLOUDAUTH_ERR_STRUCT_SIZE);
    }
}

#[test]
fn on_failure_an_older_output_is_zeroed_and_no_more() {
    let mut to = Grown { size: Grown::FIRST, first: 7, second: 7, third: 7 };
    // SAFETY: there is what is pointed to.
    let result = unsafe {
        run(core::ptr::null_mut(), &mut |cx| {
            cx.clear(&raw mut to, "x")?;
            Err(Fault::number("x"))
        })
    };
    assert_eq!(result, Fault::number("x").result());
    assert_eq!(to, Grown { size: Grown::FIRST, first: 0, second: 0, third: 7 });
}

#[test]
fn what_overlaps_is_left_as_it_is() {
    let (mut inner, mut other) = ([7_u64; 4], 7_u64);
    let ptr = (&raw mut inner).cast::<u64>();
    // SAFETY: there is what is pointed to.
    let result = unsafe {
        run(core::ptr::null_mut(), &mut |cx| {
            cx.put(&raw mut other, "other")?;
            cx.put(ptr.cast::<[u64; 2]>(), "output")?;
            // Neighbours do not overlap.
            cx.check(ptr.add(2), 2, "input")?;
            cx.check(ptr.add(1), 0, "nothing")?;
            cx.check(ptr.add(1), 2, "input")
        })
    };
    assert_eq!((result, inner, other), (CLOUDAUTH_ERR_OVERLAP, [7; 4], 0));
}
