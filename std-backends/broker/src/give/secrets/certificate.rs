//! A certificate with its chain and private key, as Key Vault keeps it: PEM or PKCS#12.

use std::collections::BTreeMap;

use cloudauth_core::azure::keyvault::Content;
use cloudauth_core::encode::base64;
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::x509::Certificate;
use cloudauth_core::{Signer as _, UnixTime};
use cloudauth_keys::{Key, pem};
use p12_keystore::Pkcs12Archive;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

/// The most octets of one in PKCS#12. A vault's values have at most 25 KiB.
const MAX_PKCS12: usize = 256 * 1024;

/// A certificate with its key.
pub(super) struct Pair {
    /// `crt`, `key` and `chain`, each in PEM.
    pub(super) fields: BTreeMap<String, Zeroizing<Vec<u8>>>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
}

/// A private key (PKCS#8) and certificates, in DER and in no order.
type Parts = (Zeroizing<Vec<u8>>, Vec<Vec<u8>>);

/// The pair in a vault's value.
///
/// # Errors
/// What is wrong with it, without a part of it.
pub(super) fn read(value: &str, content: Content) -> Result<Pair, String> {
    let (key, certificates) = match content {
        Content::Pem => {
            let bad = |e: cloudauth_keys::KeyError| e.to_string();
            let key = pem::private_key(value.as_bytes()).map_err(bad)?;
            (key, pem::certificates(value.as_bytes()).map_err(bad)?)
        }
        Content::Pkcs12 => pkcs12(value)?,
    };
    pair(&key, certificates)
}

/// What is in a PKCS#12, which has one private key and no password.
fn pkcs12(value: &str) -> Result<Parts, String> {
    let value = value.trim_ascii().as_bytes();
    if value.len() > MAX_PKCS12 {
        return Err(format!("the PKCS#12 is larger than {MAX_PKCS12} octets"));
    }
    let mut space = Zeroizing::new(vec![0; value.len()]);
    let der = base64::decode(value, &mut space).map_err(|_| "the PKCS#12 is no base64")?;
    let archive = Pkcs12Archive::from_pkcs12(der, "")
        .map_err(|_| "the PKCS#12 is damaged, or has a password")?;
    let [key] = archive.keys.as_slice() else {
        return Err("the PKCS#12 has not exactly one private key".to_owned());
    };
    let key = Zeroizing::new(key.key.as_der().to_vec());
    let certificates = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec());
    Ok((key, certificates.collect()))
}

/// Finds the certificate of the key, and puts the others behind it, each issuer behind what it issued.
fn pair(key: &[u8], mut certificates: Vec<Vec<u8>>) -> Result<Pair, String> {
    let bad = |e: &dyn std::fmt::Display| e.to_string();
    let signer = Key::from_pkcs8(key).map_err(|e| bad(&e))?;
    let public = PublicKey::from_spki(signer.public_key()).map_err(|e| bad(&e))?;
    let certified = |der: &Vec<u8>| {
        let certificate = Certificate::parse(der);
        let spki = certificate.as_ref().map(Certificate::spki).unwrap_or_default();
        PublicKey::from_spki(spki).is_ok_and(|of| of == public)
    };
    let leaf = certificates.iter().position(certified);
    let leaf = leaf.ok_or("none of the certificates is of the private key")?;
    let leaf = certificates.remove(leaf);
    certificates.retain(|other| *other != leaf);
    let mut chain: Vec<Vec<u8>> = Vec::with_capacity(certificates.len());
    loop {
        let last = names(chain.last().unwrap_or(&leaf))?;
        // Who issued itself ends the chain.
        let issuer = certificates
            .iter()
            .position(|other| last.0 != last.1 && names(other).is_ok_and(|next| next.0 == last.1));
        match issuer {
            Some(at) => chain.push(certificates.remove(at)),
            None => break,
        }
    }
    chain.append(&mut certificates);
    let (not_before, not_after) = {
        let leaf = Certificate::parse(&leaf).map_err(|e| bad(&e))?;
        (leaf.not_before(), leaf.not_after())
    };
    let encode = |label, der: &[u8]| {
        let text = pem::encode(label, der).map_err(|e| bad(&e))?;
        Ok::<_, String>(Zeroizing::new(text.into_bytes()))
    };
    let chain: Vec<_> =
        chain.iter().map(|der| encode("CERTIFICATE", der)).collect::<Result<_, _>>()?;
    let chain = chain.iter().flat_map(|text| text.iter().copied()).collect();
    let fields = [
        ("crt", encode("CERTIFICATE", &leaf)?),
        ("key", encode("PRIVATE KEY", key)?),
        ("chain", Zeroizing::new(chain)),
    ];
    let fields = fields.map(|(field, text)| (field.to_owned(), text)).into();
    Ok(Pair { fields, not_before, not_after })
}

/// Subject and issuer, in DER.
fn names(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| "a certificate of the chain is damaged")?;
    Ok((certificate.subject().as_raw().to_vec(), certificate.issuer().as_raw().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// One pair, in PEM and in PKCS#12.
    static GOOD: LazyLock<(String, Vec<u8>)> = LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(["flask.example".to_owned()]).unwrap();
        let key = PrivateKey::from_der(&made.signing_key.serialize_der()).unwrap();
        let certificate = p12_keystore::Certificate::from_der(made.cert.der()).unwrap();
        let mut store = KeyStore::new();
        let chain = PrivateKeyChain::new("1", key, [certificate]);
        store.add_entry("flask", KeyStoreEntry::PrivateKeyChain(chain));
        // Few, so that many can be tried.
        let writer = store.writer("").mac_iterations(1).encryption_iterations(1);
        (made.cert.pem() + &made.signing_key.serialize_pem(), writer.write().unwrap())
    });

    #[test]
    fn both_forms() {
        let (pem, pkcs12) = &*GOOD;
        let pem = read(pem, Content::Pem).unwrap();
        let pkcs12 = read(&STANDARD.encode(pkcs12), Content::Pkcs12).unwrap();
        assert_eq!(pem.fields, pkcs12.fields);
        assert!(pem.fields["chain"].is_empty());
        // With a line end, as an editor leaves it.
        assert!(read(&(STANDARD.encode(&GOOD.1) + "\n"), Content::Pkcs12).is_ok());
        let large = "A".repeat(MAX_PKCS12 + 4);
        assert!(read(&large, Content::Pkcs12).is_err_and(|e| e.contains("larger")));
    }

    proptest! {
        /// A panic would end the broker for everybody.
        #[test]
        fn what_is_changed_never_panics(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let change = |octets: &mut Vec<u8>| {
                for (at, octet) in &changes {
                    let at = at.index(octets.len());
                    octets[at] = *octet;
                }
                octets.truncate(cut.map_or(octets.len(), |cut| cut.index(octets.len())));
            };
            let (mut pem, mut pkcs12) = (GOOD.0.clone().into_bytes(), GOOD.1.clone());
            change(&mut pkcs12);
            change(&mut pem);
            let _ = read(&STANDARD.encode(pkcs12), Content::Pkcs12);
            let _ = read(&String::from_utf8_lossy(&pem), Content::Pem);
        }

        #[test]
        fn octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&STANDARD.encode(&octets), Content::Pkcs12);
            let _ = read(&String::from_utf8_lossy(&octets), Content::Pem);
        }
    }
}
