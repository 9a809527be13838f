//! Attacks by number and by time: idle and slow clients, floods, and whose connection it is.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::table::{Expect, Outcome, Table};
use crate::wire::{Client, Heard, post};
use crate::world::{READER, World};

pub(crate) fn run(table: &mut Table) {
    idle(table);
    slow(table);
    floods(table);
    proxy(table);
}

fn idle(table: &mut Table) {
    let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: nofile.maximum, ..nofile };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let world = World::new(
        "[server.limits]\nconnections-per-address = 1100\nidle-seconds = 8\n\
         [server.rates]\nconnections = { per-minute = 6000, burst = 2000 }",
        "",
    );
    let config = Arc::new(world.dialer().config());
    let mut idle: Vec<Client> = (0..1000)
        .map(|_| {
            Client::new(world.dialer().tcp(world.api()).unwrap(), config.clone(), None).unwrap()
        })
        .collect();
    let start = Instant::now();
    let passed = world.good();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    // The last of them was accepted just now.
    let ended = idle.iter_mut().all(Client::is_over);
    let refused = match ended {
        true => Outcome::Refused("each closed after idle-seconds".to_owned()),
        false => Outcome::Accepted("some stay".to_owned()),
    };
    table.attack(
        "1,000 idle connections",
        "TLS, and no request",
        &refused,
        Expect::Refused("closed"),
        "an exchange beside them",
        &passed,
    );
}

fn slow(table: &mut Table) {
    let world = World::new(
        "[server.limits]\nhandshake-seconds = 1\nbody-seconds = 1\nidle-seconds = 2",
        "",
    );
    // Slow, but within the limits.
    let near = || {
        let mut client = world.connect();
        let request = post("/v1/challenge", "{}");
        for part in [&request[..20], &request[20..60], &request[60..]] {
            client.send(part);
            thread::sleep(Duration::from_millis(300));
        }
        Outcome::heard(client.hear(), serde_json::Value::Null)
    };
    let passed = near();
    let good = world.good();
    assert!(good.is_accepted(), "{good:?}");
    // Sends octet by octet until it is told something, and says after how long.
    let drip = |client: &mut Client, text: &str| {
        let start = Instant::now();
        client.tls.sock.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let heard = text.as_bytes().chunks(1).find_map(|octet| {
            client.send(octet);
            match client.hear() {
                Heard::Nothing if start.elapsed() < Duration::from_secs(6) => None,
                heard => Some(heard),
            }
        });
        (heard.unwrap_or(Heard::Nothing), start.elapsed().as_secs_f32())
    };
    let late = |heard: Heard, after: f32| match world.outcome(heard) {
        Outcome::Refused(how) => Outcome::Refused(format!("{how} after {after:.0} s")),
        other => other,
    };

    let silent = || {
        let start = Instant::now();
        let mut tcp = TcpStream::connect(world.api()).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
        let closed = matches!(tcp.read(&mut [0]), Ok(0));
        let after = start.elapsed().as_secs_f32();
        match closed {
            true => Outcome::Refused(format!("closed after {after:.0} s")),
            false => Outcome::Accepted("open".to_owned()),
        }
    };
    let near = "in three parts, 300 ms apart";
    table.attack(
        "a connection without a handshake",
        "nothing",
        &silent(),
        Expect::Refused("closed"),
        near,
        &passed,
    );

    let hello = || {
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(Arc::new(world.dialer().config()), name).unwrap();
        let mut octets = Vec::new();
        session.write_tls(&mut octets).unwrap();
        let start = Instant::now();
        let mut tcp = TcpStream::connect(world.api()).unwrap();
        for octet in octets.chunks(1) {
            if tcp.write_all(octet).is_err() {
                return Outcome::Refused(format!(
                    "closed after {:.0} s",
                    start.elapsed().as_secs_f32()
                ));
            }
            if start.elapsed() > Duration::from_secs(6) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Outcome::Accepted("open".to_owned())
    };
    table.attack(
        "slow-loris: handshake",
        "ClientHello octet by octet",
        &hello(),
        Expect::Refused("closed"),
        near,
        &passed,
    );

    let mut client = world.connect();
    let (heard, after) = drip(&mut client, &post("/v1/challenge", "{}"));
    let refused = match late(heard, after) {
        Outcome::Answer(answer, _) if answer.status == 408 => {
            Outcome::Refused("closed with 408".to_owned())
        }
        other => other,
    };
    table.attack(
        "slow-loris: head",
        "octet by octet, 100 ms apart",
        &refused,
        Expect::Refused("closed"),
        near,
        &passed,
    );

    let mut client = world.connect();
    let head = post("/v1/challenge", &" ".repeat(60_000));
    let (head, _) = head.split_once("\r\n\r\n").unwrap();
    client.send(format!("{head}\r\n\r\n{{"));
    let (heard, after) = drip(&mut client, &" ".repeat(100));
    table.attack(
        "slow-loris: body",
        "octet by octet, 100 ms apart",
        &late(heard, after),
        Expect::Malformed(408),
        near,
        &passed,
    );

    let mut client = world.connect();
    client.send(format!("{head}\r\n\r\n{{"));
    let start = Instant::now();
    let heard = client.hear();
    let refused = late(heard, start.elapsed().as_secs_f32());
    table.attack(
        "slow-loris: half a body, then nothing",
        "one octet of 60,000",
        &refused,
        Expect::Malformed(408),
        near,
        &passed,
    );

    // Requests without end whose answers nobody reads.
    let mut deaf = world.connect();
    deaf.tls.sock.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let many = post("/v1/nothing", "{}").repeat(50);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) && deaf.send(&many) {
        thread::sleep(Duration::from_millis(20));
    }
    let metrics = world.admin("/metrics");
    let name = "cloudauth_broker_requests_total{endpoint=\"other\",outcome=\"malformed\"} ";
    let answered = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none");
    let refused = match answered {
        "100" => Outcome::Refused("closed after 100 requests".to_owned()),
        other => Outcome::Accepted(format!("{other} requests")),
    };
    table.attack(
        "requests without end on one connection",
        "answers not read",
        &refused,
        Expect::Refused("closed"),
        near,
        &passed,
    );
}

