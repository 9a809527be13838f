//! Attacks on tokens that bring their certificates (PKI), which are verified against a pinned root.

use cloudauth_emulator::{AttestationKey, AttestationKind, AttestationToken, Chain};
use serde_json::json;

use crate::table::{Expect, Table};
use crate::tokens::object;
use crate::world::{READER, World};

pub(crate) fn run(table: &mut Table) {
    let world = World::new("", "");
    let pki = |token: &mut AttestationToken| token.kind = AttestationKind::Pki;
    let good = world.exchange(READER, pki);
    let invalid = |check| Expect::Check("attestation_invalid", check);
    for (name, chain) in [
        ("PKI chain with a wrong root", Chain::WrongRoot),
        ("PKI chain with the right root on top of another's", Chain::WrongRootUnderGood),
        ("PKI chain with a missing intermediate", Chain::MissingIntermediate),
        ("PKI chain of the leaf alone", Chain::LeafAlone),
        ("PKI chain of nothing", Chain::Empty),
        ("PKI chain from root to leaf", Chain::Reversed),
        ("PKI chain of four", Chain::Four),
        ("PKI chain with an expired leaf", Chain::ExpiredLeaf),
        ("PKI chain with a leaf of tomorrow", Chain::FutureLeaf),
        ("PKI chain with an expired intermediate", Chain::ExpiredIntermediate),
        ("PKI chain with a CA that is no CA", Chain::IntermediateNoAuthority),
        ("PKI chain with a leaf as CA", Chain::LeafAsAuthority),
        ("PKI chain longer than its CA allows", Chain::TooLong),
    ] {
        let refused = world.exchange(READER, |token| {
            pki(token);
            token.chain = chain;
        });
        let failed: Vec<_> = refused.failed().into_iter().map(|(name, _)| name).collect();
        // Without a chain that holds there is no key.
        let expected = Expect::Problem(403, "attestation_invalid", &["x5c", "key"]);
        let expected = if failed == ["x5c"] { invalid("x5c") } else { expected };
        table.attack(
            name,
            &format!("{chain:?}"),
            &refused,
            expected,
            "leaf, intermediate and root",
            &good,
        );
    }
    let refused = world.exchange(READER, |token| {
        pki(token);
        token.key = Some(AttestationKey::Attacker);
    });
    let sent = "the genuine chain, signed by the attacker";
    table.attack(
        "PKI token with another's chain",
        sent,
        &refused,
        invalid("signature"),
        "signed by its leaf",
        &good,
    );

    let oidc = world.good();
    let x5c = |chain| {
        let token = AttestationToken { kind: AttestationKind::Pki, chain, ..world.token(&[]) };
        let token = world.mint(&token);
        let header = token.split('.').next().unwrap();
        use base64::Engine as _;
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
        serde_json::from_slice::<serde_json::Value>(&header).unwrap()["x5c"].clone()
    };
    let forged = x5c(Chain::WrongRoot);
    let refused = world.exchange(READER, |token| {
        token.key = Some(AttestationKey::Attacker);
        token.header = object(json!({"x5c": forged}));
    });
    let expected = Expect::Problem(403, "attestation_invalid", &["x5c", "key"]);
    let sent = "kid of the issuer, x5c of the attacker";
    table.attack("both a kid and a chain", sent, &refused, expected, "a kid alone", &oidc);
    for (sent, value) in [
        ("x5c: a text", json!("MIIB")),
        ("x5c: not base64", json!(["!", "!", "!"])),
        ("x5c: no certificates", json!(["AAAA", "AAAA", "AAAA"])),
        ("x5c: three of 100,000 octets", json!(vec!["A".repeat(13_000); 3])),
    ] {
        let refused = world.exchange(READER, |token| {
            pki(token);
            token.header = object(json!({"x5c": value}));
        });
        table.attack(
            "PKI chain that is none",
            sent,
            &refused,
            expected,
            "leaf, intermediate and root",
            &good,
        );
    }
}
