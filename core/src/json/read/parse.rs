//! The one pass over the text: checks the grammar and writes the form that [`super`] describes.

use super::{END_OF_LONG, HIGHS, MAX_DEPTH, MAX_MEMBERS, ONES, SHORT, gap, is, member};
use crate::encode::hex;
use crate::out::copy;
use crate::{Error, ErrorKind, Result};

/// How many names of open objects are known by their hash. Those beyond are compared one by one.
const NAMES: usize = 128;

/// No place for a distance.
const NOWHERE: usize = usize::MAX;

const fn bad(help: &'static str) -> Error {
    Error::malformed("JSON", help)
}

const BOM: Error = bad("expected UTF-8 without a byte order mark");
const COLON: Error = bad("expected a colon after a member name");
const CONTROL: Error = bad("control characters in strings must be escaped");
const DIGIT: Error = bad("expected a digit");
const END: Error = bad("the text ends too early");
const ESCAPE: Error = bad("expected \", \\, /, b, f, n, r, t or u after a backslash");
const HEX: Error = bad("expected four hexadecimal digits after \\u");
const IN_ARRAY: Error = bad("expected a comma or ] after an element");
const IN_OBJECT: Error = bad("expected a comma or } after a member");
const LITERAL: Error = bad("expected true, false or null");
const NAME: Error = bad("expected a member name in quotes");
pub(super) const REPEATED: Error = bad("expected no name twice in an object");
const SURROGATE: Error = bad("expected surrogates in pairs, high before low");
const TRAILING: Error = bad("expected nothing but white space after the value");
const UTF8: Error = bad("expected UTF-8");
const VALUE: Error = bad("expected a value");
pub(super) const DEPTH: Error =
    Error::new(ErrorKind::Capacity, "JSON", "at most 16 arrays and objects inside one another");
pub(super) const MEMBERS: Error =
    Error::new(ErrorKind::Capacity, "JSON", "at most 256 members in an object");

/// Checks and rewrites `text`. Gives the position of its value.
pub(super) fn rewrite(text: &mut [u8]) -> Result<usize> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(BOM);
    }
    // Nearly all texts are ASCII, which is quicker to see.
    if !text.is_ascii()
        && let Err(error) = core::str::from_utf8(text)
    {
        return Err(UTF8.at(error.valid_up_to()));
    }
    let mut reader = Reader::new(text);
    reader.document().map_err(|error| error.at(reader.at))
}

/// The outcome of a step. An error stands for the place where the reader is; the reference keeps the
/// outcome in registers.
type Step<T = ()> = core::result::Result<T, &'static Error>;

/// What directly encloses the place where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Document,
    Array,
    Object,
}

#[derive(Clone, Copy)]
struct Frame {
    within: Within,
    /// Members so far.
    count: u16,
    /// Its first name in `Reader::names`.
    base: u16,
    /// What follows the opening bracket.
    first: usize,
    /// Where the distance over the present member's value goes, or [`NOWHERE`].
    slot: usize,
}

impl Frame {
    const DOCUMENT: Self =
        Self { within: Within::Document, count: 0, base: 0, first: 0, slot: NOWHERE };
}

