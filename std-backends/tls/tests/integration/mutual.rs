//! Client certificates, checked by OpenSSL's server.

use std::sync::Arc;

use cloudauth_core::azure::{ClientAssertion, Credential, Token, TokenRequest};
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Exchange as _, Scheme, SignError, Signer, ToSign};
use cloudauth_keys::Key;
use cloudauth_tls::{Identity, Request, Transport, TransportError};
use rcgen::SignatureAlgorithm;

use crate::support::openssl::{self, Openssl};
use crate::support::{Authority, Leaf, Server, answer, ping};

fn key(leaf: &Leaf) -> Key {
    Key::from_pkcs8(&leaf.key.serialize_der()).unwrap()
}

fn identity(leaf: &Leaf) -> Identity {
    Identity::from_pem(leaf.pem.as_bytes(), Arc::new(key(leaf))).unwrap()
}

fn client(authority: &Authority, algorithm: &'static SignatureAlgorithm) -> Leaf {
    authority.issue(&["client.example"], algorithm, |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "device 7");
    })
}

/// A key that has one scheme only, as some devices do.
struct Only(Key, Scheme);

impl Signer for Only {
    fn public_key(&self) -> &[u8] {
        self.0.public_key()
    }

    fn supports(&self, scheme: Scheme) -> bool {
        scheme == self.1
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        self.0.max_signature_len(scheme)
    }

    fn sign(&self, s: Scheme, t: &ToSign<'_>, out: &mut [u8]) -> Result<usize, SignError> {
        self.0.sign(s, t, out)
    }
}

const VERIFY: [&str; 4] = ["-www", "-Verify", "3", "-verify_return_error"];

#[tokio::test]
async fn openssl_verifies_every_kind_of_key() {
    if openssl::is_missing() {
        return;
    }
    let authority = Authority::new();
    for algorithm in
        [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384]
    {
        let identity = identity(&client(&authority, algorithm));
        let transport = authority.transport().identity(identity).build().unwrap();
        for version in ["-tls1_2", "-tls1_3"] {
            let server = Openssl::server(&authority, &[&VERIFY[..], &[version]].concat());
            let page = ping(&transport, server.https()).await.unwrap();
            assert!(page.contains("CN = device 7") || page.contains("CN=device 7"), "{page}");
        }
    }
}

#[tokio::test]
async fn openssl_verifies_pkcs1_signatures_in_tls_1_2() {
    if openssl::is_missing() {
        return;
    }
    let authority = Authority::new();
    let leaf = client(&authority, &rcgen::PKCS_RSA_SHA256);
    let only = Only(key(&leaf), Scheme::RsaPkcs1Sha256);
    let identity = Identity::from_pem(leaf.pem.as_bytes(), Arc::new(only)).unwrap();
    let transport = authority.transport().identity(identity).build().unwrap();
    let server = Openssl::server(&authority, &[&VERIFY[..], &["-tls1_2"]].concat());
    assert!(ping(&transport, server.https()).await.unwrap().contains("device 7"));
    // TLS 1.3 has no such signatures. That is said here, and not left for the server to complain of.
    let server = Openssl::server(&authority, &[&VERIFY[..], &["-tls1_3"]].concat());
    let error = ping(&transport, server.https()).await.unwrap_err().to_string();
    assert!(error.contains("none of the signature schemes"), "{error}");
}

#[tokio::test]
async fn refusals_say_why() {
    if openssl::is_missing() {
        return;
    }
    let authority = Authority::new();
    let with = |identity: Option<Identity>| -> Transport {
        let builder = authority.transport().attempts(1);
        match identity {
            Some(identity) => builder.identity(identity).build().unwrap(),
            None => builder.build().unwrap(),
        }
    };
    let stranger = client(&Authority::new(), &rcgen::PKCS_ECDSA_P256_SHA256);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Openssl::server(&authority, &[&VERIFY[..], &[version]].concat());
        let error = ping(&with(None), server.https()).await.unwrap_err();
        assert!(matches!(error, TransportError::Tls { transient: false, .. }), "{error}");
        assert!(error.to_string().contains("wants a client certificate"), "{error}");
        let error = ping(&with(Some(identity(&stranger))), server.https()).await.unwrap_err();
        assert!(error.to_string().contains("does not know the issuer"), "{error}");
        let known = client(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
        assert!(ping(&with(Some(identity(&known))), server.https()).await.is_ok());
    }
}

