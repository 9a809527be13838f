//! The launcher's token service, spoken to by hand over its socket.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use cloudauth_emulator::{
    Attestation, ConfidentialSpace, Config, Emulator, Fault, FaultKind, ImageSignature, Options,
    Service,
};
use serde_json::{Value, json};

use crate::attestation::{google, part, patch, pki};
use crate::client::{Answer, now};

/// A request over the socket; the body put together again from its chunks.
fn over(socket: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let text = String::from_utf8(all).unwrap();
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let mut answer = Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: Vec::new(),
    };
    if answer.header("transfer-encoding") != Some("chunked") {
        answer.body = rest.into();
        return answer;
    }
    loop {
        let (length, data) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return answer;
        }
        answer.body.extend(&data.as_bytes()[..length]);
        rest = &data[length + 2..];
    }
}

fn ask(socket: &Path, body: &str) -> Answer {
    let head = "POST /v1/token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\n";
    over(socket, &format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
}

fn with_socket(config: Config) -> (Emulator, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.config = config;
    options.teeserver = Some(folder.path().join("teeserver.sock"));
    (Emulator::start(options).unwrap(), folder)
}

#[test]
fn teeserver() {
    let signature = |key_id: &str| ImageSignature {
        key_id: key_id.into(),
        signature: "MEQC".into(),
        signature_algorithm: "ECDSA_P256_SHA256".into(),
    };
    let workload = ConfidentialSpace {
        image_signatures: ["b", "a", "c"].map(signature).into(),
        claims: patch(json!({"submods": {"container": {"restart_policy": null}}})),
        ..ConfidentialSpace::default()
    };
    let attestation = Attestation { confidential_space: Some(workload), maa: None };
    let (emulator, _folder) = with_socket(Config { attestation, ..Config::default() });
    let socket = emulator.teeserver().unwrap();

    let (a, b) = ("a".repeat(10), "b".repeat(74));
    let body = |nonces: &[&str]| json!({"audience": "https://x.example", "nonces": nonces, "token_type": "OIDC"});
    for (nonces, expected) in [
        (&[][..], Value::Null),
        (&[a.as_str()], json!(a)),
        (&[a.as_str(), b.as_str()], json!([a, b])),
    ] {
        let answer = ask(socket, &body(nonces).to_string());
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html")));
        assert_eq!(
            (answer.header("transfer-encoding"), answer.header("content-length")),
            (Some("chunked"), None)
        );
        let claims = google(&emulator, &answer.text()).expect("a token that verifies");
        assert_eq!(claims["eat_nonce"], expected);
        assert_eq!(claims["iss"], format!("{}/confidential-space", emulator.url()));
        assert_eq!(
            (&claims["aud"], &claims["oemid"]),
            (&json!("https://x.example"), &json!(11129))
        );
        assert_eq!(
            (&claims["secboot"], &claims["dbgstat"]),
            (&json!(true), &json!("disabled-since-boot"))
        );
        let container = &claims["submods"]["container"];
        assert_eq!(container["image_digest"], format!("sha256:{}", "1".repeat(64)));
        assert!(
            container.get("env_override").is_none() && container.get("restart_policy").is_none()
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    }
    // The default token is Google's alone.
    let answer =
        over(socket, "GET /v1/token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let claims = google(&emulator, &answer.text()).expect("a token that verifies");
    assert_eq!(claims["aud"], "https://sts.googleapis.com");
    let answer = ask(socket, &json!({"audience": "a", "token_type": "PKI"}).to_string());
    assert_eq!(pki(&emulator, &answer.text()).expect("a chain")["aud"], "a");

    let tags = |options: Value| {
        let body = json!({"audience": "a", "token_type": "AWS_PRINCIPALTAGS", "aws_principal_tag_options": options});
        let claims = google(&emulator, &ask(socket, &body.to_string()).text()).unwrap();
        claims["https://aws.amazon.com/tags"]["principal_tags"].clone()
    };
    let plain = tags(Value::Null);
    assert_eq!(plain["container.image_digest"], json!([format!("sha256:{}", "1".repeat(64))]));
    assert_eq!(plain["confidential_space.support_attributes"], json!(["LATEST=STABLE=USABLE"]));
    let ids = json!({"allowed_principal_tags": {"container_image_signatures": {"key_ids": ["b", "x", "a"]}}});
    let signed = tags(ids);
    assert_eq!(signed["container.signatures.key_ids"], json!(["a=b"]));
    assert!(signed.get("container.image_digest").is_none());
    let limited = ask(socket, &json!({"audience": "a", "token_type": "LIMITED_AWS"}).to_string());
    assert!(google(&emulator, &limited.text()).unwrap().get("swname").is_none());

    let long = "n".repeat(75);
    for (wrong, why) in [
        (json!({"audience": "a", "token_type": "OIDC", "eat_nonce": [a]}), "unknown field"),
        (json!({"audience": "", "token_type": "OIDC"}), "audience"),
        (json!({"token_type": "OIDC"}), "audience"),
        (json!({"audience": "a".repeat(513), "token_type": "OIDC"}), "512"),
        (json!({"audience": "a"}), "token_type"),
        (json!({"audience": "a", "token_type": "UNSPECIFIED"}), "token_type"),
        (json!({"audience": "a", "token_type": "oidc"}), "token_type"),
        (json!({"audience": "a", "token_type": "OIDC", "nonces": ["n23456789"]}), "10 to 74"),
        (json!({"audience": "a", "token_type": "OIDC", "nonces": [long]}), "10 to 74"),
        (
            json!({"audience": "a", "token_type": "OIDC", "nonces": [a, a, a, a, a, a, a]}),
            "6 nonces",
        ),
        (json!({"audience": "a", "token_type": "OIDC", "nonces": a}), "sequence"),
        (
            json!({"audience": "a", "token_type": "OIDC", "aws_principal_tag_options": {}}),
            "AWS_PRINCIPALTAGS",
        ),
        (json!([]), "body"),
    ] {
        let answer = ask(socket, &wrong.to_string());
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{wrong}");
        assert!(answer.text().contains(why), "{wrong}: {}", answer.text());
    }
    assert_eq!(
        ask(
            socket,
            &json!({"audience": "a", "token_type": "OIDC", "nonces": [a, a, a, a, a, a]})
                .to_string()
        )
        .status,
        200
    );
    let delete =
        over(socket, "DELETE /v1/token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!(delete.status, 400);
    let other = over(
        socket,
        "GET /_emulator/requests HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(other.status, 404, "the socket is no way to the control API");

    emulator.fault(Fault {
        service: Some(Service::Teeserver),
        count: 1,
        kind: FaultKind::Status(503),
    });
    let answer = ask(socket, &body(&[]).to_string());
    assert_eq!((answer.status, answer.text().as_str()), (503, "The emulator was told to fail."));
    emulator.fault(Fault { service: Some(Service::Teeserver), count: 1, kind: FaultKind::Expired });
    let answer = ask(socket, &body(&[]).to_string());
    assert!(part(&answer.text(), 1)["exp"].as_i64().unwrap() < now());
}

#[test]
fn the_socket_comes_and_goes() {
    let (emulator, folder) = with_socket(Config::default());
    let path = emulator.teeserver().unwrap().to_owned();
    let mode = path.symlink_metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // It is not taken from one that answers.
    let mut options = Options::default();
    options.teeserver = Some(path.clone());
    assert!(Emulator::start(options.clone()).unwrap_err().to_string().contains("teeserver.sock"));
    drop(emulator);
    assert!(!path.exists());
    // What a killed process left is taken away; another file is not.
    drop(UnixListener::bind(&path).unwrap());
    drop(Emulator::start(options.clone()).unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "kept").unwrap();
    assert!(Emulator::start(options).is_err());
    assert_eq!(std::fs::read(folder.path().join("teeserver.sock")).unwrap(), b"kept");
}
