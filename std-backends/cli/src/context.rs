//! What every command shares: the clock, randomness, the output format, reading files and keys.

use std::env::VarError;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use cloudauth_core::encode::base64;
use cloudauth_core::{Attempt, HttpRequest, Out, UnixTime};
use cloudauth_keys::{Key, KeyUri, MacKey, Prompt};
use zeroize::Zeroizing;

use crate::error::CliError;

#[derive(Args)]
pub(crate) struct Global {
    /// Print JSON for machines or text for people
    #[arg(long, global = true, help_heading = "Global options", value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Use this time in place of the clock, such as 2026-11-22T12:00:00Z
    #[arg(long, global = true, help_heading = "Global options", value_name = "RFC3339", value_parser = time)]
    pub(crate) time: Option<UnixTime>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Json,
    Text,
    /// For gcp federate: the answer of an external account's executable
    GoogleExecutable,
}

fn time(text: &str) -> Result<UnixTime, cloudauth_core::Error> {
    UnixTime::parse(text)
}

pub(crate) struct Context {
    pub(crate) output: Output,
    /// Asks for PINs and passphrases at the terminal.
    pub(crate) prompt: Prompt,
    pub(crate) time: Option<UnixTime>,
}

/// The most octets read from a file or standard input: a request body of 64 MiB.
pub(crate) const MAX_REQUEST: u64 = 64 << 20;
/// The most octets of a certificate file.
const MAX_CERTIFICATES: u64 = 1 << 20;

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { output: global.output, prompt: crate::terminal::prompt(), time: global.time }
    }

    pub(crate) fn now(&self) -> Result<UnixTime, CliError> {
        if let Some(time) = self.time {
            return Ok(time);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.map_err(|_| CliError::input("clock", "is before 1970; set it"))?;
        Ok(UnixTime::new(since.as_secs())?)
    }

    /// By how much `--time` is ahead of this machine's clock, in seconds.
    pub(crate) fn clock_offset(&self) -> Result<i64, CliError> {
        let Some(time) = self.time else { return Ok(0) };
        let there = i64::try_from(time.as_secs());
        let here = i64::try_from(crate::live::system_seconds());
        match (there, here) {
            (Ok(there), Ok(here)) => Ok(there - here),
            _ => Err(CliError::input("--time", "is too far away")),
        }
    }

    pub(crate) fn attempt(&self) -> Result<Attempt, CliError> {
        Ok(Attempt::new(self.now()?, random()?))
    }

    /// Opens a signing key, and passes its warnings on to standard error.
    pub(crate) fn key(&self, uri: &str) -> Result<Key, CliError> {
        self.open(&key_uri(uri)?)
    }

    pub(crate) fn open(&self, uri: &KeyUri) -> Result<Key, CliError> {
        let key = Key::open_with(uri, &self.prompt)?;
        warn(key.warnings());
        Ok(key)
    }

    /// Opens an AWS secret access key, in the same way.
    pub(crate) fn mac_key(&self, uri: &str) -> Result<MacKey, CliError> {
        let key = MacKey::open_with(&key_uri(uri)?, &self.prompt)?;
        warn(key.warnings());
        Ok(key)
    }

    /// A request as it would be sent: the raw HTTP/1.1 text, or its parts in JSON.
    pub(crate) fn show(&self, request: &HttpRequest<'_>) -> Result<Vec<u8>, CliError> {
        if self.output != Output::Json {
            return with_buffer(|buf| Ok(request.write_http1(buf)?.to_vec()));
        }
        let headers: serde_json::Map<_, _> =
            request.headers().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Ok(json(&serde_json::json!({
            "method": request.method(),
            "url": format!("https://{}{}", request.host(), request.target()),
            "headers": headers,
            body_name(request.body()): body(request.body()),
        })))
    }

    /// The certificates of a PEM or DER file.
    pub(crate) fn certificates(&self, path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
        let bytes = read(path, MAX_CERTIFICATES)?;
        cloudauth_keys::pem::certificates(&bytes).map_err(|e| CliError::input(path.display(), e))
    }
}

/// Fresh random octets of the system.
pub(crate) fn random() -> Result<[u8; 32], CliError> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(|e| CliError::input("random source of the system", e))?;
    Ok(random)
}

/// What has no colon names no key. It is not repeated: it may be the secret.
pub(crate) fn key_uri(uri: &str) -> Result<KeyUri, CliError> {
    if !uri.contains(':') {
        return Err(CliError::Key(
            "key URI: no scheme; a key file is written file:PATH, a variable env:NAME. If this was the \
             secret itself, every user of this machine may have read it: change it"
                .to_owned(),
        ));
    }
    Ok(KeyUri::parse(uri)?)
}

/// A line on standard error.
#[cfg(unix)]
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "cloudauth: {text}");
}

pub(crate) fn warn(warnings: &[impl core::fmt::Display]) {
    for warning in warnings {
        let _ = writeln!(std::io::stderr(), "cloudauth: warning: {warning}");
    }
}

/// An environment variable. An empty one is the same as none, as in the clouds' own tools.
pub(crate) fn variable(name: &str) -> Result<Option<String>, CliError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(CliError::input(name, "is not UTF-8")),
    }
}

/// An option's value, else that of the first variable that is set.
pub(crate) fn given(
    option: &str,
    value: Option<&str>,
    variables: &[&str],
) -> Result<String, CliError> {
    if let Some(value) = value {
        return Ok(value.to_owned());
    }
    for name in variables {
        if let Some(value) = variable(name)? {
            return Ok(value);
        }
    }
    let variables = variables.join(" or ");
    Err(CliError::Usage(format!("{option} is missing; give it, or set {variables}")))
}

/// A whole file, or standard input for `-`, up to `limit` octets.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    let place = place(path);
    result.map_err(|e| CliError::input(&place, e))?;
    if bytes.len() as u64 > limit {
        return Err(CliError::input(&place, format!("is larger than {limit} octets")));
    }
    Ok(bytes)
}

/// How messages name a file.
pub(crate) fn place(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.to_string_lossy().escape_debug().to_string()
    }
}

/// The member of a JSON document that a body is: text as it is, and what is no text in base64.
pub(crate) fn body_name(body: &[u8]) -> &'static str {
    if core::str::from_utf8(body).is_ok() { "body" } else { "body_base64" }
}

/// What [`body_name`] names.
pub(crate) fn body(body: &[u8]) -> String {
    match core::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let mut buf = vec![0; body.len().div_ceil(3) * 4];
            let mut out = Out::new(&mut buf);
            base64::encode(body, &mut out);
            String::from_utf8_lossy(out.finish().unwrap_or_default()).into_owned()
        }
    }
}

/// A JSON document and a line feed.
pub(crate) fn json(value: &serde_json::Value) -> Vec<u8> {
    let mut text = format!("{value:#}").into_bytes();
    text.push(b'\n');
    text
}

/// Runs `build` with buffers that grow until the result fits: sizes are asked first, and the second
/// call is the last.
pub(crate) fn with_buffer<T>(
    mut build: impl FnMut(&mut [u8]) -> Result<T, cloudauth_core::Error>,
) -> Result<T, CliError> {
    let mut buf = Zeroizing::new(vec![0u8; 4096]);
    loop {
        match build(&mut buf) {
            Err(e) if e.needed().is_some_and(|n| n > buf.len()) => {
                buf = Zeroizing::new(vec![0; e.needed().unwrap_or_default()]);
            }
            result => return Ok(result?),
        }
    }
}