fn floods(table: &mut Table) {
    let world = World::new(
        "[server.limits]\nconnections-per-address = 20\n\
         [server.rates]\nclient = { per-minute = 60, burst = 30 }\nconnections = { per-minute = 60, burst = 60 }",
        "",
    );
    let from = |last| {
        let mut dialer = world.dialer();
        dialer.from = Ipv4Addr::new(127, 0, 0, last);
        dialer
    };
    let exchange = |last| match from(last).connect(world.api()) {
        Ok(mut client) => world.exchange_on(&mut client, READER, |_| {}),
        Err(error) => Outcome::Refused(format!("closed: {error}")),
    };
    let held: Vec<_> = (0..20).map(|_| from(2).connect(world.api()).unwrap()).collect();
    let refused = exchange(2);
    table.attack(
        "more connections than one client may have",
        "the 21st from 127.0.0.2",
        &refused,
        Expect::Refused("closed"),
        "the first from 127.0.0.3",
        &exchange(3),
    );
    drop(held);
    let count = (0..100).take_while(|_| from(4).connect(world.api()).is_ok()).count();
    let refused = match exchange(4) {
        Outcome::Refused(how) => Outcome::Refused(format!("{how}, after {count}")),
        other => other,
    };
    table.attack(
        "connections one after the other",
        "more than 60 from 127.0.0.4",
        &refused,
        Expect::Refused("closed"),
        "the first from 127.0.0.5",
        &exchange(5),
    );
    let mut client = from(6).connect(world.api()).unwrap();
    let limited = (0..60).find_map(|_| match client.post("/v1/challenge", "{}") {
        Heard::Answer(answer) if answer.status == 200 => None,
        other => Some(world.outcome(other)),
    });
    let refused = limited.unwrap_or(Outcome::Accepted("60 challenges".to_owned()));
    if let Outcome::Answer(answer, _) = &refused {
        assert!(answer.head.contains("retry-after: "), "{refused:?}");
    }
    let refused = match refused {
        Outcome::Answer(answer, record)
            if record["error"].is_null() && record["verdict"] == "rate_limited" =>
        {
            Outcome::Refused(format!("{} rate_limited", answer.status))
        }
        other => other,
    };
    table.attack(
        "requests one after the other",
        "more than 30 from 127.0.0.6",
        &refused,
        Expect::Refused("429 rate_limited"),
        "the first from 127.0.0.7",
        &exchange(7),
    );
}

