//! `cloudauth run` against a broker and a teeserver that share no code with it.

mod lease;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::attested::World;
use crate::attested::stub::{AUDIENCE, Behaviour, good, teeserver, token};
use crate::program::{cloudauth, run};

const ONCE: [&str; 3] = ["/v1/challenge", "/v1/credentials", "bound"];
const LIMIT: Duration = Duration::from_secs(40);

/// A world with secrets, and memory for them.
struct Setup {
    world: World,
    memory: TempDir,
}

impl Setup {
    fn new() -> Self {
        let setup = Self::without_attestation();
        setup.world.teeserver();
        setup
    }

    fn without_attestation() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let setup = Self { world: World::new(), memory };
        setup.give("geheim-1");
        setup
    }

    fn give(&self, value: &str) {
        self.world.broker.give(secrets(value));
    }

    fn directory(&self) -> PathBuf {
        self.memory.path().join("app")
    }

    /// A configuration with the usual files, and these lines.
    fn config(&self, more: &str) -> String {
        let directory = self.directory();
        let files = format!(
            "[files]\ndirectory = {directory:?}\n[files.content]\n\"tls/app.key\" = '${{tls.key}}'\n\
             key = '${{api-key}}'\nboth = '${{api-key:hex}} ${{tls.crt}}$$'\n{more}"
        );
        self.config_of(&format!("[environment]\nAPI_KEY = 'k=${{api-key}}'\n{files}"))
    }

    fn config_of(&self, text: &str) -> String {
        let port = self.world.broker.address.port();
        let text = format!(
            "[attested]\nurl = 'https://localhost:{port}'\naudience = '{AUDIENCE}'\nca-file = 'ca.pem'\n\
             grant = 'g'\nteeserver = 'tee.sock'\n{text}\n"
        );
        self.world.write("run.toml", &text)
    }

    fn shell(&self, config: &str, script: &str) -> Command {
        let mut command = cloudauth(&["run", "--config", config, "--", "/bin/sh", "-c", script]);
        command.env("PATH", "/usr/bin:/bin").current_dir(self.world.folder.path());
        command
    }

    /// The same as the first process of a namespace.
    fn first_process(&self, config: &str, script: &str) -> Command {
        let inner = self.shell(config, script);
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.current_dir(self.world.folder.path());
        command
    }

    /// Whether nothing is left.
    fn is_wiped(&self) -> bool {
        !self.directory().exists()
    }
}

