//! The directory of the cache, and the files in it: everything relative to its descriptor, nothing through
//! a symbolic link, nothing that is another user's.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::fs::{flock, fstat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::{Error, Result};

/// Ours below the runtime directory.
const NAME: &str = "cloudauth";
/// The largest file, in octets; a credential takes two or three thousand.
const LIMIT: usize = 64 * 1024;
/// Between two tries to take a lock.
const POLL: Duration = Duration::from_millis(20);

const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
const FOLDER: OFlags = PLAIN.union(OFlags::RDONLY).union(OFlags::DIRECTORY);
const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);
const MINE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory that only this user can enter.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

/// The lock of one name; dropped, it is free.
#[derive(Debug)]
pub(super) struct Lock {
    file: OwnedFd,
}

impl Drop for Lock {
    /// Closing alone would not do: a process that is being started at this moment has the descriptor too.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// What reading a file gave.
pub(super) enum Read {
    Absent,
    Bytes(Zeroizing<Vec<u8>>),
    /// It is ours, and cannot be used because of this.
    Broken(&'static str),
    /// It is not ours because of this.
    Foreign(String),
}

impl Folder {
    /// `cloudauth` in `runtime`, if that exists.
    pub(super) fn in_runtime_dir(runtime: &Path) -> Result<Option<Self>> {
        let runtime = without_slash(runtime);
        let fd = match openat(CWD, &runtime, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => private(opened, &runtime)?,
        };
        let path = runtime.join(NAME);
        match mkdirat(&fd, NAME, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(Error::file("make", place(&path), e.into())),
        }
        let fd = private(openat(&fd, NAME, FOLDER, Mode::empty()), &path)?;
        Ok(Some(Self { fd, path }))
    }

