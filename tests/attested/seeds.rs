//! The older brokers' protocol: their client, written anew in Go, with our broker; our client with their
//! server, likewise.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use cloudauth_emulator::{Config, Emulator, Options};
use serde_json::Value;

use crate::peers::{Material, program};

const AUDIENCE: &str = "https://broker.example";
const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
const SCOPE: &str = "https://vault.azure.net/.default";
const CLOUDAUTH: &str = "CLOUDAUTH";

/// An emulator with its socket and plain listener, and certificates.
struct World {
    emulator: Emulator,
    material: Material,
}

impl World {
    fn new() -> Self {
        let material = Material::new();
        let mut options = Options::default();
        options.config = Config::demo();
        options.listen_http = Some(([127, 0, 0, 1], 0).into());
        options.teeserver = Some(material.path().join("teeserver.sock"));
        let emulator = Emulator::start(options).unwrap();
        std::fs::write(material.path().join("emulator.pem"), emulator.ca_pem()).unwrap();
        Self { emulator, material }
    }

    fn file(&self, name: &str) -> String {
        self.material.path().join(name).to_str().unwrap().to_owned()
    }

    /// Our broker with a listener for each of the two kinds of clients.
    fn broker(&self) -> Broker {
        let (url, key) = (self.emulator.url(), self.file("server.key"));
        let attested = "issuer = 'google'\ndbgstat = 'disabled-since-boot'\n\
             image-digests = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'\n\
             swname = 'CONFIDENTIAL_SPACE'\nhwmodel = 'GCP_AMD_SEV'\nprojects = 'demo-project'\n\
             env = { HOSTNAME = 'workload-1', PATH = '/usr/local/bin:/usr/bin:/bin' }\n\
             args = ['/workload']\n";
        let config = format!(
            "audience = '{AUDIENCE}'\nca-file = 'emulator.pem'\n\
             [server]\nlisten = '127.0.0.1:0'\ncertificate = 'server.pem'\nkey = 'file:{key}'\n\
             client-ca = 'ca.pem'\nclient-certificate = 'required'\nadmin-listen = 'off'\n\
             records = 'records.jsonl'\n\
             [issuers.google]\nkind = 'confidential-space'\nissuer = '{url}/confidential-space'\n\
             keys = 'discovery'\ntrusted-ca = 'emulator.pem'\n\
             [grants.aws.attested]\n{attested}\
             [grants.aws.give]\nkind = 'aws-assume-role'\naccess-key-id = 'AKIAIOSFODNN7EXAMPLE'\n\
             role-arn = '{ROLE}'\nregion = 'eu-central-1'\nduration = 1800\nendpoint-url = '{url}'\n\
             [grants.azure.attested]\n{attested}\
             [grants.azure.give]\nkind = 'azure-token'\nauthority = '{url}'\n\
             tenant = '11111111-2222-3333-4444-555555555555'\n\
             client-id = '66666666-7777-8888-9999-000000000000'\nscopes = ['{SCOPE}']\n\
             [[compatibility]]\nlisten = '127.0.0.1:0'\nscheme = 'seed-aws'\ngrant = 'aws'\n\
             [[compatibility]]\nlisten = '127.0.0.1:0'\nscheme = 'seed-azure'\ngrant = 'azure'\n"
        );
        std::fs::write(self.file("broker.toml"), config).unwrap();
        let mut child = cloudauth()
            .args(["broker", "serve", "--config", &self.file("broker.toml")])
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .env("AZURE_CLIENT_SECRET", "demo-secret")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = first_line(&mut child).1;
        let said: Value = serde_json::from_str(&said).expect("the broker says where it is");
        let address = |at: usize| said["compatibility"][at].as_str().unwrap().to_owned();
        Broker { aws: address(0), azure: address(1), child }
    }

    /// The Go client, with what every call has in common.
    fn seed_client(&self, address: &str, more: &[&str]) -> Output {
        Command::new(program("seed-client"))
            .args(["-host", address, "-endpoint", &format!("https://{address}/token")])
            .args(["-audience", AUDIENCE, "-trust-ca", &self.file("ca.pem")])
            .args(["-cert", &self.file("client.pem"), "-key", &self.file("client.key")])
            .args(["-attestation_token_path", &self.file("teeserver.sock")])
            .args(["-nonces-to", &self.file("nonces")])
            .args(more)
            .output()
            .unwrap()
    }

