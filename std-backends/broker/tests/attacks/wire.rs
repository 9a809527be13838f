//! A client that is not ours: rustls, and HTTP octet by octet.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;

use crate::binder::{self, Binder};
use crate::leaks;
use crate::world::{AUDIENCE, Leaf};

/// How long an answer may take. What takes longer is a finding.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a client connects.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) roots: String,
    pub(crate) identity: Option<Leaf>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) alpn: Vec<&'static str>,
    /// Sent before TLS.
    pub(crate) first: Vec<u8>,
    /// From which address of the loopback network.
    pub(crate) from: Ipv4Addr,
}

impl Dialer {
    /// One that does everything right.
    pub(crate) fn new(roots: &str) -> Self {
        Self {
            roots: roots.to_owned(),
            identity: None,
            versions: vec![&version::TLS13],
            alpn: vec!["http/1.1"],
            first: Vec::new(),
            from: Ipv4Addr::LOCALHOST,
        }
    }

    pub(crate) fn identity(mut self, leaf: &Leaf) -> Self {
        self.identity = Some(leaf.clone());
        self
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.roots.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some(leaf) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(leaf.pem.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    pub(crate) fn tcp(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut tcp = connect_from(self.from, to)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        tcp.write_all(&self.first)?;
        Ok(tcp)
    }

    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<Client> {
        Client::new(self.tcp(to)?, Arc::new(self.config()), self.identity.as_ref())
    }
}

/// std cannot bind before it connects, tokio can.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    if from == Ipv4Addr::LOCALHOST {
        return TcpStream::connect(to);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let tcp = socket.connect(to).await?.into_std()?;
        tcp.set_nonblocking(false)?;
        Ok(tcp)
    })
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What a connection says.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Answer(Answer),
    /// It ended, and how.
    Closed(String),
    /// Nothing within [`PATIENCE`].
    Nothing,
}

/// A TLS connection.
pub(crate) struct Client {
    pub(crate) tls: StreamOwned<ClientConnection, TcpStream>,
    client_spki: Option<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Client {
    /// Shakes hands.
    pub(crate) fn new(
        mut tcp: TcpStream,
        config: Arc<ClientConfig>,
        identity: Option<&Leaf>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut tcp)?;
        }
        let client_spki = identity.map(Leaf::spki);
        Ok(Self { tls: StreamOwned::new(session, tcp), client_spki, buffer: Vec::new() })
    }

    /// Sends octets. The broker may have closed already: what it said is still to be read.
    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) -> bool {
        self.tls.write_all(octets.as_ref()).and_then(|()| self.tls.flush()).is_ok()
    }

    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            if let Some(answer) = self.take() {
                leaks::answer(&answer);
                return Heard::Answer(answer);
            }
            let mut octets = [0; 16 * 1024];
            match self.tls.read(&mut octets) {
                Ok(0) => return Heard::Closed("closed".to_owned()),
                Ok(n) => self.buffer.extend(&octets[..n]),
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
                {
                    return Heard::Nothing;
                }
                Err(e) => return Heard::Closed(format!("closed: {}", e.kind())),
            }
        }
    }

    /// The answer that has come, if the whole of it has.
    fn take(&mut self) -> Option<Answer> {
        let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if self.buffer.len() < end + length {
            return None;
        }
        let body = String::from_utf8_lossy(&self.buffer[end..end + length]).into_owned();
        self.buffer.drain(..end + length);
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body })
    }

    /// Whether nothing more comes, and the connection ends.
    pub(crate) fn is_over(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.hear(), Heard::Closed(_))
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Heard {
        self.send(post(path, body));
        self.hear()
    }

    /// A new challenge.
    pub(crate) fn challenge(&mut self) -> [u8; 32] {
        match self.post("/v1/challenge", "{}") {
            Heard::Answer(answer) if answer.status == 200 => challenge_of(&answer.json()),
            other => panic!("no challenge: {other:?}"),
        }
    }

    pub(crate) fn export(&self, label: &str, context: Option<&[u8]>) -> [u8; 32] {
        let exported =
            self.tls.conn.export_keying_material([0; 32], label.as_bytes(), context).unwrap();
        leaks::octets("an exported value", &exported);
        exported
    }

    /// The server's key, as this connection saw it.
    pub(crate) fn server_spki(&self) -> Vec<u8> {
        spki(&self.tls.conn.peer_certificates().unwrap()[0])
    }

    /// What a nonce is made of, all of it right.
    pub(crate) fn binder(&self, challenge: [u8; 32], request: &str) -> Binder {
        Binder {
            role: binder::CLIENT,
            exported: self.export(binder::CLIENT_LABEL, Some(&challenge)),
            challenge,
            server_spki: self.server_spki(),
            client_spki: self.client_spki.clone(),
            audience: AUDIENCE.to_owned(),
            request: request.as_bytes().to_vec(),
        }
    }

    /// Asks for a credential.
    pub(crate) fn credentials(&mut self, request: &str, token: &str) -> Heard {
        self.post("/v1/credentials", &credentials(request, token))
    }
}

pub(crate) fn challenge_of(json: &Value) -> [u8; 32] {
    let text = json["challenge"].as_str().unwrap();
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}

/// The SubjectPublicKeyInfo of a certificate.
pub(crate) fn spki(der: &[u8]) -> Vec<u8> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
    certificate.public_key().raw.to_vec()
}

/// The body of a request for credentials.
pub(crate) fn credentials(request: &str, token: &str) -> String {
    json!({"request": binder::base64url(request.as_bytes()), "attestation": token}).to_string()
}

pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}
