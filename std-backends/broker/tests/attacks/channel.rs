//! Attacks on the binding of an attestation to its connection and its request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::binder::{self, Binder};
use crate::table::{Expect, Outcome, Table};
use crate::wire::{Client, Dialer, Heard, credentials, post};
use crate::world::{Authority, Leaf, READER, World};

const MISMATCH: Expect<'_> = Expect::Check("channel_mismatch", "nonce");
const EXPIRED: Expect<'_> = Expect::Problem(409, "challenge_expired", &[]);

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    replayed(table, &world);
    relayed(table, &world);
    reflected(table, &world);
    challenges(table, &world);
    requests(table, &world);
    audiences(table, &world);
    client_certificates(table);
    clock(table);
}

/// A token for READER on a connection, whose binder is changed before.
fn bound(world: &World, client: &mut Client, change: impl FnOnce(&mut Binder)) -> String {
    let challenge = client.challenge();
    let mut binder = client.binder(challenge, READER);
    change(&mut binder);
    world.mint(&world.token(&[&binder.nonce()]))
}

fn replayed(table: &mut Table, world: &World) {
    let (mut here, mut there) = (world.connect(), world.connect());
    let token = bound(world, &mut here, |_| {});
    there.challenge();
    let refused = world.outcome(there.credentials(READER, &token));
    let passed = world.outcome(here.credentials(READER, &token));
    table.attack(
        "token replayed on another connection",
        "the token of connection A on B",
        &refused,
        MISMATCH,
        "the same token on A",
        &passed,
    );

    // The challenge is what a thief can carry over; the exporter's value he cannot.
    let (mut here, mut there) = (world.connect(), world.connect());
    let challenge = there.challenge();
    let nonce = here.binder(challenge, READER).nonce();
    let token = world.mint(&world.token(&[&nonce]));
    let refused = world.outcome(there.credentials(READER, &token));
    let token = bound(world, &mut here, |_| {});
    let passed = world.outcome(here.credentials(READER, &token));
    table.attack(
        "token made for the challenge of another connection",
        "challenge of B, exported on A, sent on B",
        &refused,
        MISMATCH,
        "the challenge of A on A",
        &passed,
    );
}

/// A man in the middle: to the victim he is the server, to the broker the client.
fn relayed(table: &mut Table, world: &World) {
    let attacker = Authority::new("attacker");
    let own = attacker.issue();
    let straight = through(world, &world.authority.pem, &Relay::Octets);
    for (name, sent, roots, relay) in [
        (
            "relayed by a man in the middle with a certificate of his own",
            "two TLS connections, the requests passed on; the victim trusts his CA",
            &attacker.pem,
            Relay::Tls(own),
        ),
        (
            "relayed by a man in the middle with the broker's stolen key",
            "the same with the broker's own certificate",
            &world.authority.pem,
            Relay::Tls(world.leaf.clone()),
        ),
    ] {
        let refused = through(world, roots, &relay);
        table.attack(name, sent, &refused, MISMATCH, "octets passed on as they are", &straight);
    }
}

enum Relay {
    /// As a balancer does.
    Octets,
    /// With TLS ended in the middle.
    Tls(Leaf),
}

/// A victim's whole exchange through a relay.
fn through(world: &World, roots: &str, relay: &Relay) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let broker = world.api();
    let dialer = world.dialer();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            match relay {
                Relay::Octets => pass_on(tcp, broker),
                Relay::Tls(leaf) => end_tls(tcp, leaf, &dialer, broker),
            }
        });
        let mut victim = Dialer::new(roots).connect(to).unwrap();
        let outcome = world.exchange_on(&mut victim, READER, |_| {});
        drop(victim);
        outcome
    })
}

fn pass_on(mut victim: TcpStream, broker: SocketAddr) {
    let mut upstream = TcpStream::connect(broker).unwrap();
    let (mut from, mut to) = (upstream.try_clone().unwrap(), victim.try_clone().unwrap());
    let back = thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut victim, &mut upstream);
    let _ = upstream.shutdown(std::net::Shutdown::Both);
    let _ = back.join();
}

