//! Public keys and signed tokens (JWT), checked by jsonwebtoken and aws-lc-rs; our own token key.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Header, TokenData, Validation};
use serde_json::{Map, Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A public key and the JWS algorithms it can verify.
#[derive(Clone)]
pub(crate) struct PublicKey {
    key: DecodingKey,
    algorithms: &'static [Algorithm],
}

impl PublicKey {
    /// From a SubjectPublicKeyInfo: RSA, P-256 or P-384.
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let octets = &spki.subject_public_key.data;
        let algorithm = &spki.algorithm.algorithm;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            let algorithms = &[Algorithm::RS256, Algorithm::PS256];
            return Some(Self { key: DecodingKey::from_rsa_der(octets), algorithms });
        }
        let curve = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
        let algorithms: &[Algorithm] = if curve == OID_EC_P256 {
            &[Algorithm::ES256]
        } else if curve == OID_NIST_EC_P384 {
            &[Algorithm::ES384]
        } else {
            return None;
        };
        (*algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY)
            .then(|| Self { key: DecodingKey::from_ec_der(octets), algorithms })
    }

    /// From PEM: a certificate or a public key.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        let pem = pem_blocks(text).ok()?.into_iter().next()?;
        match pem.label.as_str() {
            "CERTIFICATE" => {
                let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
                Self::from_spki(certificate.public_key())
            }
            "PUBLIC KEY" => {
                let (_, spki) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
                Self::from_spki(&spki)
            }
            _ => None,
        }
    }

    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithms: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { key: DecodingKey::from_jwk(jwk).ok()?, algorithms })
    }

    /// Whether the token carries this key's signature. Claims are the caller's to check.
    pub(crate) fn verifies(&self, token: &str) -> bool {
        let mut validation =
            Validation { algorithms: self.algorithms.to_vec(), ..Default::default() };
        validation.required_spec_claims.clear();
        // The emulator's clock is not the machine's, and each service names its own error.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<Map<String, Value>>(token, &self.key, &validation).is_ok()
    }
}

/// A token taken apart, its signature not checked.
pub(crate) struct Token<'a> {
    text: &'a str,
    pub(crate) header: Header,
    pub(crate) claims: Map<String, Value>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let TokenData { header, claims } = jsonwebtoken::dangerous::insecure_decode(text).ok()?;
        Some(Self { text, header, claims })
    }

    pub(crate) fn verified_by(&self, key: &PublicKey) -> bool {
        key.verifies(self.text)
    }

    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// A time (NumericDate): whole seconds, fractions cut off.
    pub(crate) fn time(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        value.as_i64().or_else(|| value.as_f64().map(|float| float as i64))
    }

    /// `aud`, which is one text or a list.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// The keys of an issuer.
#[derive(Clone)]
pub(crate) struct KeySet(Vec<(Option<String>, PublicKey)>);

impl KeySet {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let set: JwkSet = serde_json::from_str(text).ok()?;
        let keys = set
            .keys
            .iter()
            .filter_map(|jwk| PublicKey::from_jwk(jwk).map(|key| (jwk.common.key_id.clone(), key)));
        Some(Self(keys.collect()))
    }

    /// Whether the key that the token names, or any where it names none, signed the token.
    pub(crate) fn verifies(&self, token: &Token<'_>) -> bool {
        self.0.iter().any(|(kid, key)| {
            (token.header.kid.is_none() || token.header.kid == *kid) && token.verified_by(key)
        })
    }
}

/// The blocks of PEM text.
pub(crate) fn pem_blocks(text: &str) -> Result<Vec<Pem>, String> {
    let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(text.as_bytes()).collect();
    blocks.map_err(|e| e.to_string())
}

/// The certificates (DER) of PEM text, at least one.
pub(crate) fn pem_certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    let blocks = pem_blocks(text).ok()?;
    let all = blocks
        .iter()
        .all(|pem| pem.label == "CERTIFICATE" && X509Certificate::from_der(&pem.contents).is_ok());
    (all && !blocks.is_empty()).then(|| blocks.into_iter().map(|pem| pem.contents).collect())
}

pub(crate) fn sha256(octets: &[u8]) -> Vec<u8> {
    digest(&SHA256, octets).as_ref().to_vec()
}

