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
        world.write("broker.toml", &world.config());
        world
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn config(&self) -> String {
        format!(
            "audience = 'https://broker.example'\n\
             [server]\nlisten = '127.0.0.1:0'\ncertificate = 'c.pem'\nkey = 'file:k.pem'\n\
             [issuers.google]\nkind = 'confidential-space'\nissuer = '{}/confidential-space'\n\
             keys = 'discovery'\ntrusted-ca = 'ca.pem'\n\
             [grants.g.attested]\nissuer = 'google'\nimage-digests = 'sha256:{}'\n\
             dbgstat = 'disabled-since-boot'\nswname = 'CONFIDENTIAL_SPACE'\nhwmodel = 'GCP_AMD_SEV'\n\
             projects = 'demo-project'\nsource-networks = '192.0.2.0/24'\n\
             [grants.g.give]\nkind = 'aws-assume-role'\nregion = 'eu-central-1'\n\
             role-arn = 'arn:aws:iam::123456789012:role/demo'\n\
             access-key-id = 'AKIAIOSFODNN7EXAMPLE'\nkey = 'file:{}'\n",
            self.emulator.url(),
            "1".repeat(64),
            self.folder.path().join("secret").display()
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
