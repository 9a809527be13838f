//! Connections: limits, TLS names, faults, the control API, the clock.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use cloudauth_emulator::{Config, Emulator, EmulatorError, Fault, FaultKind, Options, Service};
use serde_json::json;

use crate::client::{connect, post_json, raw, secure, send, start};

const PAGE: &str = "/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration";

#[test]
fn loopback_alone_unless_it_is_asked_for() {
    let mut options = Options::default();
    options.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(matches!(Emulator::start(options.clone()), Err(EmulatorError::NotLoopback(_))));
    options.listen_http = Some(options.listen);
    options.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    assert!(matches!(Emulator::start(options.clone()), Err(EmulatorError::NotLoopback(_))));
    options.allow_remote = true;
    Emulator::start(options).unwrap();
}

#[test]
fn the_state_directory_holds_the_certificate_and_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("a/b");
    let mut options = Options::default();
    options.state_dir = Some(state.clone());
    let emulator = Emulator::start(options).unwrap();
    assert_eq!(emulator.ca_file(), Some(state.join("ca.pem").as_path()));
    let files: Vec<_> =
        std::fs::read_dir(&state).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files, ["ca.pem"]);
    let pem = std::fs::read_to_string(state.join("ca.pem")).unwrap();
    assert!(pem == emulator.ca_pem() && !pem.contains("PRIVATE"));
}

#[test]
fn certificates_for_local_and_real_names() {
    let emulator = start(Config::demo());
    let greet = |name: &'static str| {
        let mut stream = secure(&emulator, name, connect(&emulator));
        stream.write_all(b"x").and_then(|()| stream.flush()).is_ok()
    };
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "bucket.localhost",
        "sts.amazonaws.com",
        "sts.eu-central-1.amazonaws.com",
        "rolesanywhere.us-east-2.amazonaws.com",
        "bucket.s3.us-east-1.amazonaws.com",
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "oauth2.googleapis.com",
        "sts.googleapis.com",
        "iamcredentials.googleapis.com",
    ] {
        assert!(greet(name), "{name}");
    }
    for name in ["example.com", "ec2.us-east-1.amazonaws.com", "127.0.0.2"] {
        assert!(!greet(name), "{name}");
    }
}

