//! What flows read: keys, certificates, tokens, secrets.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cloudauth_core::digest::Sha256;
use cloudauth_keys::{Key, KeyUri, MacKey, Prompt, SecretRef, Warning};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// The most octets of a certificate file.
const MAX_CERTIFICATES: u64 = 1 << 20;
/// The most octets of a token or a policy. No cloud takes more.
const MAX_TEXT: u64 = 1 << 16;
/// How many threads at once open a key, or sign with it. A device that does not answer keeps its own, and no more.
const THREADS: usize = 8;

type OnWarning = dyn Fn(&Warning) + Send + Sync;

/// Reads what flows need, and keeps opened keys: a device is opened and logged in to once, not once a
/// credential. A key in a file is opened again when the file has changed; certificates and tokens
/// are read anew each time.
pub struct Inputs {
    prompt: Prompt,
    standard_input: bool,
    on_warning: Box<OnWarning>,
    keys: Kept<Key>,
    macs: Kept<MacKey>,
    /// By the SHA-256 of a URI; what needs no key has one too.
    threads: Mutex<HashMap<Option<[u8; 32]>, Arc<Semaphore>>>,
}

/// By the SHA-256 of a URI. Each has a lock of its own: a device that does not answer holds up nobody else.
type Kept<K> = Mutex<HashMap<[u8; 32], Arc<Mutex<Option<Opened<K>>>>>>;

/// A key; with the stamp of the file, for keys in files.
type Opened<K> = (Option<Stamp>, Arc<K>);

type Stamp = Option<(SystemTime, u64, u64)>;

impl Default for Inputs {
    /// Nobody is asked, standard input is not read, and warnings are told through `tracing`.
    fn default() -> Self {
        Self {
            prompt: Prompt::none(),
            standard_input: false,
            on_warning: Box::new(|warning| tracing::warn!("{warning}")),
            keys: Kept::default(),
            macs: Kept::default(),
            threads: Mutex::default(),
        }
    }
}

impl Inputs {
    /// For a program that talks to people: `prompt` asks for PINs, `on_warning` passes warnings on, and the
    /// path `-` means standard input.
    pub fn interactive(
        prompt: Prompt,
        on_warning: impl Fn(&Warning) + Send + Sync + 'static,
    ) -> Self {
        Self { prompt, standard_input: true, on_warning: Box::new(on_warning), ..Self::default() }
    }

    /// The signing key that `uri` names.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn key(&self, uri: &KeyUri) -> Result<Arc<Key>> {
        kept(&self.keys, uri, || {
            let key = Key::open_with(uri, &self.prompt)?;
            key.warnings().iter().for_each(&self.on_warning);
            Ok(key)
        })
    }

    /// The AWS secret access key that `uri` names.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn mac_key(&self, uri: &KeyUri) -> Result<Arc<MacKey>> {
        kept(&self.macs, uri, || {
            let key = MacKey::open_with(uri, &self.prompt)?;
            key.warnings().iter().for_each(&self.on_warning);
            Ok(key)
        })
    }

    /// The places of the threads that work with the key that `uri` names.
    pub(crate) fn threads(&self, uri: Option<&KeyUri>) -> Arc<Semaphore> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.entry(uri.map(name)).or_insert_with(|| Arc::new(Semaphore::new(THREADS))).clone()
    }

    /// The certificates (DER) of a PEM or DER file, in its order; at least one.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`].
    pub fn certificates(&self, path: &Path) -> Result<Vec<Vec<u8>>> {
        let bytes = self.read(path, MAX_CERTIFICATES)?;
        cloudauth_keys::pem::certificates(&bytes)
            .map_err(|e| Error::config(self.place(path), e.to_string()))
    }

    /// A text, such as a policy, of at most 64 KiB, as it stands in the file. `what` is its name in errors.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`].
    pub fn text(&self, path: &Path, what: &str) -> Result<Zeroizing<String>> {
        let mut bytes = self.read(path, MAX_TEXT)?;
        String::from_utf8(core::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|e| {
            drop(Zeroizing::new(e.into_bytes()));
            Error::config(self.place(path), format!("the {what} is not UTF-8"))
        })
    }

    /// A token, of at most 64 KiB, without the white space around it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`].
    pub fn token(&self, path: &Path, what: &str) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(self.text(path, what)?.trim().to_owned()))
    }

    /// A secret that is no key: `env:NAME`, `file:PATH` or `fd:N`.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Config`].
    pub fn secret(&self, reference: &SecretRef, what: &str) -> Result<Zeroizing<String>> {
        let mut warnings = Vec::new();
        let mut secret = reference.read_with(&mut warnings)?;
        warnings.iter().for_each(&self.on_warning);
        String::from_utf8(core::mem::take(&mut *secret)).map(Zeroizing::new).map_err(|e| {
            drop(Zeroizing::new(e.into_bytes()));
            Error::config(what, "is not UTF-8")
        })
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
        if self.is_standard_input(path) {
            return read(io::stdin().lock(), &self.place(path), limit, limit);
        }
        read_file(path, limit)
    }

    /// How errors name a file.
    pub(crate) fn place(&self, path: &Path) -> String {
        if self.is_standard_input(path) { "standard input".to_owned() } else { place(path) }
    }

    fn is_standard_input(&self, path: &Path) -> bool {
        self.standard_input && path == Path::new("-")
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("prompt", &self.prompt).finish_non_exhaustive()
    }
}

