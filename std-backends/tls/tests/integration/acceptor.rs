//! The server's side: what it takes, what it refuses, and what both ends see.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use cloudauth_keys::{Key, KeyUri};
use cloudauth_tls::{
    AcceptError, Accepted, Acceptor, ClientCertificates, Identity, Protocol, Session,
};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, crypto::aws_lc_rs,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Authority, CONTEXT, LABEL, Leaf};

const LIMIT: Duration = Duration::from_secs(5);

fn key(leaf: &Leaf) -> Arc<Key> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, leaf.key.serialize_pem()).unwrap();
    Arc::new(Key::open(&KeyUri::of_file(file.path()).unwrap()).unwrap())
}

fn acceptor(leaf: &Leaf, clients: &ClientCertificates, protocol: Protocol) -> Acceptor {
    Acceptor::from_pem(leaf.pem.as_bytes(), key(leaf), clients, protocol, LIMIT).unwrap()
}

/// Takes one connection.
async fn listen(
    acceptor: Acceptor,
) -> (SocketAddr, tokio::task::JoinHandle<Result<(Accepted, Session), AcceptError>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await
    });
    (address, accepting)
}

fn config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn connect(
    config: &Arc<ClientConfig>,
    to: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config.clone()).connect(name, tcp).await
}

#[tokio::test]
async fn both_ends_see_the_same() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let client_leaf = authority.server(&["client"]);
    let spki = |leaf: &Leaf| rcgen::PublicKeyData::subject_public_key_info(&leaf.key);
    let pem = authority.pem.clone().into_bytes();
    for (clients, identity, seen) in [
        (ClientCertificates::None, Some(&client_leaf), false),
        (ClientCertificates::Optional(pem.clone()), Some(&client_leaf), true),
        (ClientCertificates::Optional(pem.clone()), None, false),
        (ClientCertificates::Required(pem.clone()), Some(&client_leaf), true),
    ] {
        let acceptor = acceptor(&leaf, &clients, Protocol::Required);
        assert_eq!(acceptor.spki(), spki(&leaf));
        let (address, accepting) = listen(acceptor).await;
        let mut builder = authority.transport();
        if let Some(leaf) = identity {
            builder = builder.identity(Identity::from_pem(leaf.pem.as_bytes(), key(leaf)).unwrap());
        }
        let transport = builder.build().unwrap();
        let endpoint =
            cloudauth_tls::Endpoint::parse(&format!("https://localhost:{}", address.port()))
                .unwrap();
        let connection = transport.connect(&endpoint).await.unwrap();
        let (_stream, session) = accepting.await.unwrap().unwrap();
        assert_eq!(session.server_spki(), connection.server_spki());
        assert_eq!(session.client_spki(), connection.client_spki());
        assert_eq!(session.client_spki().is_some(), seen);
        let der = CertificateDer::from_pem_slice(client_leaf.pem.as_bytes()).unwrap();
        assert_eq!(session.client_certificate(), seen.then_some(&*der));
        for (label, context) in [(LABEL, &CONTEXT[..]), (LABEL, &[]), ("my_nonce", &[])] {
            let exported = session.export(label, context).unwrap();
            assert_eq!(exported, connection.export(label, context).unwrap());
            assert_ne!(*exported, [0; 32]);
        }
        assert_ne!(
            session.export(LABEL, &[1; 32]).unwrap(),
            session.export(LABEL, &[2; 32]).unwrap()
        );
    }
}

#[tokio::test]
async fn clients_must_show_a_good_certificate() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let pem = authority.pem.clone().into_bytes();
    let no_purpose = authority.issue(&["x"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    for (required, shown, accepted) in [
        (true, None, false),
        (false, None, true),
        (true, Some(stranger.server(&["x"])), false),
        (false, Some(stranger.server(&["x"])), false),
        (true, Some(authority.expired(&["x"])), false),
        (false, Some(no_purpose), false),
        (true, Some(authority.server(&["x"])), true),
    ] {
        let clients = match required {
            true => ClientCertificates::Required(pem.clone()),
            false => ClientCertificates::Optional(pem.clone()),
        };
        let (address, accepting) = listen(acceptor(&leaf, &clients, Protocol::Required)).await;
        let mut builder = authority.transport();
        if let Some(leaf) = &shown {
            builder = builder.identity(Identity::from_pem(leaf.pem.as_bytes(), key(leaf)).unwrap());
        }
        let endpoint =
            cloudauth_tls::Endpoint::parse(&format!("https://localhost:{}", address.port()))
                .unwrap();
        let _connection = builder.build().unwrap().connect(&endpoint).await;
        let result = accepting.await.unwrap();
        assert_eq!(result.is_ok(), accepted, "{required} {result:?}");
    }
}

#[tokio::test]
async fn versions_and_protocols() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    for (versions, alpn, protocol, accepted) in [
        (&[&TLS13][..], &["http/1.1"][..], Protocol::Required, true),
        (&[&TLS13, &TLS12], &["h2", "http/1.1"], Protocol::Required, true),
        (&[&TLS12], &["http/1.1"], Protocol::Required, false),
        (&[&TLS12], &["http/1.1"], Protocol::Assumed, false),
        (&[&TLS13], &["h2"], Protocol::Required, false),
        (&[&TLS13], &["h2"], Protocol::Assumed, false),
        (&[&TLS13], &[], Protocol::Required, false),
        (&[&TLS13], &[], Protocol::Assumed, true),
        (&[&TLS13], &["http/1.1"], Protocol::Assumed, true),
    ] {
        let (address, accepting) =
            listen(acceptor(&leaf, &ClientCertificates::None, protocol)).await;
        let stream = connect(&Arc::new(config(&authority, versions, alpn)), address).await;
        let result = accepting.await.unwrap();
        assert_eq!((stream.is_ok(), result.is_ok()), (accepted, accepted), "{versions:?} {alpn:?}");
        if let Ok(stream) = stream {
            let chosen = stream.get_ref().1.alpn_protocol();
            assert_eq!(chosen, (!alpn.is_empty()).then_some(&b"http/1.1"[..]));
        }
    }
}

