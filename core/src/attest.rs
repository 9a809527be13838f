//! Attestation: what a confidential workload shows, and what of it is believed.
//!
//! A token is believed in steps that cannot be left out or swapped: [`jws::Token::verify`] makes the
//! checks that every token gets; [`confidential_space::check`] or [`maa::check`] holds it against
//! what the caller expects of the workload and of the connection, and gives a [`Report`] of every check;
//! [`Report::verdict`] gives the claims, or the first failure.

pub mod confidential_space;
pub mod maa;
pub mod teeserver;

#[cfg(test)]
mod testing;

use core::fmt;

use crate::ekm::{Binder, CHALLENGE_LEN, EXPORTED_LEN, Exported};
use crate::json::{Kind, Value};
use crate::jws::{self, Outcome};
use crate::{Error, Result};

/// What a token must be bound to: that it was made for this connection and this request.
#[derive(Clone, Copy)]
pub enum Binding<'a> {
    /// The scheme of Google's codelab, which must be turned on by name: the one nonce is
    /// [`Compat::GoogleCodelab`](crate::ekm::Compat::GoogleCodelab)'s.
    GoogleCodelab {
        /// Exported under that scheme's label, without a context.
        exported: &'a [u8; EXPORTED_LEN],
    },
    /// The scheme of the `aws-` and `azure-channel-jwt-credential` brokers, which must be turned on by
    /// name: of two nonces, the first is [`Compat::Seed`](crate::ekm::Compat::Seed)'s, and the second is
    /// the SHA-256 of the request in lower-case hexadecimal.
    Seed {
        /// Exported under that scheme's label, without a context.
        exported: &'a [u8; EXPORTED_LEN],
        /// The request: a compact JWS, as it was received.
        token_jwt: &'a str,
    },
    /// None is at hand: a token is looked at that came in a file. It gets a report and no verdict. Nonces
    /// that no binding could accept fail all the same.
    Unchecked,
    /// Binder v1: the one nonce is [`Binder::nonce`]'s.
    V1 {
        /// What the connection exported.
        exported: &'a Exported,
        /// The challenge, which was also the export's context.
        challenge: &'a [u8; CHALLENGE_LEN],
        /// The SubjectPublicKeyInfo, in DER, of the server's certificate as used on this connection.
        server_spki: &'a [u8],
        /// The same of the client's certificate, if it sent one.
        client_spki: Option<&'a [u8]>,
        /// The octets of the request.
        request: &'a [u8],
        /// Whom the token is for. `None` takes the one audience that the token itself names. Tokens of
        /// Microsoft Azure Attestation name none: they need it here.
        audience: Option<&'a str>,
    },
}

/// Without what was exported.
impl fmt::Debug for Binding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GoogleCodelab { .. } => "GoogleCodelab",
            Self::Seed { .. } => "Seed",
            Self::Unchecked => "Unchecked",
            Self::V1 { .. } => "V1",
        })
    }
}

impl Binding<'_> {
    /// Whether `nonce`, the only one of a token with these claims, is this connection's; for
    /// [`V1`](Self::V1) alone.
    fn verify_v1(&self, claims: Value<'_>, nonce: &str) -> Result<()> {
        let Self::V1 { exported, challenge, server_spki, client_spki, request, audience } = *self
        else {
            return Err(Error::unsupported(
                "nonce",
                "this kind of token is bound by binder v1 only",
            ));
        };
        let audience = match (audience, claims.get("aud")) {
            (Some(wanted), None) => wanted,
            (wanted, _) => {
                let named = jws::single_audience(&claims)?;
                if wanted.is_some_and(|wanted| wanted != named) {
                    return Err(Error::verification("aud", "is not the expected audience"));
                }
                named
            }
        };
        Binder { exported, challenge, server_spki, client_spki, audience, request }.verify(nonce)
    }
}

/// What a claim must be.
#[derive(Clone, Copy, Debug)]
pub enum Rule<'a> {
    /// It is not looked at, because another rule says as much.
    NotAsked,
    /// It must be one of these, compared exactly. An empty list refuses every token.
    OneOf(&'a [&'a str]),
    /// It is not looked at: whoever configured this said so by name.
    Waived,
}

impl Rule<'_> {
    fn outcome(self, holds: impl FnOnce(&[&str]) -> Result<()>) -> Outcome {
        match self {
            Self::NotAsked => Outcome::NotAsked,
            Self::OneOf(wanted) => Outcome::of(holds(wanted)),
            Self::Waived => Outcome::Waived,
        }
    }

    /// By a claim that is a string.
    fn check(self, field: &'static str, claim: Option<Value<'_>>) -> Outcome {
        self.outcome(|wanted| one_of(field, text(field, claim)?, wanted))
    }
}

/// What becomes of a workload that can be debugged: others than itself can read its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debugging {
    /// It is refused.
    Refused,
    /// It is not looked at: whoever configured this said so by name.
    Waived,
}

/// A rule on any claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRule<'a> {
    /// Where it is: a JSON pointer (RFC 6901) from the top of the claims, such as
    /// `/submods/nvidia_gpu/cc_mode`. It is also the name of the check in a report.
    pub pointer: &'a str,
    /// What it must be.
    pub wanted: Wanted<'a>,
}

/// What a JSON value must be. A value of another kind is refused: the string `"1"` is not the number 1.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A whole number that is at least this.
    AtLeast(u64),
    /// This truth value.
    Bool(bool),
    /// This whole number.
    Number(i64),
    /// One of these strings, compared exactly.
    OneOf(&'a [&'a str]),
}

