//! What is refused, each beside what is taken.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{World, post};

#[tokio::test(flavor = "multi_thread")]
async fn shapes_of_requests() {
    let world = World::new().await;
    let good = post("/v1/challenge", "{}");
    let with = |header: &str| good.replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    let length = "Content-Length: 2";
    let closing = [
        // Where does it end? Two readers could differ.
        (with("Transfer-Encoding: chunked"), &[501][..]),
        (with("Transfer-Encoding: chunked").replace(length, "X: y"), &[501]),
        (with("Transfer-Encoding: identity"), &[400]),
        (with("Transfer-Encoding:\tchunked"), &[501]),
        (with("Transfer-Encoding : chunked"), &[400]),
        (with("transfer-encoding: xchunked"), &[400]),
        (with("Content-Length: 3"), &[400]),
        (good.replace(length, "Content-Length: 2, 2"), &[400, 411]),
        (good.replace(length, "Content-Length: +2"), &[400, 411]),
        (good.replace(length, "Content-Length: 0x2"), &[400, 411]),
        (good.replace(length, "Content-Length: -1"), &[400, 411]),
        (good.replace(length, "Content-Length: 18446744073709551616"), &[400, 411]),
        (good.replace(length, "X: y"), &[411]),
        (good.replace("\r\nHost", "\r\n Folded\r\nHost"), &[400]),
        (good.replace("Host", "Ho st"), &[400]),
        (good.replace("HTTP/1.1", "HTTP/1.0"), &[505]),
        (good.replace("HTTP/1.1", "HTTP/2.0"), &[400, 505]),
        (good.replace("HTTP/1.1", "HTTP/1.1\r\nX\0: y"), &[400]),
        (good.replace("Host: localhost\r\n", ""), &[400]),
        (good.replace("Host: localhost", "Host: localhost\r\nHost: other"), &[400]),
        (good.replace("Host: localhost", "Host: "), &[400]),
        (good.replace("Host: localhost", "Host: a/b"), &[400]),
        (good.replace(" /v1", " https://localhost/v1"), &[400]),
        (good.replace(" /v1/challenge", " *"), &[400]),
        (good.replace("POST /v1/challenge", "CONNECT localhost:443"), &[400, 405]),
        (with("Expect: 100-continue"), &[417]),
        (good.replace(length, "Content-Length: 65537"), &[413]),
        (with(&format!("X-Large: {}", "x".repeat(17_000))), &[431]),
        (format!("GET /v1/challenge HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n{{}}"), &[405]),
    ];
    for (text, statuses) in closing {
        let mut client = world.connect().await;
        // What follows must not be taken for a request.
        client.write(&format!("{text}{good}")).await;
        let answer = client.answer().await.unwrap_or_else(|| panic!("no answer to {text:?}"));
        assert!(statuses.contains(&answer.status), "{text:?}: {answer:?}");
        assert!(client.is_closed().await, "{text:?}");
    }
    let going_on = [
        (good.replace("application/json", "text/plain"), 415),
        (good.replace("Content-Type: application/json\r\n", ""), 415),
        (good.replace("/v1/challenge", "/v1/challenge/"), 404),
        (good.replace("/v1/challenge", "/v1/Challenge"), 404),
        (good.replace("/v1/challenge", "//v1/challenge"), 404),
        (good.replace("/v1/challenge", "/v1/%63hallenge"), 404),
        (good.replace("/v1/challenge", "/v1/../v1/challenge"), 404),
        (good.replace("/v1/challenge", "/token"), 404),
        (good.replace("/v1/challenge", "/metrics"), 404),
        (good.replace("/v1/challenge", "/v1/challenge?a=b"), 400),
        ("GET /v1/challenge HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 405),
        (good.clone(), 200),
        (good.replace("Host: localhost", "host:localhost:8443"), 200),
        (with(&format!("X-Large: {}", "x".repeat(8_000))), 200),
    ];
    let mut client = world.connect().await;
    for (text, status) in going_on {
        client.write(&text).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{text:?}: {answer:?}");
    }
    // One after the other, also when they come together.
    client.write(&format!("{good}{good}")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.answer().await.unwrap().status, 200);
    // The largest body.
    let padded = format!("{{}}{}", " ".repeat(65_534));
    assert_eq!(client.post("/v1/challenge", &padded).await.status, 200);
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_body_is_cut_off() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let head = post("/v1/credentials", "").replace("Length: 0", "Length: 52428800");
    client.write(&head).await;
    let chunk = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 50 && client.tls.write_all(&chunk).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 50, "50 MB were taken");
    let mut client = world.connect().await;
    client.write(&head).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (413, "malformed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_3_and_http_1_1_only() {
    let world = World::new().await;
    let dial = |change: fn(&mut crate::support::Dialer)| {
        let mut dialer = world.client();
        change(&mut dialer);
        let api = world.api();
        async move {
            let Ok(mut client) = dialer.connect(api).await else { return false };
            client.write(&post("/v1/challenge", "{}")).await;
            client.answer().await.is_some_and(|answer| answer.status == 200)
        }
    };
    assert!(dial(|_| ()).await);
    assert!(dial(|d| d.versions = vec![&TLS13, &TLS12]).await);
    assert!(!dial(|d| d.versions = vec![&TLS12]).await);
    assert!(dial(|d| d.alpn = &["h2", "http/1.1"]).await);
    assert!(!dial(|d| d.alpn = &["h2"]).await);
    assert!(!dial(|d| d.alpn = &["http/1.0"]).await);
    assert!(!dial(|d| d.alpn = &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off() {
    let world = World::with(
        "[server.limits]\nhandshake-seconds = 1\nbody-seconds = 1\nidle-seconds = 2",
        "",
    )
    .await;
    let began = Instant::now();
    let cut_off = |after: u64| {
        let took = began.elapsed();
        assert!(took > Duration::from_secs(after) - Duration::from_millis(50), "{took:?}");
        assert!(took < Duration::from_secs(after + 6), "{took:?}");
    };
    // All at once, so that the test is quick.
    let handshake = async {
        let mut tcp = world.client().tcp(world.api()).await;
        let _ = tcp.read_to_end(&mut Vec::new()).await;
        cut_off(1);
    };
    let half_a_hello = async {
        let mut dialer = world.client();
        dialer.first = vec![0x16, 3, 1];
        let mut tcp = dialer.tcp(world.api()).await;
        let _ = tcp.read_to_end(&mut Vec::new()).await;
        cut_off(1);
    };
    let idle = async {
        let mut client = world.connect().await;
        client.challenge().await;
        assert!(client.is_closed().await);
        cut_off(2);
    };
    let head = async {
        let mut client = world.connect().await;
        let text = post("/v1/challenge", "{}");
        for octet in text.chars() {
            client.write(&octet.to_string()).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
            if began.elapsed() > Duration::from_secs(4) {
                break;
            }
        }
        assert!(client.answer().await.is_none_or(|answer| answer.status == 408));
        cut_off(2);
    };
    let body = async {
        let mut client = world.connect().await;
        client.write(&post("/v1/challenge", "{}").replace("{}", "{")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (408, "malformed"));
        assert!(client.is_closed().await);
        cut_off(1);
    };
    let neighbour = async {
        let mut client = world.connect().await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(600)).await;
            client.challenge().await;
        }
    };
    tokio::join!(handshake, half_a_hello, idle, head, body, neighbour);
    assert!(
        world
            .metric("cloudauth_broker_connections_closed_early_total{reason=\"handshake_timeout\"}")
            .await
            >= 1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_their_requests_are_counted() {
    let world = World::with(
        "[server.limits]\nconnections = 5\nconnections-per-address = 3\nrequests = 2",
        "",
    )
    .await;
    let connect = |from: u8| {
        let mut dialer = world.client();
        dialer.from = Ipv4Addr::new(127, 0, 0, from);
        let api = world.api();
        async move { dialer.connect(api).await.ok() }
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect(1).await.unwrap());
    }
    assert!(connect(1).await.is_none());
    held.push(connect(2).await.unwrap());
    held.push(connect(2).await.unwrap());
    assert!(connect(3).await.is_none());
    // A place that is given back is free.
    held.truncate(4);
    let mut client = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(client) = connect(3).await {
            break client;
        }
    };
    client.challenge().await;
    let last = client.post("/v1/challenge", "{}").await;
    assert!(last.status == 200 && last.head.contains("connection: close"), "{last:?}");
    assert!(client.is_closed().await);
    drop(client);
    while world.metric("cloudauth_broker_connections").await > 4.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn rates() {
    let world = World::with(
        "[server.rates]\nconnections = { per-minute = 60, burst = 6 }\nclient = { per-minute = 1, burst = 6 }\n\
         grant = { per-minute = 1, burst = 2 }",
        "",
    )
    .await;
    let mut client = world.connect().await;
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    let answer = client.attest(&world, None, "reader").await;
    assert_eq!((answer.status, answer.problem().as_str()), (429, "rate_limited"));
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
    // The client's own are used up as well: even a challenge.
    assert_eq!(client.post("/v1/challenge", "{}").await.problem(), "rate_limited");
    // Another client's are not; the grant's are.
    let mut dialer = world.client();
    dialer.from = Ipv4Addr::new(127, 0, 0, 9);
    let mut other = dialer.connect(world.api()).await.unwrap();
    assert_eq!(other.attest(&world, None, "reader").await.problem(), "rate_limited");
    assert_eq!(other.attest(&world, None, "azure").await.status, 200);

    let mut count = 0;
    while count < 20 && world.client().connect(world.api()).await.is_ok() {
        count += 1;
    }
    assert!((5..9).contains(&count), "{count}");
    assert!(dialer.connect(world.api()).await.is_ok());
}

/// 192.0.2.7, by PROXY protocol v2.
const PROXY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x11\x11\x22\x22";

#[tokio::test(flavor = "multi_thread")]
async fn proxy_headers_count_from_balancers_only() {
    let world = World::with("proxy-protocol-from = [\"127.0.0.2/32\"]", "").await;
    let mut balancer = world.client();
    balancer.from = Ipv4Addr::new(127, 0, 0, 2);
    assert!(balancer.connect(world.api()).await.is_err());
    assert!(world.client().connect(world.api()).await.is_ok());
    // Version 1, and a forged one.
    let mut old = balancer.clone();
    old.first = b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec();
    assert!(old.connect(world.api()).await.is_err());
    let mut forged = world.client();
    forged.first = PROXY.to_vec();
    assert!(forged.connect(world.api()).await.is_err());

    balancer.first = PROXY.to_vec();
    let mut client = balancer.connect(world.api()).await.unwrap();
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    assert_eq!(world.record()["address"], "192.0.2.7");
    let mut client = world.connect().await;
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    assert_eq!(world.record()["address"], "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_are_borne() {
    let world = World::with(
        "[server.limits]\nconnections-per-address = 2000\n[server.rates]\nconnections = { per-minute = 60000, burst = 5000 }",
        "",
    )
    .await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(world.client().tcp(world.api()).await);
    }
    let mut client = world.connect().await;
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    drop(idle);
}
