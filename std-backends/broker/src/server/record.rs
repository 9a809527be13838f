//! The decision records: one line of JSON for each request, written before its answer.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cloudauth_core::UnixTime;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::server::Records;
use crate::decision::CheckLine;

/// How long a request waits for its record to be written.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many records may wait.
const QUEUE: usize = 4096;
/// How many are written at once, at most.
const BATCH: usize = 256;

/// What happened to one request. Nothing in it is a token, a nonce or an exported value.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) time: String,
    /// What the client was told as `instance`.
    pub(super) id: String,
    /// `v1`, or the scheme of a compatibility listener.
    pub(super) listener: &'static str,
    pub(super) address: IpAddr,
    /// The SHA-256 of the SubjectPublicKeyInfo of the client's certificate, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<String>,
    /// `granted`, or the last part of the error's type.
    pub(super) verdict: &'static str,
    /// Why there is no credential, where no check says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub(super) claims: serde_json::Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checks: Vec<CheckLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gave: Option<Gave>,
}

/// What a credential was, without what it is.
#[derive(Debug, Serialize)]
pub(super) struct Gave {
    pub(super) kind: &'static str,
    pub(super) expires_at: String,
    /// The names of secrets, and the version of each: the vault's, or `file`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) secrets: BTreeMap<String, String>,
}

