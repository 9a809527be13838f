//! Keys of `tpm:` URIs.

use core::sync::atomic::{AtomicBool, Ordering};

use cloudauth_core::verifier::{self, PublicKey, Verifier as _};
use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use cloudauth_tpm::{
    Access, AuthProvider, KeyFile, KeyQuery, KeySource, Parent, PcrSelection, Pin, Tcti, TpmError,
    TpmKey, TpmMac,
};

use crate::{
    KeyAlgorithm, KeyError, PublicVerifier, Result, SecretRef, TpmUri, Warning, files, pem,
};

/// A key whose first signature of each scheme is verified here.
pub(crate) struct CheckedKey {
    key: TpmKey,
    algorithm: KeyAlgorithm,
    checked: [AtomicBool; Scheme::ALL.len()],
}

impl CheckedKey {
    pub(crate) fn open(uri: &TpmUri, place: &str, warnings: &mut Vec<Warning>) -> Result<Self> {
        let key = TpmKey::open(query(uri, place, warnings)?).map_err(|e| failed(place, e))?;
        let public = PublicKey::from_spki(key.public_key());
        let algorithm = match public.map(|key| key.algorithm()) {
            Ok(verifier::KeyAlgorithm::Rsa { bits }) => KeyAlgorithm::Rsa { bits },
            Ok(verifier::KeyAlgorithm::P256) => KeyAlgorithm::P256,
            Ok(verifier::KeyAlgorithm::P384) => KeyAlgorithm::P384,
            _ => return Err(KeyError::Inconsistent { place: place.to_owned() }),
        };
        let checked = [const { AtomicBool::new(false) }; Scheme::ALL.len()];
        Ok(Self { key, algorithm, checked })
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }
}

impl Signer for CheckedKey {
    fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.key.supports(scheme)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        self.key.max_signature_len(scheme)
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        const WRONG: SignError = SignError::new(
            "Esys_Sign",
            "the TPM's signature does not verify with its public key; the TPM, or the way to it, is broken",
        );
        let len = self.key.sign(scheme, to_sign, out)?;
        let checked = Scheme::ALL.iter().zip(&self.checked).find(|(s, _)| **s == scheme);
        if let Some((_, checked)) = checked
            && !checked.load(Ordering::Relaxed)
        {
            let signature = out.get(..len).ok_or(WRONG)?;
            PublicVerifier::from_spki(self.public_key())
                .and_then(|public| public.verify(scheme, to_sign.message(), signature))
                .map_err(|_| WRONG)?;
            checked.store(true, Ordering::Relaxed);
        }
        Ok(len)
    }
}

pub(crate) fn open_mac(uri: &TpmUri, place: &str, warnings: &mut Vec<Warning>) -> Result<TpmMac> {
    TpmMac::open(query(uri, place, warnings)?).map_err(|e| failed(place, e))
}

fn failed(place: &str, error: TpmError) -> KeyError {
    KeyError::Tpm { place: place.to_owned(), error }
}

fn query(uri: &TpmUri, place: &str, warnings: &mut Vec<Warning>) -> Result<KeyQuery> {
    let failed = |error| failed(place, error);
    let source = match (uri.handle, &uri.file) {
        (Some(handle), _) => KeySource::Handle(handle),
        (None, Some(path)) => {
            let text = files::read(path, false, warnings)?;
            let place = files::place(path);
            let blocks = pem::blocks(&text, &place)?;
            let mut keys = blocks.iter().filter(|block| block.label == "TSS2 PRIVATE KEY");
            let (Some(block), None) = (keys.next(), keys.next()) else {
                return Err(KeyError::malformed(
                    &place,
                    "expected one -----BEGIN TSS2 PRIVATE KEY----- block; other keys are opened with file:",
                ));
            };
            KeySource::File(Box::new(KeyFile::from_der(&block.der).map_err(failed)?))
        }
        (None, None) => return Err(KeyError::uri("tpm:fapi is not supported yet")),
    };
    let pin = match (&uri.srk_name, &uri.ek_name) {
        (Some(name), _) => Some(Pin::Srk(name.clone())),
        (None, Some(name)) => Some(Pin::Ek(name.clone())),
        (None, None) => None,
    };
    let [key_auth, parent_auth, owner_auth] =
        uri.sources().map(|(source, variable)| provider(source, variable));
    let access = Access {
        tcti: match &uri.tcti {
            Some(text) => Tcti::parse(text),
            None => Tcti::from_env(),
        }
        .map_err(failed)?,
        parent: uri.parent.as_deref().map(Parent::parse).transpose().map_err(failed)?,
        pin,
        key_auth,
        parent_auth,
        owner_auth,
    };
    let pcrs = uri.pcrs.as_deref().map(PcrSelection::parse).transpose().map_err(failed)?;
    Ok(KeyQuery { access, source, pcrs })
}

/// What reads an authorization value: from its source, else from a variable, which may not be there.
fn provider(source: Option<&SecretRef>, variable: &'static str) -> Box<AuthProvider> {
    let source = source.cloned();
    Box::new(move || match &source {
        Some(secret) => secret.read().map(Some).map_err(|e| e.to_string()),
        None => match SecretRef::variable(variable).read() {
            Ok(value) => Ok(Some(value)),
            Err(KeyError::NotSet { .. } | KeyError::Empty { .. }) => Ok(None),
            Err(e) => Err(e.to_string()),
        },
    })
}
