//! Every rule with what it refuses, and beside it the nearest thing that is accepted.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::Wanted;
use super::super::testing::{AUDIENCE, EKM, encoded, failures, nonce, set, token, v1};
use super::*;
use crate::ErrorKind;
use crate::jws::testing::NOW;

const ISSUER: &str = "https://mine.eus.attest.azure.net";
const POLICY: &str = "B56nbp5slhw66peoRYkpdq1WykMkEworvdol08hnMXE";
const MEASURED: &str = "04a170f39a3f702472ed0c7ecbda9babfc530e3caac475fdd607ff499177d14c";
const HOST: &str = "4f4448c67f3c8dfc8de8a5e37125d807dadcc41f06cf23f615dbd52eec777d10";
const RTMR: &str = "6f1cbf2ed5d4bbd1b0cdf3aba4a6a2ef2c9c2f1a6bd4c2f0a2a5d7bb1d05d3a9";

fn common(kind: &str, own: &Json) -> Json {
    let mut token = json!({
        "iss": ISSUER, "iat": NOW, "nbf": NOW, "exp": NOW + 28_800, "jti": "5f65",
        "x-ms-attestation-type": kind, "x-ms-policy-hash": POLICY, "x-ms-ver": "1.0",
    });
    let members = own.as_object().unwrap().clone();
    token.as_object_mut().unwrap().extend(members);
    token
}

fn snp_claims() -> Json {
    json!({
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-uvm",
        "x-ms-sevsnpvm-is-debuggable": false,
        "x-ms-sevsnpvm-launchmeasurement": MEASURED,
        "x-ms-sevsnpvm-hostdata": HOST,
        "x-ms-sevsnpvm-guestsvn": 2,
    })
}

fn snp() -> Json {
    set(common("sevsnpvm", &snp_claims()), "/x-ms-runtime/nonce", Some(json!(nonce(AUDIENCE))))
}

fn tdx() -> Json {
    common(
        "tdxvm",
        &json!({
            "attester_tcb_status": "UpToDate", "dbgstat": "disabled",
            "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm",
            "tdx_mrtd": MEASURED, "tdx_mrconfigid": HOST,
            "tdx_rtmr0": "00", "tdx_rtmr1": RTMR, "tdx_rtmr2": MEASURED, "tdx_rtmr3": HOST,
            "tdx_td_attributes_debug": false,
            "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-runtime": {"nonce": nonce(AUDIENCE)},
        }),
    )
}

fn sgx() -> Json {
    common(
        "sgx",
        &json!({
            "x-ms-sgx-is-debuggable": false, "x-ms-sgx-product-id": 4, "x-ms-sgx-svn": 7,
            "x-ms-sgx-mrenclave": MEASURED, "x-ms-sgx-mrsigner": HOST,
            "x-ms-sgx-ehd": encoded(nonce(AUDIENCE).as_bytes()),
        }),
    )
}

/// By the old names alone.
fn old_sgx() -> Json {
    let mut token = sgx();
    let members = token.as_object_mut().unwrap();
    for (name, old) in [
        ("x-ms-attestation-type", "tee"),
        ("x-ms-sgx-is-debuggable", "is-debuggable"),
        ("x-ms-sgx-product-id", "product-id"),
        ("x-ms-sgx-svn", "svn"),
        ("x-ms-sgx-mrenclave", "sgx-mrenclave"),
        ("x-ms-sgx-mrsigner", "sgx-mrsigner"),
        ("x-ms-sgx-ehd", "maa-ehd"),
    ] {
        let value = members.remove(name).unwrap();
        members.insert(old.to_owned(), value);
    }
    token
}

fn azurevm() -> Json {
    common(
        "azurevm",
        &json!({
            "secureboot": true,
            "x-ms-isolation-tee": set(
                snp_claims(), "/x-ms-runtime", Some(json!({"keys": [{"kid": "HCLAkPub"}]})),
            ),
            "x-ms-runtime": {"nonce": nonce(AUDIENCE), "keys": []},
        }),
    )
}

