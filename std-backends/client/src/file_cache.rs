//! Credentials on disk, for programs that live shorter than their credentials.

use std::env;
use std::ffi::OsString;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use cloudauth_core::digest::Sha256;
use cloudauth_core::encode::hex;

use crate::clock::{Clock, Moment};
use crate::freshness::{Due, Lease, check};
use crate::memory::warn_kept;
use crate::{Credential, Error, Result};

#[cfg(unix)]
mod folder;
#[cfg(not(unix))]
#[path = "file_cache/no_folder.rs"]
mod folder;
mod record;

use folder::{Folder, Lock, Read};

/// How long a process waits for another one that is fetching the credential it needs, when it has none to
/// use meanwhile. After that it fetches one itself, and does not store it.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How many entries of the directory are looked at for expired credentials when one is stored.
const SWEEP: usize = 256;

/// Credentials that processes of one user share, one file each, since a service may issue only a few in a
/// second (AWS Roles Anywhere: about 10 sessions).
///
/// They lie in a directory that only this user can enter, in files that only this user can read. A
/// credential is fetched by one process at a time, which holds a lock, and appears under its name when it
/// is whole. A file that is expired, cut off or open to others is never served but replaced; one that is
/// somebody else's, or no plain file, is never served and left alone. When a credential cannot be
/// stored (a full disk), the caller has it all the same, and the log says why.
///
/// On systems other than Unix there is none.
#[derive(Debug)]
pub struct FileCache {
    folder: Folder,
}

/// Names one credential in a [`FileCache`]: a hash of everything that it depends on.
#[derive(Clone)]
pub(crate) struct CacheKey {
    /// What [`Error::Expired`] and [`Error::Empty`] call the upstream call.
    call: &'static str,
    hash: Sha256,
}

impl CacheKey {
    /// A key for the results of `call`, without fields yet.
    pub(crate) fn new(call: &'static str) -> Self {
        let hash = Sha256::new();
        Self { call, hash }.field("cloudauth file cache 1", call.as_bytes())
    }

    /// Adds a field. Its name and its value go in with their lengths, so that no two lists of fields give
    /// the same key; a field that is left out is another one than a field that is empty.
    pub(crate) fn field(mut self, name: &str, value: &[u8]) -> Self {
        for part in [name.as_bytes(), value] {
            // A length is at most 64 bits wide on every target.
            self.hash.update(&(part.len() as u64).to_be_bytes());
            self.hash.update(part);
        }
        self
    }

    /// Adds what this stands on: the same request in the name of someone else is another credential.
    pub(crate) fn on(self, below: &Self) -> Self {
        self.field("base", &below.hash.clone().finish())
    }

    fn file_name(&self) -> String {
        hex::digest(&self.hash.clone().finish()).map(char::from).iter().collect()
    }
}

/// A credential as it is stored.
struct Entry {
    credential: Credential,
    lease: Lease,
}

/// What there is under a name.
enum Found {
    /// Nothing that can be served; it may be replaced.
    Nothing,
    /// A credential that is valid.
    Valid(Entry),
    /// Something that is not ours to replace.
    Foreign,
}

impl FileCache {
    /// The cache in `$XDG_RUNTIME_DIR/cloudauth`, which is in memory and gone when the user logs out. There
    /// is none when the variable is not set, empty or a relative path, or when its directory does not exist.
    ///
    /// # Errors
    /// [`Error::Config`] when one of the two directories is a symbolic link, another user's, or open to
    /// others; [`Error::File`] when it cannot be made or opened.
    pub fn in_runtime_dir() -> Result<Option<Self>> {
        Self::below(env::var_os("XDG_RUNTIME_DIR"))
    }

    fn below(runtime: Option<OsString>) -> Result<Option<Self>> {
        match runtime {
            Some(runtime) if Path::new(&runtime).is_absolute() => {
                let folder = Folder::in_runtime_dir(Path::new(&runtime))?;
                Ok(folder.map(|folder| Self { folder }))
            }
            _ => Ok(None),
        }
    }

    /// The cache in the directory `dir`, an absolute path. It is made when it does not exist.
    ///
    /// # Errors
    /// [`Error::Config`] when it is a relative path, a symbolic link, another user's, or open to others;
    /// [`Error::File`] when it cannot be made or opened.
    pub fn at(dir: &Path) -> Result<Self> {
        Folder::at(dir).map(|folder| Self { folder })
    }

