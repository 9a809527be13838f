//! What becomes of the keys while their host fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudauth_emulator::{AttestationKey, AttestationToken, Fault, FaultKind, Service};
use serde_json::json;

use super::world::*;
use crate::config::Config;
use crate::config::issuer::Kind;
use crate::decision::Refusal;
use crate::key_sets::{KeySets, Keys};
use crate::policy::Policy;

fn fault(world: &World, service: Service, kind: FaultKind) {
    world.emulator.fault(Fault { service: Some(service), count: 100, kind });
}

fn fetches(world: &World) -> usize {
    let keys =
        |record: &cloudauth_emulator::Record| record.service == Service::ConfidentialSpaceKeys;
    world.emulator.requests().iter().filter(|record| keys(record)).count()
}

/// Loads with a cool-down of no time.
fn impatient(world: &World) -> (Config, Arc<KeySets>) {
    let text = format!("{}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}", world.head());
    let config = Config::parse(&text, world.folder.path(), "broker.toml").unwrap();
    let sets = KeySets::with_cool_down(&config, None, Duration::ZERO).unwrap();
    (config, sets)
}

#[tokio::test]
async fn the_last_good_keys_stay() {
    let world = World::new();
    let (config, key_sets) = impatient(&world);
    let policy = Policy::new(&config, &key_sets).unwrap();
    let loaded = Loaded { policy, key_sets: key_sets.clone() };
    assert!(key_sets.ready().unwrap_err().contains("issuers.google"));
    key_sets.load().await;
    key_sets.ready().unwrap();
    loaded.grants(&world.token(json!({}))).await;
    for service in [Service::ConfidentialSpace, Service::ConfidentialSpaceKeys] {
        for kind in [
            FaultKind::Status(500),
            FaultKind::Status(404),
            FaultKind::Html(200),
            FaultKind::Huge(10 << 20),
            FaultKind::Truncate,
            FaultKind::Reset,
            FaultKind::Throttle(None),
            FaultKind::Latency(20_000),
        ] {
            fault(&world, service, kind.clone());
            let began = Instant::now();
            key_sets.load().await;
            assert!(began.elapsed() < Duration::from_secs(12), "{service} {kind:?}");
            assert!(key_sets.failures().contains_key("google"), "{service} {kind:?}");
            world.emulator.clear_faults();
            key_sets.ready().unwrap();
            loaded.grants(&world.token(json!({}))).await;
        }
    }
    key_sets.load().await;
    assert!(key_sets.failures().is_empty());
}

#[tokio::test]
async fn without_any_keys_nobody_is_believed() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    fault(&world, Service::ConfidentialSpaceKeys, FaultKind::Html(200));
    let token = world.token(json!({}));
    // That may pass: the workload is not told that its attestation is bad.
    let decision = loaded.decide(&token).await;
    refused(&decision, Refusal::Unavailable, "issuer");
    let reason = decision.checks.last().and_then(|check| check.reason.clone()).unwrap();
    assert!(reason.contains("issuers.google has no keys yet: "), "{reason}");
    let why = loaded.key_sets.ready().unwrap_err();
    assert!(why.contains("issuers.google"), "{why}");
    // A key that can only be made up is no reason to try again, once there are keys.
    world.emulator.clear_faults();
    loaded.key_sets.load().await;
    loaded.grants(&token).await;
    let made_up = world.mint(AttestationToken { header: object(json!({"kid": "k"})), ..bound() });
    loaded.refuses(&made_up, Refusal::AttestationInvalid, "key").await;
}

#[tokio::test]
async fn rotation_and_cool_down() {
    let world = World::new();
    let (config, key_sets) = impatient(&world);
    let loaded =
        Loaded { policy: Policy::new(&config, &key_sets).unwrap(), key_sets: key_sets.clone() };
    loaded.grants(&world.token(json!({}))).await;
    assert_eq!(fetches(&world), 1);
    loaded.grants(&world.token(json!({}))).await;
    assert_eq!(fetches(&world), 1, "known keys are not fetched again");
    world.emulator.rotate_attestation_keys(true).unwrap();
    loaded.grants(&world.token(json!({}))).await;
    assert_eq!(fetches(&world), 2, "an unknown kid");
    let previous = AttestationToken { key: Some(AttestationKey::Previous), ..bound() };
    loaded.grants(&world.mint(previous)).await;
    assert_eq!(fetches(&world), 2);

    // With a cool-down, unknown kids make one attempt.
    let patient = world.loaded(WORKLOAD);
    let before = fetches(&world);
    for i in 0..5 {
        let header = object(json!({"kid": format!("unknown-{i}")}));
        let token = world.mint(AttestationToken { header, ..bound() });
        patient.refuses(&token, Refusal::AttestationInvalid, "key").await;
    }
    assert_eq!(fetches(&world), before + 1);
    patient.grants(&world.token(json!({}))).await;
    world.emulator.rotate_attestation_keys(false).unwrap();
    let token = world.token(json!({}));
    patient.refuses(&token, Refusal::AttestationInvalid, "key").await;
    assert_eq!(fetches(&world), before + 1);
}

