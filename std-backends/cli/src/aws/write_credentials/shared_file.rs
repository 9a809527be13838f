//! The shared credentials file: found, locked, replaced as a whole.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::section::LIMIT;
use crate::error::CliError;

/// How long another writer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Changes the file at `path`, or makes it, readable for its owner alone. A symbolic link stays one; mode and
/// owner are kept. Whoever reads it finds the old content or the new one, whole. Writers take turns.
pub(super) fn change(
    path: &Path,
    with: impl FnOnce(&[u8]) -> Result<Zeroizing<Vec<u8>>, CliError>,
) -> Result<(), CliError> {
    let path = target(path)?;
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => (folder, name),
        _ => return Err(failed("write", &path, "is no file")),
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(|e| failed("make", folder, e))?;
    let _lock = lock(folder)?;
    let (old, metadata) = read(&path)?;
    let new = with(&old)?;
    if *new == *old {
        return Ok(());
    }
    // One name, so that the next writer removes what one left that was killed.
    let temporary = folder.join(format!(".{}.cloudauth", name.display()));
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &temporary, e));
        }
        _ => {}
    }
    let written = write(&temporary, &new, metadata.as_ref())
        .and_then(|()| std::fs::rename(&temporary, &path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        failed("write", &path, e)
    })
}

/// Where a symbolic link leads.
fn target(path: &Path) -> Result<PathBuf, CliError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => std::fs::canonicalize(path).map_err(|e| failed("follow", path, e)),
        Err(_) => std::path::absolute(path).map_err(|e| failed("find", path, e)),
    }
}

/// The lock is on the directory: the file is another one after each change, and a file for the lock alone would
/// stay behind.
fn lock(folder: &Path) -> Result<File, CliError> {
    let file = File::open(folder).map_err(|e| failed("open", folder, e))?;
    let start = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // File systems of the network have no locks for directories: then it is as without.
            Err(Errno::BADF | Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) if start.elapsed() < PATIENCE => {
                std::thread::sleep(POLL);
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(failed("lock", folder, "another program holds the lock; try again"));
            }
            Err(e) => return Err(failed("lock", folder, e)),
        }
    }
}

/// The content, and mode and owner; nothing where there is no file.
fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Option<Metadata>), CliError> {
    let flags = OFlags::NONBLOCK.bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Zeroizing::default(), None)),
        file => file.map_err(|e| failed("read", path, e))?,
    };
    let metadata = file.metadata().map_err(|e| failed("read", path, e))?;
    if !metadata.is_file() {
        return Err(failed("read", path, "is no regular file"));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_end(&mut content).map_err(|e| failed("read", path, e))?;
    if content.len() > LIMIT {
        return Err(failed("read", path, format_args!("is larger than {LIMIT} octets")));
    }
    Ok((content, Some(metadata)))
}

/// On the disk when it returns.
fn write(path: &Path, content: &[u8], like: Option<&Metadata>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some(like) = like {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.mode() & 0o777))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

fn failed(operation: &str, path: &Path, what: impl core::fmt::Display) -> CliError {
    CliError::input(format_args!("{operation} {}", path.display()), what)
}
