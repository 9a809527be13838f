//! `cloudauth broker check`: its words, its JSON, its exit codes.

use std::path::PathBuf;
use std::process::Output;

use cloudauth_emulator::{AttestationToken, Config, Emulator, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{cloudauth, run};

struct World {
    emulator: Emulator,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let mut options = Options::default();
        options.config = Config::demo();
        let world = Self {
            emulator: Emulator::start(options).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        world.write("ca.pem", world.emulator.ca_pem());
        world.write("secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        world.write_certificate();
        world.write("broker.toml", &world.config());
        world
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The server's, with its key.
    fn write_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        self.write("c.pem", &made.cert.pem());
        let key = self.write("k.pem", &made.signing_key.serialize_pem());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(key, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }

    fn config(&self) -> String {
        format!(
            "audience = 'https://broker.example'\n\
             [server]\nlisten = '127.0.0.1:0'\ncertificate = 'c.pem'\nkey = 'file:{1}/k.pem'\n\
             [issuers.google]\nkind = 'confidential-space'\nissuer = '{0}/confidential-space'\n\
             keys = 'discovery'\ntrusted-ca = 'ca.pem'\n\
             [grants.g.attested]\nissuer = 'google'\nimage-digests = 'sha256:{2}'\n\
             dbgstat = 'disabled-since-boot'\nswname = 'CONFIDENTIAL_SPACE'\nhwmodel = 'GCP_AMD_SEV'\n\
             projects = 'demo-project'\nsource-networks = '192.0.2.0/24'\n\
             [grants.g.give]\nkind = 'aws-assume-role'\nregion = 'eu-central-1'\n\
             role-arn = 'arn:aws:iam::123456789012:role/demo'\n\
             access-key-id = 'AKIAIOSFODNN7EXAMPLE'\nkey = 'file:{1}/secret'\n",
            self.emulator.url(),
            self.folder.path().display(),
            "1".repeat(64),
        )
        .replace("'192.0.2.0/24'", "['192.0.2.0/24']")
    }

    fn token(&self, claims: Value) -> PathBuf {
        let token = AttestationToken {
            audience: "https://broker.example".into(),
            nonces: vec!["n".repeat(43)],
            claims: claims.as_object().unwrap().clone(),
            ..AttestationToken::default()
        };
        let token = self.emulator.attestation_token(&token).unwrap();
        self.write("token.jwt", &format!("{token}\n"))
    }

    fn check(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let config = self.folder.path().join("broker.toml");
        let mut command = cloudauth(&["broker", "check", "--config"]);
        let Output { status, stdout, stderr } = run(command.arg(config).args(more), b"");
        let text = |octets| String::from_utf8(octets).unwrap();
        (status.code(), text(stdout), text(stderr))
    }
}

#[test]
fn lint() {
    let world = World::new();
    let (code, out, err) = world.check(&[]);
    assert_eq!((code, &*out, &*err), (Some(0), "nothing is wrong; grants: g\n", ""));
    let (code, out, _) = world.check(&["--output", "json", "--offline"]);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&out).unwrap()),
        (Some(0), json!({"grants": ["g"]}))
    );

    world.write("broker.toml", &world.config().replace("dbgstat = 'disabled-since-boot'\n", ""));
    let (code, out, err) = world.check(&["--offline"]);
    assert_eq!((code, &*out), (Some(4), ""));
    assert!(
        err.contains("broker.toml\": grants.g: attested: debug: is neither fixed nor waived"),
        "{err}"
    );

    // What only a look at keys and issuers shows.
    let gone = world.config().replace("/secret'", "/gone'");
    world.write("broker.toml", &gone);
    assert_eq!(world.check(&["--offline"]).0, Some(0));
    let (code, _, err) = world.check(&[]);
    assert!(code == Some(4) && err.contains("grants.g: give") && err.contains("gone"), "{err}");
    let elsewhere = world.config().replace("/confidential-space'", "/elsewhere'");
    world.write("broker.toml", &elsewhere);
    let (code, _, err) = world.check(&[]);
    assert!(code == Some(4) && err.contains("issuers.google"), "{err}");
}

#[test]
fn tokens() {
    let world = World::new();
    let good = world.token(json!({}));
    let good = ["--token", good.to_str().unwrap()];
    let (code, out, err) = world.check(&good);
    assert_eq!((code, &*err), (Some(0), ""));
    for part in [
        "g: would give, if the token is bound to the connection",
        "passed       image",
        "not-asked    zone",
        "not-reached  nonce",
        "not-reached  source-network",
        "demo-project",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains(&"n".repeat(43)));
    let (_, out, _) = world.check(&[&good[..], &["--output", "json"]].concat());
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&out["grants"][0]["grant"], &out["grants"][0]["would-give"]),
        (&json!("g"), &json!(true))
    );
    // No keys to verify with.
    assert_eq!(world.check(&[&good[..], &["--offline"]].concat()).0, Some(7));
    let (code, _, err) = world.check(&[&good[..], &["--time", "2040-01-01T00:00:00Z"]].concat());
    assert!(code == Some(7) && err.contains("failed       exp"), "{err}");

    let debug = world.token(json!({"dbgstat": "enabled"}));
    let (code, out, err) = world.check(&["--token", debug.to_str().unwrap()]);
    assert_eq!((code, &*out), (Some(7), ""));
    assert!(err.contains("g: would not give") && err.contains("failed       debug: "), "{err}");
    let stranger = world.token(json!({"iss": "https://attacker.example"}));
    let (code, _, err) = world.check(&["--token", stranger.to_str().unwrap()]);
    assert!(code == Some(7) && err.contains("no configured issuer"), "{err}");
}

