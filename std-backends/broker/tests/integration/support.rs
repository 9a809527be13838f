//! A broker beside an emulator, and clients that speak to it octet by octet.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloudauth_broker::Broker;
use cloudauth_core::Out;
use cloudauth_core::ekm::{Binder, Compat, Exported, Prover};
use cloudauth_core::encode::{base64, hex};
use cloudauth_emulator::{AttestationToken, Config, Emulator, Options};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const AUDIENCE: &str = "https://broker.example";
const PATIENCE: Duration = Duration::from_secs(20);

/// An authority, and what it issues.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self) -> Leaf {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
        let key = KeyPair::generate().unwrap();
        Leaf { pem: params.signed_by(&key, &self.issuer).unwrap().pem(), key }
    }
}

impl Leaf {
    pub(crate) fn spki(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }
}

/// A broker, its configuration in a folder, and the emulator that it trusts.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) leaf: Leaf,
    pub(crate) broker: Option<Broker>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with("", "").await
    }

    /// `server` is added to `[server]`, `more` to the end of the configuration.
    pub(crate) async fn with(server: &str, more: &str) -> Self {
        let mut options = Options::default();
        options.config = Config::demo();
        let emulator = Emulator::start(options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("broker CA");
        let leaf = authority.issue();
        let mut world = Self { emulator, folder, authority, leaf, broker: None };
        world.write("emulator-ca.pem", world.emulator.ca_pem());
        world.write("secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        world.write("demo-secret", "demo-secret");
        world.write_leaf();
        world.configure(server, more);
        world.broker = Some(Broker::start(&world.path("broker.toml")).await.unwrap());
        // The keys of the issuer are on their way.
        for _ in 0..200 {
            if world.admin("GET /readyz").await.starts_with("HTTP/1.1 200") {
                return world;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{}", world.admin("GET /readyz").await);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    pub(crate) fn write_leaf(&self) {
        self.write("broker.pem", &self.leaf.pem);
        self.write("broker-key.pem", &self.leaf.key.serialize_pem());
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, server: &str, more: &str) {
        let folder = self.folder.path().display();
        let url = self.emulator.url();
        self.write(
            "broker.toml",
            &format!(
                r#"
audience = "{AUDIENCE}"
ca-file = "emulator-ca.pem"

[server]
listen = "127.0.0.1:0"
admin-listen = "127.0.0.1:0"
certificate = "broker.pem"
key = "file:{folder}/broker-key.pem"
records = "records.jsonl"
drain-seconds = 3
{server}

[issuers.emulator]
kind = "confidential-space"
issuer = "{url}/confidential-space"
keys = "discovery"
trusted-ca = "emulator-ca.pem"

[grants.reader.attested]
issuer = "emulator"
image-digests = "sha256:{image}"
dbgstat = "disabled-since-boot"
swname = "CONFIDENTIAL_SPACE"
hwmodel = "GCP_AMD_SEV"
projects = "demo-project"
waive = ["env", "args"]

[grants.reader.give]
kind = "aws-assume-role"
access-key-id = "AKIAIOSFODNN7EXAMPLE"
key = "file:{folder}/secret"
role-arn = "arn:aws:iam::123456789012:role/demo"
region = "eu-central-1"
endpoint-url = "{url}"

[grants.other.attested]
issuer = "emulator"
image-digests = "sha256:{other}"
dbgstat = "disabled-since-boot"
swname = "CONFIDENTIAL_SPACE"
hwmodel = "GCP_AMD_SEV"
projects = "demo-project"
waive = ["env", "args"]

[grants.other.give]
kind = "aws-assume-role"
access-key-id = "AKIAIOSFODNN7EXAMPLE"
key = "file:{folder}/secret"
role-arn = "arn:aws:iam::123456789012:role/demo"
region = "eu-central-1"
endpoint-url = "{url}"

[grants.azure.attested]
issuer = "emulator"
image-digests = "sha256:{image}"
dbgstat = "disabled-since-boot"
swname = "CONFIDENTIAL_SPACE"
hwmodel = "GCP_AMD_SEV"
projects = "demo-project"
waive = ["env", "args"]

[grants.azure.give]
kind = "azure-token"
tenant = "{tenant}"
client-id = "66666666-7777-8888-9999-000000000000"
client-secret = "file:{folder}/demo-secret"
scopes = ["https://storage.azure.com/.default"]
endpoint-url = "{url}"

{more}
"#,
                image = "1".repeat(64),
                other = "9".repeat(64),
                tenant = TENANT,
            ),
        );
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.broker().addresses().api
    }

    /// One request to the plain listener.
    pub(crate) async fn admin(&self, line: &str) -> String {
        admin(self.broker().addresses().admin.unwrap(), line).await
    }

    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.admin("GET /metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// A connection to the API, with nothing special about it.
    pub(crate) async fn connect(&self) -> Client {
        self.client().connect(self.api()).await.unwrap()
    }

    pub(crate) fn client(&self) -> Dialer {
        Dialer {
            authority: self.authority.pem.clone(),
            identity: None,
            versions: vec![&rustls::version::TLS13],
            alpn: &["http/1.1"],
            first: Vec::new(),
            from: Ipv4Addr::LOCALHOST,
        }
    }

    pub(crate) fn token(&self, nonces: &[String]) -> AttestationToken {
        AttestationToken {
            audience: AUDIENCE.to_owned(),
            nonces: nonces.to_vec(),
            ..AttestationToken::default()
        }
    }

    pub(crate) fn mint(&self, token: &AttestationToken) -> String {
        self.emulator.attestation_token(token).unwrap()
    }

    /// The last decision record.
    pub(crate) fn record(&self) -> Value {
        let text = std::fs::read_to_string(self.path("records.jsonl")).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";

pub(crate) async fn admin(to: SocketAddr, line: &str) -> String {
    let mut tcp = TcpStream::connect(to).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).await.unwrap();
    text
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// How a client connects.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) authority: String,
    pub(crate) identity: Option<(String, String)>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) alpn: &'static [&'static str],
    /// Sent before TLS.
    pub(crate) first: Vec<u8>,
    /// From which address of the loopback network.
    pub(crate) from: Ipv4Addr,
}

impl Dialer {
    pub(crate) fn identity(mut self, leaf: &Leaf) -> Self {
        self.identity = Some((leaf.pem.clone(), leaf.key.serialize_pem()));
        self
    }

    pub(crate) async fn tcp(&self, to: SocketAddr) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((self.from, 0).into()).unwrap();
        let mut tcp = socket.connect(to).await.unwrap();
        tcp.write_all(&self.first).await.unwrap();
        tcp
    }

    pub(crate) async fn connect(&self, to: SocketAddr) -> std::io::Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((pem, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = self.tcp(to).await;
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let tls = timeout(PATIENCE, connecting).await.unwrap()?;
        Ok(Client { tls, buffer: Vec::new() })
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The last part of the problem's type.
    pub(crate) fn problem(&self) -> String {
        let json = self.json();
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        assert_eq!(json["status"], self.status);
        assert_eq!(json["instance"].as_str().unwrap().len(), 32);
        assert_eq!(json.as_object().unwrap().len(), 4, "{self:?}");
        json["type"].as_str().unwrap().strip_prefix("urn:libcloudauth:error:").unwrap().to_owned()
    }
}

/// A TLS connection to the broker.
pub(crate) struct Client {
    pub(crate) tls: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn write(&mut self, text: &str) {
        // The broker may have closed already: what it said is to be read.
        let _ = self.tls.write_all(text.as_bytes()).await;
        let _ = self.tls.flush().await;
    }

    /// The next answer; `None` when the connection ends without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let lower = head.to_ascii_lowercase();
                let length = lower.lines().find_map(|l| l.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if rest.len() >= length {
                    let answer = Answer {
                        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
                        head: lower.clone(),
                        body: rest[..length].to_owned(),
                    };
                    self.buffer.drain(..head.len() + 4 + length);
                    return Some(answer);
                }
            }
            let read = timeout(PATIENCE, self.tls.read_buf(&mut self.buffer)).await.unwrap();
            if !read.is_ok_and(|n| n > 0) {
                return None;
            }
        }
    }

    /// Whether the connection is closed, and nothing more comes.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.answer().await.is_none()
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        self.write(&post(path, body)).await;
        self.answer().await.unwrap()
    }

    pub(crate) async fn challenge(&mut self) -> [u8; 32] {
        let answer = self.post("/v1/challenge", "{}").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        assert_eq!((&json["expires_in"], json.as_object().unwrap().len()), (&json!(60), 2));
        let mut challenge = [0; 32];
        base64::url_decode(json["challenge"].as_str().unwrap().as_bytes(), &mut challenge).unwrap();
        challenge
    }

    pub(crate) fn export(&self, label: &str, context: Option<&[u8]>) -> [u8; 32] {
        let session = self.tls.get_ref().1;
        session.export_keying_material([0; 32], label.as_bytes(), context).unwrap()
    }

    /// The server's key, as this connection saw it.
    pub(crate) fn server_spki(&self) -> Vec<u8> {
        let leaf = &self.tls.get_ref().1.peer_certificates().unwrap()[0];
        cloudauth_core::x509::Certificate::parse(leaf).unwrap().spki().to_vec()
    }

    /// Binder v1 for a request, as the client's end sees the connection.
    pub(crate) fn nonce(
        &self,
        challenge: &[u8; 32],
        client: Option<&Leaf>,
        request: &str,
    ) -> String {
        let octets = self.export(Prover::Client.label(), Some(challenge));
        let client = client.map(Leaf::spki);
        let binder = Binder {
            exported: &Exported::new(Prover::Client, octets).unwrap(),
            challenge,
            server_spki: &self.server_spki(),
            client_spki: client.as_deref(),
            audience: AUDIENCE,
            request: request.as_bytes(),
        };
        binder.nonce().unwrap().as_str().to_owned()
    }

    /// The nonce of an older scheme.
    pub(crate) fn compatibility_nonce(&self, scheme: Compat) -> String {
        scheme.nonce(&self.export(scheme.label(), None)).unwrap().as_str().to_owned()
    }

    /// The whole exchange for a grant.
    pub(crate) async fn attest(
        &mut self,
        world: &World,
        client: Option<&Leaf>,
        grant: &str,
    ) -> Answer {
        let challenge = self.challenge().await;
        let request = format!("{{\"grant\":\"{grant}\"}}");
        let nonce = self.nonce(&challenge, client, &request);
        let token = world.mint(&world.token(&[nonce]));
        self.credentials(&request, &token).await
    }

    pub(crate) async fn credentials(&mut self, request: &str, token: &str) -> Answer {
        let body = json!({"request": url(request.as_bytes()), "attestation": token});
        self.post("/v1/credentials", &body.to_string()).await
    }
}

pub(crate) fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn url(octets: &[u8]) -> String {
    let mut text = vec![0; base64::url_encoded_len(octets.len())];
    let mut out = Out::new(&mut text);
    base64::url_encode(octets, &mut out);
    String::from_utf8(text).unwrap()
}

pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    let mut text = vec![0; hex::encoded_len(octets.len())];
    let mut out = Out::new(&mut text);
    hex::encode(octets, &mut out);
    String::from_utf8(text).unwrap()
}
