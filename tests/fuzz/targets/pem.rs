//! Certificate files and key files: PEM of every kind, service-account JSON.
#![no_main]

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use cloudauth_core::Signer as _;
use cloudauth_core::verifier::PublicKey;
use cloudauth_keys::{Key, KeyUri, pem};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificates) = pem::certificates(data) {
        assert!(certificates.iter().all(|der| !der.is_empty()));
    }
    // Keys are opened by name alone, so the file is part of what is tested.
    let path = std::env::temp_dir().join(format!("cloudauth-fuzz-{}", std::process::id()));
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.expect("a file").write_all(data).expect("written");
    let uri = KeyUri::parse(&format!("file:{}", path.display())).expect("a plain path");
    if let Ok(key) = Key::open(&uri) {
        PublicKey::from_spki(key.public_key()).expect("a key has a public key");
    }
});
