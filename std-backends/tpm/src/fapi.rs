//! The key store of the Feature API (TCG TSS 2.0 FAPI), as tpm2-tss keeps it: one JSON file a key.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tss_esapi::structures::Public;
use tss_esapi::traits::{Marshall as _, UnMarshall as _};

use crate::error::{Call as _, Result, TpmError};
use crate::keyfile::KeyFile;
use crate::public::{self, KeyKind};
use crate::source::{Hierarchy, KeySource, Parent, is_persistent};

mod area;

use area::{algorithm, hex, marshal, unhex, unmarshal};

/// The most octets of a key's JSON.
const MAX_LEN: u64 = 64 * 1024;

/// Where a key store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FapiStore {
    /// The profile, such as `P_RSA2048SHA256`.
    pub profile: String,
    /// The directory of the user's keys.
    pub user_dir: PathBuf,
    /// The directory of the system's keys, the storage root key among them.
    pub system_dir: PathBuf,
}

impl FapiStore {
    /// The variable that names a FAPI configuration file.
    pub const CONFIG_VARIABLE: &'static str = "TSS2_FAPICONF";

    /// What the file of [`CONFIG_VARIABLE`](Self::CONFIG_VARIABLE) says. Without the variable, the defaults
    /// of the Python package `cloud-auth-tpm`: `P_RSA2048SHA256`, and `user/keystore` and `system/keystore`
    /// in `~/.local/share/tpm2-tss`.
    ///
    /// # Errors
    /// [`TpmError::Format`] when the file cannot be read.
    pub fn from_env() -> Result<Self> {
        let base = "~/.local/share/tpm2-tss";
        let mut store = Self {
            profile: "P_RSA2048SHA256".to_owned(),
            user_dir: home(&format!("{base}/user/keystore")),
            system_dir: home(&format!("{base}/system/keystore")),
        };
        if let Some(path) = std::env::var_os(Self::CONFIG_VARIABLE).filter(|path| !path.is_empty())
        {
            let config = read(Path::new(&path), false)?;
            let text = |name: &str| config.get(name).and_then(Value::as_str);
            if let Some(profile) = text("profile_name") {
                store.profile = profile.to_owned();
            }
            if let Some(dir) = text("user_dir") {
                store.user_dir = home(dir);
            }
            if let Some(dir) = text("system_dir") {
                store.system_dir = home(dir);
            }
        }
        Ok(store)
    }

    /// The key at `path`: `/HS/SRK/name`, or with the profile in front of it, as FAPI takes it.
    ///
    /// # Errors
    /// [`TpmError::Format`] or [`TpmError::Key`] when there is no such key, or none that can be used.
    pub fn key(&self, path: &str) -> Result<KeySource> {
        let path = self.parse(path)?;
        let user = path.under(&self.user_dir);
        let file = if user.exists() { user } else { path.under(&self.system_dir) };
        if !file.exists() {
            return Err(TpmError::Key(format!(
                "no FAPI key {} in {:?} or {:?}; tss2_list shows the keys, fapi-user-dir and fapi-system-dir \
                 (or {}) name other directories, fapi-profile another profile",
                path.name,
                self.user_dir,
                self.system_dir,
                Self::CONFIG_VARIABLE
            )));
        }
        let object = read(&file, true)?;
        let bad = |help: &str| TpmError::Format(format!("FAPI key {file:?}: {help}"));
        let area = object.pointer("/public/publicArea").ok_or_else(|| bad("no public area"))?;
        let public = marshal(area).ok_or_else(|| bad("a public area that is not understood"))?;
        let parsed = Public::unmarshall(&public).call("Tss2_MU_TPMT_PUBLIC_Unmarshal")?;
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
        let computed = public::name(&parsed)?;
        if unhex(name).as_ref() != Some(&computed) {
            return Err(bad("its name does not belong to its public area"));
        }
        if let Some(handle) = handle(&object) {
            return Ok(KeySource::Named { handle, name: computed });
        }
        let private = object.get("private").and_then(Value::as_str).and_then(unhex);
        let private = private.filter(|p| !p.is_empty()).ok_or_else(|| bad("no private area"))?;
        Ok(KeySource::File(Box::new(KeyFile {
            parent: self.srk(&path.profile)?,
            empty_auth: Some(!yes(&object, "with_auth")),
            policy: None,
            public,
            private,
            secret: None,
        })))
    }

