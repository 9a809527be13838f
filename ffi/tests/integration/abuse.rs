//! Every function, with one thing wrong at a time: a result that its comment in the header names, never a
//! crash, and the outputs as promised.

mod callbacks;
mod values;

use cloudauth::*;

use crate::cases::{Case, all};
use crate::header::documents;
use crate::probe::{CAP, Mode, Probe, Size};

/// Calls, and looks at all that is promised whatever was wrong.
fn call(case: &Case, p: &Probe) -> cloudauth_result {
    let result = (case.call)(p);
    assert!(documents(case.name, result), "{} {:?} gave {result}", case.name, p.mode);
    if !matches!(p.mode, Mode::Overlap(..)) {
        p.check(case.fills, result, case.name);
    }
    result
}

/// What the arguments of a case are made of.
fn parts(case: &Case) -> Probe {
    let p = Probe::new(Mode::Null(0));
    assert_eq!((case.call)(&p), CLOUDAUTH_ERR_NULL, "{}", case.name);
    p
}

/// Calls with the n-th thing wrong, for every n there is; how many there were.
fn each(
    count: impl Fn(&Probe) -> usize,
    mode: impl Fn(usize) -> Mode,
    expected: &[cloudauth_result],
) -> usize {
    let mut total = 0;
    for case in all() {
        let count = count(&parts(&case));
        for n in 0..count {
            let p = Probe::new(mode(n));
            let result = call(&case, &p);
            assert!(expected.contains(&result), "{} {:?} gave {result}", case.name, p.mode);
        }
        total += count;
    }
    total
}

#[test]
fn good_calls() {
    for case in all().iter().filter(|case| !(cfg!(miri) && case.slow)) {
        assert_eq!(call(case, &Probe::good()), CLOUDAUTH_OK, "{}", case.name);
    }
}

#[test]
fn null_pointers() {
    let count = each(|p| p.pointers.get(), Mode::Null, &[CLOUDAUTH_ERR_NULL]);
    assert!(count > 600, "{count}");
}

/// The error, a refusal, the signer of a flow that may do without.
#[test]
fn optional_null_pointers() {
    let signer_needed = CLOUDAUTH_ERR_INVALID;
    for case in all().iter().filter(|case| !(cfg!(miri) && case.slow)) {
        for n in 0..parts(case).optional.get() {
            let p = Probe::new(Mode::Optional(n));
            let result = call(case, &p);
            let allowed = case.name.ends_with("_request") && n == 0;
            assert!(result == CLOUDAUTH_OK || allowed && result == signer_needed, "{}", case.name);
        }
    }
}

#[test]
fn impossible_lengths() {
    for bad in [usize::MAX, isize::MAX.unsigned_abs() + 1] {
        let count = each(|p| p.lengths.get(), |n| Mode::Length(n, bad), &[CLOUDAUTH_ERR_LENGTH]);
        assert!(count > 350, "{count}");
    }
}

#[test]
fn wrong_struct_sizes() {
    for size in [Size::Zero, Size::Less, Size::TooMuch, Size::Max] {
        let mode = |n| Mode::Size(n, size);
        let count = each(|p| p.sizes.borrow().len(), mode, &[CLOUDAUTH_ERR_STRUCT_SIZE]);
        assert!(count > 250, "{count}");
    }
}

#[test]
fn structs_of_a_later_version() {
    for case in all().iter().filter(|case| !(cfg!(miri) && case.slow)) {
        let outputs = parts(case).sizes.borrow().clone();
        for (n, output) in outputs.into_iter().enumerate() {
            let zeros = call(case, &Probe::new(Mode::Size(n, Size::Later)));
            assert_eq!(zeros, CLOUDAUTH_OK, "{} {n}", case.name);
            let used = call(case, &Probe::new(Mode::Size(n, Size::LaterUsed)));
            let expected = if output { CLOUDAUTH_OK } else { CLOUDAUTH_ERR_STRUCT_SIZE };
            assert_eq!(used, expected, "{} {n}", case.name);
        }
    }
}

#[test]
fn unknown_numbers() {
    let count = each(|p| p.numbers.get(), Mode::Number, &[CLOUDAUTH_ERR_UNKNOWN_NUMBER]);
    assert!(count > 120, "{count}");
}

#[test]
fn texts_that_are_not_utf8() {
    let count = each(|p| p.texts.get(), Mode::Utf8, &[CLOUDAUTH_ERR_UTF8]);
    assert!(count > 180, "{count}");
}

#[test]
fn overlaps() {
    let mut count = 0;
    for case in all() {
        let places = parts(&case).places.borrow().clone();
        let outputs = places.iter().enumerate().filter(|(_, output)| **output);
        for (a, _) in outputs {
            // Under Miri not every pair, but every part.
            let step = if cfg!(miri) { a % 3 + 2 } else { 1 };
            for b in (0..places.len()).filter(|b| *b != a && (b + a) % step == 0) {
                let result = call(&case, &Probe::new(Mode::Overlap(a, b)));
                // What one says of its size is written over by the other.
                let found = [CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_STATE]
                    .contains(&result);
                assert!(found, "{} {a} {b} gave {result}", case.name);
                count += 1;
            }
        }
    }
    assert!(cfg!(miri) || count > 2000, "{count}");
}

#[test]
fn small_buffers() {
    for case in all().iter().filter(|case| case.fills) {
        let p = Probe::new(Mode::Cap(0));
        assert_eq!(call(case, &p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
        let need = p.written();
        assert_eq!(p.told().unwrap().detail, need);

        let p = Probe::new(Mode::Cap(need - 1));
        assert_eq!(call(case, &p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
        assert_eq!(p.written(), need);

        if cfg!(miri) && case.slow {
            continue;
        }
        let p = Probe::new(Mode::Cap(need));
        assert_eq!(call(case, &p), CLOUDAUTH_OK, "{}", case.name);
        assert!((1..=need).contains(&p.written()));
        assert_eq!(p.content()[need..], vec![0xaa; CAP - need], "{}", case.name);
    }
}
