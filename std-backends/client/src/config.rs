//! The configuration file: named profiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloudauth_core::digest::sha256;
use cloudauth_tls::{Builder, Transport, Trust};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::environment::variable;
use crate::inputs::{read_file, read_own_file};
use crate::provider::Route;
use crate::{Client, Error, FileCache, Inputs, Provider, Result, Source};

/// The most octets of a configuration file.
const MAX_LEN: u64 = 1 << 20;
/// The most profiles that stand on each other.
const MAX_CHAIN: usize = 8;

/// The variable with the path of the configuration file.
pub const CONFIG_VARIABLE: &str = "CLOUDAUTH_CONFIG";
/// The variable with the name of the profile.
pub const PROFILE_VARIABLE: &str = "CLOUDAUTH_PROFILE";

/// A configuration file, in TOML:
///
/// ```toml
/// ca-file = "ca.pem"                 # trusted in place of the system's own; optional
/// timeout = 30                       # seconds for one call, repetitions included; optional
/// cache-dir = "/var/cache/cloudauth" # instead of $XDG_RUNTIME_DIR/cloudauth; optional
///
/// [profiles.machine]
/// kind = "aws-roles-anywhere"
/// key = "tpm:handle=0x81000005"
/// certificate = "machine.pem"
/// trust-anchor-arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/T"
/// profile-arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/P"
/// role-arn = "arn:aws:iam::123456789012:role/machine"
///
/// [profiles.deploy]
/// kind = "aws-assume-role"
/// source-profile = "machine"
/// role-arn = "arn:aws:iam::123456789012:role/deploy"
/// session-name = "machine-7"
/// region = "eu-central-1"
/// ```
///
/// Relative paths in it start at its own directory, but for those in URIs (`file:…`), which start at the
/// working directory. Unknown fields are refused, and so is a file that others can change, or that is
/// another user's.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Certificates (PEM) that are trusted, and no others; else the system's own, but for AWS those of
    /// `AWS_CA_BUNDLE`.
    pub ca_file: Option<PathBuf>,
    /// Where processes share credentials.
    pub cache_dir: Option<PathBuf>,
    /// How many seconds one call may take, repetitions included; else 30.
    pub timeout: Option<u32>,
    /// The profiles.
    pub profiles: BTreeMap<String, Source>,
    place: String,
    /// The environment says that this is the file.
    of_environment: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    ca_file: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    timeout: Option<u32>,
    #[serde(default)]
    profiles: BTreeMap<String, Source>,
}

/// Whether two paths lead to one file, by whatever name: relative, through `..` or through links. A file that
/// is not there, or that may not be looked for, is no other's.
fn is_same_file(one: &Path, other: &Path) -> Result<bool> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|e| Error::file("find", crate::inputs::place(path), e))
    };
    // Also by name: between two looks the operator can exchange what a name leads to.
    Ok(absolute(one)? == absolute(other)?
        || matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other))
}

/// Device and inode, which hard links share too.
#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<PathBuf> {
    path.canonicalize()
}

impl Config {
    /// Where the configuration is when nobody says: the variable [`CONFIG_VARIABLE`], else
    /// `cloudauth/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`. `None` without a home.
    ///
    /// # Errors
    /// [`Error::Config`] when a variable is not UTF-8.
    pub fn default_path() -> Result<Option<PathBuf>> {
        if let Some(path) = variable(CONFIG_VARIABLE)? {
            return Ok(Some(path.into()));
        }
        let home = match variable("XDG_CONFIG_HOME")?.map(PathBuf::from) {
            Some(home) if home.is_absolute() => Some(home),
            _ => variable("HOME")?.map(|home| Path::new(&home).join(".config")),
        };
        Ok(home.map(|home| home.join("cloudauth").join("config.toml")))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let place = crate::inputs::place(path);
        let text = read_own_file(path, MAX_LEN)?;
        let default = Self::default_path()?;
        let of_environment = default.map(|default| is_same_file(&default, path)).transpose()?;
        let path = &std::path::absolute(path).map_err(|e| Error::file("find", &place, e))?;
        let text = std::str::from_utf8(&text).map_err(|_| Error::config(&place, "is not UTF-8"))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let of_environment = of_environment.unwrap_or_default();
        Ok(Self { of_environment, ..Self::parse(text, directory, &place)? })
    }

