use super::*;
use crate::{ErrorKind, json};
use proptest::prelude::*;

// RFC 7638, section 3.1.
const RFC7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFx\
    uhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGj\
    QR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQ\
    Fh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
// RFC 7517, appendix A.1.
const RFC7517_EC: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}"#;

fn spki(jwk: &str) -> Result<Vec<u8>> {
    let mut text = jwk.as_bytes().to_vec();
    let mut out = [0; MAX_SPKI_LEN];
    spki_from_jwk(&json::parse(&mut text).unwrap(), &mut out).map(<[u8]>::to_vec)
}

fn rfc7638() -> Vec<u8> {
    spki(&format!(r#"{{"kty":"RSA","n":"{RFC7638_N}","e":"AQAB","alg":"RS256"}}"#)).unwrap()
}

fn url(bytes: &[u8]) -> String {
    let mut buf = vec![0; base64::url_encoded_len(bytes.len())];
    let mut out = Out::new(&mut buf);
    base64::url_encode(bytes, &mut out);
    String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
}

fn jwk(key: &PublicKey<'_>, kid: Option<&str>, alg: Option<&str>) -> serde_json::Value {
    let mut buf = [0; 4096];
    let mut out = Out::new(&mut buf);
    key.write_jwk(kid, alg, &mut out);
    serde_json::from_slice(out.finish().unwrap()).unwrap()
}

#[test]
fn rfc_7638_example() {
    let der = rfc7638();
    let key = PublicKey::from_spki(&der).unwrap();
    assert_eq!(url(&key.jwk_thumbprint()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
    assert_eq!(key.rsa().unwrap().1, [1, 0, 1]);
    assert_eq!(key.spki(), der);
    assert_eq!(
        jwk(&key, Some("2011-04-29"), Some("RS256")),
        serde_json::json!({
            "kty": "RSA", "n": RFC7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
        })
    );
}

#[test]
fn rfc_7517_ec_example() {
    let der = spki(RFC7517_EC).unwrap();
    let key = PublicKey::from_spki(&der).unwrap();
    assert_eq!((der.len(), key.algorithm()), (91, KeyAlgorithm::P256));
    assert_eq!(key.ec_point().unwrap(), &der[26..]);
    assert_eq!(
        jwk(&key, None, None),
        serde_json::json!({
            "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
        })
    );
}

#[test]
fn schemes_and_lengths() {
    let p256 = spki_from_ec(&[1; 32], &[2; 32], &mut [0; 91]).unwrap().to_vec();
    let p384 = spki_from_ec(&[1; 48], &[2; 48], &mut [0; 120]).unwrap().to_vec();
    let lengths = |der: &[u8]| {
        let key = PublicKey::from_spki(der).unwrap();
        Scheme::ALL.map(|s| {
            assert_eq!(key.supports(s), key.max_signature_len(s) != 0);
            key.max_signature_len(s)
        })
    };
    assert_eq!(lengths(&rfc7638()), [256, 256, 0, 0, 0]);
    assert_eq!(lengths(&p256), [0, 0, 64, 0, 0]);
    assert_eq!(lengths(&p384), [0, 0, 0, 96, 96]);
}

#[test]
fn equal_whatever_the_encoding() {
    let with_null = rfc7638();
    // The same without NULL: two octets less in the outer and the algorithm's length.
    let mut without = with_null.clone();
    let at = without.windows(2).position(|w| w == [5, 0]).unwrap();
    without.drain(at..at + 2);
    without[3] -= 2;
    without[5] -= 2;
    let (a, b) = (PublicKey::from_spki(&with_null), PublicKey::from_spki(&without));
    assert_ne!(a.unwrap().spki(), b.unwrap().spki());
    assert_eq!(a.unwrap(), b.unwrap());
    let mut other = with_null.clone();
    let last = other.len() - 10;
    other[last] ^= 1;
    assert_ne!(PublicKey::from_spki(&other).unwrap(), a.unwrap());
    // A parameter other than NULL, and NULL with content.
    let mut wrong = with_null.clone();
    wrong[at] = 4;
    assert!(PublicKey::from_spki(&wrong).is_err());
}

#[test]
fn rsa_limits() {
    let mut out = [0; 2000];
    let mut of = |bits: usize, last: u8, e: &[u8]| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = 0xff >> (7 - (bits + 7) % 8);
        *n.last_mut().unwrap() = last;
        spki_from_rsa(&n, e, &mut out).map(<[u8]>::len).map_err(|e| e.kind())
    };
    assert_eq!(of(2048, 1, &[1, 0, 1]), Ok(294));
    assert_eq!(of(2049, 1, &[3]), Ok(292));
    assert_eq!(of(8192, 1, &[0xff; 8]), Ok(MAX_SPKI_LEN));
    assert_eq!(of(8192, 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 3]), Ok(1060));
    for (bits, last, e, kind) in [
        (2047, 1, &[3][..], ErrorKind::Unsupported),
        (1024, 1, &[3], ErrorKind::Unsupported),
        (8193, 1, &[3], ErrorKind::Unsupported),
        (2048, 2, &[3], ErrorKind::Malformed),
        (2048, 1, &[1], ErrorKind::Malformed),
        (2048, 1, &[2], ErrorKind::Malformed),
        (2048, 1, &[], ErrorKind::Malformed),
        (2048, 1, &[1, 0, 0, 0, 0, 0, 0, 0, 1], ErrorKind::Malformed),
    ] {
        assert_eq!(of(bits, last, e), Err(kind), "{bits} {last} {e:?}");
    }
    assert_eq!(spki_from_rsa(&[], &[3], &mut out).unwrap_err().kind(), ErrorKind::Unsupported);
    let small = spki_from_rsa(&[0xff; 256], &[3], &mut [0; 291]).unwrap_err();
    assert_eq!(small.needed(), Some(292));
}

#[test]
fn refusals() {
    let good = rfc7638();
    for end in 0..good.len() {
        assert!(PublicKey::from_spki(&good[..end]).is_err());
    }
    assert!(PublicKey::from_spki(&[&good[..], &[0]].concat()).is_err());
    let ec = spki_from_ec(&[1; 32], &[2; 32], &mut [0; 91]).unwrap().to_vec();
    let with = |at: usize, value: u8| {
        let mut der = ec.clone();
        der[at] = value;
        PublicKey::from_spki(&der).unwrap_err().kind()
    };
    assert_eq!(with(22, 8), ErrorKind::Unsupported); // another curve
    assert_eq!(with(12, 9), ErrorKind::Unsupported); // another algorithm
    assert_eq!(with(25, 1), ErrorKind::Malformed); // unused bits
    assert_eq!(with(26, 2), ErrorKind::Malformed); // compressed, but too long
    assert_eq!(with(26, 0), ErrorKind::Malformed);
    let compressed = [&[0x30, 57][..], &ec[2..23], &[3, 34, 0, 2], &[1; 32]].concat();
    let error = PublicKey::from_spki(&compressed).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, "EC public key"));
    for (x, y) in [(32, 48), (48, 32), (31, 31), (0, 0), (33, 33), (66, 66)] {
        assert!(spki_from_ec(&vec![1; x], &vec![1; y], &mut [0; 200]).is_err());
    }
    assert_eq!(spki_from_ec(&[1; 48], &[1; 48], &mut []).unwrap_err().needed(), Some(120));
}

