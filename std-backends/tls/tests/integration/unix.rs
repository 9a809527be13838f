//! Plain HTTP over a Unix socket.

use std::time::Duration;

use cloudauth_tls::{Endpoint, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::support::{Ping, quick};

/// A listener that gives each connection the same octets, and the first request it got.
fn serve(listener: UnixListener, answer: &'static [u8]) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let len = stream.read(&mut request).await.unwrap();
        // Who has given up takes no answer.
        let _ = stream.write_all(answer).await;
        request.truncate(len);
        String::from_utf8(request).unwrap()
    })
}

#[tokio::test]
async fn a_chunked_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.sock");
    let server = serve(
        UnixListener::bind(&path).unwrap(),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
          2\r\npo\r\n2\r\nng\r\n0\r\n\r\n",
    );
    // A proxy of the environment has no part in it.
    let transport = quick().build().unwrap().via(Endpoint::unix(&path));
    let answer = transport.send(&Ping::new("localhost"), None, str::to_owned).await.unwrap();
    assert_eq!(answer, "pong");
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /ping?a=b%20c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: localhost\r\n"), "{request}");
}

#[tokio::test]
async fn limits_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let builder = || quick().attempts(1).read_timeout(Duration::from_millis(200)).body_limit(3);
    let send = async || {
        let transport = builder().build().unwrap().via(Endpoint::unix(&path));
        transport.send(&Ping::new("localhost"), None, str::to_owned).await.unwrap_err()
    };
    // Nobody answers.
    let error = send().await;
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
    let server = serve(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
    // The connection that was given up is the first in the queue.
    let _ = server.await.unwrap();
    let error = send().await.to_string();
    // The listener is gone, and its file is not.
    assert!(error.contains("socket \"") && error.contains("service running"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = send().await.to_string();
    assert!(error.contains("service running"), "{error}");
    let server = serve(
        UnixListener::bind(&path).unwrap(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong",
    );
    let error = send().await;
    assert!(matches!(error, TransportError::TooLarge { limit: 3, .. }), "{error}");
    server.await.unwrap();
}
