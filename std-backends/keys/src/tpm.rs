//! Keys of `tpm:` URIs: making, importing, listing and removing them.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::manage::{Description, KeyKind, Material};
use crate::{
    KeyAlgorithm, KeyError, KeyUri, Prompt, PublicVerifier, Result, SecretRef, TpmUri, Warning,
    files, pem,
};
use cloudauth_core::verifier::{self, PublicKey};
use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use cloudauth_tpm::{
    Access, AuthProvider, Destination, FapiStore, KeyFile, KeyQuery, KeySource, Parent,
    PcrSelection, Pin, Tcti, TpmError, TpmKey, TpmMac,
};

/// For a URI of the TPM alone, which only lists keys.
const NO_KEY: &str = "it names no key; add handle=0x81000005, file=key.pem or fapi=/HS/SRK/name";

/// A key whose first signature of each scheme is verified here.
pub(crate) struct CheckedKey {
    key: TpmKey,
    algorithm: KeyAlgorithm,
    checked: [AtomicBool; Scheme::ALL.len()],
}

impl CheckedKey {
    pub(crate) fn open(
        uri: &TpmUri,
        place: &str,
        prompt: &Prompt,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        let query = query(uri, place, prompt, warnings)?;
        let key = TpmKey::open(query).map_err(|e| failed(place, e))?;
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

    pub(crate) fn notes(&self) -> Vec<&'static str> {
        self.key.notes()
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
            let digest = to_sign.digest(scheme)?;
            PublicVerifier::from_spki(self.public_key())
                .and_then(|public| public.verify_digest(scheme, &digest, signature))
                .map_err(|_| WRONG)?;
            checked.store(true, Ordering::Relaxed);
        }
        Ok(len)
    }
}

pub(crate) fn open_mac(
    uri: &TpmUri,
    place: &str,
    prompt: &Prompt,
    warnings: &mut Vec<Warning>,
) -> Result<TpmMac> {
    TpmMac::open(query(uri, place, prompt, warnings)?).map_err(|e| failed(place, e))
}

fn failed(place: &str, error: TpmError) -> KeyError {
    KeyError::Tpm { place: place.to_owned(), error }
}

fn query(
    uri: &TpmUri,
    place: &str,
    prompt: &Prompt,
    warnings: &mut Vec<Warning>,
) -> Result<KeyQuery> {
    let source = source(uri, place, warnings)?;
    let mut access = access(uri, place)?;
    let (prompt, question) = (prompt.clone(), format!("{AUTH_QUESTION} {place} (Enter for none)"));
    access.ask_key_auth = Box::new(move || prompt.ask_optional(&question));
    Ok(KeyQuery { access, source, pcrs: pcrs(uri, place)? })
}

const AUTH_QUESTION: &str = "Authorization value of";

fn source(uri: &TpmUri, place: &str, warnings: &mut Vec<Warning>) -> Result<KeySource> {
    let failed = |error| failed(place, error);
    if let Some(handle) = uri.handle {
        return Ok(KeySource::Handle(handle));
    }
    if let Some(path) = &uri.fapi {
        return store(uri).and_then(|store| store.key(path)).map_err(failed);
    }
    let path = uri.file.as_ref().ok_or_else(|| KeyError::uri(NO_KEY))?;
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
    Ok(KeySource::File(Box::new(KeyFile::from_der(&block.der).map_err(failed)?)))
}

fn store(uri: &TpmUri) -> core::result::Result<FapiStore, TpmError> {
    let mut store = FapiStore::from_env()?;
    if let Some(profile) = &uri.fapi_profile {
        store.profile.clone_from(profile);
    }
    if let Some(dir) = &uri.fapi_user_dir {
        store.user_dir.clone_from(dir);
    }
    if let Some(dir) = &uri.fapi_system_dir {
        store.system_dir.clone_from(dir);
    }
    Ok(store)
}

