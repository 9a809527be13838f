//! What a connection exports, and the binder of it: the same octets on both sides, whoever made them.

use std::time::Duration;

use cloudauth_tls::{
    Acceptor, ClientCertificates, Endpoint, Identity, Protocol, Transport, TransportError, Trust,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::peers::{Material, PEERS, ours, same};

const CONTEXT: [u8; 32] = *b"the challenge of this connection";

fn acceptor(material: &Material, clients: &ClientCertificates) -> Acceptor {
    let (pem, signer) = (material.server.pem.as_bytes(), material.server.signer());
    let limit = Duration::from_secs(20);
    Acceptor::from_pem(pem, signer, clients, Protocol::Required, limit).unwrap()
}

#[tokio::test]
#[ignore = "tests/attested/run builds the peers"]
async fn clients_of_others() {
    let material = Material::new();
    let authority = || material.ca.clone().into_bytes();
    for peer in PEERS {
        for (clients, options, shown) in [
            (ClientCertificates::None, &[][..], false),
            (ClientCertificates::Optional(authority()), &[], false),
            (ClientCertificates::Required(authority()), &["cert"], true),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let running = peer.start("client", &address, &material, &CONTEXT, options);
            let (tcp, _) = listener.accept().await.unwrap();
            let (mut stream, session) = acceptor(&material, &clients).accept(tcp).await.unwrap();
            assert_eq!(session.client_spki().is_some(), shown);
            let export = |label: &str, context: &[u8]| *session.export(label, context).unwrap();
            let ours = ours(export, &CONTEXT, session.server_spki(), session.client_spki());
            // Until the peer has said all and ends the connection; it may wait for this end of it.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            drop((stream, session));
            let (theirs, status, complaint) = running.end();
            assert!(status.success(), "{peer:?}: {complaint}");
            same(peer, &theirs, &ours);
        }
    }
}

#[tokio::test]
#[ignore = "tests/attested/run builds the peers"]
async fn servers_of_others() {
    let material = Material::new();
    let trust = Trust::Only(material.ca.clone().into_bytes());
    for peer in PEERS {
        for options in [&[][..], &["cert"]] {
            let mut running = peer.start("server", "-", &material, &CONTEXT, options);
            let endpoint =
                Endpoint::parse(&format!("https://localhost:{}", running.port())).unwrap();
            let mut builder = Transport::builder().trust(trust.clone());
            if !options.is_empty() {
                let pem = material.client.pem.as_bytes();
                let identity = Identity::from_pem(pem, material.client.signer());
                builder = builder.identity(identity.unwrap());
            }
            let connection = builder.build().unwrap().connect(&endpoint).await.unwrap();
            assert_eq!(connection.client_spki().is_some(), !options.is_empty());
            let export = |label: &str, context: &[u8]| *connection.export(label, context).unwrap();
            let ours = ours(export, &CONTEXT, connection.server_spki(), connection.client_spki());
            drop(connection);
            let (theirs, status, complaint) = running.end();
            assert!(status.success(), "{peer:?}: {complaint}");
            same(peer, &theirs, &ours);
        }
    }
}

/// TLS 1.2 exports too, but without the certificates' and the key shares' part in it.
#[tokio::test]
#[ignore = "tests/attested/run builds the peers"]
async fn tls_1_2_is_refused() {
    let material = Material::new();
    let acceptor = acceptor(&material, &ClientCertificates::None);
    for peer in PEERS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let running = peer.start("client", &address, &material, &CONTEXT, &["tls12"]);
        let (tcp, _) = listener.accept().await.unwrap();
        let refused = acceptor.accept(tcp).await;
        let (theirs, status, complaint) = running.end();
        assert!(refused.is_err() && theirs.is_empty(), "{peer:?}");
        assert_eq!(status.code(), Some(3), "{peer:?}: {complaint}");

        let mut running = peer.start("server", "-", &material, &CONTEXT, &["tls12"]);
        let endpoint = Endpoint::parse(&format!("https://localhost:{}", running.port())).unwrap();
        let trust = Trust::Only(material.ca.clone().into_bytes());
        let refused = Transport::builder().trust(trust).build().unwrap().connect(&endpoint).await;
        let error = refused.expect_err("TLS 1.2 was taken");
        assert!(!matches!(error, TransportError::Config { .. }), "{error}");
        let (theirs, status, complaint) = running.end();
        assert!(theirs.is_empty(), "{peer:?}");
        assert_eq!(status.code(), Some(3), "{peer:?}: {complaint}");
    }
}
