//! Attestation tokens, checked by jsonwebtoken and webpki.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloudauth_emulator::{
    Attestation, AttestationKey, AttestationKind, AttestationToken, Chain, Config, Emulator, Fault,
    FaultKind, Maa, Service,
};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::{Map, Value, json};
use x509_parser::prelude::FromDer as _;

use crate::client::{now, post_json, send, start};

fn get(emulator: &Emulator, path: &str) -> Value {
    let answer = send(emulator, "GET", path, &[], b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

pub(crate) fn patch(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn verified(token: &str, key: &DecodingKey) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "iss"]);
    Some(jsonwebtoken::decode::<Value>(token, key, &validation).ok()?.claims)
}

/// The claims of a token that Google's published keys verify.
pub(crate) fn google(emulator: &Emulator, token: &str) -> Option<Value> {
    let keys: JwkSet = serde_json::from_value(get(emulator, "/confidential-space/jwks")).unwrap();
    let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
    verified(token, &DecodingKey::from_jwk(keys.find(&kid)?).unwrap())
}

/// The same for Microsoft's, whose keys are certificates.
fn microsoft(emulator: &Emulator, token: &str) -> Option<Value> {
    let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
    let keys = get(emulator, "/maa/certs");
    let jwk = keys["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == kid.as_str())?;
    let der = STANDARD.decode(jwk["x5c"][0].as_str().unwrap()).unwrap();
    verified(token, &certificate_key(&der))
}

fn certificate_key(der: &[u8]) -> DecodingKey {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
    DecodingKey::from_rsa_der(&certificate.public_key().subject_public_key.data)
}

/// The claims of a PKI token whose certificates webpki leads to the emulator's root.
pub(crate) fn pki(emulator: &Emulator, token: &str) -> Option<Value> {
    let header: Value = part(token, 0);
    let chain: Vec<CertificateDer<'_>> = header["x5c"]
        .as_array()?
        .iter()
        .map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap().into())
        .collect();
    let root = emulator.attestation_root_pem().unwrap();
    let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let [leaf, between @ .., _] = chain.as_slice() else { return None };
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    webpki::EndEntityCert::try_from(leaf)
        .ok()?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            between,
            UnixTime::since_unix_epoch(time),
            webpki::KeyUsage::client_auth(),
            None,
            None,
        )
        .ok()?;
    (chain.len() == 3).then(|| verified(token, &certificate_key(leaf))).flatten()
}

pub(crate) fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn mint(emulator: &Emulator, token: AttestationToken) -> String {
    emulator.attestation_token(&token).unwrap()
}

fn of(kind: AttestationKind) -> AttestationToken {
    AttestationToken { kind, audience: "https://broker.example".into(), ..Default::default() }
}

#[test]
fn discovery_and_rotation() {
    let emulator = start(Config::default());
    let issuer = format!("{}/confidential-space", emulator.url());
    let found = get(&emulator, "/confidential-space/.well-known/openid-configuration");
    assert_eq!(
        (&found["issuer"], &found["jwks_uri"]),
        (&json!(issuer), &json!(format!("{issuer}/jwks")))
    );
    let roots = get(&emulator, "/confidential-space/.well-known/attestation-pki-root");
    let path = roots["root_ca_uri"].as_str().unwrap().strip_prefix(&emulator.url()).unwrap();
    let root = send(&emulator, "GET", path, &[], b"").text();
    assert_eq!(root, emulator.attestation_root_pem().unwrap());
    // By the real names.
    let host = [("host", "confidentialcomputing.googleapis.com")];
    let real = send(&emulator, "GET", "/.well-known/openid-configuration", &host, b"").json();
    assert_eq!(real["issuer"], "https://confidentialcomputing.googleapis.com");
    let uri = real["jwks_uri"].as_str().unwrap();
    let path = uri.strip_prefix("https://www.googleapis.com").unwrap();
    let keys = send(&emulator, "GET", path, &[("host", "www.googleapis.com")], b"").json();
    assert_eq!(keys, get(&emulator, "/confidential-space/jwks"));

    let old = mint(&emulator, of(AttestationKind::Oidc));
    assert!(google(&emulator, &old).is_some());
    let previous =
        || AttestationToken { key: Some(AttestationKey::Previous), ..of(AttestationKind::Oidc) };
    assert!(emulator.attestation_token(&previous()).is_err());
    emulator.rotate_attestation_keys(true).unwrap();
    let new = mint(&emulator, of(AttestationKind::Oidc));
    assert_ne!(part(&old, 0)["kid"], part(&new, 0)["kid"]);
    assert_eq!(part(&mint(&emulator, previous()), 0)["kid"], part(&old, 0)["kid"]);
    assert!(google(&emulator, &old).is_some() && google(&emulator, &new).is_some());
    // The control API, and a key that is no longer published.
    let answer =
        post_json(&emulator, "/_emulator/attestation/rotate", &json!({"keep_previous": false}));
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(get(&emulator, "/confidential-space/jwks")["keys"].as_array().unwrap().len(), 1);
    assert!(google(&emulator, &new).is_none());
    assert_eq!(part(&mint(&emulator, previous()), 0)["kid"], part(&new, 0)["kid"]);
}