#[tokio::test]
async fn one_attempt_for_all_who_wait() {
    let world = World::new();
    let loaded = Arc::new(world.loaded(WORKLOAD));
    fault(&world, Service::ConfidentialSpaceKeys, FaultKind::Latency(300));
    let token = world.token(json!({}));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (loaded, token) = (loaded.clone(), token.clone());
        tasks.spawn(async move { loaded.decide(&token).await.verdict.is_ok() });
    }
    while let Some(granted) = tasks.join_next().await {
        assert!(granted.unwrap());
    }
    assert_eq!(fetches(&world), 1);
}

#[tokio::test]
async fn a_reload_takes_the_keys_over() {
    let world = World::new();
    let (config, before) = impatient(&world);
    before.load().await;
    let after = KeySets::new(&config, Some(&before)).unwrap();
    after.ready().unwrap();
    // Not for an issuer that is configured in another way.
    let text = format!(
        "{}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}",
        world.head().replacen("keys = 'discovery'", "keys = 'discovery'\nmax-age = 60", 1)
    );
    let config = Config::parse(&text, world.folder.path(), "broker.toml").unwrap();
    let other = KeySets::new(&config, Some(&before)).unwrap();
    let why = other.ready().unwrap_err();
    assert!(why.contains("google") && !why.contains("microsoft"), "{why}");
}

#[tokio::test]
async fn kept_fresh_without_being_asked() {
    let world = World::new();
    let (_, key_sets) = impatient(&world);
    let task = tokio::spawn(key_sets.clone().keep_fresh());
    let began = Instant::now();
    while key_sets.ready().is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    task.abort();
}

#[tokio::test]
async fn a_document_about_another_issuer() {
    let world = World::new();
    // The emulator's document below this path is about the path without the slash.
    let head = world.head().replace("/confidential-space'", "/confidential-space/'");
    let text = format!("{head}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}");
    let loaded = world.load(&text).unwrap();
    let iss = format!("{}/confidential-space/", world.emulator.url());
    let token = world.token(json!({"iss": iss}));
    loaded.refuses(&token, Refusal::Unavailable, "issuer").await;
    let why = loaded.key_sets.ready().unwrap_err();
    assert!(why.contains("about another issuer"), "{why}");
}

#[tokio::test]
async fn a_host_that_is_not_trusted() {
    let world = World::new();
    let other = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::CertificateParams::default().self_signed(&other).unwrap();
    write(world.folder.path(), "other.pem", &other.pem());
    let head = world.head().replacen("trusted-ca = 'ca.pem'", "trusted-ca = 'other.pem'", 1);
    let text = format!("{head}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}");
    let loaded = world.load(&text).unwrap();
    loaded.refuses(&world.token(json!({})), Refusal::Unavailable, "issuer").await;
}

/// The public key of the older brokers' test issuer, whose private half is published beside it.
const TEST_KEY: &str = "\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqqrpBHkLN4vT6g279KYTnnbKWHIEa+fK04wlamlrALQpV6QG\
fIrPwSgU/ElRFpsPJYWxCvEtYS01lBC70IeAhObR5DY9Z+jTvhk1tA+VrxyEhAHLuCuCsAPLow4ZSJ+aB0vZuUtaV9+q\
O+0gyJEG9y/5FKT51Tbr0INtjDASH43seoQtsPDG2tnKEj9r7jOLUNehj5j4Dgv+sJMGe3EyKlw7p6vsIhsU23v0VrTx\
dHGuelzplxCUQJoPRSxgepYyVmfrB12XJ5uJtLhYwuTbFb3BIUyswBtxtGcigvk/ftkuSQjubiXe8UtltBI7INfs7vmA\
VuQr7YN8Alni4Z3BeQIDAQAB";