/// As the broker gives them: `value` for one secret, and a certificate.
fn secrets(value: &str) -> Value {
    let field = |text: &str| STANDARD.encode(text);
    json!({"secrets": {
        "api-key": {"value": field(value)},
        "zero": {"value": field("a\0b")},
        "tls": {"crt": field("CRT"), "key": field(&format!("KEY-{value}")), "chain": ""},
    }})
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn finish(command: &mut Command) -> Output {
    run(command, b"")
}

/// A command that runs beside the test, and is killed with it.
struct Beside(Child);

impl Beside {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Its exit code, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < LIMIT, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_command_finds_its_secrets() {
    let setup = Setup::new();
    let config = setup.config("\"/dev/shm/../dev/shm/x\" = ''");
    let output = finish(&mut setup.shell(&config, "true"));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let beside = setup.memory.path().join("absolute");
    let config = setup.config(&format!("{beside:?} = '${{api-key:base64}}'"));
    let script = "echo $API_KEY; cd $CLOUDAUTH_RUN_DIRECTORY; pwd; cat key; echo; cat both; echo
        cat tls/app.key; echo; cat ../absolute; echo; stat -c '%a %n' . key both tls tls/app.key ../absolute
        echo ${CLOUDAUTH_KEY_PIN-none} $OTHER; env | grep -c geheim";
    let mut command = setup.shell(&config, script);
    let output = finish(command.env("CLOUDAUTH_KEY_PIN", "1234").env("OTHER", "kept"));
    let expected = format!(
        "k=geheim-1\n{}\ngeheim-1\n67656865696d2d31 CRT$\nKEY-geheim-1\nZ2VoZWltLTE=\n700 .\n400 key\n\
         400 both\n700 tls\n400 tls/app.key\n400 ../absolute\nnone kept\n1\n",
        setup.directory().display()
    );
    assert_eq!((text(&output.stdout), text(&output.stderr)), (expected, String::new()));
    assert_eq!(setup.world.broker.log(), ONCE);
    assert!(setup.is_wiped() && !beside.exists());

    // Without a directory that is named a new one is made, and without files none.
    let config = setup.config_of("[files.content]\nkey = '${api-key}'");
    let script = "cat $CLOUDAUTH_RUN_DIRECTORY/key; stat -fc %T $CLOUDAUTH_RUN_DIRECTORY; cd \
                  $CLOUDAUTH_RUN_DIRECTORY; pwd";
    let output = text(&finish(&mut setup.shell(&config, script)).stdout);
    let (first, path) = output.trim().rsplit_once('\n').unwrap();
    assert_eq!(first, "geheim-1tmpfs");
    assert!(path.contains("/cloudauth-run-") && !Path::new(path).exists(), "{path}");
    let output =
        finish(&mut setup.shell(&setup.config_of(""), "echo ${CLOUDAUTH_RUN_DIRECTORY-none}"));
    assert_eq!(text(&output.stdout), "none\n");
}

#[test]
fn exit_codes() {
    let setup = Setup::new();
    let config = setup.config("");
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill $$", 143)] {
        assert_eq!(finish(&mut setup.shell(&config, script)).status.code(), Some(code), "{script}");
        assert!(setup.is_wiped(), "{script}");
    }
    for (program, code) in [("/no/such", 127), ("no-such", 127), ("/etc/passwd", 126), ("/", 126)] {
        let output =
            finish(&mut cloudauth(&["run", "--config", &config, "--", program, "--secret"]));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{program}: {said}");
        assert!(said.contains(program) && setup.is_wiped(), "{said}");
    }
}

/// Whatever goes wrong, the command never begins, and nothing is left.
#[test]
fn nothing_starts_without_attestation() {
    let setup = Setup::without_attestation();
    let sign = setup.world.path("started");
    let refused = |config: &str, code: i32, says: &str| {
        let output = finish(&mut setup.shell(config, &format!("touch {}", sign.display())));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{says}: {said}");
        assert!(said.contains(says) && !said.contains("geheim"), "{says}: {said}");
        assert!(!sign.exists() && setup.is_wiped(), "{says}");
    };
    refused(&setup.config(""), 5, "launcher's socket");
    let socket = setup.world.path("tee.sock");
    teeserver(&socket, |_| (200, token(&json!({"aud": AUDIENCE, "eat_nonce": "another"}))));
    refused(&setup.config(""), 5, "attestation");
    fs::remove_file(&socket).unwrap();
    teeserver(&socket, |_| (500, String::new()));
    refused(&setup.config(""), 5, "teeserver");
    fs::remove_file(&socket).unwrap();
    teeserver(&socket, good);

    for (status, code) in [(403, "denied"), (403, "attestation_invalid"), (502, "upstream")] {
        setup.world.broker.behave(&vec![Behaviour::Problem(status, code, None); 9]);
        refused(&setup.config(""), 5, code);
    }
    setup.world.broker.behave(&[]);
    setup
        .world
        .broker
        .give(json!({"bearer": {"access_token": "e30.e30.AQ", "token_type": "Bearer"}}));
    refused(&setup.config(""), 4, "not secrets");
    setup.give("geheim-1");
    for (files, says) in [
        ("more = '${api-key.crt}'", "it has value"),
        ("more = '${no}'", "it gives api-key, tls, zero"),
        ("\"tls/app.key/x\" = ''", "directory of another"),
        ("\"../x\" = ''", "without . and .."),
        ("\".cloudauth-run\" = ''", "cloudauth's own"),
        ("more = '$x'", "$$"),
        ("[renewal]\non-change = 'SIGKILL'", "SIGHUP"),
        ("[renewal]\nat-end = 'go'", "keep"),
        ("[renewal]\nstop-after = 0", "at least 1"),
        ("[other]", "unknown"),
    ] {
        refused(&setup.config(files), 4, says);
    }
    for (environment, says) in [
        ("X = '${zero}'", "zero octet"),
        ("'a=b' = ''", "no name"),
        ("CLOUDAUTH_RUN_DIRECTORY = ''", "no name"),
    ] {
        refused(&setup.config_of(&format!("[environment]\n{environment}")), 4, says);
    }
    let config = setup.config("");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o622)).unwrap();
    refused(&config, 4, "others can change it");
    // Its neighbour.
    let output = finish(&mut setup.shell(&setup.config(""), &format!("touch {}", sign.display())));
    assert!(output.status.success() && sign.exists(), "{}", text(&output.stderr));
}

