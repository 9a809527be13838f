//! Key sets: every key that comes out can be used, by both verifiers alike, and no name comes twice.
#![no_main]

use std::collections::HashSet;

use cloudauth_core::jws::Jwks;
use cloudauth_core::soft::SoftVerifier;
use cloudauth_core::verifier::{MAX_SPKI_LEN, PublicKey};
use cloudauth_keys::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let set = KeySet::from_jwks(data);
    let mut text = data.to_vec();
    let Ok(jwks) = Jwks::parse(&mut text) else {
        assert!(set.is_err());
        return;
    };
    let mut names = HashSet::new();
    let mut spki = [0; MAX_SPKI_LEN];
    for jwk in jwks.keys() {
        assert!(jwk.kid().is_none_or(|kid| names.insert(kid)));
        let key =
            PublicKey::from_spki(jwk.spki(&mut spki).expect("it was checked")).expect("it too");
        assert!(jwk.scheme().is_none_or(|scheme| key.supports(scheme)));
        let _ = SoftVerifier::new(&key);
    }
});