/// PROXY protocol v2, by hand.
fn header(from: [u8; 4]) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    octets.extend(from);
    octets.extend([127, 0, 0, 1, 0x12, 0x34, 0x20, 0xfb]);
    octets
}

fn proxy(table: &mut Table) {
    let world = World::still();
    let image = format!("image-digests = 'sha256:{}'\n", "1".repeat(64));
    let attested = format!("{}{image}source-networks = ['192.0.2.0/24']\n", World::workload());
    let inside = world.grant("inside", &attested, &world.azure_token());
    let mut world = world;
    world.configure("proxy-protocol-from = ['127.0.0.2/32']", &inside);
    world.start().unwrap();
    let exchange = |last, first: &[u8], request| {
        let mut dialer = world.dialer();
        dialer.from = Ipv4Addr::new(127, 0, 0, last);
        dialer.first = first.to_vec();
        match dialer.connect(world.api()) {
            Ok(mut client) => world.exchange_on(&mut client, request, |_| {}),
            Err(error) => Outcome::Refused(format!("closed: {error}")),
        }
    };
    let address = |outcome: &Outcome, wanted: &str| match outcome {
        Outcome::Answer(_, record) => assert_eq!(record["address"], wanted, "{record}"),
        other => panic!("{other:?}"),
    };
    const INSIDE: &str = r#"{"grant":"inside"}"#;
    let good = exchange(2, &header([192, 0, 2, 7]), INSIDE);
    address(&good, "192.0.2.7");
    let plain = exchange(3, b"", READER);
    address(&plain, "127.0.0.3");

    let closed = Expect::Refused("closed");
    let refused = exchange(3, &header([192, 0, 2, 7]), INSIDE);
    table.attack(
        "forged PROXY header",
        "from whom nobody trusts",
        &refused,
        closed,
        "from the same without one",
        &plain,
    );
    let refused = exchange(2, b"", READER);
    let near = "with the header";
    table.attack(
        "a trusted balancer without a header",
        "TLS at once",
        &refused,
        closed,
        near,
        &good,
    );
    let refused = exchange(2, &header([198, 51, 100, 7]), INSIDE);
    address(&refused, "198.51.100.7");
    table.attack(
        "a client of another network behind the balancer",
        "198.51.100.7",
        &refused,
        Expect::Check("denied", "source-network"),
        "192.0.2.7",
        &good,
    );
    let two = [header([198, 51, 100, 7]), header([192, 0, 2, 7])].concat();
    let mut four = header([0; 4]);
    four.truncate(24);
    for (name, first) in [
        ("forged PROXY header behind the balancer's own", two),
        ("PROXY header in version 1", b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 8443\r\n".to_vec()),
        ("PROXY header of nobody", header([0, 0, 0, 0])),
        ("PROXY header of a group", header([224, 0, 0, 1])),
        ("PROXY header without its addresses", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x00".to_vec()),
        ("PROXY header of 65,535 octets", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec()),
        (
            "PROXY header of UDP",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x01\x00\x01"
                .to_vec(),
        ),
    ] {
        let refused = exchange(2, &first, INSIDE);
        table.attack(name, "from the balancer", &refused, closed, near, &good);
    }
    // Nobody knows whose connection that is: its own.
    let local = exchange(2, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", INSIDE);
    address(&local, "127.0.0.2");
    table.attack(
        "PROXY header of a look at the broker's health",
        "LOCAL",
        &local,
        Expect::Check("denied", "source-network"),
        near,
        &good,
    );
}
