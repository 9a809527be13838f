//! Clients of the older brokers: they get what the grant gives, and nothing that they ask for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudauth_core::digest::{hmac_sha256, sha256};
use cloudauth_emulator::AttestationToken;
use serde_json::{Value, json};

use super::world::*;
use crate::decision::{Channel, Decision, Evidence, Given, Refusal};
use crate::give::Order;

const ROLE: &str = "arn:aws:iam::123456789012:role/demo";
const ASSUME: &str = "kind = 'aws-assume-role'\nrole-arn = 'arn:aws:iam::123456789012:role/demo'\n\
                      region = 'eu-central-1'\nduration = 1800";
const SESSION: &str = "kind = 'aws-session-token'\nregion = 'eu-central-1'\nduration = 1800\naccept-base-rights = true";
const EXPORTED: [u8; 32] = [0xab; 32];

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn token_jwt(payload: &Value, key: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac_sha256(key, signed.as_bytes())))
}

fn aws(change: Value) -> Value {
    let mut payload = json!({"use_assume_role": true, "access_key_id": "AKIA", "role_arn": ROLE,
        "region": "us-west-2", "duration": 900, "session_name": "mine"});
    payload.as_object_mut().unwrap().extend(object(change));
    payload
}

fn nonces(token_jwt: &str) -> Vec<String> {
    vec![hex(&EXPORTED), hex(&sha256(token_jwt.as_bytes()))]
}

async fn decide(loaded: &Loaded, attestation: &str, token_jwt: &str) -> Decision {
    let channel = Channel::Seed { exported: &EXPORTED, token_jwt, grant: "g" };
    loaded.policy.decide(&Evidence { attestation, channel, peer: peer(), time: now() }).await
}

async fn asks(world: &World, loaded: &Loaded, payload: &Value) -> Decision {
    let jwt = token_jwt(payload, &EXPORTED);
    let attestation = world.mint(AttestationToken { nonces: nonces(&jwt), ..bound() });
    decide(loaded, &attestation, &jwt).await
}

#[tokio::test]
async fn the_grant_decides() {
    let world = World::new();
    let loaded = world.grant(WORKLOAD, ASSUME).unwrap();
    let decision = asks(&world, &loaded, &aws(json!({}))).await;
    loaded.granted(&decision);
    let shown = format!("{}{:?}", decision.claims, decision.checks);
    assert!(!shown.contains(&hex(&EXPORTED)), "{shown}");
    // The client's life within the cap; the name is the instance's, not the client's.
    let Order::Call(source) = decision.verdict.unwrap().order else { panic!("no call") };
    let shown = format!("{source:?}");
    assert!(
        shown.contains("duration: Some(900)") && shown.contains("1234567890123456789"),
        "{shown}"
    );
    assert!(!shown.contains("mine") && !shown.contains("us-west-2"), "{shown}");

    loaded.granted(&asks(&world, &loaded, &aws(json!({"duration": 1800}))).await);
    for wrong in [
        json!({"duration": 1801}),
        json!({"duration": 899}),
        json!({"duration": 0}),
        json!({"role_arn": "arn:aws:iam::123456789012:role/admin"}),
        json!({"role_arn": ""}),
        json!({"use_assume_role": false}),
    ] {
        let decision = asks(&world, &loaded, &aws(wrong)).await;
        refused(&decision, Refusal::Denied, "request");
    }
    let decision = asks(&world, &loaded, &json!({"scope": "s"})).await;
    refused(&decision, Refusal::Denied, "request");
}

/// A credential that several workloads get lives as long as the grant says: who asks for another life gets
/// one of its own.
#[tokio::test]
async fn a_shorter_life_than_the_shared_one() {
    let world = World::new();
    let loaded = world.grant(WORKLOAD, &super::gives::roles_anywhere(&world)).unwrap();
    let give = async |duration: u32| {
        let decision = asks(&world, &loaded, &aws(json!({"duration": duration}))).await;
        let given = loaded.policy.give(&decision.verdict.unwrap()).await.unwrap();
        let Given::Aws(keys, region) = given else { panic!("{given:?}") };
        assert_eq!(region, "eu-central-1");
        let life = keys.expiration.as_secs() - now().as_secs();
        assert!((duration - 10..=duration).contains(&u32::try_from(life).unwrap()), "{life}");
        keys.access_key_id.clone()
    };
    let shared = give(1800).await;
    assert_eq!(give(1800).await, shared);
    let own = give(900).await;
    assert!(own != shared && give(900).await != own);
    assert_eq!(give(1800).await, shared);
    for wrong in [899, 1801] {
        let decision = asks(&world, &loaded, &aws(json!({"duration": wrong}))).await;
        refused(&decision, Refusal::Denied, "request");
    }
}