    /// `dir`.
    pub(super) fn at(dir: &Path) -> Result<Self> {
        if !dir.is_absolute() {
            return Err(Error::config(place(dir), "give an absolute path"));
        }
        let path = without_slash(dir);
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            // What is there, opening it will say.
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::file("make", place(&path), e));
            }
            _ => {}
        }
        let fd = private(openat(CWD, &path, FOLDER, Mode::empty()), &path)?;
        Ok(Self { fd, path })
    }

    /// The directory, for messages.
    pub(super) fn place(&self) -> String {
        place(&self.path)
    }

    /// The file `name`, for messages.
    pub(super) fn place_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    pub(super) fn read(&self, name: &str) -> Read {
        // A pipe must not block.
        let flags = PLAIN | OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Read::Absent,
            Err(Errno::LOOP) => return Read::Foreign("it is a symbolic link".to_owned()),
            Err(e) => return Read::Foreign(format!("it cannot be opened: {e}")),
        };
        let stat = match plain_and_ours(&file) {
            Ok(stat) => stat,
            Err(e) => return Read::Foreign(e.to_string()),
        };
        if Mode::from_raw_mode(stat.st_mode).intersects(OTHERS) {
            return Read::Broken("it is open to other users");
        }
        let size = match usize::try_from(stat.st_size) {
            Ok(size) if size <= LIMIT => size,
            _ => return Read::Broken("it is too large"),
        };
        // One octet more, so that the vector never grows, which would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        let most = u64::try_from(size).unwrap_or(u64::MAX);
        match File::from(file).take(most).read_to_end(&mut bytes) {
            Ok(read) if read == size => Read::Bytes(bytes),
            _ => Read::Broken("it cannot be read whole"),
        }
    }

    /// Takes the lock of `name`, within `patience`; none if others have it for longer.
    pub(super) async fn lock(&self, name: &str, patience: Duration) -> io::Result<Option<Lock>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(POLL).await;
        }
    }

    /// Takes the lock of `name` if nobody has it.
    pub(super) fn try_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.lock_opened(name, self.open_lock(name)?)
    }

    fn open_lock(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = PLAIN | OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        Ok(openat(&self.fd, lock_of(name), flags, MINE)?)
    }

    fn lock_opened(&self, name: &str, file: OwnedFd) -> io::Result<Option<Lock>> {
        let held = plain_and_ours(&file)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        // A lock file is removed only by who holds it. If that happened between opening and locking,
        // this is the lock of nothing.
        match statat(&self.fd, lock_of(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino) => {
                Ok(Some(Lock { file }))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Puts `bytes` under `name`, whole or not at all. Who holds the lock is the only one that writes the
    /// temporary file; one that is there was left by a process that ended early.
    pub(super) fn write(&self, name: &str, bytes: &[u8], _: &Lock) -> io::Result<()> {
        if bytes.len() > LIMIT {
            return Err(io::Error::other("the credential is too large for the cache"));
        }
        let path = temporary_of(name);
        self.unlink(&path)?;
        let flags = PLAIN | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = File::from(openat(&self.fd, &path, flags, MINE)?);
        // Not synced: after a crash the file may be cut off, and is then replaced.
        let written =
            file.write_all(bytes).and_then(|()| Ok(renameat(&self.fd, &path, &self.fd, name)?));
        if written.is_err() {
            let _ = self.unlink(&path);
        }
        written
    }

    /// The names of credentials that have a file here, of at most `entries` entries of the directory.
    pub(super) fn names(&self, entries: usize) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in Dir::read_from(&self.fd)?.take(entries) {
            let entry = entry?;
            let Ok(file) = entry.file_name().to_str() else { continue };
            let name = file.strip_suffix(".lock").or_else(|| file.strip_suffix(".tmp"));
            let name = name.unwrap_or(file);
            if name.len() == 64 && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Removes the credential `name`; whether there was one.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        self.unlink_ours(name)
    }

    /// Removes what goes with the credential `name`, its lock at last: who has opened that meanwhile sees
    /// that it is the lock of nothing.
    pub(super) fn remove_with_lock(&self, name: &str, _: &Lock) -> io::Result<()> {
        self.unlink_ours(&temporary_of(name))?;
        self.unlink_ours(&lock_of(name))?;
        Ok(())
    }

    fn unlink_ours(&self, file: &str) -> io::Result<bool> {
        match statat(&self.fd, file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if foreign(&stat).is_none() => self.unlink(file),
            Ok(_) | Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn unlink(&self, file: &str) -> io::Result<bool> {
        match unlinkat(&self.fd, file, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

fn lock_of(name: &str) -> String {
    format!("{name}.lock")
}

fn temporary_of(name: &str) -> String {
    format!("{name}.tmp")
}

fn place(path: &Path) -> String {
    format!("the directory {} of the credential cache", path.display())
}

/// `O_NOFOLLOW` follows a link whose name ends in a slash.
fn without_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The opened directory, unless others can enter it or exchange what is in it.
fn private(opened: rustix::io::Result<OwnedFd>, path: &Path) -> Result<OwnedFd> {
    let refused = |help: &str| Err(Error::config(place(path), help));
    let fd = match opened {
        Ok(fd) => fd,
        // Linux gives the second for a symbolic link too.
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return refused("it is a symbolic link, or no directory; name the directory itself");
        }
        Err(e) => return Err(Error::file("open", place(path), e.into())),
    };
    let stat = fstat(&fd).map_err(|e| Error::file("look at", place(path), e.into()))?;
    if stat.st_uid != geteuid().as_raw() {
        return refused("it belongs to another user; set cache-dir to a directory of your own");
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(OTHERS) {
        return refused("it is open to other users; chmod 0700 it");
    }
    Ok(fd)
}

/// Why a file is not one that this cache made.
fn foreign(stat: &Stat) -> Option<&'static str> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        Some("it is not a plain file")
    } else if stat.st_uid != geteuid().as_raw() {
        Some("it belongs to another user")
    } else {
        None
    }
}

fn plain_and_ours(file: impl AsFd) -> io::Result<Stat> {
    let stat = fstat(file)?;
    match foreign(&stat) {
        None => Ok(stat),
        Some(reason) => Err(io::Error::other(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_file_that_was_removed_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(&dir.path().join("cache")).unwrap();
        let first = folder.try_lock("a").unwrap().unwrap();
        let [removed, replaced] = [(); 2].map(|()| folder.open_lock("a").unwrap());
        folder.remove_with_lock("a", &first).unwrap();
        drop(first);
        assert!(folder.lock_opened("a", removed).unwrap().is_none());
        let second = folder.try_lock("a").unwrap().unwrap();
        assert!(folder.lock_opened("a", replaced).unwrap().is_none());
        drop(second);
        // One that is still there.
        let opened = folder.open_lock("a").unwrap();
        assert!(folder.lock_opened("a", opened).unwrap().is_some());
    }
}
