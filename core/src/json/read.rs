//! Reading JSON (RFC 8259): one pass validates the text and rewrites it in place, after which it is
//! walked without copies, without allocation, and without any further failure.
//!
//! The rewritten text is as long as before. In it:
//!
//! - A string of at most [`SHORT`] octets begins with the octet 0x80 + its length instead of the quote.
//!   Outside strings, valid JSON is ASCII, so this cannot be mistaken for anything else.
//! - A longer string keeps its opening quote and ends with 0xFF, which is never valid in UTF-8.
//! - Two octets follow the content of a short member name (there is room: the closing quote and the
//!   colon). They say, least significant first, how far it is from there to the next name or to the end
//!   of the object; 0 when that does not fit. So a look-up hops from name to name.
//! - The rest of the room, the closing quote of short strings and the colons are spaces.

mod parse;
#[cfg(test)]
mod tests;

use core::fmt;
use core::iter::FusedIterator;
use core::str::from_utf8;

use super::write;
use crate::out::Sink;
use crate::{Error, Result};

/// The most arrays and objects inside one another.
pub const MAX_DEPTH: usize = 16;

/// The most members of one object.
pub const MAX_MEMBERS: usize = 256;

/// The longest string whose length stands in its first octet, beside the high bit.
const SHORT: usize = 127;

/// Ends a long string.
const END_OF_LONG: u8 = 0xff;

/// Reads one JSON text, whole, and gives its value.
///
/// Stricter than RFC 8259 leaves open: UTF-8 only and no byte order mark, no name twice in an object
/// (names are compared after unescaping), no lone surrogate, at most [`MAX_DEPTH`] levels, at most
/// [`MAX_MEMBERS`] members in an object. Any value may stand at the top. Numbers keep their text, so
/// they have no range.
///
/// The text is rewritten in place: it is not JSON any more afterwards, nor after an error. Use
/// [`Value::write`] to get JSON again.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed) with the octet where the text stops to be acceptable;
/// [`Capacity`](crate::ErrorKind::Capacity) when it is too deep or an object has too many members.
pub fn parse(text: &mut [u8]) -> Result<Value<'_>> {
    let start = parse::rewrite(text)?;
    Ok(Value { text: text.get(start..).unwrap_or_default() })
}

/// The kinds of JSON values (RFC 8259, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[…]`
    Array,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// `-1.5e3`
    Number,
    /// `{…}`
    Object,
    /// `"…"`
    String,
}

/// A value inside a text that [`parse`] has read. Copying it copies a pointer.
///
/// `Debug` shows the kind only: the text may hold tokens.
#[derive(Clone, Copy)]
pub struct Value<'b> {
    /// From the first octet of the value to the end of the whole text.
    text: &'b [u8],
}