/// One request after the other.
fn end_tls(tcp: TcpStream, leaf: &Leaf, dialer: &Dialer, broker: SocketAddr) {
    let mut upstream = dialer.connect(broker).unwrap();
    let session = ServerConnection::new(Arc::new(server_config(leaf))).unwrap();
    let mut victim = StreamOwned::new(session, tcp);
    let mut octets = [0; 16 * 1024];
    let mut request = Vec::new();
    while let Ok(n @ 1..) = victim.read(&mut octets) {
        request.extend(&octets[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() < length.unwrap().parse().unwrap() {
            continue;
        }
        upstream.send(&request);
        request.clear();
        let Heard::Answer(answer) = upstream.hear() else { return };
        let answer = format!("{}{}", answer.head, answer.body);
        victim.write_all(answer.as_bytes()).and_then(|()| victim.flush()).unwrap();
    }
}

/// Any server that speaks http/1.1.
pub(crate) fn server_config(leaf: &Leaf) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_slice(leaf.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// What a server attests of itself is no attestation of a client's.
fn reflected(table: &mut Table, world: &World) {
    let mut client = world.connect();
    let challenge = client.challenge();
    let others = [binder::SERVER_LABEL, binder::SEED_LABEL, "testing_nonce"]
        .map(|label| (label, client.export(label, Some(&challenge))));
    let plain = client.export(binder::CLIENT_LABEL, None);
    let good = client.binder(challenge, READER);
    let as_server = Binder { role: binder::SERVER, exported: others[0].1, ..good.clone() };
    let mut cases = vec![
        ("reflection: the binder of the server's role", "role 2, the server's label", as_server),
        (
            "reflection: the role's octet alone",
            "role 2, the client's label",
            Binder { role: binder::SERVER, ..good.clone() },
        ),
    ];
    for (label, exported) in others {
        cases.push((
            "value exported under another label",
            label,
            Binder { exported, ..good.clone() },
        ));
    }
    cases.push((
        "value exported without the challenge",
        "no context",
        Binder { exported: plain, ..good.clone() },
    ));
    for (name, sent, binder) in cases {
        // One connection, the challenge is new each time: so is what is exported.
        let challenge = client.challenge();
        let exported = match sent {
            _ if binder.exported == good.exported => {
                client.export(binder::CLIENT_LABEL, Some(&challenge))
            }
            "no context" => binder.exported,
            "role 2, the server's label" => client.export(binder::SERVER_LABEL, Some(&challenge)),
            label => client.export(label, Some(&challenge)),
        };
        let token = world.mint(&world.token(&[&Binder { exported, challenge, ..binder }.nonce()]));
        let refused = world.outcome(client.credentials(READER, &token));
        let passed = world.exchange_on(&mut client, READER, |_| {});
        table.attack(name, sent, &refused, MISMATCH, "role 1, the client's label", &passed);
    }
}

fn challenges(table: &mut Table, world: &World) {
    let mut client = world.connect();
    let token = bound(world, &mut client, |_| {});
    let passed = world.outcome(client.credentials(READER, &token));
    let refused = world.outcome(client.credentials(READER, &token));
    table.attack(
        "second use on one connection",
        "the same request again",
        &refused,
        EXPIRED,
        "its first use",
        &passed,
    );

    client.challenge();
    let refused = world.outcome(client.credentials(READER, &token));
    let passed = world.exchange_on(&mut client, READER, |_| {});
    table.attack(
        "challenge reused: an old token after a new challenge",
        "token of the challenge before",
        &refused,
        MISMATCH,
        "token of the new challenge",
        &passed,
    );

    let first = bound(world, &mut client, |_| {});
    let second = bound(world, &mut client, |_| {});
    let refused = world.outcome(client.credentials(READER, &first));
    let after = world.outcome(client.credentials(READER, &second));
    let passed = world.exchange_on(&mut client, READER, |_| {});
    table.attack(
        "two challenges outstanding at a time",
        "token of the first of two challenges",
        &refused,
        MISMATCH,
        "token of a third",
        &passed,
    );
    table.attack(
        "a challenge used once, wrong",
        "the good token after a bad one",
        &after,
        EXPIRED,
        "token of a new challenge",
        &passed,
    );

    let refused = world.outcome(world.connect().credentials(READER, &second));
    table.attack(
        "no challenge at all",
        "a token as the first request",
        &refused,
        EXPIRED,
        "after a challenge",
        &passed,
    );

    // Even a request that cannot be read has used it up.
    let token = bound(world, &mut client, |_| {});
    client.post("/v1/credentials", "{");
    let refused = world.outcome(client.credentials(READER, &token));
    let token = bound(world, &mut client, |_| {});
    client.post("/v1/nothing", "{");
    let passed = world.outcome(client.credentials(READER, &token));
    table.attack(
        "a challenge used by a malformed request",
        "the good request behind {",
        &refused,
        EXPIRED,
        "behind a request to nowhere",
        &passed,
    );

    let token = bound(world, &mut client, |_| {});
    let one = post("/v1/credentials", &credentials(READER, &token));
    client.send(format!("{one}{one}"));
    let passed = world.outcome(client.hear());
    let refused = world.outcome(client.hear());
    table.attack(
        "two requests at once (pipelined) on one challenge",
        "the second of both",
        &refused,
        EXPIRED,
        "the first of both",
        &passed,
    );
}

fn requests(table: &mut Table, world: &World) {
    for (name, sent) in [
        ("body changed after binding: another grant", r#"{"grant":"azure"}"#),
        ("body changed after binding: the same grant in other octets", r#"{"grant": "reader"}"#),
        ("body changed after binding: the end cut off", r#"{"grant":"reader""#),
    ] {
        let mut client = world.connect();
        let token = bound(world, &mut client, |_| {});
        let refused = world.outcome(client.credentials(sent, &token));
        let token = bound(world, &mut client, |_| {});
        let passed = world.outcome(client.credentials(READER, &token));
        table.attack(name, sent, &refused, MISMATCH, READER, &passed);
    }
    for (name, sent, change) in [
        (
            "bound to another server's key",
            "another SPKI",
            (|binder: &mut Binder| binder.server_spki.push(0)) as fn(&mut Binder),
        ),
        ("bound to a client key where there is none", "SPKI of nobody", |binder| {
            binder.client_spki = Some(Vec::new());
        }),
        ("bound to another challenge", "challenge of zeros", |binder| binder.challenge = [0; 32]),
        ("bound to another exported value", "zeros", |binder| binder.exported = [0; 32]),
    ] {
        let mut client = world.connect();
        let token = bound(world, &mut client, change);
        let refused = world.outcome(client.credentials(READER, &token));
        let passed = world.exchange_on(&mut client, READER, |_| {});
        table.attack(name, sent, &refused, MISMATCH, "as the connection is", &passed);
    }
}

fn audiences(table: &mut Table, world: &World) {
    const OTHER: &str = "https://other.example";
    let mut case = |name, sent, of_binder: &str, aud: serde_json::Value, expected| {
        let mut client = world.connect();
        let challenge = client.challenge();
        let mut binder = client.binder(challenge, READER);
        binder.audience = of_binder.to_owned();
        let mut token = world.token(&[&binder.nonce()]);
        token.claims.insert("aud".to_owned(), aud);
        let refused = world.outcome(client.credentials(READER, &world.mint(&token)));
        table.attack(name, sent, &refused, expected, "the broker's audience", &world.good());
    };
    let own = crate::world::AUDIENCE;
    case("other audience in the token", OTHER, own, OTHER.into(), MISMATCH);
    let denied = Expect::Check("denied", "audience");
    case("other audience in token and binder", OTHER, OTHER, OTHER.into(), denied);
    case("two audiences", "aud: [ours, other]", own, vec![own, OTHER].into(), MISMATCH);
    case("no audience", "aud: null", own, serde_json::Value::Null, MISMATCH);
    case("no audience, bound to none", "aud: null", "", serde_json::Value::Null, MISMATCH);
    let slash = format!("{own}/");
    case("an audience that is nearly ours", &slash, &slash, slash.as_str().into(), denied);
}

fn client_certificates(table: &mut Table) {
    let world = World::still();
    let (good, other) = (world.clients.issue(), world.clients.issue());
    let pin = binder::hex(&binder::sha256(&good.spki()));
    let image = format!("image-digests = 'sha256:{}'\n", "1".repeat(64));
    let attested = format!("{}{image}client-certificate = ['sha256:{pin}']\n", World::workload());
    let pinned = world.grant("pinned", &attested, &world.assume_role());
    let mut world = world;
    world.configure("client-ca = 'clients.pem'\nclient-certificate = 'optional'", &pinned);
    world.start().unwrap();
    let connect = |leaf: Option<&Leaf>| {
        let dialer = world.dialer();
        let dialer = leaf.into_iter().fold(dialer, Dialer::identity);
        dialer.connect(world.api()).unwrap()
    };
    let passed = world.exchange_on(&mut connect(Some(&good)), READER, |_| {});
    for (name, sent, on, of) in [
        ("other client certificate", "on B's connection, bound to A's", Some(&other), Some(&good)),
        (
            "client certificate left out of the binder",
            "none of it in the binder",
            Some(&good),
            None,
        ),
        ("client certificate left out of the connection", "none on it", None, Some(&good)),
    ] {
        let mut client = connect(on);
        let token = bound(&world, &mut client, |binder| binder.client_spki = of.map(Leaf::spki));
        let refused = world.outcome(client.credentials(READER, &token));
        table.attack(name, sent, &refused, MISMATCH, "A's on both", &passed);
    }
    let pinned = r#"{"grant":"pinned"}"#;
    let refused = world.exchange_on(&mut connect(Some(&other)), pinned, |_| {});
    let without = world.exchange_on(&mut connect(None), pinned, |_| {});
    let passed = world.exchange_on(&mut connect(Some(&good)), pinned, |_| {});
    let denied = Expect::Check("denied", "client-certificate");
    let name = "a client certificate that the grant does not name";
    table.attack(
        name,
        "another of the same CA",
        &refused,
        denied,
        "the one that is pinned",
        &passed,
    );
    let name = "no client certificate where the grant wants one";
    table.attack(name, "none", &without, denied, "the one that is pinned", &passed);

    let foreign = Authority::new("foreign").issue();
    let heard = match world.dialer().identity(&foreign).connect(world.api()) {
        Ok(mut client) => client.post("/v1/challenge", "{}"),
        Err(error) => Heard::Closed(error.to_string()),
    };
    let name = "a client certificate of another CA";
    let refused = Outcome::heard(heard, serde_json::Value::Null);
    table.attack(
        name,
        "in the handshake",
        &refused,
        Expect::Refused("closed"),
        "of the right CA",
        &passed,
    );
}

/// By the broker's own clock: it is moved, the broker is not changed.
fn clock(table: &mut Table) {
    let world = World::with_own_clock("[server.limits]\nidle-seconds = 600");
    let after = |seconds| {
        let mut client = world.connect();
        let token = bound(&world, &mut client, |_| {});
        world.advance(Duration::from_secs(seconds));
        world.outcome(client.credentials(READER, &token))
    };
    let (passed, refused) = (after(59), after(61));
    let name = "expired challenge";
    table.attack(
        name,
        "61 seconds after the challenge",
        &refused,
        EXPIRED,
        "59 seconds after",
        &passed,
    );
}
