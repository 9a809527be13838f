//! Audience, number, length and value of nonces.

use serde_json::{Value as Json, json};

use super::{NONE, change, claims, expect, failed, without};
use crate::ErrorKind;
use crate::attest::Binding;
use crate::attest::confidential_space::{self, Claims};
use crate::attest::testing::{AUDIENCE, EKM, nonce, set, token, v1};
use crate::ekm::{Exported, Prover};
use crate::jws::Outcome;

#[test]
fn audiences() {
    for aud in [json!("https://another.example"), json!([AUDIENCE, AUDIENCE]), json!([]), json!(1)]
    {
        // The binder covers the audience as well.
        assert_eq!(change("/aud", aud.clone()), ["audience", "nonce"], "{aud}");
    }
    assert_eq!(without("/aud"), ["audience", "nonce"]);
    assert_eq!(change("/aud", json!([AUDIENCE])), NONE);
    let other = "https://other.example";
    let claims = set(claims(), "/aud", Some(json!(other)));
    assert_eq!(failed(&claims, &expect(), &v1(None)), ["nonce"]);
    let claims = set(claims, "/eat_nonce", Some(json!(nonce(other))));
    assert_eq!(failed(&claims, &expect(), &v1(None)), NONE);
    assert_eq!(failed(&claims, &expect(), &v1(Some(other))), NONE);
    assert_eq!(failed(&claims, &expect(), &v1(Some(AUDIENCE))), ["nonce"]);
    // An audience that the verifier brings does not stand in for one that the token lacks.
    let none = set(claims, "/aud", None);
    assert_eq!(failed(&none, &expect(), &v1(Some(other))), ["audience", "nonce"]);
}

#[test]
fn nonces_of_binder_v1() {
    let good = nonce(AUDIENCE);
    assert_eq!(change("/eat_nonce", json!([good])), NONE);
    let other = || nonce("https://other.example");
    for bad in [
        Json::Null,
        json!([]),
        json!(other()),
        json!([other()]),
        json!([good, good]),
        json!([good, other()]),
        json!([good, "12345678"]),
        json!(["12345678", good]),
        json!(vec![good.clone(); 6]),
        json!(vec![good.clone(); 7]),
        json!(format!("{good}=")),
        json!(good.to_lowercase()),
        json!(""),
        json!(1),
        json!([1]),
        json!([good, null]),
        json!({"0": good}),
        json!([[good]]),
    ] {
        assert_eq!(change("/eat_nonce", bad.clone()), ["nonce"], "{bad}");
    }
    assert_eq!(without("/eat_nonce"), ["nonce"]);
    assert_eq!(change("/nonce", json!("x")), NONE, "no other claim is a nonce");
}

#[test]
fn numbers_and_lengths_of_nonces() {
    // A number of values that no scheme wants is told from a list that is not in order.
    let kind = |nonces: Json| {
        let claims = set(claims(), "/eat_nonce", Some(nonces));
        token(&claims, |token| {
            match confidential_space::nonce(Claims::unverified(token), &v1(None)) {
                Outcome::Failed(error) => error.kind(),
                other => panic!("{other:?}"),
            }
        })
    };
    let of = |len: usize| "n".repeat(len);
    for len in [8, 10, 42, 44, 74, 88] {
        assert_eq!(kind(json!(of(len))), ErrorKind::Verification, "{len}");
        assert_eq!(kind(json!([of(len), of(len)])), ErrorKind::Verification, "{len}");
    }
    for len in [0, 7, 89] {
        assert_eq!(kind(json!(of(len))), ErrorKind::Malformed, "{len}");
        assert_eq!(kind(json!([of(8), of(len)])), ErrorKind::Malformed, "{len}");
    }
    assert_eq!(kind(json!(vec![of(8); 6])), ErrorKind::Verification);
    assert_eq!(kind(json!(vec![of(8); 7])), ErrorKind::Malformed);
    assert_eq!(kind(json!([])), ErrorKind::Verification);
    // Octets, not characters.
    assert_eq!(kind(json!("é".repeat(44))), ErrorKind::Verification);
    assert_eq!(kind(json!("é".repeat(45))), ErrorKind::Malformed);
    // A token from a file is told so as well.
    let file = |nonces| {
        token(&set(claims(), "/eat_nonce", Some(nonces)), |token| {
            confidential_space::nonce(Claims::unverified(token), &Binding::Unchecked)
        })
    };
    assert_eq!(file(json!(of(8))), Outcome::NotReached);
    assert!(matches!(file(json!(of(7))), Outcome::Failed(_)));
}