#[test]
fn keys_and_algorithms() {
    let emulator = start(Config::default());
    let signed =
        |key| mint(&emulator, AttestationToken { key: Some(key), ..of(AttestationKind::Oidc) });
    assert!(google(&emulator, &signed(AttestationKey::Current)).is_some());
    let kid = part(&signed(AttestationKey::Current), 0)["kid"].clone();
    let forged = signed(AttestationKey::Attacker);
    assert_eq!(part(&forged, 0)["kid"], kid);
    assert!(google(&emulator, &forged).is_none());
    let keys: JwkSet =
        serde_json::from_value(get(&emulator, "/_emulator/attestation/attacker-jwks")).unwrap();
    assert!(verified(&forged, &DecodingKey::from_jwk(&keys.keys[0]).unwrap()).is_some());
    let none = signed(AttestationKey::None);
    assert!(none.ends_with('.') && part(&none, 0)["alg"] == "none");
    // HS256 with the text of the public key.
    let confused = signed(AttestationKey::Hs256PublicKey);
    assert_eq!((&part(&confused, 0)["alg"], &part(&confused, 0)["kid"]), (&json!("HS256"), &kid));
    let genuine: JwkSet =
        serde_json::from_value(get(&emulator, "/confidential-space/jwks")).unwrap();
    let numbers = serde_json::to_value(&genuine.keys[0]).unwrap();
    let spki = spki_pem(numbers["n"].as_str().unwrap(), numbers["e"].as_str().unwrap());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let secret = DecodingKey::from_secret(spki.as_bytes());
    assert!(jsonwebtoken::decode::<Value>(&confused, &secret, &validation).is_ok());
    for (name, algorithm) in
        [("RS384", Algorithm::RS384), ("RS512", Algorithm::RS512), ("PS256", Algorithm::PS256)]
    {
        let token = mint(
            &emulator,
            AttestationToken { algorithm: Some(name.into()), ..of(AttestationKind::Oidc) },
        );
        let mut validation = Validation::new(algorithm);
        validation.validate_aud = false;
        let key = DecodingKey::from_jwk(&genuine.keys[0]).unwrap();
        assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_ok(), "{name}");
    }
}

/// The PEM text of an RSA public key from its numbers, put together here.
fn spki_pem(n: &str, e: &str) -> String {
    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match u8::try_from(content.len()) {
            Ok(short) if short < 128 => vec![short],
            _ => [&[0x82], &u16::try_from(content.len()).unwrap().to_be_bytes()[..]].concat(),
        };
        [&[tag], length.as_slice(), content].concat()
    }
    let number = |text: &str| {
        let octets = URL_SAFE_NO_PAD.decode(text).unwrap();
        let sign = if octets[0] >= 128 { &[0][..] } else { &[] };
        tlv(2, &[sign, &octets].concat())
    };
    let key = tlv(0x30, &[number(n), number(e)].concat());
    let algorithm =
        tlv(0x30, &[&tlv(6, &[42, 134, 72, 134, 247, 13, 1, 1, 1])[..], &[5, 0]].concat());
    let spki = tlv(0x30, &[algorithm, tlv(3, &[&[0], key.as_slice()].concat())].concat());
    let text = STANDARD.encode(spki);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    // As rcgen and OpenSSL write it.
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

