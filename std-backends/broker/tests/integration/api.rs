//! Challenges and credentials.

use serde_json::json;

use crate::support::{Authority, World, post};

const REQUEST: &str = "{\"grant\":\"reader\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_for_what_is_attested() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let answer = client.attest(&world, None, "reader").await;
    assert_eq!(answer.status, 200, "{answer:?} {}", world.record());
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    let json = answer.json();
    assert_eq!((json.as_object().unwrap().len(), &json["grant"]), (3, &json!("reader")));
    let aws = json["aws"].as_object().unwrap();
    assert_eq!((aws.len(), &aws["region"]), (4, &json!("eu-central-1")));
    assert!(aws["access_key_id"].as_str().unwrap().starts_with("ASIA"));
    let record = world.record();
    assert_eq!((&record["verdict"], &record["grant"]), (&json!("granted"), &json!("reader")));
    assert_eq!(record["gave"]["expires_at"], json["expires_at"]);
    assert_eq!((&record["listener"], &record["address"]), (&json!("v1"), &json!("127.0.0.1")));
    assert!(record["checks"].as_array().unwrap().len() > 5, "{record}");
    // Again on the same connection, with a new challenge.
    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
    let answer = client.attest(&world, None, "azure").await;
    assert_eq!(answer.status, 200, "{answer:?} {}", world.record());
    assert_eq!(answer.json()["bearer"]["token_type"], "Bearer");

    // Nothing secret stands in the records.
    let records = std::fs::read_to_string(world.path("records.jsonl")).unwrap();
    for secret in ["secret_access_key", "session_token", "access_key_id"] {
        assert!(!records.contains(aws[secret].as_str().unwrap()), "{secret}");
    }
    assert!(!records.contains("eyJ"), "{records}");
    assert_eq!(
        world
            .metric("cloudauth_broker_requests_total{endpoint=\"credentials\",outcome=\"granted\"}")
            .await,
        3.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_and_not_why() {
    let world = World::new().await;
    let mut client = world.connect().await;
    for grant in ["other", "unknown"] {
        let answer = client.attest(&world, None, grant).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "denied"));
        let record = world.record();
        assert_eq!(record["id"], answer.json()["instance"]);
        assert_eq!(record["verdict"], "denied");
        assert!(
            record["checks"].as_array().unwrap().iter().any(|c| c["outcome"] == "failed"),
            "{record}"
        );
    }
    // The two look alike.
    let bodies =
        [client.attest(&world, None, "other").await, client.attest(&world, None, "unknown").await];
    assert_eq!(bodies[0].json()["title"], bodies[1].json()["title"]);

    let challenge = client.challenge().await;
    let nonce = client.nonce(&challenge, None, REQUEST);
    let mut token = world.token(&[nonce]);
    token.age = 7200;
    let answer = client.credentials(REQUEST, &world.mint(&token)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "attestation_invalid"));

    assert_eq!(client.attest(&world, None, "reader").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_is_bound_to_connection_challenge_and_request() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let mut other = world.connect().await;

    // For another connection.
    let (here, there) = (client.challenge().await, other.challenge().await);
    let token = world.mint(&world.token(&[other.nonce(&there, None, REQUEST)]));
    assert_eq!(client.credentials(REQUEST, &token).await.problem(), "channel_mismatch");
    assert_eq!(other.credentials(REQUEST, &token).await.status, 200);
    // That used the challenge up, and so did the mismatch.
    assert_eq!(other.credentials(REQUEST, &token).await.problem(), "challenge_expired");
    let token = world.mint(&world.token(&[client.nonce(&here, None, REQUEST)]));
    assert_eq!(client.credentials(REQUEST, &token).await.problem(), "challenge_expired");

    // A new challenge takes the place of the one before.
    let (old, new) = (client.challenge().await, client.challenge().await);
    assert_ne!(old, new);
    let token = world.mint(&world.token(&[client.nonce(&old, None, REQUEST)]));
    assert_eq!(client.credentials(REQUEST, &token).await.problem(), "channel_mismatch");
    let (_, new) = (client.challenge().await, client.challenge().await);
    let token = world.mint(&world.token(&[client.nonce(&new, None, REQUEST)]));
    assert_eq!(client.credentials(REQUEST, &token).await.status, 200);

    // For another request, which nobody has even parsed.
    for request in ["{\"grant\":\"other\"}", "{\"grant\":\"reader\"} ", "nonsense"] {
        let challenge = client.challenge().await;
        let token = world.mint(&world.token(&[client.nonce(&challenge, None, REQUEST)]));
        assert_eq!(client.credentials(request, &token).await.problem(), "channel_mismatch");
    }
    // Bound, and then it does not parse.
    for request in [
        "nonsense",
        "{\"grant\":\"reader\",\"x\":1}",
        "{\"grant\":\"reader\",\"grant\":\"reader\"}",
    ] {
        let challenge = client.challenge().await;
        let token = world.mint(&world.token(&[client.nonce(&challenge, None, request)]));
        assert_eq!(client.credentials(request, &token).await.problem(), "malformed");
    }

    // A body that cannot be read uses the challenge up, too.
    for body in ["{}", "[]", "{\"request\":\"e30\"}", "{\"request\":1,\"attestation\":\"x\"}"] {
        let challenge = client.challenge().await;
        assert_eq!(client.post("/v1/credentials", body).await.problem(), "malformed");
        let token = world.mint(&world.token(&[client.nonce(&challenge, None, REQUEST)]));
        assert_eq!(client.credentials(REQUEST, &token).await.problem(), "challenge_expired");
    }
    let text = post("/v1/credentials", "{}").replace("application/json", "text/plain");
    let challenge = client.challenge().await;
    client.write(&text).await;
    assert_eq!(client.answer().await.unwrap().status, 415);
    let token = world.mint(&world.token(&[client.nonce(&challenge, None, REQUEST)]));
    assert_eq!(client.credentials(REQUEST, &token).await.problem(), "challenge_expired");

    // So does a request that is refused for its target or its method.
    for (target, status) in [("POST /v1/credentials?a=b", 400), ("PUT /v1/credentials", 405)] {
        let challenge = client.challenge().await;
        let length = if status == 405 { "" } else { "Content-Length: 2\r\n" };
        let body = if status == 405 { "" } else { "{}" };
        client.write(&format!("{target} HTTP/1.1\r\nHost: b\r\n{length}\r\n{body}")).await;
        assert_eq!(client.answer().await.unwrap().status, status);
        let token = world.mint(&world.token(&[client.nonce(&challenge, None, REQUEST)]));
        assert_eq!(client.credentials(REQUEST, &token).await.problem(), "challenge_expired");
    }

    // Without any challenge.
    let mut fresh = world.connect().await;
    let token = world.mint(&world.token(&[fresh.nonce(&[9; 32], None, REQUEST)]));
    assert_eq!(fresh.credentials(REQUEST, &token).await.problem(), "challenge_expired");
    assert_eq!(fresh.attest(&world, None, "reader").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_take_an_empty_object() {
    let world = World::new().await;
    let mut client = world.connect().await;
    for body in ["", "[]", "{\"a\":1}", "{}{}", "null", "\u{feff}{}"] {
        let answer = client.post("/v1/challenge", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{body}");
    }
    client.challenge().await;
    assert_eq!(client.post("/v1/challenge", " { } ").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_part_of_what_is_bound() {
    let clients = Authority::new("clients CA");
    let (leaf, other) = (clients.issue(), clients.issue());
    for (required, without) in [("required", false), ("optional", true)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clients.pem");
        std::fs::write(&path, &clients.pem).unwrap();
        let server = format!("client-ca = {path:?}\nclient-certificate = \"{required}\"");
        let world = World::with(&server, "").await;
        let mut client = world.client().identity(&leaf).connect(world.api()).await.unwrap();
        assert_eq!(client.attest(&world, Some(&leaf), "reader").await.status, 200);
        let hash = cloudauth_core::digest::sha256(&leaf.spki());
        assert_eq!(world.record()["client_key"], crate::support::hexadecimal(&hash));
        // As if there were none, or another.
        assert_eq!(client.attest(&world, None, "reader").await.problem(), "channel_mismatch");
        assert_eq!(
            client.attest(&world, Some(&other), "reader").await.problem(),
            "channel_mismatch"
        );

        // With TLS 1.3 the client hears of it when it reads.
        let mut client = world.client().connect(world.api()).await.unwrap();
        client.write(&post("/v1/challenge", "{}")).await;
        assert_eq!(client.answer().await.is_some(), without, "{required}");
        let stranger = Authority::new("another CA").issue();
        let mut client = world.client().identity(&stranger).connect(world.api()).await.unwrap();
        client.write(&post("/v1/challenge", "{}")).await;
        assert!(client.answer().await.is_none());
    }
}
