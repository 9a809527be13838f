//! What the tests of this crate share. Keys are made when the tests run: none is kept in the repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use cloudauth_core::Out;
use cloudauth_core::encode::base64;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use pkcs8::der::{Decode as _, Encode as _, Reader as _, SliceReader};

pub(crate) struct TestDir(tempfile::TempDir);

impl TestDir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file of this content with these permissions.
    pub(crate) fn write(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.path().join(name);
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        #[cfg(not(unix))]
        let _ = mode;
        path
    }
}

/// A FIFO, where the system has the program that makes one.
pub(crate) fn fifo(dir: &TestDir) -> Option<PathBuf> {
    let path = dir.path().join("fifo");
    let made = Command::new("mkfifo")
        .arg("-m")
        .arg("600")
        .arg(&path)
        .status();
    made.is_ok_and(|status| status.success()).then_some(path)
}

/// `der` as a PEM block.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = vec![0; base64::encoded_len(der.len())];
    base64::encode(der, &mut Out::new(&mut text));
    let lines: Vec<_> = text
        .chunks(64)
        .map(|l| core::str::from_utf8(l).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// An RSA key of 2048 bits in PKCS#8, the same in all tests of a run.
pub(crate) fn rsa_2048() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        key.as_der().unwrap().as_ref().to_vec()
    })
}

pub(crate) fn p256() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING))
}

pub(crate) fn p384() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING))
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
    EcdsaKeyPair::generate(algorithm)
        .unwrap()
        .to_pkcs8v1()
        .unwrap()
        .as_ref()
        .to_vec()
}

/// The key inside PKCS#8: PKCS#1 for RSA, SEC1 (here without its curve) for EC.
pub(crate) fn inner(pkcs8: &[u8]) -> Vec<u8> {
    PrivateKeyInfoRef::from_der(pkcs8)
        .unwrap()
        .private_key
        .as_bytes()
        .to_vec()
}

/// SEC1 with its curve.
pub(crate) fn sec1(pkcs8: &[u8], algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap();
    key.private_key().as_der().unwrap().as_ref().to_vec()
}

/// The nine integers of [`rsa_2048`].
pub(crate) fn rsa_parts() -> Vec<Vec<u8>> {
    let der = inner(rsa_2048());
    let mut parts = Vec::new();
    SliceReader::new(&der)
        .unwrap()
        .sequence(|r| -> pkcs8::der::Result<()> {
            while !r.is_finished() {
                parts.push(UintRef::decode(r)?.to_der()?);
            }
            Ok(())
        })
        .unwrap();
    parts
}

pub(crate) fn der_uint(magnitude: &[u8]) -> Vec<u8> {
    UintRef::new(magnitude).unwrap().to_der().unwrap()
}

pub(crate) fn der_sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let mut der = OctetStringRef::new(&body).unwrap().to_der().unwrap();
    der[0] = 0x30;
    der
}

/// A PKCS#8 key with this algorithm, no parameters and nothing sensible inside.
pub(crate) fn pkcs8_with_oid(oid: &str) -> Vec<u8> {
    let oid = ObjectIdentifier::new(oid).unwrap().to_der().unwrap();
    let key = OctetStringRef::new(&[4, 1, 1]).unwrap().to_der().unwrap();
    der_sequence(&[der_uint(&[0]), der_sequence(&[oid]), key])
}
