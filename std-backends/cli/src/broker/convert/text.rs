//! What stands in a text of a template: `$NAME`, `${NAME}` and `$$SCONE::SECRET$$`.

use crate::context::variable;
use crate::error::CliError;

const REFERENCE: &str = "$$SCONE::";
const END: &str = "$$";

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// `$NAME` or `${NAME}`: a variable of whoever submits the template.
    Variable(String),
    /// What stands between `$$SCONE::` and `$$`.
    Secret(String),
}

/// Takes a text apart. A `$` that begins none of the three is itself, and so is `$$`.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, from)) = split(rest, '$') {
        plain.push_str(before);
        let (part, after) = match special(from) {
            Some(found) => found,
            None => {
                // Both of two: the second begins nothing either.
                let own = if from.starts_with(END) { END } else { "$" };
                plain.push_str(own);
                rest = from.strip_prefix(own).unwrap_or_default();
                continue;
            }
        };
        if !plain.is_empty() {
            parts.push(Part::Text(core::mem::take(&mut plain)));
        }
        parts.push(part);
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

/// The text before a character, and the text from it on.
fn split(text: &str, at: char) -> Option<(&str, &str)> {
    text.find(at).and_then(|i| text.split_at_checked(i))
}

/// What begins with this `$`, and what follows it.
fn special(text: &str) -> Option<(Part, &str)> {
    if let Some((name, after)) = text.strip_prefix(REFERENCE).and_then(|t| t.split_once(END)) {
        return Some((Part::Secret(name.to_owned()), after));
    }
    let text = text.strip_prefix('$')?;
    if let Some((name, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return is_variable(name).then(|| (Part::Variable(name.to_owned()), after));
    }
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !in_name(c)).unwrap_or(text.len());
    let (name, after) = text.split_at_checked(end)?;
    is_variable(name).then(|| (Part::Variable(name.to_owned()), after))
}

fn is_variable(name: &str) -> bool {
    let in_name = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(in_name)
}

/// The parts with every variable filled in. What a variable holds is text, whatever it looks like.
///
/// # Errors
/// One that is unset, or empty.
pub(super) fn fill(parts: Vec<Part>) -> Result<Vec<Part>, CliError> {
    let filled = parts.into_iter().map(|part| match part {
        Part::Variable(name) => match variable(&name)? {
            Some(value) => Ok(Part::Text(value)),
            None => Err(CliError::input(format_args!("${name}"), "the variable is not set")),
        },
        part => Ok(part),
    });
    filled.collect()
}

/// The text, where it is one; a variable that is not filled in stands there as it did.
pub(super) fn plain(parts: &[Part]) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Variable(name) => text.push_str(&format!("${{{name}}}")),
            Part::Secret(_) => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let shown = parts(text).into_iter().map(|part| match part {
            Part::Text(text) => format!("'{text}'"),
            Part::Variable(name) => format!("<{name}>"),
            Part::Secret(name) => format!("[{name}]"),
        });
        shown.collect()
    }

    #[test]
    fn what_stands_in_a_text() {
        for (text, expected) in [
            ("", ""),
            ("plain", "'plain'"),
            ("$A", "<A>"),
            ("$A/$B_1-c", "<A>'/'<B_1>'-c'"),
            ("x${A}y", "'x'<A>'y'"),
            ("$$SCONE::S$$", "[S]"),
            ("$$SCONE::S.crt$$$A", "[S.crt]<A>"),
            ("p:$$SCONE::S:hex$$@$$SCONE::T$$", "'p:'[S:hex]'@'[T]"),
            // Not one of the three.
            ("$", "'$'"),
            ("a$", "'a$'"),
            ("$1 $- ${} ${a b} ${a", "'$1 $- ${} ${a b} ${a'"),
            ("$$A", "'$$A'"),
            ("$$SCONE::S", "'$$SCONE::S'"),
            ("$$$A", "'$$'<A>"),
            ("ä$Aä", "'ä'<A>'ä'"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(plain(&parts("a$B${C}")).as_deref(), Some("a${B}${C}"));
        assert_eq!(plain(&parts("a$$SCONE::S$$")), None);
    }

    proptest! {
        /// Nothing is lost, and nothing panics.
        #[test]
        fn whole(text in "[$SCONE:a-c{}_1ä]{0,48}") {
            let again: String = parts(&text).into_iter().map(|part| match part {
                Part::Text(text) => text,
                Part::Variable(name) => format!("${name}"),
                Part::Secret(name) => format!("$$SCONE::{name}$$"),
            }).collect();
            let bare = |text: &str| text.replace(['{', '}'], "");
            prop_assert_eq!(bare(&again), bare(&text));
        }
    }
}
