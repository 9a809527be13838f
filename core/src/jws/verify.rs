//! Holding a token against what the caller pins. Every check is made and kept; then comes the verdict.

use core::fmt;

use super::Token;
use crate::json::{Kind, Value};
use crate::verifier::Verifier;
use crate::{Error, ErrorKind, Result, Scheme, UnixTime};

/// The clock difference that is allowed unless the caller says otherwise, in seconds.
pub const DEFAULT_SKEW: u64 = 60;

/// The most keys of a set.
pub const MAX_KEYS: usize = 64;

/// What the caller pins. Nothing of it is ever taken from the token.
///
/// Algorithms are [`Scheme`]s: `none` and the HMAC algorithms, with which a public key could be taken
/// for a secret, do not exist here (RFC 8725, sections 2.1 and 3.1).
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The algorithms a token may be signed with. An empty list refuses every token.
    pub algorithms: &'a [Scheme],
    /// The one `iss` that is accepted, compared exactly. `None` does not look at it.
    pub issuer: Option<&'a str>,
    /// The one audience that is accepted, compared exactly: `aud` must be it, or an array of it alone. A
    /// token for two audiences could be passed on by the other. `None` does not look at it.
    pub audience: Option<&'a str>,
    /// The type of token (RFC 8725, section 3.11): the header's `typ`, without regard to case and with or
    /// without `application/` (RFC 7515, section 4.1.9). `None` does not look at it.
    pub typ: Option<&'a str>,
    /// The present time.
    pub time: UnixTime,
    /// How far the issuer's clock may be from ours, in seconds: at first [`DEFAULT_SKEW`].
    pub skew: u64,
    /// The greatest age in seconds, counted from `iat`, which is then required. `None` sets no limit but
    /// `exp`.
    pub max_age: Option<u64>,
}

impl<'a> Expect<'a> {
    /// Tokens signed with one of `algorithms` that are valid at `time`, by anyone for anyone: set
    /// `issuer` and `audience`, unless the keys alone say all that matters.
    #[must_use]
    pub const fn new(algorithms: &'a [Scheme], time: UnixTime) -> Self {
        Self {
            algorithms,
            issuer: None,
            audience: None,
            typ: None,
            time,
            skew: DEFAULT_SKEW,
            max_age: None,
        }
    }
}

/// A key that may verify tokens.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// Its name (RFC 7517, section 4.5). A key without one verifies only tokens that name none.
    pub kid: Option<&'a str>,
    /// The one algorithm it is for, when its owner says so (RFC 7517, section 4.4).
    pub scheme: Option<Scheme>,
    /// What checks signatures with it.
    pub verifier: &'a dyn Verifier,
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Key");
        debug.field("kid", &self.kid).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The keys of an issuer. Which of them a token gets is decided here, in one place:
///
/// - A token with a `kid` gets the key of exactly that name, octet by octet. The name is a name: it is
///   never a path, a URL or a query. Two keys of that name are refused.
/// - A token without one gets the only key of a set of one.
/// - The key must be for the token's algorithm, and of its type.
///
/// `jku`, `jwk`, `x5u` and `x5c` of a header are never followed.
pub trait KeySet {
    /// The key at `index`, counted from 0 without gaps; `None` after the last. At most [`MAX_KEYS`].
    fn get(&self, index: usize) -> Option<Key<'_>>;
}

impl KeySet for [Key<'_>] {
    fn get(&self, index: usize) -> Option<Key<'_>> {
        <[Key<'_>]>::get(self, index).copied()
    }
}

impl<const N: usize> KeySet for [Key<'_>; N] {
    fn get(&self, index: usize) -> Option<Key<'_>> {
        self.as_slice().get(index).copied()
    }
}

impl<T: KeySet + ?Sized> KeySet for &T {
    fn get(&self, index: usize) -> Option<Key<'_>> {
        (**self).get(index)
    }
}

