//! The canonical request of Signature Version 4, streamed into a hash (or, to explain, into a buffer).
//!
//! Source: AWS, "Create a signed AWS API request", step "Create a canonical request".

use core::cmp::Ordering;

use super::class::{CONTROL, LINE_BREAK, NO_GRAPHIC, NO_TOKEN, PATH_END, RESERVED, SPACE, UPPER};
use super::class::{classes, has};
use crate::encode::percent;
use crate::out::Sink;
use crate::{Error, Result, SMALL};

/// Up to this many headers, and as many query pairs, are sorted in an index on the stack. Above it the
/// next one is searched for each time: slower, without a limit, and all that a microcontroller has.
const INDEX: usize = if SMALL { 0 } else { 64 };

/// The caller's headers.
#[derive(Clone, Copy)]
pub(crate) enum Headers<'a> {
    /// Name and value of each.
    Slice(&'a [(&'a str, &'a str)]),
    /// In a form of the caller's own.
    List(&'a dyn HeaderList),
}

/// Headers in a form of the caller's own.
pub trait HeaderList {
    /// How many there are.
    fn count(&self) -> usize;

    /// Name and value of the one at `index`, counted from 0. They must be UTF-8.
    fn get(&self, index: usize) -> (&[u8], &[u8]);
}

impl<'a> Headers<'a> {
    fn count(self) -> usize {
        match self {
            Self::Slice(slice) => slice.len(),
            Self::List(list) => list.count(),
        }
    }

    fn get(self, index: usize) -> (&'a [u8], &'a [u8]) {
        match self {
            Self::Slice(slice) => {
                let (name, value) = slice.get(index).copied().unwrap_or_default();
                (name.as_bytes(), value.as_bytes())
            }
            Self::List(list) => list.get(index),
        }
    }

    /// Each name and value.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        (0..self.count()).map(move |index| self.get(index))
    }
}

/// The names of the headers that signing adds.
pub(crate) const ADDED: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// All that goes into a canonical request.
pub(crate) struct Canonical<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) normalize_path: bool,
    pub(crate) double_encode: bool,
    pub(crate) query: &'a str,
    /// Query pairs that signing adds. Behind a pointer, so that what only adds headers links none of it.
    pub(crate) pairs: &'a dyn AddedPairs,
    /// The caller's headers; those of the same name as one of `added` are left out.
    pub(crate) headers: Headers<'a>,
    /// The values of [`ADDED`]; an empty one is not added.
    pub(crate) added: [&'a [u8]; 3],
    /// Further names that are not signed.
    pub(crate) unsigned: &'a [&'a str],
    /// The payload's hash in hexadecimal, or what stands for it.
    pub(crate) payload: &'a [u8],
}

/// Query pairs that signing adds.
pub(crate) trait AddedPairs {
    /// The name of one, counted from 0, which needs no encoding; none after the last.
    fn name(&self, number: usize) -> Option<&'static str>;

    /// Writes its value in its encoded form.
    fn write_value(
        &self,
        number: usize,
        canonical: &Canonical<'_>,
        order: &HeaderOrder,
        out: &mut dyn Sink,
    );
}

/// None.
impl AddedPairs for () {
    fn name(&self, _: usize) -> Option<&'static str> {
        None
    }

    fn write_value(&self, _: usize, _: &Canonical<'_>, _: &HeaderOrder, _: &mut dyn Sink) {}
}

/// Never signed: the signature's own header, and what proxies change. As in AWS's SDKs.
const NEVER_SIGNED: [&str; 4] =
    ["authorization", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// The order of the headers, found once for the three places that need it.
pub(crate) struct HeaderOrder {
    sorted: Sorted<u32>,
    /// All names are in lower case as they are, as those of HTTP/2 and of most callers.
    lower_case: bool,
}

impl HeaderOrder {
    /// Writes a header's name in lower case.
    fn write_name(&self, name: &[u8], out: &mut impl Sink) {
        if !SMALL && self.lower_case { out.put(name) } else { write_lower_case(name, out) }
    }
}

#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn write_lower_case(name: &[u8], out: &mut dyn Sink) {
    if SMALL {
        return name.iter().for_each(|c| out.octet(c.to_ascii_lowercase()));
    }
    for part in name.chunks(32) {
        let mut lower = [0u8; 32];
        for (to, from) in lower.iter_mut().zip(part) {
            *to = from.to_ascii_lowercase();
        }
        out.put(lower.get(..part.len()).unwrap_or_default());
    }
}

