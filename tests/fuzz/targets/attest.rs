//! Attestation tokens. With a verifier that says yes to every signature, whatever gets a verdict must
//! also hold by serde_json's reading of the same claims.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudauth_core::attest::confidential_space::{self, Image, Overrides};
use cloudauth_core::attest::{Binding, ClaimRule, Debugging, Rule, Wanted, maa};
use cloudauth_core::ekm::{Exported, Prover};
use cloudauth_core::jws::{self, Key, Outcome, Token};
use cloudauth_core::verifier::Verifier;
use cloudauth_core::{Result, Scheme, UnixTime};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_795_348_800;
/// Of the inputs below, for the audience `a`.
const NONCE: &str = "qa6yyDmevgn5y3ls7PgNqKe0o8U6Elb-Y5KLLZ4qD28";

struct Yes;

impl Verifier for Yes {
    fn supports(&self, _: Scheme) -> bool {
        true
    }

    fn verify(&self, _: Scheme, _: &[u8], _: &[u8]) -> Result<()> {
        Ok(())
    }
}

const RULES: &[ClaimRule<'_>] = &[ClaimRule { pointer: "/n/0", wanted: Wanted::AtLeast(2) }];

const GOOGLE: confidential_space::Expect<'_> = confidential_space::Expect {
    issuer: Rule::OneOf(&["i"]),
    audience: Rule::OneOf(&["a"]),
    image: Image::Digests(&["d"]),
    debug: Debugging::Refused,
    swname: Rule::OneOf(&["s"]),
    hwmodel: Rule::Waived,
    project: Rule::OneOf(&["p", "1"]),
    service_account: Rule::OneOf(&["r"]),
    env: Overrides::None,
    env_override: Overrides::None,
    cmd_override: Overrides::None,
    args: Overrides::Exactly(&["x"]),
    min_swversion: Some(20_260_000),
    secure_boot: true,
    support_attributes: &["STABLE"],
    zone: Rule::NotAsked,
    claims: RULES,
};

const MICROSOFT: maa::Expect<'_> = maa::Expect {
    issuer: Rule::OneOf(&["i"]),
    kind: maa::Kind::Sgx,
    policy_hash: Rule::OneOf(&["h"]),
    debug: Debugging::Refused,
    measurement: maa::Measurement::Signer { mrsigner: &["m"], product_id: 1, min_svn: 2 },
    compliance: Rule::NotAsked,
    claims: RULES,
};

/// The claim under one name or, where that says nothing, under the other.
fn claim<'v>(claims: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names.iter().filter_map(|name| claims.pointer(name)).find(|value| !value.is_null())
}

fn google(claims: &Value) {
    let moved = |name: &str| {
        let names = [format!("/submods/{name}"), format!("/tee/{name}")];
        claim(claims, &names.each_ref().map(String::as_str)).cloned().unwrap_or_default()
    };
    let alone = |value: &Value, text: &str| {
        value == text || value.as_array().is_some_and(|all| all.len() == 1 && all[0] == text)
    };
    assert_eq!(claims["iss"], "i");
    assert!(alone(&claims["aud"], "a") && alone(&claims["eat_nonce"], NONCE));
    assert_eq!(moved("container/image_digest"), "d");
    assert_eq!(claims["dbgstat"], "disabled-since-boot");
    assert_eq!(claims["swname"], "s");
    assert!(
        moved("gce/project_id") == "p"
            || matches!(&moved("gce/project_number"), n if *n == "1" || *n == 1)
    );
    let accounts = claim(claims, &["/google_service_accounts", "/tee/emails"]).expect("accounts");
    assert!(accounts.as_array().expect("an array").iter().any(|account| account == "r"));
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(array) => array.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    assert!(empty(&moved("container/env_override")) && empty(&moved("container/cmd_override")));
    assert_eq!(moved("container/args"), serde_json::json!(["x"]));
    for version in claims["swversion"].as_array().expect("an array") {
        // YYMM## is 20YYMM##.
        let version = version.as_str().expect("a string");
        let century = if version.len() == 6 { "20" } else { "" };
        let version = format!("{century}{version}").parse::<u32>().expect("digits");
        assert!(version >= 20_260_000);
    }
    assert_eq!(claims["secboot"], true);
    let attributes = &claims["submods"]["confidential_space"]["support_attributes"];
    assert!(attributes.as_array().expect("an array").iter().any(|attribute| attribute == "STABLE"));
    others(claims);
}