    /// The Go server, and its port.
    fn seed_server(&self, more: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
        let mut server = Command::new(program("seed-server"));
        server
            .args(["-serverCert", &self.file("server.pem"), "-serverKey", &self.file("server.key")])
            .args(["-clientCertRootCA", &self.file("ca.pem")]);
        self.go_server(server, more)
    }

    /// What both of Go's servers have in common.
    fn go_server(
        &self,
        mut command: Command,
        more: &[&str],
    ) -> (Child, BufReader<ChildStdout>, String) {
        let http = self.emulator.http_url().unwrap();
        std::fs::write(self.file("jwks.json"), get(&http, "/confidential-space/jwks")).unwrap();
        let mut child = command
            .args(["-audience", AUDIENCE, "-jwks", &self.file("jwks.json")])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, line) = first_line(&mut child);
        let port = line.strip_prefix("port ").expect("a port").to_owned();
        (child, output, port)
    }

    /// Our process credential in that mode.
    fn seed(&self, port: &str, more: &[&str]) -> Output {
        cloudauth()
            .args(["attested", "seed", &format!("--host=localhost:{port}")])
            .arg(format!("--endpoint=https://localhost:{port}/token"))
            .args(["--audience", AUDIENCE, "--trust-ca", &self.file("ca.pem"), "--use-mtls"])
            .args(["--cert", &self.file("client.pem"), "--key", &self.file("client.key")])
            .args(["--attestation_token_path", &self.file("teeserver.sock")])
            .args(more)
            .output()
            .unwrap()
    }
}

struct Broker {
    aws: String,
    azure: String,
    child: Child,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cloudauth() -> Command {
    let program = std::env::var_os(CLOUDAUTH).expect("tests/attested/run sets CLOUDAUTH");
    Command::new(program)
}

fn first_line(child: &mut Child) -> (BufReader<ChildStdout>, String) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    (output, line.trim().to_owned())
}

