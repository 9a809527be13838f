//! Which modules are loaded, and from where: a module is code that runs in this process.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use zeroize::Zeroizing;

use crate::error::{CallError, Pkcs11Error, Result, code};
use crate::raw::Raw;
use crate::token::Token;

/// The variable with the module to use when a URI names none: a path.
pub const MODULE_VARIABLE: &str = "CLOUDAUTH_PKCS11_MODULE";

/// The variable with the operator's allow-list: absolute paths of modules, separated like `PATH`. When it
/// is set, no other module is loaded.
pub const ALLOWED_MODULES_VARIABLE: &str = "CLOUDAUTH_PKCS11_ALLOWED_MODULES";

/// Which modules may be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModulePolicy {
    allowed: Option<Vec<PathBuf>>,
    default: Option<PathBuf>,
}

impl ModulePolicy {
    /// Modules that root owns, in directories that root owns, neither writable by others.
    #[must_use]
    pub const fn root_owned() -> Self {
        Self { allowed: None, default: None }
    }

    /// These modules and no others, whoever owns them. One that every user can change or exchange is
    /// refused still: no directory above it may be writable by all, but for a sticky one (such as `/tmp`)
    /// whose entry towards the module is root's or this user's own.
    #[must_use]
    pub const fn only(modules: Vec<PathBuf>) -> Self {
        Self { allowed: Some(modules), default: None }
    }

    /// What the operator set in the environment: [`ALLOWED_MODULES_VARIABLE`], else
    /// [`root_owned`](Self::root_owned); [`MODULE_VARIABLE`] is the module of a URI without one.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            allowed: set(ALLOWED_MODULES_VARIABLE)
                .map(|list| std::env::split_paths(&list).filter(|p| p.is_absolute()).collect()),
            default: set(MODULE_VARIABLE).map(PathBuf::from),
        }
    }

    /// The file of the module, checked.
    pub(crate) fn find(&self, path: Option<&Path>, name: Option<&str>) -> Result<PathBuf> {
        let found = match (path, name) {
            (Some(path), Some(name)) if path.is_dir() => in_directories(&[path], name)
                .ok_or_else(|| Pkcs11Error::module(path, format!("no module {name} in there")))?,
            (Some(path), _) => path.to_owned(),
            (None, Some(name)) => {
                let directories: Vec<_> = DIRECTORIES.iter().map(Path::new).collect();
                in_directories(&directories, name).ok_or_else(|| {
                    Pkcs11Error::module(
                        Path::new(name),
                        "no module of this name where the system keeps them; name the file with \
                         module-path",
                    )
                })?
            }
            (None, None) => self.default.clone().ok_or_else(|| {
                Pkcs11Error::Token(format!(
                    "no PKCS#11 module is named; add ?module-path=/path/to/module.so (or \
                     module-name=softhsm2) to the URI, or set {MODULE_VARIABLE}"
                ))
            })?,
        };
        self.check(&found)
    }

    /// The path without links, after the checks.
    fn check(&self, path: &Path) -> Result<PathBuf> {
        let refuse = |help: String| Err(Pkcs11Error::module(path, help));
        if !path.is_absolute() {
            return refuse("the path must be absolute".to_owned());
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(e) => return refuse(format!("cannot be opened ({}); is it installed?", e.kind())),
        };
        let trusted = match &self.allowed {
            None => false,
            Some(list) => {
                let named = |allowed: &PathBuf| {
                    allowed == path || allowed.canonicalize().is_ok_and(|a| a == real)
                };
                if !list.iter().any(named) {
                    return refuse(format!(
                        "it is not on the operator's list; add it to {ALLOWED_MODULES_VARIABLE}"
                    ));
                }
                true
            }
        };
        let mut below = None;
        for part in real.ancestors() {
            let metadata = match part.metadata() {
                Ok(metadata) => metadata,
                Err(e) => return refuse(format!("{part:?} cannot be read ({})", e.kind())),
            };
            if part == real && !metadata.is_file() {
                return refuse("it is not a file".to_owned());
            }
            let rights = Rights::of(&metadata);
            let found = rights.fault(trusted, below);
            below = Some(rights);
            if let Some(fault) = found {
                return refuse(format!(
                    "{part:?} {fault}, and a module is code that runs in this process; install the \
                     module where only root can write{}",
                    if trusted {
                        String::new()
                    } else {
                        format!(", or list it in {ALLOWED_MODULES_VARIABLE}")
                    }
                ));
            }
        }
        Ok(real)
    }
}

