//! Attestation tokens signed by jsonwebtoken, and held against a second reading of the same rules:
//! jsonwebtoken verifies, serde reads the claims into types, and the binder is put together by hand and
//! hashed by aws-lc-rs. The core's own tests go through the rules one by one; here both must agree on
//! any mixture of changes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudauth_core::attest::confidential_space::{self, Expect, Image, Overrides};
use cloudauth_core::attest::{Binding, ClaimRule, Debugging, Rule, Wanted, maa};
use cloudauth_core::ekm::{Exported, Prover};
use cloudauth_core::jws::{self, Key as JwsKey, Outcome, Token};
use cloudauth_core::{Result, Scheme, Signer as _, UnixTime};
use cloudauth_keys::{Key, PublicVerifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

const NOW: u64 = 1_795_348_800;
const GOOGLE: &str = "https://confidentialcomputing.googleapis.com";
const MICROSOFT: &str = "https://mine.eus.attest.azure.net";
const AUDIENCE: &str = "https://broker.example";
const REQUEST: &[u8] = br#"{"grant":"reader"}"#;

struct Issuer {
    theirs: EncodingKey,
    their_public: DecodingKey,
    ours: PublicVerifier,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let key = Key::from_pkcs8(pair.serialized_der()).unwrap();
    Issuer {
        theirs: EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(),
        their_public: DecodingKey::from_rsa_pem(pair.public_key_pem().as_bytes()).unwrap(),
        ours: PublicVerifier::from_spki(key.public_key()).unwrap(),
    }
});

fn signed(claims: &Value) -> String {
    let header = jsonwebtoken::Header {
        kid: Some("k".to_owned()),
        ..jsonwebtoken::Header::new(Algorithm::RS256)
    };
    jsonwebtoken::encode(&header, claims, &ISSUER.theirs).unwrap()
}

static EXPORTED: LazyLock<Exported> =
    LazyLock::new(|| Exported::new(Prover::Client, [0x5a; 32]).unwrap());

fn binding(audience: Option<&str>) -> Binding<'_> {
    Binding::V1 {
        exported: &EXPORTED,
        challenge: &[0xc3; 32],
        server_spki: b"server key",
        client_spki: Some(b"client key"),
        request: REQUEST,
        audience,
    }
}

/// The nonce of [`binding`], by the table of the protocol.
fn nonce(audience: &str) -> String {
    let hash = |octets: &[u8]| digest(&SHA256, octets).as_ref().to_vec();
    let request = [b"POST /v1/credentials\n", REQUEST].concat();
    let message = [
        b"libcloudauth binder v1\0\x01".to_vec(),
        vec![0x5a; 32],
        vec![0xc3; 32],
        hash(b"server key"),
        vec![1],
        hash(b"client key"),
        hash(audience.as_bytes()),
        hash(&request),
    ]
    .concat();
    URL_SAFE_NO_PAD.encode(hash(&message))
}

