//! `cloudauth attested` against a broker and a teeserver that share no code with it.

pub(crate) mod stub;

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Instant;

use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use stub::{AUDIENCE, Authority, Behaviour, Broker, Leaf, claims, good, teeserver, token};
use tempfile::TempDir;

use crate::program::{cloudauth, run};

/// A broker, a teeserver, and a folder with what names them.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    authority: Authority,
    leaf: Leaf,
    pub(crate) broker: Broker,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    fn with(client: Option<(&Authority, &Leaf)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let leaf = authority.issue("localhost");
        let broker = Broker::start(&leaf, &[&TLS13], client);
        let world = Self { folder, authority, leaf, broker };
        world.write("ca.pem", &world.authority.pem);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn teeserver(&self) -> std::sync::Arc<std::sync::Mutex<Vec<Value>>> {
        teeserver(&self.path("tee.sock"), good)
    }

    /// A configuration with these lines besides the usual.
    fn config(&self, more: &str) -> String {
        let port = self.broker.address.port();
        let text = format!(
            "[profiles.p]\nkind = 'attested'\nbroker = 'https://localhost:{port}'\n\
             audience = '{AUDIENCE}'\n{more}\n"
        );
        self.write("config.toml", &text)
    }

    fn usual(&self, more: &str) -> String {
        self.config(&format!("ca-file = 'ca.pem'\ngrant = 'g'\nteeserver = 'tee.sock'\n{more}"))
    }
}

fn text(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// What a command prints.
fn attested(cloud: &str, config: &str) -> Result<String, String> {
    let output = run(&mut cloudauth(&["attested", cloud, "--config", config]), b"");
    let (stdout, stderr) = text(&output);
    if output.status.success() {
        return Ok(stdout);
    }
    assert_eq!(stdout, "");
    for secret in ["geheim", "sitzung", "eyJ"] {
        assert!(!stderr.contains(secret), "{stderr}");
    }
    Err(stderr)
}

fn keys() -> Value {
    json!({"aws": {"access_key_id": "ASIA1", "secret_access_key": "geheim",
        "session_token": "sitzung", "region": "eu-central-1"}})
}

const ONCE: [&str; 3] = ["/v1/challenge", "/v1/credentials", "bound"];

#[test]
fn credentials_of_each_kind() {
    let world = World::new();
    let asked = world.teeserver();
    let config = world.usual("");
    assert_eq!(attested("azure", &config).unwrap(), "e30.e30.AQ\n");
    assert_eq!(world.broker.log(), ONCE);
    let asked = asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked["token_type"], "OIDC");
    assert_eq!(asked["audience"], AUDIENCE);
    assert_eq!(asked["nonces"][0].as_str().unwrap().len(), 43);
    assert_eq!(asked.as_object().unwrap().len(), 3);
    // A grant of another cloud is told.
    assert!(attested("aws", &config).unwrap_err().contains("azure or gcp"));

    world.broker.give(keys());
    let printed: Value = serde_json::from_str(&attested("aws", &config).unwrap()).unwrap();
    assert_eq!(printed["Version"], 1);
    assert_eq!(printed["SessionToken"], "sitzung");
    assert!(attested("gcp", &config).unwrap_err().contains("is of aws"));
    // `credential` gives it too, and nothing comes out of a cache.
    world.broker.log();
    let cache = world.path("cache");
    for _ in 0..2 {
        let mut command = cloudauth(&["credential", "--profile", "p", "--config", &config]);
        command.args(["--cache-dir", cache.to_str().unwrap()]);
        assert!(run(&mut command, b"").status.success());
    }
    assert_eq!(world.broker.log(), [ONCE, ONCE].concat());
    assert!(!cache.exists() || fs::read_dir(cache).unwrap().next().is_none());
}

