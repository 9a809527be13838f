//! The configuration file.

pub(crate) mod attested;
pub(crate) mod give;
pub(crate) mod issuer;
mod lint;
#[allow(unreachable_pub, reason = "the crate's own")]
pub(crate) mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cloudauth_client::{Source, without_value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::LoadError;
use issuer::Issuer;
use server::{Admin, Compatibility, Server};

/// The most octets of a configuration file.
const MAX_LEN: u64 = 1 << 20;

/// A broker's configuration, in TOML. Unknown fields are refused; relative paths start at the file's folder,
/// but for those in key URIs (`file:…`), which start at the working directory.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// How it listens.
    pub(crate) server: Server,
    /// Listeners for clients of other systems.
    pub(crate) compatibility: Vec<Compatibility>,
    /// The audience of attestations, for grants that name no other.
    pub(crate) audience: Option<String>,
    /// The certificates (PEM) that the clouds' hosts are trusted by; else the system's own.
    pub(crate) ca_file: Option<PathBuf>,
    /// Who attests workloads.
    pub(crate) issuers: BTreeMap<String, Issuer>,
    /// The credentials that grants stand on.
    pub(crate) profiles: BTreeMap<String, Source>,
    /// Who gets what. What is in each depends on its issuer's kind: [`crate::policy`] reads it.
    pub(crate) grants: BTreeMap<String, Grant>,
    /// The file's folder.
    pub(crate) folder: PathBuf,
    /// How errors name the file.
    pub(crate) place: String,
}

/// `[grants.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Grant {
    /// What must be attested, and what else must hold.
    pub(crate) attested: toml::Table,
    /// What it gives.
    pub(crate) give: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    server: Server,
    #[serde(default)]
    compatibility: Vec<Compatibility>,
    audience: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    issuers: BTreeMap<String, Issuer>,
    #[serde(default, alias = "profile")]
    profiles: BTreeMap<String, Source>,
    #[serde(default)]
    grants: BTreeMap<String, Grant>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`LoadError`] with what is wrong with the file as a whole. What is wrong with a grant,
    /// [`Policy::new`](crate::policy::Policy::new) says.
    pub(crate) fn from_file(path: &Path) -> Result<Self, LoadError> {
        let place = format!("file {path:?}");
        let file = |e: std::io::Error| LoadError::one(format!("read {place}"), e);
        let path = std::path::absolute(path).map_err(file)?;
        let text = read(&path, MAX_LEN).map_err(|e| e.within("configuration"))?;
        let text = String::from_utf8(text).map_err(|_| LoadError::one(&place, "is not UTF-8"))?;
        let config = Self::parse(&text, path.parent().unwrap_or(Path::new("")), &place)?;
        if let Some(path) = &config.ca_file {
            // The client reads it, whoever may change it.
            read(path, MAX_LEN).map_err(|e| e.within(format!("{place}: ca-file")))?;
        }
        Ok(config)
    }

    /// Reads the text of one; errors call it `place`.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub(crate) fn parse(text: &str, folder: &Path, place: &str) -> Result<Self, LoadError> {
        let mut raw: Raw = toml::from_str(text).map_err(|e| {
            // Not its Display, which shows the line: a PIN may stand there.
            let line = e.span().map_or(1, |span| {
                1 + text.bytes().take(span.start).filter(|octet| *octet == b'\n').count()
            });
            LoadError::one(format!("{place}: line {line}"), without_value(e.message()))
        })?;
        raw.server.paths(&mut |path| *path = folder.join(&*path));
        let mut wrong = LoadError::default();
        if let Err(help) = raw.server.check() {
            wrong.add(place, help);
        }
        for (name, issuer) in &mut raw.issuers {
            issuer.resolve_paths(folder);
            wrong.take(issuer.check().map_err(|e| e.within(format!("{place}: issuers.{name}"))));
        }
        for (i, (name, issuer)) in raw.issuers.iter().enumerate() {
            let earlier = raw.issuers.values().take(i);
            if earlier.into_iter().any(|other| other.issuer == issuer.issuer) {
                let help = "another has the same; join the two: one may have keys and a root";
                wrong.add(format!("{place}: issuers.{name}: issuer"), help);
            }
        }
        if raw.audience.as_deref() == Some("") {
            wrong.add(format!("{place}: audience"), "is empty");
        }
        for name in raw.grants.keys() {
            let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
            if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
                let help = "a grant's name has 1 to 64 of A-Z a-z 0-9 - _ .";
                wrong.add(format!("{place}: grants.{name:?}"), help);
            }
        }
        for entry in &raw.compatibility {
            if !raw.grants.contains_key(&entry.grant) {
                let help = format!("there is no grant {:?}", entry.grant);
                wrong.add(format!("{place}: compatibility: grant"), help);
            }
        }
        apart(&raw, place, &mut wrong);
        wrong.finish()?;
        let config = Self {
            server: raw.server,
            compatibility: raw.compatibility,
            audience: raw.audience,
            ca_file: raw.ca_file.map(|path| folder.join(path)),
            issuers: raw.issuers,
            profiles: raw.profiles,
            grants: raw.grants,
            folder: folder.to_owned(),
            place: place.to_owned(),
        };
        lint::check(&config)?;
        Ok(config)
    }

    /// What loads, and yet may not be meant: a line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        lint::warnings(self)
    }

    /// The issuer of this name. `google` is known without an entry of its own.
    pub(crate) fn issuer(&self, name: &str) -> Option<Issuer> {
        let built_in = || (name == "google" && !self.knows(issuer::GOOGLE)).then(Issuer::google);
        self.issuers.get(name).cloned().or_else(built_in)
    }

    fn knows(&self, issuer: &str) -> bool {
        self.issuers.values().any(|known| known.issuer == issuer)
    }

    /// Every issuer that a token may be of, by name: those with an entry, and Google where a grant names it.
    pub(crate) fn all_issuers(&self) -> BTreeMap<String, Issuer> {
        let mut all = self.issuers.clone();
        let names_google =
            |grant: &Grant| lint::texts(&grant.attested, "issuer").contains(&"google");
        if !all.contains_key("google")
            && self.grants.values().any(names_google)
            && let Some(google) = self.issuer("google")
        {
            all.insert("google".into(), google);
        }
        all
    }
}