impl<'b> Value<'b> {
    /// What kind of value it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.text.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b'"' | 0x80..) => Kind::String,
            _ => Kind::Null,
        }
    }

    /// The unescaped text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&'b str> {
        from_utf8(string(self.text)?.0).ok()
    }

    /// The value of a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.text.first()? {
            b't' => Some(true),
            b'f' => Some(false),
            _ => None,
        }
    }

    /// The value of a number that is written as an integer without sign, fraction and exponent, and
    /// fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.number_text()?.parse().ok()
    }

    /// The value of a number that is written as an integer without fraction and exponent, and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.number_text()?.parse().ok()
    }

    /// Whole seconds: a NumericDate (RFC 7519, section 2) or an `expires_in` (RFC 6749, section 5.1).
    /// A decimal fraction is dropped. `None` for anything negative or with an exponent.
    #[must_use]
    pub fn as_seconds(&self) -> Option<u64> {
        let text = self.number_text()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        match fraction.bytes().all(|c| c.is_ascii_digit()) {
            true => whole.parse().ok(),
            false => None,
        }
    }

    /// A number as it is written.
    #[must_use]
    pub fn number_text(&self) -> Option<&'b str> {
        match self.kind() {
            Kind::Number => from_utf8(scalar(self.text).0).ok(),
            _ => None,
        }
    }

    /// The member `name` of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Self> {
        self.find(|member| is(member, name.as_bytes()))
    }

    /// The members of an object in the order of the text; none if it is not an object.
    #[must_use]
    pub fn members(&self) -> Members<'b> {
        match self.text {
            [b'{', rest @ ..] => Members { rest: gap(rest) },
            _ => Members { rest: &[] },
        }
    }

    /// The elements of an array; none if it is not an array.
    #[must_use]
    pub fn elements(&self) -> Elements<'b> {
        match self.text {
            [b'[', rest @ ..] => Elements { rest },
            _ => Elements { rest: &[] },
        }
    }

    /// The value at a JSON pointer (RFC 6901) such as `/keys/0/kid`, with `~1` for a slash and `~0`
    /// for a tilde in names. `None` also if the pointer breaks the grammar of RFC 6901.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(*self);
        }
        let mut value = *self;
        for token in pointer.strip_prefix('/')?.as_bytes().split(|c| *c == b'/') {
            value = match value.kind() {
                Kind::Object if !token.contains(&b'~') => value.find(|name| is(name, token))?,
                Kind::Object => value.find(|name| is_token(token, name))?,
                Kind::Array => value.elements().nth(index(token)?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The member `name`, which must be there and be a string.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) about `name`.
    pub fn string(&self, name: &'static str) -> Result<&'b str> {
        let value = self.get(name).ok_or(Error::malformed(name, "the member is missing"))?;
        value.as_str().ok_or(Error::malformed(name, "the member must be a string"))
    }

    /// Writes the value as JSON: no white space, members in their order, numbers as they were, strings
    /// escaped where they must be.
    pub fn write(&self, out: &mut impl Sink) {
        let mut rest = self.text;
        let mut open = Nest::default();
        loop {
            let mut first = false;
            rest = match rest {
                [bracket @ (b'{' | b'['), inside @ ..] => {
                    out.put(&[*bracket]);
                    open.push(*bracket);
                    first = true;
                    inside
                }
                _ => match string(rest) {
                    Some((content, after)) => {
                        write::string(from_utf8(content).unwrap_or_default(), out);
                        after
                    }
                    None => {
                        let (text, after) = scalar(rest);
                        out.put(text);
                        after
                    }
                },
            };
            loop {
                if open.is_empty() {
                    return;
                }
                rest = match gap(rest) {
                    [bracket @ (b'}' | b']'), after @ ..] => {
                        out.put(&[*bracket]);
                        open.pop();
                        first = false;
                        after
                    }
                    next => {
                        if !first {
                            out.put(b",");
                        }
                        rest = next;
                        break;
                    }
                };
            }
            if open.in_object() {
                let Some(member) = member(rest) else { return };
                write::string(from_utf8(member.name).unwrap_or_default(), out);
                out.put(b":");
                rest = member.value();
            }
        }
    }

    /// The first member whose name `is` accepts.
    #[inline]
    fn find(&self, is: impl Fn(&[u8]) -> bool) -> Option<Self> {
        let mut rest = self.members().rest;
        while let Some(member) = member(rest) {
            if is(member.name) {
                return Some(Self { text: member.value() });
            }
            rest = member.next();
        }
        None
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.kind()).finish()
    }
}

/// Iterator over the members of an object; see [`Value::members`].
#[derive(Clone)]
pub struct Members<'b> {
    /// From the next name, or from the end of the object.
    rest: &'b [u8],
}

impl<'b> Iterator for Members<'b> {
    type Item = (&'b str, Value<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let member = member(core::mem::take(&mut self.rest))?;
        self.rest = member.next();
        Some((from_utf8(member.name).ok()?, Value { text: member.value() }))
    }
}

impl FusedIterator for Members<'_> {}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

/// Iterator over the elements of an array; see [`Value::elements`].
#[derive(Clone)]
pub struct Elements<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Elements<'b> {
    type Item = Value<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = gap(core::mem::take(&mut self.rest));
        if matches!(text, [] | [b']', ..]) {
            return None;
        }
        self.rest = skip(text);
        Some(Value { text })
    }
}

impl FusedIterator for Elements<'_> {}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elements").finish_non_exhaustive()
    }
}

/// A member name and where it leads.
struct Member<'b> {
    name: &'b [u8],
    /// What follows the name: white space, then the value.
    room: &'b [u8],
    /// The next name or the end of the object, if that is known without a walk.
    next: Option<&'b [u8]>,
}

impl<'b> Member<'b> {
    #[inline]
    fn value(&self) -> &'b [u8] {
        gap(self.room)
    }

    /// The next name or the end of the object.
    #[inline]
    fn next(&self) -> &'b [u8] {
        self.next.unwrap_or_else(|| gap(skip(self.value())))
    }
}

