//! Several exchanges on one connection, and what it exports.

use std::sync::Arc;
use std::time::Duration;

use cloudauth_core::digest::{hmac_sha256, sha256};
use cloudauth_core::encode::hex;
use cloudauth_tls::{Connection, TransportError};
use rustls::HandshakeKind;
use tokio_rustls::TlsAcceptor;

use crate::support::openssl::{self, Openssl};
use crate::support::{Authority, CONTEXT, LABEL, Ping, Reply, Server, answer, good};

async fn send(connection: &mut Connection) -> Result<String, TransportError> {
    connection.send(&Ping::new("broker.example"), None, str::to_owned).await
}

fn ended(result: Result<String, TransportError>) -> bool {
    matches!(result, Err(TransportError::Ended { .. }))
}

#[tokio::test]
async fn exchanges_share_a_connection_and_its_keying_material() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let refusal = answer("403 Forbidden", &["X-Code: denied"], "");
    let server = Server::start(Some(leaf.tls()), &[good(), refusal, good()]).await;
    let transport = authority.transport().build().unwrap();
    let endpoint = server.https();
    let connecting = transport.clone();
    // As in a task of its own: the futures can move between threads.
    let connected = tokio::spawn(async move {
        let mut connection = connecting.connect(&endpoint).await.unwrap();
        let answer = send(&mut connection).await.unwrap();
        (connection, answer)
    });
    let (mut connection, answer) = connected.await.unwrap();
    assert_eq!(answer, "pong");
    // A refusal does not end it.
    let error = send(&mut connection).await.unwrap_err();
    assert_eq!(error.refusal().map(|r| r.code.as_str()), Some("denied"));
    assert_eq!(send(&mut connection).await.unwrap(), "pong");
    let [handshake] = server.handshakes().try_into().ok().unwrap();
    assert_eq!(*connection.export(LABEL, &CONTEXT).unwrap(), handshake.exported);
    assert_ne!(*connection.export(LABEL, &[8; 32]).unwrap(), handshake.exported);
    let other = "EXPORTER-libcloudauth-v1-server";
    assert_ne!(*connection.export(other, &CONTEXT).unwrap(), handshake.exported);
    let spki = rcgen::PublicKeyData::subject_public_key_info(&leaf.key);
    assert_eq!(connection.server_spki(), spki);
    assert_eq!(connection.client_spki(), None);

    // The server offered tickets; the next connection is a new one all the same, and exports other
    // octets.
    let mut second = transport.connect(&server.https()).await.unwrap();
    assert_eq!(send(&mut second).await.unwrap(), "pong");
    let handshakes = server.handshakes();
    assert!(handshakes.iter().all(|h| h.kind == HandshakeKind::Full));
    assert_ne!(handshakes[0].exported, handshakes[1].exported);
    assert_eq!(*second.export(LABEL, &CONTEXT).unwrap(), handshakes[1].exported);
}

#[tokio::test]
async fn nothing_is_sent_again_and_nothing_after_the_end() {
    let authority = Authority::new();
    let tls = Some(authority.server(&["localhost"]).tls());
    let transport = authority.transport().read_timeout(Duration::from_millis(200)).build().unwrap();
    let closing = answer("200 OK", &["Connection: close"], "pong");
    let stuck = Reply::Stuck(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npo".to_vec());
    for first in
        [Reply::Reset, stuck, Reply::Cut(Vec::new()), answer("200 OK", &[], &"x".repeat(2_000_000))]
    {
        let server = Server::start(tls.clone(), &[first, good()]).await;
        let mut connection = transport.connect(&server.https()).await.unwrap();
        let error = send(&mut connection).await.unwrap_err();
        assert!(!matches!(error, TransportError::Ended { .. }), "{error}");
        assert!(ended(send(&mut connection).await));
        assert!(matches!(connection.export(LABEL, &CONTEXT), Err(TransportError::Ended { .. })));
        assert_eq!(server.requests().len(), 1);
        assert_eq!(server.handshakes().len(), 1);
    }
    let server = Server::start(tls.clone(), &[closing, good()]).await;
    let mut connection = transport.connect(&server.https()).await.unwrap();
    assert_eq!(send(&mut connection).await.unwrap(), "pong");
    assert!(ended(send(&mut connection).await));
    assert_eq!(server.requests().len(), 1);

    // A busy server is not asked again either.
    let server = Server::start(tls, &[answer("503 Service Unavailable", &[], ""), good()]).await;
    let mut connection = transport.connect(&server.https()).await.unwrap();
    assert!(send(&mut connection).await.unwrap_err().is_transient());
    assert_eq!(server.requests().len(), 1);

    // A call that is given up half-way leaves an answer behind: the connection has ended.
    let tls = Some(authority.server(&["localhost"]).tls());
    let server = Server::start(tls, &[Reply::Stuck(Vec::new()), good()]).await;
    let mut connection = transport.connect(&server.https()).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(50), send(&mut connection)).await;
    assert!(given_up.is_err());
    assert!(ended(send(&mut connection).await));
}