/// What comes of the checks of every token, for `then`.
fn verified<T>(token: &str, issuer: &str, then: impl FnOnce(&jws::Report<'_>) -> T) -> T {
    let mut buf = vec![0; token.len()];
    let keys = [JwsKey { kid: Some("k"), scheme: None, verifier: &ISSUER.ours }];
    let expect = jws::Expect {
        issuer: Some(issuer),
        ..jws::Expect::new(&[Scheme::RsaPkcs1Sha256], UnixTime::new(NOW).unwrap())
    };
    then(&Token::parse(token, &mut buf).unwrap().verify(&expect, &keys))
}

// Google

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn google() -> Value {
    json!({
        "iss": GOOGLE, "aud": AUDIENCE, "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "sub": "instance",
        "eat_nonce": nonce(AUDIENCE), "secboot": true, "oemid": 11129, "hwmodel": "GCP_AMD_SEV",
        "swname": "CONFIDENTIAL_SPACE", "swversion": ["20260700"], "dbgstat": "disabled-since-boot",
        "submods": {
            "confidential_space": {"support_attributes": ["STABLE", "USABLE"]},
            "container": {
                "image_digest": DIGEST, "image_signatures": [{"key_id": "key"}],
                "env": {"HOSTNAME": "vm"}, "args": ["/app"], "restart_policy": "Never",
            },
            "gce": {"zone": "z", "project_id": "project", "project_number": "12"},
        },
        "google_service_accounts": ["robot@project.iam.gserviceaccount.com"],
    })
}

/// The same rules as [`Read::accepted`]'s.
fn accepted(token: &str) -> Result<String> {
    let rules = [ClaimRule { pointer: "/oemid", wanted: Wanted::Number(11129) }];
    let expect = Expect {
        issuer: Rule::OneOf(&[GOOGLE]),
        audience: Rule::OneOf(&[AUDIENCE]),
        image: Image::Digests(&[DIGEST]),
        debug: Debugging::Refused,
        swname: Rule::OneOf(&["CONFIDENTIAL_SPACE"]),
        hwmodel: Rule::OneOf(&["GCP_AMD_SEV", "GCP_INTEL_TDX"]),
        project: Rule::OneOf(&["project", "13"]),
        service_account: Rule::OneOf(&["robot@project.iam.gserviceaccount.com"]),
        env: Overrides::None,
        env_override: Overrides::None,
        cmd_override: Overrides::None,
        args: Overrides::Exactly(&["/app"]),
        min_swversion: Some(20_260_500),
        secure_boot: true,
        support_attributes: &["STABLE"],
        zone: Rule::Waived,
        claims: &rules,
    };
    verified(token, GOOGLE, |token| {
        let report = confidential_space::check(token, &expect, &binding(None));
        let failed = report.outcomes().find(|(_, o)| matches!(o, Outcome::Failed(_)));
        let verdict = report.verdict();
        assert_eq!(failed.is_some(), verdict.is_err(), "{report:?}");
        Ok(verdict?.claims().image_digest().unwrap().to_owned())
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn only(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => match many.as_slice() {
                [one] => Some(one),
                _ => None,
            },
        }
    }
}

/// The claims by serde, each of the one type that it can have.
#[derive(Deserialize)]
struct Read {
    aud: OneOrMany,
    exp: u64,
    eat_nonce: Option<OneOrMany>,
    secboot: bool,
    oemid: i64,
    hwmodel: String,
    swname: String,
    swversion: Vec<String>,
    dbgstat: String,
    submods: Submods,
    google_service_accounts: Vec<String>,
}

#[derive(Deserialize)]
struct Submods {
    confidential_space: Space,
    container: Container,
    gce: Gce,
}

#[derive(Deserialize)]
struct Space {
    support_attributes: Vec<String>,
}

#[derive(Deserialize)]
struct Container {
    image_digest: String,
    env_override: Option<BTreeMap<String, Value>>,
    cmd_override: Option<Vec<Value>>,
    args: Vec<String>,
}

#[derive(Deserialize)]
struct Gce {
    project_id: Option<String>,
    project_number: Option<String>,
}

impl Read {
    fn accepted(token: &str) -> bool {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[GOOGLE]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        // The clock of the tests stands still.
        validation.validate_exp = false;
        let Ok(read) = jsonwebtoken::decode::<Self>(token, &ISSUER.their_public, &validation)
        else {
            return false;
        };
        let Self { submods: Submods { confidential_space, container, gce }, .. } = &read.claims;
        let read = &read.claims;
        read.aud.only() == Some(AUDIENCE)
            && read.exp > NOW - 60
            && read.eat_nonce.as_ref().is_some_and(|n| n.only() == Some(&nonce(AUDIENCE)))
            && read.secboot
            && read.oemid == 11129
            && matches!(read.hwmodel.as_str(), "GCP_AMD_SEV" | "GCP_INTEL_TDX")
            && read.swname == "CONFIDENTIAL_SPACE"
            && !read.swversion.is_empty()
            && read.swversion.iter().all(|v| v.len() == 8 && v.as_str() >= "20260500")
            && read.dbgstat == "disabled-since-boot"
            && confidential_space.support_attributes.contains(&"STABLE".to_owned())
            && container.image_digest == DIGEST
            && container.env_override.as_ref().is_none_or(BTreeMap::is_empty)
            && container.cmd_override.as_ref().is_none_or(Vec::is_empty)
            && container.args == ["/app"]
            && (gce.project_id.as_deref() == Some("project")
                || gce.project_number.as_deref() == Some("13"))
            && read.google_service_accounts.iter().any(|a| a.starts_with("robot@project."))
    }
}

/// Changes, some of which a token survives: where, and to what. Null removes.
fn changes() -> Vec<(&'static str, Value)> {
    let right = nonce(AUDIENCE);
    let pointers: [(&str, Vec<Value>); 17] = [
        ("/aud", vec![json!([AUDIENCE]), json!([AUDIENCE, "b"]), json!("b"), json!([])]),
        ("/iss", vec![json!("https://b.example"), json!(format!("{GOOGLE}/"))]),
        ("/exp", vec![json!(NOW - 59), json!(NOW - 60), json!("soon")]),
        (
            "/eat_nonce",
            vec![
                json!([right]),
                json!([right, right]),
                json!([]),
                json!(nonce("b")),
                json!(vec![right.clone(); 7]),
                json!(1),
            ],
        ),
        ("/secboot", vec![json!(false), json!("true")]),
        ("/oemid", vec![json!(11130), json!("11129")]),
        ("/hwmodel", vec![json!("GCP_INTEL_TDX"), json!("GCP_SHIELDED_VM")]),
        ("/swname", vec![json!("GCE")]),
        (
            "/swversion",
            vec![json!(["20260500"]), json!(["20260499"]), json!([]), json!("20260700")],
        ),
        ("/dbgstat", vec![json!("enabled")]),
        (
            "/google_service_accounts",
            vec![json!(["a", "robot@project.iam.gserviceaccount.com"]), json!([])],
        ),
        (
            "/submods/confidential_space/support_attributes",
            vec![json!(["LATEST", "STABLE"]), json!(["USABLE"]), json!([])],
        ),
        ("/submods/container/image_digest", vec![json!("sha256:00"), json!([DIGEST])]),
        ("/submods/container/env_override", vec![json!({}), json!({"A": ""}), json!([])]),
        ("/submods/container/cmd_override", vec![json!([]), json!(["--debug"]), json!({})]),
        ("/submods/container/args", vec![json!(["/app", "-v"]), json!([]), json!("/app")]),
        ("/submods/gce/project_id", vec![json!("projects"), json!("13")]),
    ];
    let number = ("/submods/gce/project_number", vec![json!("13"), json!("1")]);
    let mut all = vec![];
    for (pointer, values) in pointers.into_iter().chain([number]) {
        all.push((pointer, Value::Null));
        all.extend(values.into_iter().map(|value| (pointer, value)));
    }
    all
}

fn apply(claims: &mut Value, pointer: &str, to: &Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match to {
        Value::Null => parent.remove(name),
        to => parent.insert(name.to_owned(), to.clone()),
    };
}

#[test]
fn each_change_alone_by_two_readers() {
    let token = signed(&google());
    assert!(Read::accepted(&token));
    assert_eq!(accepted(&token).unwrap(), DIGEST);
    let mut passed = 0;
    for (pointer, to) in changes() {
        let mut claims = google();
        apply(&mut claims, pointer, &to);
        let token = signed(&claims);
        assert_eq!(accepted(&token).is_ok(), Read::accepted(&token), "{pointer} {to}");
        passed += usize::from(accepted(&token).is_ok());
    }
    // Those that a token survives, by hand.
    assert_eq!(passed, 14);
}

#[test]
fn another_signature_or_connection() {
    let token = signed(&google());
    let (parts, signature) = token.rsplit_once('.').unwrap();
    let other = signed(&json!({"exp": NOW + 10}));
    let swapped = format!("{parts}.{}", other.rsplit_once('.').unwrap().1);
    assert!(accepted(&swapped).is_err() && !Read::accepted(&swapped));
    assert!(accepted(&format!("{parts}.{signature}")).is_ok());
    verified(&token, GOOGLE, |token| {
        let verified = token.verdict().unwrap();
        assert!(confidential_space::binding(&verified, &binding(None)).is_ok());
        let other = Exported::new(Prover::Client, [0x5b; 32]).unwrap();
        let Binding::V1 { challenge, server_spki, client_spki, request, audience, .. } =
            binding(None)
        else {
            panic!()
        };
        let exported = &other;
        let other =
            Binding::V1 { exported, challenge, server_spki, client_spki, request, audience };
        assert!(confidential_space::binding(&verified, &other).is_err());
    });
}

// Microsoft: the service's own examples of claims, with a nonce.

#[test]
fn azure_attestation() {
    let launch = "04a170f39a3f702472ed0c7ecbda9babfc530e3caac475fdd607ff499177d14c";
    let claims = json!({
        "iss": MICROSOFT, "iat": NOW, "nbf": NOW, "exp": NOW + 28_800,
        "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm",
        "x-ms-policy-hash": "LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs",
        "x-ms-runtime": {"keys": [], "nonce": nonce(AUDIENCE)},
        "x-ms-sevsnpvm-hostdata": "00", "x-ms-sevsnpvm-is-debuggable": false,
        "x-ms-sevsnpvm-launchmeasurement": launch, "x-ms-sevsnpvm-guestsvn": 2, "x-ms-ver": "1.0",
    });
    let rules = [ClaimRule { pointer: "/x-ms-sevsnpvm-guestsvn", wanted: Wanted::AtLeast(2) }];
    let expect = maa::Expect {
        issuer: Rule::OneOf(&[MICROSOFT]),
        kind: maa::Kind::SevSnpVm,
        policy_hash: Rule::OneOf(&["LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs"]),
        debug: Debugging::Refused,
        measurement: maa::Measurement::Launch {
            measurement: Rule::OneOf(&[launch]),
            host_data: Rule::OneOf(&["00"]),
        },
        compliance: Rule::OneOf(&["azure-compliant-uvm"]),
        claims: &rules,
    };
    let accepted = |claims: &Value| {
        verified(&signed(claims), MICROSOFT, |token| {
            let report = maa::check(token, &expect, &binding(Some(AUDIENCE)));
            report.verdict().map(|_| ())
        })
    };
    assert_eq!(accepted(&claims), Ok(()));
    for (pointer, wrong) in [
        ("/iss", json!("https://sharedeus.eus.attest.azure.net")),
        ("/exp", json!(NOW - 60)),
        ("/x-ms-attestation-type", json!("azurevm")),
        ("/x-ms-policy-hash", json!("other")),
        ("/x-ms-runtime", json!({"nonce": nonce("other")})),
        ("/x-ms-sevsnpvm-hostdata", json!("01")),
        ("/x-ms-sevsnpvm-is-debuggable", json!(true)),
        ("/x-ms-sevsnpvm-launchmeasurement", json!("00")),
        ("/x-ms-sevsnpvm-guestsvn", json!(1)),
    ] {
        for to in [wrong, Value::Null] {
            let mut claims = claims.clone();
            apply(&mut claims, pointer, &to);
            claims["nonce"] = json!(nonce(AUDIENCE));
            assert!(accepted(&claims).is_err(), "{pointer} {to}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_mixture_of_changes_by_two_readers(
        changes in prop::sample::subsequence(changes(), 0..4),
    ) {
        let mut claims = google();
        for (pointer, to) in &changes {
            apply(&mut claims, pointer, to);
        }
        let token = signed(&claims);
        prop_assert_eq!(accepted(&token).is_ok(), Read::accepted(&token), "{:?}", changes);
    }
}
