//! Texts that are fixed, or a claim of the token as a whole.

use cloudauth_core::json::{Kind, Value};

const START: &str = "${claim:";

/// A text in a session: the operator's, or a claim.
#[derive(Clone, Debug)]
pub(super) struct Text {
    of: Of,
    /// What AWS takes in its place.
    form: Form,
}

#[derive(Clone, Debug)]
enum Of {
    Fixed(String),
    Claim(Claim),
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// A session's name or a source identity.
    Name,
    /// A tag's value.
    Tag,
}

/// A claim, by its JSON pointer.
#[derive(Clone, Debug)]
pub(super) struct Claim(String);

impl Claim {
    /// `${claim:/pointer}` and nothing else; `None` for a text without a placeholder.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        Ok(Self::pointer(text)?.map(|pointer| Self(pointer.to_owned())))
    }

    /// The pointer of such a text.
    pub(super) fn pointer(text: &str) -> Result<Option<&str>, String> {
        let Some(rest) = text.strip_prefix(START) else {
            return match text.contains(START) {
                true => Err("a claim stands for a whole text, not for a part of one".into()),
                false => Ok(None),
            };
        };
        match rest.strip_suffix('}') {
            Some(pointer) if pointer.starts_with('/') && !pointer.contains(['{', '}']) => {
                Ok(Some(pointer))
            }
            _ => {
                Err("expected ${claim:/pointer} and nothing else: a claim stands for a whole text"
                    .into())
            }
        }
    }

    /// Its value, which must be a text or a whole number with none but harmless characters: not `*`, `?` or
    /// `${`, which mean something in a policy. It is never changed to fit.
    pub(super) fn value(&self, claims: &Value<'_>) -> Result<String, String> {
        let claim = claims.pointer(&self.0).ok_or_else(|| format!("there is no {}", self.0))?;
        let text = match claim.kind() {
            Kind::String => claim.as_str(),
            Kind::Number => claim.as_u64().and(claim.number_text()),
            _ => None,
        };
        let text = text.ok_or_else(|| format!("{} is no text", self.0))?;
        let harmless = |c: u8| {
            c.is_ascii_alphanumeric()
                || matches!(c, b'_' | b'=' | b',' | b'.' | b'@' | b'/' | b':' | b'-')
        };
        match !text.is_empty() && text.bytes().all(harmless) {
            true => Ok(text.to_owned()),
            false => Err(format!("{} holds other characters than A-Z a-z 0-9 _=,.@/:-", self.0)),
        }
    }
}

impl Text {
    /// A session's name or a source identity.
    pub(super) fn name(text: &str) -> Result<Self, String> {
        Self::new(text, Form::Name)
    }

    /// A tag's value.
    pub(super) fn tag(text: &str) -> Result<Self, String> {
        Self::new(text, Form::Tag)
    }

    /// The name for the session of a Confidential Space workload.
    pub(super) fn instance_id() -> Self {
        Self { of: Of::Claim(Claim("/submods/gce/instance_id".into())), form: Form::Name }
    }

    fn new(text: &str, form: Form) -> Result<Self, String> {
        let of = match Claim::parse(text)? {
            Some(claim) => Of::Claim(claim),
            None => {
                form.check(text)?;
                Of::Fixed(text.to_owned())
            }
        };
        Ok(Self { of, form })
    }

    /// The JSON pointer of the claim, if it is one.
    pub(super) fn claim(&self) -> Option<&str> {
        match &self.of {
            Of::Fixed(_) => None,
            Of::Claim(Claim(pointer)) => Some(pointer),
        }
    }

    /// The text for a token with these claims.
    pub(super) fn fill(&self, claims: &Value<'_>) -> Result<String, String> {
        match &self.of {
            Of::Fixed(text) => Ok(text.clone()),
            Of::Claim(claim) => {
                let text = claim.value(claims)?;
                self.form.check(&text).map_err(|help| format!("{}: {help}", claim.0))?;
                Ok(text)
            }
        }
    }
}

impl Form {
    /// Source: AWS STS API Reference, AssumeRole: RoleSessionName, SourceIdentity, Tag.
    fn check(self, text: &str) -> Result<(), String> {
        let holds = match self {
            Self::Name => {
                let plain = |c: u8| {
                    c.is_ascii_alphanumeric()
                        || matches!(c, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
                };
                (2..=64).contains(&text.len()) && text.bytes().all(plain)
            }
            Self::Tag => text.chars().count() <= 256 && !text.chars().any(char::is_control),
        };
        match (holds, self) {
            (true, _) => Ok(()),
            (false, Self::Name) => Err("AWS wants 2 to 64 of A-Z a-z 0-9 _+=,.@- here".into()),
            (false, Self::Tag) => Err("AWS wants at most 256 characters here".into()),
        }
    }
}