impl<'a> Canonical<'a> {
    /// Refuses what would change the meaning of the canonical form. Gives whether all header names are in
    /// lower case, for [`header_order`](Self::header_order).
    pub(crate) fn check(&self) -> Result<bool> {
        // An empty one is no token.
        let token = |name: &[u8]| if name.is_empty() { NO_TOKEN } else { classes(name) };
        if token(self.method.as_bytes()) & NO_TOKEN != 0 {
            return Err(Error::invalid("method", "expected a token such as GET"));
        }
        let mut host = false;
        let mut found = 0;
        // Those that signing adds are in lower case, of characters that were looked at already.
        for (name, value) in self.headers.iter() {
            found |= token(name);
            if found & NO_TOKEN != 0 {
                return Err(Error::invalid("header name", "expected a token such as X-Amz-Date"));
            }
            if has::<CONTROL>(value) {
                return Err(Error::invalid("header value", "holds a control character"));
            }
            host |= same(name, b"host");
            // The service takes the payload's hash from this header where there is one.
            let [.., content] = self.added;
            let stated = content.is_empty() && same(name, b"x-amz-content-sha256");
            if stated && trimmed(value) != self.payload {
                return Err(Error::mismatch(
                    "X-Amz-Content-Sha256",
                    "the request's own header is not the payload's; leave it out, or give that payload",
                ));
            }
        }
        if !host {
            return Err(Error::invalid("Host header", "missing; it must be signed"));
        }
        if has::<LINE_BREAK>(self.query.as_bytes()) {
            return Err(Error::invalid("query", "holds a line break"));
        }
        if has::<{ LINE_BREAK | PATH_END }>(self.path.as_bytes()) {
            return Err(if has::<LINE_BREAK>(self.path.as_bytes()) {
                Error::invalid("path", "holds a line break")
            } else {
                Error::invalid("path", "holds a ? or #; write %3F or %23, or give the query apart")
            });
        }
        Ok(found & UPPER == 0)
    }

    /// Sorts the headers.
    #[inline]
    pub(crate) fn header_order(&self, lower_case: bool) -> HeaderOrder {
        let sorted = Sorted::new(|| self.signed(), |a, b| self.by_name(*a, *b));
        HeaderOrder { sorted, lower_case }
    }

    /// Writes the canonical request.
    pub(crate) fn write(&self, order: &HeaderOrder, out: &mut impl Sink) {
        self.write_headers(order, out);
        self.write_signed_headers(order, out);
        self.write_payload(out);
    }

    /// Writes the canonical request up to the names of the signed headers.
    pub(crate) fn write_headers(&self, order: &HeaderOrder, out: &mut impl Sink) {
        out.text(self.method);
        out.octet(b'\n');
        self.write_path(out);
        out.octet(b'\n');
        self.write_query(order, out);
        let mut previous: &[u8] = &[];
        self.for_each(order, |(name, value)| {
            if same(previous, name) {
                out.octet(b',');
            } else {
                out.octet(b'\n');
                order.write_name(name, out);
                out.octet(b':');
                previous = name;
            }
            if SMALL || has::<SPACE>(value) {
                write_squeezed(value, out);
            } else {
                out.put(value);
            }
        });
        out.put(b"\n\n");
    }

    /// Writes the canonical request after the names of the signed headers.
    pub(crate) fn write_payload(&self, out: &mut impl Sink) {
        out.octet(b'\n');
        out.put(self.payload);
    }

    /// Writes the names of the signed headers, joined by semicolons.
    pub(crate) fn write_signed_headers(&self, order: &HeaderOrder, out: &mut impl Sink) {
        self.signed_names(order, |name, first| {
            if !first {
                out.octet(b';');
            }
            order.write_name(name, out);
        });
    }

    /// Visits the names of the signed headers, and says which is the first.
    pub(crate) fn signed_names(&self, order: &HeaderOrder, mut visit: impl FnMut(&[u8], bool)) {
        let mut previous: &[u8] = &[];
        self.for_each(order, |(name, _)| {
            if !same(previous, name) {
                visit(name, previous.is_empty());
                previous = name;
            }
        });
    }

