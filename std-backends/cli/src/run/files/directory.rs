//! The directory of one command, and the file in it that says whose it is.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fchmod, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::place::{EXACTLY, Place, absent, give, is_memory};
use crate::context::{random, warn};
use crate::error::CliError;
use crate::run::config::{self, OWN_NAME, Owner};

/// Where a directory of one's own is made: the first of these that is memory and can be written.
const PARENTS: [&str; 3] = ["/run", "/dev/shm", "/tmp"];
/// How the names of such directories begin.
const PREFIX: &str = "cloudauth-run-";
/// The most octets of a marker.
const MAX_MARKER: u64 = 1 << 20;
const PRIVATE: Mode = Mode::RWXU;

/// What stands in the marker: it is written before any file is, so that the next run knows what to wipe when
/// this one is killed. It is locked as long as this run lives.
#[derive(Default, Deserialize, Serialize)]
struct Marker {
    /// The directory was made by a run, and is removed by the next.
    made: bool,
    files: Vec<PathBuf>,
}

pub(super) struct Directory {
    path: PathBuf,
    /// Where its name stands.
    parent: OwnedFd,
    fd: OwnedFd,
    made: bool,
    in_memory: bool,
    allow_disk: bool,
    owner: Option<Owner>,
    /// Locked as long as it is open.
    marker: File,
}

/// Why a directory could not be had.
enum Fault {
    /// Somebody else has it.
    Locked,
    Other(CliError),
}

