//! The table: each attack with what came of it, and its neighbour that must pass.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::Value;

use crate::wire::{Answer, Heard};

/// What came of a request, of whatever kind.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// An answer of the broker, and its decision record.
    Answer(Answer, Value),
    /// No credential, told otherwise: a connection that ended, a program's error.
    Refused(String),
    /// A good end that is no answer.
    Accepted(String),
}

impl Outcome {
    pub(crate) fn of<T>(result: Result<T, impl std::fmt::Display>, accepted: &str) -> Self {
        match result {
            Ok(_) => Self::Accepted(accepted.to_owned()),
            Err(error) => Self::Refused(error.to_string()),
        }
    }

    pub(crate) fn heard(heard: Heard, record: Value) -> Self {
        match heard {
            Heard::Answer(answer) => Self::Answer(answer, record),
            Heard::Closed(how) => Self::Refused(how),
            Heard::Nothing => Self::Accepted("nothing: the connection just hangs".to_owned()),
        }
    }

    /// The last part of the problem's type.
    pub(crate) fn problem(&self) -> String {
        let Self::Answer(answer, _) = self else { return String::new() };
        let json = answer.json();
        let kind = json["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:libcloudauth:error:").unwrap_or_default().to_owned()
    }

    /// The checks that failed, by the record.
    pub(crate) fn failed(&self) -> Vec<(String, String)> {
        let Self::Answer(_, record) = self else { return Vec::new() };
        let checks = record["checks"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        checks
            .filter(|check| check["outcome"] == "failed")
            .map(|check| (text(&check["name"]), text(&check["reason"])))
            .collect()
    }

    fn reason(&self) -> String {
        let Self::Answer(_, record) = self else { return String::new() };
        let failed = self.failed();
        if failed.is_empty() {
            return record["error"].as_str().unwrap_or_default().to_owned();
        }
        failed.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; ")
    }

    fn shown(&self) -> String {
        match self {
            Self::Answer(answer, _) => format!("{} {}", answer.status, self.problem()),
            Self::Refused(how) | Self::Accepted(how) => how.lines().next().unwrap_or("").to_owned(),
        }
    }

    pub(crate) fn is_accepted(&self) -> bool {
        match self {
            Self::Answer(answer, _) => answer.status == 200,
            Self::Refused(_) => false,
            Self::Accepted(_) => true,
        }
    }
}

/// How an attack must be refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect<'a> {
    /// With this status and problem, and for these checks alone.
    Problem(u16, &'a str, &'a [&'a str]),
    /// With 403 and this problem, for this check alone.
    Check(&'a str, &'a str),
    /// For its form, with this status; the record says so in words.
    Malformed(u16),
    /// With a text that no compatible client could take for a credential, for this check alone.
    Plain(u16, &'a str),
    /// Without an answer; what is told holds this.
    Refused(&'a str),
}

impl Expect<'_> {
    /// What is wrong with the outcome.
    fn wrong(self, outcome: &Outcome) -> Option<String> {
        let (answer, record) = match (self, outcome) {
            (Self::Refused(with), Outcome::Refused(how)) => {
                return (!how.contains(with)).then(|| format!("expected {with:?}: {how}"));
            }
            (Self::Refused(_), _) | (_, Outcome::Refused(_) | Outcome::Accepted(_)) => {
                return Some(format!("expected {self:?}"));
            }
            (_, Outcome::Answer(answer, record)) => (answer, record),
        };
        let one;
        let (status, problem, checks) = match self {
            Self::Problem(status, problem, checks) => (status, problem, checks),
            Self::Check(problem, check) => {
                one = [check];
                (403, problem, &one[..])
            }
            Self::Plain(status, check) => {
                one = [check];
                (status, "", &one[..])
            }
            Self::Malformed(status) => (status, "malformed", &[][..]),
            Self::Refused(_) => return None,
        };
        if answer.status != status || outcome.problem() != problem {
            return Some(format!("expected {status} {problem}"));
        }
        let failed = outcome.failed();
        if !failed.iter().map(|(name, _)| name).eq(checks) {
            return Some(format!("expected the checks {checks:?} to fail"));
        }
        if record.is_null() {
            return Some("there is no decision record".to_owned());
        }
        if outcome.reason().is_empty() {
            return Some("the record does not say why".to_owned());
        }
        if problem.is_empty() {
            return None;
        }
        if record["verdict"] != problem {
            return Some("the record's verdict is another".to_owned());
        }
        // Nothing but what the protocol has room for, and no reason.
        let json = answer.json();
        let members: Vec<_> =
            json.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        if members != ["instance", "status", "title", "type"] || json["status"] != status {
            return Some("the answer is no problem of the protocol".to_owned());
        }
        let tells =
            |text: &str| failed.iter().any(|(_, why)| !why.is_empty() && text.contains(why));
        if tells(&answer.body) {
            return Some("the answer tells the client why".to_owned());
        }
        None
    }
}

struct Row {
    topic: &'static str,
    cells: [String; 5],
    wrong: Option<String>,
}

/// All attacks.
#[derive(Default)]
pub(crate) struct Table {
    topic: &'static str,
    only: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    /// For those whose topic holds one of the words, if there are any.
    pub(crate) fn new(only: Vec<String>) -> Self {
        Self { only, ..Self::default() }
    }

    /// Runs the attacks of a topic. A panic is a failure of the topic and stops no other.
    pub(crate) fn topic(&mut self, name: &'static str, run: fn(&mut Self)) {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return;
        }
        self.topic = name;
        let before = self.rows.len();
        let start = Instant::now();
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(self)));
        let (ran, new) = (ran.is_ok(), self.rows.len() - before);
        eprintln!("{name}: {new} attacks, {:.0} s", start.elapsed().as_secs_f32());
        if !ran || new == 0 {
            let cells =
                [name.to_owned(), String::new(), String::new(), String::new(), String::new()];
            self.rows.push(Row {
                topic: name,
                cells,
                wrong: Some("did not run to its end".into()),
            });
        }
    }