fn expect(kind: Kind) -> Expect<'static> {
    Expect {
        issuer: Rule::OneOf(&[ISSUER]),
        kind,
        policy_hash: Rule::OneOf(&["another", POLICY]),
        debug: Debugging::Refused,
        measurement: match kind {
            Kind::AzureVm | Kind::SevSnpVm => Measurement::Launch {
                measurement: Rule::OneOf(&[MEASURED]),
                host_data: Rule::OneOf(&[HOST]),
            },
            Kind::Sgx => Measurement::Enclave(&[MEASURED]),
            Kind::TdxVm => Measurement::TrustDomain {
                mrtd: Rule::OneOf(&[MEASURED]),
                config_id: Rule::OneOf(&[HOST]),
                rtmrs: [Rule::OneOf(&[RTMR]), Rule::OneOf(&[MEASURED]), Rule::OneOf(&[HOST])],
            },
        },
        compliance: match kind {
            Kind::Sgx => Rule::NotAsked,
            _ => Rule::OneOf(&["azure-compliant-cvm", "azure-compliant-uvm"]),
        },
        claims: &[],
    }
}

/// Everything that can be is waived.
fn waived(kind: Kind) -> Expect<'static> {
    Expect {
        issuer: Rule::Waived,
        kind,
        policy_hash: Rule::Waived,
        debug: Debugging::Waived,
        measurement: Measurement::Waived,
        compliance: Rule::Waived,
        claims: &[],
    }
}

fn failed(claims: &Json, expect: &Expect<'_>, binding: &Binding<'_>) -> Vec<String> {
    token(claims, |token| {
        let failed = failures(&check(token, expect, binding));
        let alone = super::binding(&token.verdict().unwrap(), binding);
        assert_eq!(alone.is_err(), failed.contains(&"nonce".to_owned()));
        failed
    })
}

fn bound(claims: &Json, kind: Kind) -> Vec<String> {
    failed(claims, &expect(kind), &v1(Some(AUDIENCE)))
}

const NONE: [&str; 0] = [];
const KINDS: [(Kind, fn() -> Json); 3] =
    [(Kind::SevSnpVm, snp), (Kind::Sgx, sgx), (Kind::TdxVm, tdx)];

#[test]
fn the_neighbours_of_all_refusals() {
    for (kind, claims) in KINDS {
        assert_eq!(bound(&claims(), kind), NONE, "{kind:?}");
        assert_eq!(failed(&claims(), &waived(kind), &v1(Some(AUDIENCE))), NONE);
        assert_eq!(failed(&claims(), &expect(kind), &Binding::Unchecked), ["nonce"]);
        for (other, _) in KINDS.into_iter().filter(|(other, _)| *other != kind) {
            assert_eq!(failed(&claims(), &waived(other), &v1(Some(AUDIENCE))), ["type"]);
            // Measurements of another kind of hardware are none.
            let wrong = Expect { kind, compliance: Rule::Waived, ..expect(other) };
            let failed = failed(&claims(), &wrong, &v1(Some(AUDIENCE)));
            assert_eq!(failed[0], "measurement", "{kind:?} {other:?}");
        }
    }
    assert_eq!(bound(&old_sgx(), Kind::Sgx), NONE);
}

#[test]
fn the_report_has_every_check_in_order() {
    token(&tdx(), |token| {
        let rules = [ClaimRule { pointer: "/tdx_rtmr0", wanted: Wanted::OneOf(&["00"]) }];
        let expect = Expect { claims: &rules, ..waived(Kind::TdxVm) };
        let report = check(token, &expect, &Binding::Unchecked);
        let own: Vec<_> = report.outcomes().skip(jws::Check::ALL.len()).collect();
        let waived = |name| (name, Outcome::Waived);
        let not_asked = |name| (name, Outcome::NotAsked);
        assert_eq!(
            own,
            [
                waived("issuer"),
                ("type", Outcome::Passed),
                waived("policy-hash"),
                waived("debug"),
                waived("measurement"),
                not_asked("product-id"),
                not_asked("svn"),
                not_asked("host-data"),
                not_asked("rtmr1"),
                not_asked("rtmr2"),
                not_asked("rtmr3"),
                waived("compliance"),
                ("nonce", Outcome::NotReached),
                ("/tdx_rtmr0", Outcome::Passed),
            ]
        );
        assert!(report.verdict_unbound().is_ok());
        let shown = format!("{report:?} {:?}", report.unverified_claims());
        assert!(shown.contains("measurement") && !shown.contains(MEASURED), "{shown}");
    });
}

