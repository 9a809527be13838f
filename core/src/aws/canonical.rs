//! The canonical request of Signature Version 4, streamed into a hash (or, to explain, into a buffer).
//!
//! Source: AWS, "Create a signed AWS API request", step "Create a canonical request".

use core::cmp::Ordering;

use crate::encode::percent;
use crate::out::Sink;
use crate::{Error, Result};

/// Up to this many headers, and as many query pairs, are sorted in an index on the stack. Above it the
/// next one is searched for each time: slower, without a limit.
const INDEX: usize = 64;

/// A header: its name in any case, its value as sent.
pub(crate) type Header<'a> = (&'a str, &'a str);

/// A query pair that signing adds. The name needs no encoding.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) name: &'static str,
    /// The value is these, one after the other; it is encoded when written.
    pub(crate) value: PairValue<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum PairValue<'a> {
    Text(&'a str),
    Credential { access_key_id: &'a str, scope: &'a str },
    SignedHeaders,
}

/// All that goes into a canonical request.
pub(crate) struct Canonical<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) normalize_path: bool,
    pub(crate) double_encode: bool,
    pub(crate) query: &'a str,
    pub(crate) pairs: &'a [Pair<'a>],
    /// The caller's headers; those of the same name as one of `added` are left out.
    pub(crate) headers: &'a [Header<'a>],
    pub(crate) added: &'a [Header<'a>],
    /// Further names that are not signed.
    pub(crate) unsigned: &'a [&'a str],
    /// The payload's hash in hexadecimal, or what stands for it.
    pub(crate) payload: &'a [u8],
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
    fn write_name(&self, name: &str, out: &mut impl Sink) {
        if self.lower_case {
            return out.text(name);
        }
        for part in name.as_bytes().chunks(32) {
            let mut lower = [0u8; 32];
            for (to, from) in lower.iter_mut().zip(part) {
                *to = from.to_ascii_lowercase();
            }
            out.put(lower.get(..part.len()).unwrap_or_default());
        }
    }
}

impl<'a> Canonical<'a> {
    /// Refuses what would change the meaning of the canonical form. Gives whether all header names are in
    /// lower case, for [`header_order`](Self::header_order).
    pub(crate) fn check(&self) -> Result<bool> {
        if classes(self.method) & NO_TOKEN != 0 {
            return Err(Error::invalid("method", "expected a token such as GET"));
        }
        let mut host = false;
        let mut found = 0;
        // Those that signing adds are in lower case, of characters that were looked at already.
        for (name, value) in self.headers {
            found |= classes(name);
            if found & NO_TOKEN != 0 {
                return Err(Error::invalid("header name", "expected a token such as X-Amz-Date"));
            }
            if any(value, |c| (c < 0x20) & (c != b'\t') | (c == 0x7f)) {
                return Err(Error::invalid("header value", "holds a control character"));
            }
            host |= name.eq_ignore_ascii_case("host");
        }
        if !host {
            return Err(Error::invalid("Host header", "missing; it must be signed"));
        }
        let line_break = |c| (c == b'\n') | (c == b'\r');
        if any(self.query, line_break) {
            return Err(Error::invalid("query", "holds a line break"));
        }
        if any(self.path, |c| line_break(c) | (c == b'?') | (c == b'#')) {
            return Err(if any(self.path, line_break) {
                Error::invalid("path", "holds a line break")
            } else {
                Error::invalid("path", "holds a ? or #; write %3F or %23, or give the query apart")
            });
        }
        Ok(found & UPPER == 0)
    }

    /// Sorts the headers.
    pub(crate) fn header_order(&self, lower_case: bool) -> HeaderOrder {
        let sorted = Sorted::new(|| self.signed(), |a, b| self.by_name(*a, *b));
        HeaderOrder { sorted, lower_case }
    }

    /// Writes the canonical request.
    pub(crate) fn write(&self, order: &HeaderOrder, out: &mut impl Sink) {
        out.text(self.method);
        out.put(b"\n");
        self.write_path(out);
        out.put(b"\n");
        if !(self.query.is_empty() && self.pairs.is_empty()) {
            self.write_query(order, out);
        }
        let mut previous = "";
        self.for_each(order, |(name, value)| {
            if previous.eq_ignore_ascii_case(name) {
                out.put(b",");
            } else {
                out.put(b"\n");
                order.write_name(name, out);
                out.put(b":");
                previous = name;
            }
            squeezed(value, out);
        });
        out.put(b"\n\n");
        self.write_signed_headers(order, out);
        out.put(b"\n");
        out.put(self.payload);
    }

