//! The rules of a grant: read and checked once, held against every token.

mod confidential_space;
mod maa;

use cloudauth_core::Result;
use cloudauth_core::attest::{Binding, ClaimRule, Report, Rule, Wanted};
use cloudauth_core::jws::{self, Outcome};

use super::chosen;
use crate::config::attested::{Claim, Common, OneOrMore};
use crate::decision::CheckLine;
use crate::error::LoadError;

/// The rules on a workload.
#[derive(Debug)]
pub(crate) struct Rules {
    of: Kind,
    claims: Vec<(String, Value)>,
}

#[derive(Debug)]
enum Kind {
    ConfidentialSpace(Box<confidential_space::Rules>),
    Maa(maa::Rules),
}

/// What came of all of them.
pub(crate) struct Checked {
    /// Every check.
    pub(crate) lines: Vec<CheckLine>,
    /// Whether all hold, the binding included.
    pub(crate) verdict: Result<()>,
    /// Whether all hold but for the binding.
    pub(crate) unbound: Result<()>,
}

impl Rules {
    /// Those of `own`, beside what `common` says. `issuers` are URLs, or `None` where they are waived.
    pub(crate) fn new(
        kind: crate::config::issuer::Kind,
        issuers: Option<Vec<String>>,
        audience: Option<String>,
        own: &toml::Table,
        common: Common,
    ) -> core::result::Result<Self, LoadError> {
        use crate::config::issuer::Kind as Of;
        let mut reader = Reader::new(common.waive);
        let issuers = match issuers {
            Some(issuers) => ListRule::OneOf(issuers),
            None => ListRule::Waived,
        };
        let of = match kind {
            Of::ConfidentialSpace => crate::config::section(own).map(|own| {
                Kind::ConfidentialSpace(Box::new(confidential_space::Rules::read(
                    own,
                    issuers,
                    audience,
                    &mut reader,
                )))
            }),
            Of::Maa => crate::config::section(own)
                .map(|own| Kind::Maa(maa::Rules::read(own, issuers, &mut reader))),
        };
        let of = reader.wrong.take(of);
        let mut claims = Vec::new();
        for (pointer, claim) in common.claims {
            if !is_pointer(&pointer) {
                let help = "expected a JSON pointer, such as /submods/nvidia_gpu/cc_mode";
                reader.wrong.add(format!("claims.{pointer:?}"), help);
            }
            if chosen::is_uncovered_nonce(&pointer) {
                let help = "no report covers it: anyone with an old one chooses it. The nonce that counts is \
                            always held against the connection; leave this out";
                reader.wrong.add(format!("claims.{pointer:?}"), help);
            }
            let value = match claim {
                Claim::Bool(wanted) => Value::Bool(wanted),
                Claim::Number(wanted) => Value::Number(wanted),
                Claim::AtLeast(wanted) => Value::AtLeast(wanted.at_least),
                Claim::Texts(texts) => {
                    Value::OneOf(reader.texts(&format!("claims.{pointer:?}"), texts))
                }
            };
            claims.push((pointer, value));
        }
        reader.finish()?;
        let of = of.ok_or_else(|| LoadError::one("attested", "cannot be read"))?;
        Ok(Self { of, claims })
    }

    /// Why the claim at `pointer` must not become part of a credential, in words.
    pub(crate) fn keeps_out(&self, pointer: &str) -> Option<String> {
        if chosen::is_nonce(pointer) {
            return Some("is a nonce: it says nothing of the workload, and may be a secret".into());
        }
        let Kind::ConfidentialSpace(rules) = &self.of else { return None };
        let waived = rules.waived_part(pointer)?;
        let help = format!(
            "is chosen by whoever starts the workload, since {waived:?} is waived: fix it, or leave this out"
        );
        Some(help)
    }

    /// Makes every check.
    pub(crate) fn check(&self, token: &jws::Report<'_>, binding: &Binding<'_>) -> Checked {
        let texts: Vec<Vec<&str>> = self.claims.iter().map(|(_, value)| value.texts()).collect();
        let claims: Vec<ClaimRule<'_>> = self
            .claims
            .iter()
            .zip(&texts)
            .map(|((pointer, value), texts)| ClaimRule { pointer, wanted: value.wanted(texts) })
            .collect();
        match &self.of {
            Kind::ConfidentialSpace(rules) => rules.check(token, binding, &claims),
            Kind::Maa(rules) => rules.check(token, binding, &claims),
        }
    }
}

fn checked<C: Copy, const N: usize>(report: &Report<'_, '_, C, N>) -> Checked {
    Checked {
        lines: report.outcomes().map(|(name, outcome)| line(name, outcome)).collect(),
        verdict: report.verdict().map(|_| ()),
        unbound: report.verdict_unbound(),
    }
}

