//! Limits of time and size, and answers that are none.

use std::time::{Duration, Instant};

use cloudauth_tls::{Endpoint, Step, TransportError};
use tokio::net::TcpListener;

use crate::support::{Authority, Ping, Reply, Server, answer, good, ping};

/// What a transport that tries once gets from a server with this reply.
async fn of(reply: Reply) -> Result<String, TransportError> {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["localhost"]).tls()), &[reply]).await;
    let transport = authority.transport().attempts(1).body_limit(1000).build().unwrap();
    ping(&transport, server.https()).await
}

#[tokio::test]
async fn a_request_arrives_whole() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["localhost"]).tls()), &[good()]).await;
    let transport = authority.transport().build().unwrap();
    let host = server.https().authority();
    let large = "x".repeat(100_000);
    for body in ["", "small", &large] {
        let ping = Ping { host: host.clone(), body: body.to_owned() };
        // The host of the request alone says where it goes.
        assert_eq!(transport.send(&ping, None, str::to_owned).await.unwrap(), "pong");
    }
    let seen = server.requests();
    assert_eq!(seen.len(), 3);
    assert!(seen[0].starts_with("GET /ping?a=b%20c HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].contains(&format!("host: {host}\r\n")), "{}", seen[0]);
    assert!(seen[1].starts_with("POST /ping?a=b%20c HTTP/1.1\r\n"), "{}", seen[1]);
    assert!(seen[1].ends_with("\r\n\r\nsmall"), "{}", seen[1]);
    assert!(seen[2].ends_with(&large));
}

#[tokio::test]
async fn an_endpoint_replaces_address_and_prefix_but_not_the_host() {
    let server = Server::start(None, &[good()]).await;
    let transport = Authority::new().transport().build().unwrap();
    let url = format!("http://localhost:{}/prefix/", server.address.port());
    let ping = Ping::new("service.example");
    let via = transport.via(Endpoint::parse(&url).unwrap());
    assert_eq!(via.send(&ping, None, str::to_owned).await.unwrap(), "pong");
    let seen = server.requests();
    assert!(seen[0].starts_with("GET /prefix/ping?a=b%20c HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].contains("host: service.example\r\n"), "{}", seen[0]);
}

#[tokio::test]
async fn sizes() {
    let body = |len: usize| answer("200 OK", &[], &"x".repeat(len));
    assert_eq!(of(body(1000)).await.unwrap().len(), 1000);
    let too_large = |e: &TransportError, what| {
        matches!(e, TransportError::TooLarge { part, .. } if *part == what) && !e.is_transient()
    };
    let error = of(body(1001)).await.unwrap_err();
    assert!(too_large(&error, "body"), "{error}");
    // Without an announced length.
    let chunk = |len: usize| format!("{len:x}\r\n{}\r\n", "x".repeat(len));
    let chunked = |parts: &[usize]| {
        let parts: String = parts.iter().map(|len| chunk(*len)).collect();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Reply::Octets(format!("{head}{parts}0\r\n\r\n").into_bytes())
    };
    assert_eq!(of(chunked(&[400, 600])).await.unwrap().len(), 1000);
    let error = of(chunked(&[400, 601])).await.unwrap_err();
    assert!(too_large(&error, "body"), "{error}");
    let head = |len: usize| answer("200 OK", &[&format!("X-Fill: {}", "x".repeat(len))], "pong");
    assert_eq!(of(head(60_000)).await.unwrap(), "pong");
    for len in [70_000, 200_000] {
        let error = of(head(len)).await.unwrap_err();
        assert!(too_large(&error, "head"), "{error}");
        assert!(error.to_string().contains("65536 octets"), "{error}");
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    let error = of(Reply::Octets(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec())).await.unwrap_err();
    assert!(matches!(error, TransportError::NotHttp { .. }) && !error.is_transient(), "{error}");
    let error = of(answer("200 OK", &[], "nonsense")).await.unwrap_err();
    assert!(matches!(error, TransportError::Answer { status: 200, .. }), "{error}");
    assert!(!error.is_transient() && error.to_string().contains("makes no sense"), "{error}");
    // Less than was announced, cleanly closed or not.
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npong".to_vec();
    for reply in [Reply::Octets(short.clone()), Reply::Cut(short)] {
        let error = of(reply).await.unwrap_err();
        assert!(matches!(error, TransportError::Broken { .. }) && error.is_transient(), "{error}");
    }
    // A body that ends with the connection: whole only if TLS says so.
    let open = b"HTTP/1.1 200 OK\r\n\r\npong".to_vec();
    assert_eq!(of(Reply::Octets(open.clone())).await.unwrap(), "pong");
    let error = of(Reply::Cut(open)).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{error}");
    let error = of(Reply::Reset).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let to = Server::start(None, &[good()]).await;
    for status in ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("Location: http://127.0.0.1:{}/?token=secret", to.address.port());
        let error = of(answer(status, &[&location], "pong")).await.unwrap_err();
        assert!(matches!(error, TransportError::Redirect { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
    }
    assert!(to.requests().is_empty());
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for() {
    let authority = Authority::new();
    let tls = Some(authority.server(&["localhost"]).tls());
    let server = Server::start(tls.clone(), &[Reply::Stuck(Vec::new())]).await;
    let quick = authority.transport().attempts(1).read_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let error = ping(&quick.clone().build().unwrap(), server.https()).await.unwrap_err();
    let limit = Duration::from_millis(300);
    assert!(
        matches!(error, TransportError::TimedOut { step: Step::Answer, limit: l, .. } if l == limit),
        "{error}"
    );
    assert!(error.is_transient() && began.elapsed() < Duration::from_secs(3), "{error}");

    // In the middle of the body.
    let stuck = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npo".to_vec();
    let server = Server::start(tls.clone(), &[Reply::Stuck(stuck)]).await;
    let error = ping(&quick.clone().build().unwrap(), server.https()).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { step: Step::Body, .. }), "{error}");

    // Octet by octet: each is in time, the whole is not. And the neighbour, which is.
    let drip = |pause| {
        let octets = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n".to_vec();
        Reply::Drip([octets, vec![b'x'; 40]].concat(), Duration::from_millis(pause))
    };
    let server = Server::start(tls, &[drip(100), drip(1)]).await;
    let whole = quick.read_timeout(Duration::from_secs(10)).timeout(Duration::from_secs(2));
    let transport = whole.build().unwrap();
    let error = ping(&transport, server.https()).await.unwrap_err();
    let limit = Duration::from_secs(2);
    assert!(matches!(error, TransportError::TimedOut { limit: l, .. } if l == limit), "{error}");
    assert_eq!(ping(&transport, server.https()).await.unwrap().len(), 40);
}

#[tokio::test]
async fn connecting_is_limited() {
    // It accepts, and never shakes hands.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = Authority::new()
        .transport()
        .attempts(1)
        .connect_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let endpoint = |host, port| Endpoint::parse(&format!("https://{host}:{port}")).unwrap();
    let error = ping(&transport, endpoint("localhost", port)).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { step: Step::Handshake, .. }), "{error}");
    drop(listener);
    let error = ping(&transport, endpoint("localhost", port)).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }) && error.is_transient(), "{error}");
    assert!(error.to_string().contains(&format!("localhost:{port}")), "{error}");
    let transport = Authority::new().transport().attempts(1).build().unwrap();
    let error = ping(&transport, endpoint("no-such-host.invalid", 443)).await.unwrap_err();
    assert!(matches!(error, TransportError::Resolve { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn building_is_part_of_the_call() {
    let transport = Authority::new().transport().timeout(Duration::from_millis(100));
    let transport = transport.build().unwrap();
    let error = transport.call(|_| std::future::pending(), |_, _| Ok(())).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { step: Step::Build, .. }), "{error}");
    let error = transport
        .call(|_| std::future::ready(Err("the key is gone".into())), |_, _| Ok(()))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Build { .. }) && !error.is_transient(), "{error}");
    assert!(error.to_string().contains("the key is gone"), "{error}");
}