    /// Writes the names of the signed headers, joined by semicolons.
    pub(crate) fn write_signed_headers(&self, order: &HeaderOrder, out: &mut impl Sink) {
        self.signed_names(
            order,
            |name, first, out: &mut _| {
                if !first {
                    Sink::put(out, b";");
                }
                order.write_name(name, out);
            },
            out,
        );
    }

    fn signed_names<S: Sink>(
        &self,
        order: &HeaderOrder,
        write: impl Fn(&str, bool, &mut S),
        out: &mut S,
    ) {
        let mut previous = "";
        self.for_each(order, |(name, _)| {
            if !previous.eq_ignore_ascii_case(name) {
                write(name, previous.is_empty(), out);
                previous = name;
            }
        });
    }

    /// Writes a query value in its encoded form.
    pub(crate) fn write_pair_value(
        &self,
        value: PairValue<'_>,
        order: &HeaderOrder,
        out: &mut impl Sink,
    ) {
        match value {
            PairValue::Text(text) => percent::encode(text.as_bytes(), out),
            PairValue::Credential { access_key_id, scope } => {
                percent::encode(access_key_id.as_bytes(), out);
                out.put(b"%2F");
                percent::encode(scope.as_bytes(), out);
            }
            PairValue::SignedHeaders => self.signed_names(
                order,
                |name, first, out: &mut _| {
                    if !first {
                        Sink::put(out, b"%3B");
                    }
                    for c in name.bytes() {
                        percent::encode(&[c.to_ascii_lowercase()], out);
                    }
                },
                out,
            ),
        }
    }

    fn header(&self, i: u32) -> Header<'a> {
        let i = i as usize;
        let own = self.headers.get(i);
        own.or_else(|| self.added.get(i.wrapping_sub(self.headers.len())))
            .copied()
            .unwrap_or(("", ""))
    }

    /// The numbers of the headers that are signed.
    fn signed(&self) -> impl Iterator<Item = u32> + '_ {
        let count = self.headers.len() + self.added.len();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (0..count).filter(|i| {
            let Some((name, _)) = self.headers.get(*i as usize) else {
                return true;
            };
            let same = |n: &&str| n.eq_ignore_ascii_case(name);
            let replaced = self.added.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
            !replaced && !NEVER_SIGNED.iter().any(same) && !self.unsigned.iter().any(same)
        })
    }

    fn by_name(&self, a: u32, b: u32) -> Ordering {
        let ((x, _), (y, _)) = (self.header(a), self.header(b));
        let lower = |s: &'a str| s.bytes().map(|c| c.to_ascii_lowercase());
        lower(x).cmp(lower(y)).then(a.cmp(&b))
    }

    fn for_each(&self, order: &HeaderOrder, mut visit: impl FnMut(Header<'a>)) {
        order.sorted.visit(
            || self.signed(),
            |a, b| self.by_name(*a, *b),
            |i| visit(self.header(i)),
        );
    }

    fn write_path(&self, out: &mut impl Sink) {
        let path = self.path.as_bytes();
        let encode = |part: &[u8], out: &mut _| {
            if self.double_encode {
                percent::encode_but(part, |c| percent::unreserved(c) || c == b'/', out);
            } else {
                // Already encoded by the caller; only what no URI can hold is encoded here.
                percent::encode_but(part, |c| c.is_ascii_graphic(), out);
            }
        };
        if !self.normalize_path {
            if path.first() != Some(&b'/') {
                out.put(b"/");
            }
            encode(path, out);
            return;
        }
        // Most paths have none, and then nothing is looked for.
        let mut ups = path.split(|c| *c == b'/').filter(|segment| *segment == b"..").count();
        let mut empty = true;
        let mut rest = path;
        while let Some((segment, after)) = next_segment(rest) {
            rest = after;
            if matches!(segment, b"" | b"." | b"..") {
                ups -= usize::from(segment == b"..");
                continue;
            }
            if let Some((after, taken)) = cancelled(after, ups) {
                rest = after;
                ups -= taken;
                continue;
            }
            out.put(b"/");
            encode(segment, out);
            empty = false;
        }
        let slash = [&b"/"[..], b"/.", b"/.."].iter().any(|end| path.ends_with(end));
        if empty || slash {
            out.put(b"/");
        }
    }

    fn write_query(&self, order: &HeaderOrder, out: &mut impl Sink) {
        let items = || {
            let own = self.query.as_bytes().split(|c| *c == b'&').filter(|pair| !pair.is_empty());
            own.map(QueryItem::Own).chain(self.pairs.iter().map(QueryItem::Added))
        };
        let sorted = Sorted::new(items, QueryItem::cmp);
        let mut first = true;
        sorted.visit(items, QueryItem::cmp, |item| {
            if !first {
                out.put(b"&");
            }
            first = false;
            match item {
                QueryItem::Own(pair) => {
                    let (name, value) = name_and_value(pair);
                    recoded(name, out);
                    out.put(b"=");
                    recoded(value, out);
                }
                QueryItem::Added(pair) => {
                    out.text(pair.name);
                    out.put(b"=");
                    self.write_pair_value(pair.value, order, out);
                }
            }
        });
    }
}