/// A page without TLS.
fn get(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refused(output: &Output, why: &str) {
    assert!(!output.status.success(), "{why}: {}", text(&output.stdout));
    assert!(text(&output.stderr).contains(why), "{why}: {}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{why}");
}

const ROLE_FLAGS: [&str; 6] = [
    "-use-assume-role",
    "-aws-arn",
    ROLE,
    "-aws-session-name",
    "chosen-by-the-client",
    "-duration=1200",
];

#[test]
#[ignore = "tests/attested/run builds the programs"]
fn their_client_and_our_broker() {
    let world = World::new();
    let broker = world.broker();
    let credential = json(&world.seed_client(&broker.aws, &ROLE_FLAGS));
    assert_eq!(credential["Version"], 1);
    let [session] = world.emulator.sessions().try_into().expect("one session");
    assert_eq!(
        (credential["AccessKeyId"].as_str(), session.role_arn.as_deref()),
        (Some(session.access_key_id.as_str()), Some(ROLE))
    );
    // The session's name is the broker's to give.
    assert_eq!(session.session_name.as_deref(), Some("1234567890123456789"));
    let token = json(&world.seed_client(&broker.azure, &["-azure", "-scope", SCOPE]));
    assert!(token["access_token"].as_str().unwrap().starts_with("ey"));

    let with = |more: &[&str]| world.seed_client(&broker.aws, &[&ROLE_FLAGS, more].concat());
    for wrong in ["other-key", "swapped", "one-nonce", "unbound", "no-body"] {
        refused(&with(&["-wrong", wrong]), "seed-client: 4");
    }
    // The first is answered, the second finds the connection ended.
    let twice = with(&["-wrong", "twice"]);
    assert!(!twice.status.success() && text(&twice.stdout).contains("AccessKeyId"));
    refused(&with(&["-aws-arn", "arn:aws:iam::123456789012:role/other"]), "403");
    refused(&with(&["-duration=3600"]), "403");
    refused(&with(&["-use-assume-role=false"]), "403");
    refused(&with(&["-azure"]), "403");
    refused(&with(&["-audience", "https://other.example"]), "403");
    refused(
        &with(&["-endpoint", &format!("https://{}/other", broker.aws)]),
        "there is nothing here",
    );
    let scope = ["-azure", "-scope", "https://graph.microsoft.com/.default"];
    refused(&world.seed_client(&broker.azure, &scope), "403");
    // Without a client certificate there is no connection.
    refused(&with(&["-cert", ""]), "seed-client: ");
    assert_eq!(world.emulator.sessions().len(), 2, "one, and the first of the two");

    // Every decision has a record, and none shows what the connection exported.
    let records = std::fs::read_to_string(world.file("records.jsonl")).unwrap();
    assert!(records.lines().count() >= 13, "{}", records.lines().count());
    let secrets = ["wJalrXUtnFEMI", "demo-secret", credential["SecretAccessKey"].as_str().unwrap()];
    assert!(!secrets.iter().any(|secret| records.contains(secret)));
    let nonces = std::fs::read_to_string(world.file("nonces")).unwrap();
    assert!(nonces.lines().count() >= 20 && nonces.lines().all(|nonce| nonce.len() == 64));
    assert!(!nonces.lines().any(|nonce| records.contains(nonce)));
}

#[test]
#[ignore = "tests/attested/run builds the programs"]
fn our_client_and_their_server() {
    let world = World::new();
    let (mut server, mut said, port) = world.seed_server(&[]);
    let flags = [
        "--use-assume-role",
        "--aws-arn",
        ROLE,
        "--aws-session-name",
        "s",
        "--duration=1200",
        "--aws-region=r",
    ];
    let credential = json(&world.seed(&port, &flags));
    assert_eq!(
        (credential["Version"].as_u64(), credential["AccessKeyId"].as_str()),
        (Some(1), Some("ASIASEEDEXAMPLE"))
    );
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    // Member for member, as the seeds' clients write it.
    let expected = format!(
        r#"{{"use_assume_role":true,"access_key_id":"","role_arn":"{ROLE}","region":"r","duration":1200,"session_name":"s"}}"#
    );
    assert_eq!(line.trim(), expected);
    refused(&world.seed(&port, &["--audience=https://other.example"]), "400");
    server.kill().unwrap();
    server.wait().unwrap();

    for (mode, why) in [("error", "500"), ("truncated", ""), ("expired", "")] {
        let (mut server, _said, port) = world.seed_server(&["-answer", mode]);
        refused(&world.seed(&port, &flags), why);
        server.kill().unwrap();
        server.wait().unwrap();
    }

    let (mut server, mut said, port) = world.seed_server(&["-azure"]);
    let config = world.file("client.toml");
    std::fs::write(
        &config,
        format!(
            "[profiles.old]\nkind = 'attested'\nbroker = 'https://localhost:{port}/token'\n\
             ca-file = '{}'\naudience = '{AUDIENCE}'\nteeserver = '{}'\ncertificate = '{}'\nkey = 'file:{}'\n\
             scheme = 'seed'\nseed = {{ cloud = 'azure', scope = '{SCOPE}' }}\n",
            world.file("ca.pem"),
            world.file("teeserver.sock"),
            world.file("client.pem"),
            world.file("client.key"),
        ),
    )
    .unwrap();
    let output = cloudauth().args(["attested", "azure", "--config", &config]).output().unwrap();
    assert!(text(&output.stdout).contains("seed-access-token"), "{}", text(&output.stderr));
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!(r#"{{"scope":"{SCOPE}"}}"#));
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Binder v1, which that broker computes from the protocol's text.
#[test]
#[ignore = "tests/attested/run builds the programs"]
fn our_client_and_a_broker_in_go() {
    let world = World::new();
    let issuer = format!("{}/confidential-space", world.emulator.url());
    let mut peer = Command::new(program("peer"));
    peer.args(["-cert", &world.file("server.pem"), "-key", &world.file("server.key")]);
    let digest = format!("sha256:{}", "1".repeat(64));
    let workload = ["-issuer", &issuer, "-image-digest", &digest, "-project", "demo-project"];
    let (mut server, _said, port) = world.go_server(peer, &workload);
    let ask = |audience: &str, grant: &str| {
        let config = world.file("client.toml");
        let text = format!(
            "[profiles.p]\nkind = 'attested'\nbroker = 'https://localhost:{port}'\nca-file = '{}'\n\
             audience = '{audience}'\ngrant = '{grant}'\nteeserver = '{}'\n",
            world.file("ca.pem"),
            world.file("teeserver.sock"),
        );
        std::fs::write(&config, text).unwrap();
        cloudauth().args(["attested", "aws", "--config", &config]).output().unwrap()
    };
    assert_eq!(json(&ask(AUDIENCE, "g"))["AccessKeyId"], "ASIAEXAMPLE");
    refused(&ask(AUDIENCE, "other"), "denied");
    refused(&ask("https://other.example", "g"), "denied");
    server.kill().unwrap();
    server.wait().unwrap();
}