#[test]
fn with_a_pin_and_a_client_certificate() {
    let clients = Authority::new();
    let client = clients.issue("client");
    let world = World::with(Some((&clients, &client)));
    world.teeserver();
    world.write("client.pem", &client.pem);
    let key = world.write("client.key", &client.key.serialize_pem());
    let pin = world.leaf.pin();
    let mutual = format!("certificate = 'client.pem'\nkey = 'file:{key}'");
    let config = |pin: &str, more: &str| {
        world.config(&format!("pin = '{pin}'\ngrant = 'g'\nteeserver = 'tee.sock'\n{more}"))
    };
    attested("gcp", &config(&pin, &mutual)).unwrap();
    assert_eq!(world.broker.log(), ONCE);
    // Whose name it has does not count, with a pin.
    let other_name = format!("{mutual}\nserver-name = 'other.example'");
    attested("gcp", &config(&pin, &other_name)).unwrap();
    world.broker.log();
    let error = attested("gcp", &config(&Authority::new().issue("localhost").pin(), &mutual));
    assert!(error.unwrap_err().contains("pin"));
    let error = attested("gcp", &config(&pin, "")).unwrap_err();
    assert!(error.contains("client certificate"), "{error}");
    assert!(!world.broker.log().contains(&"bound".to_owned()));
}

/// The operator sets every variable that means something to someone.
#[test]
fn the_environment_has_no_say() {
    let world = World::new();
    world.teeserver();
    let attacker = Authority::new();
    let ca = world.write("attacker.pem", &attacker.pem);
    let impostor = Broker::start(&attacker.issue("localhost"), &[&TLS13], None);
    let elsewhere = format!("http://127.0.0.1:{}", impostor.address.port());
    let environment = |command: &mut std::process::Command| {
        for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
            command.env(name, &ca);
        }
        command.env("SSL_CERT_DIR", world.folder.path());
        for name in [
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "HTTP_PROXY",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_STS",
            "AZURE_AUTHORITY_HOST",
        ] {
            command.env(name, &elsewhere);
        }
    };
    let with = |config: &str| {
        let mut command = cloudauth(&["attested", "gcp", "--config", config]);
        environment(&mut command);
        run(&mut command, b"")
    };
    let output = with(&world.usual(""));
    assert!(output.status.success(), "{}", text(&output).1);
    assert_eq!(world.broker.log(), ONCE);

    // Led to the impostor by its address (DNS is the operator's), the client does not believe it.
    let port = impostor.address.port();
    let output = with(&world.usual(&format!("address = 'localhost:{port}'")));
    assert!(text(&output).1.contains("certificate"), "{}", text(&output).1);
    // Neither does it when told to trust the environment, as long as the file says whom to trust.
    let trusting = format!("address = 'localhost:{port}'\ntrust-environment = true");
    assert!(!with(&world.usual(&trusting)).status.success());
    assert_eq!(impostor.log(), [""; 0]);
    // Its neighbour: a file that leaves it to the environment.
    let left = format!("grant = 'g'\nteeserver = 'tee.sock'\n{trusting}");
    let output = with(&world.config(&left));
    assert!(output.status.success(), "{}", text(&output).1);
    assert_eq!(impostor.log(), ONCE);
    // Without trust in the environment that is no configuration.
    let error = attested("gcp", &world.config("grant = 'g'")).unwrap_err();
    assert!(error.contains("ca-file") && error.contains("operator"), "{error}");

    // A file that a variable names is not the workload's own.
    let config = world.usual("");
    let mut command = cloudauth(&["credential", "--profile", "p"]);
    command.env("CLOUDAUTH_CONFIG", &config);
    let error = text(&run(&mut command, b"")).1;
    assert!(error.contains("attested") && error.contains("CLOUDAUTH_CONFIG"), "{error}");
    assert_eq!(world.broker.log(), [""; 0]);
}