/// The state of the pass: well under 1 KiB, and no recursion.
pub(super) struct Reader<'t> {
    text: &'t mut [u8],
    at: usize,
    here: Frame,
    /// The frames around `here`, outermost first; `depth` of them.
    outer: [Frame; MAX_DEPTH],
    depth: usize,
    /// Hashes of the names in the open objects, outermost first; `used` of them.
    names: [u16; NAMES],
    used: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t mut [u8]) -> Self {
        Self {
            text,
            at: 0,
            here: Frame::DOCUMENT,
            outer: [Frame::DOCUMENT; MAX_DEPTH],
            depth: 0,
            names: [0; NAMES],
            used: 0,
        }
    }

    fn document(&mut self) -> Step<usize> {
        self.space();
        let start = self.at;
        loop {
            // Here a value is due.
            self.space();
            match self.peek() {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.open(Within::Object)?;
                    if self.peek() != b'}' {
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.open(Within::Array)?;
                    if self.peek() != b']' {
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return Err(self.refuse(&VALUE)),
            }
            // A value has ended, or an array or object was found empty.
            loop {
                self.space();
                match (self.here.within, self.peek()) {
                    (Within::Object, b',') => {
                        self.at += 1;
                        self.space();
                        self.member_ends();
                        self.name()?;
                        break;
                    }
                    (Within::Array, b',') => {
                        self.at += 1;
                        break;
                    }
                    (Within::Object, b'}') => {
                        self.member_ends();
                        self.close();
                    }
                    (Within::Array, b']') => self.close(),
                    (Within::Object, _) => return Err(self.refuse(&IN_OBJECT)),
                    (Within::Array, _) => return Err(self.refuse(&IN_ARRAY)),
                    (Within::Document, _) if self.at < self.text.len() => {
                        return Err(&TRAILING);
                    }
                    (Within::Document, _) => return Ok(start),
                }
            }
        }
    }

    /// The octet here; 0, which is allowed nowhere, also at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// `error` here, unless the matter is that there is no more text.
    #[cold]
    fn refuse(&self, error: &'static Error) -> &'static Error {
        if self.at < self.text.len() { error } else { &END }
    }

    /// Passes white space (RFC 8259, section 2).
    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Passes an opening bracket and the white space after it.
    fn open(&mut self, within: Within) -> Step {
        let outer = self.outer.get_mut(self.depth).ok_or(&DEPTH)?;
        *outer = self.here;
        self.depth += 1;
        self.at += 1;
        // `used` is at most NAMES.
        let base = u16::try_from(self.used).unwrap_or(u16::MAX);
        self.here = Frame { within, count: 0, base, first: self.at, slot: NOWHERE };
        self.space();
        Ok(())
    }

    /// Passes a closing bracket.
    fn close(&mut self) {
        self.at += 1;
        self.used = usize::from(self.here.base);
        self.depth = self.depth.saturating_sub(1);
        self.here = self.outer.get(self.depth).copied().unwrap_or(Frame::DOCUMENT);
    }

    /// Notes how far it was from the last name's end to here, the next name or the end of the object.
    #[inline]
    fn member_ends(&mut self) {
        let slot = self.here.slot;
        if let Some(to) = self.text.get_mut(slot..slot.saturating_add(2)) {
            let distance = u16::try_from(self.at.saturating_sub(slot)).unwrap_or(0);
            copy(&distance.to_le_bytes(), to);
        }
    }

    /// Passes a member name and its colon.
    fn name(&mut self) -> Step {
        let start = self.at;
        if self.peek() != b'"' {
            return Err(self.refuse(&NAME));
        }
        let end = self.string()?;
        self.space();
        match self.text.get_mut(self.at) {
            Some(colon @ b':') => *colon = b' ',
            _ => return Err(self.refuse(&COLON)),
        }
        self.at += 1;

        let hash = hash(self.text.get(start + 1..end).unwrap_or_default());
        let base = usize::from(self.here.base);
        let known = self.names.get(base..self.used).unwrap_or_default();
        let all_known = known.len() == usize::from(self.here.count);
        let suspect = !all_known || known.iter().fold(false, |hit, h| hit | (*h == hash));
        if suspect && self.is_repeated(start, end) {
            self.at = start;
            return Err(&REPEATED);
        }
        if usize::from(self.here.count) == MAX_MEMBERS {
            self.at = start;
            return Err(&MEMBERS);
        }
        if let Some(to) = self.names.get_mut(self.used) {
            *to = hash;
            self.used += 1;
        }
        self.here.count += 1;
        self.here.slot = if end - start - 1 > SHORT { NOWHERE } else { end };
        Ok(())
    }

    /// Whether an earlier member of this object has the name that begins at `start`. It hops over the
    /// values, and walks over those beyond 64 KiB. So a text below that, whatever its names, costs at
    /// most [`MAX_MEMBERS`] hops for a name; a longer one up to that many walks for each level.
    #[cold]
    fn is_repeated(&self, start: usize, end: usize) -> bool {
        let name = self.text.get(start + 1..end).unwrap_or_default();
        let mut rest = gap(self.text.get(self.here.first..start).unwrap_or_default());
        while let Some(member) = member(rest) {
            if is(member.name, name) {
                return true;
            }
            rest = member.next();
        }
        false
    }

    /// Passes a string and rewrites it. Gives the end of its content.
    #[inline]
    fn string(&mut self) -> Step<usize> {
        let head = self.at;
        self.at = head + 1;
        let mut end = self.at + plain(self.text.get(self.at..).unwrap_or_default());
        self.at = end;
        if self.peek() != b'"' {
            end = self.unescape()?;
        }
        self.at += 1;
        // The closing quote is free, and so is what the escapes took beyond their characters.
        let len = end - head - 1;
        let (mark, fill) = match u8::try_from(len) {
            Ok(short) if len <= SHORT => (0x80 | short, b' '),
            _ => (b'"', END_OF_LONG),
        };
        if let Some(to) = self.text.get_mut(head) {
            *to = mark;
        }
        if let Some([to, rest @ ..]) = self.text.get_mut(end..self.at) {
            *to = fill;
            // Mostly there is no rest, and no call.
            if !rest.is_empty() {
                rest.fill(b' ');
            }
        }
        Ok(end)
    }

    /// Goes on to the closing quote of a string and moves its content together. Gives the content's end.
    #[inline(never)]
    fn unescape(&mut self) -> Step<usize> {
        let mut end = self.at;
        loop {
            match self.peek() {
                b'"' => return Ok(end),
                b'\\' => {}
                _ => return Err(self.refuse(&CONTROL)),
            }
            let mut utf8 = [0; 4];
            let text = self.escape()?.encode_utf8(&mut utf8).as_bytes();
            // An escape is never shorter than its character in UTF-8.
            if let Some(to) = self.text.get_mut(end..end + text.len()) {
                copy(text, to);
            }
            end += text.len();
            if self.peek() == b'\\' {
                continue;
            }
            let run = plain(self.text.get(self.at..).unwrap_or_default());
            let freed = self.at - end;
            if let Some(run) = self.text.get_mut(end..self.at + run)
                && freed <= run.len()
            {
                run.copy_within(freed.., 0);
            }
            end += run;
            self.at += run;
        }
    }

    /// Passes an escape (RFC 8259, section 7).
    fn escape(&mut self) -> Step<char> {
        self.at += 1;
        let c = match self.peek() {
            c @ (b'"' | b'\\' | b'/') => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.refuse(&ESCAPE)),
        };
        self.at += 1;
        Ok(c)
    }

    /// Passes the rest of one `\u` escape, or of a surrogate pair of two.
    fn unicode(&mut self) -> Step<char> {
        let start = self.at - 1;
        let mut code = self.hex4()?;
        let next = self.text.get(self.at..).unwrap_or_default();
        if matches!(code, 0xd800..=0xdbff) && next.starts_with(b"\\u") {
            self.at += 1;
            let low = self.hex4()?;
            // Without a low one, the high one stays, and is no character.
            if matches!(low, 0xdc00..=0xdfff) {
                code = 0x1_0000 + ((code & 0x3ff) << 10 | low & 0x3ff);
            }
        }
        char::from_u32(code).ok_or_else(|| {
            self.at = start;
            &SURROGATE
        })
    }

    /// Passes the `u` of an escape and its four digits.
    fn hex4(&mut self) -> Step<u32> {
        let mut code = 0;
        for _ in 0..4 {
            self.at += 1;
            let digit = hex::value(self.peek()).ok_or_else(|| self.refuse(&HEX))?;
            code = code << 4 | u32::from(digit);
        }
        self.at += 1;
        Ok(code)
    }

    /// Passes a number (RFC 8259, section 6).
    fn number(&mut self) -> Step {
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Passes one digit or more.
    fn digits(&mut self) -> Step {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.refuse(&DIGIT)),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Step {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal) {
            return Err(&LITERAL);
        }
        self.at += literal.len();
        Ok(())
    }
}

/// How many octets come before the first quote, backslash or control character.
#[inline]
fn plain(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk() {
        // The high bit of an octet is set where it is special. A borrow can set it wrongly, but only
        // after a special one, and the first counts. Octets from 0x80 are masked out.
        let word = u64::from_le_bytes(*word);
        // The flipped bit swaps the quote and the space, so that all special ones are below 0x21.
        let control_or_quote = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
        let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
        let special = (control_or_quote | backslash) & !word & HIGHS;
        if special != 0 {
            return text.len() - rest.len() + special.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    text.len() - rest.iter().skip_while(|c| !matches!(c, b'"' | b'\\' | 0..0x20)).count()
}

/// A quick hash of a name: its length, and its first and last eight octets. It may collide, since every
/// hit is compared in full.
#[inline]
fn hash(name: &[u8]) -> u16 {
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => (name.iter().fold(0, |word, c| word << 8 | u64::from(*c)), 0),
        },
    };
    let mixed = (first ^ (name.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32 ^ last).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_small() {
        assert!(size_of::<Reader<'_>>() < 1024, "{}", size_of::<Reader<'_>>());
    }

    #[test]
    fn plain_runs_end_at_the_first_special_octet() {
        for len in 0..40 {
            for special in 0..=0xff_u8 {
                let mut text = vec![b'a'; 40];
                text[len] = special;
                let want = match special {
                    0..0x20 | b'"' | b'\\' => len,
                    _ => 40,
                };
                assert_eq!(plain(&text), want, "{special} at {len}");
                // Neighbours that borrow.
                text[len + 1..].fill(0x21);
                assert_eq!(plain(&text), want, "{special} at {len}");
                text[..len].fill(0x80);
                assert_eq!(plain(&text), want, "{special} at {len}");
            }
        }
    }
}