#[test]
fn each_claim_wrong_in_turn() {
    let snp_debug = "/x-ms-sevsnpvm-is-debuggable";
    for (kind, pointer, wrong, name) in [
        (Kind::SevSnpVm, "/iss", json!("https://sharedeus.eus.attest.azure.net"), "issuer"),
        (Kind::SevSnpVm, "/x-ms-policy-hash", json!("x"), "policy-hash"),
        (Kind::SevSnpVm, "/x-ms-policy-hash", json!(POLICY.to_lowercase()), "policy-hash"),
        (Kind::SevSnpVm, "/x-ms-compliance-status", json!("none"), "compliance"),
        (Kind::SevSnpVm, snp_debug, json!(true), "debug"),
        (Kind::SevSnpVm, snp_debug, json!("false"), "debug"),
        (Kind::SevSnpVm, snp_debug, json!(0), "debug"),
        (Kind::SevSnpVm, "/x-ms-sevsnpvm-launchmeasurement", json!(HOST), "measurement"),
        (Kind::SevSnpVm, "/x-ms-sevsnpvm-hostdata", json!(MEASURED), "host-data"),
        (Kind::Sgx, "/x-ms-sgx-is-debuggable", json!(true), "debug"),
        (Kind::Sgx, "/x-ms-sgx-mrenclave", json!(HOST), "measurement"),
        (Kind::TdxVm, "/tdx_mrtd", json!(HOST), "measurement"),
        (Kind::TdxVm, "/tdx_mrconfigid", json!(MEASURED), "host-data"),
        (Kind::TdxVm, "/tdx_rtmr1", json!(HOST), "rtmr1"),
        (Kind::TdxVm, "/tdx_rtmr2", json!(RTMR), "rtmr2"),
        (Kind::TdxVm, "/tdx_rtmr3", json!("0".repeat(96)), "rtmr3"),
        (Kind::TdxVm, "/tdx_td_attributes_debug", json!(true), "debug"),
        (Kind::TdxVm, "/x-ms-compliance-status", json!("azure-compliant"), "compliance"),
    ] {
        let claims = KINDS.into_iter().find(|(k, _)| *k == kind).unwrap().1;
        let changed = set(claims(), pointer, Some(wrong.clone()));
        assert_eq!(bound(&changed, kind), [name], "{pointer} {wrong}");
        assert_eq!(bound(&set(claims(), pointer, None), kind), [name], "{pointer}");
        assert_eq!(bound(&set(claims(), pointer, Some(Json::Null)), kind), [name], "{pointer}");
        assert_eq!(failed(&changed, &waived(kind), &v1(Some(AUDIENCE))), NONE, "{pointer}");
    }
    // Each rule of a trust domain is waived for itself.
    let waived = |rtmrs| Expect {
        measurement: Measurement::TrustDomain {
            mrtd: Rule::OneOf(&[MEASURED]),
            config_id: Rule::Waived,
            rtmrs,
        },
        ..expect(Kind::TdxVm)
    };
    let (own, any) = (Rule::OneOf(&[RTMR]), Rule::Waived);
    let other = set(tdx(), "/tdx_rtmr1", Some(json!(HOST)));
    for (rtmrs, failures) in
        [([own, any, any], &["rtmr1"][..]), ([any, any, any], &[]), ([any, own, any], &["rtmr2"])]
    {
        assert_eq!(failed(&other, &waived(rtmrs), &v1(Some(AUDIENCE))), failures);
    }
    // Either claim of a trust domain says that it can be debugged.
    for (status, names) in [
        (json!("disabled-since-boot"), &[][..]),
        (json!("disabled-permanently"), &[]),
        (Json::Null, &[]),
        (json!("enabled"), &["debug"]),
        (json!("Disabled"), &["debug"]),
        (json!(false), &["debug"]),
    ] {
        assert_eq!(bound(&set(tdx(), "/dbgstat", Some(status)), Kind::TdxVm), names);
    }
}

#[test]
fn kinds_of_evidence() {
    for bad in [json!("tpm"), json!("SGX"), json!("sevsnpvm "), json!(1), Json::Null] {
        let claims = set(snp(), "/x-ms-attestation-type", Some(bad.clone()));
        let failed = bound(&claims, Kind::SevSnpVm);
        assert_eq!(failed, ["type", "debug", "measurement", "host-data", "compliance", "nonce"]);
    }
    for kind in Kind::ALL {
        token(&json!({"exp": NOW, "x-ms-attestation-type": kind.as_str()}), |token| {
            assert_eq!(Claims::unverified(token).kind(), Some(kind));
        });
    }
}