/// The checks, in the order in which a verdict names the first failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// `alg` is one of the expected algorithms.
    Algorithm,
    /// No extension must be understood: there is no `crit` (RFC 7515, section 4.1.11) and no `b64` (RFC
    /// 7797, section 3).
    Critical,
    /// `typ` is the expected one.
    Type,
    /// The set has the key ([`KeySet`]).
    Key,
    /// The signature is that key's.
    Signature,
    /// `exp` is there, and later than now.
    Expiry,
    /// `nbf` is not later than now.
    NotBefore,
    /// `iat` is not later than now.
    IssuedAt,
    /// `iat` is not longer ago than allowed.
    MaxAge,
    /// `iss` is the expected one.
    Issuer,
    /// `aud` is the expected one and no other.
    Audience,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 11] = [
        Self::Algorithm,
        Self::Critical,
        Self::Type,
        Self::Key,
        Self::Signature,
        Self::Expiry,
        Self::NotBefore,
        Self::IssuedAt,
        Self::MaxAge,
        Self::Issuer,
        Self::Audience,
    ];

    /// A short name for programs: that of the header or claims member where there is one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Algorithm => "alg",
            Self::Critical => "crit",
            Self::Type => "typ",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expiry => "exp",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "iat",
            Self::MaxAge => "max_age",
            Self::Issuer => "iss",
            Self::Audience => "aud",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// Nothing was to be checked: the caller pins nothing, or an optional claim is not there.
    NotAsked,
    /// It was not made, because one that it rests on failed.
    NotReached,
    /// It does not hold.
    Failed(Error),
    /// It was not made: whoever configured this said so by name. No check of [`Check::ALL`] can be
    /// waived; those of [`attest`](crate::attest) can.
    Waived,
}

impl Outcome {
    pub(crate) fn of(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(error),
        }
    }

    /// `None` is [`NotAsked`](Self::NotAsked).
    fn optional(result: Option<Result<()>>) -> Self {
        result.map_or(Self::NotAsked, Self::of)
    }
}

/// Every check of one token with its outcome, by [`Token::verify`].
#[derive(Clone, Copy)]
#[must_use = "a token is verified only if the verdict says so"]
pub struct Report<'b> {
    header: Value<'b>,
    claims: Value<'b>,
    outcomes: [Outcome; Check::ALL.len()],
}

impl<'b> Report<'b> {
    /// Every check with its outcome, in the order of [`Check::ALL`].
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        Outcomes(Check::ALL.into_iter().zip(self.outcomes))
    }

    /// The outcome of one check.
    #[must_use]
    pub fn outcome(&self, check: Check) -> Outcome {
        let found = self.outcomes().find(|(c, _)| *c == check);
        found.map_or(Outcome::NotReached, |(_, outcome)| outcome)
    }

    /// What the token says, if every check holds.
    ///
    /// # Errors
    /// The first failure: [`Verification`](ErrorKind::Verification) for what does not hold,
    /// [`Malformed`](ErrorKind::Malformed) for members that are missing or of the wrong kind,
    /// [`Unsupported`](ErrorKind::Unsupported) for what is not implemented.
    pub fn verdict(&self) -> Result<Verified<'b>> {
        for outcome in &self.outcomes {
            match outcome {
                Outcome::Passed | Outcome::NotAsked | Outcome::Waived => {}
                Outcome::Failed(error) => return Err(*error),
                // It never comes without a failure before it.
                Outcome::NotReached => {
                    return Err(Error::verification("token", "not every check was made"));
                }
            }
        }
        Ok(Verified { header: self.header, claims: self.claims })
    }

    /// What the token says, whoever wrote it.
    pub(crate) const fn claims(&self) -> Value<'b> {
        self.claims
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.outcomes()).finish()
    }
}

/// Iterator over the checks of a [`Report`].
#[derive(Clone, Debug)]
pub struct Outcomes(
    core::iter::Zip<core::array::IntoIter<Check, 11>, core::array::IntoIter<Outcome, 11>>,
);

impl Iterator for Outcomes {
    type Item = (Check, Outcome);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// A token that has passed every check.
#[derive(Clone, Copy)]
pub struct Verified<'b> {
    header: Value<'b>,
    claims: Value<'b>,
}