fn microsoft(claims: &Value) {
    let number = |names: &[&str]| claim(claims, names).and_then(Value::as_u64).expect("a number");
    let is = |names: &[&str], value: &Value| assert_eq!(claim(claims, names), Some(value));
    is(&["/iss"], &"i".into());
    is(&["/x-ms-attestation-type", "/tee"], &"sgx".into());
    is(&["/x-ms-policy-hash"], &"h".into());
    is(&["/x-ms-sgx-is-debuggable", "/is-debuggable"], &false.into());
    is(&["/x-ms-sgx-mrsigner", "/sgx-mrsigner"], &"m".into());
    assert_eq!(number(&["/x-ms-sgx-product-id", "/product-id"]), 1);
    assert!(number(&["/x-ms-sgx-svn", "/svn"]) >= 2);
    match claim(claims, &["/x-ms-runtime/nonce"]) {
        Some(nonce) => assert_eq!(nonce, NONCE),
        None => {
            is(&["/x-ms-sgx-ehd", "/maa-ehd", "/aas-ehd"], &URL_SAFE_NO_PAD.encode(NONCE).into())
        }
    }
    others(claims);
}

fn others(claims: &Value) {
    assert!(claims["n"][0].as_u64().expect("a number") >= 2);
}

// The input is the claims as they are.
fuzz_target!(|claims: &str| {
    let parts = [r#"{"alg":"ES256"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let token = format!("{}.{}", parts.join("."), URL_SAFE_NO_PAD.encode([7; 64]));
    let mut buf = vec![0; token.len()];
    let Ok(token) = Token::parse(&token, &mut buf) else { return };
    let claims: Value = serde_json::from_str(claims).expect("JSON by another reader");
    let keys = [Key { kid: None, scheme: None, verifier: &Yes }];
    let expect = jws::Expect::new(&[Scheme::EcdsaP256Sha256], UnixTime::new(NOW).expect("a time"));
    let token = token.verify(&expect, &keys);
    let exported = Exported::new(Prover::Client, [1; 32]).expect("exported octets");
    let binding = |audience| Binding::V1 {
        exported: &exported,
        challenge: &[2; 32],
        server_spki: b"abc",
        client_spki: None,
        request: br#"{"grant":"g"}"#,
        audience,
    };

    let report = confidential_space::check(&token, &GOOGLE, &binding(None));
    let failed = report.outcomes().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    assert_eq!(report.verdict().is_err(), failed);
    let shown = report.unverified_claims();
    let _ = (shown.subject(), shown.instance_id(), shown.signature_keys().count());
    if report.verdict().is_ok() {
        google(&claims);
    }

    let report = maa::check(&token, &MICROSOFT, &binding(Some("a")));
    let failed = report.outcomes().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    assert_eq!(report.verdict().is_err(), failed);
    let shown = report.unverified_claims();
    let _ = (shown.hardware_kind(), shown.host_data(), shown.mrtd());
    if report.verdict().is_ok() {
        microsoft(&claims);
    }

    // The older schemes, and no scheme, on the same claims.
    for binding in [
        Binding::GoogleCodelab { exported: &[1; 32] },
        Binding::Seed { exported: &[1; 32], token_jwt: "t" },
        Binding::Unchecked,
    ] {
        let report = confidential_space::check(&token, &GOOGLE, &binding);
        let verdict = report.verdict().is_ok();
        assert!(!verdict || report.verdict_unbound().is_ok());
        assert!(maa::check(&token, &MICROSOFT, &binding).verdict().is_err());
    }
});
