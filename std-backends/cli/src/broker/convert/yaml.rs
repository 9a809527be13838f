//! YAML as a tree of texts: what a scalar means (`"0.3"`, `7`, `yes`), its field decides, not its looks.

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::CliError;

/// How many lists and mappings may stand in one another.
const MAX_DEPTH: usize = 16;

/// A node, and the line on which it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. No name stands there twice.
    Map(Vec<(String, Node)>),
}

/// A list or mapping that has not ended.
struct Open {
    node: Node,
    /// The name that waits for its value.
    name: Option<String>,
}

/// Reads the one document of a text. Aliases are refused: they let a small file stand for a large one.
///
/// # Errors
/// With the line of `place` on which it is wrong, and never with what stands there.
pub(super) fn parse(text: &str, place: &str) -> Result<Node, CliError> {
    let wrong = |line: usize, what: &str| {
        Err(CliError::input(format_args!("{place}: line {line}"), format_args!("YAML: {what}")))
    };
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(e) => return wrong(e.marker().line(), e.info()),
        };
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let null = matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = match style {
                    ScalarStyle::Plain if null => Value::Null,
                    _ => Value::Text(text.into_owned()),
                };
                Node { line, value }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == MAX_DEPTH {
                    return wrong(line, "nested too deep");
                }
                let value = match event {
                    Event::SequenceStart(..) => Value::List(Vec::new()),
                    _ => Value::Map(Vec::new()),
                };
                open.push(Open { node: Node { line, value }, name: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(open) => open.node,
                None => return wrong(line, "what ends here did not begin"),
            },
            Event::Alias(_) => return wrong(line, "aliases (*name) are not read: write it out"),
            Event::DocumentStart(_) if root.is_some() => {
                return wrong(line, "a second document: give each a file of its own");
            }
            _ => continue,
        };
        let Some(parent) = open.last_mut() else {
            root = Some(done);
            continue;
        };
        match (&mut parent.node.value, parent.name.take()) {
            (Value::Map(members), Some(name)) => {
                if members.iter().any(|(other, _)| *other == name) {
                    return wrong(done.line, "a name that stands there already");
                }
                members.push((name, done));
            }
            (Value::Map(_), None) => match done.value {
                Value::Text(name) => parent.name = Some(name),
                _ => return wrong(done.line, "a name that is no text"),
            },
            (Value::List(items), _) => items.push(done),
            _ => return wrong(done.line, "a node in a text"),
        }
    }
    match root {
        Some(root) => Ok(root),
        None => wrong(1, "there is no document"),
    }
}

impl Node {
    /// How messages name what was found.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Calls `each` with every text in it, and with no name.
    pub(super) fn texts(&self, each: &mut dyn FnMut(&str)) {
        match &self.value {
            Value::Null => {}
            Value::Text(text) => each(text),
            Value::List(items) => items.iter().for_each(|item| item.texts(each)),
            Value::Map(members) => members.iter().for_each(|(_, node)| node.texts(each)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        parse(text, "t.yml").unwrap_err().to_string()
    }

    #[test]
    fn scalars_are_texts() {
        let root = parse("a: 0.30\nb: [x, 'null', ~, 7]\nc:\n  d: $$S::e$$\n  f:\n", "").unwrap();
        let mut found = Vec::new();
        root.texts(&mut |text| found.push(text.to_owned()));
        assert_eq!(found, ["0.30", "x", "null", "7", "$$S::e$$"]);
        let Value::Map(members) = root.value else { panic!() };
        let names: Vec<_> = members.iter().map(|(name, node)| (&**name, node.kind())).collect();
        assert_eq!(names, [("a", "a text"), ("b", "a list"), ("c", "a mapping")]);
    }

    #[test]
    fn refusals() {
        for (text, part) in [
            ("", "line 1: YAML: there is no document"),
            ("a: s3cr3t\na: other", "line 2: YAML: a name that stands there already"),
            ("a: &x s3cr3t\nb: *x", "line 2: YAML: aliases"),
            ("a: 1\n---\nb: 2", "YAML: a second document"),
            ("[a]: s3cr3t", "a name that is no text"),
            ("a: [s3cr3t", "line "),
        ] {
            let error = error(text);
            assert!(error.starts_with("t.yml: line ") && error.contains(part), "{text}: {error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        assert!(error(&"[".repeat(MAX_DEPTH + 1)).contains("too deep"));
        parse(&format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)), "").unwrap();
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[-a-c:\\[\\]{},&*!|>'\"#$~? \n]{0,64}") {
            let _ = parse(&text, "t.yml");
        }
    }
}
