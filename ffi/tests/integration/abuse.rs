//! Every function, with one thing wrong at a time: a result that its comment in the header names, never a
//! crash, and the outputs as promised.

mod callbacks;
mod values;

use std::sync::OnceLock;

use cloudauth::*;

use crate::cases::{Case, all};
use crate::header::documents;
use crate::probe::{CAP, Mode, Probe, Size};

/// Calls, and looks at all that is promised whatever was wrong.
fn call(case: &Case, p: &Probe) -> cloudauth_result {
    let result = (case.call)(p);
    // The header is much to read for Miri.
    let documented = cfg!(miri) || documents(case.name, result);
    assert!(documented, "{} {:?} gave {result}", case.name, p.mode);
    if !matches!(p.mode, Mode::Overlap(..)) {
        p.check(case.fills, result, case.name);
    }
    result
}

/// What the arguments of a case are made of: how many there are of each.
struct Parts {
    pointers: usize,
    optional: usize,
    lengths: usize,
    numbers: usize,
    texts: usize,
    callbacks: usize,
    /// Whether each is an output.
    sizes: Vec<bool>,
    places: Vec<bool>,
}

/// Every case, with its parts and its place in the list.
fn cases() -> impl Iterator<Item = (usize, Case, &'static Parts)> {
    static PARTS: OnceLock<Vec<Parts>> = OnceLock::new();
    let count = |case: &Case| {
        // A call that fails soon.
        let p = Probe::new(Mode::Null(0));
        assert_eq!((case.call)(&p), CLOUDAUTH_ERR_NULL, "{}", case.name);
        Parts {
            pointers: p.pointers.get(),
            optional: p.optional.get(),
            lengths: p.lengths.get(),
            numbers: p.numbers.get(),
            texts: p.texts.get(),
            callbacks: p.callbacks.get(),
            sizes: p.sizes.take(),
            places: p.places.take(),
        }
    };
    let parts = PARTS.get_or_init(|| all().iter().map(count).collect());
    all().into_iter().zip(parts).enumerate().map(|(i, (case, parts))| (i, case, parts))
}

/// Under Miri a call takes as long as thousands elsewhere, and an operation on a curve takes a minute. All
/// functions share the code that looks at arguments, so there one in `step` is taken, of every function
/// another one.
fn taken(index: usize, step: usize) -> bool {
    !cfg!(miri) || index.is_multiple_of(step)
}

/// The cases whose good call is to be made.
fn good_cases(step: usize) -> impl Iterator<Item = (usize, Case, &'static Parts)> {
    cases()
        .filter(move |(i, case, _)| taken(*i, step) && !(cfg!(miri) && (case.slow || case.hosted)))
}

/// Calls with the n-th thing wrong, for every n there is; how many there were.
fn each(
    count: impl Fn(&Parts) -> usize,
    mode: impl Fn(usize) -> Mode,
    expected: cloudauth_result,
) -> usize {
    let mut total = 0;
    for (i, case, parts) in cases() {
        for n in (0..count(parts)).filter(|n| taken(n + i, 6)) {
            let p = Probe::new(mode(n));
            assert_eq!(call(&case, &p), expected, "{} {:?}", case.name, p.mode);
            total += 1;
        }
    }
    total
}

/// That there are as many, where all are taken.
fn at_least(count: usize, least: usize) {
    assert!(count >= if cfg!(miri) { least / 10 } else { least }, "{count}");
}

#[test]
fn good_calls() {
    for (_, case, _) in good_cases(6) {
        assert_eq!(call(&case, &Probe::good()), CLOUDAUTH_OK, "{}", case.name);
    }
}

#[test]
fn null_pointers() {
    at_least(each(|parts| parts.pointers, Mode::Null, CLOUDAUTH_ERR_NULL), 620);
}

