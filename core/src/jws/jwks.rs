//! JWK sets (RFC 7517, section 5): the public keys that an issuer publishes.

use core::fmt;

use super::MAX_KEYS;
use crate::json::{self, Elements, Kind, Value};
use crate::verifier::{MAX_SPKI_LEN, PublicKey, spki_from_jwk};
use crate::{Error, ErrorKind, Result, Scheme};

/// A JWK set, checked as a whole: every key that comes out of it can be used.
///
/// Keys that are for something else are passed over, as RFC 7517, section 5, wants it: other types and
/// curves, symmetric keys, a `use` other than `sig`, `key_ops` without `verify`, an `alg` that is no
/// [`Scheme`]. Stricter than the RFC, a set is refused as a whole when a key of a known type is damaged,
/// weak or private, or when two keys have one name, whatever their types: a set like that is a mistake or
/// an attack.
#[derive(Clone)]
pub struct Jwks<'b> {
    keys: Elements<'b>,
}

/// Why a set is refused, and for which of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksError {
    key: Option<usize>,
    error: Error,
}

impl JwksError {
    /// The place in `keys`, counted from 0, of the key that is at fault; `None` when it is the set.
    #[must_use]
    pub const fn key(&self) -> Option<usize> {
        self.key
    }

    /// What is wrong.
    #[must_use]
    pub const fn error(&self) -> Error {
        self.error
    }
}

impl From<Error> for JwksError {
    fn from(error: Error) -> Self {
        Self { key: None, error }
    }
}

impl From<JwksError> for Error {
    fn from(e: JwksError) -> Self {
        e.error
    }
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key {
            write!(f, "keys[{key}]: ")?;
        }
        self.error.fmt(f)
    }
}

impl core::error::Error for JwksError {}

impl<'b> Jwks<'b> {
    /// Reads a set. The text is rewritten in place, as by [`json::parse`].
    ///
    /// # Errors
    /// As [`json::parse`] and [`from_value`](Self::from_value).
    pub fn parse(text: &'b mut [u8]) -> core::result::Result<Self, JwksError> {
        Self::from_value(&json::parse(text)?)
    }

    /// The set in `value`.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) and [`Unsupported`](ErrorKind::Unsupported) as the type says,
    /// [`Capacity`](ErrorKind::Capacity) above [`MAX_KEYS`] keys of any kind.
    pub fn from_value(value: &Value<'b>) -> core::result::Result<Self, JwksError> {
        const KEYS: Error = Error::malformed("keys", "expected an array of keys (a JWK set)");
        const REPEATED: Error = Error::malformed("kid", "an earlier key has the same");
        let keys = value.get("keys").filter(|k| k.kind() == Kind::Array).ok_or(KEYS)?.elements();
        let mut spki = [0; MAX_SPKI_LEN];
        for (index, entry) in keys.clone().enumerate() {
            if index == MAX_KEYS {
                return Err(Error::new(ErrorKind::Capacity, "keys", "at most 64 in a set").into());
            }
            let at = |error| JwksError { key: Some(index), error };
            if let Some(jwk) = Jwk::read(index, entry).map_err(at)? {
                jwk.check(&mut spki).map_err(at)?;
            }
            // Each against those before it: the number of keys is small.
            let kid = entry.get("kid").and_then(|k| k.as_str());
            let same = |other: Value<'_>| other.get("kid").and_then(|k| k.as_str()) == kid;
            if kid.is_some() && keys.clone().take(index).any(same) {
                return Err(at(REPEATED));
            }
        }
        Ok(Self { keys })
    }

    /// The keys that can verify tokens, in the order of the text.
    #[must_use]
    pub fn keys(&self) -> JwkKeys<'b> {
        JwkKeys { entries: self.keys.clone(), index: 0 }
    }
}

impl fmt::Debug for Jwks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

/// Iterator over the keys of a [`Jwks`].
#[derive(Clone)]
pub struct JwkKeys<'b> {
    entries: Elements<'b>,
    index: usize,
}

