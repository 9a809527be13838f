//! `cloudauth jwt`.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use cloudauth_core::json::Object;
use cloudauth_core::jws::{DEFAULT_SKEW, Expect, MAX_TOKEN_LEN, Outcome, Report, Token, Verified};
use cloudauth_core::{Scheme, Sink};
use cloudauth_keys::KeySet;

use crate::context::{Context, Output, place, read};
use crate::error::CliError;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Verify a signed token (JWT) with an issuer's keys, and print its claims
    Verify(VerifyArgs),
}

const AFTER: &str = "\
A token with a kid needs the key of that kid; one without needs a set of one key. exp is required.
With --audience, aud must be that one audience alone. On failure every check that fails is named,
nothing of the token is printed, and the exit code is 7.

Example:
  curl -s https://www.googleapis.com/oauth2/v3/certs >jwks.json
  cloudauth jwt verify --jwks jwks.json --algorithm RS256 --issuer https://accounts.google.com \\
    --audience https://service.example token.jwt";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct VerifyArgs {
    /// The token, in a file; - is standard input. It may end with a newline
    #[arg(value_name = "TOKEN_FILE", default_value = "-")]
    token: PathBuf,
    /// The issuer's public keys: a JWK set (RFC 7517)
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// An algorithm the token may be signed with: RS256, PS256, ES256, ES384; may be repeated or a
    /// comma-separated list
    #[arg(
        long = "algorithm",
        alias = "algorithms",
        value_name = "ALG",
        required = true,
        value_delimiter = ',',
        value_parser = algorithm
    )]
    algorithms: Vec<Scheme>,
    /// The issuer (iss) that is accepted [default: any]
    #[arg(long)]
    issuer: Option<String>,
    /// The audience (aud) that is accepted [default: any]
    #[arg(long)]
    audience: Option<String>,
    /// The type (typ) that is accepted, such as JWT or at+jwt [default: any]
    #[arg(long, value_name = "TYPE")]
    typ: Option<String>,
    /// How far the issuer's clock may be off, in seconds (0 to 3600)
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = DEFAULT_SKEW,
        value_parser = clap::value_parser!(u64).range(0..=3600)
    )]
    skew: u64,
    /// The greatest age of the token, counted from iat, plus the skew [default: only exp
    /// counts]
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
}

fn algorithm(name: &str) -> Result<Scheme, String> {
    Scheme::from_jws_name(name.trim())
        .ok_or_else(|| "tokens are verified with RS256, PS256, ES256 or ES384".to_owned())
}

/// The most octets of a JWK set.
const MAX_JWKS: u64 = 1 << 20;

pub(crate) fn run(command: &Command, context: &Context) -> Result<Vec<u8>, CliError> {
    let Command::Verify(args) = command;
    let stdin = Path::new("-");
    if args.token == stdin && args.jwks == stdin {
        return Err(CliError::Usage(
            "the token and --jwks cannot both come from standard input; name a file for one"
                .to_owned(),
        ));
    }
    let jwks = read(&args.jwks, MAX_JWKS)?;
    if jwks.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err(CliError::input(
            place(&args.jwks),
            "is PEM; expected a JWK set, such as {\"keys\":[…]} from the issuer",
        ));
    }
    let keys = KeySet::from_jwks(&jwks).map_err(|e| CliError::input(place(&args.jwks), e))?;
    let token = token(&args.token)?;
    let expect = Expect {
        issuer: args.issuer.as_deref(),
        audience: args.audience.as_deref(),
        typ: args.typ.as_deref(),
        skew: args.skew,
        max_age: args.max_age,
        ..Expect::new(&args.algorithms, context.now()?)
    };
    let mut buf = vec![0; token.len()];
    let refused = |e| CliError::Refused(format!("the token is refused: {e}"));
    let report = Token::parse(&token, &mut buf).map_err(refused)?.verify(&expect, &keys);
    let Ok(verified) = report.verdict() else {
        return Err(CliError::Refused(failures(&report)));
    };
    let mut text = Bytes(Vec::with_capacity(token.len()));
    match context.output {
        Output::Json => json(&verified, &report, &mut text),
        _ => verified.claims().write(&mut text),
    }
    text.put(b"\n");
    Ok(text.0)
}

fn token(path: &Path) -> Result<String, CliError> {
    // With room for its newline.
    let octets = read(path, MAX_TOKEN_LEN as u64 + 2)?;
    let mut token = String::from_utf8(octets)
        .map_err(|_| CliError::Refused("the token is refused: it is not ASCII text".to_owned()))?;
    if token.ends_with('\n') {
        token.pop();
        if token.ends_with('\r') {
            token.pop();
        }
    }
    if token.is_empty() {
        return Err(CliError::input(place(path), "is empty; expected a token"));
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return Err(CliError::input(place(path), "expected the token alone, without Bearer"));
    }
    Ok(token)
}

/// A line for every check that fails.
fn failures(report: &Report<'_>) -> String {
    let mut text = "the token is refused".to_owned();
    for (_, outcome) in report.outcomes() {
        if let Outcome::Failed(error) = outcome {
            let _ = write!(text, "\n  {error}");
        }
    }
    text
}

/// Header and claims as the token has them: numbers keep their text, members their order.
fn json(verified: &Verified<'_>, report: &Report<'_>, out: &mut Bytes) {
    let mut object = Object::new(out);
    object.name("valid").put(b"true");
    verified.header().write(object.name("header"));
    verified.claims().write(object.name("claims"));
    let mut checks = Object::new(object.name("checks"));
    for (check, outcome) in report.outcomes() {
        let passed = outcome == Outcome::Passed;
        checks.string(check.as_str(), if passed { "passed" } else { "not asked" });
    }
    checks.end();
    object.end();
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
