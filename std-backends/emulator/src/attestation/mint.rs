//! Any token that a test asks for, the wrong ones above all.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Services;
use super::claims::{Runtime, Tags, merge, object};
use crate::EmulatorError;
use crate::keys::{jws_input, sign_jws};
use crate::request::{Call, Reply};

/// Which service's token, and which of its kinds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttestationKind {
    /// Google: `OIDC`, verified with the issuer's published keys.
    #[default]
    Oidc,
    /// Google: `PKI`, verified with the certificates in its header.
    Pki,
    /// Google: `LIMITED_AWS`; here the registered claims and the nonces alone.
    LimitedAws,
    /// Google: `AWS_PRINCIPALTAGS`, with the tags that AWS reads.
    AwsPrincipalTags,
    /// Microsoft: a SEV-SNP machine.
    Sevsnpvm,
    /// Microsoft: an SGX enclave.
    Sgx,
    /// Microsoft: a TDX machine.
    Tdxvm,
    /// Microsoft: guest attestation of a machine.
    Azurevm,
}

impl AttestationKind {
    fn is_google(self) -> bool {
        matches!(self, Self::Oidc | Self::Pki | Self::LimitedAws | Self::AwsPrincipalTags)
    }
}

/// What a minted token is signed with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttestationKey {
    /// The issuer's key; of a PKI token, that of the genuine leaf.
    Current,
    /// The issuer's key before the last rotation.
    Previous,
    /// A key that nobody trusts, under the current key's identifier.
    Attacker,
    /// No key: `alg` is `none`, the signature empty.
    None,
    /// HMAC-SHA-256 with the PEM text of the issuer's public key.
    Hs256PublicKey,
}

/// The certificates in the header of a minted PKI token.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Chain {
    /// Leaf, intermediate and root, as Google sends them.
    #[default]
    Good,
    /// The same names, all the attacker's own.
    WrongRoot,
    /// The attacker's leaf and intermediate, and then the genuine root.
    WrongRootUnderGood,
    /// Leaf and root.
    MissingIntermediate,
    /// The genuine leaf alone.
    LeafAlone,
    /// No certificate.
    Empty,
    /// Root, intermediate, leaf.
    Reversed,
    /// The intermediate twice: four certificates.
    Four,
    /// The leaf expired yesterday.
    ExpiredLeaf,
    /// The leaf is good from tomorrow on.
    FutureLeaf,
    /// The intermediate expired yesterday.
    ExpiredIntermediate,
    /// The genuine root's certificate for the intermediate, with CA false; it certified the attacker.
    IntermediateNoAuthority,
    /// The attacker's leaf, certified by the genuine leaf: leaf, leaf, intermediate.
    LeafAsAuthority,
    /// The attacker's leaf below an authority that the intermediate may not certify (path length).
    TooLong,
}

/// A token to be minted ([`Emulator::attestation_token`](crate::Emulator::attestation_token)); the
/// same names in the JSON of `POST /_emulator/attestation/token`.
///
/// What is not given is as the service itself would make it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttestationToken {
    /// Which token.
    pub kind: AttestationKind,
    /// `aud`. Microsoft's tokens have none unless it is given.
    pub audience: String,
    /// `eat_nonce`; of Microsoft's tokens, the first is the top-level `nonce`.
    pub nonces: Vec<String>,
    /// Microsoft's: what the hardware report covers. An object is `x-ms-runtime` (of SGX also
    /// `x-ms-sgx-ehd`), a text is octets (of SGX `x-ms-sgx-ehd`).
    pub runtime: Option<Value>,
    /// How many seconds ago the token was issued (`iat`, `nbf`).
    pub age: i64,
    /// How many seconds after that it expires; an hour (Google) or eight (Microsoft) unless given.
    pub lifetime: Option<i64>,
    /// Merged into the claims (RFC 7396: objects into objects, null takes away).
    pub claims: Map<String, Value>,
    /// The claims as this very text instead: repeated members, null, no JSON at all.
    pub raw_claims: Option<String>,
    /// Merged into the header.
    pub header: Map<String, Value>,
    /// The header as this very text instead.
    pub raw_header: Option<String>,
    /// What signs; unless given, the issuer's key, or the key of the chain's leaf.
    pub key: Option<AttestationKey>,
    /// With an RSA key: `RS256`, `RS384`, `RS512` or `PS256`; RS256 unless given.
    pub algorithm: Option<String>,
    /// The certificates of a PKI token.
    pub chain: Chain,
}

fn wrong(what: &str) -> EmulatorError {
    EmulatorError::Config(format!("attestation token: {what}"))
}

fn failed() -> EmulatorError {
    EmulatorError::Tls("a token cannot be signed".into())
}

/// Mints the token at this time.
pub(crate) fn mint(
    services: &Services,
    now: i64,
    token: &AttestationToken,
) -> Result<String, EmulatorError> {
    let tags = (token.kind == AttestationKind::AwsPrincipalTags).then_some(Tags::ImageDigest);
    let runtime = match &token.runtime {
        None => Runtime::None,
        Some(_) if token.kind.is_google() => return Err(wrong("Google's have no runtime")),
        Some(Value::String(text)) => Runtime::Binary(text.clone().into_bytes()),
        Some(value) => Runtime::Json(value.clone()),
    };
    build(services, now, token, tags, &runtime)
}

