//! What the transport costs over a bare TLS handshake with one request and its answer, both on loopback:
//! at most 10 %.
//!
//! As in `tests/benches/table.rs`, both sides run in short slices, one after the other, and the ratio is
//! the median over all pairs of slices.

// A benchmark stops at the first thing that is not as it expects.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use cloudauth_core::aws::sts::AssumeRoleWithWebIdentity;
use cloudauth_core::{Attempt, Exchange as _, UnixTime};
use cloudauth_tls::{Endpoint, Transport, Trust};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SLICES: usize = 61;

/// The goal in per cent, and from where on the run fails: noise on a shared machine must not.
const GOAL: f64 = 10.0;
const FLOOR: f64 = 30.0;

const ANSWER: &str = r#"{"AssumeRoleWithWebIdentityResponse":{"AssumeRoleWithWebIdentityResult":{
"AssumedRoleUser":{"Arn":"arn:aws:sts::123456789012:assumed-role/reader/session","AssumedRoleId":"AROAEXAMPLE:session"},
"Audience":"https://broker.example","Credentials":{"AccessKeyId":"ASIAEXAMPLE","Expiration":1795352400,
"SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY","SessionToken":"FwoGZXIvYXdzEXAMPLE"},
"Provider":"https://issuer.example","SubjectFromWebIdentityToken":"workload"},"ResponseMetadata":{"RequestId":"1"}}}"#;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server in a thread of its own, which answers one request a connection.
fn serve(config: ServerConfig) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                let mut stream = tls.accept(tcp).await.unwrap();
                let mut request = Vec::new();
                // The last parameter of the request's body.
                while !request.ends_with(b"&WebIdentityToken=e30.e30.e30") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
                // Until the client closes.
                let _ = stream.read_to_end(&mut request).await;
            }
        });
    });
    address
}

fn time<F: Future>(runtime: &Runtime, n: u32, f: &dyn Fn() -> F) -> f64 {
    let start = Instant::now();
    for _ in 0..n {
        runtime.block_on(f());
    }
    start.elapsed().as_secs_f64() / f64::from(n)
}

/// Ours and the peer's time in seconds, and the ratio; all medians.
fn compare<A: Future, B: Future>(
    runtime: &Runtime,
    ours: impl Fn() -> A,
    peer: impl Fn() -> B,
) -> (f64, f64, f64) {
    let once = time(runtime, 20, &peer);
    // Slices of about 15 ms.
    let n = (4..1000).find(|n| f64::from(*n) * once >= 0.015).unwrap_or(1000);
    let mut slices: Vec<(f64, f64)> =
        (0..SLICES).map(|_| (time(runtime, n, &ours), time(runtime, n, &peer))).collect();
    let mut median = |key: fn(&(f64, f64)) -> f64| {
        slices.sort_by(|a, b| key(a).total_cmp(&key(b)));
        key(&slices[SLICES / 2])
    };
    (median(|s| s.0), median(|s| s.1), median(|s| s.0 / s.1))
}

fn main() -> ExitCode {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let provider = Arc::new(default_provider());
    let runtime = runtime();
    println!("| what | ours | bare handshake and request | result | goal | met |");
    println!("|---|---|---|---|---|---|");
    let mut regressed = false;
    for (what, tickets) in [("full handshake", 0), ("resumed", 2)] {
        let der = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], der)
            .unwrap();
        server.send_tls13_tickets = tickets;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let address = serve(server);

        let endpoint = Endpoint::parse(&format!("https://{address}")).unwrap();
        let host = endpoint.authority();
        let mut exchange = AssumeRoleWithWebIdentity::new(
            "us-east-1",
            "arn:aws:iam::123456789012:role/reader",
            "session",
            "e30.e30.e30",
        );
        exchange.endpoint = Some(&host);
        exchange.accept_json = true;
        let transport = Transport::builder()
            .trust(Trust::Only(pem.clone().into_bytes()))
            .trust_environment(false)
            .build()
            .unwrap();
        let ours = async || {
            let read = |answer: cloudauth_core::aws::sts::FederatedRole<'_>| {
                answer.role.credentials.session_token.expose().to_owned()
            };
            transport.send(&exchange, None, read).await.unwrap()
        };

        let at = Attempt::new(UnixTime::new(1_795_348_800).unwrap(), [7; 32]);
        let (mut space, mut wire) = ([0; 2048], [0; 4096]);
        let request = exchange.build(&at, &mut space).unwrap();
        let request = request.write_http1(&mut wire).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let peer = async || {
            let tcp = TcpStream::connect(address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let name = ServerName::from(address.ip());
            let mut stream = connector.connect(name, tcp).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::with_capacity(2048);
            while !answer.ends_with(ANSWER.as_bytes()) {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
            }
            let _ = stream.shutdown().await;
        };
        let (ours, peer, ratio) = compare(&runtime, ours, peer);
        let over = (ratio - 1.0) * 100.0;
        regressed |= over > FLOOR;
        println!(
            "| live exchange, {what} | {:.0} us | {:.0} us | {over:+.1} % | <= +{GOAL} % | {} |",
            ours * 1e6,
            peer * 1e6,
            if over <= GOAL { "yes" } else { "NO" },
        );
    }
    if regressed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
