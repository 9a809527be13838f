//! Attacks on our own client. Its adversary is the operator, who sets its environment and the network, and whoever
//! stole a broker's key. It runs in a process of its own, so that the environment is its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;

use cloudauth_client::{Config, Credential, Inputs};
use rustls::{ServerConnection, StreamOwned};

use crate::channel::server_config;
use crate::leaks;
use crate::sink::Sink;
use crate::table::{Expect, Outcome, Table};
use crate::world::{AUDIENCE, Authority, TENANT, World};

/// The word that makes this program a client: its configuration follows.
pub(crate) const CLIENT: &str = "--client";

/// Gets the one credential that a configuration names.
pub(crate) fn client(config: &str) -> ExitCode {
    let get = async {
        let config = Config::from_file(Path::new(config))?;
        let client = config.client(Inputs::default(), 0)?;
        config.provider(&client, "p")?.credential().await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(get) {
        Ok(credential) => {
            let kind = match &*credential {
                Credential::Aws(_) => "AWS credentials",
                Credential::Secrets(_) => "secrets",
                _ => "a token",
            };
            println!("{kind}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text = format!("{text}: {error}");
                source = error.source();
            }
            println!("{text}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    let attacker = Authority::new("attacker");
    world.write("attacker-ca.pem", &attacker.pem);
    redirected(table, &world, &attacker);
    environment(table, &world);
    other_accounts(table, &world);
}

/// A client's run.
struct Run<'a> {
    world: &'a World,
    broker: SocketAddr,
    trust: &'a str,
    more: String,
    environment: Vec<(&'static str, String)>,
}

impl<'a> Run<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            world,
            broker: world.api(),
            trust: "ca-file = 'broker-ca.pem'",
            more: "grant = 'reader'".to_owned(),
            environment: Vec::new(),
        }
    }

    /// At 0.0.0.0, which leads to this machine and is none of the addresses that no proxy is asked for.
    fn write(&self, name: &str) {
        let socket = self.world.emulator.teeserver().unwrap().display();
        self.world.write(
            name,
            &format!(
                "timeout = 20\n[profiles.p]\nkind = 'attested'\nbroker = 'https://localhost'\naddress = '0.0.0.0:{}'\nserver-name = 'localhost'\n\
                 {}\naudience = '{AUDIENCE}'\nteeserver = '{socket}'\n{}\n",
                self.broker.port(),
                self.trust,
                self.more
            ),
        );
    }

    fn run(&self) -> Outcome {
        self.write("client.toml");
        self.command(&self.world.path("client.toml"))
    }

    fn command(&self, config: &Path) -> Outcome {
        let output = Command::new(std::env::current_exe().unwrap())
            .arg(CLIENT)
            .arg(config)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        leaks::text(
            "a client's output",
            format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        );
        match output.status.success() {
            true => Outcome::Accepted(text),
            false => Outcome::Refused(text),
        }
    }
}

/// A server that says it is the broker, with a certificate of the attacker's. Whatever it is asked is kept.
struct Impostor {
    address: SocketAddr,
    asked: Arc<std::sync::Mutex<String>>,
}

impl Impostor {
    fn new(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(server_config(&authority.issue()));
        let asked = Arc::<std::sync::Mutex<String>>::default();
        let kept = asked.clone();
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let mut tls =
                    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp.unwrap());
                let mut octets = [0; 4096];
                if let Ok(n @ 1..) = tls.read(&mut octets) {
                    kept.lock().unwrap().push_str(&String::from_utf8_lossy(&octets[..n]));
                    let _ = tls.write_all(
                        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                    let _ = tls.flush();
                }
            }
        });
        Self { address, asked }
    }

    fn unless_asked(&self, outcome: Outcome) -> Outcome {
        match self.asked.lock().unwrap().is_empty() {
            true => outcome,
            false => Outcome::Accepted("the impostor got a request".to_owned()),
        }
    }
}

/// The network leads to an impostor, and the environment says that his CA is good.
fn redirected(table: &mut Table, world: &World, attacker: &Authority) {
    let operators = world.path("attacker-ca.pem").display().to_string();
    let names =
        ["SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    let environment = || {
        let value = |name: &str| {
            if name == "SSL_CERT_DIR" {
                world.folder.path().display().to_string()
            } else {
                operators.clone()
            }
        };
        names.map(|name| (name, value(name))).to_vec()
    };
    let passed = Run { environment: environment(), ..Run::new(world) }.run();
    let impostor = Impostor::new(attacker);
    let refused =
        Run { broker: impostor.address, environment: environment(), ..Run::new(world) }.run();
    let near = "the same variables, the broker itself";
    table.attack(
        "the operator's CA in SSL_CERT_FILE",
        "an impostor with a certificate of that CA",
        &impostor.unless_asked(refused),
        Expect::Refused("certificate"),
        near,
        &passed,
    );
    let pin = format!("pin = '{}'", crate::binder::hex(&crate::binder::sha256(&world.leaf.spki())));
    let passed = Run { trust: &pin, environment: environment(), ..Run::new(world) }.run();
    let refused = Run {
        broker: impostor.address,
        trust: &pin,
        environment: environment(),
        ..Run::new(world)
    }
    .run();
    table.attack(
        "the operator's CA in SSL_CERT_FILE, a pin in the configuration",
        "an impostor with a certificate of that CA",
        &impostor.unless_asked(refused),
        Expect::Refused("not the one that is pinned"),
        near,
        &passed,
    );
    let refused =
        Run { broker: impostor.address, trust: "", environment: environment(), ..Run::new(world) }
            .run();
    table.attack(
        "no CA in the configuration, the operator's in SSL_CERT_FILE",
        "neither ca-file nor pin",
        &impostor.unless_asked(refused),
        Expect::Refused("ca-file"),
        near,
        &passed,
    );
    // That the attack is one: where the configuration trusts the environment, the impostor is believed.
    let trusting = "trust-environment = true";
    let believed = Run {
        broker: impostor.address,
        trust: trusting,
        environment: environment(),
        ..Run::new(world)
    }
    .run();
    assert!(!believed.is_accepted() && !impostor.asked.lock().unwrap().is_empty(), "{believed:?}");
}

