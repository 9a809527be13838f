//! Every rule with what it refuses, and beside it the nearest thing that is accepted.

mod binding;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::testing::{AUDIENCE, failures, nonce, set, token, token_with_alg, v1};
use super::super::{Attested, Wanted};
use super::claims::same;
use super::*;
use crate::ErrorKind;
use crate::jws::testing::NOW;

const ISSUER: &str = "https://confidentialcomputing.googleapis.com";
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const ACCOUNT: &str = "workload@my-project.iam.gserviceaccount.com";

/// A token as the service makes it for a hardened image that nobody overrides.
fn claims() -> Json {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "nbf": NOW, "exp": NOW + 3600,
        "sub": "https://www.googleapis.com/compute/v1/projects/my-project/zones/us-central1-a/instances/1",
        "eat_nonce": nonce(AUDIENCE),
        "eat_profile": "https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims",
        "secboot": true, "oemid": 11129, "hwmodel": "GCP_INTEL_TDX", "swname": "CONFIDENTIAL_SPACE",
        "swversion": ["20260700"], "attester_tcb": ["INTEL"], "dbgstat": "disabled-since-boot",
        "tdx": {"gcp_attester_tcb_status": "UpToDate"},
        "submods": {
            "confidential_space": {
                "support_attributes": ["LATEST", "STABLE", "USABLE"],
                "monitoring_enabled": {"memory": false},
            },
            "container": {
                "image_reference": "registry.example/app@sha256:9f86", "image_digest": DIGEST,
                "image_id": "sha256:1b4f", "restart_policy": "Never",
                "image_signatures": [
                    {"key_id": "aaaa", "signature": "MEUC", "signature_algorithm": "ECDSA_P256_SHA256"},
                    {"key_id": "bbbb", "signature": "MEQC", "signature_algorithm": "ECDSA_P256_SHA256"},
                ],
                "env": {"HOSTNAME": "vm-1", "PATH": "/usr/bin"}, "args": ["/app", "--serve"],
            },
            "gce": {
                "zone": "us-central1-a", "project_id": "my-project", "project_number": "1234567890",
                "instance_name": "vm-1", "instance_id": "3987654321",
            },
            "nvidia_gpu": {"cc_mode": "ON", "count": 2},
        },
        "google_service_accounts": [ACCOUNT],
    })
}

fn expect() -> Expect<'static> {
    Expect {
        issuer: Rule::OneOf(&[ISSUER]),
        audience: Rule::OneOf(&["https://other.example", AUDIENCE]),
        image: Image::Digests(&[DIGEST]),
        debug: Debugging::Refused,
        swname: Rule::OneOf(&["CONFIDENTIAL_SPACE"]),
        hwmodel: Rule::OneOf(&["GCP_AMD_SEV", "GCP_INTEL_TDX"]),
        project: Rule::OneOf(&["my-project"]),
        service_account: Rule::OneOf(&[ACCOUNT]),
        env: Overrides::None,
        env_override: Overrides::None,
        cmd_override: Overrides::None,
        args: Overrides::None,
        min_swversion: Some(20_260_500),
        secure_boot: true,
        support_attributes: &["STABLE"],
        zone: Rule::OneOf(&["us-central1-a"]),
        claims: &[],
    }
}

/// Everything that can be is waived.
fn waived() -> Expect<'static> {
    Expect {
        issuer: Rule::Waived,
        audience: Rule::Waived,
        image: Image::Waived,
        debug: Debugging::Waived,
        swname: Rule::Waived,
        hwmodel: Rule::Waived,
        project: Rule::Waived,
        service_account: Rule::NotAsked,
        env: Overrides::Waived,
        env_override: Overrides::Waived,
        cmd_override: Overrides::Waived,
        args: Overrides::Waived,
        min_swversion: None,
        secure_boot: false,
        support_attributes: &[],
        zone: Rule::NotAsked,
        claims: &[],
    }
}

fn failed(claims: &Json, expect: &Expect<'_>, binding: &Binding<'_>) -> Vec<String> {
    token(claims, |token| {
        let failed = failures(&check(token, expect, binding));
        // The check of the binding alone says the same of it.
        let alone = super::binding(&token.verdict().unwrap(), binding);
        assert_eq!(alone.is_err(), failed.contains(&"nonce".to_owned()));
        failed
    })
}

