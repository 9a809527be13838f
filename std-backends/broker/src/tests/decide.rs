//! Google Confidential Space tokens: what is granted, and each thing that is wrong in turn.

use std::net::IpAddr;

use cloudauth_core::digest::sha256;
use cloudauth_core::x509::Certificate;
use cloudauth_emulator::{AttestationKey, AttestationKind, AttestationToken, Chain};
use serde_json::json;

use super::world::*;
use crate::decision::{Peer, Refusal};

const STRICT: &str = "
min-swversion = 260800
secure-boot = true
support-attributes = ['STABLE', 'USABLE']
zones = ['europe-west4-a', 'europe-west4-b']
service-accounts = 'workload@demo-project.iam.gserviceaccount.com'
source-networks = ['192.0.2.0/24', '2001:db8::/32']
[grants.g.attested.claims]
'/oemid' = 11129
'/submods/container/restart_policy' = ['Never', 'OnFailure']
'/submods/confidential_space/monitoring_enabled/memory' = false
";

#[tokio::test]
async fn each_claim_wrong_in_turn() {
    let world = World::new();
    let loaded = world.loaded(&format!("{WORKLOAD}{STRICT}"));
    let good = loaded.decide(&world.token(json!({}))).await;
    loaded.granted(&good);
    assert_eq!(good.claims["project_id"], "demo-project");
    assert_eq!(good.claims["instance_id"], "1234567890123456789");
    let shown = format!("{}{:?}", good.claims, good.checks);
    assert!(!shown.contains(&nonce(REQUEST)), "{shown}");

    let container = |claims| submod("container", claims);
    let gce = |claims| submod("gce", claims);
    let space = |claims| submod("confidential_space", claims);
    let other = format!("sha256:{}", "9".repeat(64));
    for (claims, check) in [
        (json!({"dbgstat": "enabled"}), "debug"),
        (json!({"dbgstat": null}), "debug"),
        (json!({"aud": "https://other.example"}), "nonce"),
        (container(json!({"image_digest": other})), "image"),
        (container(json!({"image_digest": null})), "image"),
        (json!({"swname": "GCE"}), "swname"),
        (json!({"hwmodel": "GCP_SHIELDED_VM"}), "hwmodel"),
        (gce(json!({"project_id": "demo-project-2"})), "project"),
        (gce(json!({"zone": "us-east1-a"})), "zone"),
        (
            json!({"google_service_accounts": ["x@demo-project.iam.gserviceaccount.com"]}),
            "service-account",
        ),
        (container(json!({"cmd_override": ["/bin/sh"]})), "cmd-override"),
        (container(json!({"env_override": {"LD_PRELOAD": "/x"}})), "env-override"),
        (json!({"swversion": ["260799"]}), "swversion"),
        (json!({"secboot": false}), "secure-boot"),
        (space(json!({"support_attributes": ["USABLE"]})), "support-attributes"),
        (json!({"oemid": 1}), "/oemid"),
        (json!({"oemid": "11129"}), "/oemid"),
        (container(json!({"restart_policy": "Always"})), "/submods/container/restart_policy"),
    ] {
        let decision = loaded.decide(&world.token(claims.clone())).await;
        let failed: Vec<_> = decision.checks.iter().filter(|l| l.outcome == "failed").collect();
        assert!(failed.iter().any(|line| line.name == check), "{claims}: {decision:#?}");
        let refusal = decision.verdict.unwrap_err();
        let expected = if check == "nonce" { Refusal::ChannelMismatch } else { Refusal::Denied };
        assert_eq!(refusal, expected, "{claims}");
    }
    loaded.grants(&world.token(json!({}))).await;
}