/// Whatever the file that a variable names is called, it is that file.
#[test]
fn a_file_of_the_environment_by_any_name() {
    let world = World::new();
    world.teeserver();
    let config = world.usual("");
    let folder = world.folder.path();
    fs::create_dir_all(folder.join(".config/cloudauth")).unwrap();
    let home = folder.join(".config/cloudauth/config.toml");
    fs::hard_link(&config, &home).unwrap();
    std::os::unix::fs::symlink(&config, folder.join("link.toml")).unwrap();
    let below = folder.join(".config");
    let fixed = ["env", "--static", "--profile", "p"];
    let credential = ["credential", "--profile", "p"];
    let named = ["credential", "--profile", "p", "--config", "config.toml"];
    for (args, variable, value, directory) in [
        (&fixed[..], "CLOUDAUTH_CONFIG", "config.toml", folder),
        (&fixed, "CLOUDAUTH_CONFIG", "./config.toml", folder),
        (&fixed, "CLOUDAUTH_CONFIG", "../config.toml", &below),
        (&fixed, "CLOUDAUTH_CONFIG", "link.toml", folder),
        (&fixed, "HOME", ".", folder),
        (&fixed, "HOME", "..", &below),
        (&credential, "CLOUDAUTH_CONFIG", "config.toml", folder),
        // Named here, and also by the variable.
        (&named, "CLOUDAUTH_CONFIG", config.as_str(), folder),
        (&named, "CLOUDAUTH_CONFIG", "link.toml", folder),
        (&named, "CLOUDAUTH_CONFIG", ".config/../config.toml", folder),
        (&named, "XDG_CONFIG_HOME", below.to_str().unwrap(), folder),
    ] {
        let mut command = cloudauth(args);
        command.env(variable, value).current_dir(directory);
        if args == fixed {
            command.args(["--no-cache", "--", "/usr/bin/true"]);
        }
        let output = run(&mut command, b"");
        let error = text(&output).1;
        assert!(!output.status.success() && error.contains("attested"), "{value}: {error}");
        assert_eq!(world.broker.log(), [""; 0], "{variable}={value}");
    }
    // A neighbour: the variable names another file, or one that is not there.
    let other = world.write("other.toml", "");
    for value in [other.as_str(), "none.toml", "other.toml/none"] {
        let mut command = cloudauth(&named);
        command.env("CLOUDAUTH_CONFIG", value).current_dir(folder);
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{value}: {}", text(&output).1);
        assert_eq!(world.broker.log(), ONCE);
    }
}

#[test]
fn what_may_pass_is_tried_once_more() {
    use Behaviour::{Close, Problem, Raw};
    let world = World::new();
    let asked = world.teeserver();
    let config = world.usual("");
    let again = [&["/v1/challenge", "/v1/credentials"][..], &ONCE].concat();
    for behaviour in [
        Problem(403, "challenge_expired", None),
        Problem(503, "unavailable", None),
        Problem(429, "rate_limited", Some(1)),
    ] {
        world.broker.behave(&[behaviour]);
        attested("gcp", &config).unwrap();
        assert_eq!(world.broker.log(), again);
    }
    world.broker.behave(&[Close("/v1/challenge")]);
    attested("gcp", &config).unwrap();
    assert_eq!(world.broker.log(), [&["/v1/challenge"][..], &ONCE].concat());
    // Each with an attestation of its own.
    let mut nonces: Vec<_> =
        asked.lock().unwrap().iter().map(|a| a["nonces"].to_string()).collect();
    let all = nonces.len();
    nonces.sort();
    nonces.dedup();
    assert_eq!((all, nonces.len()), (7, 7));

    for (behaviours, connections, says) in [
        (vec![Problem(403, "challenge_expired", None); 3], 2, "challenge_expired"),
        // Perhaps it has given them.
        (vec![Close("/v1/credentials"); 3], 1, "connection"),
        (vec![Problem(403, "denied", None)], 1, "denied (request id urn:uuid:record-1)"),
        (vec![Problem(403, "channel_mismatch", None)], 1, "channel_mismatch"),
        (vec![Problem(429, "rate_limited", Some(60))], 1, "again for 60 s"),
        (vec![Raw(200, "{}".into())], 1, "is missing"),
        (vec![Raw(200, "<html>".into())], 1, "right endpoint"),
        (vec![Raw(302, String::new())], 1, "redirect"),
        (vec![Raw(200, "x".repeat(2 << 20))], 1, "1048576"),
    ] {
        world.broker.behave(&behaviours);
        let error = attested("gcp", &config).unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
        let challenges = world.broker.log().iter().filter(|p| *p == "/v1/challenge").count();
        assert_eq!(challenges, connections, "{says}");
        world.broker.behave(&[]);
    }
    world
        .broker
        .give(json!({"grant": "other", "bearer": {"access_token": "t", "token_type": "Bearer"}}));
    assert!(attested("gcp", &config).unwrap_err().contains("another grant"));
}

#[test]
fn tls_1_3_or_nothing() {
    let world = World::new();
    world.teeserver();
    let old = Broker::start(&world.leaf, &[&TLS12], None);
    let error =
        attested("gcp", &world.usual(&format!("address = 'localhost:{}'", old.address.port())));
    assert!(error.unwrap_err().contains("TLS"));
    let new = Broker::start(&world.leaf, &[&TLS12, &TLS13], None);
    attested("gcp", &world.usual(&format!("address = 'localhost:{}'", new.address.port())))
        .unwrap();
}