#[tokio::test]
async fn nothing_is_resumed_and_nothing_comes_early() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let mut client = config(&authority, &[&TLS13], &["http/1.1"]);
    client.resumption = Resumption::in_memory_sessions(8);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for _ in 0..2 {
        let (address, accepting) =
            listen(acceptor(&leaf, &ClientCertificates::None, Protocol::Required)).await;
        let mut stream = connect(&client, address).await.unwrap();
        let (mut accepted, _session) = accepting.await.unwrap().unwrap();
        // Tickets would come before the first octets.
        accepted.write_all(b"hello").await.unwrap();
        accepted.flush().await.unwrap();
        let mut octets = [0; 5];
        stream.read_exact(&mut octets).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.tls13_tickets_received(), 0);
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert!(!session.is_early_data_accepted());
    }
}

#[tokio::test]
async fn handshakes_have_a_limit() {
    let authority = Authority::new();
    let leaf = authority.server(&["localhost"]);
    let quick = Acceptor::from_pem(
        leaf.pem.as_bytes(),
        key(&leaf),
        &ClientCertificates::None,
        Protocol::Required,
        Duration::from_millis(200),
    )
    .unwrap();
    let (address, accepting) = listen(quick.clone()).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let error = accepting.await.unwrap().err().unwrap();
    assert!(matches!(error, AcceptError::TimedOut(_)), "{error}");
    let (address, accepting) = listen(quick).await;
    let client = Arc::new(config(&authority, &[&TLS13], &["http/1.1"]));
    assert!(connect(&client, address).await.is_ok());
    assert!(accepting.await.unwrap().is_ok());
}

/// Signs with few schemes, or not at all.
struct Limited {
    key: Arc<Key>,
    schemes: &'static [Scheme],
    asked: AtomicBool,
    fails: bool,
}

impl Signer for Limited {
    fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.schemes.contains(&scheme)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        self.key.max_signature_len(scheme)
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> Result<usize, SignError> {
        self.asked.store(true, Ordering::Relaxed);
        match self.fails {
            true => Err(SignError::new("sign", "the device is gone")),
            false => self.key.sign(scheme, to_sign, out),
        }
    }
}

#[tokio::test]
async fn any_key_serves_and_one_that_cannot_is_refused() {
    let authority = Authority::new();
    let (none, required) = (ClientCertificates::None, Protocol::Required);
    let limited = |leaf: &Leaf, schemes, fails| {
        Arc::new(Limited { key: key(leaf), schemes, asked: AtomicBool::new(false), fails })
    };
    for (algorithm, schemes) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, &[Scheme::EcdsaP256Sha256][..]),
        (&rcgen::PKCS_ECDSA_P384_SHA384, &[Scheme::EcdsaP384Sha384]),
        (&rcgen::PKCS_RSA_SHA256, &[Scheme::RsaPssSha256]),
    ] {
        let leaf = authority.issue(&["localhost"], algorithm, |_| {});
        for fails in [false, true] {
            let signer = limited(&leaf, schemes, fails);
            let acceptor =
                Acceptor::from_pem(leaf.pem.as_bytes(), signer.clone(), &none, required, LIMIT)
                    .unwrap();
            let (address, accepting) = listen(acceptor).await;
            let client = Arc::new(config(&authority, &[&TLS13], &["http/1.1"]));
            assert_eq!(connect(&client, address).await.is_ok(), !fails);
            let result = accepting.await.unwrap();
            assert_eq!(result.is_ok(), !fails);
            assert!(signer.asked.load(Ordering::Relaxed));
            if let Err(error) = result {
                assert!(error.to_string().contains("the device is gone"), "{error}");
            }
        }
    }
    let error =
        |leaf: &Leaf, signer: Arc<dyn Signer + Send + Sync>, clients: &ClientCertificates| {
            let result = Acceptor::from_pem(leaf.pem.as_bytes(), signer, clients, required, LIMIT);
            result.err().unwrap().to_string()
        };
    let rsa = authority.issue(&["localhost"], &rcgen::PKCS_RSA_SHA256, |_| {});
    let pkcs1 = limited(&rsa, &[Scheme::RsaPkcs1Sha256], false);
    assert!(error(&rsa, pkcs1, &none).contains("cannot sign in TLS 1.3"));
    let other = authority.server(&["localhost"]);
    assert!(error(&other, key(&rsa), &none).contains("another key"));
    let bad = ClientCertificates::Required(b"nonsense".to_vec());
    assert!(error(&other, key(&other), &bad).contains("client authorities"));
}