    /// The paths of the keys right under the storage root key, when `path` names it: `/HS/SRK`, or with the
    /// profile in front of it. None when `path` names another place.
    ///
    /// # Errors
    /// [`TpmError::Format`] when a directory cannot be read.
    pub fn list(&self, path: &str) -> Result<Option<Vec<String>>> {
        let (profile, parts) = self.split(path);
        if !matches!(parts.as_slice(), ["HS", "SRK"] | ["SRK"]) || !plain(profile) {
            return Ok(None);
        }
        let mut found = Vec::new();
        for dir in [&self.user_dir, &self.system_dir] {
            let dir = dir.join(profile).join("HS/SRK");
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(TpmError::Format(format!("read {dir:?}: {}", error.kind())));
                }
            };
            let keys = entries
                .flatten()
                .filter(|entry| entry.path().join("object.json").exists())
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| plain(name));
            found.extend(keys.map(|name| format!("/{profile}/HS/SRK/{name}")));
        }
        found.sort();
        found.dedup();
        Ok(Some(found))
    }

    /// Removes the file of a key that is not persistent.
    ///
    /// # Errors
    /// As [`key`](Self::key); a key at a persistent handle is refused, one that the store says must stay, and
    /// one that others are under.
    pub fn delete(&self, path: &str) -> Result<()> {
        if let KeySource::Named { handle, .. } = self.key(path)? {
            return Err(TpmError::Key(format!(
                "the FAPI key is at the persistent handle {handle:#x}; remove it with: tss2_delete"
            )));
        }
        let path = self.parse(path)?;
        let file = path.under(&self.user_dir);
        if yes(&read(&file, true)?, "delete_prohibited") {
            return Err(TpmError::Key(format!(
                "the FAPI key {} must not be deleted: delete_prohibited stands in {file:?}",
                path.name
            )));
        }
        // FAPI keeps a directory for each key, and in it those of the keys under it.
        for dir in [&self.user_dir, &self.system_dir] {
            let file = path.under(dir);
            let Some(Ok(mut beside)) = file.parent().map(fs::read_dir) else { continue };
            if beside.any(|entry| entry.map_or(true, |entry| entry.path().is_dir())) {
                return Err(TpmError::Key(format!(
                    "the FAPI key {} has keys under it, which nobody could load any more; delete those first",
                    path.name
                )));
            }
        }
        fs::remove_file(&file)
            .map_err(|error| TpmError::Format(format!("remove {file:?}: {}", error.kind())))?;
        if let Some(dir) = file.parent() {
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }

    /// The file of a new key.
    pub(crate) fn new_file(&self, path: &str) -> Result<PathBuf> {
        Ok(self.parse(path)?.under(&self.user_dir))
    }

    /// The storage root key of the profile that `path` names.
    pub(crate) fn srk_of(&self, path: &str) -> Result<Parent> {
        self.srk(&self.parse(path)?.profile)
    }

    fn srk(&self, profile: &str) -> Result<Parent> {
        let file = self.system_dir.join(profile).join("HS/SRK/object.json");
        if !file.exists() {
            return Err(TpmError::Key(format!(
                "the FAPI store has no storage root key {file:?}; name the directory with fapi-system-dir, or \
                 make it with: tss2_provision"
            )));
        }
        let object = read(&file, true)?;
        if let Some(handle) = handle(&object) {
            return Ok(Parent::Handle(handle));
        }
        match object.pointer("/public/publicArea/type").and_then(algorithm) {
            Some(0x0001) => Ok(Parent::Rsa(Hierarchy::Owner)),
            Some(0x0023) => Ok(Parent::Ecc(Hierarchy::Owner)),
            _ => Err(TpmError::Format(format!("FAPI key {file:?}: not a storage root key"))),
        }
    }

    /// The profile, and the rest of the path.
    fn split<'a>(&'a self, path: &'a str) -> (&'a str, Vec<&'a str>) {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let profile = parts.next_if(|first| first.starts_with("P_"));
        (profile.unwrap_or(&self.profile), parts.collect())
    }

    fn parse(&self, path: &str) -> Result<FapiPath> {
        let (profile, parts) = self.split(path);
        match parts.as_slice() {
            ["HS", "SRK", name] | ["SRK", name] if plain(name) && plain(profile) => {
                Ok(FapiPath { profile: profile.to_owned(), name: (*name).to_owned() })
            }
            _ => Err(TpmError::Format(
                "a FAPI path is /HS/SRK/name, or /P_RSA2048SHA256/HS/SRK/name (a key right under the storage \
                 root key; letters, digits, _ - .)"
                    .to_owned(),
            )),
        }
    }
}

