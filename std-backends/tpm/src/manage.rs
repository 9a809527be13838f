//! Making, importing, listing and removing keys.

use core::cell::{Cell, RefCell};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use tempfile::NamedTempFile;
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::resource_handles::{Hierarchy as EsysHierarchy, Provision};
use tss_esapi::structures::{
    Auth, EncryptedSecret, Private, Public, SensitiveData, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall as _, UnMarshall as _};
use zeroize::Zeroizing;

use crate::authorize::pcr_digest;
use crate::device::{Device, Live};
use crate::error::{Call as _, Result, TpmError};
use crate::fapi::{self, FapiStore};
use crate::keyfile::KeyFile;
use crate::policy::{PcrSelection, Step, policy_digest};
use crate::public::{self, KeyKind, Template, Unique};
use crate::source::{Access, Hierarchy, KeySource, Parent, check_len, is_persistent};
use crate::wrap::{Sensitive, TYPE_ECC, TYPE_RSA, wrap};

/// Where a new key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// A new `TSS2 PRIVATE KEY` file, readable by its owner only.
    File(PathBuf),
    /// A persistent handle that is free.
    Handle(u32),
    /// A new path of a FAPI key store, under its storage root key.
    Fapi(FapiStore, String),
}

/// A key from outside.
pub enum Material {
    /// A private key: an unencrypted PKCS#8 `PrivateKeyInfo`, in DER.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// A secret for HMAC-SHA256, of 1 to 128 octets; for AWS, `AWS4` and the secret access key.
    Secret(Zeroizing<Vec<u8>>),
}

/// What there is to say about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The persistent handle, of a key that has one.
    pub handle: Option<u32>,
    /// The kind; none for a key of another use, such as a storage root key.
    pub kind: Option<KeyKind>,
    /// The SubjectPublicKeyInfo in DER, of a key pair on a known curve.
    pub public_key: Option<Vec<u8>>,
    /// The TPM Name.
    pub name: Vec<u8>,
    /// For people: what the key cannot do, and what it wants.
    pub notes: Vec<String>,
}

/// The keys at persistent handles.
///
/// # Errors
/// [`TpmError`] names the call, its return code and what to do.
pub fn list(access: &Access) -> Result<Vec<Description>> {
    Device::at(access.tcti.clone()).run(|live| {
        let mut found = Vec::new();
        for handle in live.persistent_handles()? {
            found.push(described(live, access, handle)?);
        }
        Ok(found)
    })
}

/// What is known of a key without using it. For a key file the TPM is not asked.
///
/// # Errors
/// As [`list`].
pub fn describe(access: &Access, source: &KeySource) -> Result<Description> {
    let device = || Device::at(access.tcti.clone());
    match source {
        KeySource::Handle(handle) => device().run(|live| described(live, access, *handle)),
        KeySource::Named { handle, name } => {
            let found = device().run(|live| described(live, access, *handle))?;
            if found.name != *name {
                return Err(TpmError::Key(format!(
                    "what is at the handle {handle:#x} is not the key that the key store names"
                )));
            }
            Ok(found)
        }
        KeySource::File(file) => {
            let public = Public::unmarshall(&file.public).call("Tss2_MU_TPMT_PUBLIC_Unmarshal")?;
            description(&public, None)
        }
    }
}

/// Makes a key in the TPM, under `access.parent` or the owner's ECC primary, with the authorization value of
/// `access.key_auth` and, with `pcrs`, usable only while these PCRs keep their present values.
///
/// # Errors
/// As [`list`]; a destination that exists is refused before anything is made.
pub fn create(
    access: &Access,
    kind: KeyKind,
    pcrs: Option<&PcrSelection>,
    destination: &Destination,
) -> Result<Description> {
    if kind == KeyKind::HmacSha256 {
        return Err(TpmError::Key(
            "a secret that only the TPM knows is of no use to AWS; import the secret access key instead"
                .to_owned(),
        ));
    }
    place(access, destination, pcrs, |live, parent, auth, policy| {
        let template = public::signing_template(kind, policy, !auth.is_empty(), None)?;
        make(live, access, parent, template, auth, None)
    })
}