#[test]
fn directories() {
    let setup = Setup::new();
    let directory = setup.directory();
    let config = setup.config("");
    let said = |config: &str| {
        text(&finish(&mut setup.shell(config, "cat $CLOUDAUTH_RUN_DIRECTORY/key")).stderr)
    };
    // What is there and holds something is somebody's.
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("theirs"), "theirs").unwrap();
    assert!(said(&config).contains("not empty"));
    assert_eq!(content(&directory.join("theirs")), "theirs");
    // An empty one is taken, and stays.
    fs::remove_file(directory.join("theirs")).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(said(&config), "");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    // What the command writes there stays, and the next run goes on with it.
    let script = "echo own >$CLOUDAUTH_RUN_DIRECTORY/own; test -e $CLOUDAUTH_RUN_DIRECTORY/key";
    for _ in 0..2 {
        let output = finish(&mut setup.shell(&config, script));
        assert!(output.status.success() && text(&output.stderr).contains("stay there"));
        assert_eq!(content(&directory.join("own")), "own\n");
        assert!(!directory.join("key").exists() && !directory.join("tls").exists());
    }
    fs::remove_dir_all(&directory).unwrap();
    // A link is none, nor a file, nor one on a disk, nor one whose parent is not there.
    std::os::unix::fs::symlink(setup.memory.path(), &directory).unwrap();
    assert!(said(&config).contains("app"));
    fs::remove_file(&directory).unwrap();
    fs::write(&directory, "theirs").unwrap();
    assert!(said(&config).contains("app"));
    fs::remove_file(&directory).unwrap();
    let disk = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let on_disk = |more: &str| {
        let path = disk.path().join("app");
        setup.config_of(&format!(
            "[files]\ndirectory = {path:?}\n{more}\n[files.content]\nkey = '${{api-key}}'"
        ))
    };
    assert!(said(&on_disk("")).contains("tmpfs"));
    assert_eq!(said(&on_disk("allow-disk = true")), "");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
    let file = disk.path().join("key");
    let said_of = said(&setup.config(&format!("{file:?} = '${{api-key}}'")));
    assert!(said_of.contains("tmpfs") && !file.exists(), "{said_of}");
    // A file elsewhere that is there already is somebody's.
    let theirs = setup.memory.path().join("theirs");
    fs::write(&theirs, "theirs").unwrap();
    let config = setup.config(&format!("{theirs:?} = '${{api-key}}'"));
    assert!(said(&config).contains("remove it"));
    assert_eq!(content(&theirs), "theirs");
    assert!(setup.is_wiped());
}

#[test]
fn one_run_a_directory() {
    let setup = Setup::new();
    let config = setup.config("");
    let first = Beside::start(&mut setup.shell(&config, "exec sleep 60"));
    until("started", || setup.directory().join("key").exists());
    let second = finish(&mut setup.shell(&config, "true"));
    let said = text(&second.stderr);
    assert!(second.status.code() == Some(4) && said.contains("goes on"), "{said}");
    assert_eq!(content(&setup.directory().join("key")), "geheim-1");
    kill("-TERM", &first.pid());
    assert_eq!(first.end().0, Some(143));
    assert!(setup.is_wiped());
}

