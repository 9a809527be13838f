//! Microsoft Azure Attestation tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudauth_emulator::{AttestationKind, AttestationToken};
use serde_json::{Value, json};

use super::world::*;
use crate::decision::Refusal;

fn attested(own: &str) -> String {
    let hash = format!("{}A", "d".repeat(42));
    format!("issuer = 'microsoft'\npolicy-hashes = '{hash}'\ndebuggable = false\n{own}")
}

fn snp() -> String {
    attested(&format!(
        "type = 'sevsnpvm'\nlaunch-measurements = '{}'\nhost-data = '{}'\n\
         compliance = 'azure-compliant-cvm'",
        "3".repeat(96),
        "4".repeat(64)
    ))
}

fn token(kind: AttestationKind, claims: Value) -> AttestationToken {
    let runtime = Some(json!({"nonce": nonce(REQUEST)}));
    AttestationToken { kind, runtime, claims: object(claims), ..AttestationToken::default() }
}

#[tokio::test]
async fn each_claim_wrong_in_turn() {
    use AttestationKind::{Sevsnpvm, Sgx, Tdxvm};
    let world = World::new();
    let enclave = attested(&format!("type = 'sgx'\nmrenclave = '{}'", "5".repeat(64)));
    let signer = attested(&format!(
        "type = 'sgx'\nmrsigner = '{}'\nproduct-id = 1\nmin-svn = 2",
        "6".repeat(64)
    ));
    let tdx = attested(&format!(
        "type = 'tdxvm'\nmrtd = '{}'\nrtmr1 = '{}'\nrtmr2 = '{}'\nrtmr3 = '{}'\nwaive = ['config-id']",
        "3".repeat(96),
        "b".repeat(96),
        "c".repeat(96),
        "0".repeat(96)
    ));
    let other = json!("0".repeat(64));
    for (attested, kind, wrong) in [
        (
            snp(),
            Sevsnpvm,
            vec![
                (json!({"x-ms-policy-hash": "other"}), "policy-hash"),
                (json!({"x-ms-sevsnpvm-is-debuggable": true}), "debug"),
                (json!({"x-ms-sevsnpvm-launchmeasurement": other}), "measurement"),
                (json!({"x-ms-sevsnpvm-hostdata": other}), "host-data"),
                (json!({"x-ms-compliance-status": "no"}), "compliance"),
            ],
        ),
        (
            enclave,
            Sgx,
            vec![
                (json!({"x-ms-sgx-mrenclave": other}), "measurement"),
                (json!({"x-ms-sgx-is-debuggable": true}), "debug"),
            ],
        ),
        (
            signer,
            Sgx,
            vec![
                (json!({"x-ms-sgx-mrsigner": other}), "measurement"),
                (json!({"x-ms-sgx-product-id": 2}), "product-id"),
                (json!({"x-ms-sgx-svn": 1}), "svn"),
            ],
        ),
        (
            tdx,
            Tdxvm,
            vec![
                (json!({"tdx_mrtd": other}), "measurement"),
                (json!({"tdx_rtmr1": other}), "rtmr1"),
                (json!({"tdx_rtmr2": other}), "rtmr2"),
                (json!({"tdx_rtmr2": null}), "rtmr2"),
                (json!({"tdx_rtmr3": "1".repeat(96)}), "rtmr3"),
            ],
        ),
    ] {
        let loaded = world.loaded(&attested);
        let decision = loaded.decide(&world.mint(token(kind, json!({})))).await;
        loaded.granted(&decision);
        assert!(!decision.claims.to_string().contains(&nonce(REQUEST)));
        for (claims, check) in wrong {
            let minted = world.mint(token(kind, claims));
            loaded.refuses(&minted, Refusal::Denied, check).await;
        }
    }
}