impl<'b> Verified<'b> {
    /// The header: an object.
    #[must_use]
    pub const fn header(&self) -> Value<'b> {
        self.header
    }

    /// The claims: an object.
    #[must_use]
    pub const fn claims(&self) -> Value<'b> {
        self.claims
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").finish_non_exhaustive()
    }
}

impl<'b> Token<'_, 'b> {
    /// Makes every check, each for itself, so that the report says all that is wrong at once. The
    /// signature needs the algorithm, the key, and a header without critical extensions. Times are whole
    /// seconds; a fraction in the token is dropped.
    pub fn verify<K: KeySet + ?Sized>(&self, expect: &Expect<'_>, keys: &K) -> Report<'b> {
        let (header, claims) = (&self.header, &self.claims);
        let algorithm = algorithm(header, expect.algorithms);
        let critical = critical(header);
        let key = algorithm.ok().map(|scheme| (scheme, select(header, scheme, keys)));
        let signature = match (&key, critical) {
            (Some((scheme, Ok(key))), Ok(())) => {
                Outcome::of(signature(key.verifier, *scheme, self.signed, self.signature))
            }
            _ => Outcome::NotReached,
        };
        let Times { expiry, not_before, issued_at, max_age } = Times::check(claims, expect);
        Report {
            header: self.header,
            claims: self.claims,
            outcomes: [
                Outcome::of(algorithm.map(|_| ())),
                Outcome::of(critical),
                Outcome::optional(expect.typ.map(|typ| self::typ(header, typ))),
                key.map_or(Outcome::NotReached, |(_, key)| Outcome::of(key.map(|_| ()))),
                signature,
                Outcome::of(expiry),
                Outcome::optional(not_before),
                Outcome::optional(issued_at),
                Outcome::optional(max_age),
                Outcome::optional(expect.issuer.map(|issuer| self::issuer(claims, issuer))),
                Outcome::optional(expect.audience.map(|to| audience(claims, to))),
            ],
        }
    }
}

fn algorithm(header: &Value<'_>, expected: &[Scheme]) -> Result<Scheme> {
    let scheme = Scheme::from_jws_name(header.string("alg")?);
    scheme
        .filter(|scheme| expected.contains(scheme))
        .ok_or(Error::verification("alg", "is not one of the expected algorithms"))
}

fn critical(header: &Value<'_>) -> Result<()> {
    if header.get("crit").is_some() {
        return Err(Error::unsupported("crit", "no critical header extension is understood"));
    }
    if header.get("b64").is_some() {
        return Err(Error::unsupported("b64", "the payload must be base64url, and b64 left out"));
    }
    Ok(())
}

fn typ(header: &Value<'_>, expected: &str) -> Result<()> {
    if bare_type(header.string("typ")?).eq_ignore_ascii_case(bare_type(expected)) {
        return Ok(());
    }
    Err(Error::verification("typ", "is not the expected type of token"))
}

/// A media type without an `application/` that says nothing (RFC 7515, section 4.1.9).
fn bare_type(typ: &str) -> &str {
    match typ.split_once('/') {
        Some((top, rest)) if top.eq_ignore_ascii_case("application") && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// The key for a token with this header; see [`KeySet`].
fn select<'k, K: KeySet + ?Sized>(
    header: &Value<'_>,
    scheme: Scheme,
    keys: &'k K,
) -> Result<Key<'k>> {
    const fn wrong(help: &'static str) -> Error {
        Error::verification("key", help)
    }
    let kid = match header.get("kid") {
        Some(_) => Some(header.string("kid")?),
        None => None,
    };
    let mut found: Option<Key<'k>> = None;
    let mut index = 0;
    while let Some(key) = keys.get(index) {
        if index == MAX_KEYS {
            return Err(Error::new(ErrorKind::Capacity, "key", "at most 64 keys in a set"));
        }
        index += 1;
        if kid.is_some() && kid != key.kid {
            continue;
        }
        if found.replace(key).is_some() {
            return Err(wrong(match kid {
                Some(_) => "more than one key has the name of the token's kid",
                None => "the token has no kid, and there is more than one key",
            }));
        }
    }
    let key = found.ok_or(wrong(match kid {
        Some(_) => "no key has the name of the token's kid",
        None => "there is none",
    }))?;
    if key.scheme.is_some_and(|only| only != scheme) {
        return Err(wrong("is for another algorithm than the token's alg"));
    }
    if !key.verifier.supports(scheme) {
        return Err(wrong("is of another type than the token's alg needs"));
    }
    Ok(key)
}

