//! Attacks on the way to an issuer's keys. While it is broken the good keys are kept.

use std::time::{Duration, Instant};

use cloudauth_emulator::{AttestationKey, Fault, FaultKind, Service};
use serde_json::json;

use crate::table::{Expect, Outcome, Table};
use crate::tokens::object;
use crate::world::{READER, World};

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    let unknown = Expect::Check("attestation_invalid", "key");
    for (name, kind) in [
        ("key-set endpoint down", FaultKind::Reset),
        ("key-set endpoint answers 500", FaultKind::Status(500)),
        ("key-set endpoint slow", FaultKind::Latency(30_000)),
        ("key-set endpoint answers HTML", FaultKind::Html(200)),
        ("key-set endpoint answers 10 MB", FaultKind::Huge(10 << 20)),
        ("key-set endpoint cut off", FaultKind::Truncate),
    ] {
        // A reload forgets when it last asked; the good keys it takes over.
        world.reload().unwrap();
        world.emulator.rotate_attestation_keys(true).unwrap();
        for service in [Service::ConfidentialSpace, Service::ConfidentialSpaceKeys] {
            world.emulator.fault(Fault { service: Some(service), count: 9, kind: kind.clone() });
        }
        let start = Instant::now();
        let refused = world.exchange(READER, |_| {});
        assert!(start.elapsed() < Duration::from_secs(12), "{name}");
        let passed = world.exchange(READER, |t| t.key = Some(AttestationKey::Previous));
        table.attack(
            name,
            "a token of a key that is not known yet",
            &refused,
            unknown,
            "of a known key",
            &passed,
        );
        // And once it is mended, the new one is found.
        world.emulator.clear_faults();
        world.reload().unwrap();
        let found = world.good();
        let withdrawn = {
            world.emulator.rotate_attestation_keys(false).unwrap();
            world.reload().unwrap();
            world.good();
            world.exchange(READER, |t| t.key = Some(AttestationKey::Previous))
        };
        table.attack(
            &format!("{name}: afterwards"),
            "a key that was withdrawn",
            &withdrawn,
            unknown,
            "the new key",
            &found,
        );
    }
    flood(table, &world);
    test_key(table);
}

/// Unknown `kid`s do not make the broker ask its issuer all the time.
fn flood(table: &mut Table, world: &World) {
    let asked = || {
        let keys =
            |record: &&cloudauth_emulator::Record| record.service == Service::ConfidentialSpaceKeys;
        world.emulator.requests().iter().filter(keys).count()
    };
    let before = asked();
    for kid in 0..30 {
        let refused =
            world.exchange(READER, |t| t.header = object(json!({"kid": kid.to_string()})));
        assert!(!refused.is_accepted());
    }
    let times = asked() - before;
    let refused = match times {
        0 | 1 => Outcome::Refused(format!("the issuer was asked {times} times")),
        _ => Outcome::Accepted(format!("the issuer was asked {times} times")),
    };
    table.attack(
        "a flood of unknown kids",
        "30 of them",
        &refused,
        Expect::Refused("asked"),
        "a known one",
        &world.good(),
    );
}

/// The public key of the older brokers' test issuer, whose private half is published beside it.
const TEST_KEY: &str = "qqrpBHkLN4vT6g279KYTnnbKWHIEa-fK04wlamlrALQpV6QGfIrPwSgU_ElRFpsPJYWxCvEtYS01lBC70IeAhObR5DY9Z-jTvhk1tA-VrxyEhAHLuCuCsAPLow4ZSJ-aB0vZuUtaV9-qO-0gyJEG9y_5FKT51Tbr0INtjDASH43seoQtsPDG2tnKEj9r7jOLUNehj5j4Dgv-sJMGe3EyKlw7p6vsIhsU23v0VrTxdHGuelzplxCUQJoPRSxgepYyVmfrB12XJ5uJtLhYwuTbFb3BIUyswBtxtGcigvk_ftkuSQjubiXe8UtltBI7INfs7vmAVuQr7YN8Alni4Z3BeQ";

fn test_key(table: &mut Table) {
    let with = |keys: serde_json::Value| {
        let mut world = World::still();
        world.write("keys.json", &keys.to_string());
        let url = world.emulator.url();
        world.configure("", &format!("[issuers.test]\nkind = 'confidential-space'\nissuer = '{url}/test'\nkeys-file = 'keys.json'\n"));
        world.start()
    };
    let key =
        json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": TEST_KEY, "e": "AQAB"});
    let refused = Outcome::of(with(json!({"keys": [key]})), "started");
    let mut other = key;
    other["n"] = json!(TEST_KEY.replacen("qqrp", "qqrq", 1));
    let passed = Outcome::of(with(json!({"keys": [other]})), "started");
    table.attack(
        "the older brokers' public test key",
        "in the configuration, as an issuer's",
        &refused,
        Expect::Refused("test key"),
        "another key",
        &passed,
    );
}