/// Brings a key from outside into the TPM, as [`create`]. It is wrapped, or encrypted by the session, so
/// that who listens does not see it. One who can change what goes over the bus can take the parent's place
/// unless `access.pin` names the TPM.
///
/// # Errors
/// As [`create`]; the TPM may lack the key's size or curve.
pub fn import(
    access: &Access,
    material: &Material,
    pcrs: Option<&PcrSelection>,
    destination: &Destination,
) -> Result<Description> {
    match material {
        Material::Secret(secret) => {
            let data = SensitiveData::try_from(secret.as_slice())
                .ok()
                .filter(|_| (1..=128).contains(&secret.len()))
                .ok_or_else(|| TpmError::Key("a secret for HMAC has 1 to 128 octets".to_owned()))?;
            place(access, destination, pcrs, |live, parent, auth, policy| {
                let template =
                    public::signing_template(KeyKind::HmacSha256, policy, !auth.is_empty(), None)?;
                make(live, access, parent, template, auth, Some(data.clone()))
            })
        }
        Material::Pkcs8(der) => {
            let private = PrivateKey::from_pkcs8(der)?;
            place(access, destination, pcrs, |live, parent, auth, policy| {
                bring(live, access, parent, &private, auth, policy)
            })
        }
    }
}

/// Removes the key with this Name from a persistent handle. A key file is removed like any file.
///
/// # Errors
/// As [`list`]; when another key is there, or a storage key, under which others were made.
pub fn delete(access: &Access, handle: u32, name: &[u8]) -> Result<()> {
    let sent = Cell::new(false);
    Device::at(access.tcti.clone()).run(|live| {
        // The connection broke behind the command, which the TPM has done.
        if sent.get() && !live.persistent_handles()?.contains(&handle) {
            return Ok(());
        }
        let (public, object) = read(live, access, handle)?;
        let done = removable(&public, name).and_then(|()| {
            sent.set(true);
            evict(live, access, object, handle)
        });
        live.close_persistent(object);
        done
    })
}