/// What names no other directory.
fn plain(part: &str) -> bool {
    !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

struct FapiPath {
    profile: String,
    name: String,
}

impl FapiPath {
    fn under(&self, dir: &Path) -> PathBuf {
        dir.join(&self.profile).join("HS/SRK").join(&self.name).join("object.json")
    }
}

/// The JSON of a new key, in the form that FAPI reads.
pub(crate) fn object(public: &Public, private: &[u8], with_auth: bool) -> Result<String> {
    let area = public.marshall().call("Tss2_MU_TPMT_PUBLIC_Marshal")?;
    let scheme = match public::kind(public) {
        Some(KeyKind::EcP256 | KeyKind::EcP384) => "ECDSA",
        _ => "RSAPSS",
    };
    let object = json!({
        "objectType": 1,
        "system": "NO",
        "with_auth": if with_auth { "YES" } else { "NO" },
        "persistent_handle": 0,
        "public": { "size": area.len(), "publicArea": unmarshal(&area).unwrap_or_default() },
        "serialization": "",
        "private": hex(private),
        "policyInstance": "",
        "description": "",
        "certificate": "",
        "signing_scheme": { "scheme": scheme, "details": { "hashAlg": "SHA256" } },
        "name": hex(&public::name(public)?),
        "delete_prohibited": "NO",
    });
    serde_json::to_string_pretty(&object)
        .map_err(|_| TpmError::Format("the key cannot be written as JSON".to_owned()))
}

fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// A file of JSON, which only its owner can change; in a store the group can, too, because tpm2-tss makes its
/// files so. Who can read it is of no consequence: a private area is encrypted.
fn read(path: &Path, in_store: bool) -> Result<Value> {
    let failed = |help: &str| TpmError::Format(format!("read {path:?}: {help}"));
    let io = |error: std::io::Error| failed(&error.kind().to_string());
    let check = |found: &fs::Metadata| {
        if !found.is_file() {
            return Err(failed("it is no regular file"));
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o7777;
            let (bits, who) = if in_store { (0o002, "o") } else { (0o022, "go") };
            if mode & bits != 0 {
                return Err(failed(&format!(
                    "others can change it (mode {mode:04o}); run: chmod {who}-w"
                )));
            }
        }
        Ok(())
    };
    // Before it is opened, because that waits for the writer of a pipe; and what was opened.
    check(&fs::metadata(path).map_err(io)?)?;
    let file = fs::File::open(path).map_err(io)?;
    check(&file.metadata().map_err(io)?)?;
    let mut text = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut text).map_err(io)?;
    if u64::try_from(text.len()).map_or(true, |len| len > MAX_LEN) {
        return Err(failed("it is too large"));
    }
    serde_json::from_slice(&text).map_err(|_| failed("it is not JSON"))
}