#[test]
fn identities_that_cannot_be() {
    let authority = Authority::new();
    let leaf = client(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
    let other = client(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
    let error = |pem: &str| {
        let error = Identity::from_pem(pem.as_bytes(), Arc::new(key(&leaf))).unwrap_err();
        assert!(matches!(error, TransportError::Config { .. }));
        error.to_string()
    };
    assert!(error(&other.pem).contains("issued for another key"));
    assert!(error(&format!("{}{}", authority.pem, leaf.pem)).contains("issued for another key"));
    assert!(error("").contains("expected certificates in PEM"));
    let chain = format!("{}{}", leaf.pem, authority.pem);
    assert!(Identity::from_pem(chain.as_bytes(), Arc::new(key(&leaf))).is_ok());
    assert!(Identity::from_pem(leaf.pem.as_bytes(), Arc::new(key(&leaf))).is_ok());
}

#[tokio::test]
async fn a_connection_knows_what_it_showed() {
    if openssl::is_missing() {
        return;
    }
    let authority = Authority::new();
    let leaf = client(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
    let transport = authority.transport().identity(identity(&leaf)).build().unwrap();
    let alpn = ["-alpn", "http/1.1"];
    let asks = Openssl::server(&authority, &[&VERIFY[..], &alpn].concat());
    let connection = transport.connect(&asks.https()).await.unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&leaf.key);
    assert_eq!(connection.client_spki(), Some(&spki[..]));
    let does_not = Openssl::server(&authority, &[&["-www"][..], &alpn].concat());
    let connection = transport.connect(&does_not.https()).await.unwrap();
    assert_eq!(connection.client_spki(), None);
}

/// Of the size of a request that asks for more room than most, and signed by a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_move_between_threads_and_sign_wherever_they_are_told_to() {
    let authority = Authority::new();
    let good =
        answer("200 OK", &[], r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t"}"#);
    let server = Server::start(None, &[good]).await;
    let leaf = client(&authority, &rcgen::PKCS_RSA_SHA256);
    let transport = authority.transport().build().unwrap().via(server.http());
    let der: &'static [u8] = Vec::leak(der(&leaf.pem));
    let claims: &'static str = format!("{{\"x\":\"{}\"}}", "x".repeat(8000)).leak();
    let exchange = TokenRequest {
        scopes: &["https://vault.azure.net/.default"],
        claims: Some(claims),
        credential: Credential::Assertion(ClientAssertion::new(
            Certificate::parse(der).unwrap(),
            "tenant.example",
            "11111111-2222-3333-4444-555555555555",
        )),
    };
    let key = Arc::new(key(&leaf));
    let read = |token: Token<'_>| token.token.access_token.expose().to_owned();
    let (first, signer) = (transport.clone(), key.clone());
    let send = tokio::spawn(async move { first.send(&exchange, Some(&*signer), read).await });
    assert_eq!(send.await.unwrap().unwrap(), "t");
    let call = tokio::spawn(async move {
        transport
            .call(
                |at| {
                    let key = key.clone();
                    async move {
                        let build = move || Request::build(&exchange, Some(&*key), &at);
                        Ok(tokio::task::spawn_blocking(build).await??)
                    }
                },
                |head, body| exchange.response(head, body).map(read),
            )
            .await
    });
    assert_eq!(call.await.unwrap().unwrap(), "t");
    assert_eq!(server.requests().len(), 2);
    assert_ne!(server.requests()[0], server.requests()[1]);

    // An exchange that needs a signature, without anyone to give it.
    let transport = authority.transport().build().unwrap();
    let error = transport.send(&exchange, None, read).await.unwrap_err();
    assert!(error.to_string().contains("this request needs one"), "{error}");
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}