/// The checks that fail after one change.
fn change(pointer: &str, to: Json) -> Vec<String> {
    failed(&set(claims(), pointer, Some(to)), &expect(), &v1(None))
}

fn without(pointer: &str) -> Vec<String> {
    failed(&set(claims(), pointer, None), &expect(), &v1(None))
}

const NONE: [&str; 0] = [];

#[test]
fn the_neighbour_of_all_refusals() {
    assert_eq!(failed(&claims(), &expect(), &v1(None)), NONE);
    assert_eq!(failed(&claims(), &expect(), &v1(Some(AUDIENCE))), NONE);
    let least = json!({"exp": NOW + 1, "aud": AUDIENCE, "eat_nonce": nonce(AUDIENCE)});
    assert_eq!(failed(&least, &waived(), &v1(None)), NONE);
}

#[test]
fn the_report_has_every_check_in_order() {
    token(&claims(), |token| {
        let rules = [ClaimRule { pointer: "/tdx/x", wanted: Wanted::Bool(true) }];
        let expect = Expect { claims: &rules, ..waived() };
        let report = check(token, &expect, &Binding::Unchecked);
        let shown: Vec<String> =
            report.outcomes().map(|(name, outcome)| format!("{name} {outcome:?}")).collect();
        let own: Vec<&str> = shown.iter().skip(jws::Check::ALL.len()).map(String::as_str).collect();
        assert!(shown[0].starts_with("alg Passed"));
        let waived = |name| format!("{name} Waived");
        assert_eq!(own[0..2], [waived("issuer"), waived("audience")]);
        assert_eq!(own[2..5], ["claim-names Passed", "image Waived", "debug Waived"]);
        assert_eq!(own[5..8], ["swname", "hwmodel", "project"].map(waived));
        assert_eq!(own[8], "service-account NotAsked");
        assert_eq!(own[9..13], ["env", "env-override", "cmd-override", "args"].map(waived));
        let not_asked = |name| format!("{name} NotAsked");
        assert_eq!(
            own[13..17],
            ["swversion", "secure-boot", "support-attributes", "zone"].map(not_asked)
        );
        assert_eq!(own[17], "nonce NotReached");
        assert!(own[18].starts_with("/tdx/x Failed"));
        assert_eq!(own.len(), 19);
    });
}

#[test]
fn no_verdict_without_a_binding_or_a_signature() {
    assert_eq!(failed(&claims(), &expect(), &Binding::Unchecked), ["nonce"]);
    token(&claims(), |token| {
        let report = check(token, &expect(), &Binding::Unchecked);
        assert!(report.verdict_unbound().is_ok());
        let error = report.verdict().unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Verification, "nonce"));
    });
    // Nonces that no connection could be right for.
    for (nonces, right) in [(0, false), (1, true), (2, true), (3, false), (7, false)] {
        let claims = set(claims(), "/eat_nonce", Some(json!(vec![nonce(AUDIENCE); nonces])));
        token(&claims, |token| {
            let report = check(token, &expect(), &Binding::Unchecked);
            assert_eq!(report.verdict_unbound().is_ok(), right, "{nonces}");
            assert_eq!(report.verdict().unwrap_err().field() == "nonce", right, "{nonces}");
        });
    }
    token_with_alg("none", &claims(), |token| {
        let report = check(token, &expect(), &v1(None));
        assert_eq!(failures(&report)[..1], ["alg"]);
        assert!(report.verdict_unbound().is_err());
        // What does not rest on the signature is in the report all the same.
        assert!(report.outcomes().any(|(n, o)| n == "nonce" && o == Outcome::Passed));
        assert_eq!(report.unverified_claims().image_digest(), Some(DIGEST));
        let shown = format!("{report:?} {:?}", report.unverified_claims());
        assert!(shown.contains("image") && !shown.contains("sha256"), "{shown}");
    });
}