/// A token that is not what was asked for goes nowhere, and there is none in the place of one that is not to
/// be had.
#[test]
fn tokens_that_are_none() {
    let world = World::new();
    let config = world.usual("");
    let error = attested("gcp", &config).unwrap_err();
    assert!(error.contains("Confidential Space") && error.contains("tee.sock"), "{error}");
    type Answer = fn(&Value) -> (u16, String);
    let cases: [(Answer, &str); 7] = [
        (|_| (400, "unknown field \"eat_nonce\"".into()), "unknown field"),
        // A good token in an answer that says no.
        (|asked| (400, good(asked).1), "400"),
        (|_| (200, "internal error".into()), "JWT"),
        (
            |asked| (200, token(&json!({"aud": "other", "eat_nonce": asked["nonces"][0]}))),
            "audience",
        ),
        (
            |asked| (200, token(&json!({"aud": asked["audience"], "eat_nonce": "0123456789"}))),
            "nonces",
        ),
        (|_| (200, "x".repeat(200_000)), "larger"),
        (|asked| (500, format!("nonce {}", asked["nonces"][0])), "500"),
    ];
    for (answer, says) in cases {
        let path = world.path("tee.sock");
        let _ = fs::remove_file(&path);
        teeserver(&path, answer);
        let error = attested("gcp", &config).unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
        assert!(!world.broker.log().contains(&"/v1/credentials".to_owned()));
    }
    fs::remove_file(world.path("tee.sock")).unwrap();
    world.teeserver();
    attested("gcp", &config).unwrap();
}

#[test]
fn tokens_of_a_command() {
    let world = World::new();
    // Of a shell and a Python, which makes a token of what it is told.
    let script = "import sys, json, base64\n\
        asked = json.load(sys.stdin)\n\
        assert asked['runtime_data'] == '{\"nonce\":\"%s\"}' % asked['nonces'][0]\n\
        claims = {'aud': asked['audience'], 'eat_nonce': asked['nonces'][0], 'kind': asked['token_type']}\n\
        text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')\n\
        print('e30.%s.AQ' % text)\n";
    let script = world.write("token.py", script);
    let python = |more: &str| {
        let command = format!("command = ['/usr/bin/python3', '{script}']\n{more}");
        world.config(&format!("ca-file = 'ca.pem'\ngrant = 'g'\n{command}"))
    };
    for kind in ["OIDC", "PKI", "MAA"] {
        attested("gcp", &python(&format!("token-type = '{kind}'"))).unwrap();
        assert_eq!(world.broker.log(), ONCE);
    }
    let shell = |script: &str| {
        let command = format!("command = ['/bin/sh', '-c', {script:?}]");
        let config = world.config(&format!("ca-file = 'ca.pem'\ngrant = 'g'\n{command}"));
        attested("gcp", &config).unwrap_err()
    };
    for (script, says) in [
        ("exit 3", "exit status: 3"),
        ("echo no", "attestation"),
        ("echo e30.e30.AQ", "audience"),
        ("yes", "65536"),
    ] {
        let start = Instant::now();
        let error = shell(script);
        assert!(error.contains(says), "{script}: {error}");
        assert!(start.elapsed().as_secs() < 15);
    }
    assert!(!world.broker.log().contains(&"/v1/credentials".to_owned()));
}

fn bearer(claims: &Value) -> Value {
    json!({"bearer": {"access_token": token(claims), "token_type": "Bearer"}})
}

/// A broker that hands out what is someone else's.
#[test]
fn expected_tenants_and_projects() {
    let world = World::new();
    world.teeserver();
    let tenant = "expect-tenant = '9B6D7A52-AAAA-4BBB-8CCC-DDDDEEEEFFFF'";
    let project = "expect-project = 'prod'";
    let good = [
        ("azure", tenant, json!({"tid": "9b6d7a52-aaaa-4bbb-8ccc-ddddeeeeffff"})),
        ("gcp", project, json!({"iss": "robot@prod.iam.gserviceaccount.com"})),
    ];
    for (cloud, more, claims) in good {
        world.broker.give(bearer(&claims));
        attested(cloud, &world.usual(more)).unwrap();
        for other in [
            bearer(&json!({"tid": "00000000-aaaa-4bbb-8ccc-ddddeeeeffff"})),
            bearer(&json!({"iss": "robot@evil.iam.gserviceaccount.com"})),
            bearer(&json!({})),
            json!({"bearer": {"access_token": "ya29.opaque", "token_type": "Bearer"}}),
            keys(),
        ] {
            world.broker.give(other);
            let error = attested(cloud, &world.usual(more)).unwrap_err();
            assert!(error.contains("whose broker is this?"), "{error}");
        }
    }
    assert!(attested("aws", &world.usual(project)).unwrap_err().contains("is of gcp"));
}