#[tokio::test]
async fn the_brokers_own_rights_only_where_accepted() {
    let world = World::new();
    let loaded = world.grant(WORKLOAD, SESSION).unwrap();
    let own = aws(json!({"use_assume_role": false, "role_arn": ""}));
    loaded.granted(&asks(&world, &loaded, &own).await);
    let decision = asks(&world, &loaded, &aws(json!({}))).await;
    refused(&decision, Refusal::Denied, "request");
}

#[tokio::test]
async fn azure() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    let scope = "https://vault.azure.net/.default";
    loaded.granted(&asks(&world, &loaded, &json!({"scope": scope})).await);
    let more = json!({"tenant": "theirs", "appid": "theirs", "scope": scope});
    loaded.granted(&asks(&world, &loaded, &more).await);
    for wrong in [
        json!({"scope": "https://graph.microsoft.com/.default"}),
        json!({"scope": ""}),
        aws(json!({})),
    ] {
        let decision = asks(&world, &loaded, &wrong).await;
        refused(&decision, Refusal::Denied, "request");
    }
}

#[tokio::test]
async fn the_channel() {
    let world = World::new();
    let loaded = world.grant(WORKLOAD, ASSUME).unwrap();
    let jwt = token_jwt(&aws(json!({})), &EXPORTED);
    let good = nonces(&jwt);
    let with = |nonces: Vec<String>| world.mint(AttestationToken { nonces, ..bound() });
    loaded.granted(&decide(&loaded, &with(good.clone()), &jwt).await);
    for nonces in [
        vec![],
        vec![good[0].clone()],
        vec![good[1].clone(), good[0].clone()],
        vec![good[0].clone(), good[1].clone(), good[1].clone()],
        vec![good[0].to_uppercase(), good[1].clone()],
        vec![hex(&[8; 32]), good[1].clone()],
        vec![good[0].clone(), hex(&[8; 32])],
    ] {
        let decision = decide(&loaded, &with(nonces), &jwt).await;
        refused(&decision, Refusal::ChannelMismatch, "nonce");
        assert_eq!(decision.grant.as_deref(), Some("g"));
    }
    let other = token_jwt(&aws(json!({})), &[8; 32]);
    let decision = decide(&loaded, &with(nonces(&other)), &other).await;
    refused(&decision, Refusal::ChannelMismatch, "token_jwt");
    let more = token_jwt(&aws(json!({"more": 1})), &EXPORTED);
    let decision = decide(&loaded, &with(nonces(&more)), &more).await;
    refused(&decision, Refusal::Malformed, "token_jwt");
    // Policy decides here too.
    let debug = AttestationToken {
        nonces: good.clone(),
        claims: object(json!({"dbgstat": "enabled"})),
        ..bound()
    };
    let decision = decide(&loaded, &world.mint(debug), &jwt).await;
    refused(&decision, Refusal::Denied, "debug");
    // Binder v1's nonce is none of this scheme's, and the other way round.
    let decision = decide(&loaded, &world.token(json!({})), &jwt).await;
    refused(&decision, Refusal::ChannelMismatch, "nonce");
    loaded.refuses(&with(good), Refusal::ChannelMismatch, "nonce").await;
}

#[tokio::test]
async fn googles_codelab() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    let nonce = base64::engine::general_purpose::STANDARD.encode(sha256(&EXPORTED));
    let token = |nonces| world.mint(AttestationToken { nonces, ..bound() });
    let good = token(vec![nonce.clone()]);
    let decide = async |exported: &[u8; 32], attestation: &str| {
        let channel = Channel::GoogleCodelab { exported, grant: "g" };
        loaded.policy.decide(&Evidence { attestation, channel, peer: peer(), time: now() }).await
    };
    loaded.granted(&decide(&EXPORTED, &good).await);
    refused(&decide(&[8; 32], &good).await, Refusal::ChannelMismatch, "nonce");
    let two = token(vec![nonce.clone(), nonce]);
    refused(&decide(&EXPORTED, &two).await, Refusal::ChannelMismatch, "nonce");
}