#[test]
fn each_claim_wrong_in_turn() {
    let number = || json!(1);
    for (pointer, wrong, name) in [
        ("/iss", json!("https://confidentialcomputing.googleapis.com/"), "issuer"),
        ("/submods/container/image_digest", json!("sha256:0000"), "image"),
        ("/submods/container/image_digest", json!(DIGEST.to_uppercase()), "image"),
        ("/submods/container/image_digest", json!([DIGEST]), "image"),
        ("/dbgstat", json!("enabled"), "debug"),
        ("/dbgstat", json!("disabled"), "debug"),
        ("/dbgstat", json!(false), "debug"),
        ("/swname", json!("GCE"), "swname"),
        ("/swname", number(), "swname"),
        ("/hwmodel", json!("GCP_SHIELDED_VM"), "hwmodel"),
        ("/hwmodel", json!("GCP_AMD_SEV_ES"), "hwmodel"),
        ("/submods/gce/project_id", json!("my-project-2"), "project"),
        ("/submods/gce/project_id", json!(["my-project"]), "project"),
        ("/google_service_accounts", json!([]), "service-account"),
        ("/google_service_accounts", json!([format!("x{ACCOUNT}")]), "service-account"),
        ("/google_service_accounts", json!(ACCOUNT), "service-account"),
        ("/secboot", json!(false), "secure-boot"),
        ("/secboot", json!("true"), "secure-boot"),
        (
            "/submods/confidential_space/support_attributes",
            json!(["USABLE", "EXPERIMENTAL"]),
            "support-attributes",
        ),
        ("/submods/confidential_space/support_attributes", json!("STABLE"), "support-attributes"),
        ("/submods/gce/zone", json!("us-central1-b"), "zone"),
    ] {
        assert_eq!(change(pointer, wrong.clone()), [name], "{pointer} {wrong}");
        if pointer != "/submods/gce/project_id" {
            assert_eq!(without(pointer), [name], "{pointer}");
        }
        assert_eq!(change(pointer, Json::Null), without(pointer), "null is not there");
        // The same token, when nobody asks.
        let claims = set(claims(), pointer, Some(wrong));
        assert_eq!(failed(&claims, &waived(), &v1(None)), NONE, "{pointer}");
    }
    for (pointer, right) in [
        ("/hwmodel", json!("GCP_AMD_SEV")),
        ("/google_service_accounts", json!(["a@b.example", ACCOUNT])),
        ("/submods/confidential_space/support_attributes", json!(["STABLE"])),
    ] {
        assert_eq!(change(pointer, right.clone()), NONE, "{pointer} {right}");
    }
    // Empty lists accept nothing.
    let none = Expect { image: Image::Digests(&[]), swname: Rule::OneOf(&[]), ..expect() };
    assert_eq!(failed(&claims(), &none, &v1(None)), ["image", "swname"]);
}

#[test]
fn image_by_signature() {
    let by = |keys: &[&str]| {
        failed(&claims(), &Expect { image: Image::SignatureKeys(keys), ..expect() }, &v1(None))
    };
    assert_eq!(by(&["bbbb"]), NONE);
    assert_eq!(by(&["cccc", "aaaa"]), NONE);
    assert_eq!(by(&["cccc"]), ["image"]);
    assert_eq!(by(&["MEUC"]), ["image"]);
    assert_eq!(by(&[]), ["image"]);
    let signed = Expect { image: Image::SignatureKeys(&["aaaa"]), ..expect() };
    for list in [json!([]), json!(null), json!(["aaaa"]), json!({"key_id": "aaaa"})] {
        let claims = set(claims(), "/submods/container/image_signatures", Some(list.clone()));
        assert_eq!(failed(&claims, &signed, &v1(None)), ["image"], "{list}");
    }
}