pub(super) fn build(
    services: &Services,
    now: i64,
    token: &AttestationToken,
    tags: Option<Tags>,
    runtime: &Runtime,
) -> Result<String, EmulatorError> {
    let google = token.kind.is_google();
    let mut claims = if google {
        services.google.claims(&services.url, token.kind, &token.audience, &token.nonces, tags)
    } else {
        let nonce = token.nonces.first().map(String::as_str);
        let mut claims = services.maa.claims(&services.url, token.kind, nonce, runtime);
        if !token.audience.is_empty() {
            claims.insert("aud".into(), json!(token.audience));
        }
        claims
    };
    let issued = now.saturating_sub(token.age);
    let lifetime = token.lifetime.unwrap_or(if google { 3600 } else { 8 * 3600 });
    for (name, time) in [("iat", issued), ("nbf", issued), ("exp", issued.saturating_add(lifetime))]
    {
        claims.entry(name).or_insert_with(|| json!(time));
    }
    merge(&mut claims, &token.claims);
    let keys = if google { &services.google_keys } else { &services.maa_keys };
    let mut header = Map::new();
    // The genuine key of the current time, and the one that signs unless another is asked for.
    let (genuine, signer) = if token.kind == AttestationKind::Pki {
        let (chain, forged) = services.pki.chain(token.chain, &services.attacker)?;
        let chain: Vec<_> = chain.iter().map(|der| STANDARD.encode(der)).collect();
        header.insert("x5c".into(), json!(chain));
        let leaf = services.pki.leaf()?;
        (leaf, if forged { services.attacker()? } else { leaf })
    } else {
        if token.chain != Chain::Good {
            return Err(wrong("only a PKI token has a chain"));
        }
        let current = keys.current()?;
        (current, current)
    };
    let signer = match token.key {
        None | Some(AttestationKey::None | AttestationKey::Hs256PublicKey) => signer,
        Some(AttestationKey::Current) => genuine,
        Some(AttestationKey::Previous) => keys.previous()?,
        Some(AttestationKey::Attacker) => services.attacker()?,
    };
    if token.kind != AttestationKind::Pki {
        // An attacker takes the name of a key that is trusted.
        let named = if token.key == Some(AttestationKey::Attacker) { genuine } else { signer };
        let kid = if google { named.hex_id() } else { named.base64_id() };
        header.insert("kid".into(), json!(kid));
    }
    if !google {
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        header.insert("jku".into(), json!(format!("{issuer}/certs")));
    }
    let (algorithm, encoding): (_, &'static dyn RsaEncoding) =
        match (token.key, token.algorithm.as_deref()) {
            (Some(AttestationKey::None), None) => ("none", &RSA_PKCS1_SHA256),
            (Some(AttestationKey::Hs256PublicKey), None) => ("HS256", &RSA_PKCS1_SHA256),
            (Some(AttestationKey::None | AttestationKey::Hs256PublicKey), Some(_)) => {
                return Err(wrong("this key has an algorithm of its own"));
            }
            (_, None | Some("RS256")) => ("RS256", &RSA_PKCS1_SHA256),
            (_, Some("RS384")) => ("RS384", &RSA_PKCS1_SHA384),
            (_, Some("RS512")) => ("RS512", &RSA_PKCS1_SHA512),
            (_, Some("PS256")) => ("PS256", &RSA_PSS_SHA256),
            _ => return Err(wrong("algorithm is RS256, RS384, RS512 or PS256")),
        };
    header.extend(object(json!({"alg": algorithm, "typ": "JWT"})));
    merge(&mut header, &token.header);
    let header = token.raw_header.clone().unwrap_or_else(|| Value::Object(header).to_string());
    let claims = token.raw_claims.clone().unwrap_or_else(|| Value::Object(claims).to_string());
    let input = || jws_input(&header, &claims);
    match token.key {
        Some(AttestationKey::None) => Ok(format!("{}.", input())),
        Some(AttestationKey::Hs256PublicKey) => {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, genuine.public_pem().as_bytes());
            let input = input();
            let tag = hmac::sign(&secret, input.as_bytes());
            Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)))
        }
        _ => sign_jws(&signer.pair, encoding, &header, &claims).ok_or_else(failed),
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotate {
    keep_previous: bool,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { keep_previous: true }
    }
}

/// Answers `/_emulator/attestation/…`; `body` is that of a POST.
pub(crate) fn control(call: &mut Call<'_>, what: &str, body: &[u8]) -> Result<Reply, String> {
    let services = &mut call.state.attestation;
    match what {
        "token" => {
            let token = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            let token = mint(services, call.now, &token).map_err(|error| error.to_string())?;
            Ok(Reply::json(200, &json!({"token": token})))
        }
        "rotate" => {
            let rotate: Rotate = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            services.rotate(rotate.keep_previous).map_err(|error| error.to_string())?;
            Ok(Reply::empty(204))
        }
        _ => Err("see the documentation of cloudauth-emulator".into()),
    }
}