/// Who can change a file or a directory.
#[cfg(unix)]
#[derive(Clone, Copy)]
struct Rights {
    mode: u32,
    owner: u32,
}

#[cfg(unix)]
impl Rights {
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        Self { mode: metadata.mode(), owner: metadata.uid() }
    }

    /// Why somebody else could put code there. `below` is the entry of this directory that leads to the
    /// module; the module itself has none.
    fn fault(self, trusted: bool, below: Option<Self>) -> Option<&'static str> {
        // In a sticky directory everybody can put files, but only an entry's owner (and the
        // directory's) can exchange it.
        let own = |owner| owner == 0 || owner == rustix::process::geteuid().as_raw();
        let sticky = self.mode & 0o1000 != 0 && own(self.owner);
        if self.mode & 0o002 != 0 {
            match below {
                Some(below) if trusted && sticky && own(below.owner) => return None,
                Some(_) if trusted && sticky => {
                    return Some(
                        "can be filled by every user, and the entry in it is another user's",
                    );
                }
                _ => return Some("can be changed by every user"),
            }
        }
        match trusted {
            true => None,
            false if self.mode & 0o020 != 0 => Some("can be changed by its group"),
            false if self.owner != 0 => Some("is not root's"),
            false => None,
        }
    }
}

#[cfg(not(unix))]
#[derive(Clone, Copy)]
struct Rights;

#[cfg(not(unix))]
impl Rights {
    fn of(_: &std::fs::Metadata) -> Self {
        Self
    }

    fn fault(self, trusted: bool, _: Option<Self>) -> Option<&'static str> {
        // Owners and rights are not looked at here: only what the operator lists.
        (!trusted).then_some("cannot be checked on this system")
    }
}

/// Where distributions keep modules.
const DIRECTORIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/lib64/softhsm",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib/aarch64-linux-gnu/softhsm",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib/pkcs11",
    "/usr/local/lib/softhsm",
    "/usr/local/lib",
    "/opt/homebrew/lib/softhsm",
    "/opt/homebrew/lib",
];

fn in_directories(directories: &[&Path], name: &str) -> Option<PathBuf> {
    let extension = std::env::consts::DLL_EXTENSION;
    let names = [
        format!("lib{name}.{extension}"),
        format!("{name}.{extension}"),
        format!("{name}-pkcs11.{extension}"),
    ];
    directories
        .iter()
        .flat_map(|directory| names.iter().map(|name| directory.join(name)))
        .find(|path| path.is_file())
}

/// A module, loaded and initialised. It stays so until the process ends, but for
/// [`restart`](Self::restart): finalizing pulls it from under other users of it in the same process.
pub(crate) struct Module {
    pub(crate) path: PathBuf,
    pub(crate) context: Pkcs11,
    pub(crate) raw: Raw,
    process: u32,
    /// Whether it was `C_Initialize` of this crate that initialised it, as far as can be seen: when
    /// another part of the process finalizes and initialises it between two calls, nothing shows it.
    ours: AtomicBool,
    /// How often it was initialised here.
    epoch: AtomicU64,
    /// Held for reading by every call, for writing by a restart.
    gate: RwLock<()>,
    /// Held while one thread revives it.
    reviving: Mutex<()>,
    /// The tokens in use, each with one login and one pool of sessions.
    pub(crate) tokens: Mutex<Vec<Arc<Token>>>,
    /// PINs that a token (by serial number) refused: they are not tried again.
    pub(crate) refused: Mutex<Vec<(String, Zeroizing<Vec<u8>>)>>,
}

