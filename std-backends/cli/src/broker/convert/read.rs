//! Taking a template's mappings apart so that nothing in them is passed over in silence.

use super::text::{Part, fill, parts, plain};
use super::yaml::{Node, Value};
use crate::error::CliError;

/// Reads texts, and keeps what has to be told.
#[derive(Default)]
pub(super) struct Reader {
    /// Whether `$NAME` is filled in.
    pub(super) use_env: bool,
    /// What has nothing of its own in what is written: a line each.
    pub(super) lost: Vec<String>,
    /// What the operator has to add or decide: a line each.
    pub(super) to_do: Vec<String>,
}

impl Reader {
    pub(super) fn lost(&mut self, place: &str, why: &str) {
        self.lost.push(format!("{place}: {why}"));
    }

    pub(super) fn ask(&mut self, place: &str, what: &str) {
        self.to_do.push(format!("{place}: {what}"));
    }

    /// A text's parts, filled in if that is wanted.
    pub(super) fn parts(&self, node: &Node, place: &str) -> Result<Vec<Part>, CliError> {
        let parts = match &node.value {
            Value::Null => Vec::new(),
            Value::Text(text) => parts(text),
            _ => return Err(unexpected(node, place, "a text")),
        };
        if self.use_env { fill(parts) } else { Ok(parts) }
    }

    /// Says that a value of a variable is written down, which may have been a secret.
    pub(super) fn tell_filled(&mut self, node: &Node, place: &str) {
        let mut filled = false;
        node.texts(&mut |text| {
            filled |= parts(text).iter().any(|p| matches!(p, Part::Variable(_)))
        });
        if self.use_env && filled {
            let help = "what a variable held is now in the file; if it is a secret, take it out and make it \
                        one of the grant's";
            self.ask(place, help);
        }
    }

    /// Says which of these stand word for word in what is written, for one may hold a password.
    pub(super) fn tell_plain(&mut self, places: &[String], place: &str) {
        if !places.is_empty() {
            let names = places.join(", ");
            let help = format!(
                "{names}: is written as it stands in the template; if a secret is in it, take it out and make it \
                 one of the grant's"
            );
            self.ask(place, &help);
        }
    }

    /// A text that must be whole: a name, an address.
    pub(super) fn text(&self, node: &Node, place: &str) -> Result<String, CliError> {
        let parts = self.parts(node, place)?;
        if let Some(Part::Variable(name)) = parts.iter().find(|p| matches!(p, Part::Variable(_))) {
            let help = format!("${name} stands there; set it and give --use-env");
            return Err(at(node, place, &help));
        }
        plain(&parts).ok_or_else(|| at(node, place, "a secret cannot stand there"))
    }
}

/// Whether a text has words of its own beside variables and references.
pub(super) fn is_plain(node: &Node) -> bool {
    let mut found = false;
    node.texts(&mut |text| {
        found |= parts(text).iter().any(|p| matches!(p, Part::Text(text) if !text.is_empty()));
    });
    found
}

/// The members of a mapping that nobody has taken yet.
pub(super) struct Fields {
    pub(super) place: String,
    members: Vec<(String, Node)>,
}

impl Fields {
    pub(super) fn of(node: Node, place: &str) -> Result<Self, CliError> {
        match node.value {
            Value::Map(members) => Ok(Self { place: place.to_owned(), members }),
            _ => Err(unexpected(&node, place, "a mapping")),
        }
    }

    /// How messages name a member.
    pub(super) fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// A member, unless it is null.
    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.members.iter().position(|(other, _)| other == name)?;
        let (_, node) = self.members.remove(at);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    pub(super) fn text(&mut self, name: &str, reader: &Reader) -> Result<Option<String>, CliError> {
        let place = self.at(name);
        self.take(name).map(|node| reader.text(&node, &place)).transpose()
    }

    pub(super) fn needed(&mut self, name: &str, reader: &Reader) -> Result<String, CliError> {
        let text = self.text(name, reader)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| CliError::input(self.at(name), "is missing"))
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Node>, CliError> {
        let place = self.at(name);
        self.take(name).map_or(Ok(Vec::new()), |node| list(node, &place))
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&mut self, name: &str, reader: &Reader) -> Result<Vec<String>, CliError> {
        let place = self.at(name);
        let Some(node) = self.take(name) else { return Ok(Vec::new()) };
        let nodes = match node.value {
            Value::Text(_) => vec![node],
            _ => list(node, &place)?,
        };
        nodes.iter().map(|node| reader.text(node, &place)).collect()
    }

    /// The members of a mapping, in their order.
    pub(super) fn map(&mut self, name: &str) -> Result<Vec<(String, Node)>, CliError> {
        let place = self.at(name);
        self.take(name).map_or(Ok(Vec::new()), |node| Ok(Self::of(node, &place)?.members))
    }

    /// Says of each member that is left that it was not carried over.
    pub(super) fn finish(self, reader: &mut Reader, why: impl Fn(&str) -> Option<&'static str>) {
        for (name, _) in &self.members {
            let unknown = "is nothing that this converter knows; see what it was for";
            reader.lost(&self.at(name), why(name).unwrap_or(unknown));
        }
    }
}

fn list(node: Node, place: &str) -> Result<Vec<Node>, CliError> {
    match node.value {
        Value::List(items) => Ok(items),
        _ => Err(unexpected(&node, place, "a list")),
    }
}

fn unexpected(node: &Node, place: &str, expected: &str) -> CliError {
    at(node, place, &format!("expected {expected}, not {}", node.kind()))
}

/// What is wrong with a node.
pub(super) fn at(node: &Node, place: &str, what: &str) -> CliError {
    CliError::input(format_args!("line {}: {place}", node.line), what)
}
