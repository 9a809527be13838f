//! Throw-away authorities, scripted servers and an exchange.

pub(crate) mod openssl;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudauth_core::{
    Attempt, Draft, Error, Exchange, Failure, ResponseHead, Result, ServiceError, Sink as _,
};
use cloudauth_tls::{Builder, Endpoint, Transport, TransportError, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certification authority of one test.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both in PEM.
pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be told apart by a signature only.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("Throw-away CA {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Leaf { pem, key }
    }

    pub(crate) fn server(&self, names: &[&str]) -> Leaf {
        self.issue(names, &rcgen::PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub(crate) fn expired(&self, names: &[&str]) -> Leaf {
        self.issue(names, &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    /// A transport that believes this authority, and is quick to give up.
    pub(crate) fn transport(&self) -> Builder {
        quick().trust(Trust::Only(self.pem.clone().into_bytes())).trust_environment(false)
    }
}

pub(crate) fn quick() -> Builder {
    Transport::builder()
        .connect_timeout(Duration::from_secs(4))
        .read_timeout(Duration::from_millis(1500))
        .timeout(Duration::from_secs(12))
}

impl Leaf {
    pub(crate) fn config(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let chain = CertificateDer::pem_slice_iter(self.pem.as_bytes()).map(|c| c.unwrap());
        let key = PrivateKeyDer::from_pem_slice(self.key.serialize_pem().as_bytes()).unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain.collect(), key)
                .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    pub(crate) fn tls(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config(rustls::ALL_VERSIONS)))
    }
}

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these octets and says goodbye.
    Octets(Vec<u8>),
    /// Sends these octets, then closes without a word (no `close_notify`).
    Cut(Vec<u8>),
    /// Sends an octet of these at a time, this long after the one before.
    Drip(Vec<u8>, Duration),
    /// Resets the connection.
    Reset,
    /// Sends these octets, and nothing more.
    Stuck(Vec<u8>),
}

pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> Reply {
    let headers: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    Reply::Octets(text.into_bytes())
}

pub(crate) fn good() -> Reply {
    answer("200 OK", &[], "pong")
}

/// What a handshake gave, as the server saw it.
#[derive(Clone)]
pub(crate) struct Handshake {
    pub(crate) kind: rustls::HandshakeKind,
    pub(crate) group: rustls::NamedGroup,
    /// With [`LABEL`] and [`CONTEXT`].
    pub(crate) exported: [u8; 32],
}

pub(crate) const LABEL: &str = "EXPORTER-libcloudauth-v1-client";
pub(crate) const CONTEXT: [u8; 32] = [7; 32];

/// A server that answers the n-th request with the n-th reply, and further ones with the last. More than
/// one request may come on a connection.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(tls: Option<TlsAcceptor>, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let handshakes = Arc::new(Mutex::new(Vec::new()));
        let (seen, kinds, replies) = (requests.clone(), handshakes.clone(), replies.to_vec());
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, seen, kinds, replies) =
                    (tls.clone(), seen.clone(), kinds.clone(), replies.clone());
                tokio::spawn(async move {
                    tcp.set_nodelay(true).unwrap();
                    let Some(tls) = tls else {
                        return talk(tcp, &seen, &replies, |tcp| tcp.set_zero_linger().unwrap())
                            .await;
                    };
                    let Ok(stream) = tls.accept(tcp).await else { return };
                    let session = stream.get_ref().1;
                    let exported = session
                        .export_keying_material([0; 32], LABEL.as_bytes(), Some(&CONTEXT))
                        .unwrap();
                    kinds.lock().unwrap().push(Handshake {
                        kind: session.handshake_kind().unwrap(),
                        group: session.negotiated_key_exchange_group().unwrap().name(),
                        exported,
                    });
                    let reset = |stream: &tokio_rustls::server::TlsStream<TcpStream>| {
                        stream.get_ref().0.set_zero_linger().unwrap();
                    };
                    talk(stream, &seen, &replies, reset).await;
                });
            }
        });
        Self { address, requests, handshakes, task }
    }

    pub(crate) fn https(&self) -> Endpoint {
        Endpoint::parse(&format!("https://localhost:{}", self.address.port())).unwrap()
    }

    pub(crate) fn http(&self) -> Endpoint {
        Endpoint::parse(&format!("http://127.0.0.1:{}", self.address.port())).unwrap()
    }

    /// The requests so far, each with head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().unwrap().clone()
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: &Mutex<Vec<String>>,
    replies: &[Reply],
    reset: impl Fn(&S),
) {
    while let Some(request) = read_request(&mut stream).await {
        let closes = request.to_ascii_lowercase().contains("connection: close");
        let reply = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            replies[(seen.len() - 1).min(replies.len() - 1)].clone()
        };
        match reply {
            Reply::Octets(octets) => {
                if stream.write_all(&octets).await.is_err() {
                    return;
                }
                let _ = stream.flush().await;
                if closes {
                    let _ = stream.shutdown().await;
                    return;
                }
            }
            Reply::Cut(octets) => {
                let _ = stream.write_all(&octets).await;
                let _ = stream.flush().await;
                return;
            }
            Reply::Drip(octets, pause) => {
                for octet in octets {
                    let sent = stream.write_all(&[octet]).await;
                    if sent.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::Reset => {
                reset(&stream);
                return;
            }
            Reply::Stuck(octets) => {
                let _ = stream.write_all(&octets).await;
                let _ = stream.flush().await;
                std::future::pending().await
            }
        }
    }
}

/// A request with its body.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut all = Vec::new();
    loop {
        if stream.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&all).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return Some(text);
        }
    }
}

