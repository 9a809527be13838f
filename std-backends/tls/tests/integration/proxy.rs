//! Proxies, named by the environment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Authority, Server, child, good};

/// A proxy that leads everywhere to one server.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// `refusal` is sent to whoever does not show these credentials, which are Basic's.
    async fn start(
        to: SocketAddr,
        tls: Option<TlsAcceptor>,
        credentials: Option<&'static str>,
        refusal: &'static str,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (seen, tls) = (seen.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => tunnel(tcp, &seen, to, credentials, refusal).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(tcp).await else { return };
                            tunnel(stream, &seen, to, credentials, refusal).await;
                        }
                    }
                });
            }
        });
        Self { address, asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tunnel(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<String>>,
    to: SocketAddr,
    credentials: Option<&str>,
    refusal: &str,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = client.read_u8().await else { return };
        head.push(octet);
    }
    let head = String::from_utf8(head).unwrap();
    let shown = head.lines().find_map(|l| l.strip_prefix("proxy-authorization: Basic "));
    let allowed = credentials.is_none_or(|c| shown == Some(c)) && refusal != "always";
    seen.lock().unwrap().push(head.clone());
    if !allowed {
        let status = if refusal == "always" { "403 Forbidden" } else { refusal };
        let _ = client
            .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .await;
        let _ = client.shutdown().await;
        return;
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let mut server = TcpStream::connect(to).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

const HOST: &str = "sts.region.invalid";
const URL: &str = "https://sts.region.invalid";

/// An authority, its file, and a server that it calls [`HOST`].
async fn hidden() -> (Authority, tempfile::TempDir, String, Server) {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let server = Server::start(Some(authority.server(&[HOST]).tls()), &[good()]).await;
    (authority, dir, file.to_str().unwrap().to_owned(), server)
}

#[tokio::test]
async fn a_tunnel() {
    let (_authority, _dir, ca, server) = hidden().await;
    let proxy = Proxy::start(server.address, None, None, "").await;
    let url = format!("http://{}", proxy.address);
    let ca = ("TEST_CA", ca.as_str());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        assert_eq!(child(URL, &[ca, (name, &url)]).await, "pong");
    }
    assert!(proxy.asked()[0].starts_with("CONNECT sts.region.invalid:443 HTTP/1.1\r\n"));
    assert!(server.requests()[0].contains("host: sts.region.invalid\r\n"));
    assert_eq!(proxy.asked().len(), 3);

    // Not for what is exempt, not for loopback, and not where the environment is not trusted: then the
    // name is looked up, and there is no such name.
    let via = ("HTTPS_PROXY", url.as_str());
    for more in [("NO_PROXY", "region.invalid"), ("no_proxy", "*"), ("TEST_ENVIRONMENT", "no")] {
        let direct = child(URL, &[ca, via, more]).await;
        assert!(direct.contains("no address found"), "{direct}");
    }
    assert_eq!(proxy.asked().len(), 3);
    assert_eq!(child(URL, &[ca, via, ("NO_PROXY", "other.invalid")]).await, "pong");
    let local = child(&server.https().to_string(), &[ca, via]).await;
    assert!(local.contains("for another name"), "{local}");
    assert_eq!(proxy.asked().len(), 4);
}

#[tokio::test]
async fn credentials() {
    let (_authority, _dir, ca, server) = hidden().await;
    let ca = ("TEST_CA", ca.as_str());
    let required = "407 Proxy Authentication Required";
    // user:p@ss
    let proxy = Proxy::start(server.address, None, Some("dXNlcjpwQHNz"), required).await;
    let with = |credentials: &str| format!("http://{credentials}{}", proxy.address);
    assert_eq!(child(URL, &[ca, ("HTTPS_PROXY", &with("user:p%40ss@"))]).await, "pong");
    let none = child(URL, &[ca, ("HTTPS_PROXY", &with(""))]).await;
    assert!(none.contains("wants credentials (407)"), "{none}");
    let wrong = child(URL, &[ca, ("HTTPS_PROXY", &with("user:hunter2@"))]).await;
    assert!(wrong.contains("refuses the credentials"), "{wrong}");
    assert!(!wrong.contains("hunter2") && !wrong.contains("aHVudGVy"), "{wrong}");
    assert_eq!(server.requests().len(), 1);
    assert!(!server.requests()[0].contains("proxy-authorization"));
}

#[tokio::test]
async fn proxies_that_do_not_serve() {
    let (_authority, _dir, ca, server) = hidden().await;
    let ca = ("TEST_CA", ca.as_str());
    let proxy = Proxy::start(server.address, None, None, "always").await;
    let denied = child(URL, &[ca, ("HTTPS_PROXY", &format!("http://{}", proxy.address))]).await;
    assert!(
        denied.contains("answered 403") && denied.contains("CONNECT to sts.region"),
        "{denied}"
    );
    let gone = proxy.address;
    drop(proxy);
    tokio::task::yield_now().await;
    let gone = child(URL, &[ca, ("HTTPS_PROXY", &format!("http://{gone}"))]).await;
    assert!(gone.contains("the proxy 127.0.0.1:") && gone.contains("connecting failed"), "{gone}");
    // Not a way around: an error.
    for url in ["socks5://127.0.0.1:1", "http://[x]"] {
        let error = child(URL, &[ca, ("HTTPS_PROXY", url)]).await;
        assert!(error.contains("the variable HTTPS_PROXY names none that can be used"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_behind_tls() {
    let (authority, _dir, ca, server) = hidden().await;
    let ca = ("TEST_CA", ca.as_str());
    let url = |proxy: &Proxy| format!("https://localhost:{}", proxy.address.port());
    let tls = authority.server(&["localhost"]).tls();
    let proxy = Proxy::start(server.address, Some(tls), None, "").await;
    assert_eq!(child(URL, &[ca, ("HTTPS_PROXY", &url(&proxy))]).await, "pong");
    let tls = Authority::new().server(&["localhost"]).tls();
    let proxy = Proxy::start(server.address, Some(tls), None, "").await;
    let unknown = child(URL, &[ca, ("HTTPS_PROXY", &url(&proxy))]).await;
    assert!(
        unknown.contains("the proxy localhost") && unknown.contains("not trusted"),
        "{unknown}"
    );
}