static MODULES: Mutex<Vec<Arc<Module>>> = Mutex::new(Vec::new());

/// A lock whose data is sound even where a thread died with it in hand.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Module {
    /// The module at `path`, loaded once a process.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>> {
        let mut modules = lock(&MODULES);
        let process = std::process::id();
        // A fork's child inherits the list, but must initialise again (PKCS#11 v3.0, section 5.1.2).
        if let Some(known) = modules.iter().find(|m| m.path == path && m.process == process) {
            return Ok(known.clone());
        }
        let context = Pkcs11::new(path).map_err(|e| match e {
            Error::LibraryLoading(e) => {
                Pkcs11Error::module(path, format!("it cannot be loaded ({})", reason(&e)))
            }
            Error::MissingSymbol(_) => {
                Pkcs11Error::module(path, "it is a library, but not a PKCS#11 module")
            }
            e => e.into(),
        })?;
        let raw = Raw::load(path)?;
        let module = Arc::new(Self {
            path: path.to_owned(),
            context,
            raw,
            process,
            ours: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            gate: RwLock::new(()),
            reviving: Mutex::new(()),
            tokens: Mutex::new(Vec::new()),
            refused: Mutex::new(Vec::new()),
        });
        module.initialize()?;
        modules.push(module.clone());
        Ok(module)
    }

    /// How often the module was initialised here.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// `C_Initialize` after `error` of a call that was made after `epoch`. It may say that another part of
    /// the process finalized the module: whoever initialises it then, it is not what was initialised here
    /// before. Unless another thread has done that here since.
    pub(crate) fn revive(&self, error: &CallError, epoch: u64) -> Result<()> {
        let _entered = self.enter();
        let _one = lock(&self.reviving);
        if error.code() == code::CRYPTOKI_NOT_INITIALIZED && self.epoch() == epoch {
            self.ours.store(false, Ordering::Relaxed);
        }
        self.initialize()
    }

    /// `C_Initialize`; another part of the process may have done it. With a guard of
    /// [`enter`](Self::enter) in hand.
    fn initialize(&self) -> Result<()> {
        let flags = CInitializeFlags::OS_LOCKING_OK;
        match self.context.initialize(CInitializeArgs::new(flags)) {
            Ok(()) => {
                self.ours.store(true, Ordering::Relaxed);
                self.epoch.fetch_add(1, Ordering::Release);
                Ok(())
            }
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Keeps a restart away while calls are made. Not taken twice by one thread: a restart that waits
    /// between the two would wait for ever.
    pub(crate) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// `C_Finalize` and `C_Initialize`, when the module was initialised here and no other token of it is in
    /// use than `lost`: some modules (SoftHSM) see a token that came, or came back, in no other way.
    /// `false`: not done.
    pub(crate) fn restart(&self, lost: Option<&Token>) -> Result<bool> {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = lock(&self.tokens);
        // Nobody holds it but the list, or it is the lost one, which another key has not noticed yet.
        let gone = |token: &Arc<Token>| {
            Arc::strong_count(token) == 1 || lost.is_some_and(|lost| token.is_same_as(lost))
        };
        if !self.ours.load(Ordering::Relaxed) || !tokens.iter().all(gone) {
            return Ok(false);
        }
        match self.context.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(e) => return Err(e.into()),
        }
        for token in tokens.drain(..) {
            token.finalized();
        }
        drop(tokens);
        self.ours.store(false, Ordering::Relaxed);
        self.initialize()?;
        Ok(true)
    }

    /// Refuses to work in a fork's child. Asked before any lock, which the child may find locked.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.process == std::process::id() { Ok(()) } else { Err(Pkcs11Error::Forked) }
    }
}

