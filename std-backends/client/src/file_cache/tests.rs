use std::fs;
use std::future::{pending, ready};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudauth_core::UnixTime;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::*;
use crate::clock::testing::HandClock;
use crate::freshness::MARGIN;
use crate::{AwsKeys, BearerToken};

mod directories;

/// A cache in a directory of its own, and a service whose keys, `ASIA1`, `ASIA2`, ..., live an hour.
struct Setup {
    dir: tempfile::TempDir,
    clock: HandClock,
    cache: FileCache,
    key: CacheKey,
    calls: AtomicUsize,
}

fn keys(id: &str, expiration: UnixTime) -> Credential {
    Credential::Aws(AwsKeys {
        access_key_id: id.to_owned(),
        secret_access_key: Zeroizing::new(format!("secret/of+{id}")),
        session_token: Zeroizing::new(format!("session=of {id}")),
        expiration,
    })
}

fn id(credential: Credential) -> String {
    match credential {
        Credential::Aws(keys) => keys.access_key_id,
        Credential::Bearer(token) => token.token.to_string(),
        Credential::Secrets(_) => unreachable!(),
    }
}

fn key() -> CacheKey {
    CacheKey::new("CreateSession").field("role-arn", b"arn:aws:iam::1:role/r")
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::at(&dir.path().join("cache")).unwrap();
        let (clock, calls) = (HandClock::new(), AtomicUsize::new(0));
        Self { dir, clock, cache, key: key(), calls }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The file of the key, with this at its end.
    fn file(&self, suffix: &str) -> PathBuf {
        self.path().join(format!("{}{suffix}", self.key.file_name()))
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn issue(&self) -> Credential {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        keys(&format!("ASIA{call}"), self.clock.now().time.plus(3600))
    }

    async fn get(&self) -> String {
        let clock = self.clock.clock();
        id(self.cache.get(&self.key, &clock, || ready(Ok(self.issue()))).await.unwrap())
    }

    async fn get_while_down(&self) -> Result<String> {
        let down = || {
            self.calls.fetch_add(1, Ordering::SeqCst);
            ready(Err(Error::config("upstream", "is down")))
        };
        self.cache.get(&self.key, &self.clock.clock(), down).await.map(id)
    }

    /// Another process, which holds the lock.
    fn other(&self) -> Lock {
        let other = FileCache::at(&self.path()).unwrap();
        other.folder.try_lock(&self.key.file_name()).unwrap().unwrap()
    }
}

#[test]
fn no_two_lists_of_fields_have_one_key() {
    let new = || CacheKey::new("AssumeRole");
    let keys = [
        new(),
        CacheKey::new("AssumeRol"),
        new().field("a", b""),
        new().field("", b"a"),
        new().field("a", b"b"),
        new().field("ab", b""),
        new().field("a", b"b").field("c", b"d"),
        new().field("c", b"d").field("a", b"b"),
        new().field("a", b"bc").field("", b"d"),
        new().field("a", b"b\0\0\0\0\0\0\0\x01c\0\0\0\0\0\0\0\x01d"),
    ];
    for (i, a) in keys.iter().enumerate() {
        for (j, b) in keys.iter().enumerate() {
            assert_eq!(a.file_name() == b.file_name(), i == j, "{i} {j}");
        }
    }
    // By sha256sum of the same octets.
    let lengths = |parts: [&str; 2]| {
        parts.map(|p| [&(p.len() as u64).to_be_bytes()[..], p.as_bytes()].concat()).concat()
    };
    let octets = [lengths(["cloudauth file cache 1", "AssumeRole"]), lengths(["a", "b"])].concat();
    let mut sum =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(&octets).unwrap();
    let output = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(new().field("a", b"b").file_name(), output.split(' ').next().unwrap());
}

#[tokio::test]
async fn what_was_fetched_is_served_to_others() {
    let setup = Setup::new();
    let clock = setup.clock.clock();
    let first = setup.cache.get(&setup.key, &clock, || ready(Ok(setup.issue()))).await.unwrap();
    let other = FileCache::at(&setup.path()).unwrap();
    let again = other.get(&setup.key, &clock, || ready(Ok(setup.issue()))).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(setup.calls(), 1);
    assert_eq!(setup.path().metadata().unwrap().mode() & 0o7777, 0o700);
    for suffix in ["", ".lock"] {
        assert_eq!(setup.file(suffix).metadata().unwrap().mode() & 0o7777, 0o600);
    }
    assert_eq!(setup.files().len(), 2);

    // Another key is another credential, of the other kind.
    let key = setup.key.clone().field("audience", b"x");
    let token = Credential::Bearer(BearerToken {
        token: Zeroizing::new("ey.J.x".to_owned()),
        expiration: setup.clock.now().time.plus(3600),
    });
    for _ in 0..2 {
        let got = other.get(&key, &clock, || ready(Ok(token.clone()))).await.unwrap();
        assert_eq!(got, token);
    }
    assert_eq!(setup.get().await, "ASIA1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_race_make_one_call() {
    let setup = Arc::new(Setup::new());
    for round in 1..=3 {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let setup = setup.clone();
                tokio::spawn(async move {
                    let cache = FileCache::at(&setup.path()).unwrap();
                    let fetch = || async {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        Ok(setup.issue())
                    };
                    id(cache.get(&setup.key, &setup.clock.clock(), fetch).await.unwrap())
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), format!("ASIA{round}"));
        }
        assert_eq!(setup.calls(), round);
        setup.clock.pass(3600 - MARGIN);
    }
}

/// This test again, as processes of their own.
fn as_process(test: &str, variable: &str, value: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("file_cache::tests::{test}"), "--nocapture"]);
    command.env(variable, value).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn processes_that_race_make_one_call() {
    const DIR: &str = "CLOUDAUTH_TEST_RACE";
    if let Some(dir) = env::var_os(DIR).map(PathBuf::from) {
        let clock = Clock::system();
        let fetch = || async {
            let mut calls =
                fs::File::options().create(true).append(true).open(dir.join("calls")).unwrap();
            calls.write_all(b".").unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let name = format!("of-process-{}", std::process::id());
            Ok(keys(&name, clock.now().time.plus(3600)))
        };
        let cache = FileCache::at(&dir.join("cache")).unwrap();
        println!("got={}=", id(cache.get(&key(), &clock, fetch).await.unwrap()));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..8)
        .map(|_| as_process("processes_that_race_make_one_call", DIR, dir.path()).spawn().unwrap())
        .collect();
    let mut got = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        got.push(text.split('=').nth(1).expect(&text).to_owned());
    }
    assert_eq!(fs::read(dir.path().join("calls")).unwrap(), b".");
    assert!(got[0].starts_with("of-process-"));
    assert!(got.iter().all(|one| *one == got[0]), "{got:?}");
}