/// STS itself says whose the keys are.
#[test]
fn expected_accounts() {
    use cloudauth_emulator as emulator;
    let world = World::new();
    world.teeserver();
    let users = ["111111111111", "222222222222"].map(|account| emulator::AwsUser {
        arn: format!("arn:aws:iam::{account}:user/tester"),
        access_key_id: format!("AKIA{account}"),
        secret_access_key: "geheim".into(),
        mfa_serial: None,
        mfa_code: None,
    });
    let sts = emulator::Emulator::start(emulator::Options::default()).unwrap();
    let config = emulator::Config {
        aws: emulator::Aws { users: users.into(), ..emulator::Aws::default() },
        ..emulator::Config::default()
    };
    sts.register(config).unwrap();
    world.write("sts.pem", sts.ca_pem());
    let secret = world.write("secret", "geheim");
    let give = |account: &str| {
        let mut command =
            cloudauth(&["aws", "session-token", "--region", "eu-west-1", "--no-cache"]);
        command.args(["--access-key-id", &format!("AKIA{account}"), "--key"]);
        command.args([&format!("file:{secret}"), "--endpoint-url", &sts.url(), "--ca-file"]);
        let output = run(command.arg(world.path("sts.pem")), b"");
        let keys: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output).1));
        world.broker.give(json!({"aws": {"access_key_id": keys["AccessKeyId"],
            "secret_access_key": keys["SecretAccessKey"], "session_token": keys["SessionToken"]}}));
    };
    let more = format!("expect-account = '111111111111'\nsts-endpoint-url = '{}'", sts.url());
    let config = world.usual(&format!("{more}\nsts-ca-file = 'sts.pem'"));
    give("111111111111");
    attested("aws", &config).unwrap();
    give("222222222222");
    let error = attested("aws", &config).unwrap_err();
    assert!(error.contains("account 222222222222, not 111111111111"), "{error}");
    // Keys that STS does not know, and a token.
    world.broker.give(keys());
    assert!(attested("aws", &config).unwrap_err().contains("GetCallerIdentity"));
    world.broker.give(bearer(&json!({})));
    assert!(attested("aws", &config).unwrap_err().contains("111111111111"));
    // An STS that nobody vouches for.
    give("111111111111");
    let error = attested("aws", &world.usual(&more)).unwrap_err();
    assert!(error.contains("GetCallerIdentity") && error.contains("certificate"), "{error}");
}

/// The three profiles of the aws-channel-jwt-credential document, with only the program's name changed, and
/// with this machine's paths.
#[test]
fn the_older_broker_s_profiles() {
    let clients = Authority::new();
    let client = clients.issue("client");
    let world = World::with(Some((&clients, &client)));
    let asked = world.teeserver();
    let cert = world.write("client-svc.crt", &client.pem);
    let key = world.write("client-svc.key", &client.key.serialize_pem());
    let ca = world.write("tls-ca-chain.pem", &world.authority.pem);
    let port = world.broker.address.port();
    let own = format!(
        "--host=localhost:{port} --endpoint=https://server.domain.com:8081/token --audience=https://other \
         --audience={AUDIENCE} --sts-sni=localhost --trust-ca={ca} --use-mtls=true   --cert={cert} --key={key}"
    );
    let role =
        format!("{own} --aws-arn=arn:aws:iam::291738886548:role/gcpsts   --use-assume-role=true");
    let socket = world.path("tee.sock");
    for (line, asks) in [(&own, "\"use_assume_role\":false"), (&role, "\"use_assume_role\":true")] {
        let mut command = cloudauth(&["attested", "seed"]);
        command.args(line.split_whitespace());
        command.arg(format!("--attestation_token_path={}", socket.display()));
        command.env("SSL_CERT_FILE", "/no/such").env("HTTPS_PROXY", "http://127.0.0.1:1");
        let output = run(&mut command, b"");
        let printed: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output).1));
        assert_eq!(printed["Version"], 1);
        assert_eq!(printed["AccessKeyId"], "ASIA1");
        let log = world.broker.log();
        assert!(
            log[0] == "/token" && log[1].contains(asks) && log[1].contains("\"duration\":900"),
            "{log:?}"
        );
        assert!(log[1].contains("\"session_name\":\"gcp-"), "{log:?}");
        let asked = asked.lock().unwrap().pop().unwrap();
        assert_eq!(asked["nonces"].as_array().unwrap().len(), 2);
    }
    // The default path: there is no such socket here, and no token in its place.
    let mut command = cloudauth(&["attested", "seed"]);
    let output = run(command.args(own.split_whitespace()), b"");
    assert!(text(&output).1.contains("/run/container_launcher/teeserver.sock"));
    let output = run(&mut cloudauth(&["attested", "seed", "-h"]), b"");
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(text(&output).1.contains("-use-assume-role"));
    let output = run(&mut cloudauth(&["attested", "seed", "--hots=a"]), b"");
    assert_eq!(output.status.code(), Some(2));
    // A refusal in plain text.
    world.broker.behave(&[Behaviour::Raw(400, "Error: 100%v".into())]);
    let mut command = cloudauth(&["attested", "seed"]);
    command.args(own.split_whitespace());
    command.arg(format!("--attestation_token_path={}", socket.display()));
    assert!(text(&run(&mut command, b"")).1.contains("400: Error: 100%v"));
}

