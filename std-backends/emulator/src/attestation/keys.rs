//! The keys of the attestation services, each made when it is first used: RSA takes its time.

use core::cell::OnceCell;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::Chain;
use crate::EmulatorError;
use crate::keys::{hex, rsa_jwk, sha1, sha256};

/// How long the certificates are good, unless a variant says otherwise.
const LIFE: Duration = Duration::days(3650);

fn failed(error: impl core::fmt::Display) -> EmulatorError {
    EmulatorError::Tls(error.to_string())
}

/// What is in the cell, made where it is empty.
pub(super) fn once<T>(
    cell: &OnceCell<T>,
    make: impl FnOnce() -> Result<T, EmulatorError>,
) -> Result<&T, EmulatorError> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let new = make()?;
    Ok(cell.get_or_init(|| new))
}

/// An RSA-2048 key that signs tokens and certificates.
pub(super) struct Key {
    pub(super) pair: RsaKeyPair,
    certifier: KeyPair,
    /// SubjectPublicKeyInfo, DER.
    spki: Vec<u8>,
}

impl Key {
    pub(super) fn generate() -> Result<Self, EmulatorError> {
        let certifier = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(failed)?;
        let pair = RsaKeyPair::from_pkcs8(certifier.serialized_der()).map_err(failed)?;
        let spki = pair.public_key().as_der().map_err(failed)?.as_ref().to_vec();
        Ok(Self { pair, certifier, spki })
    }

    /// `kid` as Google writes it: 40 hexadecimal digits.
    pub(super) fn hex_id(&self) -> String {
        hex(&sha1(&self.spki))
    }

    /// `kid` as Microsoft writes it: base64 of 32 octets.
    pub(super) fn base64_id(&self) -> String {
        STANDARD.encode(sha256(&self.spki))
    }

    /// The public key in PEM.
    pub(super) fn public_pem(&self) -> String {
        self.certifier.public_key_pem()
    }

    pub(super) fn jwk(&self) -> Option<Value> {
        rsa_jwk(&self.pair, &self.hex_id())
    }

    /// As Microsoft publishes keys: a certificate and no numbers.
    fn certificate_jwk(&self) -> Result<Value, EmulatorError> {
        let params = params("Microsoft Azure Attestation (emulated)", None, LIFE);
        let certificate = params.self_signed(&self.certifier).map_err(failed)?;
        Ok(json!({
            "kty": "RSA", "kid": self.base64_id(), "x5c": [STANDARD.encode(certificate.der())],
        }))
    }
}

/// The keys of one issuer.
#[derive(Default)]
pub(super) struct Keys {
    current: OnceCell<Key>,
    previous: Option<Key>,
    /// Whether the previous key is no longer published.
    withdrawn: bool,
}

impl Keys {
    pub(super) fn current(&self) -> Result<&Key, EmulatorError> {
        once(&self.current, Key::generate)
    }

    /// The key before the last rotation.
    pub(super) fn previous(&self) -> Result<&Key, EmulatorError> {
        let none = || EmulatorError::Config("there is no previous key before a rotation".into());
        self.previous.as_ref().ok_or_else(none)
    }

    /// A new current key; the one so far stays published if it is to be kept.
    pub(super) fn rotate(&mut self, keep_previous: bool) -> Result<(), EmulatorError> {
        let new = Key::generate()?;
        self.current()?;
        self.previous = self.current.take();
        self.current = OnceCell::from(new);
        self.withdrawn = !keep_previous;
        Ok(())
    }

    fn published(&self) -> Result<impl Iterator<Item = &Key>, EmulatorError> {
        let previous = self.previous.as_ref().filter(|_| !self.withdrawn);
        Ok(core::iter::once(self.current()?).chain(previous))
    }

    /// The key set with numbers, as Google publishes it.
    pub(super) fn jwks(&self) -> Result<Value, EmulatorError> {
        Ok(json!({"keys": self.published()?.filter_map(Key::jwk).collect::<Vec<_>>()}))
    }

    /// The key set with certificates, as Microsoft publishes it.
    pub(super) fn certificates(&self) -> Result<Value, EmulatorError> {
        let keys: Result<Vec<_>, _> = self.published()?.map(Key::certificate_jwk).collect();
        Ok(json!({"keys": keys?}))
    }
}

/// A certificate of a name: of an authority that may certify so many levels below it, or of none.
fn params(name: &str, authority: Option<u8>, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Google LLC (emulated)");
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(Duration::days(2));
    params.not_after = now.saturating_add(life);
    if let Some(levels) = authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    params
}

/// A certificate of `key`, signed with the key `by` in the name of `issuer`.
fn signed(
    what: &CertificateParams,
    key: &Key,
    issuer: &str,
    by: &Key,
) -> Result<Vec<u8>, EmulatorError> {
    let issuer = params(issuer, Some(0), LIFE);
    let issuer = Issuer::from_params(&issuer, &by.certifier);
    Ok(what.signed_by(&key.certifier, &issuer).map_err(failed)?.der().to_vec())
}