/// Versions of both forms, whichever the rule is in.
#[tokio::test]
async fn versions() {
    let world = World::new();
    for least in ["260800", "20260800"] {
        let loaded = world.loaded(&format!("{WORKLOAD}min-swversion = {least}"));
        let with = |version: &str| world.token(json!({"swversion": [version]}));
        for new in ["260800", "20260800", "261200", "20270100"] {
            loaded.grants(&with(new)).await;
        }
        for old in ["260799", "20260799", "251299", "20251299"] {
            loaded.refuses(&with(old), Refusal::Denied, "swversion").await;
        }
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_recorded() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    let token = world.token(json!({"dbgstat": "enabled", "swname": "GCE"}));
    let decision = loaded.decide(&token).await;
    let failed: Vec<_> =
        decision.checks.iter().filter(|l| l.outcome == "failed").map(|l| &*l.name).collect();
    assert_eq!(failed, ["debug", "swname"]);
    assert!(decision.checks.iter().any(|l| l.name == "signature" && l.outcome == "passed"));
    assert!(decision.checks.iter().any(|l| l.name == "zone" && l.outcome == "not-asked"));
    assert_eq!(decision.grant.as_deref(), Some("g"));
}

#[tokio::test]
async fn another_grant_has_another_audience() {
    let world = World::new();
    let loaded = world.loaded(&format!("audience = 'https://other.example'\n{WORKLOAD}"));
    // Bound, but to the audience of another grant.
    loaded.refuses(&world.token(json!({})), Refusal::Denied, "audience").await;
}

#[tokio::test]
async fn waived_by_name() {
    let world = World::new();
    let attested = "waive = ['image', 'debug', 'swname', 'hwmodel', 'project', 'env', 'env-override', \
                    'cmd-override', 'args', 'audience', 'issuer']";
    let loaded = world.loaded(attested);
    let token = world.token(json!({"dbgstat": "enabled", "swname": "GCE", "submods": {"container":
        {"cmd_override": ["/bin/sh"], "env_override": {"A": "b"}}}}));
    let decision = loaded.decide(&token).await;
    loaded.granted(&decision);
    let waived = decision.checks.iter().filter(|line| line.outcome == "waived").count();
    assert!(waived >= 10, "{decision:#?}");
    // What every token gets cannot be waived.
    let expired = AttestationToken { age: 500, lifetime: Some(100), ..bound() };
    loaded.refuses(&world.mint(expired), Refusal::AttestationInvalid, "exp").await;
}

#[tokio::test]
async fn overrides_that_are_expected() {
    let world = World::new();
    let loaded = world.loaded(&format!(
        "{WORKLOAD}cmd-override = ['--shard', '7']\nenv-override = {{ MODE = 'x' }}\n\
         args = ['/workload', '--shard', '7']\nwaive = ['env']"
    ));
    let container = |args, env, all| {
        let container = json!({"cmd_override": args, "env_override": env, "args": all});
        world.token(submod("container", container))
    };
    let (args, env) = (json!(["--shard", "7"]), json!({"MODE": "x"}));
    let all = json!(["/workload", "--shard", "7"]);
    loaded.grants(&container(args.clone(), env.clone(), all.clone())).await;
    let more = container(args.clone(), json!({"MODE": "x", "B": "c"}), all.clone());
    loaded.refuses(&more, Refusal::Denied, "env-override").await;
    let fewer = container(args.clone(), json!({}), all.clone());
    loaded.refuses(&fewer, Refusal::Denied, "env-override").await;
    let order = container(json!(["7", "--shard"]), env.clone(), all);
    loaded.refuses(&order, Refusal::Denied, "cmd-override").await;
    let entry = container(args, env, json!(["/other", "--shard", "7"]));
    loaded.refuses(&entry, Refusal::Denied, "args").await;
}

/// A rule on an override is enough: the whole, which is the image's own with it, needs none beside it.
#[tokio::test]
async fn overrides_without_a_rule_on_the_whole() {
    let world = World::new();
    let container = |claims| world.token(submod("container", claims));
    let overridden =
        || json!({"env": {"PATH": "/bin", "MODE": "x"}, "env_override": {"MODE": "x"}});
    let started =
        || json!({"args": ["/workload", "--shard", "7"], "cmd_override": ["--shard", "7"]});
    for (rule, same, other, check) in [
        (
            "env-override = { MODE = 'x' }",
            overridden(),
            Some(json!({"env_override": {"MODE": "y"}})),
            "env-override",
        ),
        ("waive = ['env-override']", overridden(), None, ""),
        (
            "cmd-override = ['--shard', '7']",
            started(),
            Some(json!({"cmd_override": ["--shard", "8"]})),
            "cmd-override",
        ),
        ("waive = ['cmd-override']", started(), None, ""),
    ] {
        let loaded = world.loaded(&format!("{WORKLOAD}{rule}"));
        let decision = loaded.decide(&container(same)).await;
        loaded.granted(&decision);
        let line = |name| decision.checks.iter().find(|line| line.name == name).unwrap().outcome;
        let outcomes = [line("env"), line("args")];
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == "not-asked").count(), 1, "{rule}");
        if let Some(other) = other {
            loaded.refuses(&container(other), Refusal::Denied, check).await;
        }
    }
    // The other of the two is as it was: nothing is overridden.
    let loaded = world.loaded(&format!("{WORKLOAD}waive = ['env-override']"));
    let decision = loaded.decide(&container(started())).await;
    assert_eq!(decision.verdict.unwrap_err(), Refusal::Denied);
    let loaded = world.loaded(&format!("{WORKLOAD}waive = ['cmd-override']"));
    let decision = loaded.decide(&container(overridden())).await;
    assert_eq!(decision.verdict.unwrap_err(), Refusal::Denied);
}