#[test]
fn files_are_given_to_their_owner() {
    if !is_root() {
        // Only root can; what others are told instead.
        let setup = Setup::new();
        let config = setup.config_of("[files]\nowner = 'root'\n[files.content]\nkey = 'x'");
        assert!(text(&finish(&mut setup.shell(&config, "true")).stderr).contains("only root"));
        return;
    }
    let setup = Setup::new();
    let directory = setup.directory();
    let with = |owner: &str| {
        setup.config_of(&format!(
            "[files]\ndirectory = {directory:?}\nowner = '{owner}'\n[files.content]\n\"a/b\" = '${{api-key}}'"
        ))
    };
    let script = "cd $CLOUDAUTH_RUN_DIRECTORY; stat -c '%u:%g %a' . a a/b";
    for owner in ["nobody:nogroup", "65534:65534"] {
        let output = finish(&mut setup.shell(&with(owner), script));
        assert_eq!(text(&output.stdout), "65534:65534 700\n65534:65534 700\n65534:65534 400\n");
        assert!(setup.is_wiped(), "{}", text(&output.stderr));
    }
    // A killed one's is taken back.
    let killed = Beside::start(&mut setup.shell(&with("65534"), "sleep 60"));
    until("started", || directory.join("a/b").exists());
    kill("-KILL", &killed.pid());
    drop(killed);
    let output = finish(&mut setup.shell(&with("65534"), script));
    assert!(output.status.success() && setup.is_wiped(), "{}", text(&output.stderr));
    let said = text(&finish(&mut setup.shell(&with("no-such"), script)).stderr);
    assert!(said.contains("/etc/passwd"), "{said}");
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn signals_are_passed_on() {
    let setup = Setup::new();
    let config = setup.config("");
    for signal in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"] {
        let script = format!("trap 'exit 42' {signal}; touch ready; while :; do sleep 0.05; done");
        let child = Beside::start(&mut setup.shell(&config, &script));
        until("ready", || setup.world.path("ready").exists());
        kill(&format!("-{signal}"), &child.pid());
        assert_eq!(child.end().0, Some(42), "{signal}");
        fs::remove_file(setup.world.path("ready")).unwrap();
        assert!(setup.is_wiped());
    }
    // Before there is a command they end what waits.
    let socket = setup.world.path("tee.sock");
    fs::remove_file(&socket).unwrap();
    teeserver(&socket, |_| {
        thread::sleep(Duration::from_secs(60));
        (500, String::new())
    });
    let waiting = Beside::start(&mut setup.shell(&config, "touch started"));
    until("directory", || setup.directory().join(".cloudauth-run").exists());
    thread::sleep(Duration::from_millis(300));
    kill("-WINCH", &waiting.pid());
    kill("-TERM", &waiting.pid());
    assert_eq!(waiting.end().0, None);
    assert!(setup.is_wiped() && !setup.world.path("started").exists());
}

/// As the first process of a container: every process that ends is reaped, and signals come through.
#[test]
fn the_first_process() {
    let setup = Setup::new();
    let config = setup.config("");
    let script = "cat /proc/1/cmdline | tr '\\0' ' ' | grep -q cloudauth || exit 9
        for i in 1 2 3 4 5; do (sh -c 'sleep 0.2; exit 1' &) ; done; sleep 1
        grep -l '^State:.Z' /proc/[0-9]*/status; exit 7";
    let output = finish(&mut setup.first_process(&config, script));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(7), String::new()));
    assert!(setup.is_wiped(), "{}", text(&output.stderr));
    // From outside, as a container's runtime does.
    let script = "trap 'exit 42' TERM; touch ready; while :; do sleep 0.05; done";
    let child = Beside::start(&mut setup.first_process(&config, script));
    until("ready", || setup.world.path("ready").exists());
    let inner = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.pid())).unwrap();
    kill("-TERM", inner.trim());
    assert_eq!(child.end().0, Some(42));
    assert!(setup.is_wiped());
}