#[test]
fn project_by_id_or_number() {
    let of = |wanted: &[&str], claims: &Json| {
        failed(claims, &Expect { project: Rule::OneOf(wanted), ..expect() }, &v1(None))
    };
    assert_eq!(of(&["1234567890"], &claims()), NONE);
    assert_eq!(of(&["1234567891"], &claims()), ["project"]);
    assert_eq!(of(&["another", "my-project"], &claims()), NONE);
    let number = set(claims(), "/submods/gce/project_number", Some(json!(1_234_567_890)));
    assert_eq!(of(&["1234567890"], &number), NONE);
    let only = set(number, "/submods/gce/project_id", None);
    assert_eq!(of(&["1234567890"], &only), NONE);
    assert_eq!(of(&["my-project"], &only), ["project"]);
    // An id of digits cannot pass for a number.
    let forged = set(claims(), "/submods/gce/project_id", Some(json!("42")));
    assert_eq!(of(&["42"], &forged), ["project"]);
    assert_eq!(of(&[""], &set(forged, "/submods/gce/project_number", None)), ["project"]);
}

#[test]
fn overrides() {
    const ENV: &str = "/submods/container/env";
    const ENV_OVERRIDE: &str = "/submods/container/env_override";
    const CMD: &str = "/submods/container/cmd_override";
    const ARGS: &str = "/submods/container/args";
    for (pointer, empty) in [(ENV_OVERRIDE, json!({})), (CMD, json!([]))] {
        assert_eq!(change(pointer, empty), NONE);
        assert_eq!(change(pointer, Json::Null), NONE);
    }
    let both = ["env", "env-override"];
    assert_eq!(change(ENV_OVERRIDE, json!({"DEBUG": ""})), both);
    assert_eq!(change(ENV_OVERRIDE, json!([])), both);
    assert_eq!(change(ENV_OVERRIDE, json!("")), both);
    let both = ["cmd-override", "args"];
    assert_eq!(change(CMD, json!(["--debug"])), both);
    assert_eq!(change(CMD, json!([""])), both);
    assert_eq!(change(CMD, json!({})), both);
    // An override that is waived must not hide behind "nothing is overridden".
    let overridden = set(claims(), ENV_OVERRIDE, Some(json!({"LEVEL": "1"})));
    let overridden = set(overridden, CMD, Some(json!(["--serve"])));
    let with = |env, env_override, cmd_override, args| {
        let expect = Expect { env, env_override, cmd_override, args, ..expect() };
        failed(&overridden, &expect, &v1(None))
    };
    let (level, path) = (&[("LEVEL", "1")], &[("PATH", "/usr/bin")]);
    let all = Overrides::Exactly(&["/app", "--serve"][..]);
    let cmd = Overrides::Exactly(&["--serve"][..]);
    let (none, any, anything) = (Overrides::None, Overrides::Waived, Overrides::Waived);
    let level = Overrides::Exactly(&level[..]);
    let path = Overrides::Exactly(&path[..]);
    assert_eq!(with(path, level, cmd, all), NONE);
    assert_eq!(with(path, any, anything, all), NONE);
    assert_eq!(with(any, any, anything, anything), NONE);
    assert_eq!(with(none, any, anything, all), ["env"]);
    assert_eq!(with(path, any, anything, Overrides::None), ["args"]);
    // Only whoever has a rule on the override can leave the whole to it.
    assert_eq!(with(Overrides::NotAsked, level, cmd, Overrides::NotAsked), NONE);
    assert_eq!(with(Overrides::NotAsked, path, cmd, Overrides::NotAsked), ["env-override"]);
    assert_eq!(with(any, path, cmd, all), ["env-override"]);
    assert_eq!(with(any, level, all, all), ["cmd-override"]);
    assert_eq!(with(level, level, cmd, cmd), ["env", "args"]);

    // Exactly: nothing missing, nothing more, arguments in their order.
    let fixed = Expect {
        env: Overrides::Exactly(&[("PATH", "/usr/bin"), ("MODE", "a")]),
        args: Overrides::Exactly(&["/app", "--serve", "a"]),
        ..expect()
    };
    let env = |env: Json| {
        let claims = set(claims(), ARGS, Some(json!(["/app", "--serve", "a"])));
        failed(&set(claims, ENV, Some(env)), &fixed, &v1(None))
    };
    assert_eq!(env(json!({"PATH": "/usr/bin", "MODE": "a"})), NONE);
    assert_eq!(env(json!({"MODE": "a", "PATH": "/usr/bin", "HOSTNAME": "any"})), NONE);
    for bad in [
        json!({"PATH": "/usr/bin"}),
        json!({"PATH": "/usr/bin", "MODE": "b"}),
        json!({"PATH": "/usr/bin", "MODE": "a", "LD_PRELOAD": "x.so"}),
        json!({"PATH": "/usr/bin", "MODE": ["a"]}),
        json!({"PATH": "/usr/bin", "mode": "a"}),
        json!(["PATH=/usr/bin", "MODE=a"]),
        Json::Null,
    ] {
        assert_eq!(env(bad.clone()), ["env"], "{bad}");
    }
    let args = |args: Json| {
        let claims = set(claims(), ENV, Some(json!({"PATH": "/usr/bin", "MODE": "a"})));
        failed(&set(claims, ARGS, Some(args)), &fixed, &v1(None))
    };
    assert_eq!(args(json!(["/app", "--serve", "a"])), NONE);
    for bad in [
        json!(["/app", "a", "--serve"]),
        json!(["/app", "--serve"]),
        json!(["/app", "--serve", "a", ""]),
        json!(["/app", "--serve", 1]),
        json!("/app --serve a"),
        Json::Null,
    ] {
        assert_eq!(args(bad.clone()), ["args"], "{bad}");
    }
    // Where the launcher's own variable is expected, it is compared.
    let host = Expect {
        env: Overrides::Exactly(&[("PATH", "/usr/bin"), ("HOSTNAME", "vm-2")]),
        ..expect()
    };
    assert_eq!(failed(&claims(), &host, &v1(None)), ["env"]);
    // But nobody may override it.
    assert_eq!(change(ENV_OVERRIDE, json!({"HOSTNAME": "x"})), ["env", "env-override"]);
}