#[test]
fn enclaves_by_signer() {
    let rule = |signer, product_id, min_svn| Expect {
        measurement: Measurement::Signer { mrsigner: signer, product_id, min_svn },
        ..expect(Kind::Sgx)
    };
    let of = |claims: &Json, expect: &Expect<'_>| failed(claims, expect, &v1(Some(AUDIENCE)));
    let right = rule(&[HOST], 4, 7);
    for claims in [sgx(), old_sgx()] {
        assert_eq!(of(&claims, &right), NONE);
        assert_eq!(of(&claims, &rule(&[HOST], 4, 0)), NONE);
        assert_eq!(of(&claims, &rule(&[MEASURED], 4, 7)), ["measurement"]);
        assert_eq!(of(&claims, &rule(&[HOST], 5, 7)), ["product-id"]);
        assert_eq!(of(&claims, &rule(&[HOST], 4, 8)), ["svn"]);
    }
    for (pointer, name) in [
        ("/x-ms-sgx-mrsigner", "measurement"),
        ("/x-ms-sgx-product-id", "product-id"),
        ("/x-ms-sgx-svn", "svn"),
    ] {
        assert_eq!(of(&set(sgx(), pointer, None), &right), [name]);
        assert_eq!(of(&set(sgx(), pointer, Some(json!("7"))), &right), [name]);
        assert_eq!(of(&set(sgx(), pointer, Some(json!(-7))), &right), [name]);
    }
}

#[test]
fn old_names() {
    // The present name wins, whatever the old one says.
    for (old, wrong) in [
        ("/sgx-mrenclave", json!(MEASURED)),
        ("/is-debuggable", json!(false)),
        ("/maa-ehd", json!(encoded(nonce(AUDIENCE).as_bytes()))),
        ("/tee", json!("sgx")),
    ] {
        let mut claims = set(sgx(), old, Some(wrong));
        assert_eq!(bound(&claims, Kind::Sgx), NONE, "{old}");
        claims["x-ms-sgx-mrenclave"] = json!(HOST);
        claims["x-ms-sgx-is-debuggable"] = json!(true);
        claims["x-ms-sgx-ehd"] = json!(encoded(nonce("x").as_bytes()));
        assert_eq!(bound(&claims, Kind::Sgx), ["debug", "measurement", "nonce"], "{old}");
        claims["x-ms-attestation-type"] = json!("vbs");
        assert_eq!(bound(&claims, Kind::Sgx), ["type", "debug", "measurement", "nonce"], "{old}");
    }
    let debug = set(old_sgx(), "/is-debuggable", Some(json!(true)));
    assert_eq!(bound(&debug, Kind::Sgx), ["debug"]);
    // They are SGX's.
    let mut snp = set(snp(), "/x-ms-sevsnpvm-is-debuggable", None);
    snp["is-debuggable"] = json!(false);
    assert_eq!(bound(&snp, Kind::SevSnpVm), ["debug"]);
}

#[test]
fn an_old_report_with_a_fresh_nonce() {
    for (kind, claims) in KINDS {
        let stale = match kind {
            Kind::Sgx => {
                let data = encoded(nonce("https://old.example").as_bytes());
                set(claims(), "/x-ms-sgx-ehd", Some(json!(data)))
            }
            _ => set(claims(), "/x-ms-runtime/nonce", Some(json!(nonce("https://old.example")))),
        };
        for name in ["/nonce", "/x-ms-inittime/nonce", "/eat_nonce", "/rp_data", "/x-ms-nonce"] {
            let claims = set(stale.clone(), name, Some(json!(nonce(AUDIENCE))));
            assert_eq!(bound(&claims, kind), ["nonce"], "{kind:?} {name}");
        }
        // The other way round, nobody looks at it.
        let claims = set(claims(), "/nonce", Some(json!("of last year")));
        assert_eq!(bound(&claims, kind), NONE);
    }
}