#[test]
fn chains() {
    let emulator = start(Config::default());
    let with =
        |chain, key| mint(&emulator, AttestationToken { chain, key, ..of(AttestationKind::Pki) });
    let good = with(Chain::Good, None);
    assert_eq!(pki(&emulator, &good).expect("a good chain")["aud"], "https://broker.example");
    assert!(part(&good, 0).get("kid").is_none());
    assert!(pki(&emulator, &with(Chain::Good, Some(AttestationKey::Attacker))).is_none());
    for (chain, certificates) in [
        (Chain::WrongRoot, 3),
        (Chain::WrongRootUnderGood, 3),
        (Chain::MissingIntermediate, 2),
        (Chain::LeafAlone, 1),
        (Chain::Empty, 0),
        (Chain::Reversed, 3),
        (Chain::Four, 4),
        (Chain::ExpiredLeaf, 3),
        (Chain::FutureLeaf, 3),
        (Chain::ExpiredIntermediate, 3),
        (Chain::IntermediateNoAuthority, 3),
        (Chain::LeafAsAuthority, 3),
        (Chain::TooLong, 3),
    ] {
        let token = with(chain, None);
        let header = part(&token, 0);
        let x5c = header["x5c"].as_array().unwrap();
        assert_eq!(x5c.len(), certificates, "{chain:?}");
        assert!(pki(&emulator, &token).is_none(), "{chain:?}");
        // The signature is the leaf's: only the chain is wrong.
        if let (true, Some(leaf)) = (chain != Chain::Reversed, x5c.first()) {
            let leaf = STANDARD.decode(leaf.as_str().unwrap()).unwrap();
            assert!(verified(&token, &certificate_key(&leaf)).is_some(), "{chain:?}");
        }
    }
    assert!(
        emulator
            .attestation_token(&AttestationToken {
                chain: Chain::Four,
                ..of(AttestationKind::Oidc)
            })
            .is_err()
    );
}

