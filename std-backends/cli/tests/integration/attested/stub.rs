//! A broker and a teeserver that know as much as their part in the protocol, and no code of ours: rustls, and
//! hashes of the crate sha2.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const AUDIENCE: &str = "https://broker.example";

/// An authority and what it issues.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Leaf { pem: params.signed_by(&key, &self.issuer).unwrap().pem(), key }
    }
}

impl Leaf {
    pub(crate) fn pin(&self) -> String {
        STANDARD.encode(Sha256::digest(self.key.subject_public_key_info()))
    }
}

/// What the broker does on a connection.
#[derive(Clone)]
pub(crate) enum Behaviour {
    Good,
    /// Hangs up in place of an answer to this path.
    Close(&'static str),
    /// Refuses the credentials: status, code, and the seconds of `Retry-After`.
    Problem(u16, &'static str, Option<u32>),
    /// Answers this with this status, as it is.
    Raw(u16, String),
}

pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    behaviours: Mutex<VecDeque<Behaviour>>,
    /// What the answer to a good request has in place of a credential's own members.
    gives: Mutex<Value>,
    log: Mutex<Vec<String>>,
    /// How long what is given lasts, in seconds.
    life: AtomicU64,
    /// By how many seconds its clock is ahead.
    ahead: AtomicI64,
    server_spki: Vec<u8>,
    client_spki: Option<Vec<u8>>,
}

impl Broker {
    /// `client` is what clients' certificates are held against, and the one that is expected.
    pub(crate) fn start(
        leaf: &Leaf,
        versions: &[&'static SupportedProtocolVersion],
        client: Option<(&Authority, &Leaf)>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some((authority, _)) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
                    .unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(leaf.pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(leaf.key.serialize_pem().as_bytes()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.send_tls13_tickets = 0;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            behaviours: Mutex::default(),
            gives: Mutex::new(
                json!({"bearer": {"access_token": "e30.e30.AQ", "token_type": "Bearer"}}),
            ),
            log: Mutex::default(),
            life: AtomicU64::new(3600),
            ahead: AtomicI64::new(0),
            server_spki: leaf.key.subject_public_key_info(),
            client_spki: client.map(|(_, leaf)| leaf.key.subject_public_key_info()),
        });
        let (shared, config) = (state.clone(), Arc::new(config));
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let (state, config) = (shared.clone(), config.clone());
                thread::spawn(move || state.connection(tcp.unwrap(), config));
            }
        });
        Self { address, state }
    }

    /// What the next connections meet; those after them a good broker.
    pub(crate) fn behave(&self, behaviours: &[Behaviour]) {
        *self.state.behaviours.lock().unwrap() = behaviours.to_vec().into();
    }

    pub(crate) fn give(&self, gives: Value) {
        *self.state.gives.lock().unwrap() = gives;
    }

    pub(crate) fn lasts(&self, seconds: u64) {
        self.state.life.store(seconds, Relaxed);
    }

    /// Sets its clock: by so many seconds it is ahead.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.state.ahead.store(ahead, Relaxed);
    }

    /// What happened since it was last asked.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.log.lock().unwrap())
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