/// The linker's reason, without the path, which stands before it.
fn reason(error: &impl core::fmt::Display) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(": ").map_or(text.as_str(), |(_, reason)| reason);
    reason.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn paths() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("libm.so");
        std::fs::write(&module, b"no module").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let text = |r: Result<PathBuf>| r.map_err(|e| e.to_string());
        mode(dir.path(), 0o755);
        mode(&module, 0o644);
        let root = ModulePolicy::root_owned();
        // The directory for temporary files is everybody's.
        let refused = text(root.find(Some(&module), None)).unwrap_err();
        assert!(
            refused.contains("can be changed by") || refused.contains("not root's"),
            "{refused}"
        );
        assert!(refused.contains(ALLOWED_MODULES_VARIABLE), "{refused}");
        let listed = ModulePolicy::only(vec![module.clone()]);
        let real = module.canonicalize().unwrap();
        assert_eq!(text(listed.find(Some(&module), None)), Ok(real.clone()));
        assert_eq!(text(listed.find(Some(dir.path()), Some("m"))), Ok(real.clone()));
        let link = dir.path().join("link.so");
        std::os::unix::fs::symlink(&module, &link).unwrap();
        assert_eq!(text(listed.find(Some(&link), None)), Ok(real));
        let other = text(listed.find(Some(Path::new("/bin/sh")), None)).unwrap_err();
        assert!(other.contains("not on the operator's list"), "{other}");
        mode(&module, 0o646);
        let refused = text(listed.find(Some(&module), None)).unwrap_err();
        assert!(refused.contains("every user"), "{refused}");
        mode(&module, 0o644);
        mode(dir.path(), 0o777);
        let refused = text(listed.find(Some(&module), None)).unwrap_err();
        assert!(refused.contains("every user"), "{refused}");
        mode(dir.path(), 0o755);
        let refused = text(listed.find(Some(dir.path()), Some("nothing"))).unwrap_err();
        assert!(refused.contains("no module nothing"), "{refused}");
        let refused = text(root.find(Some(Path::new("lib.so")), None)).unwrap_err();
        assert!(refused.contains("absolute"), "{refused}");
        let refused = text(root.find(Some(Path::new("/no/such.so")), None)).unwrap_err();
        assert!(refused.contains("installed"), "{refused}");
        let refused = text(root.find(Some(Path::new("/usr")), None)).unwrap_err();
        assert!(refused.contains("not a file"), "{refused}");
        let refused = text(root.find(None, Some("no-such-module"))).unwrap_err();
        assert!(refused.contains("module-path"), "{refused}");
        let refused = text(root.find(None, None)).unwrap_err();
        assert!(refused.contains(MODULE_VARIABLE), "{refused}");
    }

    #[test]
    fn directories_that_everybody_can_fill() {
        let me = rustix::process::geteuid().as_raw();
        let other = me + 77;
        let at = |mode, owner| Rights { mode, owner };
        let (module, tmp) = (Some(at(0o755, me)), at(0o1777, 0));
        assert_eq!(tmp.fault(true, module), None);
        assert_eq!(tmp.fault(true, Some(at(0o755, 0))), None);
        for refused in [
            tmp.fault(true, Some(at(0o755, other))),
            // Its owner can exchange what is in it.
            at(0o1777, other).fault(true, module),
            at(0o777, 0).fault(true, module),
            // A file that everybody can write, sticky or not.
            tmp.fault(true, None),
            tmp.fault(false, module),
            at(0o775, 0).fault(false, module),
        ] {
            assert!(refused.is_some());
        }
        assert_eq!(at(0o755, 0).fault(false, module), None);
        // Listed: whoever owns it.
        assert_eq!(at(0o775, other).fault(true, module), None);
    }

    #[test]
    fn no_module() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.so");
        std::fs::write(&path, b"no module").unwrap();
        let refused = Module::load(&path).err().unwrap().to_string();
        assert!(refused.contains("cannot be loaded"), "{refused}");
        // A library that is none.
        if let Some(libm) = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6"]
            .iter()
            .find(|p| Path::new(p).is_file())
        {
            let refused = Module::load(Path::new(libm)).err().unwrap().to_string();
            assert!(refused.contains("not a PKCS#11 module"), "{refused}");
        }
    }
}
