//! Tokens, a connection, and reports for the tests. The verifier believes everything, so that nothing is
//! refused for its signature.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};

use super::Binding;
use crate::ekm::{Binder, Exported, Prover};
use crate::encode::base64::url_encode;
use crate::jws::testing::NOW;
use crate::jws::{self, Key, Outcome, Token};
use crate::out::Out;
use crate::verifier::Verifier;
use crate::{Result, Scheme, UnixTime};

pub(super) const AUDIENCE: &str = "https://broker.example";
pub(super) const EKM: [u8; 32] = [1; 32];

struct Believer;

impl Verifier for Believer {
    fn supports(&self, _: Scheme) -> bool {
        true
    }

    fn verify(&self, _: Scheme, _: &[u8], _: &[u8]) -> Result<()> {
        Ok(())
    }
}

pub(super) fn encoded(octets: &[u8]) -> String {
    let mut buf = vec![0; octets.len() * 2 + 4];
    let mut out = Out::new(&mut buf);
    url_encode(octets, &mut out);
    String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
}

/// Reports on a token with these claims, signed with `alg`; only ES256 is expected.
pub(super) fn token_with_alg<T>(
    alg: &str,
    claims: &Json,
    then: impl FnOnce(&jws::Report<'_>) -> T,
) -> T {
    let header = json!({"alg": alg, "kid": "1"}).to_string();
    let text =
        [header.as_bytes(), claims.to_string().as_bytes(), &[0xa5; 64]].map(encoded).join(".");
    let mut buf = vec![0; text.len()];
    let keys = [Key { kid: Some("1"), scheme: None, verifier: &Believer }];
    let expect = jws::Expect::new(&[Scheme::EcdsaP256Sha256], UnixTime::new(NOW).unwrap());
    then(&Token::parse(&text, &mut buf).unwrap().verify(&expect, &keys))
}

pub(super) fn token<T>(claims: &Json, then: impl FnOnce(&jws::Report<'_>) -> T) -> T {
    token_with_alg("ES256", claims, then)
}

static EXPORTED: LazyLock<Exported> = LazyLock::new(|| Exported::new(Prover::Client, EKM).unwrap());

/// The inputs of the protocol's known answer.
pub(super) fn v1(audience: Option<&str>) -> Binding<'_> {
    Binding::V1 {
        exported: &EXPORTED,
        challenge: &[2; 32],
        server_spki: b"abc",
        client_spki: None,
        request: br#"{"grant":"g"}"#,
        audience,
    }
}

/// The nonce of [`v1`] for an audience.
pub(super) fn nonce(audience: &str) -> String {
    let binder = Binder {
        exported: &EXPORTED,
        challenge: &[2; 32],
        server_spki: b"abc",
        client_spki: None,
        audience,
        request: br#"{"grant":"g"}"#,
    };
    binder.nonce().unwrap().as_str().to_owned()
}

/// The value with what is at a pointer changed; `None` removes it. Objects on the way are made.
pub(super) fn set(mut value: Json, pointer: &str, to: Option<Json>) -> Json {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut at = &mut value;
    for name in parent.split('/').skip(1) {
        let object = at.as_object_mut().unwrap();
        at = object.entry(name.to_owned()).or_insert_with(|| json!({}));
    }
    let object = at.as_object_mut().unwrap();
    match to {
        Some(to) => object.insert(name.to_owned(), to),
        None => object.remove(name),
    };
    value
}

/// The names of the checks that failed, or were not reached. The verdict must be the first failure.
pub(super) fn failures<C: Copy, const N: usize>(
    report: &super::Report<'_, '_, C, N>,
) -> Vec<String> {
    let failed: Vec<_> = report
        .outcomes()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_) | Outcome::NotReached))
        .collect();
    match (failed.first(), report.verdict()) {
        (Some((_, Outcome::Failed(first))), Err(error)) => assert_eq!(*first, error),
        (Some((_, Outcome::NotReached)), Err(_)) | (None, Ok(_)) => {}
        other => panic!("{:?}", other.0),
    }
    let unbound = failed.iter().all(|(_, outcome)| *outcome == Outcome::NotReached);
    assert_eq!(report.verdict_unbound().is_ok(), unbound);
    failed.into_iter().map(|(name, _)| name.to_owned()).collect()
}