/// The key kept for `uri`, unless its file has changed; else a new one. A failure keeps nothing.
fn kept<K>(kept: &Kept<K>, uri: &KeyUri, open: impl FnOnce() -> Result<K>) -> Result<Arc<K>> {
    let slot = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(name(uri)).or_default().clone()
    };
    // Held while a key is opened: two openings at once would be two logins.
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    let stamp = uri.file().map(stamp);
    if let Some((at, key)) = &*slot
        && *at == stamp
        && stamp != Some(None)
    {
        return Ok(key.clone());
    }
    *slot = None;
    let key = Arc::new(open()?);
    *slot = Some((stamp, key.clone()));
    Ok(key)
}

/// A key's name here. It is of the whole text, in which a PIN may stand: that is not to be kept.
fn name(uri: &KeyUri) -> [u8; 32] {
    let mut name = Sha256::new();
    for part in [uri.scheme().name(), ":", uri.path(), "?", uri.query().unwrap_or_default()] {
        name.update(part.as_bytes());
    }
    name.finish()
}

/// By which a changed file is told: its time, size and place on the disk. `None` when it cannot be asked.
fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Some((metadata.modified().ok()?, metadata.len(), number))
}

/// A whole file, of at most `limit` octets.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    read_checked(path, limit, |_| None)
}

/// A whole file that says whom to trust, or what is loaded, of at most `limit` octets: nobody but root and this
/// user may be able to change it.
///
/// # Errors
/// [`Error::File`]; [`Error::Config`] where somebody else can, and where it is larger.
pub fn read_own_file(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    #[cfg(unix)]
    let fault = |metadata: &Metadata| {
        use std::os::unix::fs::MetadataExt as _;
        fault(metadata.mode(), metadata.uid(), rustix::process::geteuid().as_raw())
    };
    #[cfg(not(unix))]
    let fault = |_: &Metadata| None;
    read_checked(path, limit, fault)
}

/// Why someone else than `user` and root can change a file.
#[cfg(unix)]
fn fault(mode: u32, owner: u32, user: u32) -> Option<&'static str> {
    if mode & 0o022 != 0 {
        return Some("others can change it: chmod go-w it");
    }
    (owner != 0 && owner != user)
        .then_some("it is another user's: chown it to root, or to the user that reads it")
}

/// A file that `fault` finds nothing wrong with. The one that is looked at is the one that is read.
fn read_checked(
    path: &Path,
    limit: u64,
    fault: impl FnOnce(&Metadata) -> Option<&'static str>,
) -> Result<Zeroizing<Vec<u8>>> {
    let place = place(path);
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|e| Error::file("read", &place, e))?;
    if let Some(fault) = fault(&metadata) {
        return Err(Error::config(place, fault));
    }
    // A pipe has no size.
    let size = if metadata.len() == 0 { limit } else { metadata.len().min(limit) };
    read(file, &place, size, limit)
}

/// `size` is how much there is, as far as is known.
fn read(from: impl io::Read, place: &str, size: u64, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    // Room for everything, and for the look whether there is more: a vector that grows leaves copies behind.
    let room = usize::try_from(size).unwrap_or_default() + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    from.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::file("read", place, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::config(place, format!("is larger than {limit} octets")));
    }
    Ok(bytes)
}

/// How errors name a file. `Debug` quotes it and escapes control characters.
pub(crate) fn place(path: &Path) -> String {
    format!("file {path:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_device_that_does_not_answer_holds_up_no_other() {
        let uri = |text: &str| KeyUri::parse(text).unwrap();
        let keys: Arc<Kept<u8>> = Arc::default();
        let (hung, another) = (uri("tpm:handle=0x81000001"), uri("tpm:handle=0x81000002"));
        let ((began, has_begun), (answer, answered)) = (mpsc::channel(), mpsc::channel());
        let opening = thread::spawn({
            let (keys, hung) = (keys.clone(), hung.clone());
            move || {
                kept(&keys, &hung, || {
                    began.send(()).unwrap();
                    answered.recv_timeout(Duration::from_secs(60)).unwrap();
                    Ok(1)
                })
            }
        });
        has_begun.recv().unwrap();
        let (told, opened) = mpsc::channel();
        thread::spawn({
            let keys = keys.clone();
            move || told.send(*kept(&keys, &another, || Ok(2)).unwrap())
        });
        assert_eq!(opened.recv_timeout(Duration::from_secs(10)).unwrap(), 2);
        answer.send(()).unwrap();
        assert_eq!(*opening.join().unwrap().unwrap(), 1);
        assert_eq!(*kept(&keys, &hung, || unreachable!()).unwrap(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn files_that_others_can_change() {
        for (mode, owner) in [(0o644, 0), (0o644, 1000), (0o400, 0), (0o600, 1000), (0o755, 0)] {
            assert_eq!(fault(mode, owner, 1000), None, "{mode:o} {owner}");
        }
        for (mode, owner, user, says) in [
            (0o664, 1000, 1000, "chmod"),
            (0o646, 0, 0, "chmod"),
            (0o666, 1000, 1000, "chmod"),
            (0o600, 1001, 1000, "chown"),
            // Root trusts root.
            (0o600, 1000, 0, "chown"),
        ] {
            let fault = fault(mode, owner, user).unwrap_or_default();
            assert!(fault.contains(says), "{mode:o} {owner} {user}: {fault}");
        }
    }
}
