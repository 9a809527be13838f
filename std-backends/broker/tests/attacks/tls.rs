//! Attacks on TLS: old versions, other protocols, anything of a session that would outlive its connection.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::client::Resumption;
use rustls::{HandshakeKind, ServerConnection, StreamOwned, version};

use crate::channel::server_config;
use crate::table::{Expect, Outcome, Table};
use crate::wire::{Client, Dialer};
use crate::world::{READER, World};

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    versions(table, &world);
    tickets(table, &world);
    openssl(table, &world);
}

fn versions(table: &mut Table, world: &World) {
    let with = |change: fn(&mut Dialer)| {
        let mut dialer = world.dialer();
        change(&mut dialer);
        match dialer.connect(world.api()) {
            Ok(mut client) => world.exchange_on(&mut client, READER, |_| {}),
            Err(error) => Outcome::Refused(error.to_string()),
        }
    };
    let passed = with(|dialer| dialer.versions = vec![&version::TLS12, &version::TLS13]);
    let refused = with(|dialer| dialer.versions = vec![&version::TLS12]);
    let alert = Expect::Refused("ProtocolVersion");
    table.attack("TLS 1.2 client", "TLS 1.2 alone", &refused, alert, "1.2 and 1.3", &passed);
    let passed = with(|dialer| dialer.alpn = vec!["h2", "http/1.1"]);
    let refused = with(|dialer| dialer.alpn = vec!["h2"]);
    table.attack(
        "HTTP/2 client",
        "ALPN h2 alone",
        &refused,
        Expect::Refused("NoApplicationProtocol"),
        "h2 and http/1.1",
        &passed,
    );
    let refused = with(|dialer| dialer.alpn.clear());
    table.attack("no ALPN", "none", &refused, Expect::Refused("alert"), "http/1.1", &passed);
    let mut tcp = std::net::TcpStream::connect(world.api()).unwrap();
    tcp.set_read_timeout(Some(crate::wire::PATIENCE)).unwrap();
    tcp.write_all(b"POST /v1/challenge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        .unwrap();
    let mut octets = Vec::new();
    let _ = tcp.read_to_end(&mut octets);
    let refused = match octets.starts_with(b"HTTP") {
        true => Outcome::Accepted("an answer in plain text".to_owned()),
        false => Outcome::Refused("closed with an alert".to_owned()),
    };
    table.attack(
        "no TLS at all",
        "HTTP in plain text",
        &refused,
        Expect::Refused("closed"),
        "TLS",
        &passed,
    );
}

/// A client that keeps every ticket, offers what it has, and sends early data where it may.
fn tickets(table: &mut Table, world: &World) {
    let mut config = world.dialer().config();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let connect = |to| {
        let tcp = world.dialer().tcp(to).unwrap();
        Client::new(tcp, config.clone(), None).unwrap()
    };
    let mut client = connect(world.api());
    let passed = world.exchange_on(&mut client, READER, |_| {});
    let got = client.tls.conn.tls13_tickets_received();
    let refused = match got {
        0 => Outcome::Refused("no NewSessionTicket".to_owned()),
        n => Outcome::Accepted(format!("{n} tickets")),
    };
    table.attack(
        "tickets: waiting for one",
        "a client that would keep it",
        &refused,
        Expect::Refused("no New"),
        "its exchange",
        &passed,
    );
    let mut client = connect(world.api());
    let passed = world.exchange_on(&mut client, READER, |_| {});
    let kind = client.tls.conn.handshake_kind();
    let refused = match kind {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {
            Outcome::Refused("a full handshake".to_owned())
        }
        kind => Outcome::Accepted(format!("{kind:?}")),
    };
    table.attack(
        "resumption",
        "the second connection of one client",
        &refused,
        Expect::Refused("full"),
        "its exchange",
        &passed,
    );

    // A ticket of another server with the same name and certificate, so that there is one to offer.
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = issuer.local_addr().unwrap();
    let mut of_issuer = server_config(&world.leaf);
    of_issuer.max_early_data_size = 16_384;
    let of_issuer = Arc::new(of_issuer);
    let serving = thread::spawn(move || {
        let (tcp, _) = issuer.accept().unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(of_issuer).unwrap(), tcp);
        let mut octet = [0];
        tls.read_exact(&mut octet).unwrap();
        tls.write_all(b"HTTP/1.1 204 None\r\n\r\n").unwrap();
        tls.flush().unwrap();
        let _ = tls.read(&mut octet);
    });
    let mut client = connect(at);
    client.send("x");
    client.hear();
    assert!(client.tls.conn.tls13_tickets_received() > 0);
    drop(client);
    serving.join().unwrap();

    let mut tcp = world.dialer().tcp(world.api()).unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(config, name).unwrap();
    let early = session.early_data().map(|mut early| {
        let request = crate::wire::post("/v1/challenge", "{}");
        early.write_all(request.as_bytes()).unwrap();
    });
    assert!(early.is_some(), "the client has a ticket to offer, and offers early data");
    while session.is_handshaking() {
        session.complete_io(&mut tcp).unwrap();
    }
    let refused = match (session.is_early_data_accepted(), session.handshake_kind()) {
        (false, Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)) => {
            Outcome::Refused("a full handshake, no early data taken".to_owned())
        }
        (taken, kind) => Outcome::Accepted(format!("{kind:?}, early data taken: {taken}")),
    };
    drop((session, tcp));
    table.attack(
        "tickets and early data offered",
        "a ticket for this name, POST /v1/challenge in early data",
        &refused,
        Expect::Refused("full"),
        "without",
        &world.good(),
    );
}

/// A witness that is not rustls.
fn openssl(table: &mut Table, world: &World) {
    let session = world.path("session.pem");
    let connect = |more: &[&str]| {
        let mut command = Command::new("openssl");
        command
            .args([
                "s_client",
                "-connect",
                &world.api().to_string(),
                "-servername",
                "localhost",
                "-ign_eof",
            ])
            .arg("-CAfile")
            .arg(world.path("broker-ca.pem"))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let request = crate::wire::post("/v1/challenge", "{}").replacen(
            "Host",
            "Connection: close\r\nHost",
            1,
        );
        let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
        let output = child.wait_with_output().unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let answered = |text: &str| match text.contains("\"challenge\":") {
        true => Outcome::Accepted("a challenge".to_owned()),
        false => Outcome::Refused(text.to_owned()),
    };
    let text = connect(&["-tls1_3", "-alpn", "http/1.1", "-sess_out", session.to_str().unwrap()]);
    let passed = answered(&text);
    let refused = match !session.exists() && !text.contains("New Session Ticket arrived") {
        true => Outcome::Refused("no session to write".to_owned()),
        false => Outcome::Accepted("a session".to_owned()),
    };
    table.attack(
        "tickets, by OpenSSL's client",
        "s_client -sess_out",
        &refused,
        Expect::Refused("no session"),
        "its request",
        &passed,
    );
    let text = connect(&["-tls1_2", "-alpn", "http/1.1"]);
    let refused = match answered(&text) {
        Outcome::Refused(text) if text.contains("alert protocol version") => {
            Outcome::Refused("alert protocol version".to_owned())
        }
        other => other,
    };
    table.attack(
        "TLS 1.2, by OpenSSL's client",
        "s_client -tls1_2",
        &refused,
        Expect::Refused("alert protocol version"),
        "-tls1_3",
        &passed,
    );
}