#[tokio::test]
async fn what_nothing_is_bound_to() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let transport = authority.transport().build().unwrap();
    let server = Server::start(None, &[good()]).await;
    let error = transport.connect(&server.http()).await.unwrap_err();
    assert!(matches!(error, TransportError::Config { .. }), "{error}");
    let mut silent = leaf.config(rustls::ALL_VERSIONS);
    silent.alpn_protocols.clear();
    let tls = TlsAcceptor::from(Arc::new(silent));
    let server = Server::start(Some(tls), &[good()]).await;
    let error = transport.connect(&server.https()).await.unwrap_err();
    assert!(error.to_string().contains("did not agree to http/1.1"), "{error}");
    // The clouds' exchanges need no ALPN.
    assert_eq!(crate::support::ping(&transport, server.https()).await.unwrap(), "pong");
}

/// RFC 8446, section 7.1, for SHA-256 and one block.
fn expand_label(secret: &[u8; 32], label: &str, context: &[u8]) -> [u8; 32] {
    let mut info = vec![0, 32, u8::try_from(6 + label.len()).unwrap()];
    info.extend_from_slice(b"tls13 ");
    info.extend_from_slice(label.as_bytes());
    info.push(u8::try_from(context.len()).unwrap());
    info.extend_from_slice(context);
    info.push(1);
    hmac_sha256(secret, &info)
}

fn hexadecimal(octets: &[u8]) -> String {
    let mut text = vec![0; hex::encoded_len(octets.len())];
    let mut out = cloudauth_core::Out::new(&mut text);
    hex::encode(octets, &mut out);
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn openssl_exports_the_same() {
    if openssl::is_missing() {
        return;
    }
    let authority = Authority::new();
    let secrets = tempfile::NamedTempFile::new().unwrap();
    let mut server = Openssl::server(
        &authority,
        &[
            "-alpn",
            "http/1.1",
            "-ciphersuites",
            "TLS_AES_128_GCM_SHA256",
            "-keymatexport",
            LABEL,
            "-keymatexportlen",
            "32",
            "-keylogfile",
            secrets.path().to_str().unwrap(),
        ],
    );
    let transport = authority.transport().build().unwrap();
    let mut connection = transport.connect(&server.https()).await.unwrap();
    for n in 0..2 {
        server.answers_next(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npong{n}"));
        assert_eq!(send(&mut connection).await.unwrap(), format!("pong{n}"));
    }
    // Without a context OpenSSL says it itself.
    let ours = hexadecimal(&*connection.export(LABEL, &[]).unwrap());
    let output = server.output();
    assert!(output.to_ascii_lowercase().contains(&ours), "{ours}: {output}");

    // With one: from the secret that OpenSSL logs, by RFC 8446, section 7.5.
    let log = std::fs::read_to_string(secrets.path()).unwrap();
    let line = log.lines().find(|l| l.starts_with("EXPORTER_SECRET ")).unwrap();
    let mut secret = [0; 32];
    let text = line.rsplit(' ').next().unwrap();
    for (octet, pair) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
        *octet = u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    for (label, context) in [(LABEL, &CONTEXT[..]), (LABEL, &[]), ("EXPORTER-x", &[1; 100])] {
        let derived = expand_label(&secret, label, &sha256(b""));
        let theirs = expand_label(&derived, "exporter", &sha256(context));
        assert_eq!(*connection.export(label, context).unwrap(), theirs);
    }
}