    /// Name and value of a header: the caller's first, then those that signing adds.
    fn header(&self, i: u32) -> (&'a [u8], &'a [u8]) {
        let i = i as usize;
        if !SMALL
            && let Headers::Slice(slice) = self.headers
            && let Some((name, value)) = slice.get(i)
        {
            return (name.as_bytes(), value.as_bytes());
        }
        let own = self.headers.count();
        if i < own {
            return self.headers.get(i);
        }
        let i = i - own;
        let name = ADDED.get(i).map_or(&[][..], |name| name.as_bytes());
        (name, self.added.get(i).copied().unwrap_or_default())
    }

    /// The numbers of the headers that are signed.
    fn signed(&self) -> impl Iterator<Item = u32> + '_ {
        let count = u32::try_from(self.headers.count() + ADDED.len()).unwrap_or(u32::MAX);
        (0..count).filter(|i| self.is_signed(*i))
    }

    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    #[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
    fn is_signed(&self, i: u32) -> bool {
        let (name, value) = self.header(i);
        if i as usize >= self.headers.count() {
            return !value.is_empty();
        }
        let replaced = among(&ADDED, name).and_then(|i| self.added.get(i));
        replaced.is_none_or(|value| value.is_empty())
            && among(&NEVER_SIGNED, name).is_none()
            && among(self.unsigned, name).is_none()
    }

    #[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
    #[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
    fn by_name(&self, a: u32, b: u32) -> Ordering {
        let ((x, _), (y, _)) = (self.header(a), self.header(b));
        in_any_case(x, y).then(a.cmp(&b))
    }

    fn for_each(&self, order: &HeaderOrder, mut visit: impl FnMut((&'a [u8], &'a [u8]))) {
        order.sorted.visit(|last| self.next_header(last), |i| visit(self.header(i)));
    }

    /// The header that follows `last` in order.
    #[cold]
    fn next_header(&self, last: Option<u32>) -> Option<u32> {
        first_after(last, self.signed(), |a, b| self.by_name(*a, *b))
    }

    fn write_path(&self, out: &mut impl Sink) {
        let path = self.path.as_bytes();
        // Where it is already encoded by the caller, only what no URI can hold is encoded here.
        let encode = if self.double_encode { RESERVED } else { NO_GRAPHIC };
        if !self.normalize_path {
            if path.first() != Some(&b'/') {
                out.octet(b'/');
            }
            write_encoded(path, encode, out);
            return;
        }
        // Most paths have none, and then nothing is looked for.
        let mut ups = 0;
        let mut rest = path;
        while !rest.is_empty() {
            let segment;
            (segment, rest) = cut(rest, b'/');
            ups += usize::from(segment_kind(segment) == Segment::Up);
        }
        let mut empty = true;
        let mut last = Segment::Name;
        rest = path;
        while !rest.is_empty() {
            let segment;
            (segment, rest) = cut(rest, b'/');
            last = segment_kind(segment);
            if last != Segment::Name {
                ups -= usize::from(last == Segment::Up);
                continue;
            }
            if let Some((after, taken)) = cancelled(rest, ups) {
                rest = after;
                ups -= taken;
                last = Segment::Up;
                continue;
            }
            out.octet(b'/');
            write_encoded(segment, encode, out);
            empty = false;
        }
        if empty || last != Segment::Name || path.ends_with(b"/") {
            out.octet(b'/');
        }
    }

    fn write_query(&self, order: &HeaderOrder, out: &mut impl Sink) {
        if self.query.is_empty() && self.pairs.name(0).is_none() {
            return;
        }
        let sorted = Sorted::new(|| self.pairs(), by_encoded);
        let mut first = true;
        sorted.visit(
            |last| first_after(last, self.pairs(), by_encoded),
            |Pair { text, place }| {
                if !first {
                    out.octet(b'&');
                }
                first = false;
                let (name, value) = cut(text, b'=');
                write_recoded(name, out);
                out.octet(b'=');
                match place.checked_sub(ADDED_PAIR) {
                    Some(number) => self.pairs.write_value(number, self, order, out),
                    None => write_recoded(value, out),
                }
            },
        );
    }

    /// All query pairs, those that signing adds last.
    fn pairs(&self) -> impl Iterator<Item = Pair<'a>> {
        let (mut rest, mut place, added) = (self.query.as_bytes(), 0, self.pairs);
        core::iter::from_fn(move || {
            while !rest.is_empty() {
                let text;
                (text, rest) = cut(rest, b'&');
                place += 1;
                if !text.is_empty() {
                    return Some(Pair { text, place });
                }
            }
            place = place.max(ADDED_PAIR);
            let text = added.name(place - ADDED_PAIR)?.as_bytes();
            place += 1;
            Some(Pair { text, place: place - 1 })
        })
    }
}