impl Record {
    fn line(&self) -> Vec<u8> {
        // Strings, numbers and maps with text keys: this cannot fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// A time as records and answers have it.
pub(super) fn rfc3339(time: UnixTime) -> String {
    String::from_utf8_lossy(&time.rfc3339()).into_owned()
}

/// Where records go. A thread of its own writes them, so that a slow disk or a full pipe holds up nothing but what
/// waits for its record.
#[derive(Debug)]
pub(super) struct Sink {
    queue: mpsc::Sender<Message>,
    /// The last that was tried was not written.
    failing: Arc<AtomicBool>,
}

enum Message {
    /// A line, or nothing: whoever asks is told when all before it is written.
    Line(Vec<u8>, Option<oneshot::Sender<bool>>),
    Use(Writer),
}

type Writer = Box<dyn Write + Send>;

/// A record was not written.
#[derive(Debug)]
pub(super) struct NotWritten;

impl Sink {
    pub(super) fn new(to: &Records) -> io::Result<Arc<Self>> {
        Self::writing_to(open(to)?)
    }

    fn writing_to(writer: Writer) -> io::Result<Arc<Self>> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let failing = Arc::new(AtomicBool::new(false));
        let told = failing.clone();
        let write = move || write_all(writer, waiting, &told);
        thread::Builder::new().name("records".to_owned()).spawn(write)?;
        Ok(Arc::new(Self { queue, failing }))
    }

    /// Whether records can be written, as far as is known; where they could not, it is tried again.
    pub(super) fn ready(&self) -> bool {
        let failing = self.failing.load(Ordering::Relaxed);
        if failing {
            // Nothing but the end of a line that may have been begun.
            let _ = self.queue.try_send(Message::Line(Vec::new(), None));
        }
        !failing
    }

    /// Returns once everything that waits is written, or after a while.
    pub(super) async fn flush(&self) {
        let (told, written) = oneshot::channel();
        let all = async {
            if self.queue.send(Message::Line(Vec::new(), Some(told))).await.is_ok() {
                let _ = written.await;
            }
        };
        let _ = timeout(PATIENCE, all).await;
    }

    /// Writes from now on to what `to` says, opened anew.
    pub(super) async fn reopen(&self, to: &Records) -> io::Result<()> {
        let to = to.clone();
        let writer = tokio::task::spawn_blocking(move || open(&to)).await??;
        let sent = timeout(PATIENCE, self.queue.send(Message::Use(writer))).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Returns once the record has been written.
    pub(super) async fn write(&self, record: &Record) -> Result<(), NotWritten> {
        let (told, written) = oneshot::channel();
        let message = Message::Line(record.line(), Some(told));
        let written = async { self.queue.send(message).await.is_ok() && written.await == Ok(true) };
        match timeout(PATIENCE, written).await {
            Ok(true) => Ok(()),
            _ => {
                self.failing.store(true, Ordering::Relaxed);
                Err(NotWritten)
            }
        }
    }

    /// Leaves the record to be written, without waiting.
    pub(super) fn note(&self, record: &Record) -> Result<(), NotWritten> {
        self.queue.try_send(Message::Line(record.line(), None)).map_err(|_| NotWritten)
    }
}

fn open(to: &Records) -> io::Result<Writer> {
    Ok(match to {
        Records::Stderr => Box::new(io::stderr()),
        Records::Stdout => Box::new(io::stdout()),
        Records::File(path) => {
            let mut options = OpenOptions::new();
            options.append(true).create(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            Box::new(options.open(path)?)
        }
    })
}

/// Writes until the last sender is gone, whatever waits in one piece.
fn write_all(mut writer: Writer, mut waiting: mpsc::Receiver<Message>, failing: &AtomicBool) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut broken = false;
    while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
        let (mut lines, mut wait) = (Vec::new(), Vec::new());
        let mut flush = |writer: &mut Writer, lines: &mut Vec<u8>, wait: &mut Vec<_>| {
            // What was begun and not ended stays a line of its own.
            let end: &[u8] = if broken { b"\n" } else { b"" };
            let written = writer.write_all(end).and_then(|()| writer.write_all(lines));
            let written = written.and_then(|()| writer.flush());
            if let Err(error) = &written {
                tracing::error!(%error, "decision records cannot be written");
            }
            broken = written.is_err();
            failing.store(broken, Ordering::Relaxed);
            lines.clear();
            for told in wait.drain(..) {
                let told: oneshot::Sender<bool> = told;
                // Whoever gave up waiting does not want to know.
                let _ = told.send(written.is_ok());
            }
        };
        for message in batch.drain(..) {
            match message {
                Message::Line(line, told) => {
                    lines.extend(line);
                    wait.extend(told);
                }
                Message::Use(next) => {
                    flush(&mut writer, &mut lines, &mut wait);
                    writer = next;
                }
            }
        }
        flush(&mut writer, &mut lines, &mut wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn record(id: &str) -> Record {
        Record {
            time: rfc3339(UnixTime::new(0).unwrap()),
            id: id.to_owned(),
            listener: "v1",
            address: [192, 0, 2, 7].into(),
            client_key: None,
            grant: Some("g".to_owned()),
            verdict: "granted",
            error: None,
            claims: serde_json::Value::Null,
            checks: Vec::new(),
            gave: None,
        }
    }

    #[test]
    fn a_line() {
        let mut record = record("1\n2");
        assert_eq!(
            String::from_utf8(record.line()).unwrap(),
            "{\"time\":\"1970-01-01T00:00:00Z\",\"id\":\"1\\n2\",\"listener\":\"v1\",\"address\":\"192.0.2.7\",\
             \"grant\":\"g\",\"verdict\":\"granted\"}\n"
        );
        record.gave =
            Some(Gave { kind: "aws", expires_at: "then".to_owned(), secrets: BTreeMap::new() });
        let line = String::from_utf8(record.line()).unwrap();
        assert!(line.contains("\"gave\":{\"kind\":\"aws\",\"expires_at\":\"then\"}"), "{line}");
        let versions = [("api-key".to_owned(), "0a1b".to_owned())].into();
        record.gave = Some(Gave { kind: "secrets", expires_at: String::new(), secrets: versions });
        let line = String::from_utf8(record.line()).unwrap();
        assert!(line.contains("\"secrets\":{\"api-key\":\"0a1b\"}"), "{line}");
    }

    #[tokio::test]
    async fn files_are_appended_to_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        std::fs::write(&path, "before\n").unwrap();
        let to = Records::File(path.clone());
        let sink = Sink::new(&to).unwrap();
        sink.write(&record("one")).await.unwrap();
        let moved = folder.path().join("moved");
        std::fs::rename(&path, &moved).unwrap();
        sink.write(&record("two")).await.unwrap();
        sink.reopen(&to).await.unwrap();
        sink.write(&record("three")).await.unwrap();
        let old = std::fs::read_to_string(moved).unwrap();
        assert!(old.starts_with("before\n") && old.contains("one") && old.contains("two"), "{old}");
        let new = std::fs::read_to_string(&path).unwrap();
        assert!(new.contains("three") && new.lines().count() == 1, "{new}");
        let nowhere = Records::File(folder.path().join("no/such/folder"));
        assert!(sink.reopen(&nowhere).await.is_err());
        sink.write(&record("four")).await.unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("four"));
    }

    /// Takes nothing, or takes it never.
    struct Broken(bool);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            if self.0 {
                thread::sleep(Duration::from_secs(60));
            }
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A disk that is full after some octets, until there is room again.
    struct Full(Arc<std::sync::Mutex<(Vec<u8>, usize)>>);

    impl Write for Full {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let (written, room) = &mut *self.0.lock().unwrap();
            let some = octets.get(..octets.len().min(*room)).unwrap();
            if some.is_empty() && !octets.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            written.extend(some);
            *room -= some.len();
            Ok(some.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_line_that_broke_off_spoils_no_other() {
        let disk = Arc::new(std::sync::Mutex::new((Vec::new(), 20)));
        let sink = Sink::writing_to(Box::new(Full(disk.clone()))).unwrap();
        assert!(sink.ready());
        assert!(sink.write(&record("one")).await.is_err());
        assert!(!sink.ready());
        disk.lock().unwrap().1 = 10_000;
        assert!(!sink.ready(), "it is tried first");
        sink.flush().await;
        assert!(sink.ready());
        sink.note(&record("two")).unwrap();
        sink.flush().await;
        let text = String::from_utf8(disk.lock().unwrap().0.clone()).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with('{') && last.contains("two") && text.ends_with("}\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_is_told() {
        let full = Sink::writing_to(Box::new(Broken(false))).unwrap();
        tokio::time::resume();
        assert!(full.write(&record("one")).await.is_err());
        let blocked = Sink::writing_to(Box::new(Broken(true))).unwrap();
        let (queue, _waiting) = mpsc::channel(1);
        let unread = Sink { queue, failing: Arc::default() };
        tokio::time::pause();
        assert!(blocked.write(&record("one")).await.is_err());
        assert!(unread.note(&record("one")).is_ok());
        assert!(unread.note(&record("two")).is_err());
        assert!(unread.write(&record("three")).await.is_err());
    }
}
