//! Listeners for the clients of older brokers.

use cloudauth_core::digest::{hmac_sha256, sha256};
use cloudauth_core::ekm::Compat;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Dialer, World, hexadecimal, post, url};

const LISTENERS: &str = r#"
[[compatibility]]
listen = "127.0.0.1:0"
scheme = "seed-aws"
grant = "reader"

[[compatibility]]
listen = "127.0.0.1:0"
scheme = "seed-azure"
grant = "azure"

[[compatibility]]
listen = "127.0.0.1:0"
scheme = "google-codelab"
grant = "reader"
"#;

fn old_client(world: &World) -> Dialer {
    let mut dialer = world.client();
    dialer.alpn = &[];
    dialer
}

fn token_jwt(client: &Client, payload: &Value) -> String {
    let key = client.export("my_nonce", None);
    let header = url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", url(payload.to_string().as_bytes()));
    let signature = url(&hmac_sha256(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

async fn ask(world: &World, client: &mut Client, payload: &Value) -> Answer {
    let request = token_jwt(client, payload);
    let nonces =
        [client.compatibility_nonce(Compat::Seed), hexadecimal(&sha256(request.as_bytes()))];
    let token = world.mint(&world.token(&nonces));
    let body = json!({"token_jwt": request, "attestation_jwt": token});
    client.post("/token", &body.to_string()).await
}

fn aws() -> Value {
    json!({
        "use_assume_role": true, "access_key_id": "AKIAIOSFODNN7EXAMPLE", "region": "us-east-1",
        "role_arn": "arn:aws:iam::123456789012:role/demo", "duration": 900, "session_name": "mysession",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_clients_get_what_they_know() {
    let world = World::with("", LISTENERS).await;
    let [to_aws, to_azure, _] = world.broker().addresses().compatibility[..] else { panic!() };
    let mut client = old_client(&world).connect(to_aws).await.unwrap();
    let answer = ask(&world, &mut client, &aws()).await;
    assert_eq!(answer.status, 200, "{answer:?} {}", world.record());
    let json = answer.json();
    assert_eq!((json.as_object().unwrap().len(), &json["Version"]), (5, &json!(0)));
    for member in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
        assert!(json[member].is_string(), "{member}");
    }
    // One exchange for each connection.
    assert!(answer.head.contains("connection: close"));
    assert!(client.is_closed().await);
    let record = world.record();
    assert_eq!((&record["listener"], &record["verdict"]), (&json!("seed-aws"), &json!("granted")));
    let nonce = client.compatibility_nonce(Compat::Seed);
    assert!(!std::fs::read_to_string(world.path("records.jsonl")).unwrap().contains(&nonce));

    let mut client = old_client(&world).connect(to_azure).await.unwrap();
    let answer =
        ask(&world, &mut client, &json!({"scope": "https://storage.azure.com/.default"})).await;
    assert_eq!(answer.status, 200, "{answer:?} {}", world.record());
    let json = answer.json();
    assert_eq!(json.as_object().unwrap().len(), 2);
    assert!(
        json["access_token"].is_string() && json["expires_in"].as_str().unwrap().ends_with('Z')
    );

    // A client that speaks today's TLS gets it too.
    let mut client = world.client().connect(to_aws).await.unwrap();
    assert_eq!(ask(&world, &mut client, &aws()).await.status, 200);
    let mut dialer = world.client();
    dialer.alpn = &["h2"];
    assert!(dialer.connect(to_aws).await.is_err());
    // That is not the API.
    let mut client = old_client(&world).connect(to_aws).await.unwrap();
    let answer = client.post("/v1/challenge", "{}").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_decides() {
    let world = World::with("", LISTENERS).await;
    let [to_aws, to_azure, _] = world.broker().addresses().compatibility[..] else { panic!() };
    let change = |member: &str, value: Value| {
        let mut payload = aws();
        payload[member] = value;
        payload
    };
    for (payload, status) in [
        (change("role_arn", json!("arn:aws:iam::123456789012:role/admin")), 403),
        (change("duration", json!(43_200)), 403),
        (change("use_assume_role", json!(false)), 403),
        (change("duration", json!("900")), 400),
        (change("session_name", json!("anything")), 200),
        (aws(), 200),
    ] {
        let mut client = old_client(&world).connect(to_aws).await.unwrap();
        let answer = ask(&world, &mut client, &payload).await;
        assert_eq!(answer.status, status, "{payload}: {answer:?} {}", world.record());
        if status != 200 {
            assert!(answer.head.contains("content-type: text/plain"), "{answer:?}");
            assert!(!answer.body.contains("role"), "{answer:?}");
        }
    }
    for (scope, status) in
        [("https://vault.azure.net/.default", 403), ("https://storage.azure.com/.default", 200)]
    {
        let mut client = old_client(&world).connect(to_azure).await.unwrap();
        assert_eq!(ask(&world, &mut client, &json!({"scope": scope})).await.status, status);
    }
    // An attestation of another connection.
    let other = old_client(&world).connect(to_aws).await.unwrap();
    let mut client = old_client(&world).connect(to_aws).await.unwrap();
    let request = token_jwt(&client, &aws());
    let nonces =
        [other.compatibility_nonce(Compat::Seed), hexadecimal(&sha256(request.as_bytes()))];
    let body = json!({"token_jwt": request, "attestation_jwt": world.mint(&world.token(&nonces))});
    assert_eq!(client.post("/token", &body.to_string()).await.status, 403);
    assert_eq!(world.record()["verdict"], "channel_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codelabs_scheme() {
    let world = World::with("", LISTENERS).await;
    let [to_aws, _, codelab] = world.broker().addresses().compatibility[..] else { panic!() };
    for (to, label, status) in [
        (codelab, Compat::GoogleCodelab, 200),
        (codelab, Compat::Seed, 403),
        (to_aws, Compat::GoogleCodelab, 400),
    ] {
        let mut client = old_client(&world).connect(to).await.unwrap();
        let token = world.mint(&world.token(&[client.compatibility_nonce(label)]));
        let answer = client.post("/token", &json!({"attestation_jwt": token}).to_string()).await;
        assert_eq!(answer.status, status, "{answer:?} {}", world.record());
        if status == 200 {
            assert!(answer.json()["aws"].is_object());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_even_when_more_come() {
    let world = World::with("", LISTENERS).await;
    let to_aws = world.broker().addresses().compatibility[0];
    let mut client = old_client(&world).connect(to_aws).await.unwrap();
    let text = post("/token", "{}");
    client.write(&format!("{text}{text}")).await;
    assert_eq!(client.answer().await.unwrap().status, 400);
    assert!(client.is_closed().await);
}