#[test]
fn what_serve_would_refuse() {
    let world = World::new();
    let good = world.config();
    let wrong = |text: &str, more: &[&str], part: &str| {
        world.write("broker.toml", text);
        let (code, out, err) = world.check(more);
        assert!(code == Some(4) && out.is_empty() && err.contains(part), "{part}: {err}");
    };
    for more in [&["--offline"][..], &[]] {
        let gone = good.replace("'c.pem'", "'gone.pem'");
        wrong(&gone, more, "server.certificate");
        wrong(&good.replace("'c.pem'", "'secret'"), more, "server.certificate");
        let clients = |file: &str| {
            let fields = format!("client-certificate = 'required'\nclient-ca = '{file}'\n");
            good.replace("[issuers.google]", &format!("{fields}[issuers.google]"))
        };
        wrong(&clients("gone.pem"), more, "server.client-ca");
        wrong(&clients("secret"), more, "server.client-ca");
        world.write("broker.toml", &clients("ca.pem"));
        assert_eq!(world.check(more).0, Some(0));

        let azure = "[grants.a.give]\nkind = 'azure-token'\ntenant = 't'\nscopes = ['s']\n\
                     client-id = 'c'\nclient-secret = 'file:SECRET'\n"
            .replace("SECRET", world.folder.path().join("secret").to_str().unwrap());
        let attested = good.split("[grants.g.attested]").nth(1).unwrap();
        let attested = attested.split("[grants.g.give]").next().unwrap();
        let two = |one: &str, other: &str| {
            let entry = |scheme: &str, grant: &str, listen: &str| {
                format!(
                    "[[compatibility]]\nlisten = '{listen}'\nscheme = '{scheme}'\ngrant = '{grant}'\n"
                )
            };
            let (one, other) = (entry("seed-aws", "g", one), entry("seed-azure", "a", other));
            format!("{good}[grants.a.attested]\n{attested}{azure}{one}{other}")
        };
        world.write("broker.toml", &two("127.0.0.1:8081", "127.0.0.1:8082"));
        assert_eq!(world.check(more).0, Some(0), "{}", world.check(more).2);
        wrong(&two("127.0.0.1:8081", "127.0.0.1:8081"), more, "stands there twice");
        let same = two("127.0.0.1:0", "127.0.0.1:0")
            .replace("'seed-azure'\ngrant = 'a'", "'seed-aws'\ngrant = 'g'");
        wrong(&same, more, "stands there twice");
        wrong(&two("127.0.0.1:9090", "127.0.0.1:8082"), more, "stands there twice");
        let admin = good.replace("listen = '127.0.0.1:0'", "listen = '127.0.0.1:9090'");
        wrong(&admin, more, "server.admin-listen");
    }
    // What only a look at keys shows.
    let only_online = |text: &str, part: &str| {
        wrong(text, &[], part);
        assert_eq!(world.check(&["--offline"]).0, Some(0), "{part}");
    };
    only_online(&good.replace("/k.pem", "/gone.pem"), "server.key");
    let chained = |secret: &str| {
        let folder = world.folder.path().display();
        let own = format!("access-key-id = 'AKIAIOSFODNN7EXAMPLE'\nkey = 'file:{folder}/secret'\n");
        let role = "role-arn = 'arn:aws:iam::123456789012:role/r'\nregion = 'eu-central-1'\n";
        format!(
            "{}[profiles.upper]\nkind = 'aws-assume-role'\nsource-profile = 'lower'\n{role}\
             session-name = 'session'\n\
             [profiles.lower]\nkind = 'aws-assume-role'\nsession-name = 'session'\n{role}\
             access-key-id = 'AKIAIOSFODNN7EXAMPLE'\nkey = 'file:{folder}/{secret}'\n",
            good.replace(&own, "profile = 'upper'\n")
        )
    };
    only_online(&chained("gone"), "grants.g: give");
    world.write("broker.toml", &chained("secret"));
    assert_eq!(world.check(&[]).0, Some(0), "{}", world.check(&[]).2);
    world.write_certificate();
    world.write("broker.toml", &good);
    assert_eq!(world.check(&[]).0, Some(0));
    let one = std::fs::read_to_string(world.folder.path().join("k.pem")).unwrap();
    world.write_certificate();
    world.write("k.pem", &one);
    wrong(&good, &[], "another key");
}

#[test]
fn warnings() {
    let world = World::new();
    let open = "[server]\nadmin-listen = '0.0.0.0:0'";
    world.write("broker.toml", &world.config().replace("[server]", open));
    for more in [&["--offline"][..], &[]] {
        let (code, out, err) = world.check(more);
        assert_eq!((code, &*out), (Some(0), "nothing is wrong; grants: g\n"));
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.starts_with("cloudauth: warning: file "), "{err}");
        assert!(err.contains("server.admin-listen: it is not on loopback"), "{err}");
    }
}