#[derive(Clone, Copy)]
enum QueryItem<'a> {
    Own(&'a [u8]),
    Added(&'a Pair<'a>),
}

impl Default for QueryItem<'_> {
    fn default() -> Self {
        Self::Own(&[])
    }
}

impl QueryItem<'_> {
    /// By encoded name, then by encoded value. Names that signing adds are refused in the caller's
    /// query, so their values never decide.
    fn cmp(&self, other: &Self) -> Ordering {
        let name = |item: &Self| match *item {
            QueryItem::Own(pair) => Encoded::new(name_and_value(pair).0),
            QueryItem::Added(pair) => Encoded::new(pair.name.as_bytes()),
        };
        let value = |item: &Self| match *item {
            QueryItem::Own(pair) => Encoded::new(name_and_value(pair).1),
            QueryItem::Added(_) => Encoded::new(&[]),
        };
        name(self).cmp(name(other)).then_with(|| value(self).cmp(value(other)))
    }
}

fn name_and_value(pair: &[u8]) -> (&[u8], &[u8]) {
    let at = pair.iter().position(|c| *c == b'=');
    match at.and_then(|at| pair.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
        None => (pair, &[]),
    }
}

/// Whether the caller's query already has a pair of this name.
pub(crate) fn query_has(query: &str, name: &str) -> bool {
    let same = |pair| percent::Decoder::new(name_and_value(pair).0).eq(name.bytes());
    query.as_bytes().split(|c| *c == b'&').any(same)
}

/// Writes a query component decoded and encoded again: the one form AWS compares.
fn recoded(component: &[u8], out: &mut impl Sink) {
    if component.iter().all(|c| percent::unreserved(*c)) {
        return out.put(component);
    }
    for c in percent::Decoder::new(component) {
        percent::encode(&[c], out);
    }
}

/// The octets of a query component's encoded form, one at a time, to compare without a buffer.
struct Encoded<'a> {
    decoder: percent::Decoder<'a>,
    pending: [u8; 2],
    left: usize,
}

impl<'a> Encoded<'a> {
    fn new(component: &'a [u8]) -> Self {
        Self { decoder: percent::Decoder::new(component), pending: [0; 2], left: 0 }
    }
}

impl Iterator for Encoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let [high, low] = self.pending;
        match self.left {
            2 => {
                self.left = 1;
                return Some(high);
            }
            1 => {
                self.left = 0;
                return Some(low);
            }
            _ => {}
        }
        let c = self.decoder.next()?;
        if percent::unreserved(c) {
            return Some(c);
        }
        let [first, high, low] = percent::triplet(c);
        self.pending = [high, low];
        self.left = 2;
        Some(first)
    }
}

/// The first segment of a path and what follows its slash; none at the end.
fn next_segment(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    let at = path.iter().position(|c| *c == b'/').unwrap_or(path.len());
    let (segment, rest) = path.split_at_checked(at)?;
    Some((segment, rest.get(1..).unwrap_or_default()))
}

/// Where a later `..` takes back the segment before `rest`, which has `ups` of them: what follows that
/// `..`, and how many there are up to it.
fn cancelled(rest: &[u8], ups: usize) -> Option<(&[u8], usize)> {
    let (mut depth, mut seen) = (0, 0);
    let mut at = rest;
    // No further than what is left of them reaches.
    while depth < ups - seen {
        let (segment, after) = next_segment(at)?;
        at = after;
        match segment {
            b"" | b"." => {}
            b".." if depth == 0 => return Some((after, seen + 1)),
            b".." => (depth, seen) = (depth - 1, seen + 1),
            _ => depth += 1,
        }
    }
    None
}

/// Writes a header value without spaces at its ends, and with single spaces inside.
fn squeezed(value: &str, out: &mut impl Sink) {
    if !any(value, |c| c == b' ') {
        return out.text(value);
    }
    let mut value = value.as_bytes();
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    let next = value.iter().skip(1);
    let double = |found, (a, b): (&u8, &u8)| found | (*a == b' ') & (*b == b' ');
    if !value.iter().zip(next).fold(false, double) {
        return out.put(value);
    }
    let words = value.split(|c| *c == b' ').filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            out.put(b" ");
        }
        out.put(word);
    }
}

