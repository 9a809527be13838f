//! A broker beside an emulator, and everything that goes from one to the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cloudauth_broker::{Addresses, Broker};
use cloudauth_emulator::{AttestationToken, Config, Emulator, Options};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
use serde_json::Value;

use crate::leaks;
use crate::table::Outcome;
use crate::wire::{Client, Dialer, Heard};

pub(crate) const AUDIENCE: &str = "https://broker.example";
pub(crate) const READER: &str = r#"{"grant":"reader"}"#;
pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/demo";

/// An authority, and what it issues.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Leaf {
    pub(crate) fn spki(&self) -> Vec<u8> {
        KeyPair::from_pem(&self.key).unwrap().subject_public_key_info()
    }
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
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Leaf { pem, key: key.serialize_pem() }
    }
}

/// What a broker is told while it runs.
enum Command {
    Reload(mpsc::Sender<Result<(), String>>),
    /// Time passes.
    Advance(Duration, mpsc::Sender<()>),
}

/// A broker on a thread and a runtime of its own.
pub(crate) struct Running {
    pub(crate) addresses: Addresses,
    commands: Option<tokio::sync::mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(config: PathBuf, own_clock: bool) -> Result<Self, String> {
        let (told, started) = mpsc::channel();
        let (commands, mut waiting) = tokio::sync::mpsc::unbounded_channel();
        let thread = thread::spawn(move || {
            // A clock can be changed where there is one thread.
            let mut builder = match own_clock {
                true => tokio::runtime::Builder::new_current_thread(),
                false => tokio::runtime::Builder::new_multi_thread(),
            };
            let runtime = builder.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let broker = match Broker::start(&config).await {
                    Ok(broker) => broker,
                    Err(error) => return told.send(Err(error.to_string())).unwrap(),
                };
                told.send(Ok(broker.addresses().clone())).unwrap();
                while let Some(command) = waiting.recv().await {
                    match command {
                        Command::Reload(told) => {
                            told.send(broker.reload().await.map_err(|e| e.to_string())).unwrap();
                        }
                        Command::Advance(by, told) => {
                            tokio::time::pause();
                            tokio::time::advance(by).await;
                            tokio::time::resume();
                            told.send(()).unwrap();
                        }
                    }
                }
            });
        });
        let addresses = started.recv().map_err(|e| e.to_string())??;
        Ok(Self { addresses, commands: Some(commands), thread: Some(thread) })
    }

    fn tell<T>(&self, command: impl FnOnce(mpsc::Sender<T>) -> Command) -> T {
        let (told, done) = mpsc::channel();
        let sent = self.commands.as_ref().unwrap().send(command(told));
        assert!(sent.is_ok(), "the broker has ended");
        done.recv().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A broker, its configuration in a folder, and the emulator that it trusts.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) leaf: Leaf,
    /// Who issues clients' certificates, where they are asked for.
    pub(crate) clients: Authority,
    running: Option<Running>,
    own_clock: bool,
}

impl World {
    /// `server` is added to `[server]`, `more` to the end of the configuration.
    pub(crate) fn new(server: &str, more: &str) -> Self {
        let mut world = Self::still();
        world.configure(server, more);
        world.start().unwrap();
        world
    }

    /// One whose clock can be moved.
    pub(crate) fn with_own_clock(server: &str) -> Self {
        let mut world = Self::still();
        world.own_clock = true;
        world.configure(server, "");
        world.start().unwrap();
        world
    }

    /// One whose broker does not run yet.
    pub(crate) fn still() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.config = Config::demo();
        options.teeserver = Some(folder.path().join("teeserver.sock"));
        let emulator = Emulator::start(options).unwrap();
        let authority = Authority::new("brokers");
        let leaf = authority.issue();
        let clients = Authority::new("clients");
        let world =
            Self { emulator, folder, authority, leaf, clients, running: None, own_clock: false };
        world.write("emulator-ca.pem", world.emulator.ca_pem());
        world.write("root.pem", &world.emulator.attestation_root_pem().unwrap());
        world.write("aws-secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        world.write("azure-secret", "demo-secret");
        world.write("clients.pem", &world.clients.pem);
        world.write("broker-ca.pem", &world.authority.pem);
        world.write("broker.pem", &world.leaf.pem);
        world.write("broker-key.pem", &world.leaf.key);
        leaks::secret("the base credential", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// What a grant fixes of the emulator's workload, but for its image.
    pub(crate) fn workload() -> &'static str {
        "issuer = 'google'\ndbgstat = 'disabled-since-boot'\nswname = 'CONFIDENTIAL_SPACE'\n\
         hwmodel = 'GCP_AMD_SEV'\nprojects = 'demo-project'\n"
    }

    /// A give of AWS's demo role.
    pub(crate) fn assume_role(&self) -> String {
        let url = self.emulator.url();
        let secret = self.path("aws-secret");
        format!(
            "kind = 'aws-assume-role'\naccess-key-id = 'AKIAIOSFODNN7EXAMPLE'\nkey = 'file:{}'\n\
             role-arn = '{ROLE}'\nregion = 'eu-central-1'\nduration = 1800\nendpoint-url = '{url}'\n",
            secret.display()
        )
    }

    /// A give of the demo application's token.
    pub(crate) fn azure_token(&self) -> String {
        let (url, secret) = (self.emulator.url(), self.path("azure-secret"));
        format!(
            "kind = 'azure-token'\ntenant = '{TENANT}'\n\
             client-id = '66666666-7777-8888-9999-000000000000'\nclient-secret = 'file:{}'\n\
             scopes = ['https://vault.azure.net/.default']\nauthority = '{url}'\n",
            secret.display()
        )
    }

    /// A grant, as it stands in a configuration.
    pub(crate) fn grant(&self, name: &str, attested: &str, give: &str) -> String {
        format!("[grants.{name}.attested]\n{attested}\n[grants.{name}.give]\n{give}\n")
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, server: &str, more: &str) {
        let (folder, url) = (self.folder.path().display(), self.emulator.url());
        let image = |digit: &str| format!("image-digests = 'sha256:{}'\n", digit.repeat(64));
        let attested = |digit| format!("{}{}", Self::workload(), image(digit));
        let grants = [
            self.grant("reader", &attested("1"), &self.assume_role()),
            self.grant("azure", &attested("1"), &self.azure_token()),
            self.grant("other", &attested("9"), &self.assume_role()),
        ]
        .concat();
        self.write(
            "broker.toml",
            &format!(
                "audience = '{AUDIENCE}'\nca-file = 'emulator-ca.pem'\n\n\
                 [server]\nlisten = '127.0.0.1:0'\nadmin-listen = '127.0.0.1:0'\n\
                 certificate = 'broker.pem'\nkey = 'file:{folder}/broker-key.pem'\n\
                 records = 'records.jsonl'\n{server}\n\
                 [issuers.google]\nkind = 'confidential-space'\nissuer = '{url}/confidential-space'\n\
                 keys = 'discovery'\ntrusted-ca = 'emulator-ca.pem'\nroot = 'root.pem'\n\
                 [issuers.microsoft]\nkind = 'maa'\nissuer = '{url}/maa'\n\
                 keys = 'discovery'\ntrusted-ca = 'emulator-ca.pem'\n{grants}\n{more}"
            ),
        );
    }

    /// Starts the broker, and waits until it can decide.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.running = Some(Running::start(self.path("broker.toml"), self.own_clock)?);
        let limit = Instant::now() + Duration::from_secs(20);
        while !self.admin("/readyz").starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < limit, "{}", self.admin("/readyz"));
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn reload(&self) -> Result<(), String> {
        self.running().tell(Command::Reload)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.running().tell(|told| Command::Advance(by, told));
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.running().addresses.api
    }