/// The error, a refusal, the signer of a flow that may do without.
#[test]
fn optional_null_pointers() {
    for (_, case, parts) in good_cases(12) {
        for n in 0..parts.optional {
            let result = call(&case, &Probe::new(Mode::Optional(n)));
            // Only the signer comes before the error.
            let signer = case.name.ends_with("_request") && n + 1 < parts.optional;
            let expected = if signer { CLOUDAUTH_ERR_INVALID } else { CLOUDAUTH_OK };
            assert_eq!(result, expected, "{}", case.name);
        }
    }
}

#[test]
fn impossible_lengths() {
    let bad = [usize::MAX, isize::MAX.unsigned_abs() + 1];
    for bad in bad.into_iter().skip(usize::from(cfg!(miri))) {
        let mode = |n| Mode::Length(n, bad);
        at_least(each(|parts| parts.lengths, mode, CLOUDAUTH_ERR_LENGTH), 370);
    }
}

#[test]
fn wrong_struct_sizes() {
    let sizes = [Size::Zero, Size::TooMuch, Size::Max, Size::Less];
    for size in sizes.into_iter().skip(if cfg!(miri) { 3 } else { 0 }) {
        let mode = |n| Mode::Size(n, size);
        at_least(each(|parts| parts.sizes.len(), mode, CLOUDAUTH_ERR_STRUCT_SIZE), 270);
    }
}

#[test]
fn structs_of_a_later_version() {
    for (_, case, parts) in good_cases(24) {
        for (n, output) in parts.sizes.iter().enumerate() {
            let zeros = call(&case, &Probe::new(Mode::Size(n, Size::Later)));
            assert_eq!(zeros, CLOUDAUTH_OK, "{} {n}", case.name);
            let used = call(&case, &Probe::new(Mode::Size(n, Size::LaterUsed)));
            let expected = if *output { CLOUDAUTH_OK } else { CLOUDAUTH_ERR_STRUCT_SIZE };
            assert_eq!(used, expected, "{} {n}", case.name);
        }
    }
}

#[test]
fn unknown_numbers() {
    at_least(each(|parts| parts.numbers, Mode::Number, CLOUDAUTH_ERR_UNKNOWN_NUMBER), 130);
}

#[test]
fn texts_that_are_not_utf8() {
    at_least(each(|parts| parts.texts, Mode::Utf8, CLOUDAUTH_ERR_UTF8), 190);
}

#[test]
fn overlaps() {
    let mut count = 0;
    for (i, case, Parts { places, .. }) in cases() {
        for a in (0..places.len()).filter(|a| places[*a]) {
            for b in (0..places.len()).filter(|b| *b != a && taken(a + b + i, 15)) {
                let result = call(&case, &Probe::new(Mode::Overlap(a, b)));
                // What one says of its size, or is, is written over by the other.
                let found = [CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_STATE];
                assert!(found.contains(&result), "{} {a} {b} gave {result}", case.name);
                count += usize::from(result == CLOUDAUTH_ERR_OVERLAP);
            }
        }
    }
    at_least(count, 1000);
}

#[test]
fn small_buffers() {
    let filling = cases().filter(|(i, case, _)| case.fills && taken(*i, 3));
    for (_, case, _) in filling.filter(|(_, case, _)| !(cfg!(miri) && case.hosted)) {
        let p = Probe::new(Mode::Cap(0));
        assert_eq!(call(&case, &p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
        let need = p.written();
        assert_eq!(p.told().unwrap().detail, need);

        let p = Probe::new(Mode::Cap(need - 1));
        assert_eq!(call(&case, &p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
        assert_eq!(p.written(), need);

        if cfg!(miri) && case.slow {
            continue;
        }
        let p = Probe::new(Mode::Cap(need));
        assert_eq!(call(&case, &p), CLOUDAUTH_OK, "{}", case.name);
        assert!((1..=need).contains(&p.written()));
        assert_eq!(p.content()[need..], vec![0xaa; CAP - need], "{}", case.name);
    }
}
