//! The one pass over the text: checks the grammar and writes the form that [`super`] describes.

use core::ops::Range;

use super::{ESCAPED, MAX_ATTRIBUTES, MAX_DEPTH, PAD};
use crate::encode::hex;
use crate::out::copy;
use crate::{Error, ErrorKind, Result};

const fn bad(help: &'static str) -> Error {
    Error::malformed("XML", help)
}

const ATTRIBUTE: Error = bad("expected an attribute as name=\"value\", without a < in it");
const BRACKETS: Error = bad("expected ]]> only at the end of a CDATA section");
const CHARACTER: Error = bad("expected characters that XML allows");
const COMMENT: Error = bad("expected no -- inside a comment");
const DECLARATION: Error = bad("expected version 1.0 and encoding UTF-8 in the declaration");
const END: Error = bad("the text ends too early");
const END_TAG: Error = bad("expected the end tag of the innermost open element");
const MARKUP: Error = bad("expected no document type and no processing instruction");
const MIXED: Error = bad("expected nothing but white space beside child elements");
const NAME: Error = bad("expected a name");
const REFERENCE: Error = bad("expected &amp; &lt; &gt; &quot; &apos; or a character reference");
const REPEATED: Error = bad("expected no attribute twice in a tag");
const ROOT: Error = bad("expected an element");
const SPACE: Error = bad("expected white space between attributes");
const TRAILING: Error = bad("expected nothing but white space and comments after the root");
const UTF8: Error = bad("expected UTF-8");
pub(super) const ATTRIBUTES: Error =
    Error::new(ErrorKind::Capacity, "XML", "at most 16 attributes of an element");
pub(super) const DEPTH: Error =
    Error::new(ErrorKind::Capacity, "XML", "at most 16 elements inside one another");

type Span = Range<usize>;

/// Checks and rewrites `text`. Gives the position of its root.
pub(super) fn rewrite(text: &mut [u8]) -> Result<usize> {
    check_characters(text)?;
    let mut reader = Reader { text, at: 0 };
    reader.declaration()?;
    reader.misc(ROOT)?;
    let root = reader.at;
    reader.root()?;
    reader.misc(TRAILING)?;
    match reader.peek() {
        None => Ok(root),
        Some(_) => Err(TRAILING.at(reader.at)),
    }
}

/// UTF-8, and of it the production Char (section 2.2).
fn check_characters(text: &[u8]) -> Result<()> {
    let allowed = |c: u8| c >= 0x20 || is_white(c);
    if let Some(at) = text.iter().position(|c| !allowed(*c)) {
        return Err(CHARACTER.at(at));
    }
    if text.is_ascii() {
        return Ok(());
    }
    if let Err(error) = core::str::from_utf8(text) {
        return Err(UTF8.at(error.valid_up_to()));
    }
    // U+FFFE and U+FFFF.
    let not_a_character = |c: &[u8]| matches!(c, [0xef, 0xbf, 0xbe | 0xbf]);
    match text.windows(3).position(not_a_character) {
        Some(at) => Err(CHARACTER.at(at)),
        None => Ok(()),
    }
}

/// The production Char, of a character reference's value.
const fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

const fn is_white(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | b'\r')
}

/// NameStartChar (section 2.3) without the colon, which divides names (Namespaces in XML, section 4).
const fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// NameChar without the colon.
const fn in_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// What an element's text ends at.
#[derive(PartialEq, Eq)]
enum Next {
    Child,
    EndTag,
}