fn access(uri: &TpmUri, place: &str) -> Result<Access> {
    let failed = |error| failed(place, error);
    let pin = match (&uri.srk_name, &uri.ek_name) {
        (Some(name), _) => Some(Pin::Srk(name.clone())),
        (None, Some(name)) => Some(Pin::Ek(name.clone())),
        (None, None) => None,
    };
    let [key_auth, parent_auth, owner_auth] =
        uri.sources().map(|(source, variable)| provider(source, variable));
    let tcti = match &uri.tcti {
        Some(text) => Tcti::parse(text),
        None => Tcti::from_env(),
    };
    Ok(Access {
        tcti: tcti.map_err(failed)?,
        parent: uri.parent.as_deref().map(Parent::parse).transpose().map_err(failed)?,
        pin,
        key_auth,
        ask_key_auth: Box::new(|| Ok(None)),
        parent_auth,
        owner_auth,
    })
}

fn pcrs(uri: &TpmUri, place: &str) -> Result<Option<PcrSelection>> {
    let parsed = uri.pcrs.as_deref().map(PcrSelection::parse).transpose();
    parsed.map_err(|error| failed(place, error))
}

/// Where a new key goes.
fn destination(uri: &TpmUri, place: &str) -> Result<Destination> {
    Ok(match (uri.handle, &uri.file, &uri.fapi) {
        (Some(handle), ..) => Destination::Handle(handle),
        (_, Some(path), _) => Destination::File(path.clone()),
        (_, _, Some(path)) => {
            Destination::Fapi(store(uri).map_err(|e| failed(place, e))?, path.clone())
        }
        _ => return Err(KeyError::uri(NO_KEY)),
    })
}

/// Makes a key in the TPM, and puts it where `uri` says: a new key file, a free persistent handle, or a new
/// path of a FAPI store. `auth-source` names the authorization value that it gets, `pcrs` the PCRs
/// whose present values its policy wants, `parent` what it hangs on.
pub(crate) fn create(uri: &KeyUri, attributes: &TpmUri, kind: KeyKind) -> Result<Description> {
    let place = uri.place();
    let (access, to) = (access(attributes, &place)?, destination(attributes, &place)?);
    let pcrs = pcrs(attributes, &place)?;
    let kind = match kind {
        KeyKind::Rsa2048 => cloudauth_tpm::KeyKind::Rsa2048,
        KeyKind::Rsa3072 => cloudauth_tpm::KeyKind::Rsa3072,
        KeyKind::Rsa4096 => cloudauth_tpm::KeyKind::Rsa4096,
        KeyKind::EcP256 => cloudauth_tpm::KeyKind::EcP256,
        KeyKind::EcP384 => cloudauth_tpm::KeyKind::EcP384,
        KeyKind::HmacSha256 => cloudauth_tpm::KeyKind::HmacSha256,
    };
    cloudauth_tpm::create(&access, kind, pcrs.as_ref(), &to)
        .map(|made| description(uri.to_string(), made))
        .map_err(|e| failed(&place, e))
}

/// Brings a key from outside into the TPM, as `create`.
pub(crate) fn import(
    uri: &KeyUri,
    attributes: &TpmUri,
    material: &Material,
) -> Result<Description> {
    let place = uri.place();
    let (access, to) = (access(attributes, &place)?, destination(attributes, &place)?);
    let pcrs = pcrs(attributes, &place)?;
    let material = match material {
        Material::Pkcs8(der) => cloudauth_tpm::Material::Pkcs8(der.clone()),
        Material::Hmac(secret) => cloudauth_tpm::Material::Secret(secret.clone()),
    };
    cloudauth_tpm::import(&access, &material, pcrs.as_ref(), &to)
        .map(|made| description(uri.to_string(), made))
        .map_err(|e| failed(&place, e))
}

/// What is known of a key without using it.
pub(crate) fn describe(uri: &KeyUri, attributes: &TpmUri) -> Result<Description> {
    let place = uri.place();
    let source = source(attributes, &place, &mut Vec::new())?;
    let access = access(attributes, &place)?;
    cloudauth_tpm::describe(&access, &source)
        .map(|found| description(uri.to_string(), found))
        .map_err(|e| failed(&place, e))
}