#[test]
fn the_older_azure_broker() {
    let world = World::new();
    world.teeserver();
    let port = world.broker.address.port();
    let config = world.write(
        "seed.toml",
        &format!(
            "[profiles.p]\nkind = 'attested'\nscheme = 'seed'\nbroker = 'https://localhost:{port}/token'\n\
             audience = '{AUDIENCE}'\nca-file = 'ca.pem'\nteeserver = 'tee.sock'\n\
             seed = {{ cloud = 'azure', scope = 'https://storage.azure.com/.default' }}\n"
        ),
    );
    assert_eq!(attested("azure", &config).unwrap(), "marke\n");
    let log = world.broker.log();
    assert_eq!(log[1], "asked {\"scope\":\"https://storage.azure.com/.default\"}");
    assert!(attested("aws", &config).unwrap_err().contains("is of azure"));
}

#[test]
fn configurations_that_make_no_sense() {
    let world = World::new();
    world.teeserver();
    attested("gcp", &world.usual("")).unwrap();
    let base = "ca-file = 'ca.pem'\n";
    for (lines, says) in [
        (format!("{base}teeserver = 'tee.sock'"), "grant"),
        (format!("{base}grant = ''"), "grant"),
        (format!("{base}grant = 'g'\nscheme = 'seed'"), "grant"),
        (format!("{base}scheme = 'seed'"), "seed"),
        (format!("{base}grant = 'g'\nseed = {{ cloud = 'azure', scope = 's' }}"), "seed"),
        (format!("{base}grant = 'g'\npin = 'x'"), "pin"),
        ("grant = 'g'\npin = 'x'".to_owned(), "SHA-256"),
        (format!("{base}grant = 'g'\ncertificate = 'c'"), "key"),
        (format!("{base}grant = 'g'\ncommand = ['sh']"), "absolute"),
        (format!("{base}grant = 'g'\ncommand = ['/bin/sh']\nteeserver = 't'"), "command"),
        (format!("{base}grant = 'g'\ntoken-type = 'MAA'"), "command"),
        (format!("{base}grant = 'g'\ntoken-type = 'LIMITED_AWS'"), "unknown variant"),
        (format!("{base}grant = 'g'\nregion = 'eu-west-1'"), "expect-account"),
        (format!("{base}grant = 'g'\nexpect-account = '1'\nexpect-tenant = 't'"), "one of"),
        (format!("{base}grant = 'g'\nsource-profile = 'x'"), "source-profile"),
        (format!("{base}grant = 'g'\naddress = 'localhost'"), "host:port"),
    ] {
        let error = attested("gcp", &world.config(&lines)).unwrap_err();
        assert!(error.contains(says), "{lines}: {error}");
    }
    let plain = world.usual("").replace("https", "http");
    let text = fs::read_to_string(&plain).unwrap().replace("https://localhost", "http://localhost");
    world.write("config.toml", &text);
    assert!(attested("gcp", &plain).unwrap_err().contains("https"));
    assert_eq!(claims(&token(&json!({"a": 1})))["a"], 1);
}