#[test]
fn anything_can_be_minted() {
    let emulator = start(Config::default());
    let mint = |body: Value| {
        let answer = post_json(&emulator, "/_emulator/attestation/token", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let token = mint(json!({
        "kind": "oidc", "audience": "a", "nonces": ["n1", "n2"], "age": 100, "lifetime": 60,
        "claims": {"secboot": null, "hwmodel": "X", "submods": {"gce": {"project_id": "other"}}, "iss": "i"},
        "header": {"crit": ["x"], "typ": null},
    }));
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["crit"], header.get("typ")), (&json!(["x"]), None));
    assert_eq!(
        (claims.get("secboot"), &claims["hwmodel"], &claims["iss"]),
        (None, &json!("X"), &json!("i"))
    );
    assert_eq!(claims["submods"]["gce"]["project_id"], "other");
    assert_eq!(claims["submods"]["gce"]["zone"], "europe-west4-a");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert!((now() - claims["iat"].as_i64().unwrap() - 100).abs() < 10);
    // Texts as they are: repeated members, and what is no JSON.
    let raw = r#"{"aud":"a","aud":"b"}"#;
    let token = mint(json!({"raw_claims": raw, "raw_header": "{"}));
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    assert_eq!((parts.next().unwrap(), parts.next().unwrap()), (b"{".to_vec(), raw.into()));
    for wrong in [
        json!({"kind": "other"}),
        json!({"unknown": 1}),
        json!({"runtime": {}}),
        json!({"algorithm": "ES256"}),
        json!({"key": "none", "algorithm": "RS256"}),
        json!({"key": "previous"}),
    ] {
        let answer = post_json(&emulator, "/_emulator/attestation/token", &wrong);
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let origin = [("origin", "https://evil.example"), ("content-type", "application/json")];
    let answer = send(&emulator, "POST", "/_emulator/attestation/token", &origin, b"{}");
    assert_eq!(answer.status, 403);
}

#[test]
fn microsoft_attests() {
    let maa = Maa { svn: 7, claims: patch(json!({"aud": "from-the-policy"})), ..Maa::default() };
    let attestation = Attestation { confidential_space: None, maa: Some(maa) };
    let emulator = start(Config { attestation, ..Config::default() });
    let found = get(&emulator, "/maa/.well-known/openid-configuration");
    assert_eq!(found["jwks_uri"], format!("{}/maa/certs", emulator.url()));
    let attest = |tee: &str, body: &Value| {
        post_json(&emulator, &format!("/maa/attest/{tee}?api-version=2022-08-01"), body)
    };
    let data = |octets: &str, kind: &str| json!({"data": URL_SAFE_NO_PAD.encode(octets), "dataType": kind});
    let runtime = data(r#"{"nonce":"n","keys":[]}"#, "JSON");

    let body = json!({"report": "AAAA", "runtimeData": runtime, "nonce": "top"});
    let answer = attest("SevSnpVm", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let claims = microsoft(&emulator, &token).expect("a token that verifies");
    assert_eq!(part(&token, 0)["jku"], format!("{}/maa/certs", emulator.url()));
    assert_eq!(claims["iss"], format!("{}/maa", emulator.url()));
    assert_eq!(
        (&claims["x-ms-runtime"], &claims["nonce"]),
        (&json!({"nonce": "n", "keys": []}), &json!("top"))
    );
    assert_eq!(
        (&claims["x-ms-attestation-type"], &claims["x-ms-sevsnpvm-tee-svn"]),
        (&json!("sevsnpvm"), &json!(7))
    );
    assert_eq!(
        (&claims["aud"], &claims["x-ms-sevsnpvm-is-debuggable"]),
        (&json!("from-the-policy"), &json!(false))
    );
    let sgx = json!({"quote": "AAAA", "runtimeData": data("held", "Binary")});
    let token = attest("SgxEnclave", &sgx).json()["token"].as_str().unwrap().to_owned();
    let claims = microsoft(&emulator, &token).unwrap();
    assert_eq!(
        (&claims["x-ms-sgx-ehd"], claims.get("x-ms-runtime")),
        (&json!(URL_SAFE_NO_PAD.encode("held")), None)
    );
    let tdx =
        json!({"quote": "AAAA", "runtimeData": runtime, "initTimeData": data("{\"a\":1}", "JSON")});
    let token = attest("TdxVm", &tdx).json()["token"].as_str().unwrap().to_owned();
    let claims = microsoft(&emulator, &token).unwrap();
    assert_eq!(
        (&claims["dbgstat"], &claims["x-ms-inittime"]),
        (&json!("disabled"), &json!({"a": 1}))
    );
    let guest = attest("AzureGuest", &json!({"clientPayload": {"nonce": "n"}}));
    let token = guest.json()["token"].as_str().unwrap().to_owned();
    let claims = microsoft(&emulator, &token).unwrap();
    assert_eq!(claims["x-ms-runtime"]["client-payload"]["nonce"], "n");
    assert_eq!(claims["x-ms-isolation-tee"]["x-ms-attestation-type"], "sevsnpvm");

    for (tee, wrong, status) in [
        ("SevSnpVm", json!({"quote": "AAAA"}), 400),
        ("SevSnpVm", json!({"report": "!"}), 400),
        ("SevSnpVm", json!({"report": "AAAA", "runtimeData": data("no json", "JSON")}), 400),
        ("SevSnpVm", json!({"report": "AAAA", "runtimeData": data("{}", "Text")}), 400),
        ("SevSnpVm", json!({"report": "AAAA", "clientPayload": {}}), 400),
        ("SevSnpVm", json!({"report": "AAAA", "other": 1}), 400),
        ("Other", json!({"report": "AAAA"}), 404),
    ] {
        let answer = attest(tee, &wrong);
        assert_eq!(answer.status, status, "{tee} {wrong}");
        assert!(answer.json()["error"]["code"].is_string());
    }
    assert_eq!(post_json(&emulator, "/maa/attest/SevSnpVm", &body).status, 400);
    // Minted, with what a test says of it.
    let runtime = Some(json!("binder"));
    let token = mint(&emulator, AttestationToken { runtime, ..of(AttestationKind::Sgx) });
    let claims = microsoft(&emulator, &token).unwrap();
    assert_eq!(claims["x-ms-sgx-ehd"], URL_SAFE_NO_PAD.encode("binder"));
    let host = [("host", "me.weu.attest.azure.net")];
    assert_eq!(send(&emulator, "GET", "/certs", &host, b"").json(), get(&emulator, "/maa/certs"));
}

#[test]
fn faults_of_discovery_and_keys() {
    let emulator = start(Config::default());
    let (discovery, keys) =
        ("/confidential-space/.well-known/openid-configuration", "/confidential-space/jwks");
    let once = |service, kind| emulator.fault(Fault { service: Some(service), count: 1, kind });
    once(Service::ConfidentialSpaceKeys, FaultKind::Html(200));
    get(&emulator, discovery);
    let answer = send(&emulator, "GET", keys, &[], b"");
    assert!(answer.text().starts_with("<!DOCTYPE"), "{}", answer.text());
    once(Service::ConfidentialSpace, FaultKind::Status(503));
    get(&emulator, keys);
    assert_eq!(send(&emulator, "GET", discovery, &[], b"").status, 503);
    once(Service::MaaKeys, FaultKind::Huge(10 << 20));
    assert_eq!(send(&emulator, "GET", "/maa/certs", &[], b"").body.len(), 10 << 20);
    once(Service::Maa, FaultKind::Throttle(Some(3)));
    let answer = send(&emulator, "GET", "/maa/.well-known/openid-configuration", &[], b"");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")));
    get(&emulator, keys);
}

#[test]
fn configured_in_toml() {
    let config = Config::from_toml(
        "[attestation.confidential_space]\nproject = 'p'\ndebug = true\nissuer = 'https://i.example'\n\
         env_override = { A = 'b' }\nclaims = { hwmodel = 'GCP_SHIELDED_VM' }\n\
         [attestation.maa]\ndebuggable = true\n",
    )
    .unwrap();
    let emulator = start(config);
    let claims = part(&mint(&emulator, of(AttestationKind::Oidc)), 1);
    assert_eq!(
        (&claims["dbgstat"], &claims["iss"]),
        (&json!("enabled"), &json!("https://i.example"))
    );
    assert_eq!(claims["submods"]["container"]["env_override"], json!({"A": "b"}));
    assert!(claims["submods"]["confidential_space"].get("support_attributes").is_none());
    assert_eq!(
        (&claims["hwmodel"], &claims["submods"]["gce"]["project_id"]),
        (&json!("GCP_SHIELDED_VM"), &json!("p"))
    );
    let claims = part(&mint(&emulator, of(AttestationKind::Sevsnpvm)), 1);
    assert_eq!(claims["x-ms-sevsnpvm-is-debuggable"], json!(true));
    // One that names nothing of it leaves it; one that does takes its place.
    emulator.register(Config::demo()).unwrap();
    let answer = post_json(
        &emulator,
        "/_emulator/register",
        &json!({"attestation": {"confidential_space": {"project": "q"}}}),
    );
    assert_eq!(answer.status, 204);
    let claims = part(&mint(&emulator, of(AttestationKind::Oidc)), 1);
    assert_eq!(
        (&claims["submods"]["gce"]["project_id"], &claims["dbgstat"]),
        (&json!("q"), &json!("disabled-since-boot"))
    );
    assert!(Config::from_toml("[attestation.maa]\nunknown = 1\n").is_err());
}
