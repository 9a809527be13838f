//! Tokens: those of RFC 7515 and of jsonwebtoken read here, ours read by jsonwebtoken, and the known
//! attacks on verifiers. Each attack stands beside a token that differs in nothing else and is accepted.
//! The core's own tests go through the rules one by one; here every signature is real.

use cloudauth_core::encode::base64::url_encode;
use cloudauth_core::gcp::SelfSigned;
use cloudauth_core::jws::{Check, Expect, Key as JwsKey, MAX_TOKEN_LEN, Outcome, Token};
use cloudauth_core::signer::{MAX_ECDSA_DER_LEN, ecdsa_der_from_raw};
use cloudauth_core::soft::SoftVerifier;
use cloudauth_core::verifier::{PublicKey, Verifier};
use cloudauth_core::{
    Assertion as _, Attempt, Error, ErrorKind, Out, Scheme, Signer as _, ToSign, UnixTime,
};
use cloudauth_keys::{Key, KeySet, PublicVerifier};
use serde_json::{Value, json};

use crate::roles_anywhere::leaf;

const NOW: u64 = 1_795_348_800;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://service.example";
const TOKEN_SCHEMES: [Scheme; 4] = [
    Scheme::RsaPkcs1Sha256,
    Scheme::RsaPssSha256,
    Scheme::EcdsaP256Sha256,
    Scheme::EcdsaP384Sha384,
];

fn encoded(octets: &[u8]) -> String {
    let mut buf = vec![0; octets.len() * 2 + 4];
    let mut out = Out::new(&mut buf);
    url_encode(octets, &mut out);
    String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::new(seconds).unwrap()
}

/// Claims and what is wrong with them: `Ok` with the claims, or the failed checks in order.
fn outcome(
    token: &str,
    expect: &Expect<'_>,
    keys: &(impl cloudauth_core::jws::KeySet + ?Sized),
) -> Result<Value, (Vec<Check>, Error)> {
    let mut buf = vec![0; token.len()];
    let token = Token::parse(token, &mut buf).map_err(|e| (vec![], e))?;
    let report = token.verify(expect, keys);
    let failed = report.outcomes().filter(|(_, o)| matches!(o, Outcome::Failed(_)));
    let failed: Vec<Check> = failed.map(|(check, _)| check).collect();
    let verified = report.verdict().map_err(|e| (failed, e))?;
    let mut text = vec![0; 65_536];
    let mut out = Out::new(&mut text);
    verified.claims().write(&mut out);
    Ok(serde_json::from_slice(out.finish().unwrap()).unwrap())
}

// RFC 7515, appendix A

const A2_KEY: &str = r#"{"keys":[{"kty":"RSA",
"n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
"e":"AQAB"}]}"#;
const A3_KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn rfc(header: &str, signature: &str) -> String {
    format!("{header}.{PAYLOAD}.{signature}")
}

