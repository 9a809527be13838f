//! Health, metrics, reload, drain.

use std::time::Duration;

use cloudauth_broker::{Broker, StartError};
use cloudauth_emulator::{Fault, FaultKind, Service};

use serde_json::json;

use crate::support::{World, post, url};

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_listener() {
    let world = World::new().await;
    for (line, status, text) in [
        ("GET /healthz", 200, "ok"),
        ("GET /readyz", 200, "ready"),
        ("GET /metrics", 200, "cloudauth_broker_ready 1"),
        ("GET /v1/challenge", 404, ""),
        ("POST /healthz", 405, ""),
    ] {
        let answer = world.admin(line).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(answer.contains(text), "{line}: {answer}");
    }
    world.connect().await.challenge().await;
    let name = "cloudauth_broker_requests_total{endpoint=\"challenge\",outcome=\"ok\"}";
    assert_eq!(world.metric(name).await, 1.0);
    assert_eq!(world.metric("cloudauth_broker_handshake_seconds_count").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_without_keys() {
    let world = World::new().await;
    world.configure("", "");
    world.emulator.fault(Fault {
        service: Some(Service::ConfidentialSpace),
        count: 1000,
        kind: FaultKind::Status(500),
    });
    let other = Broker::start(&world.path("broker.toml")).await.unwrap();
    let broken = World { broker: Some(other), ..world };
    let answer = broken.admin("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(broken.admin("GET /healthz").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(broken.metric("cloudauth_broker_ready").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_is_new() {
    let mut world = World::new().await;
    let mut old = world.connect().await;
    let first = old.server_spki();
    assert_eq!(first, world.leaf.spki());

    // A bad one changes nothing.
    let good = std::fs::read_to_string(world.path("broker.toml")).unwrap();
    for bad in
        [good.replace("swname", "swnaem"), good.replace("broker.pem", "none.pem"), String::new()]
    {
        world.write("broker.toml", &bad);
        assert!(world.broker().reload().await.is_err());
        assert_eq!(world.connect().await.attest(&world, None, "reader").await.status, 200);
    }
    assert_eq!(world.metric("cloudauth_broker_reloads_total{result=\"refused\"}").await, 3.0);
    // A certificate for another key.
    world.leaf = world.authority.issue();
    world.write("broker.toml", &good);
    world.write("broker.pem", &world.leaf.pem);
    assert!(world.broker().reload().await.unwrap_err().to_string().contains("another key"));

    // A good one: the new certificate for new connections; the old connection is bound to the old one.
    world.write_leaf();
    let changed = good.replace("[grants.reader.", "[grants.renamed.");
    world.write("broker.toml", &changed);
    std::fs::rename(world.path("records.jsonl"), world.path("records.1")).unwrap();
    world.broker().reload().await.unwrap();
    assert_eq!(world.metric("cloudauth_broker_reloads_total{result=\"loaded\"}").await, 1.0);
    let mut new = world.connect().await;
    assert_eq!(new.server_spki(), world.leaf.spki());
    assert_ne!(new.server_spki(), first);
    for client in [&mut old, &mut new] {
        assert_eq!(client.attest(&world, None, "renamed").await.status, 200, "{}", world.record());
        assert_eq!(client.attest(&world, None, "reader").await.problem(), "denied");
    }
    assert_eq!(std::fs::read_to_string(world.path("records.jsonl")).unwrap().lines().count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_answers_what_was_asked() {
    let mut world = World::new().await;
    let mut busy = world.connect().await;
    let mut idle = world.connect().await;
    idle.challenge().await;
    let (challenge, request) = (busy.challenge().await, "{\"grant\":\"reader\"}");
    let nonce = busy.nonce(&challenge, None, request);
    let token = world.mint(&world.token(&[nonce]));
    world.emulator.fault(Fault {
        service: Some(Service::Sts),
        count: 1,
        kind: FaultKind::Latency(800),
    });
    let (api, dialer) = (world.api(), world.client());
    let admin = world.broker().addresses().admin.unwrap();
    let broker = world.broker.take().unwrap();
    let asking = tokio::spawn(async move {
        let answer = busy.credentials(request, &token).await;
        (answer, busy.is_closed().await)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let draining = tokio::spawn(broker.drain());
    assert!(idle.is_closed().await);
    assert!(
        tokio::net::TcpStream::connect(api).await.is_err() || dialer.connect(api).await.is_err()
    );
    // Balancers hear of it.
    let said = crate::support::admin(admin, "GET /readyz").await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("draining"), "{said}");
    let (answer, closed) = asking.await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(closed);
    assert!(draining.await.unwrap());
}

/// AWS has been asked, and says so in its own log: there is a record here, too.
#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_recorded_all_the_same() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let (challenge, request) = (client.challenge().await, "{\"grant\":\"reader\"}");
    let nonce = client.nonce(&challenge, None, request);
    let token = world.mint(&world.token(&[nonce]));
    world.emulator.fault(Fault {
        service: Some(Service::Sts),
        count: 1,
        kind: FaultKind::Latency(500),
    });
    let body = json!({"request": url(request.as_bytes()), "attestation": token}).to_string();
    client.write(&post("/v1/credentials", &body)).await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.record()["verdict"], "granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_has_an_end() {
    let mut world = World::new().await;
    let mut stuck = world.connect().await;
    stuck.write(&post("/v1/challenge", "{}").replace("{}", "{")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = std::time::Instant::now();
    assert!(!world.broker.take().unwrap().drain().await);
    assert!(began.elapsed() < Duration::from_secs(6));
    assert!(stuck.is_closed().await);
}

const TWICE: &str =
    "[[compatibility]]\nlisten = \"127.0.0.1:0\"\nscheme = \"seed-aws\"\ngrant = \"reader\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start() {
    let world = World::new().await;
    let path = world.path("broker.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let taken = format!("listen = \"{}\"", world.api());
    world.write("broker.toml", &good.replacen("listen = \"127.0.0.1:0\"", &taken, 1));
    assert!(matches!(Broker::start(&path).await, Err(StartError::Listen { .. })));
    for (from, to, why) in [
        ("records.jsonl", "no/such/folder/records", "server.records"),
        ("\"broker.pem\"", "\"none.pem\"", "server.certificate"),
        ("broker-key.pem", "none.pem", "server.key"),
        ("drain-seconds", "client-ca = \"emulator-ca.pem\"\ndrain-seconds", "client-certificate"),
        ("[issuers.emulator]", &format!("{TWICE}{TWICE}[issuers.emulator]"), "twice"),
    ] {
        world.write("broker.toml", &good.replace(from, to));
        let error = Broker::start(&path).await.unwrap_err();
        assert!(
            matches!(error, StartError::Config(_)) && error.to_string().contains(why),
            "{error}"
        );
    }
    world.write("broker.toml", &good);
    assert!(Broker::start(&path).await.is_ok());
}

/// A credential whose record cannot be written is not handed out.
#[tokio::test(flavor = "multi_thread")]
async fn no_credential_without_a_record() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let world = World::new().await;
    let mut client = world.connect().await;
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    let good = std::fs::read_to_string(world.path("broker.toml")).unwrap();
    world.write("broker.toml", &good.replace("records.jsonl", "/dev/full"));
    world.broker().reload().await.unwrap();
    assert_eq!(client.attest(&world, None, "reader").await.problem(), "unavailable");
    assert_eq!(client.attest(&world, None, "other").await.problem(), "denied");
    assert_eq!(world.metric("cloudauth_broker_records_failed_total").await, 2.0);
}
