//! Certificates, the public keys in them, and ECDSA signatures in DER.
#![no_main]

use cloudauth_core::signer::{ecdsa_der_from_raw, ecdsa_raw_from_der};
use cloudauth_core::soft::SoftVerifier;
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Out, Scheme, UnixTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::parse(data) {
        let mut serial = [0; 64];
        let mut out = Out::new(&mut serial);
        certificate.write_serial_decimal(&mut out);
        assert!(out.finish().expect("a serial of 20 octets").iter().all(u8::is_ascii_digit));
        let _ = certificate.check_validity(UnixTime::new(1_795_348_800).expect("a time"));
        let _ =
            (certificate.thumbprint_sha1(), certificate.thumbprint_sha256(), certificate.is_ca());
        key(certificate.spki());
    }
    key(data);
    for scheme in Scheme::ALL {
        let Some(size) = scheme.coordinate_len() else { continue };
        let mut raw = [0; 96];
        if let Ok(raw) = ecdsa_raw_from_der(data, size, &mut raw) {
            let mut der = [0; 128];
            assert_eq!(ecdsa_der_from_raw(raw, &mut der).expect("r and s are positive"), data);
        }
    }
});

fn key(spki: &[u8]) {
    if let Ok(key) = PublicKey::from_spki(spki) {
        assert_eq!(key.spki(), spki);
        let _ = (key.algorithm(), key.jwk_thumbprint(), SoftVerifier::new(&key));
    }
}