impl Directory {
    pub(super) fn new(config: &config::Files, files: &[PathBuf]) -> Result<Self, CliError> {
        let directory = match &config.directory {
            Some(path) => Self::at(path, config, files).map_err(|fault| match fault {
                Fault::Locked => {
                    CliError::input(path.display(), "another cloudauth run that goes on has it")
                }
                Fault::Other(e) => e,
            })?,
            None => Self::of_its_own(config, files)?,
        };
        match directory.begin(files) {
            Ok(()) => Ok(directory),
            Err(e) => {
                directory.remove(&[]);
                Err(e)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn owner(&self) -> Option<Owner> {
        self.owner
    }

    pub(super) const fn in_memory(&self) -> bool {
        self.in_memory
    }

    /// A new one, after those were cleared that killed runs of this user have left.
    fn of_its_own(config: &config::Files, files: &[PathBuf]) -> Result<Self, CliError> {
        let parents = PARENTS.map(Path::new);
        let is_good = |path: &&Path| {
            let fd =
                open(*path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            let memory = fd.is_ok_and(|fd| is_memory(&fd).unwrap_or_default());
            let writable = rustix::fs::access(*path, rustix::fs::Access::WRITE_OK).is_ok();
            writable && (memory || config.allow_disk)
        };
        let parent = parents.iter().copied().find(is_good).ok_or_else(|| {
            CliError::input(
                "files",
                "none of /run, /dev/shm and /tmp is memory (tmpfs) that can be written; mount one, and \
                 name it or a directory in it in files.directory",
            )
        })?;
        clear(parent, config, files);
        loop {
            let random = random()?;
            let name: String = random.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
            match Self::at(&parent.join(format!("{PREFIX}{name}")), config, files) {
                // Somebody cleared it before it was locked.
                Err(Fault::Locked) => {}
                Err(Fault::Other(e)) => return Err(e),
                Ok(directory) => return Ok(directory),
            }
        }
    }

    /// A new one at `path`, or one that is there: empty, or left by a run, whose files are wiped.
    fn at(path: &Path, config: &config::Files, files: &[PathBuf]) -> Result<Self, Fault> {
        let wrong =
            |why: &dyn core::fmt::Display| Fault::Other(CliError::input(path.display(), why));
        let failed = |e: io::Error| wrong(&e);
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(wrong(&"expected the path of a directory"));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = open(above, flags, Mode::empty())
            .map_err(|e| Fault::Other(CliError::input(above.display(), io::Error::from(e))))?;
        let memory = |fd| match is_memory(fd) {
            Ok(false) if !config.allow_disk => Err(wrong(
                &"is not memory (tmpfs), and a secret on a disk stays there; name a directory on a tmpfs, \
                  such as one in /run, or set allow-disk = true",
            )),
            memory => memory.map_err(failed),
        };
        let opened = openat(&parent, name, flags | OFlags::NOFOLLOW, Mode::empty());
        let (fd, made) = match opened {
            Ok(fd) => (fd, false),
            Err(Errno::NOENT) => {
                memory(&parent)?;
                mkdirat(&parent, name, PRIVATE).map_err(|e| failed(e.into()))?;
                let fd = openat(&parent, name, flags | OFlags::NOFOLLOW, Mode::empty());
                (fd.map_err(|e| failed(e.into()))?, true)
            }
            Err(e) => return Err(failed(e.into())),
        };
        let in_memory = memory(&fd)?;
        let fd = File::from(fd);
        let (marker, left) = match Self::take(&fd, made, config.owner) {
            Ok(taken) => taken,
            Err(fault) => {
                if made {
                    let _ = unlinkat(&parent, name, AtFlags::REMOVEDIR);
                }
                return Err(match fault {
                    Taken::Locked => Fault::Locked,
                    Taken::Other(why) => wrong(&why),
                });
            }
        };
        let directory = Self {
            path: path.to_owned(),
            parent,
            fd: fd.into(),
            made: made || left.made,
            in_memory,
            allow_disk: config.allow_disk,
            owner: config.owner,
            marker,
        };
        directory.wipe_left(&left, files);
        Ok(directory)
    }

    /// Locks the marker, which is made where there is nothing.
    fn take(fd: &File, made: bool, owner: Option<Owner>) -> Result<(File, Marker), Taken> {
        let caller = rustix::process::geteuid().as_raw();
        let metadata = fd.metadata()?;
        let is_ours = [Some(caller), owner.map(|owner| owner.user)].contains(&Some(metadata.uid()));
        if !is_ours {
            return Err(Taken::other(
                "is another user's; name a directory in it that is not there: it is made",
            ));
        }
        let flags = OFlags::RDWR | EXACTLY;
        let marker = match openat(fd, OWN_NAME, flags, Mode::empty()) {
            Ok(marker) => File::from(marker),
            Err(Errno::NOENT) => {
                if !made && !is_empty(fd)? {
                    return Err(Taken::other(
                        "is not empty, and was not made by cloudauth run, which wipes what is its own \
                         alone; name another directory, or one in it that is not there",
                    ));
                }
                let mode = Mode::RUSR | Mode::WUSR;
                let new = flags | OFlags::CREATE | OFlags::EXCL;
                File::from(openat(fd, OWN_NAME, new, mode).map_err(|e| match e {
                    // Somebody else begins here, too.
                    Errno::EXIST => Taken::Locked,
                    e => Taken::Other(io::Error::from(e).to_string()),
                })?)
            }
            Err(e) => return Err(io::Error::from(e).into()),
        };
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Taken::Locked),
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        let metadata = marker.metadata()?;
        if metadata.nlink() == 0 {
            return Err(Taken::Locked);
        }
        if !metadata.is_file() || metadata.nlink() != 1 || metadata.uid() != caller {
            return Err(Taken::other(
                "holds a .cloudauth-run that this user did not write; remove it",
            ));
        }
        let mut text = Vec::new();
        (&marker).take(MAX_MARKER).read_to_end(&mut text)?;
        // One that was not finished: nothing had been written by then.
        let left = serde_json::from_slice(&text).unwrap_or_default();
        fchmod(fd, PRIVATE).map_err(io::Error::from)?;
        Ok((marker, left))
    }

    /// Takes the files that are elsewhere, says what will be written, and gives the directory to its owner.
    fn begin(&self, files: &[PathBuf]) -> Result<(), CliError> {
        let mut claimed = Vec::new();
        let mut absolute = files.iter().filter(|path| path.is_absolute());
        let begun = absolute
            .try_for_each(|path| {
                let failed = |e: io::Error| match e.kind() {
                    io::ErrorKind::AlreadyExists => {
                        let help = "is there, and was not written by cloudauth run; remove it";
                        CliError::input(path.display(), help)
                    }
                    io::ErrorKind::NotFound => {
                        let help = "its directory is not there; make it, on a tmpfs";
                        CliError::input(path.display(), help)
                    }
                    _ => CliError::input(path.display(), e),
                };
                let place = self.place(path, false).map_err(failed)?;
                place.claim().map_err(failed)?;
                claimed.push(place);
                Ok(())
            })
            .and_then(|()| self.mark(files));
        if begun.is_err() {
            for place in claimed {
                // Empty.
                let _ = place.wipe(true);
            }
        }
        begun
    }

    fn mark(&self, files: &[PathBuf]) -> Result<(), CliError> {
        let failed = |e: io::Error| CliError::input(self.path.display(), e);
        let marker = Marker { made: self.made, files: files.to_vec() };
        let text = serde_json::to_vec(&marker).map_err(|e| failed(e.into()))?;
        let mut file = &self.marker;
        file.rewind().and_then(|()| file.set_len(0)).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        if !self.in_memory {
            file.sync_all().map_err(failed)?;
        }
        give(&self.fd, self.owner).map_err(failed)
    }

    /// The place of a file; `make` makes the directories on the way, which are ours as the files are.
    pub(super) fn place(&self, path: &Path, make: bool) -> io::Result<Place> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = path.parent().unwrap_or(Path::new(""));
        if path.is_absolute() {
            let parent = open(above, flags, Mode::empty())?;
            if !self.allow_disk && !is_memory(&parent)? {
                return Err(io::Error::other("is not on a tmpfs (allow-disk = true takes it)"));
            }
            return Ok(Place::new(parent, name));
        }
        let mut parent = self.fd.try_clone()?;
        for part in above {
            let opened = openat(&parent, part, flags | OFlags::NOFOLLOW, Mode::empty());
            parent = match opened {
                Err(Errno::NOENT) if make => {
                    mkdirat(&parent, part, PRIVATE)?;
                    let made = openat(&parent, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
                    fchmod(&made, PRIVATE)?;
                    give(&made, self.owner)?;
                    made
                }
                opened => opened?,
            };
        }
        Ok(Place::new(parent, name))
    }

    /// Wipes a file that may be there.
    pub(super) fn wipe(&self, path: &Path) -> io::Result<()> {
        match self.place(path, false) {
            Ok(place) => place.wipe(self.in_memory && path.is_relative()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Wipes what a killed run has left.
    fn wipe_left(&self, left: &Marker, files: &[PathBuf]) {
        for path in &left.files {
            // Who was given the directory could put another file in the marker's place.
            let known = path.is_relative() || files.contains(path) || self.is_callers();
            if !known {
                continue;
            }
            if let Err(e) = self.wipe(path) {
                let path = self.path.join(path);
                warn(&[format!("{} of an earlier run could not be wiped: {e}", path.display())]);
            }
        }
        self.remove_directories(&left.files);
    }

    fn is_callers(&self) -> bool {
        let caller = rustix::process::geteuid().as_raw();
        rustix::fs::fstat(&self.fd).is_ok_and(|stat| stat.st_uid == caller)
    }

    /// Removes the directories below that were made for these files, where they are empty.
    fn remove_directories(&self, files: &[PathBuf]) {
        let relative = files.iter().filter(|path| path.is_relative());
        let mut above: Vec<&Path> = relative
            .flat_map(|path| path.ancestors().skip(1))
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        // The deepest first.
        above.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        above.dedup();
        for path in above {
            let (Some(name), Ok(place)) = (path.file_name(), self.open_above(path)) else {
                continue;
            };
            let _ = unlinkat(&place, name, AtFlags::REMOVEDIR);
        }
    }

    fn open_above(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut parent = self.fd.try_clone()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        for part in path.parent().into_iter().flatten() {
            parent = openat(&parent, part, flags, Mode::empty())?;
        }
        Ok(parent)
    }

    /// Removes it, where it was made by a run, and nothing of others is in it. Else the marker stays: the next
    /// run may have the directory.
    pub(super) fn remove(self, files: &[PathBuf]) {
        self.remove_directories(files);
        if !holds_only_marker(&self.fd).unwrap_or_default() {
            let path = self.path.display();
            warn(&[format!("{path}: files that are not of cloudauth run stay there")]);
            return;
        }
        let mut removed = absent(unlinkat(&self.fd, OWN_NAME, AtFlags::empty()));
        if let (true, Some(name)) = (self.made, self.path.file_name()) {
            removed = removed.and(absent(unlinkat(&self.parent, name, AtFlags::REMOVEDIR)));
        }
        if let Err(e) = removed {
            warn(&[format!("{} could not be removed: {e}", self.path.display())]);
        }
    }
}

/// Why a directory could not be taken.
enum Taken {
    Locked,
    Other(String),
}

impl Taken {
    fn other(why: &str) -> Self {
        Self::Other(why.to_owned())
    }
}

impl From<io::Error> for Taken {
    fn from(e: io::Error) -> Self {
        Self::Other(e.to_string())
    }
}

/// Clears the directories that killed runs of this user have left below `parent`.
fn clear(parent: &Path, config: &config::Files, files: &[PathBuf]) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let ours = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes())
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && path.join(OWN_NAME).symlink_metadata().is_ok();
        if ours && let Ok(left) = Directory::at(&path, config, files) {
            left.remove(files);
        }
    }
}

fn is_empty(fd: &File) -> io::Result<bool> {
    Ok(names(fd)?.is_empty())
}

fn holds_only_marker(fd: &OwnedFd) -> io::Result<bool> {
    Ok(names(fd)?.iter().all(|name| name == OWN_NAME))
}

fn names(fd: impl std::os::fd::AsFd) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