#[tokio::test]
async fn image_signature_keys() {
    let world = World::new();
    let attested = WORKLOAD.lines().filter(|line| !line.starts_with("image-digests"));
    let attested: Vec<_> = attested.chain(["image-signature-keys = ['k1', 'k2']"]).collect();
    let loaded = world.loaded(&attested.join("\n"));
    let signed = |key: &str| {
        let signature = json!([{"key_id": key, "signature": "AA==", "signature_algorithm": "X"}]);
        world.token(submod("container", json!({"image_signatures": signature})))
    };
    loaded.grants(&signed("k2")).await;
    loaded.refuses(&signed("k3"), Refusal::Denied, "image").await;
    loaded.refuses(&world.token(json!({})), Refusal::Denied, "image").await;
}

#[tokio::test]
async fn the_binding() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    let with = |nonces: Vec<String>| world.mint(AttestationToken { nonces, ..bound() });
    loaded.grants(&with(vec![nonce(REQUEST)])).await;
    let mismatch = Refusal::ChannelMismatch;
    loaded.refuses(&with(vec![]), mismatch, "nonce").await;
    loaded.refuses(&with(vec![nonce(REQUEST), nonce(REQUEST)]), mismatch, "nonce").await;
    loaded.refuses(&with(vec![nonce(br#"{"grant":"h"}"#)]), mismatch, "nonce").await;
    loaded.refuses(&with(vec!["a".repeat(43)]), mismatch, "nonce").await;

    // Another request than the one that was bound.
    let token = world.token(json!({}));
    let decision = loaded.decide_as(&token, br#"{"grant":"g" }"#, peer(), now()).await;
    refused(&decision, mismatch, "nonce");
    assert_eq!(decision.grant, None, "the request is not read before it is bound");
}

/// Without a connection: one nonce may be right, or the older scheme's two. Nothing else can.
#[tokio::test]
async fn the_number_of_nonces_in_a_file() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    loaded.key_sets.load().await;
    for (count, would) in [(0, false), (1, true), (2, true), (3, false), (6, false), (7, false)] {
        let nonces = (0..count).map(|i| format!("{i:043}")).collect();
        let token = world.mint(AttestationToken { nonces, ..bound() });
        let tried = loaded.policy.try_token(&token, now(), false).await.unwrap();
        let (name, is, checks) = &tried.grants[0];
        assert_eq!((name.as_str(), *is), ("g", would), "{count}: {checks:#?}");
        let line = checks.iter().find(|line| line.name == "nonce").unwrap();
        assert_eq!(line.outcome, if would { "not-reached" } else { "failed" }, "{count}");
    }
}

#[tokio::test]
async fn requests() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    for (request, refusal, check) in [
        (r#"{"grant":"h"}"#, Refusal::Denied, "grant"),
        (r#"{"grant":"G"}"#, Refusal::Denied, "grant"),
        (r#"{"grant":""}"#, Refusal::Denied, "grant"),
        (r#"{"grant":"g","role":"r"}"#, Refusal::Malformed, "request"),
        (r#"{"grant":"h","grant":"g"}"#, Refusal::Malformed, "request"),
        (r#"{"grant":1}"#, Refusal::Malformed, "request"),
        (r#"{"grants":"g"}"#, Refusal::Malformed, "request"),
        (r#"["g"]"#, Refusal::Malformed, "request"),
        ("{}", Refusal::Malformed, "request"),
        ("g", Refusal::Malformed, "request"),
    ] {
        let nonces = vec![nonce(request.as_bytes())];
        let token = world.mint(AttestationToken { nonces, ..bound() });
        let decision = loaded.decide_as(&token, request.as_bytes(), peer(), now()).await;
        refused(&decision, refusal, check);
    }
    let spaced = br#" { "grant" : "g" } "#;
    let token = world.mint(AttestationToken { nonces: vec![nonce(spaced)], ..bound() });
    loaded.granted(&loaded.decide_as(&token, spaced, peer(), now()).await);
}

#[tokio::test]
async fn tokens_that_are_not_believed() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    let invalid = Refusal::AttestationInvalid;
    let mint = |token| world.mint(token);
    for (token, check) in [
        (AttestationToken { key: Some(AttestationKey::Attacker), ..bound() }, "signature"),
        (AttestationToken { key: Some(AttestationKey::None), ..bound() }, "alg"),
        (AttestationToken { key: Some(AttestationKey::Hs256PublicKey), ..bound() }, "alg"),
        (AttestationToken { algorithm: Some("RS384".into()), ..bound() }, "alg"),
        (AttestationToken { algorithm: Some("PS256".into()), ..bound() }, "alg"),
        (AttestationToken { header: object(json!({"kid": "../jwks"})), ..bound() }, "key"),
        (AttestationToken { age: 700, ..bound() }, "max_age"),
        (AttestationToken { age: 100, lifetime: Some(20), ..bound() }, "exp"),
        (AttestationToken { claims: object(json!({"exp": null, "nbf": null})), ..bound() }, "exp"),
        (AttestationToken { claims: object(json!({"iat": null})), ..bound() }, "max_age"),
    ] {
        loaded.refuses(&mint(token), invalid, check).await;
    }
    // What is asked of algorithms is said once: the signature is not even looked at.
    let crit = AttestationToken { header: object(json!({"crit": ["x"]})), ..bound() };
    loaded.refuses(&mint(crit), invalid, "crit").await;
    let future = AttestationToken { age: -120, ..bound() };
    let decision = loaded.decide(&mint(future)).await;
    assert_eq!(decision.verdict.unwrap_err(), invalid);
    loaded.grants(&mint(AttestationToken { age: -30, ..bound() })).await;
    loaded.grants(&mint(AttestationToken { age: 590, ..bound() })).await;

    let url = world.emulator.url();
    for iss in [
        "https://confidentialcomputing.googleapis.com".to_owned(),
        format!("{url}/confidential-space/"),
    ] {
        let token = world.token(json!({"iss": iss}));
        let decision = loaded.decide(&token).await;
        refused(&decision, invalid, "issuer");
        assert_eq!(decision.claims, json!({"iss": iss}));
    }
    // Microsoft's keys do not speak for Google.
    let token = world.token(json!({"iss": format!("{url}/maa")}));
    loaded.refuses(&token, invalid, "key").await;
    for token in ["", "a.b.c", "..", "e30.e30.AA"] {
        let decision = loaded.decide(token).await;
        assert_eq!(decision.verdict.unwrap_err(), invalid, "{token}");
    }
    let twice = r#"{"iss":"a","iss":"b"}"#.to_owned();
    let token = mint(AttestationToken { raw_claims: Some(twice), ..bound() });
    loaded.refuses(&token, invalid, "attestation").await;
}

#[tokio::test]
async fn chains() {
    let world = World::new();
    let loaded = world.loaded(WORKLOAD);
    let pki = |chain, key| {
        let kind = AttestationKind::Pki;
        world.mint(AttestationToken { kind, chain, key, ..bound() })
    };
    let decision = loaded.decide(&pki(Chain::Good, None)).await;
    loaded.granted(&decision);
    assert_eq!((&*decision.checks[0].name, decision.checks[0].outcome), ("x5c", "passed"));
    for chain in [
        Chain::WrongRoot,
        Chain::WrongRootUnderGood,
        Chain::MissingIntermediate,
        Chain::LeafAlone,
        Chain::Empty,
        Chain::Reversed,
        Chain::Four,
        Chain::ExpiredLeaf,
        Chain::FutureLeaf,
        Chain::ExpiredIntermediate,
        Chain::IntermediateNoAuthority,
        Chain::LeafAsAuthority,
        Chain::TooLong,
    ] {
        let decision = loaded.decide(&pki(chain, None)).await;
        assert_eq!(decision.verdict.unwrap_err(), Refusal::AttestationInvalid, "{chain:?}");
        let line = &decision.checks[0];
        assert_eq!((&*line.name, line.outcome), ("x5c", "failed"), "{chain:?}");
    }
    // The genuine chain under a signature of someone else.
    let stolen = pki(Chain::Good, Some(AttestationKey::Attacker));
    loaded.refuses(&stolen, Refusal::AttestationInvalid, "signature").await;
    for bad in [json!("text"), json!([1, 2, 3]), json!(["a", "b", "c"]), json!({})] {
        let header = object(json!({"x5c": bad}));
        let token = world.mint(AttestationToken { header, ..bound() });
        assert_eq!(loaded.decide(&token).await.verdict.unwrap_err(), Refusal::AttestationInvalid);
    }
}

#[tokio::test]
async fn a_form_that_is_not_configured_is_refused() {
    let world = World::new();
    let chain = world.mint(AttestationToken { kind: AttestationKind::Pki, ..bound() });
    let plain = world.token(json!({}));
    let load = |head: String| {
        world
            .load(&format!("{head}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}"))
            .unwrap()
    };
    let discovery_only = load(world.head().replace("root = 'root.pem'\n", ""));
    discovery_only.grants(&plain).await;
    let decision = discovery_only.decide(&chain).await;
    assert_eq!(decision.verdict.unwrap_err(), Refusal::AttestationInvalid);

    let pem = world.emulator.attestation_root_pem().unwrap();
    let der = cloudauth_keys::pem::certificates(pem.as_bytes()).unwrap().remove(0);
    let pin: String = sha256(&der).iter().map(|octet| format!("{octet:02x}")).collect();
    let google = "keys = 'discovery'\ntrusted-ca = 'ca.pem'\nroot = 'root.pem'\n";
    let root_only = load(world.head().replacen(google, &format!("root-sha256 = '{pin}'\n"), 1));
    root_only.grants(&chain).await;
    let other =
        load(world.head().replacen(google, &format!("root-sha256 = '{}'\n", "0".repeat(64)), 1));
    let decision = other.decide(&chain).await;
    assert_eq!(decision.verdict.unwrap_err(), Refusal::AttestationInvalid);
    root_only.refuses(&plain, Refusal::AttestationInvalid, "key").await;
}

#[tokio::test]
async fn where_the_client_is() {
    let world = World::new();
    let loaded =
        world.loaded(&format!("{WORKLOAD}source-networks = ['192.0.2.0/24', '2001:db8::/32']"));
    let token = world.token(json!({}));
    for (address, holds) in [
        ("192.0.2.255", true),
        ("::ffff:192.0.2.1", true),
        ("2001:db8:ffff::1", true),
        ("192.0.3.1", false),
        ("2001:db9::1", false),
        ("127.0.0.1", false),
    ] {
        let peer = Peer { address: address.parse::<IpAddr>().unwrap(), certificate: None };
        let decision = loaded.decide_as(&token, REQUEST, peer, now()).await;
        match holds {
            true => loaded.granted(&decision),
            false => refused(&decision, Refusal::Denied, "source-network"),
        }
    }
}

#[tokio::test]
async fn the_clients_certificate() {
    let world = World::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let spki = sha256(Certificate::parse(certificate.der()).unwrap().spki());
    let pin: String = spki.iter().map(|octet| format!("{octet:02x}")).collect();
    let token = world.token(json!({}));
    let none = peer();
    let some = Peer { certificate: Some(certificate.der()), ..none };
    let head = world.head().replace(
        "key = 'file:k.pem'\n",
        "key = 'file:k.pem'\nclient-ca = 'ca.pem'\nclient-certificate = 'optional'\n",
    );
    let load = |rule: &str| {
        let text = format!("{head}[grants.g.attested]\n{WORKLOAD}{rule}\n[grants.g.give]\n{GIVE}");
        world.load(&text).unwrap()
    };
    for (rule, with, without) in [
        ("", true, true),
        ("client-certificate = 'required'", true, false),
        (&*format!("client-certificate = '{pin}'"), true, false),
        (&*format!("client-certificate = ['{}', 'sha256:{pin}']", "0".repeat(64)), true, false),
        (&*format!("client-certificate = ['{}']", "0".repeat(64)), false, false),
    ] {
        let loaded = load(rule);
        for (peer, holds) in [(some, with), (none, without)] {
            let decision = loaded.decide_as(&token, REQUEST, peer, now()).await;
            match holds {
                true => loaded.granted(&decision),
                false => refused(&decision, Refusal::Denied, "client-certificate"),
            }
        }
    }
}