impl<'b> Iterator for JwkKeys<'b> {
    type Item = Jwk<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = self.entries.next()?;
            let index = self.index;
            self.index += 1;
            if let Ok(Some(jwk)) = Jwk::read(index, entry) {
                return Some(jwk);
            }
        }
    }
}

impl core::iter::FusedIterator for JwkKeys<'_> {}

impl fmt::Debug for JwkKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwkKeys").finish_non_exhaustive()
    }
}

/// One key of a [`Jwks`]: RSA, P-256 or P-384.
#[derive(Clone, Copy)]
pub struct Jwk<'b> {
    index: usize,
    value: Value<'b>,
    kid: Option<&'b str>,
    scheme: Option<Scheme>,
}

impl<'b> Jwk<'b> {
    /// Its place in `keys`, counted from 0, those passed over included.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    #[must_use]
    pub const fn kid(&self) -> Option<&'b str> {
        self.kid
    }

    /// The one algorithm it is for (`alg`), when the set says so.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Writes its SubjectPublicKeyInfo at the start of `out`; [`MAX_SPKI_LEN`] octets are always enough.
    ///
    /// # Errors
    /// [`BufferTooSmall`](ErrorKind::BufferTooSmall).
    pub fn spki<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8]> {
        spki_from_jwk(&self.value, out)
    }

    /// Whether the key is sound, and of the type of its `alg`.
    fn check(&self, spki: &mut [u8]) -> Result<()> {
        let key = PublicKey::from_spki(self.spki(spki)?)?;
        match self.scheme.is_none_or(|scheme| key.supports(scheme)) {
            true => Ok(()),
            false => Err(Error::malformed("alg", "is for keys of another type")),
        }
    }

    /// The key in `value`, or `None` when it is for something else.
    fn read(index: usize, value: Value<'b>) -> Result<Option<Self>> {
        if value.kind() != Kind::Object {
            return Err(Error::malformed("key", "expected an object"));
        }
        // Of an RSA or EC key, and of those on Edwards curves (RFC 8037, section 2).
        if value.get("d").is_some() {
            let help = "this is a private key: replace it, and publish only the public one";
            return Err(Error::malformed("d", help));
        }
        let kid = string(&value, "kid")?;
        let usage = string(&value, "use")?;
        let alg = string(&value, "alg")?;
        let scheme = alg.and_then(Scheme::from_jws_name);
        let verifies = match value.get("key_ops") {
            None => true,
            Some(ops) if ops.kind() == Kind::Array => {
                ops.elements().any(|op| op.as_str() == Some("verify"))
            }
            Some(_) => return Err(Error::malformed("key_ops", "expected an array")),
        };
        let known = match value.string("kty")? {
            "RSA" => true,
            "EC" => matches!(value.string("crv")?, "P-256" | "P-384"),
            _ => false,
        };
        let ours = known && verifies && usage.is_none_or(|u| u == "sig");
        let ours = ours && (alg.is_none() || scheme.is_some());
        Ok(ours.then_some(Self { index, value, kid, scheme }))
    }
}

impl fmt::Debug for Jwk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Jwk");
        debug.field("kid", &self.kid).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// A member that is a string if it is there.
