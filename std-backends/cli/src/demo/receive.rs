//! What is received and checked: tokens that aws-lc-rs signed, and the channel binder.

use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use cloudauth_core::ekm::{Binder, Exported, Prover};
use cloudauth_core::encode::base64;
use cloudauth_core::jws::{Expect, Key, Token};
use cloudauth_core::{ErrorKind, Out, Scheme, Signer};
use cloudauth_keys::PublicVerifier;
use serde_json::json;

use super::{Identity, Row, octets, wrong};
use crate::context::Context;
use crate::error::CliError;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://service.example";

pub(super) fn run(
    context: &Context,
    rsa: &Identity,
    p256: &Identity,
    rows: &mut Vec<Row>,
) -> Result<(), CliError> {
    let failed = |_| wrong("a key of aws-lc-rs");
    let random = SystemRandom::new();
    let pair = RsaKeyPair::from_pkcs8(&rsa.pkcs8).map_err(failed)?;
    let token = token(context, "RS256", |input| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature).ok()?;
        Some(signature)
    })?;
    rows.push(verify(
        context,
        "Verify a token, RS256",
        "RSA-2048",
        rsa,
        Scheme::RsaPkcs1Sha256,
        &token,
    )?);
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &p256.pkcs8).map_err(failed)?;
    let token = self::token(context, "ES256", |input| {
        Some(pair.sign(&random, input).ok()?.as_ref().to_vec())
    })?;
    rows.push(verify(
        context,
        "Verify a token, ES256",
        "P-256",
        p256,
        Scheme::EcdsaP256Sha256,
        &token,
    )?);
    rows.push(binder()?);
    Ok(())
}

/// A token that our signing code has no part in.
fn token(
    context: &Context,
    alg: &str,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<String, CliError> {
    let now = context.now()?.as_secs();
    let claims =
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "demo", "iat": now, "exp": now + 600});
    signed(&json!({"alg": alg, "kid": "demo"}), &claims, sign)
}

/// Header and claims, with the signature that `sign` gives.
pub(super) fn signed(
    header: &serde_json::Value,
    claims: &serde_json::Value,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<String, CliError> {
    let input = [header.to_string(), claims.to_string()].map(|part| encoded(part.as_bytes()));
    let input = input.join(".");
    let signature = sign(input.as_bytes()).ok_or_else(|| wrong("a signature of aws-lc-rs"))?;
    Ok(format!("{input}.{}", encoded(&signature)))
}

fn encoded(octets: &[u8]) -> String {
    let mut buf = vec![0; base64::url_encoded_len(octets.len())];
    let mut out = Out::new(&mut buf);
    base64::url_encode(octets, &mut out);
    String::from_utf8(buf).unwrap_or_default()
}

/// The token is accepted, and for another audience it is not.
fn verify(
    context: &Context,
    flow: &'static str,
    key: &'static str,
    identity: &Identity,
    scheme: Scheme,
    token: &str,
) -> Result<Row, CliError> {
    let verifier = PublicVerifier::from_spki(identity.key.public_key())?;
    let keys = [Key { kid: Some("demo"), scheme: None, verifier: &verifier }];
    let algorithms = [scheme];
    let expect = Expect {
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        ..Expect::new(&algorithms, context.now()?)
    };
    let mut buf = vec![0; token.len()];
    let start = Instant::now();
    let parsed = Token::parse(token, &mut buf)?;
    let accepted = parsed.verify(&expect, &keys).verdict().is_ok();
    let time = start.elapsed();
    let other = Expect { audience: Some("https://other.example"), ..expect };
    let refused = parsed.verify(&other, &keys).verdict().err().map(|e| e.kind());
    if !accepted || refused != Some(ErrorKind::Verification) {
        return Err(wrong("a token of aws-lc-rs"));
    }
    Ok(Row { flow, key, time, result: octets(token.len()), verified_by: "made by aws-lc-rs" })
}

/// Binder v1, beside its layout put together by hand and hashed by aws-lc-rs.
fn binder() -> Result<Row, CliError> {
    let (spki, request) = (b"abc", br#"{"grant":"g"}"#);
    let exported = Exported::new(Prover::Client, [1; 32])?;
    let binder = Binder {
        exported: &exported,
        challenge: &[2; 32],
        server_spki: spki,
        client_spki: None,
        audience: AUDIENCE,
        request,
    };
    let start = Instant::now();
    let nonce = binder.nonce()?;
    let time = start.elapsed();
    let hash = |octets: &[u8]| digest(&SHA256, octets).as_ref().to_vec();
    let message = [
        b"libcloudauth binder v1\0\x01".to_vec(),
        vec![1; 32],
        vec![2; 32],
        hash(spki),
        vec![0; 33],
        hash(AUDIENCE.as_bytes()),
        hash(&[b"POST /v1/credentials\n".as_slice(), request].concat()),
    ]
    .concat();
    if encoded(&hash(&message)) != nonce.as_str() {
        return Err(wrong("the channel binder"));
    }
    let result = octets(nonce.as_str().len());
    Ok(Row { flow: "Channel binder v1", key: "-", time, result, verified_by: "aws-lc-rs" })
}