/// A command that attests is waited for by whoever started it, not by whoever reaps orphans.
#[test]
fn an_attestation_command_beside_orphans() {
    let setup = Setup::without_attestation();
    setup.world.broker.lasts(8);
    let attest = setup.world.write(
        "attest",
        &format!(
            "nonce=$(sed 's/.*\"nonces\":\\[\"\\([^\"]*\\)\"\\].*/\\1/')
            claims=$(printf '{{\"aud\":\"{AUDIENCE}\",\"eat_nonce\":\"%s\"}}' $nonce | base64 -w0)
            sleep 0.3; echo e30.$(echo $claims | tr +/ -_ | tr -d =).AQ"
        ),
    );
    let config = setup.config("");
    let text_of = content(Path::new(&config));
    let command = format!("command = ['/bin/sh', {attest:?}]");
    let config =
        setup.world.write("run.toml", &text_of.replace("teeserver = 'tee.sock'", &command));
    let script = "for i in $(seq 300); do (sh -c 'sleep 0.05' &) ; sleep 0.05; done
        sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status; exit 7";
    let output = finish(&mut setup.first_process(&config, script));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(7), String::new()));
    assert!(!text(&output.stderr).contains("could not be renewed"), "{}", text(&output.stderr));
    assert!(setup.world.broker.log().len() >= 3 * ONCE.len() && setup.is_wiped());
}

/// The command goes with its supervisor, and the next start wipes what is left, whatever comes of it.
#[test]
fn killed() {
    let setup = Setup::new();
    let beside = setup.memory.path().join("absolute");
    let config = setup.config(&format!("{beside:?} = '${{api-key}}'"));
    let left = || {
        let child = Beside::start(&mut setup.shell(&config, "echo $$ >pid; exec sleep 60"));
        until("started", || content(&setup.world.path("pid")).ends_with('\n'));
        let pid = content(&setup.world.path("pid")).trim().to_owned();
        kill("-KILL", &child.pid());
        until("the command is killed", || {
            let state = content(&Path::new("/proc").join(&pid).join("stat"));
            state.is_empty() || state.contains(") Z")
        });
        fs::remove_file(setup.world.path("pid")).unwrap();
        assert_eq!(content(&setup.directory().join("key")), "geheim-1");
        assert_eq!(content(&beside), "geheim-1");
    };
    left();
    let output = finish(&mut setup.shell(&config, "cat $CLOUDAUTH_RUN_DIRECTORY/key"));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("geheim-1".to_owned(), String::new())
    );
    assert!(setup.is_wiped() && !beside.exists());
    // One that is not attested wipes, too, also with another configuration.
    left();
    fs::remove_file(setup.world.path("tee.sock")).unwrap();
    let directory = setup.directory();
    let config = setup.config_of(&format!("[files]\ndirectory = {directory:?}"));
    assert_eq!(finish(&mut setup.shell(&config, "true")).status.code(), Some(5));
    assert!(setup.is_wiped() && !beside.exists());
}

/// The same where nobody names the directory: the next run of this user finds it.
#[test]
fn killed_in_a_directory_of_its_own() {
    let setup = Setup::new();
    let config = setup.config_of("[files.content]\nkey = '${api-key}'");
    let script = "echo $CLOUDAUTH_RUN_DIRECTORY >where; exec sleep 60";
    let child = Beside::start(&mut setup.shell(&config, script));
    until("started", || content(&setup.world.path("where")).ends_with('\n'));
    let path = PathBuf::from(content(&setup.world.path("where")).trim());
    // One that goes on is left alone.
    assert!(finish(&mut setup.shell(&config, "true")).status.success());
    assert_eq!(content(&path.join("key")), "geheim-1");
    kill("-KILL", &child.pid());
    drop(child);
    assert!(path.join("key").exists());
    until("wiped", || {
        assert!(finish(&mut setup.shell(&config, "true")).status.success());
        !path.exists()
    });
}