pub(crate) fn sha1(octets: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref().to_vec()
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Lower-case or upper-case hexadecimal.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((nibble(*high)? << 4) | nibble(*low)?),
            _ => None,
        })
        .collect()
}

/// Base64 of either alphabet, padded or not, as Entra ID takes thumbprints.
pub(crate) fn any_base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

/// So many random octets. Zeros should the system fail to give any: the emulator's tokens open
/// nothing outside it.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    if fill(&mut octets).is_err() {
        tracing::error!("the system gives no random octets");
    }
    octets
}

/// A random identifier in the form of a UUID (version 4).
pub(crate) fn uuid() -> String {
    let hex: Vec<char> = hex(&random::<16>()).chars().collect();
    let part = |from: usize, to: usize| -> String { hex.iter().take(to).skip(from).collect() };
    let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32));
    format!("{a}-{b}-4{c}-a{d}-{e}")
}

/// The key that signs the emulator's own tokens: RSA-2048, made when first asked for.
pub(crate) struct TokenKey {
    pair: Option<RsaKeyPair>,
    kid: String,
}

impl TokenKey {
    pub(crate) fn get() -> &'static Self {
        static KEY: OnceLock<TokenKey> = OnceLock::new();
        KEY.get_or_init(|| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok();
            let spki = pair.as_ref().and_then(|pair| pair.public_key().as_der().ok());
            let kid = spki.map(|der| hex(&sha1(der.as_ref()))).unwrap_or_default();
            Self { pair, kid }
        })
    }

    /// A compact JWS, RS256.
    pub(crate) fn sign(&self, claims: &Value) -> Option<String> {
        let pair = self.pair.as_ref()?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        sign_jws(pair, &RSA_PKCS1_SHA256, &header.to_string(), &claims.to_string())
    }

    /// The key set (RFC 7517) that verifies them.
    pub(crate) fn jwks(&self) -> Value {
        let jwk = self.pair.as_ref().and_then(|pair| rsa_jwk(pair, &self.kid));
        json!({"keys": jwk.into_iter().collect::<Vec<_>>()})
    }
}

/// What a JWS signs: header and claims as they are, in base64url.
pub(crate) fn jws_input(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// A compact JWS of these very texts; that the header names the algorithm is the caller's business.
pub(crate) fn sign_jws(
    pair: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    header: &str,
    claims: &str,
) -> Option<String> {
    let input = jws_input(header, claims);
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), input.as_bytes(), &mut signature).ok()?;
    Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The public key as a JSON Web Key.
pub(crate) fn rsa_jwk(pair: &RsaKeyPair, kid: &str) -> Option<Value> {
    let der = pair.public_key().as_der().ok()?;
    let (_, spki) = SubjectPublicKeyInfo::from_der(der.as_ref()).ok()?;
    let Ok(x509_parser::public_key::PublicKey::RSA(key)) = spki.parsed() else { return None };
    let number = |octets: &[u8]| {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        URL_SAFE_NO_PAD.encode(octets.get(zeros..).unwrap_or_default())
    };
    let (n, e) = (number(key.modulus), number(key.exponent));
    Some(json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_encodings() {
        assert_eq!(unhex("00ffA0"), Some(vec![0, 255, 0xa0]));
        assert!(unhex("0").is_none() && unhex("0g").is_none());
        for text in ["-_8=", "-_8", "+/8=", "+/8"] {
            assert_eq!(any_base64(text), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert!(any_base64("+_8").is_none());
        assert_eq!(uuid().len(), 36);
    }

    #[test]
    fn our_tokens_verify_under_our_key_set() {
        let token = TokenKey::get().sign(&json!({"sub": "a"})).unwrap();
        let keys = KeySet::parse(&TokenKey::get().jwks().to_string()).unwrap();
        let parsed = Token::parse(&token).unwrap();
        assert!(keys.verifies(&parsed) && parsed.text("sub") == Some("a"));
        let (rest, _) = token.rsplit_once('.').unwrap();
        let changed = format!("{rest}.{}", URL_SAFE_NO_PAD.encode([1; 256]));
        assert!(!keys.verifies(&Token::parse(&changed).unwrap()));
    }
}