#[test]
fn examples_of_rfc_7515() {
    const EXPIRES: u64 = 1_300_819_380;
    let a2 = rfc(
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5\
         jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb\
         1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO\
         YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
    let a3 = rfc(
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    let a1 = rfc(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
    // Of A.4 the header, with this payload and then with its own, which is no JSON. Neither gets as far
    // as its signature.
    let a4 = rfc("eyJhbGciOiJFUzUxMiJ9", &encoded(&[1; 132]));
    let a4_payload = format!("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.{}", encoded(&[1; 132]));
    let a5 = rfc("eyJhbGciOiJub25lIn0", "");

    let all = TOKEN_SCHEMES;
    let expect = Expect { skew: 0, issuer: Some("joe"), ..Expect::new(&all, at(EXPIRES - 1)) };
    let late = Expect { time: at(EXPIRES), ..expect };
    for (token, key, alg) in
        [(&a2, A2_KEY, Scheme::RsaPkcs1Sha256), (&a3, A3_KEY, Scheme::EcdsaP256Sha256)]
    {
        let hosted = KeySet::from_jwks(key.as_bytes()).unwrap();
        let mut text = key.as_bytes().to_vec();
        let jwks = cloudauth_core::jws::Jwks::parse(&mut text).unwrap();
        let mut spki = [0; 2048];
        let spki = jwks.keys().next().unwrap().spki(&mut spki).unwrap();
        let verifier = SoftVerifier::from_spki(spki).unwrap();
        let soft = [JwsKey { kid: None, scheme: None, verifier: &verifier }];
        let sets: [&dyn cloudauth_core::jws::KeySet; 2] = [&hosted, &soft];
        for keys in sets {
            let claims = outcome(token, &expect, keys).unwrap();
            let want = json!({"iss": "joe", "exp": EXPIRES, "http://example.com/is_root": true});
            assert_eq!(claims, want);
            let pinned = [alg];
            outcome(token, &Expect { algorithms: &pinned, ..expect }, keys).unwrap();
            assert_eq!(outcome(token, &late, keys).unwrap_err().0, [Check::Expiry]);
            for other in [&a1, &a4, &a5] {
                assert_eq!(outcome(other, &expect, keys).unwrap_err().0, [Check::Algorithm]);
            }
            let error = outcome(&a4_payload, &expect, keys).unwrap_err().1;
            assert_eq!(error.field(), "JWS claims");
            let other = if token == &a2 { &a3 } else { &a2 };
            assert_eq!(outcome(other, &expect, keys).unwrap_err().0, [Check::Key]);
        }
    }
}

// An issuer with a key of each type, and what it signs

struct Issuer {
    keys: [(&'static str, Key, Vec<u8>); 3],
    set: KeySet,
}

impl Issuer {
    fn new() -> Self {
        let keys = [
            ("rsa", &rcgen::PKCS_RSA_SHA256),
            ("p-256", &rcgen::PKCS_ECDSA_P256_SHA256),
            ("p-384", &rcgen::PKCS_ECDSA_P384_SHA384),
        ]
        .map(|(kid, algorithm)| {
            let (key, _) = leaf(algorithm, &[1]);
            let spki = key.public_key().to_vec();
            (kid, key, spki)
        });
        let jwks = keys.each_ref().map(|(kid, _, spki)| {
            let mut buf = vec![0; 2048];
            let mut out = Out::new(&mut buf);
            PublicKey::from_spki(spki).unwrap().write_jwk(Some(kid), None, &mut out);
            String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
        });
        let jwks = format!("{{\"keys\":[{}]}}", jwks.join(","));
        Self { keys, set: KeySet::from_jwks(jwks.as_bytes()).unwrap() }
    }

    fn key(&self, kid: &str) -> &Key {
        &self.keys.iter().find(|(name, ..)| *name == kid).unwrap().1
    }

    /// Header and claims as they are, with a good signature of `scheme`.
    fn sign_texts(&self, scheme: Scheme, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = self.signature(scheme, input.as_bytes());
        format!("{input}.{}", encoded(&signature))
    }

    fn signature(&self, scheme: Scheme, input: &[u8]) -> Vec<u8> {
        let (_, key, _) = self.keys.iter().find(|(_, key, _)| key.supports(scheme)).unwrap();
        let mut signature = vec![0; key.max_signature_len(scheme)];
        let len = key.sign(scheme, &ToSign::new(input, &[7; 32]), &mut signature).unwrap();
        signature[..len].to_vec()
    }

    fn sign(&self, scheme: Scheme, header: &Value, claims: &Value) -> String {
        self.sign_texts(scheme, &header.to_string(), &claims.to_string())
    }

    fn failed(&self, token: &str) -> Vec<Check> {
        match outcome(token, &expect(), &self.set) {
            Ok(_) => vec![],
            Err((failed, error)) => {
                assert!(!failed.is_empty(), "{error}");
                failed
            }
        }
    }
}

fn expect() -> Expect<'static> {
    Expect {
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        ..Expect::new(&TOKEN_SCHEMES, at(NOW))
    }
}

fn header(scheme: Scheme) -> Value {
    let kid = match scheme {
        Scheme::EcdsaP256Sha256 => "p-256",
        Scheme::EcdsaP384Sha384 => "p-384",
        _ => "rsa",
    };
    json!({"alg": scheme.jws_name().unwrap(), "kid": kid})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW, "nbf": NOW})
}

fn extended(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

const ES256: Scheme = Scheme::EcdsaP256Sha256;
const RS256: Scheme = Scheme::RsaPkcs1Sha256;

#[test]
fn every_scheme_and_no_other_key() {
    let issuer = Issuer::new();
    let stranger = Issuer::new();
    for scheme in TOKEN_SCHEMES {
        let token = issuer.sign(scheme, &header(scheme), &claims());
        assert_eq!(outcome(&token, &expect(), &issuer.set).unwrap(), claims());
        assert_eq!(stranger.failed(&token), [Check::Signature]);
        for (kid, key, spki) in &issuer.keys {
            let hosted = PublicVerifier::from_spki(spki).unwrap();
            let soft = SoftVerifier::from_spki(spki).unwrap();
            let verifiers: [&dyn Verifier; 2] = [&hosted, &soft];
            for verifier in verifiers {
                // Under the token's kid, whatever the key is.
                let wanted = header(scheme)["kid"].as_str().unwrap().to_owned();
                let set = [JwsKey { kid: Some(&wanted), scheme: None, verifier }];
                let result = outcome(&token, &expect(), &set);
                match key.supports(scheme) {
                    true => assert_eq!(result.unwrap(), claims()),
                    false => assert_eq!(result.unwrap_err().0, [Check::Key], "{kid}"),
                }
            }
        }
        // Every part is signed.
        let parts: Vec<&str> = token.split('.').collect();
        let other = issuer.sign(scheme, &header(scheme), &extended(claims(), "sub", json!("me")));
        let others: Vec<&str> = other.split('.').collect();
        let swapped = [parts[0], others[1], parts[2]].join(".");
        assert_eq!(issuer.failed(&swapped), [Check::Signature]);
        let longer = encoded(extended(header(scheme), "x", json!(1)).to_string().as_bytes());
        let swapped = [&longer, parts[1], parts[2]].join(".");
        assert_eq!(issuer.failed(&swapped), [Check::Signature]);
    }
}

#[test]
fn algorithms_that_a_token_must_not_choose() {
    let issuer = Issuer::new();
    assert_eq!(issuer.failed(&issuer.sign(RS256, &header(RS256), &claims())), []);
    // A good signature, and a header that calls it something else, or nothing.
    for alg in ["none", "None", "nOnE", "HS256", "RS384", "RS512", "ES512", "EdDSA", "rs256", ""] {
        let header = extended(header(RS256), "alg", json!(alg));
        assert_eq!(issuer.failed(&issuer.sign(RS256, &header, &claims())), [Check::Algorithm]);
    }
    let nothing = issuer.sign(RS256, &json!({"kid": "rsa"}), &claims());
    assert_eq!(issuer.failed(&nothing), [Check::Algorithm]);
    // PS256 for RS256 and the other way round, both listed: the padding tells.
    let ps256 = header(Scheme::RsaPssSha256);
    assert_eq!(issuer.failed(&issuer.sign(RS256, &ps256, &claims())), [Check::Signature]);
    let pss = issuer.sign(Scheme::RsaPssSha256, &header(RS256), &claims());
    assert_eq!(issuer.failed(&pss), [Check::Signature]);
    // No signature at all.
    let input = issuer.sign(ES256, &json!({"alg": "none"}), &claims());
    let unsigned = format!("{}.", input.rsplit_once('.').unwrap().0);
    assert_eq!(issuer.failed(&unsigned), [Check::Algorithm]);
    let input = issuer.sign(ES256, &header(ES256), &claims());
    let unsigned = format!("{}.", input.rsplit_once('.').unwrap().0);
    assert_eq!(issuer.failed(&unsigned), [Check::Signature]);
}

/// HS256 with what everybody knows as the secret: the public key, as DER, PEM and JWK.
#[test]
fn a_public_key_is_no_secret() {
    let issuer = Issuer::new();
    let hmac = |secret: &[u8]| {
        let header = jsonwebtoken::Header {
            kid: Some("rsa".to_owned()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        };
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&header, &claims(), &key).unwrap()
    };
    let (_, _, spki) = &issuer.keys[0];
    for secret in [spki.clone(), pem("PUBLIC KEY", spki).into_bytes()] {
        assert_eq!(issuer.failed(&hmac(&secret)), [Check::Algorithm]);
        // And under an honest name: then it is a bad signature.
        let token = hmac(&secret);
        let signature = token.rsplit_once('.').unwrap().1;
        let honest = issuer.sign(RS256, &header(RS256), &claims());
        let renamed = format!("{}.{signature}", honest.rsplit_once('.').unwrap().0);
        assert_eq!(issuer.failed(&renamed), [Check::Signature]);
    }
    // Nor can a set make it one.
    let set = format!(
        r#"{{"keys":[{{"kty":"oct","kid":"rsa","alg":"HS256","k":"{}"}}]}}"#,
        encoded(spki)
    );
    assert!(KeySet::from_jwks(set.as_bytes()).is_err());
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = vec![0; der.len() * 2 + 4];
    let mut out = Out::new(&mut text);
    cloudauth_core::encode::base64::encode(der, &mut out);
    let text = out.finish().unwrap();
    let lines: Vec<&str> = text.chunks(64).map(|l| core::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn headers_that_try_things() {
    let issuer = Issuer::new();
    let failed = |name: &str, member: Value| {
        issuer.failed(&issuer.sign(ES256, &extended(header(ES256), name, member), &claims()))
    };
    // Where to find keys is not for a token to say.
    let attacker = json!("https://attacker.example/keys");
    for name in ["jku", "x5u", "jwk", "x5c", "x5t"] {
        assert_eq!(failed(name, attacker.clone()), [], "{name}");
    }
    let stranger = Issuer::new();
    let (_, _, spki) = &stranger.keys[1];
    let mut jwk = vec![0; 1024];
    let mut out = Out::new(&mut jwk);
    PublicKey::from_spki(spki).unwrap().write_jwk(Some("p-256"), None, &mut out);
    let jwk: Value = serde_json::from_slice(out.finish().unwrap()).unwrap();
    let embedded = stranger.sign(ES256, &extended(header(ES256), "jwk", jwk), &claims());
    assert_eq!(stranger.failed(&embedded), []);
    assert_eq!(issuer.failed(&embedded), [Check::Signature]);

    for crit in [json!([]), json!(["b64"]), json!(["exp", "exp"]), json!(["x"]), json!("x")] {
        assert_eq!(failed("crit", crit.clone()), [Check::Critical], "{crit}");
    }
    assert_eq!(failed("b64", json!(false)), [Check::Critical]);
    for kid in ["../p-256", "/dev/null", "p-256\0", "P-256", "", "' OR 1=1 --", "rsa", "p-384"] {
        assert_eq!(failed("kid", json!(kid)), [Check::Key], "{kid}");
    }
    let unnamed = issuer.sign(ES256, &json!({"alg": "ES256"}), &claims());
    assert_eq!(issuer.failed(&unnamed), [Check::Key]);
}

#[test]
fn texts_that_two_readers_could_read_differently() {
    let issuer = Issuer::new();
    let (good_header, good_claims) = (header(ES256).to_string(), claims().to_string());
    let refused = |header: &str, claims: &str, field: &str| {
        let (failed, error) =
            outcome(&issuer.sign_texts(ES256, header, claims), &expect(), &issuer.set).unwrap_err();
        assert_eq!((failed, error.field()), (vec![], field), "{header} {claims}");
        error
    };
    let spaced =
        issuer.sign_texts(ES256, &format!(" {good_header}\n"), &format!("\t{good_claims} "));
    assert_eq!(issuer.failed(&spaced), [], "white space is no matter");
    for repeated in [
        good_header.replacen('{', r#"{"alg":"none","#, 1),
        good_header.replacen('{', r#"{"\u0061lg":"none","#, 1),
        good_header.replacen('{', r#"{"kid":"rsa","#, 1),
    ] {
        refused(&repeated, &good_claims, "JWS header");
    }
    for repeated in [
        good_claims.replacen('{', &format!(r#"{{"exp":{},"#, NOW + 9), 1),
        good_claims.replacen('{', r#"{"x":{"a":1,"a":1},"#, 1),
    ] {
        refused(&good_header, &repeated, "JWS claims");
    }
    for (from, to) in
        [("{", "{,"), ("}", ",}"), ("}", "}}"), ("\"", "'"), ("}", "} // x"), ("}", "")]
    {
        refused(&good_header, &good_claims.replacen(from, to, 1), "JWS claims");
    }
    let deep = |levels: usize| {
        good_claims.replacen(
            '{',
            &format!("{{\"x\":{}{},", "[".repeat(levels), "]".repeat(levels)),
            1,
        )
    };
    assert_eq!(issuer.failed(&issuer.sign_texts(ES256, &good_header, &deep(15))), []);
    assert_eq!(refused(&good_header, &deep(16), "JWS claims").kind(), ErrorKind::Capacity);
    assert_eq!(refused(&good_header, &deep(10_000), "JWS claims").kind(), ErrorKind::Capacity);
    let long = |octets: usize| {
        good_claims.replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(octets)), 1)
    };
    assert_eq!(issuer.failed(&issuer.sign_texts(ES256, &good_header, &long(48_000))), []);
    let error = refused(&good_header, &long(1 << 20), "token");
    assert_eq!(error.kind(), ErrorKind::Capacity);
}

#[test]
fn tokens_that_are_not_quite_base64url() {
    let issuer = Issuer::new();
    let good = issuer.sign(ES256, &header(ES256), &claims());
    assert_eq!(issuer.failed(&good), []);
    let parts: Vec<&str> = good.split('.').collect();
    let mut bad = vec![
        format!("{good}="),
        format!("{good}=="),
        format!("{good}\n"),
        format!("{good}.{}", parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[2]),
        good.replace('.', ".."),
        good.replace('.', " "),
        format!("Bearer {good}"),
        good.replace('.', ",") + "..",
    ];
    for (at, part) in parts.iter().enumerate() {
        for text in [
            format!("{part}="),
            format!("{part} "),
            format!("{part}+"),
            part.replacen('e', "%65", 1),
        ] {
            let mut parts = parts.clone();
            parts[at] = &text;
            if text != **part {
                bad.push(parts.join("."));
            }
        }
    }
    // The last character of 64 octets carries four bits that say nothing, and must be zero.
    let last = good.chars().last().unwrap();
    let alphabet: Vec<char> =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().collect();
    let value = alphabet.iter().position(|c| *c == last).unwrap();
    assert_eq!(value % 16, 0);
    for lax in 1..16 {
        let mut token = good.clone();
        token.pop();
        token.push(alphabet[value + lax]);
        bad.push(token);
    }
    for token in bad {
        let (failed, error) = outcome(&token, &expect(), &issuer.set).unwrap_err();
        assert_eq!((failed, error.kind()), (vec![], ErrorKind::Malformed), "{token}");
    }
    let too_long = format!("{good}{}", "A".repeat(MAX_TOKEN_LEN));
    let error = outcome(&too_long, &expect(), &issuer.set).unwrap_err().1;
    assert_eq!(error.kind(), ErrorKind::Capacity);
}

#[test]
fn forms_of_a_signature() {
    let issuer = Issuer::new();
    for scheme in [ES256, Scheme::EcdsaP384Sha384] {
        let good = issuer.sign(scheme, &header(scheme), &claims());
        assert_eq!(issuer.failed(&good), []);
        let input = good.rsplit_once('.').unwrap().0;
        let raw = issuer.signature(scheme, input.as_bytes());
        let half = raw.len() / 2;
        let mut der = [0; MAX_ECDSA_DER_LEN];
        let der = ecdsa_der_from_raw(&raw, &mut der).unwrap();
        let (r, s) = raw.split_at(half);
        for wrong in [
            der.to_vec(),
            raw[..raw.len() - 1].to_vec(),
            raw[1..].to_vec(),
            [&raw[..], &[0]].concat(),
            [&[0], &raw[..]].concat(),
            [&[0], r, &[0], s].concat(),
            [s, r].concat(),
            vec![0; raw.len()],
            [&vec![0; half][..], s].concat(),
            [r, &vec![0; half]].concat(),
            vec![0xff; raw.len()],
        ] {
            let token = format!("{input}.{}", encoded(&wrong));
            assert_eq!(issuer.failed(&token), [Check::Signature], "{wrong:02x?}");
        }
    }
}

#[test]
fn times_and_parties() {
    let issuer = Issuer::new();
    let failed = |name: &str, member: Value| {
        issuer.failed(&issuer.sign(ES256, &header(ES256), &extended(claims(), name, member)))
    };
    for (name, accepted, refused, check) in [
        ("exp", NOW - 59, NOW - 60, Check::Expiry),
        ("nbf", NOW + 60, NOW + 61, Check::NotBefore),
        ("iat", NOW + 60, NOW + 61, Check::IssuedAt),
    ] {
        assert_eq!(failed(name, json!(accepted)), []);
        assert_eq!(failed(name, json!(refused)), [check]);
        assert_eq!(failed(name, json!(accepted.to_string())), [check]);
    }
    assert_eq!(failed("aud", json!([AUDIENCE])), []);
    assert_eq!(failed("aud", json!([AUDIENCE, "https://other.example"])), [Check::Audience]);
    assert_eq!(failed("aud", json!("https://other.example")), [Check::Audience]);
    assert_eq!(failed("iss", json!("https://other.example")), [Check::Issuer]);
}

// jsonwebtoken, both ways

#[test]
fn tokens_of_jsonwebtoken() {
    use jsonwebtoken::{Algorithm, EncodingKey};
    let issuer = Issuer::new();
    let pkcs8 = |algorithm: &'static rcgen::SignatureAlgorithm| {
        rcgen::KeyPair::generate_for(algorithm).unwrap()
    };
    let rsa = pkcs8(&rcgen::PKCS_RSA_SHA256);
    let p256 = pkcs8(&rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = pkcs8(&rcgen::PKCS_ECDSA_P384_SHA384);
    for (algorithm, pair) in [
        (Algorithm::RS256, &rsa),
        (Algorithm::PS256, &rsa),
        (Algorithm::ES256, &p256),
        (Algorithm::ES384, &p384),
    ] {
        let pem = pair.serialize_pem();
        let key = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
            _ => EncodingKey::from_ec_pem(pem.as_bytes()),
        };
        let header = jsonwebtoken::Header {
            kid: Some("theirs".to_owned()),
            ..jsonwebtoken::Header::new(algorithm)
        };
        let token = jsonwebtoken::encode(&header, &claims(), &key.unwrap()).unwrap();
        let key = Key::from_pkcs8(pair.serialized_der()).unwrap();
        let verifier = PublicVerifier::from_spki(key.public_key()).unwrap();
        let set = [JwsKey { kid: Some("theirs"), scheme: None, verifier: &verifier }];
        let expect = Expect { typ: Some("jwt"), ..expect() };
        assert_eq!(outcome(&token, &expect, &set).unwrap(), claims());
        assert_eq!(outcome(&token, &expect, &issuer.set).unwrap_err().0, [Check::Key]);
    }
    // What jsonwebtoken can sign and we do not take.
    let pem = rsa.serialize_pem();
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS384, Algorithm::PS512] {
        let header = jsonwebtoken::Header {
            kid: Some("rsa".to_owned()),
            ..jsonwebtoken::Header::new(algorithm)
        };
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(issuer.failed(&token), [Check::Algorithm]);
    }
}

#[test]
fn our_tokens_in_jsonwebtoken() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let issuer = Issuer::new();
    for (scheme, algorithm) in [(RS256, Algorithm::RS256), (ES256, Algorithm::ES256)] {
        let kid = header(scheme)["kid"].as_str().unwrap().to_owned();
        let key = issuer.key(&kid);
        let assertion = SelfSigned {
            scheme,
            key_id: Some(&kid),
            ..SelfSigned::new("robot@project.iam.gserviceaccount.com")
        };
        let mut buf = [0; 2048];
        let token = assertion.sign(key, &Attempt::new(at(NOW), [7; 32]), &mut buf).unwrap();
        let pem = pem("PUBLIC KEY", key.public_key());
        let theirs = match scheme {
            RS256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
            _ => DecodingKey::from_ec_pem(pem.as_bytes()),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[assertion.email]);
        // The clock of the tests stands still.
        validation.validate_exp = false;
        let read = jsonwebtoken::decode::<Value>(token, &theirs.unwrap(), &validation).unwrap();
        assert_eq!(read.header.kid.as_deref(), Some(&*kid));
        let expect = Expect {
            issuer: Some(assertion.email),
            typ: Some("JWT"),
            ..Expect::new(&TOKEN_SCHEMES, at(NOW))
        };
        assert_eq!(outcome(token, &expect, &issuer.set).unwrap(), read.claims);
    }
}