/// TPMI_YES_NO, as a word or a number.
fn yes(object: &Value, name: &str) -> bool {
    match object.get(name) {
        Some(Value::String(text)) => text.eq_ignore_ascii_case("yes") || text == "TPM2_YES",
        Some(Value::Bool(set)) => *set,
        Some(number) => number.as_u64().is_some_and(|number| number != 0),
        None => false,
    }
}

fn handle(object: &Value) -> Option<u32> {
    let handle = u32::try_from(object.get("persistent_handle")?.as_u64()?).ok()?;
    is_persistent(handle).then_some(handle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public::signing_template;

    fn store() -> FapiStore {
        FapiStore {
            profile: "P_RSA2048SHA256".to_owned(),
            user_dir: "/nowhere/user".into(),
            system_dir: "/nowhere/system".into(),
        }
    }

    #[test]
    fn paths() {
        let file = |path: &str| store().new_file(path).map(|file| file.display().to_string());
        let expected = "/nowhere/user/P_RSA2048SHA256/HS/SRK/k-1/object.json";
        for path in ["/HS/SRK/k-1", "HS/SRK/k-1", "SRK/k-1", "/P_RSA2048SHA256/HS/SRK/k-1"] {
            assert_eq!(file(path).as_deref(), Ok(expected));
        }
        assert!(file("/P_ECCP256SHA256/HS/SRK/k").unwrap().contains("P_ECCP256SHA256"));
        for bad in [
            "",
            "/",
            "/HS/SRK",
            "/HS/SRK/..",
            "/HS/SRK/../x",
            "/HS/SRK/a/b",
            "/HE/EK/x",
            "/HS/SRK/a b",
        ] {
            let error = file(bad).unwrap_err().to_string();
            assert!(error.contains("/HS/SRK/name"), "{bad}: {error}");
        }
        let error = store().key("/HS/SRK/k").unwrap_err().to_string();
        assert!(error.contains("no FAPI key k") && error.contains("fapi-user-dir"), "{error}");
    }

    /// A store in a directory of its own, with a key of the given JSON.
    fn with_key(json: &Value) -> (tempfile::TempDir, FapiStore, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let store = FapiStore {
            user_dir: dir.path().join("user"),
            system_dir: dir.path().join("system"),
            ..store()
        };
        let srk = store.system_dir.join("P_RSA2048SHA256/HS/SRK/object.json");
        fs::create_dir_all(srk.parent().unwrap()).unwrap();
        fs::write(&srk, r#"{"persistent_handle": 2164260865}"#).unwrap();
        let file = store.new_file("/HS/SRK/k").unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, json.to_string()).unwrap();
        (dir, store, file)
    }

    fn a_key() -> Value {
        let public = signing_template(KeyKind::EcP256, &[], false, None).unwrap();
        serde_json::from_str(&object(&public, &[1, 2, 3], false).unwrap()).unwrap()
    }

    #[test]
    fn deleting() {
        let mut key = a_key();
        for prohibited in [json!("YES"), json!(1), json!("NO")] {
            key["delete_prohibited"] = prohibited.clone();
            let (_dir, store, file) = with_key(&key);
            let child = file.parent().unwrap().join("child");
            match store.delete("/HS/SRK/k") {
                Ok(()) => assert_eq!(prohibited, "NO"),
                Err(error) => {
                    assert!(error.to_string().contains("delete_prohibited"), "{error}");
                    assert!(prohibited != "NO" && file.exists());
                    continue;
                }
            }
            assert!(!file.exists());
            // Another time, with a key under it.
            fs::create_dir_all(&child).unwrap();
            fs::write(&file, key.to_string()).unwrap();
            let error = store.delete("/HS/SRK/k").unwrap_err().to_string();
            assert!(error.contains("keys under it") && file.exists(), "{error}");
            fs::remove_dir(&child).unwrap();
            store.delete("/HS/SRK/k").unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_that_are_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_dir, store, file) = with_key(&a_key());
        let srk = store.system_dir.join("P_RSA2048SHA256/HS/SRK/object.json");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let refused = |help: &str| {
            let error = store.key("/HS/SRK/k").unwrap_err().to_string();
            assert!(error.contains(help), "{error}");
        };
        for (path, bits, good) in [
            (&file, 0o644, true),
            // As tpm2-tss makes it.
            (&file, 0o660, true),
            (&file, 0o646, false),
            (&file, 0o600, true),
            (&srk, 0o664, true),
            (&srk, 0o666, false),
            (&srk, 0o644, true),
        ] {
            mode(path, bits);
            match good {
                true => assert!(store.key("/HS/SRK/k").is_ok(), "{path:?} {bits:o}"),
                false => refused("chmod o-w"),
            }
        }
        let config = store.user_dir.join("config.json");
        fs::write(&config, "{}").unwrap();
        for (bits, good) in [(0o644, true), (0o664, false), (0o646, false)] {
            mode(&config, bits);
            assert_eq!(read(&config, false).is_ok(), good, "{bits:o}");
        }
        fs::write(&file, vec![b' '; 64 * 1024 + 1]).unwrap();
        refused("too large");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        refused("no regular file");
        fs::remove_dir(&file).unwrap();
        // Opening it would wait for a writer.
        std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        refused("no regular file");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        refused("no regular file");
    }

    #[test]
    fn listing() {
        let (_dir, store, _) = with_key(&a_key());
        let listed = ["/P_RSA2048SHA256/HS/SRK/k".to_owned()];
        for root in ["/HS/SRK", "HS/SRK/", "SRK", "/P_RSA2048SHA256/HS/SRK"] {
            assert_eq!(store.list(root).unwrap().as_deref(), Some(&listed[..]), "{root}");
        }
        assert_eq!(store.list("/P_ECCP256SHA256/HS/SRK").unwrap(), Some(Vec::new()));
        for other in ["/HS/SRK/k", "/HE/EK", "/HS", "", "/P_../HS/SRK/x"] {
            assert_eq!(store.list(other).unwrap(), None, "{other}");
        }
    }

    proptest::proptest! {
        /// A store's file that somebody changed: an error, or a key whose Name is that of its public area.
        #[test]
        fn any_json(
            at in proptest::collection::vec(proptest::prelude::any::<usize>(), 1..4),
            values in proptest::collection::vec(0usize..9, 4),
            text in "\\PC{0,12}",
        ) {
            let mut json = a_key();
            for (at, value) in at.iter().zip(values) {
                let mut place = &mut json;
                let mut at = *at;
                loop {
                    let len = match place { Value::Object(map) => map.len(), _ => 0 };
                    if len == 0 { break }
                    let (Value::Object(map), which) = (place, at % len) else { unreachable!() };
                    at = at.wrapping_mul(31).wrapping_add(7);
                    place = map.values_mut().nth(which).unwrap();
                }
                *place = match value {
                    0 => Value::Null,
                    1 => json!(u64::MAX),
                    2 => json!(-1),
                    3 => json!("TPM2_ALG_KEYEDHASH"),
                    4 => json!("f"),
                    5 => json!("ff".repeat(70_000)),
                    6 => json!([]),
                    7 => json!({}),
                    _ => json!(text.clone()),
                };
            }
            if let Some(area) = json.pointer("/public/publicArea").and_then(marshal)
                && let Ok(public) = Public::unmarshall(&area)
            {
                let _ = (public::name(&public), public::spki(&public), public::schemes(&public));
            }
            let (_dir, store, _) = with_key(&json);
            if let Ok(KeySource::File(file)) = store.key("/HS/SRK/k") {
                let source = KeySource::File(file);
                let stored = json.get("name").and_then(Value::as_str).and_then(unhex);
                proptest::prop_assert_eq!(source.name().unwrap(), stored);
            }
            let bytes: Vec<u8> = text.bytes().chain(at.iter().flat_map(|at| at.to_be_bytes())).collect();
            let _ = unmarshal(&bytes);
        }
    }
}
