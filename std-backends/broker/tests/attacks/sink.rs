//! A server of the attacker's, at which nobody is to ask anything.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::table::Outcome;

/// It counts who connects.
pub(crate) struct Sink {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Sink {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // It ends with the process.
        thread::spawn(move || {
            for _tcp in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let sink = Self { address, asked };
        // It would notice.
        drop(std::net::TcpStream::connect(address).unwrap());
        while sink.asked() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        sink.asked.store(0, Ordering::SeqCst);
        sink
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The outcome, if nobody has asked here.
    pub(crate) fn unless_asked(&self, outcome: Outcome) -> Outcome {
        // What goes out goes out before the answer, but accepting takes a moment.
        thread::sleep(Duration::from_millis(20));
        match self.asked() {
            0 => outcome,
            n => Outcome::Refused(format!("the attacker's server was asked {n} times")),
        }
    }
}