#[tokio::test]
async fn one_measurement_waived_is_not_the_other() {
    let world = World::new();
    let host_data = "4".repeat(64);
    let loaded = world.loaded(&attested(&format!(
        "type = 'sevsnpvm'\nhost-data = '{host_data}'\nwaive = ['measurement']"
    )));
    let with =
        |name: &str| world.mint(token(AttestationKind::Sevsnpvm, json!({name: "0".repeat(64)})));
    loaded.grants(&with("x-ms-sevsnpvm-launchmeasurement")).await;
    loaded.refuses(&with("x-ms-sevsnpvm-hostdata"), Refusal::Denied, "host-data").await;
}

#[tokio::test]
async fn only_what_the_hardware_covers_binds() {
    let world = World::new();
    let loaded = world.loaded(&snp());
    let kind = AttestationKind::Sevsnpvm;
    loaded.grants(&world.mint(token(kind, json!({})))).await;
    // An old report with a fresh nonce beside it.
    let runtime = Some(json!({"nonce": nonce(b"another")}));
    let nonces = vec![nonce(REQUEST)];
    let old = AttestationToken { runtime, nonces, ..token(kind, json!({})) };
    loaded.refuses(&world.mint(old), Refusal::ChannelMismatch, "nonce").await;
    let none =
        AttestationToken { runtime: None, nonces: vec![nonce(REQUEST)], ..token(kind, json!({})) };
    loaded.refuses(&world.mint(none), Refusal::ChannelMismatch, "nonce").await;
    let machine = token(AttestationKind::Azurevm, json!({}));
    loaded.refuses(&world.mint(machine), Refusal::ChannelMismatch, "nonce").await;
    // Another kind of hardware than the grant's.
    let enclave = world.mint(token(AttestationKind::Sgx, json!({})));
    let decision = loaded.decide(&enclave).await;
    assert_eq!(decision.verdict.unwrap_err(), Refusal::Denied);
}

#[tokio::test]
async fn jku_is_not_followed() {
    let world = World::new();
    let loaded = world.loaded(&snp());
    let header = object(json!({"jku": "https://127.0.0.1:1/certs"}));
    let elsewhere = AttestationToken { header, ..token(AttestationKind::Sevsnpvm, json!({})) };
    // It says nothing: the issuer's keys count.
    loaded.grants(&world.mint(elsewhere)).await;
    let issuer = json!({"iss": "https://attacker.example"});
    let attacker = world.mint(token(AttestationKind::Sevsnpvm, issuer));
    loaded.refuses(&attacker, Refusal::AttestationInvalid, "issuer").await;
}

#[tokio::test]
async fn an_hour_old_token_is_too_old() {
    let world = World::new();
    let loaded = world.loaded(&snp());
    let old = AttestationToken { age: 3600, ..token(AttestationKind::Sevsnpvm, json!({})) };
    loaded.refuses(&world.mint(old), Refusal::AttestationInvalid, "max_age").await;
}

#[tokio::test]
async fn claims_of_google_in_a_token_of_microsoft() {
    let world = World::new();
    // Whoever owns an instance can have its policy issue any claim.
    let google: Value = {
        let token = world.token(json!({}));
        let claims = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    };
    let mut claims = google.clone();
    claims["iss"] = json!(format!("{}/maa", world.emulator.url()));
    let posing = world.mint(token(AttestationKind::Sevsnpvm, claims));
    let all = WORKLOAD.replace("issuer = 'google'", "waive = ['issuer']");
    let loaded = world.loaded(&all);
    loaded.grants(&world.token(json!({}))).await;
    loaded.refuses(&posing, Refusal::Denied, "kind").await;
    world.loaded(WORKLOAD).refuses(&posing, Refusal::Denied, "kind").await;
    // The other way round.
    loaded
        .refuses(&world.mint(token(AttestationKind::Sevsnpvm, json!({}))), Refusal::Denied, "kind")
        .await;
    world.loaded(&snp()).refuses(&world.token(json!({})), Refusal::Denied, "kind").await;
}
