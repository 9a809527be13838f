//! Where attestation tokens come from. There is no other source, and no token in the place of one that is
//! not to be had.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cloudauth_core::attest::teeserver::{TokenRequest, TokenType};
use cloudauth_core::jws::{MAX_TOKEN_LEN, Token};
use cloudauth_tls::{Endpoint, Transport, TransportError, Trust};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Attested;
use crate::{Error, Result};

/// How long a token may take.
const LIMIT: Duration = Duration::from_secs(30);

const TEESERVER: &str = "attestation token of the teeserver";
const COMMAND: &str = "attestation command";

/// Who gives tokens.
pub(super) enum TokenSource {
    /// The service behind a socket.
    Teeserver(Transport),
    /// A program and its arguments.
    Command(Vec<String>),
}

impl TokenSource {
    pub(super) fn teeserver(socket: &Path) -> Result<Self> {
        // Of its certificates nobody has need: there is no TLS on a socket.
        let transport = Transport::builder()
            .trust(Trust::BuiltIn)
            .trust_environment(false)
            .read_timeout(LIMIT)
            .timeout(LIMIT)
            .attempts(2)
            .body_limit(MAX_TOKEN_LEN + 2);
        let transport = transport.build().map_err(|e| Error::service("setting up", e))?;
        Ok(Self::Teeserver(transport.via(Endpoint::unix(socket))))
    }

    /// A token with these nonces, which is what was asked for.
    pub(super) async fn token(
        &self,
        config: &Attested,
        nonces: &[&str],
    ) -> Result<Zeroizing<String>> {
        let kind = config.token_type.of_google();
        let asked = TokenRequest {
            audience: &config.audience,
            nonces,
            token_type: kind.unwrap_or(TokenType::Oidc),
        };
        let token = match self {
            Self::Teeserver(transport) => {
                let token = transport
                    .send(&asked, None, |token| Zeroizing::new(token.expose().to_owned()))
                    .await;
                token.map_err(not_there)?
            }
            Self::Command(command) => {
                let input = input(config, nonces)?;
                run(command, &input, LIMIT).await?
            }
        };
        // The nonces will stand in it, and the older brokers' is a secret of the connection.
        let mut buf = Zeroizing::new(vec![0; token.len()]);
        let checked = match kind {
            Some(_) => asked.check(&token, &mut buf),
            // Its audience and nonce stand where the broker looks for them.
            None => Token::parse(&token, &mut buf).map(drop),
        };
        match checked {
            Ok(()) => Ok(token),
            Err(e) => Err(Error::refused("attestation", e.to_string())),
        }
    }
}

/// What a command is told, in JSON. It is wiped: the nonce of the older brokers is a secret of the connection.
fn input(config: &Attested, nonces: &[&str]) -> Result<Zeroizing<Vec<u8>>> {
    #[derive(Serialize)]
    struct Asked<'a> {
        audience: &'a str,
        nonces: &'a [&'a str],
        token_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        runtime_data: Option<&'a str>,
    }
    let runtime_data = match nonces {
        [nonce] => Some(Zeroizing::new(json!({ "nonce": nonce }).to_string())),
        _ => None,
    };
    let asked = Asked {
        audience: &config.audience,
        nonces,
        token_type: config.token_type.name(),
        runtime_data: runtime_data.as_ref().map(|data| data.as_str()),
    };
    let mut input = Zeroizing::new(Vec::with_capacity(room(&config.audience, nonces)));
    match serde_json::to_writer(&mut *input, &asked) {
        Ok(()) => Ok(input),
        Err(e) => Err(Error::refused(COMMAND, e.to_string())),
    }
}

/// Room for everything at once: a vector that grows leaves copies behind. A character has at most six octets
/// of JSON; nonces stand there twice, and in the text of a text.
fn room(audience: &str, nonces: &[&str]) -> usize {
    let nonces: usize = nonces.iter().map(|nonce| 18 * nonce.len() + 3).sum();
    6 * audience.len() + nonces + 256
}

/// An error of the teeserver.
fn not_there(e: TransportError) -> Error {
    if let TransportError::Connect { host, source } = &e {
        return Error::refused(
            "attestation",
            format!(
                "{host}: {source}; is this a Confidential Space VM, and may this user connect to the \
                 launcher's socket?"
            ),
        );
    }
    Error::service(TEESERVER, e)
}

/// What a command writes, given `input`.
async fn run(command: &[String], input: &[u8], limit: Duration) -> Result<Zeroizing<String>> {
    let failed = |why: String| Error::refused(COMMAND, why);
    let Some((program, args)) = command.split_first() else {
        return Err(failed("none is named".to_owned()));
    };
    let mut command = Command::new(program);
    command
        .args(args)
        // What the operator set, secrets among it, is none of its business.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| failed(format!("{program}: {e}")))?;
    // Dropped before the child, also where the caller gives up: until that is waited for, its number is no
    // other's.
    let _group = Group::of(&child);
    let outcome = timeout(limit, talk(&mut child, input)).await;
    let ended = match outcome {
        Err(_) => Err(format!("{program}: gave no token within {} s", limit.as_secs())),
        Ok(Err(why)) => Err(format!("{program}: {why}")),
        Ok(Ok(output)) => Ok(output),
    };
    let output = match ended {
        Ok(output) => output,
        Err(why) => return Err(failed(why)),
    };
    match std::str::from_utf8(&output) {
        Ok(token) => Ok(Zeroizing::new(token.trim_ascii().to_owned())),
        Err(_) => Err(failed(format!("{program}: wrote what is no token"))),
    }
}