#[test]
fn limits() {
    let emulator = start(Config::demo());
    // The connection may end before the answer is read.
    let refused = |answer: Option<Vec<u8>>| {
        let answer = answer.unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    };
    let big = vec![b'a'; (1 << 20) + 1];
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(send(&emulator, "POST", "/token", &kind, &big).status, 413);
    assert_eq!(send(&emulator, "POST", "/token", &kind, &big[1..]).status, 400);
    // The same without a length that says so.
    let chunked = b"POST /token HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let body = [format!("{:x}\r\n", big.len()).as_bytes(), &big, b"\r\n0\r\n\r\n"].concat();
    let answer = raw(&emulator, &[chunked.as_slice(), &body].concat()).unwrap_or_default();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    let get = |length: usize| {
        let long = "a".repeat(length);
        raw(
            &emulator,
            format!("GET {PAGE} HTTP/1.1\r\nhost: a\r\nx: {long}\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    assert!(get(60_000).unwrap_or_default().starts_with(b"HTTP/1.1 200"));
    for length in [70_000, 200_000, 2_000_000] {
        refused(get(length));
    }
    let many: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
    let answer = raw(&emulator, format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes());
    refused(answer);
    assert_eq!(send(&emulator, "GET", PAGE, &[], b"").status, 200, "still there");
}

#[test]
fn nonsense_is_answered() {
    let emulator = start(Config::demo());
    for target in [
        "/",
        "/sessions",
        "/token",
        "/v1/token",
        "/a/oauth2/v2.0/token",
        "/%",
        "/%ff",
        "/a/%ff",
        "//",
        "/?",
        "/?&=&",
        "/?X-Amz-Signature=1",
        "/_emulator",
        "/_emulator/x",
        "/v1/projects/-/serviceAccounts/:",
        "/?X-Amz-Signature=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%2F%2F%2Fs3%2Faws4_request",
    ] {
        for method in ["GET", "POST", "PUT"] {
            for authorization in [
                "AWS4-HMAC-SHA256",
                "AWS4-HMAC-SHA256 Credential=////aws4_request, SignedHeaders=;;, Signature=",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/x/s3/aws4_request, SignedHeaders=host;nothing, Signature=00",
                "AWS4-X509-RSA-SHA256 Credential=1/2/3/rolesanywhere/aws4_request, SignedHeaders=, Signature=zz",
                "Bearer a.b.c",
                "é",
            ] {
                let headers = [
                    ("authorization", authorization),
                    ("x-amz-date", "20150830T123600Z"),
                    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
                    ("x-amz-x509", "MIIB"),
                ];
                let status = send(&emulator, method, target, &headers, b"\0{[&=%zz").status;
                assert!(
                    (400..=501).contains(&status),
                    "{method} {target} {authorization}: {status}"
                );
            }
        }
    }
    for octets in [
        &b"\0\0\0"[..],
        b"GET * HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a/../b@c\r\nconnection: close\r\n\r\n",
    ] {
        let answer = raw(&emulator, octets).unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{octets:?}");
    }
    assert_eq!(send(&emulator, "GET", PAGE, &[], b"").status, 200, "still there");
}

#[test]
fn faults() {
    let emulator = start(Config::demo());
    let fault = |kind| emulator.fault(Fault { service: Some(Service::Entra), count: 1, kind });
    let get = || send(&emulator, "GET", PAGE, &[], b"");
    let whole = get();
    assert_eq!(whole.status, 200);
    fault(FaultKind::Latency(300));
    let start = Instant::now();
    assert!(get().status == 200 && start.elapsed() >= Duration::from_millis(300));
    fault(FaultKind::Throttle(Some(3)));
    let answer = get();
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")));
    fault(FaultKind::Throttle(None));
    assert_eq!(get().header("retry-after"), None);
    fault(FaultKind::Status(503));
    assert_eq!((get().status, get().status), (503, 200));
    fault(FaultKind::Html(200));
    let answer = get();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html")));
    fault(FaultKind::Huge(10 << 20));
    assert_eq!(get().body.len(), 10 << 20);
    let request = format!("GET {PAGE} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    fault(FaultKind::Truncate);
    assert!(raw(&emulator, request.as_bytes()).is_none(), "no close_notify");
    fault(FaultKind::Reset);
    let mut stream = secure(&emulator, "localhost", connect(&emulator));
    stream.write_all(request.as_bytes()).unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    fault(FaultKind::Clock(86_400));
    assert_ne!(date_of(&get()), date_of(&get()));
    // Another service does not meet it, and the control API never does.
    emulator.fault(Fault { service: Some(Service::Sts), count: 1, kind: FaultKind::Reset });
    assert_eq!(get().status, 200);
    emulator.clear_faults();
    emulator.fault(Fault { service: None, count: 1, kind: FaultKind::Status(500) });
    assert_eq!(send(&emulator, "GET", "/_emulator/fault", &[], b"").json()[0]["kind"], "status");
    assert_eq!((get().status, get().status), (500, 200));
}

fn date_of(answer: &crate::client::Answer) -> String {
    answer.header("date").unwrap().chars().take(16).collect()
}

#[test]
fn clock() {
    let emulator = start(Config::demo());
    let set = |body| post_json(&emulator, "/_emulator/clock", &body);
    assert!(set(json!({"time": "2015-08-30T12:36:00Z"})).text().contains("2015-08-30T12:36:0"));
    let page = send(&emulator, "GET", PAGE, &[], b"");
    assert_eq!(date_of(&page), "Sun, 30 Aug 2015");
    assert_eq!(set(json!({"offset": 0})).status, 200);
    for wrong in [
        json!({}),
        json!({"offset": i64::MAX}),
        json!({"time": "now"}),
        json!({"offset": 0, "x": 1}),
    ] {
        assert_eq!(set(wrong).status, 400);
    }
    assert!(emulator.set_time_offset(i64::MIN).is_err());
}

#[test]
fn control_api_guards() {
    let emulator = start(Config::demo());
    let page = "/_emulator/sessions";
    let get = |headers: &[(&str, &str)]| send(&emulator, "GET", page, headers, b"").status;
    assert_eq!(get(&[]), 200);
    assert_eq!(get(&[("origin", "https://evil.example")]), 403);
    assert_eq!(get(&[("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(get(&[("host", "evil.example")]), 403);
    assert_eq!(get(&[("host", "localhost:1")]), 200);
    assert_eq!(send(&emulator, "POST", "/_emulator/register", &[], b"{}").status, 415);
    let answer = post_json(
        &emulator,
        "/_emulator/register",
        &json!({"aws": {"users": [{"secret_access_key": "hidden"}]}}),
    );
    assert!(answer.status == 400 && !answer.text().contains("hidden"));
    // A file's name is no PEM text: the control API reads no files.
    let anchor = json!({"aws": {"trust_anchors": [{"arn": "a", "certificates": "/etc/passwd"}]}});
    assert_eq!(post_json(&emulator, "/_emulator/register", &anchor).status, 400);
    assert_eq!(post_json(&emulator, "/_emulator/register", &json!({})).status, 204);
}

#[test]
fn proxy_to_real_names_and_nothing_else() {
    let emulator = start(Config::demo());
    let address: SocketAddr =
        emulator.http_url().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    let tunnel = |target: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").unwrap();
        let mut head = Vec::new();
        let mut octet = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).unwrap() == 1 {
            head.extend(octet);
        }
        (String::from_utf8(head).unwrap(), stream)
    };
    let (head, stream) = tunnel("login.microsoftonline.com:443");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut stream = secure(&emulator, "login.microsoftonline.com", stream);
    write!(
        stream,
        "GET {PAGE} HTTP/1.1\r\nhost: login.microsoftonline.com\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.contains("https://login.microsoftonline.com/11111111"), "{text}");
    let local = format!("{}", emulator.address());
    for target in ["example.com:443", local.as_str(), "169.254.169.254:80"] {
        let (head, _) = tunnel(target);
        assert!(head.starts_with("HTTP/1.1 403"), "{target}: {head}");
    }
}

#[test]
fn dropping_it_ends_it() {
    let emulator = start(Config::demo());
    let address = emulator.address();
    drop(emulator);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn none_of_our_crates_takes_part() {
    let manifest = include_str!("../../Cargo.toml");
    assert_eq!(manifest.matches("cloudauth-").count(), 1, "its own name alone");
}
