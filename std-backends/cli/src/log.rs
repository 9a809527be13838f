//! The log of a program that must not wait for whoever reads it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait.
const QUEUE: usize = 4096;

/// Leaves lines to a thread that writes them. Those that find no room are dropped, and counted in the log.
#[derive(Clone)]
pub(crate) struct Log {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// All before it was written.
    Reached(SyncSender<()>),
}

impl Log {
    /// # Errors
    /// The system's, when it gives no thread.
    pub(crate) fn new(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let log = Self { queue, dropped: Arc::default() };
        let dropped = log.dropped.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(to, &waiting, &dropped))?;
        Ok(log)
    }

    /// One line, without its end.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "cloudauth run is Linux's"))]
    pub(crate) fn line(&self, text: &str) {
        // Never an error.
        let _ = self.clone().write_all(format!("{text}\n").as_bytes());
    }

    /// Waits until what was logged is written, but no longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let (told, reached) = sync_channel(1);
        if self.queue.try_send(Message::Reached(told)).is_ok() {
            let _ = reached.recv_timeout(limit);
        }
    }
}

fn write_all(mut to: impl Write, waiting: &Receiver<Message>, dropped: &AtomicU64) {
    // There is nobody to tell when the log cannot be written.
    for message in waiting {
        let _ = match message {
            Message::Line(line) => to.write_all(&line),
            Message::Reached(told) => {
                // Whoever asked may have given up waiting.
                let _ = told.try_send(());
                Ok(())
            }
        };
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let line =
                format!("{dropped} lines of this log were dropped: nobody took them in time\n");
            let _ = to.write_all(line.as_bytes());
        }
    }
}

/// Takes one line in one piece, as the subscriber writes it.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for Log {
    type Writer = Self;

    fn make_writer(&'l self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    /// Takes nothing until it is told to.
    struct Pipe(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Pipe {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_full_pipe() {
        let (open, full) = channel();
        let written = Arc::default();
        let mut log = Log::new(Pipe(full, Arc::clone(&written))).unwrap();
        let began = Instant::now();
        for n in 0..QUEUE + 10 {
            log.write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        log.flush(Duration::from_millis(100));
        assert!(began.elapsed() < Duration::from_secs(10));
        // One line is in the thread's hands.
        drop(open);
        while log.queue.try_send(Message::Line(Vec::new())).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        log.flush(Duration::from_secs(10));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line 0\n"), "{text}");
        assert!(text.contains(&format!("\nline {}\n", QUEUE - 1)), "{text}");
        assert!(!text.contains(&format!("line {}\n", QUEUE + 9)), "{text}");
        assert!(text.contains(" lines of this log were dropped"), "{text}");
    }
}