/// An exchange whose request says what time it was made with.
pub(crate) struct Ping {
    pub(crate) host: String,
    pub(crate) body: String,
}

impl Ping {
    pub(crate) fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), body: String::new() }
    }
}

impl Exchange for Ping {
    type Output<'b> = &'b str;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        draft.host(|out| out.text(&self.host));
        draft.target(|out| out.text("/ping?a=b%20c"));
        if !self.body.is_empty() {
            draft.method("POST");
            draft.body(|out| out.text(&self.body));
        }
        draft.head(|out| out.text(&format!("X-Time: {}", at.time().as_secs())));
        Ok(())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<&'b str, Failure<'b>> {
        let body = core::str::from_utf8(body).map_err(|_| Error::malformed("answer", "no text"))?;
        match head.status {
            200 if body == "nonsense" => Err(Error::malformed("answer", "makes no sense").into()),
            200 => Ok(body),
            status => {
                let code = head.header("X-Code").unwrap_or_default();
                Err(Failure::Service(ServiceError { status, code, message: body }))
            }
        }
    }
}

/// Sends a ping over `transport` to a server, under its own name.
pub(crate) async fn ping(
    transport: &Transport,
    endpoint: Endpoint,
) -> core::result::Result<String, TransportError> {
    let ping = Ping::new(endpoint.authority());
    transport.via(endpoint).send(&ping, None, str::to_owned).await
}

impl Leaf {
    /// A configuration whose key does not belong to the certificate, as an impostor's.
    pub(crate) fn mismatched(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.pem.as_bytes()).map(|c| c.unwrap());
        let key = PrivateKeyDer::from_pem_slice(self.key.serialize_pem().as_bytes()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let certified = rustls::sign::CertifiedKey::new(chain.collect(), key);
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        Arc::new(
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(resolver)),
        )
    }
}

const CHILD: &str = "TEST_URL";

/// Pings `url` in a process of its own, with these variables; gives the answer or the error's text.
/// `TEST_CA` names a file of the only trusted certificates; `TEST_ENVIRONMENT=no` distrusts the
/// environment.
pub(crate) async fn child(url: &str, variables: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "support::in_the_child"]).env(CHILD, url);
    for name in
        ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"]
    {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, result) = text.split_once("RESULT<").unwrap_or_else(|| panic!("{text}"));
    result.split_once(">RESULT").unwrap().0.to_owned()
}

/// No check of its own: what [`child`] runs.
#[tokio::test]
async fn in_the_child() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let mut builder = quick().attempts(1);
    if let Ok(file) = std::env::var("TEST_CA") {
        builder = builder.trust(Trust::Only(std::fs::read(file).unwrap()));
    }
    if std::env::var("TEST_ENVIRONMENT").is_ok_and(|v| v == "no") {
        builder = builder.trust_environment(false);
    }
    let result = match builder.build() {
        Ok(transport) => ping(&transport, Endpoint::parse(&url).unwrap()).await,
        Err(e) => Err(e),
    };
    println!("RESULT<{}>RESULT", result.unwrap_or_else(|e| e.to_string()));
}