const ROOT: &str = "Confidential Space Root CA";
const INTERMEDIATE: &str = "Confidential Space Intermediate CA";
const LEAF: &str = "Confidential Space Token Signer";

/// The public key infrastructure of PKI tokens.
#[derive(Default)]
pub(super) struct Pki {
    root: OnceCell<Key>,
    intermediate: OnceCell<Key>,
    leaf: OnceCell<Key>,
    root_certificate: OnceCell<rcgen::Certificate>,
    /// Leaf and intermediate.
    good: OnceCell<[Vec<u8>; 2]>,
}

impl Pki {
    pub(super) fn leaf(&self) -> Result<&Key, EmulatorError> {
        once(&self.leaf, Key::generate)
    }

    fn root_certificate(&self) -> Result<&rcgen::Certificate, EmulatorError> {
        let key = once(&self.root, Key::generate)?;
        once(&self.root_certificate, || {
            params(ROOT, Some(1), LIFE).self_signed(&key.certifier).map_err(failed)
        })
    }

    /// The root's certificate, PEM.
    pub(super) fn root_pem(&self) -> Result<String, EmulatorError> {
        Ok(self.root_certificate()?.pem())
    }

    fn by_root(&self, what: &CertificateParams, key: &Key) -> Result<Vec<u8>, EmulatorError> {
        signed(what, key, ROOT, once(&self.root, Key::generate)?)
    }

    /// The chain, and whether the attacker's key is the one in its leaf.
    pub(super) fn chain(
        &self,
        chain: Chain,
        attacker: &OnceCell<Key>,
    ) -> Result<(Vec<Vec<u8>>, bool), EmulatorError> {
        let middle = once(&self.intermediate, Key::generate)?;
        let leaf = self.leaf()?;
        let root = self.root_certificate()?.der().to_vec();
        let authority = |life| params(INTERMEDIATE, Some(0), life);
        let of_leaf = |life| params(LEAF, None, life);
        let good = match self.good.get() {
            Some(good) => good,
            None => {
                let leaf = signed(&of_leaf(LIFE), leaf, INTERMEDIATE, middle)?;
                let middle = self.by_root(&authority(LIFE), middle)?;
                self.good.get_or_init(|| [leaf, middle])
            }
        };
        let [good_leaf, good_middle] = good.clone();
        let past = -Duration::days(1);
        let attacker = || once(attacker, Key::generate);
        Ok(match chain {
            Chain::Good => (vec![good_leaf, good_middle, root], false),
            Chain::MissingIntermediate => (vec![good_leaf, root], false),
            Chain::LeafAlone => (vec![good_leaf], false),
            Chain::Empty => (Vec::new(), false),
            Chain::Reversed => (vec![root, good_middle, good_leaf], false),
            Chain::Four => (vec![good_leaf, good_middle.clone(), good_middle, root], false),
            Chain::ExpiredLeaf => {
                let leaf = signed(&of_leaf(past), leaf, INTERMEDIATE, middle)?;
                (vec![leaf, good_middle, root], false)
            }
            Chain::FutureLeaf => {
                let mut future = of_leaf(LIFE);
                future.not_before = OffsetDateTime::now_utc().saturating_add(Duration::days(1));
                let leaf = signed(&future, leaf, INTERMEDIATE, middle)?;
                (vec![leaf, good_middle, root], false)
            }
            Chain::ExpiredIntermediate => {
                (vec![good_leaf, self.by_root(&authority(past), middle)?, root], false)
            }
            Chain::WrongRoot | Chain::WrongRootUnderGood => {
                let attacker = attacker()?;
                let leaf = signed(&of_leaf(LIFE), attacker, INTERMEDIATE, attacker)?;
                let middle = signed(&authority(LIFE), attacker, ROOT, attacker)?;
                let own = params(ROOT, Some(1), LIFE).self_signed(&attacker.certifier);
                let own = own.map_err(failed)?.der().to_vec();
                let last = if chain == Chain::WrongRoot { own } else { root };
                (vec![leaf, middle, last], true)
            }
            Chain::IntermediateNoAuthority => {
                let leaf = signed(&of_leaf(LIFE), attacker()?, INTERMEDIATE, middle)?;
                let middle = self.by_root(&params(INTERMEDIATE, None, LIFE), middle)?;
                (vec![leaf, middle, root], true)
            }
            Chain::LeafAsAuthority => {
                let forged = signed(&of_leaf(LIFE), attacker()?, LEAF, leaf)?;
                (vec![forged, good_leaf, good_middle], true)
            }
            Chain::TooLong => {
                // The intermediate may certify no further authority.
                let attacker = attacker()?;
                let leaf = signed(&of_leaf(LIFE), attacker, "Sub", attacker)?;
                let sub = signed(&params("Sub", Some(0), LIFE), attacker, INTERMEDIATE, middle)?;
                (vec![leaf, sub, good_middle], true)
            }
        })
    }
}
