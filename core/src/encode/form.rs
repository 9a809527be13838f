//! `application/x-www-form-urlencoded` bodies, a field at a time.

use super::percent;
use crate::out::Sink;

/// Writes `name=value` pairs joined by `&`; a space becomes `+`, everything but the unreserved set
/// `%XX`.
#[derive(Debug)]
pub struct Form<'s, S: Sink> {
    to: &'s mut S,
    first: bool,
}

impl<'s, S: Sink> Form<'s, S> {
    /// An empty form in front of `to`.
    #[must_use]
    pub fn new(to: &'s mut S) -> Self {
        Self { to, first: true }
    }

    /// Adds a field. `name` is written as it is: field names are constants of the protocol.
    pub fn field(&mut self, name: &str, value: &str) {
        let to = self.open(name);
        value_into(value.as_bytes(), to);
    }

    /// Starts a field and gives the sink for its value, which must need no encoding.
    pub fn open(&mut self, name: &str) -> &mut S {
        if !self.first {
            self.to.put(b"&");
        }
        self.first = false;
        self.to.text(name);
        self.to.put(b"=");
        self.to
    }
}

fn value_into(value: &[u8], out: &mut (impl Sink + ?Sized)) {
    for (i, word) in value.split(|c| *c == b' ').enumerate() {
        if i > 0 {
            out.put(b"+");
        }
        percent::encode(word, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Out;

    #[test]
    fn pairs() {
        let mut buf = [0u8; 64];
        let mut out = Out::new(&mut buf);
        let mut form = Form::new(&mut out);
        form.field("Action", "AssumeRole");
        form.field("RoleArn", "arn:aws: x");
        form.open("n").put(b"1");
        assert_eq!(out.finish().unwrap(), b"Action=AssumeRole&RoleArn=arn%3Aaws%3A+x&n=1");
    }
}