#[test]
fn renewed_and_told() {
    let setup = Setup::new();
    setup.world.broker.lasts(10);
    let config = setup.config("[renewal]\non-change = 'SIGHUP'\nmetrics-listen = '127.0.0.1:0'");
    let script = "trap 'cat $CLOUDAUTH_RUN_DIRECTORY/key $CLOUDAUTH_RUN_DIRECTORY/tls/app.key >>seen; echo >>seen' HUP
        touch ready; while :; do sleep 0.05; done";
    let child = Beside::start(&mut setup.shell(&config, script));
    until("ready", || setup.world.path("ready").exists());
    assert_eq!(setup.world.broker.log(), ONCE);
    // The same again is no change.
    until("renewed", || setup.world.broker.log().len() == ONCE.len());
    let inode = |name: &str| fs::metadata(setup.directory().join(name)).unwrap().ino();
    let before = (inode("key"), inode("tls/app.key"));
    assert!(!setup.world.path("seen").exists());
    // Whoever reads meanwhile finds the one or the other.
    setup.give("geheim-two");
    until("changed", || {
        let key = content(&setup.directory().join("key"));
        assert!(["geheim-1", "geheim-two"].contains(&key.as_str()), "{key}");
        setup.world.path("seen").exists()
    });
    until("told", || content(&setup.world.path("seen")) == "geheim-twoKEY-geheim-two\n");
    assert!(before.0 != inode("key") && before.1 != inode("tls/app.key"));
    assert_eq!(fs::metadata(setup.directory().join("key")).unwrap().mode() & 0o777, 0o400);
    // Each with one attestation.
    assert_eq!(setup.world.broker.log(), ONCE);
    kill("-TERM", &child.pid());
    let (code, said) = child.end();
    assert_eq!(code, Some(143));
    assert!(said.contains("in the environment of the command has changed"), "{said}");
    assert!(!said.contains("geheim") && setup.is_wiped());
}

/// A file elsewhere is this run's, or it is left alone.
#[test]
fn files_elsewhere() {
    let setup = Setup::without_attestation();
    let [mine, theirs] = ["mine", "theirs"].map(|name| setup.memory.path().join(name));
    fs::write(&theirs, "theirs").unwrap();
    let config = setup.config(&format!("{mine:?} = '${{api-key}}'\n{theirs:?} = '${{api-key}}'"));
    let output = finish(&mut setup.shell(&config, "true"));
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(4) && said.contains("was not written by"), "{said}");
    assert_eq!(content(&theirs), "theirs");
    assert!(!mine.exists() && setup.is_wiped());
    // Without attestation nothing is left of it.
    let config = setup.config(&format!("{mine:?} = '${{api-key}}'"));
    assert_eq!(finish(&mut setup.shell(&config, "true")).status.code(), Some(5));
    assert!(!mine.exists() && setup.is_wiped());
}

/// The process that it started.
fn children(child: &Beside) -> String {
    content(&PathBuf::from(format!("/proc/{0}/task/{0}/children", child.pid())))
}

/// The sample in the repository is read as it stands, up to what it must ask for.
#[test]
fn the_sample() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("run.example.toml");
    let setup = Setup::new();
    let mut text_of = fs::read_to_string(sample).unwrap();
    let directory = ("/run/rest-api", setup.directory().display().to_string());
    let config = setup.world.write("run.toml", &text_of.replace(directory.0, &directory.1));
    let output = finish(&mut setup.shell(&config, "true"));
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(4) && said.contains("broker-ca.pem"), "{said}");
    // And can be taken: with the addresses of here in it, everything that it names is there.
    let port = setup.world.broker.address.port();
    for (there, here) in [
        ("https://broker.example.com:8443", format!("https://localhost:{port}")),
        ("broker-ca.pem", "ca.pem".to_owned()),
        directory,
        ("127.0.0.1:9091", "127.0.0.1:0".to_owned()),
        ("# teeserver = ", "teeserver = 'tee.sock' #".to_owned()),
    ] {
        assert!(text_of.contains(there), "{there}");
        text_of = text_of.replace(there, &here);
    }
    let config = setup
        .world
        .write("run.toml", &text_of.replace("https://broker.example\"", &format!("{AUDIENCE}\"")));
    let output = finish(
        &mut setup.shell(&config, "find $CLOUDAUTH_RUN_DIRECTORY -type f -name 'flask*' | wc -l"),
    );
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("2\n", ""));
}
