//! Reading XML (XML 1.0, fifth edition), as far as services answer with it: elements and their text.
//! One pass validates the text and rewrites it in place, after which it is walked without copies,
//! without allocation, and without any further failure.
//!
//! The rewritten text is as long as before. In it:
//!
//! - Attributes, and comments between elements, are spaces.
//! - A leaf's text that became shorter (references, CDATA sections, comments, line ends) stands between
//!   the octets 0xFE and 0xFF, neither of which occurs in UTF-8, with more of the latter up to the end
//!   tag. If it became shorter by a single octet, which a line end alone does, 0xFE is left out.

mod parse;
#[cfg(test)]
mod tests;

use core::fmt;
use core::iter::FusedIterator;
use core::str::from_utf8;

use crate::{Error, Result};

/// The most elements inside one another.
pub const MAX_DEPTH: usize = 16;

/// The most attributes of one element.
pub const MAX_ATTRIBUTES: usize = 16;

/// Begins a text that may hold `<`.
const ESCAPED: u8 = 0xfe;

/// Ends a text that became shorter, and fills up its room.
const PAD: u8 = 0xff;

/// Reads one XML document, whole, and gives its root.
///
/// Stricter than XML: UTF-8 only and no byte order mark, no document type, no processing instructions,
/// so no entities but the five predefined ones; no text beside child elements but white space; at most
/// [`MAX_DEPTH`] levels, at most [`MAX_ATTRIBUTES`] attributes. Attributes are checked and then
/// ignored, namespaces with them: an element goes by its name without a prefix.
///
/// The text is rewritten in place: it is not XML any more afterwards, nor after an error.
///
/// # Errors
/// [`Malformed`](crate::ErrorKind::Malformed) with the octet where the text stops to be acceptable;
/// [`Capacity`](crate::ErrorKind::Capacity) when it is too deep or an element has too many attributes.
pub fn parse(text: &mut [u8]) -> Result<Element<'_>> {
    let start = parse::rewrite(text)?;
    Ok(Element { text: text.get(start..).unwrap_or_default() })
}

/// An element inside a text that [`parse`] has read. Copying it copies a pointer.
///
/// `Debug` shows the name only: the text may be a secret.
#[derive(Clone, Copy)]
pub struct Element<'b> {
    /// From the element's `<` to the end of the whole text.
    text: &'b [u8],
}

impl<'b> Element<'b> {
    /// The name, without a namespace prefix.
    #[must_use]
    pub fn name(&self) -> &'b str {
        let name = from_utf8(tag(self.text).name).unwrap_or_default();
        name.split_once(':').map_or(name, |(_, local)| local)
    }

    /// The unescaped text, white space and all; empty for an element that has child elements.
    #[must_use]
    pub fn text(&self) -> &'b str {
        let tag = tag(self.text);
        let text = match tag.after {
            _ if tag.empty => &[],
            [ESCAPED, rest @ ..] => until(rest, |c| c == PAD).0,
            rest => match until(rest, |c| c == b'<' || c == PAD) {
                (text, [PAD, ..] | [b'<', b'/', ..]) => text,
                _ => &[],
            },
        };
        from_utf8(text).unwrap_or_default()
    }

    /// The child elements in the order of the text.
    #[must_use]
    pub fn children(&self) -> Children<'b> {
        let tag = tag(self.text);
        Children { rest: if tag.empty { &[] } else { tag.after } }
    }

    /// The one child called `name`, if there is one.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) about `name` when there are several: which of them
    /// counts cannot be known.
    pub fn child(&self, name: &'static str) -> Result<Option<Self>> {
        let mut found = self.children().filter(|child| child.name() == name);
        let child = found.next();
        if found.next().is_some() {
            return Err(Error::malformed(name, "the element is repeated"));
        }
        Ok(child)
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Element").field(&self.name()).finish()
    }
}

/// Iterator over the child elements; see [`Element::children`].
#[derive(Clone)]
pub struct Children<'b> {
    /// What lies before the next child: white space, or a leaf's text.
    rest: &'b [u8],
}

impl<'b> Iterator for Children<'b> {
    type Item = Element<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = core::mem::take(&mut self.rest).trim_ascii_start();
        if !matches!(text, [b'<', next, ..] if *next != b'/') {
            return None;
        }
        self.rest = skip(text);
        Some(Element { text })
    }
}

impl FusedIterator for Children<'_> {}

impl fmt::Debug for Children<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").finish_non_exhaustive()
    }
}

/// A start tag.
struct Tag<'b> {
    name: &'b [u8],
    /// Whether it is its own end tag.
    empty: bool,
    after: &'b [u8],
}

/// The start tag at the start of `text`.
fn tag(text: &[u8]) -> Tag<'_> {
    let (name, room) =
        until(text.get(1..).unwrap_or_default(), |c| matches!(c, b' ' | b'/' | b'>'));
    let (room, after) = until(room, |c| c == b'>');
    Tag { name, empty: room.ends_with(b"/"), after: after.get(1..).unwrap_or_default() }
}

/// What follows the element at the start of `text`.
fn skip(text: &[u8]) -> &[u8] {
    let mut rest = text;
    let mut depth = 0usize;
    loop {
        match rest {
            [b'<', b'/', ..] => {
                rest = until(rest, |c| c == b'>').1.get(1..).unwrap_or_default();
                depth = depth.saturating_sub(1);
            }
            _ => {
                let tag = tag(rest);
                rest = tag.after;
                depth += usize::from(!tag.empty);
            }
        }
        if depth == 0 || rest.is_empty() {
            return rest;
        }
        if let [ESCAPED, text @ ..] = rest {
            rest = until(text, |c| c == PAD).1;
        }
        rest = until(rest, |c| c == b'<').1;
    }
}

/// Divides `text` before the first octet that `is` holds for.
fn until(text: &[u8], is: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|c| is(*c)).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, &[]))
}