/// Removes the key: from its handle, its file, or its FAPI path.
pub(crate) fn delete(uri: &KeyUri, attributes: &TpmUri) -> Result<Description> {
    let place = uri.place();
    let source = source(attributes, &place, &mut Vec::new())?;
    let access = access(attributes, &place)?;
    let found = cloudauth_tpm::describe(&access, &source).map_err(|e| failed(&place, e))?;
    let done = match (attributes.handle, &attributes.file, &attributes.fapi) {
        (Some(handle), ..) => cloudauth_tpm::delete(&access, handle, &found.name),
        (_, Some(path), _) => {
            if path.is_symlink() {
                return Err(KeyError::NotDone {
                    what: format!("delete {place}"),
                    help: "it is a symbolic link; name the file itself".to_owned(),
                });
            }
            std::fs::remove_file(path).map_err(|error| KeyError::Unreadable {
                place: files::place(path),
                reason: error.kind(),
            })?;
            Ok(())
        }
        (_, _, Some(path)) => store(attributes).and_then(|store| store.delete(path)),
        _ => Ok(()),
    };
    done.map(|()| description(uri.to_string(), found)).map_err(|error| failed(&place, error))
}

/// The keys at persistent handles of the TPM, each with its URI; those of a FAPI store if `uri` names its storage
/// root key; one alone if `uri` names it.
pub(crate) fn list(uri: &KeyUri, attributes: &TpmUri) -> Result<Vec<Description>> {
    if let Some(root) = &attributes.fapi {
        let paths = store(attributes).and_then(|store| store.list(root));
        if let Some(paths) = paths.map_err(|error| failed(&uri.place(), error))? {
            return paths.iter().map(|path| in_store(uri, path)).collect();
        }
    }
    let named = [attributes.handle.is_some(), attributes.file.is_some(), attributes.fapi.is_some()];
    if named.contains(&true) {
        return describe(uri, attributes).map(|one| vec![one]);
    }
    let place = uri.place();
    let found = cloudauth_tpm::list(&access(attributes, &place)?).map_err(|e| failed(&place, e))?;
    // With all that was said of the TPM, its pinned Name above all.
    let suffix = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let with_uri = |key: cloudauth_tpm::Description| {
        description(format!("tpm:handle={:#010x}{suffix}", key.handle.unwrap_or_default()), key)
    };
    Ok(found.into_iter().map(with_uri).collect())
}

/// A key of the store that `uri` names, or why it is none: one that is damaged does not hide the others.
fn in_store(uri: &KeyUri, path: &str) -> Result<Description> {
    let text = uri.to_string();
    let (before, query) = text.split_once('?').unwrap_or((&text, ""));
    let parts: Vec<_> = before
        .split(';')
        .map(|part| match part.trim_start_matches("tpm:") {
            attribute if attribute.starts_with("fapi=") => format!("fapi={path}"),
            other => other.to_owned(),
        })
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let one = format!("tpm:{}{mark}{query}", parts.join(";"));
    let parsed = KeyUri::parse(&one)?;
    let attributes = parsed.tpm().ok_or_else(|| KeyError::uri(NO_KEY))?;
    Ok(describe(&parsed, attributes).unwrap_or_else(|error| Description {
        uri: one.clone(),
        kind: "unusable".to_owned(),
        notes: vec![error.to_string()],
        ..Description::default()
    }))
}

fn description(uri: String, found: cloudauth_tpm::Description) -> Description {
    use cloudauth_tpm::KeyKind as Kind;
    let kind = match found.kind {
        Some(Kind::Rsa2048) => "RSA-2048",
        Some(Kind::Rsa3072) => "RSA-3072",
        Some(Kind::Rsa4096) => "RSA-4096",
        Some(Kind::EcP256) => "EC P-256",
        Some(Kind::EcP384) => "EC P-384",
        Some(Kind::HmacSha256) => "HMAC-SHA256",
        _ => "a key of another use",
    };
    let name: String = found.name.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut notes = found.notes;
    notes.push(format!("TPM Name {name}"));
    Description {
        uri,
        kind: kind.to_owned(),
        secret: found.kind == Some(Kind::HmacSha256),
        public_key: found.public_key,
        notes,
        ..Description::default()
    }
}

/// What reads an authorization value: from its source, else from a variable, which may not be there.
fn provider(source: Option<&SecretRef>, variable: &'static str) -> Box<AuthProvider> {
    let source = source.cloned();
    Box::new(move || match &source {
        Some(secret) => secret.read().map(Some).map_err(|e| e.to_string()),
        None => match SecretRef::variable(variable).read() {
            Ok(value) => Ok(Some(value)),
            Err(KeyError::NotSet { .. }) => Ok(None),
            // A variable that is set and empty is a mistake: for no value it is not set at all.
            Err(e) => Err(e.to_string()),
        },
    })
}
