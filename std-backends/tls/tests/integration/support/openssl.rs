//! `openssl s_server`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cloudauth_tls::Endpoint;

use super::Authority;

/// Whether there is no such program here: then the test is skipped, which is said past the capture of
/// `cargo test`. `tests/run` installs it.
pub(crate) fn is_missing() -> bool {
    let missing = Command::new("openssl").arg("version").output().is_err();
    if missing {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let text = format!("SKIPPED {name}: there is no openssl program\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    missing
}

/// A running `openssl s_server` with a certificate for `localhost`.
pub(crate) struct Openssl {
    child: Child,
    input: Arc<Mutex<ChildStdin>>,
    output: Arc<Mutex<String>>,
    answer: Arc<Mutex<Option<String>>>,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Openssl {
    /// Clients' certificates are checked against the authority, if the arguments ask for them.
    pub(crate) fn server(authority: &Authority, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let leaf = authority.server(&["localhost"]);
        let path = |name: &str, content: &str| {
            std::fs::write(dir.path().join(name), content).unwrap();
            dir.path().join(name)
        };
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0"])
            .arg("-cert")
            .arg(path("cert.pem", &leaf.pem))
            .arg("-key")
            .arg(path("key.pem", &leaf.key.serialize_pem()))
            .arg("-CAfile")
            .arg(path("ca.pem", &authority.pem))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need the openssl program");
        let input = Arc::new(Mutex::new(child.stdin.take().unwrap()));
        let output = Arc::new(Mutex::new(String::new()));
        let answer: Arc<Mutex<Option<String>>> = Arc::default();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let (all, next, to) = (output.clone(), answer.clone(), input.clone());
        std::thread::spawn(move || {
            for line in lines.split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                all.lock().unwrap().push_str(&format!("{line}\n"));
                // The end of a request's head.
                if line == "\r"
                    && let Some(answer) = next.lock().unwrap().take()
                {
                    let mut to = to.lock().unwrap();
                    to.write_all(answer.as_bytes()).unwrap();
                    to.flush().unwrap();
                }
            }
        });
        let errors = BufReader::new(child.stderr.take().unwrap());
        let all = output.clone();
        std::thread::spawn(move || {
            for line in errors.split(b'\n').map_while(Result::ok) {
                all.lock().unwrap().push_str(&format!("{}\n", String::from_utf8_lossy(&line)));
            }
        });
        let mut server = Self { child, input, output, answer, port: 0, _dir: dir };
        let began = Instant::now();
        while server.port == 0 {
            let output = server.output();
            let accept = output.lines().find_map(|l| l.strip_prefix("ACCEPT 127.0.0.1:"));
            server.port = accept.and_then(|port| port.trim().parse().ok()).unwrap_or(0);
            assert!(began.elapsed() < Duration::from_secs(20), "{output}");
            sleep(Duration::from_millis(5));
        }
        server
    }

    pub(crate) fn https(&self) -> Endpoint {
        Endpoint::parse(&format!("https://localhost:{}", self.port)).unwrap()
    }

    /// What to send when the next request has come.
    pub(crate) fn answers_next(&mut self, answer: &str) {
        *self.answer.lock().unwrap() = Some(answer.to_owned());
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.input.lock().map(|mut input| input.flush());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
