//! One file, by its directory and its name: nobody who changes a directory above leads anywhere else.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{
    AtFlags, FsWord, Gid, Mode, OFlags, Uid, fchmod, fchown, fstatfs, openat, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::run::config::{OWN_NAME, Owner};

/// Files of memory. Source: statfs(2).
const TMPFS: FsWord = 0x0102_1994;
const RAMFS: FsWord = 0x8584_58f6_u32 as FsWord;

/// What is opened is what has the name: no link is followed, and nothing is waited for.
pub(super) const EXACTLY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

pub(super) struct Place {
    parent: OwnedFd,
    name: OsString,
}

impl Place {
    pub(super) fn new(parent: OwnedFd, name: &OsStr) -> Self {
        Self { parent, name: name.to_owned() }
    }

    /// Where the next content is until it is whole.
    fn new_name(&self) -> OsString {
        let mut name = OsString::from(OWN_NAME);
        name.push("-new-");
        name.push(&self.name);
        name
    }

    /// Writes the next content beside the present one.
    pub(super) fn write(&self, content: &[u8], owner: Option<Owner>) -> io::Result<()> {
        let name = self.new_name();
        absent(unlinkat(&self.parent, &name, AtFlags::empty()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | EXACTLY;
        let mut file = File::from(openat(&self.parent, &name, flags, Mode::RUSR)?);
        file.write_all(content)?;
        give(&file, owner)?;
        // Whatever the umask is, and the owner took away.
        fchmod(&file, Mode::RUSR)?;
        Ok(())
    }

    /// Puts it in the place of the present one. Whoever has that open reads on in it: it is not overwritten.
    pub(super) fn replace(&self) -> io::Result<()> {
        Ok(renameat(&self.parent, self.new_name(), &self.parent, &self.name)?)
    }

    /// Takes the name, which must be nobody's: what has it later is ours to replace and to wipe.
    pub(super) fn claim(&self) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | EXACTLY;
        openat(&self.parent, &self.name, flags, Mode::RUSR)?;
        Ok(())
    }

    /// Overwrites and removes it, and what was to come in its place.
    pub(super) fn wipe(&self, in_memory: bool) -> io::Result<()> {
        wipe(&self.parent, &self.name, in_memory).and(self.wipe_new(in_memory))
    }

    pub(super) fn wipe_new(&self, in_memory: bool) -> io::Result<()> {
        wipe(&self.parent, &self.new_name(), in_memory)
    }
}

/// Gives a file away.
pub(super) fn give(file: impl std::os::fd::AsFd, owner: Option<Owner>) -> io::Result<()> {
    match owner {
        Some(Owner { user, group }) => {
            Ok(fchown(file, Some(Uid::from_raw(user)), group.map(Gid::from_raw))?)
        }
        None => Ok(()),
    }
}

pub(super) fn is_memory(file: &OwnedFd) -> io::Result<bool> {
    let kind = fstatfs(file)?.f_type;
    Ok(kind == TMPFS || kind == RAMFS)
}

/// What is not there is as good as removed.
pub(super) fn absent(removed: rustix::io::Result<()>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn wipe(parent: &OwnedFd, name: &OsStr, in_memory: bool) -> io::Result<()> {
    let overwritten = overwrite(parent, name, in_memory);
    // Whatever came of that.
    absent(unlinkat(parent, name, AtFlags::empty()))?;
    overwritten
}

/// Writes zeros over a file, unless it is none.
fn overwrite(parent: &OwnedFd, name: &OsStr, in_memory: bool) -> io::Result<()> {
    let open = |flags| openat(parent, name, flags | EXACTLY, Mode::empty()).map(File::from);
    let file = match open(OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    if metadata.nlink() != 1 {
        // It may be anybody's, linked here by whoever was given the directory.
        return Err(io::Error::other("it has another name, too, under which its content stays"));
    }
    fchmod(file.as_fd(), Mode::RUSR | Mode::WUSR)?;
    let mut file = open(OFlags::WRONLY)?;
    let other = file.metadata()?;
    if (other.dev(), other.ino()) != (metadata.dev(), metadata.ino()) {
        return Err(io::Error::other("was exchanged"));
    }
    io::copy(&mut io::Read::take(io::repeat(0), metadata.len()), &mut file)?;
    file.flush()?;
    if !in_memory {
        file.sync_data()?;
    }
    Ok(())
}
