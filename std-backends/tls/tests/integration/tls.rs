//! Which servers are believed, and what is negotiated.

use cloudauth_core::digest::sha256;
use cloudauth_tls::{Endpoint, Transport, TransportError, Trust};
use rcgen::PublicKeyData as _;
use rustls::version::TLS12;
use rustls::{HandshakeKind, NamedGroup};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Authority, Leaf, Server, child, good, ping, quick};

async fn serve(leaf: &Leaf) -> Server {
    Server::start(Some(leaf.tls()), &[good()]).await
}

/// The reason of a TLS error, which must not be worth another try.
fn reason(result: Result<String, TransportError>) -> String {
    match result.unwrap_err() {
        TransportError::Tls { reason, transient: false, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn certificates_of_servers() {
    let (ours, other) = (Authority::new(), Authority::new());
    let transport = ours.transport().build().unwrap();

    let server = serve(&ours.server(&["localhost"])).await;
    assert_eq!(ping(&transport, server.https()).await.unwrap(), "pong");
    let by_address = Endpoint::parse(&format!("https://127.0.0.1:{}", server.address.port()));
    let why = reason(ping(&transport, by_address.unwrap()).await);
    assert!(why.contains("for another name") && why.contains("localhost"), "{why}");
    let server = serve(&ours.server(&["127.0.0.1"])).await;
    let by_address = Endpoint::parse(&format!("https://127.0.0.1:{}", server.address.port()));
    assert_eq!(ping(&transport, by_address.unwrap()).await.unwrap(), "pong");

    let server = serve(&other.server(&["localhost"])).await;
    let why = reason(ping(&transport, server.https()).await);
    assert!(why.contains("an issuer that is not trusted here"), "{why}");
    let server = serve(&ours.expired(&["localhost"])).await;
    let why = reason(ping(&transport, server.https()).await);
    assert!(why.contains("has expired"), "{why}");
    let client_only = ours.issue(&["localhost"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let server = serve(&client_only).await;
    let why = reason(ping(&transport, server.https()).await);
    assert!(why.contains("not meant for TLS servers"), "{why}");
    assert!(server.requests().is_empty());

    // No TLS at all.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = Endpoint::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let answers = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    let why = tokio::select! {
        result = ping(&transport, plain) => reason(result),
        () = answers => unreachable!(),
    };
    assert!(why.contains("does not speak TLS"), "{why}");
}

#[tokio::test]
async fn the_systems_certificates_and_more() {
    let authority = Authority::new();
    let server = serve(&authority.server(&["localhost"])).await;
    let pem = authority.pem.clone().into_bytes();
    // This machine may have none of its own; the ones given are enough.
    let transport = quick().trust(Trust::PlatformAnd(pem)).build().unwrap();
    assert_eq!(ping(&transport, server.https()).await.unwrap(), "pong");
    let other = Authority::new().pem.into_bytes();
    let transport = quick().trust(Trust::PlatformAnd(other)).build().unwrap();
    assert!(reason(ping(&transport, server.https()).await).contains("not trusted here"));
    for pem in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let error = quick().trust(Trust::Only(pem.into())).build().unwrap_err();
        assert!(matches!(error, TransportError::Config { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_pinned_key_is_all_that_counts() {
    let authority = Authority::new();
    let leaf = authority.expired(&["another.example"]);
    let server = serve(&leaf).await;
    let pin = |pin| quick().trust(Trust::Pin(pin)).trust_environment(false).build().unwrap();
    let right = sha256(&leaf.key.subject_public_key_info());
    assert_eq!(ping(&pin(right), server.https()).await.unwrap(), "pong");
    assert!(pin(right).connect(&server.https()).await.is_ok());
    let mut wrong = right;
    wrong[31] ^= 1;
    assert!(reason(ping(&pin(wrong), server.https()).await).contains("not the one that is pinned"));
    assert!(pin(wrong).connect(&server.https()).await.is_err());

    // The right certificate, but another key behind it.
    let impostor = Leaf { pem: leaf.pem.clone(), key: rcgen::KeyPair::generate().unwrap() };
    let server = Server::start(Some(TlsAcceptor::from(impostor.mismatched())), &[good()]).await;
    assert!(reason(ping(&pin(right), server.https()).await).contains("signature"));
}

#[tokio::test]
async fn versions_groups_and_resumption() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let transport = authority.transport().build().unwrap();
    let server = serve(&leaf).await;
    for _ in 0..2 {
        assert_eq!(ping(&transport, server.https()).await.unwrap(), "pong");
    }
    let [first, second] = server.handshakes().try_into().ok().unwrap();
    assert_eq!(first.kind, HandshakeKind::Full);
    assert_eq!(second.kind, HandshakeKind::Resumed);
    // In the first flight: no retry was needed.
    assert_eq!(first.group, NamedGroup::X25519MLKEM768);

    // An old server serves the clouds' exchanges, but nothing is bound to it.
    let old = TlsAcceptor::from(Arc::new(leaf.config(&[&TLS12])));
    let server = Server::start(Some(old), &[good()]).await;
    assert_eq!(ping(&transport, server.https()).await.unwrap(), "pong");
    match transport.connect(&server.https()).await.unwrap_err() {
        TransportError::Tls { reason, .. } => assert!(reason.contains("TLS versions"), "{reason}"),
        other => panic!("{other}"),
    }
    let new = TlsAcceptor::from(Arc::new(leaf.config(rustls::ALL_VERSIONS)));
    let server = Server::start(Some(new), &[good()]).await;
    assert!(transport.connect(&server.https()).await.is_ok());
}

#[tokio::test]
async fn the_environment_is_heeded_unless_told_otherwise() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = serve(&ours.server(&["localhost"])).await;
    let dir = tempfile::tempdir().unwrap();
    let [ours_file, other_file] = [("ours.pem", &ours), ("other.pem", &other)].map(|(name, ca)| {
        let path = dir.path().join(name);
        std::fs::write(&path, &ca.pem).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let url = server.https().to_string();
    let good = child(&url, &[("SSL_CERT_FILE", &ours_file)]).await;
    assert_eq!(good, "pong");
    let bad = child(&url, &[("SSL_CERT_FILE", &other_file)]).await;
    assert!(bad.contains("not trusted here"), "{bad}");
    let none = child(&url, &[("SSL_CERT_FILE", "/nonexistent")]).await;
    assert!(none.contains("SSL_CERT_FILE"), "{none}");

    let deaf = [("SSL_CERT_FILE", ours_file.as_str()), ("TEST_ENVIRONMENT", "no")];
    let refused = child(&url, &[deaf[0], deaf[1], ("TEST_CA", &other_file)]).await;
    assert!(refused.contains("not trusted here"), "{refused}");
    let deaf = [("SSL_CERT_FILE", other_file.as_str()), ("TEST_ENVIRONMENT", "no")];
    assert_eq!(child(&url, &[deaf[0], deaf[1], ("TEST_CA", &ours_file)]).await, "pong");

    let error = Transport::builder().trust_environment(false).build().unwrap_err();
    assert!(error.to_string().contains("Trust::Only, Trust::Pin"), "{error}");
}