/// Only root can give a file away.
fn as_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("NOT CHECKED, since this is not root: {what}");
    }
    root
}

#[tokio::test]
async fn files_that_are_not_ours_are_left_alone() {
    let setup = Setup::new();
    setup.get().await;
    let good = fs::read(setup.file("")).unwrap();
    let elsewhere = setup.dir.path().join("elsewhere");
    fs::write(&elsewhere, &good).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
    let place = |what: &str| {
        let file = setup.file("");
        match what {
            "link" => symlink(&elsewhere, file).unwrap(),
            "directory" => fs::create_dir(file).unwrap(),
            "pipe" => assert!(Command::new("mkfifo").arg(file).status().unwrap().success()),
            _ => {
                fs::copy(&elsewhere, &file).unwrap();
                chown(&file, Some(12345), None).unwrap();
            }
        }
    };
    for what in ["link", "directory", "pipe", "another user's"] {
        if what == "another user's" && !as_root(what) {
            continue;
        }
        let _ = fs::remove_file(setup.file("")).or_else(|_| fs::remove_dir(setup.file("")));
        place(what);
        let before = setup.file("").symlink_metadata().unwrap();
        // Each caller fetches; nothing is stored.
        for _ in 0..2 {
            let next = setup.calls() + 1;
            assert_eq!(setup.get().await, format!("ASIA{next}"), "{what}");
        }
        let after = setup.file("").symlink_metadata().unwrap();
        assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
        assert_eq!(fs::read(&elsewhere).unwrap(), good);
        assert!(setup.get_while_down().await.is_err());
        assert_eq!(setup.cache.clear().unwrap(), 0, "{what}");
        assert!(setup.file("").symlink_metadata().is_ok(), "{what}");
    }
    // A lock that is a link is not followed.
    let _ = fs::remove_file(setup.file("")).or_else(|_| fs::remove_dir(setup.file("")));
    let target = setup.dir.path().join("target");
    symlink(&target, setup.file(".lock")).unwrap();
    let next = setup.calls() + 1;
    assert_eq!(setup.get().await, format!("ASIA{next}"));
    assert!(!target.exists() && !setup.file("").exists());
    // Without all that it is stored again.
    fs::remove_file(setup.file(".lock")).unwrap();
    assert_eq!(setup.get().await, setup.get().await);
}