#[test]
fn where_the_nonce_is() {
    let good = nonce(AUDIENCE);
    for (kind, claims) in [(Kind::SevSnpVm, snp()), (Kind::TdxVm, tdx())] {
        for bad in [
            Json::Null,
            json!(""),
            json!(good.strip_prefix(|_| true)),
            json!(format!("{good}=")),
            json!(good.to_uppercase()),
            json!([good]),
            json!({"nonce": good}),
            json!(encoded(good.as_bytes())),
        ] {
            let claims = set(claims.clone(), "/x-ms-runtime/nonce", Some(bad.clone()));
            assert_eq!(bound(&claims, kind), ["nonce"], "{bad}");
        }
        let text = set(claims.clone(), "/x-ms-runtime", Some(json!(good)));
        assert_eq!(bound(&text, kind), ["nonce"]);
        // Data that an enclave holds is SGX's.
        let held = set(claims, "/x-ms-runtime", None);
        let held = set(held, "/x-ms-sgx-ehd", Some(json!(encoded(good.as_bytes()))));
        assert_eq!(bound(&held, kind), ["nonce"]);
    }
    for bad in [
        Json::Null,
        json!(""),
        json!(good),
        json!(encoded(&good.as_bytes()[1..])),
        json!(encoded(format!("{good}\n").as_bytes())),
        json!(encoded(good.repeat(40).as_bytes())),
        json!(format!("{}==", encoded(good.as_bytes()))),
        json!(encoded(&[0xff; 43])),
        json!(encoded(json!({"nonce": good}).to_string().as_bytes())),
        json!([encoded(good.as_bytes())]),
    ] {
        assert_eq!(bound(&set(sgx(), "/x-ms-sgx-ehd", Some(bad.clone())), Kind::Sgx), ["nonce"]);
    }
    // An enclave's data as JSON comes as x-ms-runtime, and then that is what counts.
    let runtime = |nonce: &str| set(sgx(), "/x-ms-runtime/nonce", Some(json!(nonce)));
    assert_eq!(bound(&set(runtime(&good), "/x-ms-sgx-ehd", None), Kind::Sgx), NONE);
    assert_eq!(bound(&runtime(&good), Kind::Sgx), NONE);
    assert_eq!(bound(&runtime(&nonce("x")), Kind::Sgx), ["nonce"]);
}

#[test]
fn audiences_come_from_the_verifier() {
    let of = |claims: &Json, audience| failed(claims, &expect(Kind::SevSnpVm), &v1(audience));
    assert_eq!(of(&snp(), Some(AUDIENCE)), NONE);
    assert_eq!(of(&snp(), Some("https://other.example")), ["nonce"]);
    assert_eq!(of(&snp(), None), ["nonce"]);
    // Should the service name one some day, it counts.
    let named = |aud: &str| set(snp(), "/aud", Some(json!(aud)));
    assert_eq!(of(&named(AUDIENCE), None), NONE);
    assert_eq!(of(&named(AUDIENCE), Some(AUDIENCE)), NONE);
    assert_eq!(of(&named("https://other.example"), Some(AUDIENCE)), ["nonce"]);
    // The older schemes are not for these tokens.
    let codelab = "cs1uhCLEB/ttCYaQ8RMLfe1+wvf14dML2dUh8BU2N5M";
    let claims = set(snp(), "/x-ms-runtime/nonce", Some(json!(codelab)));
    for binding in [
        Binding::GoogleCodelab { exported: &EKM },
        Binding::Seed { exported: &EKM, token_jwt: "a" },
    ] {
        assert_eq!(failed(&claims, &expect(Kind::SevSnpVm), &binding), ["nonce"]);
        token(&claims, |token| {
            let error = super::binding(&token.verdict().unwrap(), &binding).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        });
    }
}

#[test]
fn azurevm_gets_a_report_and_no_verdict() {
    // Everything else holds, by the claims of the inner level.
    assert_eq!(bound(&azurevm(), Kind::AzureVm), ["nonce"]);
    assert_eq!(failed(&azurevm(), &waived(Kind::AzureVm), &v1(Some(AUDIENCE))), ["nonce"]);
    token(&azurevm(), |token| {
        for binding in [v1(Some(AUDIENCE)), Binding::Unchecked] {
            let report = check(token, &expect(Kind::AzureVm), &binding);
            let error = report.verdict().unwrap_err();
            assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, TYPE));
            assert_eq!(report.verdict_unbound().unwrap_err(), error);
        }
    });
    // The inner claims are not those of the outer level.
    let inner = "/x-ms-isolation-tee";
    let hollow = set(azurevm(), inner, None);
    let with = set(hollow.clone(), "/x-ms-sevsnpvm-is-debuggable", Some(json!(false)));
    let with = set(with, "/x-ms-sevsnpvm-launchmeasurement", Some(json!(MEASURED)));
    let with = set(with, "/x-ms-compliance-status", Some(json!("azure-compliant-uvm")));
    for claims in [hollow, with] {
        let failed = bound(&claims, Kind::AzureVm);
        assert_eq!(failed, ["debug", "measurement", "host-data", "compliance", "nonce"]);
    }
    let debug =
        set(azurevm(), "/x-ms-isolation-tee/x-ms-sevsnpvm-is-debuggable", Some(json!(true)));
    assert_eq!(bound(&debug, Kind::AzureVm), ["debug", "nonce"]);
    let nested =
        set(azurevm(), "/x-ms-isolation-tee/x-ms-attestation-type", Some(json!("azurevm")));
    assert_eq!(bound(&nested, Kind::AzureVm), ["debug", "measurement", "host-data", "nonce"]);
    // An outer token does not pass for what is inside.
    assert_eq!(bound(&azurevm(), Kind::SevSnpVm), ["type", "nonce"]);
    token(&azurevm(), |token| {
        let claims = Claims::unverified(token);
        assert_eq!(
            (claims.kind(), claims.hardware_kind()),
            (Some(Kind::AzureVm), Some(Kind::SevSnpVm))
        );
        assert_eq!(claims.launch_measurement(), Some(MEASURED));
    });
}

