//! The configuration of `cloudauth run`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use cloudauth_client::{Attested, Config, Source, from_toml, read_own_file};
use rustix::process::Signal;
use serde::Deserialize;

use super::template::Template;
use crate::error::CliError;

/// The most octets of a configuration file.
const MAX_LEN: u64 = 1 << 20;
/// The profile that is made of the table `attested`.
pub(super) const PROFILE: &str = "attested";
/// Where the command finds its files.
pub(super) const DIRECTORY_VARIABLE: &str = "CLOUDAUTH_RUN_DIRECTORY";
/// How names begin that are this program's own, in the directory.
pub(super) const OWN_NAME: &str = ".cloudauth-run";

/// What a file says, checked as far as can be before anybody is asked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) attested: Config,
    pub(super) environment: Vec<(OsString, Template)>,
    pub(super) files: Files,
    pub(super) renewal: Renewal,
}

#[derive(Debug)]
pub(super) struct Files {
    /// `None` for a new one.
    pub(super) directory: Option<PathBuf>,
    pub(super) allow_disk: bool,
    /// `None` for the caller.
    pub(super) owner: Option<Owner>,
    /// Relative ones are below the directory.
    pub(super) content: Vec<(PathBuf, Template)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    /// `None` leaves it the caller's.
    pub(super) group: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) on_change: Option<Signal>,
    pub(super) at_end: AtEnd,
    pub(super) stop_after: Duration,
    pub(super) metrics_listen: Option<SocketAddr>,
}

/// What is done when a lease ends that could not be renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AtEnd {
    /// Nothing.
    Keep,
    /// The command is ended.
    #[default]
    Stop,
    /// The files are wiped; the command goes on.
    Wipe,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    attested: Attested,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: RawFiles,
    #[serde(default)]
    renewal: RawRenewal,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RawFiles {
    directory: Option<PathBuf>,
    allow_disk: bool,
    owner: Option<String>,
    content: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RawRenewal {
    on_change: Option<String>,
    at_end: AtEnd,
    stop_after: Option<u32>,
    metrics_listen: Option<SocketAddr>,
}

impl Plan {
    /// Reads a file, which nobody but root and this user may be able to change.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let text = read_own_file(path, MAX_LEN)?;
        let place = path.display().to_string();
        let text =
            std::str::from_utf8(&text).map_err(|_| CliError::input(&place, "is not UTF-8"))?;
        let path = std::path::absolute(path).map_err(|e| CliError::input(&place, e))?;
        Self::parse(text, path.parent().unwrap_or(Path::new("/")), &place)
    }

    pub(super) fn parse(text: &str, directory: &Path, place: &str) -> Result<Self, CliError> {
        let raw: Raw = from_toml(text, place)?;
        let wrong = |what: &str, why: String| CliError::input(format_args!("{place}: {what}"), why);
        let profiles = BTreeMap::from([(PROFILE.to_owned(), Source::Attested(raw.attested))]);
        let attested = Config::from_profiles(profiles, directory, place)?;
        let mut environment = Vec::new();
        for (name, text) in raw.environment {
            let what = format!("environment {name:?}");
            if name.is_empty() || name.contains(['=', '\0']) || name == DIRECTORY_VARIABLE {
                return Err(wrong(&what, "is no name for a variable of the command".to_owned()));
            }
            let template = Template::parse(&text).map_err(|why| wrong(&what, why))?;
            environment.push((name.into(), template));
        }
        let files = raw.files.checked().map_err(|(what, why)| wrong(&what, why))?;
        let renewal = raw.renewal.checked().map_err(|(what, why)| wrong(what, why))?;
        Ok(Self { attested, environment, files, renewal })
    }
}