impl ClaimRule<'_> {
    fn check(&self, claims: Value<'_>) -> Outcome {
        const FIELD: &str = "claim";
        const WRONG: Error = Error::verification(FIELD, "is not the expected value");
        let holds = || {
            let claim = claims.pointer(self.pointer).ok_or(missing(FIELD))?;
            let expected = |kind| Error::malformed(FIELD, kind);
            let equal = match self.wanted {
                Wanted::AtLeast(least) => {
                    claim.as_u64().ok_or(expected("must be a whole number"))? >= least
                }
                Wanted::Bool(wanted) => {
                    claim.as_bool().ok_or(expected("must be true or false"))? == wanted
                }
                Wanted::Number(wanted) => {
                    claim.as_i64().ok_or(expected("must be a whole number"))? == wanted
                }
                Wanted::OneOf(wanted) => {
                    wanted.contains(&claim.as_str().ok_or(expected("must be a string"))?)
                }
            };
            if equal { Ok(()) } else { Err(WRONG) }
        };
        Outcome::of(holds())
    }
}

/// Every check of one token with its outcome. `C` is the claims' type, `N` the number of checks that
/// this kind of token has beside those of every token.
#[derive(Clone, Copy)]
#[must_use = "a workload is attested only if the verdict says so"]
pub struct Report<'a, 'b, C, const N: usize> {
    token: jws::Report<'b>,
    names: &'static [&'static str; N],
    outcomes: [Outcome; N],
    rules: &'a [ClaimRule<'a>],
    claims: C,
}

impl<'a, 'b, C: Copy, const N: usize> Report<'a, 'b, C, N> {
    /// Every check with its name, for records: first [`jws::Check::ALL`], then those of this kind of
    /// token, then the rules on other claims, which go by their pointers.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'a str, Outcome)> + use<'a, 'b, C, N> {
        let token = self.token.outcomes().map(|(check, outcome)| (check.as_str(), outcome));
        token.chain(self.own())
    }

    /// What the checks of every token said.
    pub const fn token(&self) -> &jws::Report<'b> {
        &self.token
    }

    /// What the token says, whoever wrote it: for records, and for nothing else.
    #[must_use]
    pub const fn unverified_claims(&self) -> C {
        self.claims
    }

    /// What the token says, if every check holds, its binding included.
    ///
    /// # Errors
    /// The first failure: [`Verification`](crate::ErrorKind::Verification) for what does not hold, also
    /// for a binding that was not checked; [`Malformed`](crate::ErrorKind::Malformed) for claims that are
    /// missing or of the wrong kind; [`Unsupported`](crate::ErrorKind::Unsupported) for tokens that
    /// cannot be shown to be bound.
    pub fn verdict(&self) -> Result<Attested<C>> {
        const UNCHECKED: Error =
            Error::verification("nonce", "the token was not held against a connection");
        self.every(Err(UNCHECKED))?;
        Ok(Attested { claims: self.claims })
    }

    /// Whether every check holds that does not need a connection. This says what a token from a file
    /// would be worth; it must not open anything.
    ///
    /// # Errors
    /// As [`verdict`](Self::verdict), but for a binding that was not checked.
    pub fn verdict_unbound(&self) -> Result<()> {
        self.every(Ok(()))
    }

    fn every(&self, not_reached: Result<()>) -> Result<()> {
        self.token.verdict()?;
        for (_, outcome) in self.own() {
            match outcome {
                Outcome::Passed | Outcome::NotAsked | Outcome::Waived => {}
                Outcome::NotReached => not_reached?,
                Outcome::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn own(&self) -> impl Iterator<Item = (&'a str, Outcome)> + use<'a, 'b, C, N> {
        let claims = self.token.claims();
        let names: &'static [&'static str; N] = self.names;
        let others = self.rules.iter().map(move |rule| (rule.pointer, rule.check(claims)));
        names.iter().copied().zip(self.outcomes).chain(others)
    }
}

impl<C: Copy, const N: usize> fmt::Debug for Report<'_, '_, C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.outcomes()).finish()
    }
}

/// A workload that has passed every check. `C` is the claims' type.
#[derive(Clone, Copy, Debug)]
pub struct Attested<C> {
    claims: C,
}

impl<C: Copy> Attested<C> {
    /// What the token says.
    #[must_use]
    pub const fn claims(&self) -> C {
        self.claims
    }
}

const fn missing(claim: &'static str) -> Error {
    Error::malformed(claim, "the claim is missing")
}

/// A claim that must be a string.
fn text<'b>(field: &'static str, claim: Option<Value<'b>>) -> Result<&'b str> {
    let text = claim.ok_or(missing(field))?.as_str();
    text.ok_or(Error::malformed(field, "the claim must be a string"))
}

fn one_of(field: &'static str, is: &str, wanted: &[&str]) -> Result<()> {
    match wanted.contains(&is) {
        true => Ok(()),
        false => Err(Error::verification(field, "is not one of the expected values")),
    }
}

/// The member at the end of `path`. One that is null is not there.
fn at<'b>(claims: Value<'b>, path: &[&str]) -> Option<Value<'b>> {
    let found = path.iter().try_fold(claims, |value, name| value.get(name))?;
    (found.kind() != Kind::Null).then_some(found)
}

/// The strings of an array.
fn strings<'b>(array: Option<Value<'b>>) -> impl Iterator<Item = &'b str> + use<'b> {
    array.into_iter().flat_map(|array| array.elements()).filter_map(|element| element.as_str())
}