#[tokio::test]
async fn broken_files_are_replaced() {
    let setup = Setup::new();
    setup.get().await;
    let file = setup.file("");
    let good = fs::read_to_string(&file).unwrap();
    let other_key = setup.key.clone().field("x", b"y").file_name();
    let mut broken: Vec<String> =
        (0..good.len()).map(|n| good.get(..n).unwrap().to_owned()).collect();
    broken.extend([
        good.replace(r#""version":1"#, r#""version":2"#),
        good.replace(&setup.key.file_name(), &other_key),
        good.replace(r#""access_key_id":"ASIA1""#, r#""access_key_id":"""#),
        good.replace(r#"{"version""#, r#"{"more":1,"version""#),
        good.replace(r#""jitter":"#, r#""jitter":9"#).replace(r#""jitter":9"#, r#""jitter":9999"#),
        good.replace(r#""expiration":1"#, r#""expiration":99999999999991"#),
        good.clone() + "{}",
        good.clone() + &" ".repeat(64 * 1024),
        "\0".repeat(300),
    ]);
    for (n, broken) in broken.into_iter().enumerate() {
        assert_ne!(broken, good);
        fs::write(&file, broken).unwrap();
        let next = format!("ASIA{}", setup.calls() + 1);
        assert_eq!(setup.get().await, next, "{n}");
        assert_eq!(setup.get().await, next, "{n}");
    }
    // A space is no break.
    fs::write(&file, good.clone() + " ").unwrap();
    assert_eq!(setup.get().await, "ASIA1");
    // Open to others, whatever they may do with it.
    for mode in [0o640, 0o620, 0o604, 0o601, 0o666] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let next = format!("ASIA{}", setup.calls() + 1);
        assert_eq!(setup.get().await, next, "{mode:o}");
        assert_eq!(setup.get().await, next, "{mode:o}");
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    }
}

#[tokio::test]
async fn an_expired_file_is_replaced_and_never_served() {
    let setup = Setup::new();
    setup.get().await;
    setup.clock.pass(3600 - MARGIN);
    let error = setup.get_while_down().await.unwrap_err();
    assert_eq!(error.to_string(), "upstream: is down");
    assert_eq!(setup.get().await, "ASIA3");
    // Nor by a clock that was set back, nor after the system started again.
    setup.clock.pass(1800);
    setup.clock.set_back(1800);
    setup.clock.pass(1800 - MARGIN);
    assert!(setup.get_while_down().await.is_err());
    assert_eq!(setup.get().await, "ASIA5");
    setup.clock.reboot();
    assert!(setup.get_while_down().await.is_err());
}

#[tokio::test]
async fn a_renewal_that_fails_is_not_repeated_by_each_process() {
    let setup = Setup::new();
    setup.get().await;
    setup.clock.pass(3600 - 600);
    for _ in 0..10 {
        assert_eq!(setup.get_while_down().await.unwrap(), "ASIA1");
    }
    assert_eq!(setup.calls(), 2);
    setup.clock.pass(38);
    assert_eq!(setup.get_while_down().await.unwrap(), "ASIA1");
    assert_eq!(setup.calls(), 3);
    setup.clock.pass(38);
    assert_eq!(setup.get().await, "ASIA4");

    // What a service issues empty or expired is a failure too.
    setup.clock.pass(3400);
    let now = setup.clock.now().time;
    let clock = setup.clock.clock();
    for bad in [keys("", now.plus(3600)), keys("late", now.plus(MARGIN))] {
        let got = setup.cache.get(&setup.key, &clock, || ready(Ok(bad.clone()))).await.unwrap();
        assert_eq!(id(got), "ASIA4");
        setup.clock.pass(38);
        let other = setup.key.clone().field("x", b"y");
        let error = setup.cache.get(&other, &clock, || ready(Ok(bad))).await.unwrap_err();
        assert!(matches!(
            error,
            Error::Empty { call: "CreateSession" } | Error::Expired { call: "CreateSession" }
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_lock_is_bounded() {
    let setup = Setup::new();
    let lock = setup.other();
    let start = Instant::now();
    assert_eq!(setup.get().await, "ASIA1");
    let waited = start.elapsed();
    assert!(waited >= LOCK_WAIT && waited < LOCK_WAIT + Duration::from_secs(1), "{waited:?}");
    // Who does not have the lock does not store.
    assert!(!setup.file("").exists());
    drop(lock);
    assert_eq!(setup.get().await, "ASIA2");

    // In the advisory window nobody waits.
    setup.clock.pass(3600 - 600);
    let lock = setup.other();
    let start = Instant::now();
    assert_eq!(setup.get().await, "ASIA2");
    assert_eq!(start.elapsed(), Duration::ZERO);
    // In the mandatory one they do, and have the present one after that.
    setup.clock.pass(400);
    assert_eq!(setup.get().await, "ASIA2");
    assert!(start.elapsed() >= LOCK_WAIT);
    drop(lock);
    assert_eq!(setup.get().await, "ASIA3");
}

#[tokio::test]
async fn the_lock_is_one_that_flock_knows() {
    let setup = Setup::new();
    let mut other = Command::new("flock")
        .arg(setup.file(".lock"))
        .args(["sh", "-c", "echo locked; read unlock"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    assert!(setup.cache.folder.try_lock(&setup.key.file_name()).unwrap().is_none());
    drop(other.stdin.take());
    other.wait().unwrap();
    let lock = setup.cache.folder.try_lock(&setup.key.file_name()).unwrap().unwrap();
    let try_lock = || {
        let mut flock = Command::new("flock");
        flock.arg("--nonblock").arg(setup.file(".lock")).arg("true").status().unwrap().success()
    };
    assert!(!try_lock());
    drop(lock);
    assert!(try_lock());
}

#[tokio::test(start_paused = true)]
async fn who_waits_has_what_the_other_stored() {
    let setup = Setup::new();
    let lock = setup.other();
    let mut waiting = pin!(setup.get());
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting.as_mut()).await.is_err());
    let credential = keys("of-the-other", setup.clock.now().time.plus(3600));
    let lease = Lease::new(setup.clock.now(), credential.expiration());
    setup.cache.store(&setup.key.file_name(), &Entry { credential, lease }, &lock);
    drop(lock);
    assert_eq!(waiting.await, "of-the-other");
    assert_eq!(setup.calls(), 0);
}

#[tokio::test]
async fn a_caller_that_is_dropped_frees_the_lock() {
    let setup = Setup::new();
    let clock = setup.clock.clock();
    let fetched = setup.cache.get(&setup.key, &clock, pending);
    assert!(tokio::time::timeout(Duration::from_millis(20), fetched).await.is_err());
    assert_eq!(setup.get().await, "ASIA1");
    assert!(setup.file("").exists());
}

#[tokio::test]
async fn a_credential_that_cannot_be_stored_is_given() {
    let setup = Setup::new();
    fs::create_dir(setup.file(".tmp")).unwrap();
    assert_eq!(setup.get().await, "ASIA1");
    assert_eq!(setup.get().await, "ASIA2");
    fs::remove_dir(setup.file(".tmp")).unwrap();
    // What an interrupted write left is no hindrance.
    fs::write(setup.file(".tmp"), "half").unwrap();
    assert_eq!(setup.get().await, "ASIA3");
    assert_eq!(setup.get().await, "ASIA3");
    assert!(!setup.file(".tmp").exists());
    // Too large for the cache.
    let key = setup.key.clone().field("large", b"");
    let large = keys(&"A".repeat(64 * 1024), setup.clock.now().time.plus(3600));
    let clock = setup.clock.clock();
    assert_eq!(setup.cache.get(&key, &clock, || ready(Ok(large.clone()))).await.unwrap(), large);
    assert!(!setup.path().join(key.file_name()).exists());
    // The directory was removed under it.
    fs::remove_dir_all(setup.path()).unwrap();
    assert_eq!(setup.get().await, "ASIA4");
}

#[tokio::test]
async fn a_full_disk_leaves_no_half_file() {
    const DIR: &str = "CLOUDAUTH_TEST_FULL";
    if let Some(dir) = env::var_os(DIR).map(PathBuf::from) {
        let clock = Clock::system();
        let fetch = || ready(Ok(keys("given", clock.now().time.plus(3600))));
        let cache = FileCache::at(&dir).unwrap();
        println!("got={}=", id(cache.get(&key(), &clock, fetch).await.unwrap()));
        return;
    }
    let setup = Setup::new();
    // No file of this process may grow beyond nothing: as a full disk, every write fails.
    let test = as_process("a_full_disk_leaves_no_half_file", DIR, &setup.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#]);
    shell.arg(test.get_program()).args(test.get_args()).env(DIR, setup.path());
    let output = shell.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("got=given="), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(setup.files(), [format!("{}.lock", setup.key.file_name())]);
    // Without the limit it is stored.
    let test = as_process("a_full_disk_leaves_no_half_file", DIR, &setup.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&test.stdout).contains("got=given="));
    assert!(setup.file("").exists());
}

#[tokio::test]
async fn clear_removes_what_is_ours() {
    let setup = Setup::new();
    let clock = setup.clock.clock();
    let others = [setup.key.clone().field("a", b""), setup.key.clone().field("b", b"")];
    for key in &others {
        setup.cache.get(key, &clock, || ready(Ok(setup.issue()))).await.unwrap();
    }
    setup.get().await;
    fs::write(setup.file(".tmp"), "half").unwrap();
    let strange = ["notes.txt", "0123abcd", "0123abcd.lock"];
    for name in strange {
        fs::write(setup.path().join(name), "").unwrap();
    }
    let upper = setup.key.file_name().to_uppercase();
    fs::write(setup.path().join(&upper), "").unwrap();
    // One of them is being fetched.
    let busy = others[0].file_name();
    let lock = setup.cache.folder.try_lock(&busy).unwrap().unwrap();
    assert_eq!(setup.cache.clear().unwrap(), 3);
    let mut left = vec![format!("{busy}.lock"), upper.clone()];
    left.extend(strange.map(str::to_owned));
    left.sort();
    assert_eq!(setup.files(), left);
    drop(lock);
    assert_eq!(setup.cache.clear().unwrap(), 0);
    left.retain(|name| !name.starts_with(&busy));
    assert_eq!(setup.files(), left);
    assert_eq!(setup.get().await, "ASIA4");
}

#[tokio::test]
async fn expired_credentials_of_other_keys_are_removed() {
    let setup = Setup::new();
    let clock = setup.clock.clock();
    let old = setup.key.clone().field("old", b"");
    let held = setup.key.clone().field("held", b"");
    for key in [&old, &held] {
        setup.cache.get(key, &clock, || ready(Ok(setup.issue()))).await.unwrap();
    }
    setup.clock.pass(1800);
    let live = setup.key.clone().field("live", b"");
    setup.cache.get(&live, &clock, || ready(Ok(setup.issue()))).await.unwrap();
    setup.clock.pass(1800);
    let _lock = setup.cache.folder.try_lock(&held.file_name()).unwrap().unwrap();
    setup.get().await;
    let files = setup.files();
    let has = |key: &CacheKey| files.iter().filter(|f| f.starts_with(&key.file_name())).count();
    assert_eq!((has(&old), has(&held), has(&live), has(&setup.key)), (0, 2, 2, 2));
}

#[tokio::test]
async fn a_refused_credential_is_forgotten() {
    let setup = Setup::new();
    setup.get().await;
    setup.cache.forget(&setup.key);
    assert!(setup.get_while_down().await.is_err());
    assert_eq!(setup.get().await, "ASIA3");
    setup.cache.forget(&setup.key.clone().field("x", b""));
    assert_eq!(setup.get().await, "ASIA3");
}