impl RawFiles {
    fn checked(self) -> Result<Files, (String, String)> {
        if self.directory.as_ref().is_some_and(|path| !path.is_absolute()) {
            let why = "expected an absolute path";
            return Err(("files.directory".to_owned(), why.to_owned()));
        }
        let owner = self.owner.as_deref().map(Owner::parse).transpose();
        let owner = owner.map_err(|why| ("files.owner".to_owned(), why))?;
        let mut content = Vec::new();
        for (name, text) in self.content {
            let what = || format!("files.content {name:?}");
            let path = checked_path(&name).map_err(|why| (what(), why.to_owned()))?;
            if self.directory.as_ref().is_some_and(|directory| path.starts_with(directory)) {
                let why = "is below the directory: write it relative to that";
                return Err((what(), why.to_owned()));
            }
            let template = Template::parse(&text).map_err(|why| (what(), why))?;
            content.push((path, template));
        }
        // In order, so that what is below another comes somewhere behind it.
        content.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (i, (path, _)) in content.iter().enumerate() {
            if content.iter().skip(i + 1).any(|(other, _)| other.starts_with(path)) {
                let what = format!("files.content {path:?}");
                return Err((what, "is there twice, or a directory of another file".to_owned()));
            }
        }
        Ok(Files { directory: self.directory, allow_disk: self.allow_disk, owner, content })
    }
}

/// A path that leads nowhere else than it says.
fn checked_path(name: &str) -> Result<PathBuf, &'static str> {
    let path: PathBuf = Path::new(name).components().collect();
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    let mut parts = path.components();
    if path.is_absolute() {
        parts.next();
    }
    if name.contains('\0') || name.ends_with('/') || parts.clone().count() == 0 {
        return Err("expected the path of a file");
    }
    if !parts.clone().all(normal) {
        return Err("expected a path without . and ..");
    }
    if parts.any(|part| part.as_os_str().as_encoded_bytes().starts_with(OWN_NAME.as_bytes())) {
        return Err("names that begin with .cloudauth-run are cloudauth's own");
    }
    Ok(path)
}

impl RawRenewal {
    fn checked(self) -> Result<Renewal, (&'static str, String)> {
        let on_change = match self.on_change.as_deref() {
            None | Some("nothing") => None,
            Some(name) => Some(signal(name).ok_or_else(|| {
                let why = "expected nothing, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 or SIGWINCH";
                ("renewal.on-change", why.to_owned())
            })?),
        };
        if self.stop_after == Some(0) {
            return Err(("renewal.stop-after", "expected at least 1 second".to_owned()));
        }
        let stop_after = Duration::from_secs(self.stop_after.unwrap_or(10).into());
        let (at_end, metrics_listen) = (self.at_end, self.metrics_listen);
        Ok(Renewal { on_change, at_end, stop_after, metrics_listen })
    }
}

/// Those by which programs are told to read their files again, or to end.
fn signal(name: &str) -> Option<Signal> {
    Some(match name {
        "SIGHUP" => Signal::HUP,
        "SIGINT" => Signal::INT,
        "SIGQUIT" => Signal::QUIT,
        "SIGTERM" => Signal::TERM,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGWINCH" => Signal::WINCH,
        _ => return None,
    })
}

impl Owner {
    /// `USER` or `USER:GROUP`, by name or number. Names are those of `/etc/passwd` and `/etc/group`.
    fn parse(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = id(user, "user", Path::new("/etc/passwd"))?;
        let group = group.map(|group| id(group, "group", Path::new("/etc/group"))).transpose()?;
        let caller = rustix::process::geteuid().as_raw();
        if caller != 0 && user != caller {
            return Err("only root can give files away; leave it out".to_owned());
        }
        Ok(Self { user, group })
    }
}

/// The number of a name, which stands in the third field of both files.
fn id(name: &str, what: &str, file: &Path) -> Result<u32, String> {
    // The highest means "leave it" to the system.
    if let Ok(number) = name.parse::<u32>() {
        return (number < u32::MAX)
            .then_some(number)
            .ok_or_else(|| format!("{what} {name}: no such number"));
    }
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut lines = text.lines().map(|line| line.split(':'));
    let number = lines.find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1)).flatten()?.parse().ok()
    });
    let unknown = || format!("{what} {name:?} is not in {}; a number works, too", file.display());
    number.filter(|_| !name.is_empty()).ok_or_else(unknown)
}