fn removable(public: &Public, name: &[u8]) -> Result<()> {
    if public::name(public)? != name {
        return Err(TpmError::Key(
            "another key is at this handle now; nothing was deleted".to_owned(),
        ));
    }
    if public::kind(public).is_none() {
        return Err(TpmError::Key(
            "it is no key of this program but a storage or endorsement key, that others depend on; \
             tpm2_evictcontrol removes it"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The key at a handle, which the caller closes.
fn read(live: &mut Live, access: &Access, handle: u32) -> Result<(Public, ObjectHandle)> {
    let object = live.persistent(handle)?;
    match live.public(KeyHandle::from(object), access.pin.as_ref()) {
        Ok(public) => Ok((public, object)),
        Err(error) => {
            live.close_persistent(object);
            Err(error)
        }
    }
}

fn described(live: &mut Live, access: &Access, handle: u32) -> Result<Description> {
    let (public, object) = read(live, access, handle)?;
    live.close_persistent(object);
    description(&public, Some(handle))
}

fn description(public: &Public, handle: Option<u32>) -> Result<Description> {
    let (attributes, _, policy) = public::common(public);
    let mut notes = Vec::new();
    if public::is_storage(public) {
        notes.push("a storage key: other keys are made under it; it does not sign".to_owned());
    } else {
        let usable = match public {
            Public::KeyedHash { .. } => public::check_mac(public),
            _ => public::schemes(public).map(|_| ()),
        };
        if let Err(error) = usable {
            notes.push(error.to_string());
        }
    }
    if !policy.is_empty() && !attributes.user_with_auth() {
        notes.push("it wants a policy: its file or pcrs= names the PCRs".to_owned());
    }
    if !attributes.fixed_tpm() {
        notes.push("it came from outside, or can be moved: copies may exist".to_owned());
    }
    Ok(Description {
        handle,
        kind: public::kind(public),
        public_key: public::spki(public).ok(),
        name: public::name(public)?,
        notes,
    })
}

/// The parent, and its public area as it was checked.
struct Above {
    handle: KeyHandle,
    public: Public,
}

/// A key that was made, still outside of the TPM.
struct Made {
    public: Public,
    private: Private,
}

/// What all ways to a new key share: the destination is checked, the parent found, the policy computed.
fn place(
    access: &Access,
    destination: &Destination,
    pcrs: Option<&PcrSelection>,
    make: impl Fn(&mut Live, &Above, &Auth, &[u8]) -> Result<Made>,
) -> Result<Description> {
    let mut parent = access.parent.unwrap_or(Parent::Ecc(Hierarchy::Owner));
    if parent == Parent::Ek {
        return Err(TpmError::Key(
            "new keys are not made under the endorsement key, under which only keys from elsewhere are loaded; \
             leave parent out"
                .to_owned(),
        ));
    }
    // What FAPI makes its primaries from has no attribute noDA.
    let mut template = Template::Tcg;
    match destination {
        Destination::File(path) if path.symlink_metadata().is_ok() => return Err(exists(path)),
        Destination::Fapi(store, path) => {
            let file = store.new_file(path)?;
            if file.symlink_metadata().is_ok() {
                return Err(exists(&file));
            }
            if access.parent.is_some() || pcrs.is_some() {
                return Err(TpmError::Key(
                    "a new key in a FAPI store is under its storage root key, and has no PCR policy; leave \
                     parent and pcrs out"
                        .to_owned(),
                ));
            }
            (parent, template) = (store.srk_of(path)?, Template::Tools);
        }
        Destination::Handle(handle) if !is_persistent(*handle) => {
            return Err(TpmError::Key(format!(
                "{handle:#x} is no persistent handle (0x81000000 to 0x817fffff)"
            )));
        }
        _ => {}
    }
    let auth = access.key_auth()?.unwrap_or_default();
    check_len(&auth, "auth-source", HashingAlgorithm::Sha256)?;
    let sent: RefCell<Option<Description>> = RefCell::new(None);
    Device::at(access.tcti.clone()).run(|live| {
        if let Destination::Handle(handle) = destination
            && live.persistent_handles()?.contains(handle)
        {
            // The connection broke behind the command, which the TPM has done.
            if let Some(ours) = sent.take()
                && described(live, access, *handle)?.name == ours.name
            {
                return Ok(ours);
            }
            return Err(TpmError::Key(format!(
                "the handle {handle:#x} is occupied; choose another, or remove the key there first"
            )));
        }
        let steps = steps(live, pcrs, &auth)?;
        let hash = HashingAlgorithm::Sha256;
        let policy = match steps.as_slice() {
            [] => Vec::new(),
            steps => policy_digest(hash, steps).unwrap_or_default(),
        };
        let pin = access.pin.as_ref();
        let handle =
            live.parent(parent, template, pin, || access.parent_auth(), || access.owner_auth())?;
        let above = Above { handle, public: live.check_parent(handle, pin)? };
        let made = make(live, &above, &auth, &policy)?;
        match destination {
            Destination::File(path) => {
                let file = KeyFile {
                    parent,
                    empty_auth: Some(auth.is_empty()),
                    policy: (!steps.is_empty()).then_some(steps),
                    public: made.public.marshall().call("Tss2_MU_TPMT_PUBLIC_Marshal")?,
                    private: made.private.value().to_vec(),
                    secret: None,
                };
                write(path, file.to_pem()?.as_bytes())?;
                description(&made.public, None)
            }
            Destination::Fapi(store, path) => {
                let file = store.new_file(path)?;
                if let Some(dir) = file.parent() {
                    fs::create_dir_all(dir).map_err(|error| {
                        TpmError::Format(format!("make {dir:?}: {}", error.kind()))
                    })?;
                }
                let object = fapi::object(&made.public, made.private.value(), !auth.is_empty())?;
                write(&file, object.as_bytes())?;
                description(&made.public, None)
            }
            Destination::Handle(handle) => {
                let made_here = description(&made.public, Some(*handle))?;
                let session = live.hmac_session(pin)?;
                let (public, private) = (made.public, made.private);
                let key = live
                    .context
                    .execute_with_session(Some(session), |c| c.load(above.handle, private, public))
                    .call("Esys_Load")?;
                sent.replace(Some(made_here.clone()));
                live.with_transient(key.into(), |live| evict(live, access, key.into(), *handle))?;
                Ok(made_here)
            }
        }
    })
}

fn steps(live: &mut Live, pcrs: Option<&PcrSelection>, auth: &Auth) -> Result<Vec<Step>> {
    let Some(selection) = pcrs else { return Ok(Vec::new()) };
    let hash = HashingAlgorithm::Sha256;
    let digest = pcr_digest(live, selection, hash)?;
    let mut steps = vec![Step::Pcr { selection: selection.clone(), digest }];
    if !auth.is_empty() {
        steps.push(Step::AuthValue);
    }
    Ok(steps)
}

/// TPM2_EvictControl: writes a loaded key to a free handle, or removes a persistent one from its own.
fn evict(live: &mut Live, access: &Access, object: ObjectHandle, handle: u32) -> Result<()> {
    let owner = ObjectHandle::from(EsysHierarchy::Owner);
    let session = live.hmac_session(access.pin.as_ref())?;
    live.context.tr_set_auth(owner, access.owner_auth()?).call("Esys_TR_SetAuth")?;
    let persistent =
        Persistent::Persistent(PersistentTpmHandle::new(handle).call("TPMI_DH_PERSISTENT")?);
    let done = live.context.execute_with_session(Some(session), |context| {
        context.evict_control(Provision::Owner, object, persistent)
    });
    live.context.tr_set_auth(owner, Auth::default()).call("Esys_TR_SetAuth")?;
    let mut new = done.call("Esys_EvictControl")?;
    if !new.is_none() {
        live.context.tr_close(&mut new).call("Esys_TR_Close")?;
    }
    Ok(())
}

/// TPM2_Create; its first parameter, with the authorization value and the secret, is encrypted.
fn make(
    live: &mut Live,
    access: &Access,
    parent: &Above,
    template: Public,
    auth: &Auth,
    data: Option<SensitiveData>,
) -> Result<Made> {
    let session = live.hmac_session(access.pin.as_ref())?;
    let made = live
        .context
        .execute_with_session(Some(session), |context| {
            context.create(parent.handle, template, Some(auth.clone()), data, None, None)
        })
        .call("Esys_Create")?;
    Ok(Made { public: made.out_public, private: made.out_private })
}

/// TPM2_Import of a key that is wrapped for the parent.
fn bring(
    live: &mut Live,
    access: &Access,
    parent: &Above,
    key: &PrivateKey,
    auth: &Auth,
    policy: &[u8],
) -> Result<Made> {
    let public =
        public::signing_template(key.kind, policy, !auth.is_empty(), Some(key.unique.clone()))?;
    let kind = if matches!(key.unique, Unique::Rsa(_)) { TYPE_RSA } else { TYPE_ECC };
    // The TPM wants its own form of the value: without zeros at its end.
    let value = auth.value();
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let auth = value.get(..end).unwrap_or_default();
    let sensitive = Sensitive { kind, auth, seed: &[], value: &key.secret };
    let wrapped = wrap(&parent.public, &public, &sensitive)?;
    let duplicate = Private::try_from(wrapped.duplicate.as_slice()).call("TPM2B_PRIVATE")?;
    let secret =
        EncryptedSecret::try_from(wrapped.secret.as_slice()).call("TPM2B_ENCRYPTED_SECRET")?;
    let session = live.hmac_session(access.pin.as_ref())?;
    let null = SymmetricDefinitionObject::Null;
    let private = live
        .context
        .execute_with_session(Some(session), |context| {
            context.import(parent.handle.into(), None, public.clone(), duplicate, secret, null)
        })
        .call("Esys_Import")?;
    Ok(Made { public, private })
}

/// The parts of a private key that a TPM wants.
struct PrivateKey {
    kind: KeyKind,
    unique: Unique,
    /// One prime, or the scalar.
    secret: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    fn from_pkcs8(der: &[u8]) -> Result<Self> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        let bad = || {
            TpmError::Format("the private key is damaged, or no RSA, P-256 or P-384 key".to_owned())
        };
        let members = |der: &[u8]| -> Option<Vec<Zeroizing<Vec<u8>>>> {
            let outer = AnyRef::from_der(der).ok().filter(|any| any.tag() == Tag::Sequence)?;
            let mut reader = SliceReader::new(outer.value()).ok()?;
            let mut found = Vec::new();
            while !reader.is_finished() {
                found.push(Zeroizing::new(AnyRef::decode(&mut reader).ok()?.value().to_vec()));
            }
            Some(found)
        };
        let info = members(der).ok_or_else(bad)?;
        let [_, algorithm, key, ..] = info.as_slice() else { return Err(bad()) };
        let oid = AnyRef::decode(&mut SliceReader::new(algorithm).map_err(|_| bad())?);
        let parts = members(key).ok_or_else(bad)?;
        if oid.map_err(|_| bad())?.value() == RSA {
            let [_, n, e, _, p, ..] = parts.as_slice() else { return Err(bad()) };
            let strip = |integer: &[u8]| integer.strip_prefix(&[0]).unwrap_or(integer).to_vec();
            if strip(e) != [1, 0, 1] {
                return Err(TpmError::Key(
                    "a TPM takes RSA keys with the exponent 65537".to_owned(),
                ));
            }
            let n = strip(n);
            let kind = match n.len() {
                256 => KeyKind::Rsa2048,
                384 => KeyKind::Rsa3072,
                512 => KeyKind::Rsa4096,
                _ => {
                    return Err(TpmError::Key(
                        "a TPM takes RSA keys of 2048, 3072 or 4096 bits".to_owned(),
                    ));
                }
            };
            return Ok(Self { kind, unique: Unique::Rsa(n), secret: Zeroizing::new(strip(p)) });
        }
        // The public half need not be in the file.
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok();
        let p384 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).ok();
        let (pair, kind, size) = match p256 {
            Some(pair) => (pair, KeyKind::EcP256, 32),
            None => (p384().ok_or_else(bad)?, KeyKind::EcP384, 48),
        };
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..).and_then(|xy| xy.split_at_checked(size)).ok_or_else(bad)?;
        let scalar = parts.get(1).filter(|scalar| scalar.len() == size).ok_or_else(bad)?;
        Ok(Self { kind, unique: Unique::Ec(x.to_vec(), y.to_vec()), secret: scalar.clone() })
    }
}

fn exists(path: &Path) -> TpmError {
    TpmError::Format(format!("{path:?} exists, and is not overwritten; choose another name"))
}

/// Writes a new file, whole or not at all, readable by its owner only.
fn write(path: &Path, text: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        kind => TpmError::Format(format!("write {path:?}: {kind}")),
    };
    // Beside its place, because files are not moved between file systems.
    let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(beside.unwrap_or(Path::new("."))).map_err(failed)?;
    file.write_all(text).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist_noclobber(path).map(|_| ()).map_err(|error| failed(error.error))
}
