//! Tokens. With a verifier that says yes to every signature, whatever gets a verdict must also hold by
//! serde_json's reading of the same parts.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudauth_core::jws::{Expect, Key, Token};
use cloudauth_core::verifier::Verifier;
use cloudauth_core::{Out, Result, Scheme, UnixTime};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_795_348_800;
const SKEW: u64 = 60;

struct Yes;

impl Verifier for Yes {
    fn supports(&self, _: Scheme) -> bool {
        true
    }

    fn verify(&self, _: Scheme, _: &[u8], _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// The input is header and claims as they are, with a line end between, or a whole token.
fn token(text: &str) -> String {
    match text.split_once('\n') {
        Some((header, claims)) => {
            let part = |part: &str| URL_SAFE_NO_PAD.encode(part);
            format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 64]))
        }
        None => text.to_owned(),
    }
}

fuzz_target!(|text: &str| {
    let token = token(text);
    let mut buf = vec![0; token.len()];
    let Ok(parsed) = Token::parse(&token, &mut buf) else { return };
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url by another reader"))
        .map(|json| serde_json::from_slice(&json).expect("JSON by another reader"))
        .collect();
    let (header, claims) = (&parts[0], &parts[1]);
    let keys = [Key { kid: Some("1"), scheme: None, verifier: &Yes }];
    let expect = Expect {
        issuer: Some("i"),
        audience: Some("a"),
        skew: SKEW,
        ..Expect::new(&[Scheme::EcdsaP256Sha256], UnixTime::new(NOW).expect("a time"))
    };
    let report = parsed.verify(&expect, &keys);
    assert_eq!(report.outcomes().count(), 11);
    let Ok(verified) = report.verdict() else { return };
    assert_eq!(header["alg"], "ES256");
    assert!(header.get("kid").is_none_or(|kid| kid == "1") && header.get("crit").is_none());
    assert_eq!(claims["iss"], "i");
    assert!(claims["aud"] == "a" || claims["aud"] == serde_json::json!(["a"]));
    let time = |name: &str| claims.get(name).map(|t| t.as_f64().expect("a number"));
    assert!(time("exp").expect("exp") > (NOW - SKEW) as f64 - 1.0);
    for name in ["nbf", "iat"] {
        assert!(time(name).is_none_or(|t| t < (NOW + SKEW) as f64 + 1.0));
    }
    let mut written = vec![0; token.len() * 6 + 16];
    let mut out = Out::new(&mut written);
    verified.claims().write(&mut out);
    let again: Value = serde_json::from_slice(out.finish().expect("room")).expect("JSON");
    assert_eq!(&again, claims);
});