/// A check, for the record. The reasons of core's errors never hold what a token says.
pub(crate) fn line(name: &str, outcome: Outcome) -> CheckLine {
    let (outcome, reason) = match outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Waived => ("waived", None),
        Outcome::NotAsked => ("not-asked", None),
        Outcome::Failed(error) => ("failed", Some(error.to_string())),
        Outcome::NotReached => ("not-reached", None),
    };
    CheckLine { name: name.to_owned(), outcome, reason }
}

fn is_pointer(text: &str) -> bool {
    let escaped = |token: &str| {
        let mut after = token.split('~');
        after.next();
        after.all(|rest| rest.starts_with(['0', '1']))
    };
    text.starts_with('/') && text.split('/').all(escaped)
}

/// A [`Rule`] that owns its texts.
#[derive(Clone, Debug)]
enum ListRule {
    NotAsked,
    OneOf(Vec<String>),
    Waived,
}

impl ListRule {
    fn refs(&self) -> Vec<&str> {
        match self {
            Self::OneOf(texts) => refs(texts),
            Self::NotAsked | Self::Waived => Vec::new(),
        }
    }

    fn rule<'a>(&self, refs: &'a [&'a str]) -> Rule<'a> {
        match self {
            Self::NotAsked => Rule::NotAsked,
            Self::OneOf(_) => Rule::OneOf(refs),
            Self::Waived => Rule::Waived,
        }
    }
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A [`Wanted`] that owns its texts.
#[derive(Clone, Debug)]
enum Value {
    AtLeast(u64),
    Bool(bool),
    Number(i64),
    OneOf(Vec<String>),
}

impl Value {
    fn texts(&self) -> Vec<&str> {
        match self {
            Self::OneOf(texts) => refs(texts),
            _ => Vec::new(),
        }
    }

    fn wanted<'a>(&self, texts: &'a [&'a str]) -> Wanted<'a> {
        match self {
            Self::AtLeast(least) => Wanted::AtLeast(*least),
            Self::Bool(wanted) => Wanted::Bool(*wanted),
            Self::Number(wanted) => Wanted::Number(*wanted),
            Self::OneOf(_) => Wanted::OneOf(texts),
        }
    }
}

/// Reads rules, and keeps what is wrong with them and what is waived.
struct Reader {
    wrong: LoadError,
    waive: Vec<String>,
    /// Those of `waive` that some rule knows.
    known: Vec<&'static str>,
}

impl Reader {
    fn new(waive: Vec<String>) -> Self {
        // What there is about issuer and audience is looked at before.
        Self { wrong: LoadError::default(), waive, known: vec!["issuer", "audience"] }
    }

    fn waived(&mut self, name: &'static str) -> bool {
        self.known.push(name);
        self.waive.iter().any(|waived| waived == name)
    }

    /// A rule that must be fixed or waived: `name` is what `waive` calls it, `field` is the one that fixes
    /// it.
    fn fixed(&mut self, name: &'static str, field: &str, texts: Option<OneOrMore>) -> ListRule {
        match (texts, self.waived(name)) {
            (Some(texts), false) => ListRule::OneOf(self.texts(field, texts)),
            (None, true) => ListRule::Waived,
            (Some(_), true) => {
                self.both(name, field);
                ListRule::Waived
            }
            (None, false) => {
                self.missing(name, field);
                ListRule::Waived
            }
        }
    }

    fn missing(&mut self, name: &str, fields: &str) {
        let help =
            format!("is neither fixed nor waived: give {fields}, or write waive = [\"{name}\"]");
        self.wrong.add(name, help);
    }

    fn both(&mut self, name: &str, field: &str) {
        let help = format!("{name:?} is waived, and yet {field} is given; leave one of them out");
        self.wrong.add("waive", help);
    }

    /// A rule that may be left out.
    fn optional(&mut self, field: &str, texts: Option<OneOrMore>) -> ListRule {
        match texts {
            Some(texts) => ListRule::OneOf(self.texts(field, texts)),
            None => ListRule::NotAsked,
        }
    }

    /// Texts that are compared exactly.
    fn texts(&mut self, field: &str, texts: OneOrMore) -> Vec<String> {
        let texts = texts.into_vec();
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            self.wrong.add(field, "is empty; nothing could ever be that");
        }
        if texts.iter().any(|text| text.contains('*')) {
            self.wrong.add(field, "values are compared exactly; * stands for nothing but itself");
        }
        texts
    }

    fn finish(mut self) -> core::result::Result<(), LoadError> {
        for name in &self.waive {
            if !self.known.contains(&name.as_str()) {
                let known = self.known.join(", ");
                self.wrong.add("waive", format!("{name:?} cannot be waived; these can: {known}"));
            }
        }
        self.wrong.finish()
    }
}
