//! `cloudauth key test`.

use core::fmt::Write as _;
use std::time::{Duration, Instant};

use cloudauth_core::signer::MAX_SIGNATURE_LEN;
use cloudauth_core::verifier::Verifier as _;
use cloudauth_core::{Mac as _, Scheme, Signer, ToSign};
use cloudauth_keys::{Key, PublicVerifier, manage};
use serde_json::{Value, json};

use crate::context::{Context, Output, json, key_uri, random};
use crate::error::CliError;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The key: pkcs11:…, tpm:handle=0x81000005, tpm:file=PATH, tpm:fapi=/HS/SRK/NAME, file:PATH or env:NAME
    #[arg(long, value_name = "URI")]
    key: String,
    /// How many signatures of each scheme
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
}

/// The outcome for one scheme.
struct Line {
    name: &'static str,
    /// The first call and the median of all, or what went wrong.
    outcome: Result<(Duration, Duration), String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Vec<u8>, CliError> {
    let uri = key_uri(&args.key)?;
    let secret = manage::describe(&uri, &context.prompt)?.secret;
    let lines = if secret {
        let mac = context.mac_key(&args.key)?;
        let mut tag = None;
        vec![Line {
            name: "HMAC-SHA256",
            outcome: timed(args.count, |_| {
                // Nobody else knows the secret: all that can be seen is that it stays the same.
                let made = mac.hmac_sha256(b"cloudauth key test").map_err(|e| e.to_string())?;
                match *tag.get_or_insert(made) == made {
                    true => Ok(()),
                    false => Err("the same message has two tags".to_owned()),
                }
            }),
        }]
    } else {
        let key = context.key(&args.key)?;
        signatures(&key, args.count)?
    };
    let failed: Vec<_> = lines
        .iter()
        .filter_map(|line| Some(format!("{}: {}", line.name, line.outcome.as_ref().err()?)))
        .collect();
    if !failed.is_empty() {
        return Err(CliError::Key(failed.join("; ")));
    }
    Ok(show(&lines, context))
}

fn signatures(key: &Key, count: u16) -> Result<Vec<Line>, CliError> {
    let verifier = PublicVerifier::from_spki(key.public_key())?;
    let schemes = Scheme::ALL.into_iter().filter(|scheme| key.supports(*scheme));
    Ok(schemes
        .map(|scheme| Line {
            name: name(scheme),
            outcome: timed(count, |number| {
                let message = format!("cloudauth key test {number}");
                let mut signature = [0; MAX_SIGNATURE_LEN];
                let entropy = random().map_err(|e| e.to_string())?;
                let to_sign = ToSign::new(message.as_bytes(), &entropy);
                let len = key.sign(scheme, &to_sign, &mut signature).map_err(|e| e.to_string())?;
                let signature = signature.get(..len).unwrap_or_default();
                verifier.verify(scheme, message.as_bytes(), signature).map_err(|e| e.to_string())
            }),
        })
        .collect())
}

/// Calls `one` so often, and times it.
fn timed(
    count: u16,
    mut one: impl FnMut(u16) -> Result<(), String>,
) -> Result<(Duration, Duration), String> {
    let mut times = Vec::new();
    for number in 0..count {
        let start = Instant::now();
        one(number)?;
        times.push(start.elapsed());
    }
    let first = times.first().copied().unwrap_or_default();
    times.sort_unstable();
    Ok((first, times.get(times.len() / 2).copied().unwrap_or_default()))
}

fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::EcdsaP384Sha256 => "ECDSA P-384 with SHA-256",
        scheme => scheme.jws_name().unwrap_or("unknown"),
    }
}

fn show(lines: &[Line], context: &Context) -> Vec<u8> {
    let passed = lines.iter().filter_map(|line| Some((line.name, *line.outcome.as_ref().ok()?)));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    if context.output == Output::Json {
        let all: Vec<Value> = passed
            .map(|(name, (first, median))| {
                json!({ "scheme": name, "verified": true, "first_ms": ms(first), "median_ms": ms(median) })
            })
            .collect();
        return json(&Value::Array(all));
    }
    let mut text = String::new();
    for (name, (first, median)) in passed {
        let done = if name.starts_with("HMAC") { "stays the same" } else { "signs and verifies" };
        let (first, median) = (ms(first), ms(median));
        let _ = writeln!(text, "{name:<25} {done}, {median:.2} ms (the first {first:.2} ms)");
    }
    text.into_bytes()
}