    pub(crate) fn compatibility(&self, at: usize) -> SocketAddr {
        self.running().addresses.compatibility[at]
    }

    /// What the plain listener says.
    pub(crate) fn admin(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let address = self.running().addresses.admin.unwrap();
        let mut tcp = std::net::TcpStream::connect(address).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        tcp.read_to_string(&mut text).unwrap();
        leaks::text("metrics and health", text.clone());
        text
    }

    pub(crate) fn dialer(&self) -> Dialer {
        Dialer::new(&self.authority.pem)
    }

    /// A connection with nothing wrong about it.
    pub(crate) fn connect(&self) -> Client {
        self.dialer().connect(self.api()).unwrap()
    }

    pub(crate) fn mint(&self, token: &AttestationToken) -> String {
        let token = self.emulator.attestation_token(token).unwrap();
        leaks::token(&token);
        token
    }

    /// A good token with these nonces.
    pub(crate) fn token(&self, nonces: &[&str]) -> AttestationToken {
        for nonce in nonces {
            leaks::secret("a nonce", nonce);
        }
        AttestationToken {
            audience: AUDIENCE.to_owned(),
            nonces: nonces.iter().map(|&nonce| nonce.to_owned()).collect(),
            ..AttestationToken::default()
        }
    }

    /// What was heard, with its record.
    pub(crate) fn outcome(&self, heard: Heard) -> Outcome {
        let record = match &heard {
            Heard::Answer(answer) => self.record(answer),
            Heard::Closed(_) | Heard::Nothing => Value::Null,
        };
        Outcome::heard(heard, record)
    }

    /// The record that an answer names. Those of malformed requests may come after the answer.
    fn record(&self, answer: &crate::wire::Answer) -> Value {
        let json = answer.json();
        // Compatibility answers end in their text with it.
        let id = json["instance"].as_str().map(str::to_owned).or_else(|| {
            answer.body.trim_end().strip_suffix(')')?.rsplit_once('(').map(|(_, id)| id.to_owned())
        });
        let id = id.filter(|id| id.len() == 32);
        // Good ones do not name theirs: it is the last, for it is written before the answer.
        let good = (answer.status == 200).then(|| "\"verdict\":\"granted\"".to_owned());
        let Some(id) = good.or(id) else { return Value::Null };
        let limit = Instant::now() + Duration::from_secs(2);
        loop {
            let records = std::fs::read_to_string(self.path("records.jsonl")).unwrap_or_default();
            let line = records.lines().rev().find(|line| line.contains(&id));
            if let Some(record) = line.and_then(|line| serde_json::from_str(line).ok()) {
                return record;
            }
            if Instant::now() > limit {
                return Value::Null;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A whole exchange on a connection, with a token that is changed after it was bound.
    pub(crate) fn exchange_on(
        &self,
        client: &mut Client,
        request: &str,
        change: impl FnOnce(&mut AttestationToken),
    ) -> Outcome {
        let challenge = client.challenge();
        let nonce = client.binder(challenge, request).nonce();
        let mut token = self.token(&[&nonce]);
        change(&mut token);
        let token = self.mint(&token);
        self.outcome(client.credentials(request, &token))
    }

    /// The same on a connection of its own.
    pub(crate) fn exchange(
        &self,
        request: &str,
        change: impl FnOnce(&mut AttestationToken),
    ) -> Outcome {
        self.exchange_on(&mut self.connect(), request, change)
    }

    /// With nothing wrong about it.
    pub(crate) fn good(&self) -> Outcome {
        self.exchange(READER, |_| {})
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running = None;
        let records = std::fs::read_to_string(self.path("records.jsonl")).unwrap_or_default();
        leaks::text("the decision records", records);
    }
}