fn string<'b>(key: &Value<'b>, name: &'static str) -> Result<Option<&'b str>> {
    match key.get(name) {
        Some(_) => key.string(name).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::base64::url_encode;
    use crate::out::Out;
    use crate::verifier::{spki_from_ec, spki_from_rsa};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn text(octets: &[u8]) -> String {
        let mut buf = vec![0; octets.len() * 2 + 4];
        let mut out = Out::new(&mut buf);
        url_encode(octets, &mut out);
        String::from_utf8(out.finish().unwrap().to_vec()).unwrap()
    }

    /// A modulus; nobody asks whether it is one.
    fn modulus(octets: usize) -> Vec<u8> {
        vec![0xa5; octets]
    }

    fn rsa(members: Json) -> Json {
        extended(json!({"kty": "RSA", "n": text(&modulus(256)), "e": "AQAB"}), members)
    }

    fn ec(members: Json) -> Json {
        let (x, y) = (text(&[1; 32]), text(&[2; 32]));
        extended(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}), members)
    }

    /// Null removes a member.
    fn extended(mut key: Json, members: Json) -> Json {
        for (name, member) in members.as_object().unwrap().clone() {
            key[name] = member;
        }
        key.as_object_mut().unwrap().retain(|_, member| !member.is_null());
        key
    }

    fn refused(keys: Json) -> JwksError {
        let mut text = json!({ "keys": keys }).to_string().into_bytes();
        Jwks::parse(&mut text).unwrap_err()
    }

    /// Place, kid and scheme of the keys that come out.
    fn usable(keys: Json) -> Vec<(usize, Option<String>, Option<Scheme>)> {
        let mut text = json!({ "keys": keys, "other": 1 }).to_string().into_bytes();
        let jwks = Jwks::parse(&mut text).unwrap();
        jwks.keys().map(|k| (k.index(), k.kid().map(str::to_owned), k.scheme())).collect()
    }

    #[test]
    fn keys_come_out_as_they_are() {
        let p384 = json!({"kty": "EC", "crv": "P-384", "x": text(&[3; 48]), "y": text(&[4; 48]),
            "kid": "c", "alg": "ES384", "use": "sig", "key_ops": ["verify"], "x5c": [1], "more": {}});
        let keys = json!([rsa(json!({"kid": "a", "alg": "PS256"})), ec(json!({"kid": ""})), p384]);
        let mut text = json!({ "keys": keys }).to_string().into_bytes();
        let jwks = Jwks::parse(&mut text).unwrap();
        let keys: Vec<_> = jwks.keys().collect();
        assert_eq!(keys.iter().map(Jwk::kid).collect::<Vec<_>>(), [Some("a"), Some(""), Some("c")]);
        let schemes: Vec<_> = keys.iter().map(Jwk::scheme).collect();
        let expected = [Some(Scheme::RsaPssSha256), None, Some(Scheme::EcdsaP384Sha384)];
        assert_eq!(schemes, expected);
        let (mut ours, mut theirs) = ([0; MAX_SPKI_LEN], [0; MAX_SPKI_LEN]);
        let mut same = |at: usize, spki: Result<&[u8]>| {
            assert_eq!(keys[at].spki(&mut ours).unwrap(), spki.unwrap(), "{at}");
        };
        same(0, spki_from_rsa(&modulus(256), &[1, 0, 1], &mut theirs));
        same(1, spki_from_ec(&[1; 32], &[2; 32], &mut theirs));
        same(2, spki_from_ec(&[3; 48], &[4; 48], &mut theirs));
        let shown = format!("{jwks:?} {:?}", jwks.keys());
        assert!(shown.contains("kid: Some(\"a\")") && !shown.contains("AQAB"), "{shown}");
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        let others = [
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "h"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "o"}),
            json!({"kty": "new", "kid": "n"}),
            json!({"kty": "ec"}),
            ec(json!({"crv": "P-521"})),
            ec(json!({"crv": "secp256k1"})),
            rsa(json!({"use": "enc"})),
            rsa(json!({"use": ""})),
            rsa(json!({"key_ops": []})),
            rsa(json!({"key_ops": ["encrypt", 1]})),
            rsa(json!({"alg": "RS384"})),
            rsa(json!({"alg": "RSA-OAEP"})),
            rsa(json!({"alg": "none"})),
            ec(json!({"alg": "ECDH-ES"})),
        ];
        for other in &others {
            assert_eq!(
                usable(json!([other, ec(json!({"kid": "k"}))])),
                [(1, Some("k".into()), None)]
            );
        }
        assert_eq!(usable(json!(others)), []);
        assert_eq!(usable(json!([])), []);
        for ours in [json!({}), json!({"use": "sig"}), json!({"key_ops": ["sign", "verify"]})] {
            assert_eq!(usable(json!([rsa(ours)])), [(0, None, None)]);
        }
    }

    #[test]
    fn a_bad_key_spoils_the_set_and_is_named() {
        let bad = [
            (json!(1), "key"),
            (json!([]), "key"),
            (json!({}), "kty"),
            (json!({"kty": 1}), "kty"),
            (rsa(json!({"n": null})), "n"),
            (rsa(json!({"e": null})), "e"),
            (rsa(json!({"n": 1})), "n"),
            (rsa(json!({"n": "=="})), "JWK"),
            (rsa(json!({"n": text(&modulus(255))})), "RSA key"),
            (rsa(json!({"n": text(&modulus(1025))})), "JWK"),
            (rsa(json!({"e": "AQ"})), "RSA public key"),
            (rsa(json!({"e": "Ag"})), "RSA public key"),
            (rsa(json!({"alg": "ES256"})), "alg"),
            (rsa(json!({"alg": 1})), "alg"),
            (rsa(json!({"use": ["sig"]})), "use"),
            (rsa(json!({"key_ops": "verify"})), "key_ops"),
            (rsa(json!({"kid": 7})), "kid"),
            (rsa(json!({"d": text(&modulus(256))})), "d"),
            (rsa(json!({"d": "", "use": "enc"})), "d"),
            (ec(json!({"d": text(&[1; 32])})), "d"),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "d": "AAAA"}), "d"),
            (ec(json!({"crv": null})), "crv"),
            (ec(json!({"x": null})), "x"),
            (ec(json!({"y": text(&[1; 31])})), "EC public key"),
            (ec(json!({"x": text(&[1; 33])})), "EC public key"),
            (ec(json!({"alg": "ES384"})), "alg"),
            (ec(json!({"alg": "RS256"})), "alg"),
        ];
        for (key, field) in bad {
            let error = refused(json!([ec(json!({"kid": "k"})), key, ec(json!({"kid": "l"}))]));
            assert_eq!((error.key(), error.error().field()), (Some(1), field), "{key}");
            assert!(error.to_string().starts_with("keys[1]: "), "{error}");
            assert_eq!(Error::from(error), error.error());
        }
    }

    #[test]
    fn names_are_distinct_among_all() {
        let other = json!({"kty": "oct", "kid": "a"});
        for keys in [
            json!([ec(json!({"kid": "a"})), ec(json!({})), ec(json!({"kid": "a"}))]),
            json!([other, ec(json!({})), rsa(json!({"kid": "a"}))]),
            json!([rsa(json!({"kid": "a"})), ec(json!({})), other]),
        ] {
            let error = refused(keys);
            assert_eq!((error.key(), error.error().field()), (Some(2), "kid"));
        }
        assert_eq!(usable(json!([ec(json!({"kid": "a"})), ec(json!({"kid": "A"}))])).len(), 2);
        assert_eq!(usable(json!([ec(json!({})), ec(json!({}))])).len(), 2);
    }

    #[test]
    fn sets() {
        for bad in
            ["", "[]", "{}", "1", r#"{"keys":{}}"#, r#"{"keys":1}"#, r#"{"keys":[],"keys":[]}"#]
        {
            let error = Jwks::parse(&mut bad.as_bytes().to_vec()).unwrap_err();
            assert_eq!(error.key(), None, "{bad}");
        }
        let keys: Vec<_> = (0..MAX_KEYS).map(|i| ec(json!({"kid": i.to_string()}))).collect();
        assert_eq!(usable(json!(keys)).len(), MAX_KEYS);
        let others = vec![json!({"kty": "oct"}); MAX_KEYS + 1];
        assert_eq!(refused(json!(others)).error().kind(), ErrorKind::Capacity);
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes: Vec<u8>, kty in "RSA|EC|oct", n in "[A-Za-z0-9_=-]{0,6}", crv: String) {
            let _ = Jwks::parse(&mut bytes.clone());
            let key = json!({"kty": kty, "n": n, "e": n, "x": n, "y": n, "crv": crv});
            let mut text = json!({"keys": [key]}).to_string().into_bytes();
            let _ = Jwks::parse(&mut text).map(|jwks| jwks.keys().count());
        }
    }
}