    /// Reads the text of one; relative paths in it start at `directory`, and errors call it `place`.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(text: &str, directory: &Path, place: &str) -> Result<Self> {
        let raw: Raw = from_toml(text, place)?;
        let below = |path: PathBuf| directory.join(path);
        Ok(Self {
            ca_file: raw.ca_file.map(below),
            cache_dir: raw.cache_dir.map(below),
            timeout: raw.timeout,
            ..Self::from_profiles(raw.profiles, directory, place)?
        })
    }

    /// Of profiles that stand in another file; relative paths in them start at `directory`, and errors call
    /// that file `place`.
    ///
    /// # Errors
    /// [`Error::Config`] for one that stands on a profile that it cannot stand on.
    pub fn from_profiles(
        mut profiles: BTreeMap<String, Source>,
        directory: &Path,
        place: &str,
    ) -> Result<Self> {
        for source in profiles.values_mut() {
            source.resolve_paths(directory);
        }
        let config = Self { profiles, place: place.to_owned(), ..Self::default() };
        for name in config.profiles.keys() {
            config.chain(name)?;
        }
        Ok(config)
    }

    /// A client as the configuration wants it: the trusted certificates, the limit of time, and the file cache
    /// where [`cache_dir`](Self::cache_dir) is set. `clock_offset` is by how many seconds the services' clocks
    /// are known to be ahead of this machine's: mostly 0.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`]. That the system has no trusted certificates, or that a proxy
    /// variable cannot be used, is told by the first call.
    pub fn client(&self, inputs: Inputs, clock_offset: i64) -> Result<Client> {
        let mut builder = Transport::builder().clock_offset(clock_offset);
        if let Some(seconds) = self.timeout {
            builder = builder.timeout(Duration::from_secs(seconds.into()));
        }
        let build = |builder: Builder| {
            Route::new(move || builder.build().map_err(|e| Error::service("setting up", e)))
        };
        let bundle = match &self.ca_file {
            Some(_) => None,
            None => variable("AWS_CA_BUNDLE")?.map(PathBuf::from),
        };
        let mut trust = Vec::new();
        let mut only = |path: &Path| {
            let pem = read_file(path, MAX_LEN)?.to_vec();
            trust = sha256(&pem).to_vec();
            Ok::<_, Error>(builder.clone().trust(Trust::Only(pem)))
        };
        let aws = bundle.map(|path| only(&path).map(build)).transpose()?;
        let transport = match &self.ca_file {
            Some(path) => build(only(path)?),
            None => build(builder),
        };
        let client = Client::with_routes(transport, aws, trust, inputs);
        Ok(match &self.cache_dir {
            Some(path) => client.with_file_cache(FileCache::at(path)?),
            None => client,
        })
    }

    /// A provider for the profile `name`, with those that it stands on.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such profile, and for an attested one in the file of
    /// [`default_path`](Self::default_path): whom it trusts must not be the environment's to say.
    pub fn provider(&self, client: &Client, name: &str) -> Result<Provider> {
        if self.of_environment && matches!(self.profile(name)?, Source::Attested(_)) {
            let help = format!(
                "profile {name:?} is attested; that counts only in a file that is named (--config FILE), \
                 elsewhere than where {CONFIG_VARIABLE}, XDG_CONFIG_HOME or HOME says"
            );
            return Err(Error::config(&self.place, help));
        }
        let mut provider = None;
        for source in self.chain(name)?.into_iter().rev() {
            provider = Some(client.chained(source.clone(), provider));
        }
        provider.ok_or_else(|| self.unknown(name))
    }

    /// A profile.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such profile.
    pub fn profile(&self, name: &str) -> Result<&Source> {
        self.profiles.get(name).ok_or_else(|| self.unknown(name))
    }

    /// A profile, then what it stands on.
    fn chain(&self, name: &str) -> Result<Vec<&Source>> {
        let mut chain = vec![self.profile(name)?];
        while let Some(next) = chain.last().and_then(|source| source.source_profile()) {
            if chain.len() == MAX_CHAIN {
                let help = format!("profile {name:?} stands on itself, or on more than 7 others");
                return Err(Error::config(&self.place, help));
            }
            chain.push(self.profile(next)?);
        }
        for (i, source) in chain.iter().enumerate() {
            source
                .check_base(chain.get(i + 1).copied())
                .map_err(|e| Error::config(&self.place, format!("profile {name:?}: {e}")))?;
        }
        Ok(chain)
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<_> = self.profiles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::config(&self.place, format!("has no profile {name:?}; it has: {known}"))
    }
}

/// Reads TOML. Errors call it `place`, and quote no value that stands in it.
///
/// # Errors
/// [`Error::Config`], with the line.
pub fn from_toml<T: DeserializeOwned>(text: &str, place: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        // Not its Display, which shows the line: a PIN may stand there.
        let line = e.span().map_or(1, |span| {
            1 + text.bytes().take(span.start).filter(|octet| *octet == b'\n').count()
        });
        Error::config(place, format!("line {line}: {}", without_value(e.message())))
    })
}

/// The message of an error of serde without the value that it quotes: a PIN may stand there.
#[must_use]
pub fn without_value(message: &str) -> String {
    let quotes = ["invalid type: ", "invalid value: ", "unknown variant "]
        .into_iter()
        .find_map(|start| Some((start, message.strip_prefix(start)?)));
    let Some((start, rest)) = quotes else { return message.to_owned() };
    let (value, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another"));
    let kind = value.split(['`', '"']).next().unwrap_or_default();
    format!("{}, expected {expected}", format!("{start}{kind}").trim_end())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_file_by_many_names() {
        // Cargo runs tests in the package's own directory.
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = here.join("Cargo.toml");
        let folder = tempfile::tempdir().unwrap();
        let [link, hard, real, other] =
            ["link", "hard", "real", "other"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::write(&real, "").unwrap();
        std::fs::write(&other, "").unwrap();
        std::fs::hard_link(&real, &hard).unwrap();
        let same = |one: &Path, other: &Path| {
            let same = is_same_file(one, other).unwrap();
            assert_eq!(is_same_file(other, one).unwrap(), same, "{one:?} {other:?}");
            same
        };
        let above = here.join("src/../Cargo.toml");
        for name in ["Cargo.toml", "./Cargo.toml", "src/../Cargo.toml", "../client/Cargo.toml"] {
            assert!(same(&file, Path::new(name)), "{name}");
        }
        assert!(same(&file, &link) && same(&file, &above) && same(Path::new("Cargo.toml"), &link));
        assert!(same(&real, &hard));
        // Not there (any more): by its name alone.
        assert!(same(Path::new("none.toml"), &here.join("none.toml")));
        for name in [&real, &other, &folder.path().join("none"), &real.join("none")] {
            assert!(!same(&file, name), "{name:?}");
        }
        assert!(!same(&real, &other));
    }
}