#[test]
fn the_public_test_key_is_refused_always() {
    let spki = base64::engine::general_purpose::STANDARD.decode(TEST_KEY).unwrap();
    let (n, e) = cloudauth_core::verifier::PublicKey::from_spki(&spki).unwrap().rsa().unwrap();
    let jwk = |n: &[u8], kid: &str| json!({"kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)});
    let mut other = n.to_vec();
    *other.last_mut().unwrap() ^= 2;
    for kind in [Kind::ConfidentialSpace, Kind::Maa] {
        let set = |keys| Keys::parse(kind, json!({"keys": keys}).to_string().as_bytes());
        let error = set(json!([jwk(&other, "a"), jwk(n, "b")])).unwrap_err();
        assert!(error.contains("keys[1]") && error.contains("test key"), "{error}");
        set(json!([jwk(&other, "a")])).unwrap();
    }
    assert!(Keys::of_leaf(&spki, None).unwrap_err().contains("test key"));

    // The same modulus with another exponent, or without the parameters that mean nothing.
    for (e, refused) in [("AQAB", true), ("Aw", true), ("AQAD", true)] {
        let keys =
            json!({"keys": [{"kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode(n), "e": e}]});
        let error = Keys::parse(Kind::ConfidentialSpace, keys.to_string().as_bytes()).err();
        assert_eq!(error.is_some_and(|e| e.contains("test key")), refused, "{e}");
    }
    let mut plain = spki.clone();
    assert_eq!(plain[17..19], [0x05, 0x00], "NULL");
    plain.drain(17..19);
    plain[5] -= 2;
    plain[3] -= 2;
    cloudauth_core::verifier::PublicKey::from_spki(&plain).unwrap();
    assert!(Keys::of_leaf(&plain, None).unwrap_err().contains("test key"));
}

/// Its second key: another of the issuers that the older brokers were tried with.
#[test]
fn the_public_test_key_on_p256_is_refused_always() {
    let spki = base64::engine::general_purpose::STANDARD
        .decode(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQjKEvzgFPN7bIq6FpBKPcaBS1dCYaPwTO9YR4vZwCTrJqK2x\
             DRJkWzWS9BuMbHJeE8Nva1bZK7/pkkIj5IKSKg==",
        )
        .unwrap();
    assert!(Keys::of_leaf(&spki, None).unwrap_err().contains("test key"));
    let point = &spki[spki.len() - 64..];
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
    let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "ecKeyID_1", "x": x, "y": y}]});
    let error = Keys::parse(Kind::ConfidentialSpace, set.to_string().as_bytes()).unwrap_err();
    assert!(error.contains("test key"), "{error}");
    use rcgen::PublicKeyData as _;
    let other = rcgen::KeyPair::generate().unwrap().subject_public_key_info();
    Keys::of_leaf(&other, None).unwrap();
}

#[test]
fn key_sets_of_microsoft() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let x5c = base64::engine::general_purpose::STANDARD.encode(certificate.der());
    let set = |keys: serde_json::Value| {
        Keys::parse(Kind::Maa, json!({"keys": keys}).to_string().as_bytes())
    };
    let entry = json!({"kty": "RSA", "kid": "k", "x5c": [x5c]});
    assert!(set(json!([entry])).unwrap().has("k"));
    assert!(set(json!([{"kty": "EC"}, entry])).unwrap().has("k"));
    let mut other = entry.clone();
    other["n"] = json!(URL_SAFE_NO_PAD.encode([0xff; 256]));
    other["e"] = json!("AQAB");
    assert!(set(json!([other])).unwrap_err().contains("not the key"));
    for (name, bad) in [
        ("kid", json!(null)),
        ("x5c", json!([])),
        ("x5c", json!(["AAAA"])),
        ("x5c", json!(null)),
        ("d", json!("AAAA")),
    ] {
        let mut entry = entry.clone();
        entry[name] = bad.clone();
        assert!(set(json!([entry])).is_err(), "{name} {bad}");
    }
    assert!(set(json!([entry, entry])).unwrap_err().contains("same kid"));
    assert!(set(json!([])).is_err() && set(json!(vec![json!({"kty": "EC"}); 65])).is_err());
    assert!(Keys::parse(Kind::Maa, b"<html>").is_err());
}

/// Whoever hangs up does not cut the attempt off, which would then not count.
#[tokio::test]
async fn an_attempt_goes_on_when_nobody_waits() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    fault(&world, Service::ConfidentialSpace, FaultKind::Latency(300));
    let token = world.token(json!({}));
    for _ in 0..20 {
        let waited = tokio::time::timeout(Duration::from_millis(10), loaded.decide(&token)).await;
        assert!(waited.is_err());
    }
    loaded.grants(&token).await;
    assert_eq!(fetches(&world), 1);
}

/// However often a configuration is loaded, keys that the issuer has withdrawn do not stay.
#[tokio::test]
async fn loading_again_does_not_make_keys_younger() {
    let world = World::new();
    let (config, first) = impatient(&world);
    first.load().await;
    let fetched = first.ages()["google"];
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = KeySets::new(&config, Some(&first)).unwrap();
    assert!(second.ages()["google"] >= fetched + Duration::from_millis(50));
    // Nor are they believed under other authorities in the place of the old.
    let ca = world.folder.path().join("ca.pem");
    let pem = std::fs::read_to_string(&ca).unwrap();
    std::fs::write(&ca, format!("{pem}\n{pem}")).unwrap();
    let third = KeySets::new(&config, Some(&second)).unwrap();
    assert!(third.ages().is_empty() && third.ready().is_err());
}