    /// An attack, how it must be refused, and the neighbour that must pass.
    pub(crate) fn attack(
        &mut self,
        attack: &str,
        sent: &str,
        outcome: &Outcome,
        expected: Expect<'_>,
        neighbour: &str,
        passed: &Outcome,
    ) {
        let mut wrong = expected.wrong(outcome);
        if !passed.is_accepted() {
            let why = format!("the neighbour was refused: {passed:?}");
            wrong = Some(wrong.map_or(why.clone(), |wrong| format!("{wrong}; {why}")));
        }
        if let (Some(wrong), false) = (&mut wrong, matches!(outcome, Outcome::Refused(_))) {
            let _ = write!(wrong, " [{outcome:?}]");
        }
        let mut refused = outcome.shown();
        let reason = outcome.reason();
        if !reason.is_empty() {
            let _ = write!(refused, " ({reason})");
        }
        let cells = [
            attack.to_owned(),
            sent.to_owned(),
            refused,
            neighbour.to_owned(),
            passed.shown().trim_end().to_owned(),
        ];
        self.rows.push(Row { topic: self.topic, cells, wrong });
    }

    /// The whole, and how many are wrong.
    pub(crate) fn print(&self) -> usize {
        const HEAD: [&str; 5] = [
            "attack",
            "what was sent",
            "refused with (the record's reason)",
            "neighbour",
            "accepted with",
        ];
        let mut topic = "";
        for row in &self.rows {
            if topic != row.topic {
                topic = row.topic;
                println!(
                    "\n## {topic}\n\n| {} |\n|{}",
                    HEAD.join(" | "),
                    "---|".repeat(HEAD.len())
                );
            }
            let mark = if row.wrong.is_some() { "**WRONG** " } else { "" };
            println!(
                "| {mark}{} |",
                row.cells.each_ref().map(|cell| cell.replace('|', "/")).join(" | ")
            );
        }
        println!();
        let wrong: Vec<_> = self.rows.iter().filter(|row| row.wrong.is_some()).collect();
        for row in &wrong {
            let why = row.wrong.as_deref().unwrap_or_default();
            println!("WRONG: {}: {}: {why}", row.topic, row.cells[0]);
        }
        println!(
            "{} attacks, {} not refused as expected or with a neighbour that was",
            self.rows.len(),
            // None at all is no success.
            if self.rows.is_empty() { 1 } else { wrong.len() }
        );
        // None at all is no success.
        if self.rows.is_empty() { 1 } else { wrong.len() }
    }
}