#[test]
fn versions() {
    for good in [
        json!(["20260500"]),
        json!(["20260501"]),
        json!(["20991299"]),
        // The other form, YYMM##.
        json!(["260500"]),
        json!(["260700"]),
        json!(["20260700", "260500"]),
    ] {
        assert_eq!(change("/swversion", good.clone()), NONE, "{good}");
    }
    for bad in [
        json!(["20260499"]),
        json!(["260499"]),
        json!(["251299"]),
        json!(["20260700", "20260499"]),
        json!(["20260700", "260499"]),
        json!([]),
        json!("20260700"),
        json!([20_260_700]),
        json!(["2026070"]),
        json!(["202607001"]),
        json!(["+2026070"]),
        json!(["2026070x"]),
        json!([""]),
        Json::Null,
    ] {
        assert_eq!(change("/swversion", bad.clone()), ["swversion"], "{bad}");
    }
    let old = Expect { min_swversion: Some(240_900), ..expect() };
    for (version, failures) in [
        ("240900", 0),
        ("20240900", 0),
        ("20250100", 0),
        ("250100", 0),
        ("240899", 1),
        ("20240899", 1),
        ("20231299", 1),
    ] {
        let claims = set(claims(), "/swversion", Some(json!([version])));
        assert_eq!(failed(&claims, &old, &v1(None)).len(), failures, "{version}");
    }
}