fn signature(
    verifier: &dyn Verifier,
    scheme: Scheme,
    signed: &[u8],
    signature: &[u8],
) -> Result<()> {
    // Whatever a verifier may think of other forms (RFC 7518, section 3.4; RFC 7515, section 5.2).
    let right_len = match scheme.coordinate_len() {
        Some(len) => signature.len() == 2 * len,
        None => !signature.is_empty(),
    };
    if !right_len {
        return Err(Error::verification("signature", "is not of the algorithm's length"));
    }
    verifier.verify(scheme, signed, signature)
}

/// The outcomes about times.
struct Times {
    expiry: Result<()>,
    not_before: Option<Result<()>>,
    issued_at: Option<Result<()>>,
    max_age: Option<Result<()>>,
}

impl Times {
    /// RFC 7519, sections 4.1.4 to 4.1.6.
    fn check(claims: &Value<'_>, expect: &Expect<'_>) -> Self {
        let now = expect.time.as_secs();
        // The latest "now" of a clock within the allowed difference.
        let latest = now.saturating_add(expect.skew);
        let hold = |holds, error| if holds { Ok(()) } else { Err(error) };
        let issued_at = date(claims, "iat");
        Self {
            expiry: match date(claims, "exp") {
                None => Err(missing("exp")),
                Some(exp) => exp.and_then(|exp| {
                    let error = Error::verification("exp", "the token has expired");
                    hold(now < exp.saturating_add(expect.skew), error)
                }),
            },
            not_before: date(claims, "nbf").map(|nbf| {
                hold(nbf? <= latest, Error::verification("nbf", "the token is not valid yet"))
            }),
            issued_at: issued_at
                .map(|iat| hold(iat? <= latest, Error::verification("iat", "lies in the future"))),
            max_age: expect.max_age.map(|age| {
                let iat = issued_at.unwrap_or(Err(missing("iat")))?;
                let until = iat.saturating_add(age).saturating_add(expect.skew);
                hold(now <= until, Error::verification("iat", "the token is older than allowed"))
            }),
        }
    }
}

const fn missing(claim: &'static str) -> Error {
    Error::malformed(claim, "the claim is missing")
}

/// A NumericDate (RFC 7519, section 2) in whole seconds. After the year 9999 it is a mistake, such as
/// milliseconds, and refused.
fn date(claims: &Value<'_>, name: &'static str) -> Option<Result<u64>> {
    let value = claims.get(name)?;
    let seconds = value.as_seconds().filter(|s| *s <= UnixTime::MAX.as_secs());
    Some(seconds.ok_or(Error::malformed(name, "expected a number of seconds since 1970")))
}

fn issuer(claims: &Value<'_>, expected: &str) -> Result<()> {
    match claims.string("iss")? == expected {
        true => Ok(()),
        false => Err(Error::verification("iss", "is not the expected issuer")),
    }
}

fn audience(claims: &Value<'_>, expected: &str) -> Result<()> {
    match single_audience(claims)? == expected {
        true => Ok(()),
        false => Err(Error::verification("aud", "is not the expected audience")),
    }
}

/// The one audience of a token: `aud` is it, or an array of it alone.
pub(crate) fn single_audience<'b>(claims: &Value<'b>) -> Result<&'b str> {
    const BAD: Error = Error::malformed("aud", "expected a string, or an array of strings");
    let aud = claims.get("aud").ok_or(missing("aud"))?;
    let only = match aud.kind() {
        Kind::Array => {
            let mut elements = aud.elements();
            match (elements.next(), elements.next()) {
                (Some(only), None) => only,
                _ => return Err(Error::verification("aud", "must name exactly one audience")),
            }
        }
        _ => aud,
    };
    only.as_str().ok_or(BAD)
}

#[cfg(test)]
mod tests;