#[test]
fn another_connection_or_request() {
    let bound = |binding: Binding<'_>| failed(&claims(), &expect(), &binding);
    let Binding::V1 { exported, .. } = v1(None) else { panic!() };
    let other = Exported::new(Prover::Client, [9; 32]).unwrap();
    let server = Exported::new(Prover::Server, EKM).unwrap();
    for (exported, challenge, server_spki, client_spki, request, refused) in [
        (exported, 2, "abc", None, r#"{"grant":"g"}"#, false),
        (&other, 2, "abc", None, r#"{"grant":"g"}"#, true),
        (&server, 2, "abc", None, r#"{"grant":"g"}"#, true),
        (exported, 3, "abc", None, r#"{"grant":"g"}"#, true),
        (exported, 0, "abc", None, r#"{"grant":"g"}"#, true),
        (exported, 2, "abd", None, r#"{"grant":"g"}"#, true),
        (exported, 2, "", None, r#"{"grant":"g"}"#, true),
        (exported, 2, "abc", Some(&b"xyz"[..]), r#"{"grant":"g"}"#, true),
        (exported, 2, "abc", None, r#"{"grant":"h"}"#, true),
        (exported, 2, "abc", None, "", true),
    ] {
        let failed = bound(Binding::V1 {
            exported,
            challenge: &[challenge; 32],
            server_spki: server_spki.as_bytes(),
            client_spki,
            request: request.as_bytes(),
            audience: None,
        });
        assert_eq!(failed, if refused { &["nonce"][..] } else { &[] }, "{server_spki} {request}");
    }
}

#[test]
fn the_older_schemes() {
    const TOKEN_JWT: &str = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    // By `printf %s eyJhbGciOiJIUzI1NiJ9.e30.AAAA | sha256sum`.
    const REQUEST: &str = "0ae6d0bf1b904b1918a542b264b06f8b5156a8218465e735ae004ccd00aaf362";
    let channel = "01".repeat(32);
    let seed = Binding::Seed { exported: &EKM, token_jwt: TOKEN_JWT };
    let of = |nonces: Json, binding: &Binding<'_>| {
        failed(&set(claims(), "/eat_nonce", Some(nonces)), &expect(), binding)
    };
    assert_eq!(of(json!([channel, REQUEST]), &seed), NONE);
    for bad in [
        json!([channel]),
        json!(channel),
        json!([REQUEST, channel]),
        json!([channel, channel]),
        json!([channel, REQUEST, REQUEST]),
        json!([channel, REQUEST.to_uppercase()]),
        json!(["02".repeat(32), REQUEST]),
        json!([channel, REQUEST, nonce(AUDIENCE)]),
        json!([]),
    ] {
        assert_eq!(of(bad.clone(), &seed), ["nonce"], "{bad}");
    }
    let other = Binding::Seed { exported: &EKM, token_jwt: "eyJhbGciOiJIUzI1NiJ9.e30.AAAB" };
    assert_eq!(of(json!([channel, REQUEST]), &other), ["nonce"]);
    let zeros = Binding::Seed { exported: &[0; 32], token_jwt: TOKEN_JWT };
    assert_eq!(of(json!(["00".repeat(32), REQUEST]), &zeros), ["nonce"]);

    // The known answer of ekm: 32 octets of 1.
    let codelab = Binding::GoogleCodelab { exported: &EKM };
    let hash = "cs1uhCLEB/ttCYaQ8RMLfe1+wvf14dML2dUh8BU2N5M=";
    assert_eq!(of(json!(hash), &codelab), NONE);
    assert_eq!(of(json!([hash]), &codelab), NONE);
    assert_eq!(of(json!([hash, hash]), &codelab), ["nonce"]);
    assert_eq!(of(json!(hash), &Binding::GoogleCodelab { exported: &[2; 32] }), ["nonce"]);
    // No scheme's nonces pass for another's.
    assert_eq!(of(json!(hash), &seed), ["nonce"]);
    assert_eq!(of(json!(channel), &codelab), ["nonce"]);
    for nonces in [json!(hash), json!(channel), json!([channel, REQUEST])] {
        assert_eq!(of(nonces, &v1(None)), ["nonce"]);
    }
    assert_eq!(format!("{seed:?} {codelab:?} {:?}", v1(None)), "Seed GoogleCodelab V1");
}