/// Writes the input, reads the output, waits for the end; each as far as the limits go.
async fn talk(child: &mut Child, input: &[u8]) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("has no standard input or output".to_owned());
    };
    // Room for everything at once: a vector that grows leaves copies behind.
    let mut output = Zeroizing::new(Vec::with_capacity(MAX_TOKEN_LEN + 64));
    // It fits into the pipe. A command may close its input unread.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    let limit = u64::try_from(MAX_TOKEN_LEN).unwrap_or(u64::MAX) + 1;
    let read = stdout.take(limit).read_to_end(&mut output).await;
    read.map_err(|e| format!("its output cannot be read: {e}"))?;
    if output.len() > MAX_TOKEN_LEN {
        return Err(format!("wrote more than {MAX_TOKEN_LEN} octets"));
    }
    let status = child.wait().await.map_err(|e| format!("waiting for its end failed: {e}"))?;
    if status.success() { Ok(output) } else { Err(format!("failed ({status})")) }
}

/// A command and what it has started, which end with this: however the command ends, and whoever gives up.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    /// Of a child that was started in a group of its own.
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw) }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        // As long as one of the group is there the number is its own, though the command has been waited for.
        if let Some(leader) = self.leader {
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;

    async fn shell(script: &str) -> Result<String> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let output = run(&command, br#"{"audience":"a"}"#, Duration::from_secs(2)).await;
        output.map(|output| output.to_string())
    }

    /// What a command is told stands in one place, which is wiped.
    #[test]
    fn told() {
        let (one, two) = ("a".repeat(74), "f".repeat(64));
        for (audience, nonces) in [
            ("https://broker.example".to_owned(), vec![one.as_str()]),
            ("\u{1}".repeat(512), vec![one.as_str()]),
            ("\u{1}".repeat(512), vec![two.as_str(); 2]),
        ] {
            let config = Attested { audience: audience.clone(), ..Attested::default() };
            let told: Zeroizing<Vec<u8>> = input(&config, &nonces).unwrap();
            assert_eq!(told.capacity(), room(&audience, &nonces));
            let mut expected =
                json!({ "audience": audience, "nonces": nonces, "token_type": "OIDC" });
            if let [nonce] = nonces[..] {
                expected["runtime_data"] = format!("{{\"nonce\":\"{nonce}\"}}").into();
            }
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&told).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn commands() {
        assert_eq!(shell("cat").await.unwrap(), r#"{"audience":"a"}"#);
        assert_eq!(shell("echo ' a.b.c '").await.unwrap(), "a.b.c");
        // It need not read.
        assert_eq!(shell("exec <&-; echo a").await.unwrap(), "a");
        let environment = shell("/usr/bin/env; pwd").await.unwrap();
        assert!(!environment.contains("HOME") && environment.ends_with('/'), "{environment}");
        for (script, says) in [
            ("echo a; exit 3", "exit status: 3"),
            ("kill -9 $$", "signal: 9"),
            ("printf '\\377'", "no token"),
            ("sleep 60", "within 2 s"),
            ("yes", "65536 octets"),
            // What it has started goes with it, though it holds on to the output.
            ("sleep 60 & echo a", "within 2 s"),
        ] {
            let start = Instant::now();
            let error = shell(script).await.unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("/bin/sh"), "{script}: {error}");
            assert!(start.elapsed() < Duration::from_secs(10), "{script}");
        }
        let error = run(&["/no/such".to_owned()], b"", LIMIT).await.unwrap_err().to_string();
        assert!(error.contains("/no/such"), "{error}");
    }

    /// Not what it has started either: at its limit, when the caller gives up before that, and after an end of
    /// its own, a good and a bad one.
    #[tokio::test]
    async fn nothing_is_left_of_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let later = |name: &str| {
            let sign = folder.path().join(name).display().to_string();
            format!("(sleep 4; touch {sign}) >/dev/null 2>&1 &")
        };
        let [limit, given_up, bad, good] = ["limit", "given-up", "bad", "good"].map(later);
        let at_limit = shell(&format!("{limit} sleep 60")).await.unwrap_err();
        assert!(at_limit.to_string().contains("within 2 s"), "{at_limit}");
        let script = format!("{given_up} sleep 60");
        let command = ["/bin/sh", "-c", script.as_str()].map(str::to_owned);
        let run = run(&command, b"", LIMIT);
        assert!(timeout(Duration::from_secs(1), run).await.is_err());
        assert!(shell(&format!("{bad} exit 3")).await.is_err());
        assert_eq!(shell(&format!("{good} echo a")).await.unwrap(), "a");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
