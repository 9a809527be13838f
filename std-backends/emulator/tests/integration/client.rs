//! A client of a few lines: one request a connection, over rustls.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use cloudauth_emulator::{Config, Emulator, Options};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        let found = lines.find_map(|line| {
            line.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(name))
        });
        found.map(|(_, value)| value.trim())
    }
}

pub(crate) fn start(config: Config) -> Emulator {
    let mut options = Options::default();
    options.config = config;
    options.listen_http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    Emulator::start(options).unwrap()
}

pub(crate) fn connect(emulator: &Emulator) -> TcpStream {
    let stream = TcpStream::connect(emulator.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

pub(crate) fn secure(
    emulator: &Emulator,
    name: &'static str,
    stream: TcpStream,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Sends octets and reads what comes; None where the connection ends in an error.
pub(crate) fn raw(emulator: &Emulator, octets: &[u8]) -> Option<Vec<u8>> {
    let mut stream = secure(emulator, "localhost", connect(emulator));
    // The server may have answered and closed before all of it is sent.
    let _ = stream.write_all(octets).and_then(|()| stream.flush());
    let mut all = Vec::new();
    let done = stream.read_to_end(&mut all);
    done.is_ok().then_some(all)
}

/// One request; `headers` are lines.
pub(crate) fn send(
    emulator: &Emulator,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("host: {}\r\n", emulator.address()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
    let answer = raw(emulator, &[head.as_bytes(), body].concat()).expect("an answer");
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

pub(crate) fn form(emulator: &Emulator, target: &str, pairs: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    send(emulator, "POST", target, &kind, body.as_bytes())
}

pub(crate) fn post_json(emulator: &Emulator, target: &str, body: &serde_json::Value) -> Answer {
    let kind = [("content-type", "application/json")];
    send(emulator, "POST", target, &kind, body.to_string().as_bytes())
}

/// The machine's time in seconds.
pub(crate) fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