#[test]
fn jwk_refusals() {
    let kind = |text: &str| spki(text).unwrap_err().kind();
    assert_eq!(kind(r#"{}"#), ErrorKind::Malformed);
    assert_eq!(kind(r#"{"kty":"oct","k":"AA"}"#), ErrorKind::Unsupported);
    assert_eq!(kind(r#"{"kty":"RSA","e":"AQAB"}"#), ErrorKind::Malformed);
    assert_eq!(kind(r#"{"kty":"RSA","n":1,"e":"AQAB"}"#), ErrorKind::Malformed);
    assert_eq!(kind(r#"{"kty":"RSA","n":"A+A","e":"AQAB"}"#), ErrorKind::Malformed);
    assert_eq!(kind(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#), ErrorKind::Unsupported);
    let long = "A".repeat(1368);
    assert_eq!(
        kind(&format!(r#"{{"kty":"RSA","n":"{long}","e":"AQAB"}}"#)),
        ErrorKind::Unsupported
    );
    assert_eq!(kind(&RFC7517_EC.replace("P-256", "P-521")), ErrorKind::Unsupported);
    assert_eq!(kind(&RFC7517_EC.replace("P-256", "P-384")), ErrorKind::Malformed);
    // RFC 7518, section 6.2.1.2: a coordinate has its full length.
    assert_eq!(kind(&RFC7517_EC.replace("4Etl", "")), ErrorKind::Malformed);
}

proptest! {
    #[test]
    fn jwk_round_trip(
        mut n in prop::collection::vec(any::<u8>(), 256..=1024),
        mut e in prop::collection::vec(any::<u8>(), 1..=8),
    ) {
        n[0] |= 0x80;
        *n.last_mut().unwrap() |= 1;
        e[0] |= 2;
        *e.last_mut().unwrap() |= 3;
        let mut out = [0; MAX_SPKI_LEN];
        let der = spki_from_rsa(&n, &e, &mut out).unwrap();
        let key = PublicKey::from_spki(der).unwrap();
        prop_assert_eq!(key.rsa(), Some((&n[..], &e[..])));
        let text = jwk(&key, Some("k\"1"), None).to_string();
        prop_assert_eq!(spki(&text).unwrap(), der);
    }

    #[test]
    fn never_panics(
        at in any::<prop::sample::Index>(),
        value: u8,
        at2 in any::<prop::sample::Index>(),
        value2: u8,
    ) {
        for mut der in [rfc7638(), spki(RFC7517_EC).unwrap()] {
            let len = der.len();
            der[at.index(len)] = value;
            der[at2.index(len.min(40))] = value2;
            if let Ok(key) = PublicKey::from_spki(&der) {
                let _ = key.jwk_thumbprint();
                prop_assert!(key.rsa().is_some() != key.ec_point().is_some());
            }
        }
    }

    #[test]
    fn never_panics_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PublicKey::from_spki(&bytes);
        let _ = rsa_public_key(&bytes);
    }
}

#[test]
fn every_octet_with_every_value() {
    for good in [rfc7638(), spki(RFC7517_EC).unwrap()] {
        let original = PublicKey::from_spki(&good).unwrap();
        let mut der = good.clone();
        for at in 0..der.len() {
            for value in (0..=255).filter(|v| *v != good[at]) {
                der[at] = value;
                if let Ok(key) = PublicKey::from_spki(&der) {
                    // Strict DER: whatever still parses is another key.
                    assert_ne!(key, original, "octet {at} = {value}");
                }
            }
            der[at] = good[at];
        }
    }
}