/// Whether `what` holds for an octet of `text`. Sixteen at a time and without an early end, so that it is
/// vectorised; the last sixteen may overlap those before.
pub(super) fn any(text: &str, what: impl Fn(u8) -> bool) -> bool {
    let among = |found, c: &u8| found | what(*c);
    let bytes = text.as_bytes();
    let Some(last) = bytes.last_chunk::<16>() else {
        return bytes.iter().fold(false, among);
    };
    let whole = bytes.as_chunks::<16>().0.iter().chain([last]);
    whole.fold(false, |found, chunk| found | chunk.iter().fold(false, among))
}

/// What a character means to a name: in upper case, or not of a token (RFC 9110, section 5.6.2).
const UPPER: u8 = 1;
const NO_TOKEN: u8 = 2;

// The loop keeps the index inside the table.
#[allow(clippy::indexing_slicing)]
const CLASSES: [u8; 256] = {
    let mut classes = [NO_TOKEN; 256];
    let mut c = 0;
    while c < 128u8 {
        let separator =
            matches!(c, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}');
        if c.is_ascii_graphic() && !separator {
            classes[c as usize] = c.is_ascii_uppercase() as u8 * UPPER;
        }
        c += 1;
    }
    classes
};

/// The classes of all characters of `name`. An empty one is no token.
fn classes(name: &str) -> u8 {
    let class = |c: u8| CLASSES.get(usize::from(c)).copied().unwrap_or(NO_TOKEN);
    name.bytes().fold(if name.is_empty() { NO_TOKEN } else { 0 }, |found, c| found | class(c))
}

/// Items in order: an index while they fit, else nothing, and each pass searches.
struct Sorted<T> {
    index: [T; INDEX],
    len: Option<usize>,
}

impl<T: Copy + Default> Sorted<T> {
    fn new<I: Iterator<Item = T>>(items: impl Fn() -> I, cmp: impl Fn(&T, &T) -> Ordering) -> Self {
        let mut sorted = Self { index: [T::default(); INDEX], len: None };
        let mut len = 0usize;
        for item in items() {
            // Insertion: lists are short, and most come sorted. Equal items keep their order.
            let mut at = len;
            if at >= INDEX {
                return sorted;
            }
            while let Some(before) = at.checked_sub(1) {
                let Some(other) = sorted.index.get(before).copied() else {
                    break;
                };
                if cmp(&other, &item) != Ordering::Greater {
                    break;
                }
                if let Some(slot) = sorted.index.get_mut(at) {
                    *slot = other;
                }
                at = before;
            }
            if let Some(slot) = sorted.index.get_mut(at) {
                *slot = item;
            }
            len += 1;
        }
        sorted.len = Some(len);
        sorted
    }

    fn visit<I: Iterator<Item = T>>(
        &self,
        items: impl Fn() -> I,
        cmp: impl Fn(&T, &T) -> Ordering,
        mut visit: impl FnMut(T),
    ) {
        if let Some(len) = self.len {
            self.index.iter().take(len).for_each(|item| visit(*item));
            return;
        }
        let mut last: Option<T> = None;
        loop {
            let later = |item: &T| last.is_none_or(|l| cmp(&l, item) == Ordering::Less);
            let Some(next) = items().filter(later).min_by(|a, b| cmp(a, b)) else {
                break;
            };
            // Items that compare equal write the same octets, so they may stand for each other.
            for item in items().filter(|item| cmp(item, &next) == Ordering::Equal) {
                visit(item);
            }
            last = Some(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_looks_at_every_octet() {
        for len in 0..70 {
            let mut text = vec![b'a'; len];
            assert!(!any(core::str::from_utf8(&text).unwrap(), |c| c == b'b'));
            for at in 0..len {
                text[at] = b'b';
                assert!(any(core::str::from_utf8(&text).unwrap(), |c| c == b'b'));
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn classes_as_in_rfc_9110() {
        for c in 0..128u8 {
            let token = c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
            let class = classes(core::str::from_utf8(&[c]).unwrap());
            assert_eq!(class & NO_TOKEN == 0, token, "{c}");
            assert_eq!(class & UPPER != 0, c.is_ascii_uppercase(), "{c}");
        }
        assert_ne!(classes("") & NO_TOKEN, 0);
        assert_ne!(classes("x-\u{e9}") & NO_TOKEN, 0);
    }
}