/// A query pair.
#[derive(Clone, Copy, Default)]
struct Pair<'a> {
    /// Name and value, or only the name of one that signing adds.
    text: &'a [u8],
    /// Where it stands in the query.
    place: usize,
}

/// The place of the first pair that signing adds: no query is so long.
const ADDED_PAIR: usize = usize::MAX / 2;

/// By encoded name, then by encoded value. Names that signing adds are refused in the caller's query, so
/// their values never decide.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn by_encoded(a: &Pair<'_>, b: &Pair<'_>) -> Ordering {
    Encoded::pair(a.text).cmp(Encoded::pair(b.text)).then(a.place.cmp(&b.place))
}

/// What stands before the first `at`, or all; and what behind it.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
pub(crate) fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let found = text.iter().position(|c| *c == at).unwrap_or(text.len());
    let (before, after) = text.split_at_checked(found).unwrap_or_default();
    (before, after.get(1..).unwrap_or_default())
}

/// Whether two names are the same, in any case.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if SMALL {
        return a.len() == b.len() && in_any_case(a, b).is_eq();
    }
    a.eq_ignore_ascii_case(b)
}

/// The order of two names, in any case.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
#[cfg_attr(not(all(target_os = "none", target_pointer_width = "32")), inline)]
fn in_any_case(x: &[u8], y: &[u8]) -> Ordering {
    let both = x.iter().zip(y).map(|(x, y)| (x.to_ascii_lowercase(), y.to_ascii_lowercase()));
    for (x, y) in both {
        if x != y {
            return x.cmp(&y);
        }
    }
    // A name that begins another is the lesser.
    x.len().cmp(&y.len())
}

#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn among(names: &[&str], name: &[u8]) -> Option<usize> {
    names.iter().position(|n| same(n.as_bytes(), name))
}

/// Whether the caller's query already has a pair of this name.
pub(crate) fn query_has(query: &str, name: &str) -> bool {
    let same = |pair| percent::Decoder::new(cut(pair, b'=').0).eq(name.bytes());
    query.as_bytes().split(|c| *c == b'&').any(same)
}

/// Writes a query component decoded and encoded again: the one form AWS compares.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn write_recoded(component: &[u8], out: &mut dyn Sink) {
    if !SMALL && component.iter().all(|c| percent::unreserved(*c)) {
        return out.put(component);
    }
    Encoded::new(component).for_each(|c| out.octet(c));
}

/// Writes octets, as `%XX` those of a class of `reserved`; slashes stay.
fn write_encoded(bytes: &[u8], reserved: u8, out: &mut impl Sink) {
    let keep = |c: u8| c == b'/' || super::class::of(c) & reserved == 0;
    percent::encode_but(bytes, keep, out);
}

/// The octets of a query component's encoded form, one at a time, to compare without a buffer.
struct Encoded<'a> {
    decoder: percent::Decoder<'a>,
    /// Digits that are still to come, the next in the lowest octet.
    pending: u32,
    /// The next `=` ends a name.
    name: bool,
}

impl<'a> Encoded<'a> {
    fn new(component: &'a [u8]) -> Self {
        Self { decoder: percent::Decoder::new(component), pending: 0, name: false }
    }

    /// Name and value, and between them what is less than all that either can hold.
    fn pair(text: &'a [u8]) -> Self {
        Self { name: true, ..Self::new(text) }
    }
}

impl Iterator for Encoded<'_> {
    type Item = u8;

    // The lowest octet of a number is what is wanted of it.
    #[allow(clippy::cast_possible_truncation)]
    fn next(&mut self) -> Option<u8> {
        if self.pending != 0 {
            let c = self.pending as u8;
            self.pending >>= 8;
            return Some(c);
        }
        if self.name && self.decoder.eat(b'=') {
            self.name = false;
            return Some(0);
        }
        let c = self.decoder.next()?;
        if percent::unreserved(c) {
            return Some(c);
        }
        let [first, high, low] = percent::triplet(c);
        self.pending = u32::from(low) << 8 | u32::from(high);
        Some(first)
    }
}