impl State {
    fn now(&self) -> SystemTime {
        let ahead = self.ahead.load(Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }

    fn say(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn connection(&self, tcp: TcpStream, config: Arc<ServerConfig>) {
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        let behaviour = self.behaviours.lock().unwrap().pop_front().unwrap_or(Behaviour::Good);
        let mut challenge = None;
        while let Some((path, body)) = request(&mut tls) {
            self.say(path.clone());
            if matches!(behaviour, Behaviour::Close(at) if at == path) {
                return;
            }
            let (status, headers, answer) = match (path.as_str(), &behaviour) {
                ("/v1/challenge", _) => {
                    assert_eq!(body, "{}");
                    let fresh: [u8; 32] = std::array::from_fn(|i| 7 ^ u8::try_from(i).unwrap());
                    challenge = Some(fresh);
                    let octets = URL_SAFE_NO_PAD.encode(fresh);
                    (200, String::new(), json!({"challenge": octets, "expires_in": 60}).to_string())
                }
                (_, Behaviour::Problem(status, code, after)) => {
                    let after = after.map(|s| format!("Retry-After: {s}\r\n")).unwrap_or_default();
                    (
                        *status,
                        format!("Content-Type: application/problem+json\r\n{after}"),
                        problem(*status, code),
                    )
                }
                (_, Behaviour::Raw(status, text)) => (*status, String::new(), text.clone()),
                ("/v1/credentials", _) => self.credentials(&tls.conn, challenge.take(), &body),
                ("/token", _) => self.token(&tls.conn, &body),
                _ => (404, String::new(), String::new()),
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\n{headers}Date: {}\r\nContent-Length: {}\r\n\r\n",
                httpdate::fmt_http_date(self.now()),
                answer.len()
            );
            if tls.write_all((head + &answer).as_bytes()).and_then(|()| tls.flush()).is_err() {
                return;
            }
        }
    }

    fn credentials(
        &self,
        tls: &ServerConnection,
        challenge: Option<[u8; 32]>,
        body: &str,
    ) -> (u16, String, String) {
        let refuse = |status, code| (status, String::new(), problem(status, code));
        let Some(challenge) = challenge else { return refuse(403, "challenge_expired") };
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 2);
        let request = URL_SAFE_NO_PAD.decode(body["request"].as_str().unwrap()).unwrap();
        let label = b"EXPORTER-libcloudauth-v1-client";
        let exported = tls.export_keying_material([0; 32], label, Some(&challenge)).unwrap();
        let hash = |octets: &[u8]| Sha256::digest(octets).to_vec();
        let client = match (&self.client_spki, tls.peer_certificates()) {
            (Some(spki), Some(_)) => [vec![1], hash(spki)].concat(),
            _ => vec![0; 33],
        };
        let message = [
            b"libcloudauth binder v1\0".to_vec(),
            vec![1],
            exported.to_vec(),
            challenge.to_vec(),
            hash(&self.server_spki),
            client,
            hash(AUDIENCE.as_bytes()),
            hash(&[b"POST /v1/credentials\n", request.as_slice()].concat()),
        ]
        .concat();
        assert_eq!(message.len(), 217);
        let claims = claims(body["attestation"].as_str().unwrap());
        if claims["eat_nonce"] != URL_SAFE_NO_PAD.encode(hash(&message)) {
            return refuse(403, "channel_mismatch");
        }
        self.say("bound");
        let request: Value = serde_json::from_slice(&request).unwrap();
        let mut answer = json!({"grant": request["grant"], "expires_at": in_seconds(self.now(), self.life.load(Relaxed))});
        let answer_object = answer.as_object_mut().unwrap();
        for (name, value) in self.gives.lock().unwrap().as_object().unwrap() {
            answer_object.insert(name.clone(), value.clone());
        }
        (200, "Content-Type: application/json\r\n".to_owned(), answer.to_string())
    }

    /// As the seed's broker: everything it checks, and two letters behind its answer.
    fn token(&self, tls: &ServerConnection, body: &str) -> (u16, String, String) {
        let body: Value = serde_json::from_str(body).unwrap();
        let exported = tls.export_keying_material([0; 32], b"my_nonce", None).unwrap();
        let jwt = body["token_jwt"].as_str().unwrap();
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &exported);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        aws_lc_rs::hmac::verify(&key, message.as_bytes(), &signature).unwrap();
        let attested = claims(body["attestation_jwt"].as_str().unwrap());
        assert_eq!(attested["aud"], AUDIENCE);
        assert_eq!(attested["eat_nonce"], json!([hex(&exported), hex(&Sha256::digest(jwt))]));
        self.say(format!(
            "asked {}",
            URL_SAFE_NO_PAD
                .decode(jwt.split('.').nth(1).unwrap())
                .map(String::from_utf8)
                .unwrap()
                .unwrap()
        ));
        let keys = json!({"Version": 0, "AccessKeyId": "ASIA1", "SecretAccessKey": "geheim",
            "SessionToken": "sitzung", "Expiration": hour()});
        let token = json!({"expires_in": hour(), "access_token": "marke"});
        let gives = if message.len() > 200 { keys } else { token };
        (200, String::new(), format!("{gives}\nok"))
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|c| format!("{c:02x}")).collect()
}

fn problem(status: u16, code: &str) -> String {
    json!({"type": format!("urn:libcloudauth:error:{code}"), "status": status, "title": code,
        "instance": "urn:uuid:record-1"})
    .to_string()
}

/// An hour from now.
fn hour() -> String {
    in_seconds(SystemTime::now(), 3600)
}

fn in_seconds(now: SystemTime, life: u64) -> String {
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let time = cloudauth_core::UnixTime::new(seconds.as_secs() + life).unwrap();
    String::from_utf8(time.rfc3339().to_vec()).unwrap()
}

pub(crate) fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// A JWT that nobody has signed.
pub(crate) fn token(claims: &Value) -> String {
    format!("e30.{}.AQ", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn request(stream: &mut Tls) -> Option<(String, String)> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, length) = head.split_once("content-length: ")?;
    let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    Some((path, String::from_utf8(body).unwrap()))
}

/// A teeserver: gives, in pieces, a token with what was asked for, or whatever `answer` makes of it.
pub(crate) fn teeserver(
    path: &Path,
    answer: impl Fn(&Value) -> (u16, String) + Send + 'static,
) -> Arc<Mutex<Vec<Value>>> {
    let listener = UnixListener::bind(path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            let mut reader = BufReader::new(&stream);
            while !text.ends_with("\r\n\r\n") && reader.read_line(&mut text).unwrap() > 0 {}
            assert!(text.starts_with("POST /v1/token HTTP/1.1\r\n"), "{text}");
            let (_, length) = text
                .to_lowercase()
                .split_once("content-length: ")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .unwrap();
            let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            log.lock().unwrap().push(body.clone());
            let (status, text) = answer(&body);
            let (first, second) = text.split_at(text.len() / 2);
            let mut chunks = String::new();
            for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
                chunks += &format!("{:x}\r\n{piece}\r\n", piece.len());
            }
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
            );
        }
    });
    asked
}

/// What a good teeserver answers.
pub(crate) fn good(asked: &Value) -> (u16, String) {
    let nonces = asked["nonces"].as_array().unwrap();
    let nonce = if nonces.len() == 1 { nonces[0].clone() } else { asked["nonces"].clone() };
    (200, token(&json!({"aud": asked["audience"], "eat_nonce": nonce})))
}