#[test]
fn any_other_claim() {
    let by = |pointer: &str, wanted: Wanted<'_>| {
        let rules = [ClaimRule { pointer, wanted }];
        let failed = failed(&claims(), &Expect { claims: &rules, ..expect() }, &v1(None));
        assert!(failed.is_empty() || failed == [pointer], "{failed:?}");
        failed.is_empty()
    };
    assert!(by("/submods/nvidia_gpu/cc_mode", Wanted::OneOf(&["OFF", "ON"])));
    assert!(!by("/submods/nvidia_gpu/cc_mode", Wanted::OneOf(&["OFF", "on"])));
    assert!(!by("/submods/nvidia_gpu/cc_mod", Wanted::OneOf(&["ON"])));
    assert!(by("/attester_tcb/0", Wanted::OneOf(&["INTEL"])));
    assert!(!by("/attester_tcb", Wanted::OneOf(&["INTEL"])));
    assert!(by("/oemid", Wanted::Number(11129)));
    assert!(!by("/oemid", Wanted::Number(-11129)));
    assert!(!by("/oemid", Wanted::OneOf(&["11129"])));
    assert!(!by("/submods/gce/project_number", Wanted::Number(1_234_567_890)));
    assert!(by("/submods/nvidia_gpu/count", Wanted::AtLeast(2)));
    assert!(!by("/submods/nvidia_gpu/count", Wanted::AtLeast(3)));
    assert!(by("/submods/confidential_space/monitoring_enabled/memory", Wanted::Bool(false)));
    assert!(!by("/submods/confidential_space/monitoring_enabled/memory", Wanted::Bool(true)));
    assert!(!by("/secboot", Wanted::Number(1)));
    for bad in ["", "secboot", "/secboot/", "//secboot"] {
        assert!(!by(bad, Wanted::Bool(true)), "{bad}");
    }
    // All of several, each under its own name.
    let rules = [
        ClaimRule { pointer: "/secboot", wanted: Wanted::Bool(true) },
        ClaimRule { pointer: "/oemid", wanted: Wanted::Number(1) },
        ClaimRule { pointer: "/x", wanted: Wanted::Bool(true) },
    ];
    let failed = failed(&claims(), &Expect { claims: &rules, ..expect() }, &v1(None));
    assert_eq!(failed, ["/oemid", "/x"]);
}

/// The token with the blocks that old tokens had inside `tee`.
fn old() -> Json {
    let mut token = claims();
    let emails = token["google_service_accounts"].take();
    let (container, gce) = (token["submods"]["container"].take(), token["submods"]["gce"].take());
    token["tee"] = json!({
        "version": {"major": 0, "minor": 0}, "platform": {"hardware_technology": "AMD_SEV"},
        "container": container, "gce": gce, "emails": emails,
    });
    token
}

#[test]
fn old_names() {
    assert_eq!(failed(&old(), &expect(), &v1(None)), NONE);
    for (pointer, wrong, names) in [
        ("/tee/container/image_digest", json!("sha256:00"), &["image"][..]),
        ("/tee/gce/project_id", json!("another"), &["project"]),
        ("/tee/gce/zone", json!("another"), &["zone"]),
        ("/tee/emails", json!(["a@b.example"]), &["service-account"]),
        ("/tee/container/env_override", json!({"A": "b"}), &["env", "env-override"]),
        ("/tee/container/cmd_override", json!(["b"]), &["cmd-override", "args"]),
    ] {
        assert_eq!(failed(&set(old(), pointer, Some(wrong)), &expect(), &v1(None)), names);
    }
    // Under both names: the same is accepted, as is nothing at all; a contradiction is not.
    for (pointer, present) in [
        ("/tee/container/image_digest", "/submods/container/image_digest"),
        ("/tee/container/image_signatures", "/submods/container/image_signatures"),
        ("/tee/container/env", "/submods/container/env"),
        ("/tee/gce/project_id", "/submods/gce/project_id"),
        ("/tee/emails", "/google_service_accounts"),
    ] {
        let with = |to: Json| {
            let claims = set(claims(), pointer, Some(to));
            (failed(&claims, &expect(), &v1(None)), failed(&claims, &waived(), &v1(None)))
        };
        let is = claims().pointer(present).unwrap().clone();
        for agrees in [is.clone(), Json::Null, json!(""), json!([]), json!({})] {
            assert_eq!(with(agrees), (vec![], vec![]), "{pointer}");
        }
        // Whatever the rules ask.
        let refused = vec!["claim-names".to_owned()];
        for differs in
            [json!("x"), json!(["x"]), json!({"x": 1}), json!([is]), json!(0), json!(true)]
        {
            assert_eq!(with(differs), (refused.clone(), refused.clone()), "{pointer}");
        }
    }
    // What the present block does not say, the old one can: never less than both together.
    let both = set(claims(), "/tee/container/env_override", Some(json!({"A": "b"})));
    assert_eq!(failed(&both, &expect(), &v1(None)), ["env", "env-override"]);
    let hidden = set(both, "/submods/container/env_override", Some(json!({})));
    assert_eq!(failed(&hidden, &expect(), &v1(None)), ["claim-names"]);
}