#[test]
fn typed_claims() {
    let show = |claims: Json| {
        token(&claims, |token| {
            let c = Claims::unverified(token);
            let texts = [
                c.issuer(),
                c.id(),
                c.policy_hash(),
                c.compliance_status(),
                c.mrenclave(),
                c.mrsigner(),
                c.launch_measurement(),
                c.host_data(),
                c.mrtd(),
                c.config_id(),
                c.rtmrs()[0],
                c.rtmrs()[2],
            ];
            (texts.map(|t| t.unwrap_or_default().to_owned()), c.product_id(), c.svn())
        })
    };
    let (m, h, cvm) = (MEASURED, HOST, "azure-compliant-cvm");
    let texts = |own: [&str; 9]| {
        [&[ISSUER, "5f65", POLICY][..], &own]
            .concat()
            .iter()
            .map(|t| (*t).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(show(snp()).0, *texts(["azure-compliant-uvm", "", "", m, h, "", "", "", ""]));
    assert_eq!(show(tdx()).0, *texts([cvm, "", "", "", "", m, h, RTMR, HOST]));
    for claims in [sgx(), old_sgx()] {
        let (shown, product_id, svn) = show(claims);
        assert_eq!(shown, *texts(["", m, h, "", "", "", "", "", ""]));
        assert_eq!((product_id, svn), (Some(4), Some(7)));
    }
    assert_eq!(show(json!({"exp": NOW})).0, [const { String::new() }; 12]);
    token(&snp(), |token| {
        let report = check(token, &expect(Kind::SevSnpVm), &v1(Some(AUDIENCE)));
        let claims = report.verdict().unwrap().claims();
        assert_eq!(claims.json().get("iss").unwrap().as_str(), Some(ISSUER));
    });
}

/// Any JSON, with names that mean something here.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
        prop::sample::select(vec!["sgx", "azurevm", "sevsnpvm", "tdxvm"]).prop_map(Json::from),
        Just(json!(nonce(AUDIENCE))),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            TYPE,
            ISOLATION,
            HELD_DATA,
            SNP_DEBUG,
            LAUNCH,
            "x-ms-runtime",
            "nonce",
            "tee",
            "dbgstat",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,5}",
    ];
    leaf.prop_recursive(4, 30, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_claims_panic(
        (kind, claims) in prop::sample::select(KINDS.to_vec()),
        pointer in prop::sample::select(vec![
            "/x-ms-runtime", "/x-ms-runtime/nonce", "/x-ms-isolation-tee", "/x-ms-sgx-ehd", "/aud",
            "/x-ms-attestation-type",
        ]),
        value in anything(),
    ) {
        let claims = set(claims(), pointer, Some(value));
        let failed = bound(&claims, kind);
        // What changes the kind of token never leaves one that is accepted as the old kind.
        if claims["x-ms-attestation-type"] != kind.as_str() {
            prop_assert!(failed.contains(&"type".to_owned()));
        }
    }

    #[test]
    fn no_object_gets_a_verdict_by_chance(value in anything()) {
        let mut value = if value.is_object() { value } else { json!({ "x": value }) };
        value["exp"] = json!(NOW + 10);
        for (kind, _) in KINDS {
            prop_assert!(!bound(&value, kind).is_empty());
        }
    }
}