/// What a segment of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Name,
    /// `.`, or nothing.
    None,
    /// `..`
    Up,
}

#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
fn segment_kind(segment: &[u8]) -> Segment {
    match segment {
        b"" | b"." => Segment::None,
        b".." => Segment::Up,
        _ => Segment::Name,
    }
}

/// Where a later `..` takes back the segment before `rest`, which has `ups` of them: what follows that
/// `..`, and how many there are up to it.
fn cancelled(rest: &[u8], ups: usize) -> Option<(&[u8], usize)> {
    let (mut depth, mut seen) = (0, 0);
    let mut at = rest;
    // No further than what is left of them reaches.
    while depth < ups - seen && !at.is_empty() {
        let segment;
        (segment, at) = cut(at, b'/');
        match segment_kind(segment) {
            Segment::None => {}
            Segment::Up if depth == 0 => return Some((at, seen + 1)),
            Segment::Up => (depth, seen) = (depth - 1, seen + 1),
            Segment::Name => depth += 1,
        }
    }
    None
}

/// A header value without spaces at its ends.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ', inner @ ..] | [inner @ .., b' '] = value {
        value = inner;
    }
    value
}

/// Writes a header value without spaces at its ends, and with single spaces inside.
fn write_squeezed(value: &[u8], out: &mut dyn Sink) {
    if !SMALL {
        let value = trimmed(value);
        // Without an early end, so that it is vectorised: most have no two spaces in a row.
        let next = value.iter().skip(1);
        let double = |found, (a, b): (&u8, &u8)| found | (*a == b' ') & (*b == b' ');
        if !value.iter().zip(next).fold(false, double) {
            return out.put(value);
        }
    }
    let mut rest = value;
    let mut first = true;
    while !rest.is_empty() {
        let word;
        (word, rest) = cut(rest, b' ');
        if word.is_empty() {
            continue;
        }
        if !first {
            out.octet(b' ');
        }
        first = false;
        out.put(word);
    }
}

/// Items in order: an index while they fit, else nothing, and each pass searches.
struct Sorted<T> {
    index: [T; INDEX],
    len: Option<usize>,
}

impl<T: Copy + Default> Sorted<T> {
    #[inline]
    fn new<I: Iterator<Item = T>>(items: impl Fn() -> I, cmp: impl Fn(&T, &T) -> Ordering) -> Self {
        let mut sorted = Self { index: [T::default(); INDEX], len: None };
        if !SMALL {
            sorted.len = sorted.fill(items(), cmp);
        }
        sorted
    }

    /// Gives how many there are; none when they are too many.
    #[inline]
    fn fill(
        &mut self,
        items: impl Iterator<Item = T>,
        cmp: impl Fn(&T, &T) -> Ordering,
    ) -> Option<usize> {
        let mut len = 0usize;
        for item in items {
            // Insertion: lists are short, and most come sorted. Equal items keep their order.
            let mut at = len;
            if at == INDEX {
                return None;
            }
            while let Some(before) = at.checked_sub(1) {
                let Some(other) = self.index.get(before).copied() else {
                    break;
                };
                if cmp(&other, &item) != Ordering::Greater {
                    break;
                }
                if let Some(slot) = self.index.get_mut(at) {
                    *slot = other;
                }
                at = before;
            }
            if let Some(slot) = self.index.get_mut(at) {
                *slot = item;
            }
            len += 1;
        }
        Some(len)
    }

    fn visit(&self, next: impl Fn(Option<T>) -> Option<T>, mut visit: impl FnMut(T)) {
        if let Some(len) = self.len {
            self.index.iter().take(len).for_each(|item| visit(*item));
            return;
        }
        let mut last = None;
        while let Some(item) = next(last) {
            visit(item);
            last = Some(item);
        }
    }
}

/// The first in order after `last`. No two are equal.
fn first_after<T: Copy>(
    last: Option<T>,
    items: impl Iterator<Item = T>,
    cmp: impl Fn(&T, &T) -> Ordering,
) -> Option<T> {
    let mut first: Option<T> = None;
    for item in items {
        let later = last.is_none_or(|last| cmp(&item, &last) == Ordering::Greater);
        if later && first.is_none_or(|first| cmp(&item, &first) == Ordering::Less) {
            first = Some(item);
        }
    }
    first
}