#[test]
fn sameness() {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("1"),
        json!([]),
        json!([1]),
        json!([1, 2]),
        json!([2, 1]),
        json!([[1], {"a": []}]),
        json!([[1], {"a": [0]}]),
        json!({}),
        json!({"a": 1}),
        json!({"a": 2}),
        json!({"b": 1}),
        json!({"a": 1, "b": 2}),
    ];
    for (i, a) in values.iter().enumerate() {
        for (j, b) in values.iter().enumerate() {
            token(&json!({"a": a, "b": b, "exp": NOW}), |token| {
                let claims = token.claims();
                let (a, b) = (claims.get("a").unwrap(), claims.get("b").unwrap());
                assert_eq!(same(a, b), i == j, "{i} {j}");
            });
        }
    }
}

fn show(claims: Claims<'_>) -> Vec<String> {
    let texts = [
        claims.issuer(),
        claims.subject(),
        claims.audience(),
        claims.dbgstat(),
        claims.hwmodel(),
        claims.swname(),
        claims.swversion(),
        claims.image_reference(),
        claims.image_digest(),
        claims.image_id(),
        claims.restart_policy(),
        claims.zone(),
        claims.project_id(),
        claims.project_number(),
        claims.instance_name(),
        claims.instance_id(),
    ];
    let lists =
        claims.service_accounts().chain(claims.signature_keys()).chain(claims.support_attributes());
    let mut shown: Vec<String> = texts.into_iter().flatten().chain(lists).map(Into::into).collect();
    shown.push(format!("{:?} {:?}", claims.secboot(), claims.oemid()));
    shown
}

#[test]
fn typed_claims() {
    let subject = claims()["sub"].as_str().unwrap().to_owned();
    let all = [
        ISSUER,
        &subject,
        AUDIENCE,
        "disabled-since-boot",
        "GCP_INTEL_TDX",
        "CONFIDENTIAL_SPACE",
        "20260700",
        "registry.example/app@sha256:9f86",
        DIGEST,
        "sha256:1b4f",
        "Never",
        "us-central1-a",
        "my-project",
        "1234567890",
        "vm-1",
        "3987654321",
        ACCOUNT,
        "aaaa",
        "bbbb",
        "LATEST",
        "STABLE",
        "USABLE",
        "Some(true) Some(11129)",
    ];
    for claims in [claims(), old()] {
        token(&claims, |token| {
            let attested: Attested<Claims<'_>> =
                check(token, &expect(), &v1(None)).verdict().unwrap();
            assert_eq!(show(attested.claims()), all);
            assert_eq!(attested.claims().json().get("iss").unwrap().as_str(), Some(ISSUER));
        });
    }
    token(&json!({"exp": NOW}), |token| {
        assert_eq!(show(Claims::unverified(token)), ["None None"]);
    });
}

/// Any JSON, with names that mean something here.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
        Just(json!(nonce(AUDIENCE))),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "submods",
            "tee",
            "container",
            "gce",
            "emails",
            "eat_nonce",
            "image_digest",
            "env",
            "image_signatures",
            "key_id",
            "swversion",
            "env_override",
            "args",
            "project_id",
            "aud",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,5}",
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::from),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    // Neither panics nor passes, but where the claims are the same in what counts.
    #[test]
    fn no_claims_panic(pointer in prop::sample::select(vec![
        "/submods", "/tee", "/submods/container", "/submods/gce", "/eat_nonce", "/aud", "/swversion",
        "/google_service_accounts", "/tee/container", "/submods/container/env_override",
    ]), value in anything(), bound: bool) {
        let claims = set(claims(), pointer, Some(value));
        let binding = if bound { v1(None) } else { Binding::Unchecked };
        let failed = failed(&claims, &expect(), &binding);
        prop_assert!(bound || failed.contains(&"nonce".to_owned()));
        token(&claims, |token| show(Claims::unverified(token)));
    }

    #[test]
    fn no_object_gets_a_verdict_by_chance(value in anything()) {
        let mut value = if value.is_object() { value } else { json!({ "x": value }) };
        value["exp"] = json!(NOW + 10);
        prop_assert!(!failed(&value, &expect(), &v1(None)).is_empty());
    }
}