/// Refuses listeners in the same place, and two that cannot be told apart when the configuration is loaded again.
fn apart(raw: &Raw, place: &str, wrong: &mut LoadError) {
    let mut taken = vec![raw.server.listen];
    if let Admin::At(address) = raw.server.admin_listen {
        taken.push(address);
    }
    let twice =
        |taken: &[SocketAddr], address: SocketAddr| address.port() != 0 && taken.contains(&address);
    if matches!(taken.as_slice(), [one, other] if twice(&[*one], *other)) {
        let help = format!("{} is server.listen; give it another", raw.server.listen);
        wrong.add(format!("{place}: server.admin-listen"), help);
    }
    for (i, one) in raw.compatibility.iter().enumerate() {
        let earlier = raw.compatibility.iter().take(i);
        let same = |other: &Compatibility| other.listen == one.listen && other.scheme == one.scheme;
        if earlier.into_iter().any(same) || twice(&taken, one.listen) {
            let help = format!("{} stands there twice; a listener has one grant", one.listen);
            wrong.add(format!("{place}: compatibility: listen"), help);
        }
        taken.push(one.listen);
    }
}

/// Reads a part of the configuration. The error says which field, and no value.
pub(crate) fn section<T: DeserializeOwned>(table: &toml::Table) -> Result<T, LoadError> {
    T::deserialize(table.clone()).map_err(|e| {
        // Only the place: the rest of its Display may show a value.
        let shown = e.to_string();
        let place = shown.lines().rev().find_map(|line| line.strip_prefix("in `"));
        let place = place.map_or("fields", |place| place.trim_end_matches('`'));
        LoadError::one(place, without_value(e.message()))
    })
}

/// A whole file of at most `limit` octets, which nobody else may change: what the configuration names decides
/// who gets credentials as much as it does itself.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    use std::io::Read as _;
    let place = || format!("read file {path:?}");
    let failed = |e| LoadError::one(place(), e);
    let file = std::fs::File::open(path).map_err(failed)?;
    // Of the open file: the one at this path may be another by now.
    check_rights(&file.metadata().map_err(failed)?)
        .map_err(|help| LoadError::one(format!("file {path:?}"), help))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(LoadError::one(place(), format!("is larger than {limit} octets")));
    }
    Ok(bytes)
}

#[cfg(unix)]
pub(crate) fn check_rights(metadata: &std::fs::Metadata) -> Result<(), &'static str> {
    use std::os::unix::fs::MetadataExt as _;
    fault(metadata.mode(), metadata.uid(), rustix::process::geteuid().as_raw())
}

/// Owners and rights are not looked at here.
#[cfg(not(unix))]
pub(crate) fn check_rights(_: &std::fs::Metadata) -> Result<(), &'static str> {
    Ok(())
}

/// Refuses a file that others than root and the user `me` can change.
#[cfg(unix)]
fn fault(mode: u32, owner: u32, me: u32) -> Result<(), &'static str> {
    if mode & 0o022 != 0 {
        return Err("others can change it: chmod go-w it");
    }
    if owner != 0 && owner != me {
        return Err(
            "another user owns it, and can change it: chown it to root or the broker's user",
        );
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::fault;

    #[test]
    fn whose_files_are_read() {
        for (mode, owner) in [(0o644, 0), (0o644, 1000), (0o400, 1000), (0o755, 0)] {
            assert_eq!(fault(mode, owner, 1000), Ok(()), "{mode:o} {owner}");
        }
        for mode in [0o664, 0o646, 0o622, 0o020, 0o002] {
            assert!(fault(mode, 1000, 1000).unwrap_err().contains("chmod"), "{mode:o}");
            assert!(fault(mode, 0, 1000).is_err(), "{mode:o}");
        }
        assert!(fault(0o644, 1001, 1000).unwrap_err().contains("chown"));
        assert!(fault(0o600, 1000, 0).unwrap_err().contains("chown"));
    }
}
