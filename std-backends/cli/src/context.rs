//! What every command shares: the clock, randomness, the output format, reading files and keys.

use std::env::VarError;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use cloudauth_core::signer::MAX_SIGNATURE_LEN;
use cloudauth_core::{Attempt, Exchange, HttpRequest, UnixTime};
use cloudauth_keys::{Key, KeyUri, MacKey, Prompt, SecretRef, Warning};
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
}

fn time(text: &str) -> Result<UnixTime, cloudauth_core::Error> {
    UnixTime::parse(text)
}

/// For commands that are about a request to a service.
#[derive(Args)]
pub(crate) struct DryRun {
    /// Print the raw HTTP request that would be sent. It holds live secrets: tokens, signatures
    #[arg(long)]
    dry_run: bool,
}

impl DryRun {
    pub(crate) fn check(&self) -> Result<(), CliError> {
        if self.dry_run {
            return Ok(());
        }
        Err(CliError::Usage(
            "this version sends no requests; --dry-run prints the one it would send".to_owned(),
        ))
    }
}

pub(crate) struct Context {
    pub(crate) output: Output,
    /// Asks for PINs and passphrases at the terminal.
    pub(crate) prompt: Prompt,
    time: Option<UnixTime>,
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

    /// A secret that is no key: `env:NAME`, `file:PATH` or `fd:N`.
    pub(crate) fn secret(
        &self,
        reference: &str,
        field: &str,
    ) -> Result<Zeroizing<String>, CliError> {
        let mut warnings = Vec::new();
        let mut secret = SecretRef::parse(reference)?.read_with(&mut warnings)?;
        warn(&warnings);
        match String::from_utf8(core::mem::take(&mut *secret)) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(e) => {
                drop(Zeroizing::new(e.into_bytes()));
                Err(CliError::Key(format!("{field}: is not UTF-8")))
            }
        }
    }

    /// A request as it would be sent: the raw HTTP/1.1 text, or its parts in JSON.
    pub(crate) fn show(&self, request: &HttpRequest<'_>) -> Result<Vec<u8>, CliError> {
        if self.output == Output::Text {
            return with_buffer(|buf| Ok(request.write_http1(buf)?.to_vec()));
        }
        let headers: serde_json::Map<_, _> =
            request.headers().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Ok(json(&serde_json::json!({
            "method": request.method(),
            "url": format!("https://{}{}", request.host(), request.target()),
            "headers": headers,
            "body": String::from_utf8_lossy(request.body()),
        })))
    }

    /// Builds a request that `key` signs, and shows it.
    pub(crate) fn show_signed(
        &self,
        exchange: &impl Exchange,
        key: &Key,
    ) -> Result<Vec<u8>, CliError> {
        let at = self.attempt()?;
        let mut buf = Zeroizing::new(vec![0; exchange.needed(&at, MAX_SIGNATURE_LEN)?]);
        self.show(&exchange.request(key, &at, &mut buf)?)
    }

    /// Builds a request that no key signs, and shows it.
    pub(crate) fn show_unsigned(&self, exchange: &impl Exchange) -> Result<Vec<u8>, CliError> {
        self.show_at(exchange, &self.attempt()?)
    }

    /// The same for an attempt that a derived key was made for.
    pub(crate) fn show_at(
        &self,
        exchange: &impl Exchange,
        at: &Attempt,
    ) -> Result<Vec<u8>, CliError> {
        let mut buf = Zeroizing::new(vec![0; exchange.needed(at, 0)?]);
        self.show(&exchange.build(at, &mut buf)?)
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

pub(crate) fn warn(warnings: &[Warning]) {
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

/// A path from the command line, else from an environment variable.
pub(crate) fn path_or(given: Option<&Path>, name: &str) -> Result<Option<PathBuf>, CliError> {
    match given {
        Some(path) => Ok(Some(path.to_owned())),
        None => Ok(variable(name)?.map(PathBuf::from)),
    }
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
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
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