/// Everything from `at` on is as it was given; what lies before may be rewritten.
struct Reader<'t> {
    text: &'t mut [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, literal: &[u8]) -> bool {
        let found = self.rest().starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    /// Skips white space; says whether there was any.
    fn white(&mut self) -> bool {
        let count = self.rest().iter().take_while(|c| is_white(**c)).count();
        self.at += count;
        count > 0
    }

    /// `error` here, or the end of the text.
    fn wrong(&self, error: Error) -> Error {
        if self.peek().is_none() { END.at(self.at) } else { error.at(self.at) }
    }

    /// The next character. The text is UTF-8, so its first octet tells its length.
    fn character(&self) -> Option<char> {
        let len = match self.peek()? {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        core::str::from_utf8(self.text.get(self.at..self.at + len)?).ok()?.chars().next()
    }

    /// A name with at most one prefix.
    fn name(&mut self) -> Result<Span> {
        let from = self.at;
        self.part_of_name()?;
        if self.eat(b":") {
            self.part_of_name()?;
        }
        Ok(from..self.at)
    }

    fn part_of_name(&mut self) -> Result<()> {
        match self.character() {
            Some(c) if starts_name(c) => {}
            _ => return Err(self.wrong(NAME)),
        }
        while let Some(c) = self.character().filter(|c| in_name(*c)) {
            self.at += c.len_utf8();
        }
        Ok(())
    }

    /// `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`, of which only the version is required.
    fn declaration(&mut self) -> Result<()> {
        if !(self.rest().starts_with(b"<?xml") && self.rest().get(5).copied().is_some_and(is_white))
        {
            return Ok(());
        }
        self.at += b"<?xml".len();
        let good = self.declared(b"version", |v| v == b"1.0") == Some(true)
            && self.declared(b"encoding", |v| v.eq_ignore_ascii_case(b"utf-8")) != Some(false)
            && self.declared(b"standalone", |v| v == b"yes" || v == b"no") != Some(false);
        self.white();
        if good && self.eat(b"?>") { Ok(()) } else { Err(self.wrong(DECLARATION)) }
    }

    /// A part of the declaration: whether its value is good, `None` if it is not there.
    fn declared(&mut self, name: &[u8], good: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let from = self.at;
        if !(self.white() && self.eat(name)) {
            self.at = from;
            return None;
        }
        Some(self.quoted().is_some_and(|value| good(self.text.get(value).unwrap_or_default())))
    }

    /// `= "value"`: the value's place.
    fn quoted(&mut self) -> Option<Span> {
        self.white();
        if !self.eat(b"=") {
            return None;
        }
        self.white();
        let quote = self.peek().filter(|c| matches!(c, b'"' | b'\''))?;
        self.at += 1;
        let from = self.at;
        self.at += self.rest().iter().position(|c| *c == quote)?;
        self.at += 1;
        Some(from..self.at - 1)
    }

    /// White space and comments, up to an element or the end.
    fn misc(&mut self, otherwise: Error) -> Result<()> {
        loop {
            self.white();
            match self.rest() {
                [] => return Ok(()),
                [b'<', b'!', b'-', b'-', ..] => self.comment()?,
                [b'<', b'!' | b'?', ..] => return Err(MARKUP.at(self.at)),
                [b'<', ..] => return Ok(()),
                _ => return Err(otherwise.at(self.at)),
            }
        }
    }

    fn comment(&mut self) -> Result<()> {
        self.at += b"<!--".len();
        let hyphens = self.rest().windows(2).position(|pair| pair == b"--");
        self.at = hyphens.map_or(self.text.len(), |at| self.at + at + 2);
        if self.eat(b">") { Ok(()) } else { Err(self.wrong(COMMENT)) }
    }

    /// The root and everything in it.
    fn root(&mut self) -> Result<()> {
        let mut open = [const { 0..0 }; MAX_DEPTH];
        let mut depth = 0usize;
        loop {
            if self.peek() != Some(b'<') {
                return Err(self.wrong(ROOT));
            }
            let slot = open.get_mut(depth).ok_or(DEPTH.at(self.at))?;
            let (name, empty) = self.start_tag()?;
            if !empty {
                *slot = name;
                depth += 1;
            }
            let mut leaf = !empty;
            // The ends of all elements that end here.
            loop {
                let Some(innermost) = depth.checked_sub(1) else {
                    return Ok(());
                };
                if self.content(leaf)? == Next::Child {
                    break;
                }
                self.end_tag(open.get(innermost).cloned().unwrap_or_default())?;
                depth = innermost;
                leaf = false;
            }
        }
    }

    /// A start tag, whose attributes become spaces: the name, and whether it is its own end tag.
    fn start_tag(&mut self) -> Result<(Span, bool)> {
        self.at += 1;
        let name = self.name()?;
        let from = self.at;
        let mut attributes = [const { 0..0 }; MAX_ATTRIBUTES];
        let mut count = 0;
        loop {
            let spaced = self.white();
            let to = self.at;
            let empty = self.eat(b"/>");
            if empty || self.eat(b">") {
                self.fill(from..to, b' ');
                return Ok((name, empty));
            }
            if !spaced {
                return Err(self.wrong(SPACE));
            }
            let slot = attributes.get_mut(count).ok_or(ATTRIBUTES.at(self.at))?;
            *slot = self.attribute()?;
            let (own, others) = (slot.clone(), attributes.iter().take(count));
            if others.cloned().any(|other| self.text.get(other) == self.text.get(own.clone())) {
                return Err(REPEATED.at(own.start));
            }
            count += 1;
        }
    }

    /// An attribute; gives its name.
    fn attribute(&mut self) -> Result<Span> {
        let name = self.name()?;
        let value = match self.quoted() {
            Some(value) => value,
            None => return Err(self.wrong(ATTRIBUTE)),
        };
        let after = self.at;
        self.at = value.start;
        while self.at < value.end {
            match self.peek() {
                Some(b'<') => return Err(ATTRIBUTE.at(self.at)),
                Some(b'&') => {
                    self.reference()?;
                }
                _ => self.at += 1,
            }
        }
        self.at = after;
        Ok(name)
    }

    fn end_tag(&mut self, open: Span) -> Result<()> {
        let from = self.at;
        self.at += b"</".len();
        let name = self.name()?;
        if self.text.get(name) != self.text.get(open) {
            return Err(END_TAG.at(from));
        }
        self.white();
        if self.eat(b">") { Ok(()) } else { Err(self.wrong(END_TAG)) }
    }

    /// Text up to a tag, unescaped towards its start. In a leaf it stays; elsewhere it must be white.
    fn content(&mut self, leaf: bool) -> Result<Next> {
        let from = self.at;
        let mut to = from;
        let mut white = true;
        let next = loop {
            match self.rest() {
                [] => return Err(END.at(self.at)),
                [b'<', b'/', ..] => break Next::EndTag,
                [b'<', b'!', b'-', b'-', ..] => self.comment()?,
                rest if rest.starts_with(b"<![CDATA[") => {
                    white = false;
                    to = self.cdata(to)?;
                }
                [b'<', b'!' | b'?', ..] => return Err(MARKUP.at(self.at)),
                [b'<', ..] => break Next::Child,
                [b'&', ..] => {
                    white = false;
                    let character = self.reference()?;
                    let mut octets = [0; 4];
                    to = self.put(to, character.encode_utf8(&mut octets).as_bytes());
                }
                [b']', b']', b'>', ..] => return Err(BRACKETS.at(self.at)),
                [b'\r', ..] => to = self.line_end(to),
                [first, after @ ..] => {
                    let ends = |c: &u8| matches!(c, b'<' | b'&' | b']' | b'\r');
                    let more = after.iter().take_while(|c| !ends(c));
                    white &= is_white(*first) && more.clone().all(|c| is_white(*c));
                    to = self.keep(to, 1 + more.count());
                }
            }
        };
        let room = from..self.at;
        let lost = self.at - to;
        if !leaf || next == Next::Child {
            if !white {
                return Err(MIXED.at(from));
            }
            if lost > 0 {
                self.fill(room, b' ');
            }
        } else if lost == 1 {
            self.fill(to..self.at, PAD);
        } else if lost > 1 {
            self.text.copy_within(from..to, from + 1);
            self.fill(from..from + 1, ESCAPED);
            self.fill(to + 1..self.at, PAD);
        }
        Ok(next)
    }

    /// A CDATA section: its text goes to `to`.
    fn cdata(&mut self, mut to: usize) -> Result<usize> {
        self.at += b"<![CDATA[".len();
        loop {
            match self.rest() {
                [] => return Err(END.at(self.at)),
                [b']', b']', b'>', ..] => {
                    self.at += b"]]>".len();
                    return Ok(to);
                }
                [b'\r', ..] => to = self.line_end(to),
                [_, after @ ..] => {
                    let more = after.iter().take_while(|c| !matches!(c, b']' | b'\r')).count();
                    to = self.keep(to, 1 + more);
                }
            }
        }
    }

    /// CR LF, or CR alone, is a line feed (section 2.11).
    fn line_end(&mut self, to: usize) -> usize {
        self.at += 1;
        self.eat(b"\n");
        self.put(to, b"\n")
    }

    /// Moves the next octets to `to`; gives where they end.
    fn keep(&mut self, to: usize, count: usize) -> usize {
        let from = self.at;
        self.at += count;
        if let Some(part) = self.text.get_mut(to..self.at)
            && let Some(behind) = from.checked_sub(to)
            && (1..=part.len()).contains(&behind)
        {
            part.copy_within(behind.., 0);
        }
        to + count
    }

    /// Writes octets at `to`, which has room for them before `at`; gives where they end.
    fn put(&mut self, to: usize, octets: &[u8]) -> usize {
        let end = to + octets.len();
        if let Some(room) = self.text.get_mut(to..end) {
            copy(octets, room);
        }
        end
    }

    fn fill(&mut self, room: Span, with: u8) {
        if let Some(room) = self.text.get_mut(room) {
            room.fill(with);
        }
    }

    /// A character reference or one of the predefined entities (sections 4.1 and 4.6). All are longer
    /// than the character they stand for, by two octets at least.
    fn reference(&mut self) -> Result<char> {
        let from = self.at;
        let named = [
            (&b"&amp;"[..], '&'),
            (b"&lt;", '<'),
            (b"&gt;", '>'),
            (b"&quot;", '"'),
            (b"&apos;", '\''),
        ];
        if let Some((_, c)) = named.iter().find(|(name, _)| self.eat(name)) {
            return Ok(*c);
        }
        let radix = if self.eat(b"&#x") {
            16
        } else if self.eat(b"&#") {
            10
        } else {
            return Err(REFERENCE.at(from));
        };
        let mut value = 0u32;
        let digits = self.at;
        while let Some(digit) = self.peek().and_then(hex::value).map(u32::from) {
            if digit >= radix {
                break;
            }
            value = value.saturating_mul(radix).saturating_add(digit);
            self.at += 1;
        }
        let character = char::from_u32(value).filter(|c| is_char(*c));
        match character {
            Some(c) if self.at > digits && self.eat(b";") => Ok(c),
            _ => Err(REFERENCE.at(from)),
        }
    }
}