    /// Removes all credentials, with their locks and what interrupted writes left, and gives the number of
    /// credentials. Files that are not this cache's are left alone. The lock of a process that is fetching
    /// at this moment stays; what it fetches is stored after that.
    ///
    /// # Errors
    /// [`Error::File`] when the directory cannot be read, or a file in it not removed.
    pub fn clear(&self) -> Result<usize> {
        let failed = |e| Error::file("clear", self.folder.place(), e);
        let mut credentials = 0;
        for name in self.folder.names(usize::MAX).map_err(failed)? {
            credentials += usize::from(self.folder.remove(&name).map_err(failed)?);
            match self.folder.try_lock(&name) {
                Ok(Some(lock)) => self.folder.remove_with_lock(&name, &lock).map_err(failed)?,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a lock in the credential cache is left alone")
                }
            }
        }
        Ok(credentials)
    }

    /// The credential of `key`: the stored one, or what `fetch` gives, which is stored.
    ///
    /// Reading and writing block the thread for as long as a small file takes.
    ///
    /// # Errors
    /// That of `fetch`, when there is no valid credential to serve in its place. Never because of the cache.
    pub(crate) async fn get<F, Fut>(
        &self,
        key: &CacheKey,
        clock: &Clock,
        fetch: F,
    ) -> Result<Credential>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Credential>>,
    {
        let name = key.file_name();
        let patience = match self.find(&name, clock.now()) {
            Found::Foreign => return checked(fetch().await, clock.now(), key.call),
            Found::Nothing => LOCK_WAIT,
            Found::Valid(entry) => match entry.lease.due(clock.now()) {
                Due::No => return Ok(entry.credential),
                Due::Advisory => Duration::ZERO,
                Due::Mandatory | Due::Expired => LOCK_WAIT,
            },
        };
        let lock = self.folder.lock(&name, patience).await;
        // Whoever had the lock may have stored a new one.
        let entry = match self.find(&name, clock.now()) {
            Found::Valid(entry) => Some(entry),
            Found::Nothing | Found::Foreign => None,
        };
        if let Some(entry) = entry.as_ref().filter(|entry| entry.lease.due(clock.now()) == Due::No)
        {
            return Ok(entry.credential.clone());
        }
        let lock = match lock {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => match entry {
                Some(entry) => return Ok(entry.credential),
                None => {
                    tracing::warn!(
                        call = key.call,
                        "another process has been fetching this credential for long; not waiting on"
                    );
                    None
                }
            },
            Err(error) => {
                let place = self.folder.place_of(&name);
                tracing::warn!(%place, %error, "the credential cache cannot be locked");
                None
            }
        };
        let fetched = fetch().await;
        let now = clock.now();
        let entry = entry.filter(|entry| entry.lease.is_valid(now));
        match (checked(fetched, now, key.call), entry) {
            (Ok(credential), entry) => {
                let expiration = credential.expiration();
                let lease = match entry {
                    Some(entry) => entry.lease.renewed(now, expiration),
                    None => Lease::new(now, expiration),
                };
                let entry = Entry { credential, lease };
                if let Some(lock) = &lock {
                    self.store(&name, &entry, lock);
                    self.sweep(&name, now);
                }
                Ok(entry.credential)
            }
            (Err(error), Some(entry)) => {
                warn_kept(key.call, &error, entry.lease.left(now));
                if let Some(lock) = &lock {
                    // So that the next processes do not all try a service that is down.
                    let lease = entry.lease.after_failure(now);
                    self.store(&name, &Entry { lease, credential: entry.credential.clone() }, lock);
                }
                Ok(entry.credential)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Forgets the credential of `key`, because a service refused it.
    pub(crate) fn forget(&self, key: &CacheKey) {
        let name = key.file_name();
        if let Err(error) = self.folder.remove(&name) {
            let place = self.folder.place_of(&name);
            tracing::warn!(%place, %error, "a refused credential stays in the cache; remove the file");
        }
    }

    /// What is stored under `name`.
    fn find(&self, name: &str, now: Moment) -> Found {
        let place = self.folder.place_of(name);
        let broken = |reason: &str| {
            tracing::warn!(%place, reason, "a cached credential is not used, and will be replaced");
            Found::Nothing
        };
        match self.folder.read(name) {
            Read::Absent => Found::Nothing,
            Read::Bytes(bytes) => match record::decode(name, &bytes) {
                Ok(entry) if entry.lease.is_valid(now) => Found::Valid(entry),
                Ok(_) => Found::Nothing,
                Err(reason) => broken(reason),
            },
            Read::Broken(reason) => broken(reason),
            Read::Foreign(reason) => {
                tracing::warn!(
                    %place,
                    %reason,
                    "the credential is not cached: a file is in its place; remove it"
                );
                Found::Foreign
            }
        }
    }

    fn store(&self, name: &str, entry: &Entry, lock: &Lock) {
        let stored =
            record::encode(name, entry).and_then(|bytes| self.folder.write(name, &bytes, lock));
        if let Err(error) = stored {
            let place = self.folder.place_of(name);
            tracing::warn!(%place, %error, "the credential could not be cached");
        }
    }

    /// Removes expired credentials other than `own`, and locks without a credential.
    fn sweep(&self, own: &str, now: Moment) {
        let dead = |name: &str| match self.folder.read(name) {
            Read::Bytes(bytes) => {
                record::decode(name, &bytes).map_or(true, |entry| !entry.lease.is_valid(now))
            }
            Read::Absent | Read::Broken(_) => true,
            Read::Foreign(_) => false,
        };
        let Ok(names) = self.folder.names(SWEEP) else { return };
        for name in names.iter().filter(|name| *name != own && dead(name)) {
            // Nobody can store one while this has the lock.
            if let Ok(Some(lock)) = self.folder.try_lock(name)
                && dead(name)
            {
                let removed = self
                    .folder
                    .remove(name)
                    .and_then(|_| self.folder.remove_with_lock(name, &lock));
                if let Err(error) = removed {
                    tracing::debug!(%error, "an expired credential stays in the cache");
                }
            }
        }
    }
}

/// What was fetched, unless it cannot be used.
fn checked(fetched: Result<Credential>, now: Moment, call: &'static str) -> Result<Credential> {
    let credential = fetched?;
    check(&credential, now, call)?;
    Ok(credential)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