/// Variables that lead elsewhere.
fn environment(table: &mut Table, world: &World) {
    let plain = Run::new(world).run();
    let nothing = |sink: &Sink, outcome: &Outcome| match (sink.asked(), outcome.is_accepted()) {
        (0, true) => {
            Outcome::Refused("the attacker's server saw nothing, the broker was asked".to_owned())
        }
        (n, _) => {
            Outcome::Accepted(format!("the attacker's server was asked {n} times: {outcome:?}"))
        }
    };
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"] {
        let sink = Sink::new();
        let environment = vec![(name, format!("http://{}", sink.address()))];
        let outcome = Run { environment, ..Run::new(world) }.run();
        let refused = nothing(&sink, &outcome);
        table.attack(
            "a proxy variable",
            name,
            &refused,
            Expect::Refused("saw nothing"),
            "without it",
            &plain,
        );
    }
    let sink = Sink::new();
    let environment = vec![("HTTPS_PROXY", format!("http://{}", sink.address()))];
    let trust = "trust-environment = true\nca-file = 'broker-ca.pem'";
    let trusting = Run { environment, trust, ..Run::new(world) }.run();
    assert!(sink.asked() > 0, "where the environment is trusted, the proxy is: {trusting:?}");

    let url = world.emulator.url();
    let account = format!(
        "grant = 'reader'\nexpect-account = '123456789012'\nsts-endpoint-url = '{url}'\nsts-ca-file = 'emulator-ca.pem'"
    );
    let passed = Run { more: account.clone(), ..Run::new(world) }.run();
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_REGION", "AWS_CONFIG_FILE"] {
        let sink = Sink::new();
        let environment = vec![(name, sink.url())];
        let outcome = Run { environment, more: account.clone(), ..Run::new(world) }.run();
        let refused = nothing(&sink, &outcome);
        table.attack(
            "an endpoint variable",
            name,
            &refused,
            Expect::Refused("saw nothing"),
            "without it",
            &passed,
        );
    }

    // A whole configuration of the operator's.
    let impostor = Impostor::new(&Authority::new("attacker"));
    let run =
        Run { broker: impostor.address, trust: "ca-file = 'attacker-ca.pem'", ..Run::new(world) };
    run.write("operators.toml");
    let path = world.path("operators.toml");
    let run = Run {
        environment: vec![("CLOUDAUTH_CONFIG", path.display().to_string())],
        ..Run::new(world)
    };
    let refused = impostor.unless_asked(run.command(&path));
    let passed = run.run();
    table.attack(
        "a configuration file that a variable names",
        "CLOUDAUTH_CONFIG, an attested profile in it",
        &refused,
        Expect::Refused("attested"),
        "one that is named otherwise",
        &passed,
    );
}

/// A broker that gives away what is not the workload's: it would write its secrets there.
fn other_accounts(table: &mut Table, world: &World) {
    let url = world.emulator.url();
    let sts = format!("sts-endpoint-url = '{url}'\nsts-ca-file = 'emulator-ca.pem'");
    let with = |more: String| Run { more, ..Run::new(world) }.run();
    let other = Expect::Refused("whose broker is this");
    let passed = with(format!("grant = 'reader'\nexpect-account = '123456789012'\n{sts}"));
    let refused = with(format!("grant = 'reader'\nexpect-account = '999999999999'\n{sts}"));
    let name = "a broker that hands out another account's credentials";
    table.attack(
        name,
        "AWS, expect-account 999999999999",
        &refused,
        other,
        "of the expected account",
        &passed,
    );
    let refused = with(format!("grant = 'azure'\nexpect-account = '123456789012'\n{sts}"));
    table.attack(
        name,
        "a token of Azure, expect-account",
        &refused,
        other,
        "of the expected account",
        &passed,
    );
    let passed = with(format!("grant = 'azure'\nexpect-tenant = '{TENANT}'"));
    let refused =
        with("grant = 'azure'\nexpect-tenant = '99999999-2222-3333-4444-555555555555'".to_owned());
    table.attack(
        name,
        "Azure, expect-tenant of another",
        &refused,
        other,
        "of the expected tenant",
        &passed,
    );
    let refused = with(format!("grant = 'reader'\nexpect-tenant = '{TENANT}'"));
    table.attack(
        name,
        "AWS credentials, expect-tenant",
        &refused,
        other,
        "of the expected tenant",
        &passed,
    );
    let refused = with("grant = 'azure'\nexpect-project = 'demo-project'".to_owned());
    table.attack(
        name,
        "a token of Azure, expect-project",
        &refused,
        other,
        "of the expected tenant",
        &passed,
    );
}