/// The member whose name stands at the start of `text`; `None` at the end of the object.
// Inlined, so that a look-up is one small loop without calls.
#[inline(always)]
fn member(text: &[u8]) -> Option<Member<'_>> {
    let (name, rest) = string(text)?;
    if name.len() > SHORT {
        return Some(Member { name, room: rest, next: None });
    }
    let (distance, room) = rest.split_first_chunk()?;
    let next = match u16::from_le_bytes(*distance) {
        0 => None,
        distance => Some(rest.get(usize::from(distance)..)?),
    };
    Some(Member { name, room, next })
}

/// The content of a string, and what follows it.
#[inline(always)]
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = text.split_first()?;
    match head {
        0x80.. => rest.split_at_checked(usize::from(head & 0x7f)),
        b'"' => {
            let (content, end) = rest.split_at_checked(long(rest))?;
            Some((content, end.get(1..)?))
        }
        _ => None,
    }
}

/// The length of a long string's content.
#[inline(never)]
fn long(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks::<8>();
    // An octet of `w` is 0xFF where the octet of `!w` is zero; a borrow only reaches later octets.
    let mark = |w: u64| (!w).wrapping_sub(ONES) & w & HIGHS;
    let before = words.iter().take_while(|w| mark(u64::from_le_bytes(**w)) == 0).count() * 8;
    let rest = text.get(before..).unwrap_or_default();
    before + rest.iter().take_while(|c| **c != END_OF_LONG).count()
}

/// Eight octets of one, and the high bit of eight octets.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A number or a literal, and what follows it.
fn scalar(text: &[u8]) -> (&[u8], &[u8]) {
    let ends = |c: &u8| matches!(c, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']');
    let len = text.iter().take_while(|c| !ends(c)).count();
    text.split_at_checked(len).unwrap_or((text, &[]))
}

/// What follows white space and commas.
#[inline]
fn gap(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t' | b',', after @ ..] = text {
        text = after;
    }
    text
}

/// What follows the value at the start of `text`.
#[inline(never)]
fn skip(text: &[u8]) -> &[u8] {
    let mut rest = text;
    let mut open = Nest::default();
    loop {
        rest = match rest {
            [bracket @ (b'{' | b'['), inside @ ..] => {
                open.push(*bracket);
                inside
            }
            _ => match string(rest) {
                Some((_, after)) => after,
                None => scalar(rest).1,
            },
        };
        loop {
            if open.is_empty() {
                return rest;
            }
            rest = gap(rest);
            if let [b'}' | b']', after @ ..] = rest {
                open.pop();
                rest = after;
            } else if open.in_object() {
                let Some(member) = member(rest) else {
                    return &[];
                };
                match member.next {
                    Some(next) => rest = next,
                    None => {
                        rest = member.value();
                        break;
                    }
                }
            } else if rest.is_empty() {
                return rest;
            } else {
                break;
            }
        }
    }
}

/// Which brackets are open: a bit for each below a leading one, set for an object.
#[derive(Clone, Copy)]
struct Nest(u32);

impl Default for Nest {
    fn default() -> Self {
        Self(1)
    }
}

impl Nest {
    fn push(&mut self, bracket: u8) {
        self.0 = self.0 << 1 | u32::from(bracket == b'{');
    }

    fn pop(&mut self) {
        self.0 >>= 1;
    }

    fn is_empty(self) -> bool {
        self.0 <= 1
    }

    fn in_object(self) -> bool {
        self.0 > 1 && self.0 & 1 == 1
    }
}

/// Whether two names are the same. The first octets mostly tell, and spare the call that compares all.
#[inline]
fn is(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.first() == b.first() && a == b
}

/// Whether the reference token of a JSON pointer means `name` (RFC 6901, sections 3 and 4).
fn is_token(token: &[u8], name: &[u8]) -> bool {
    let mut name = name.iter();
    let mut token = token.iter();
    while let Some(c) = token.next() {
        let c = match c {
            b'~' => match token.next() {
                Some(b'0') => &b'~',
                Some(b'1') => &b'/',
                _ => return false,
            },
            _ => c,
        };
        if name.next() != Some(c) {
            return false;
        }
    }
    name.next().is_none()
}

/// An array index of a JSON pointer: decimal without leading zeros (RFC 6901, section 4).
fn index(token: &[u8]) -> Option<usize> {
    match token {
        [b'0'] | [b'1'..=b'9', ..] => from_utf8(token).ok()?.parse().ok(),
        _ => None,
    }
}
