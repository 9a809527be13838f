//! Keys that sign and tag in a TPM.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use cloudauth_core::digest::sha256;
use cloudauth_core::signer::ecdsa_raw_from_parts;
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::{Mac, Scheme, SignError, Signer, ToSign};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::pss::VerifyingKey;
use rsa::signature::hazmat::PrehashVerifier as _;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, Digest, EncryptedSecret, HashcheckTicket, MaxBuffer, Private, Public, Signature,
    SignatureScheme, SymmetricDefinitionObject,
};
use tss_esapi::traits::UnMarshall as _;
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;

use crate::authorize::{Authorization, authorization, pcr_changed};
use crate::device::{Device, Live, Loaded};
use crate::error::{Call as _, Rc, Result, TpmError};
use crate::keyfile::KeyFile;
use crate::policy::{PcrSelection, Step};
use crate::public::{self, Template};
use crate::source::{Access, KeySource, Parent, check_len};
use crate::trust::next_count;

/// Which key of which TPM.
pub struct KeyQuery {
    /// The TPM, and the authorization values.
    pub access: Access,
    /// The key.
    pub source: KeySource,
    /// The PCRs of the key's policy, when its file does not name them.
    pub pcrs: Option<PcrSelection>,
}

impl fmt::Debug for KeyQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyQuery({:?}, {:?})", self.source, self.access)
    }
}

/// What both kinds of key share.
pub(crate) struct Handle {
    device: Arc<Device>,
    id: u64,
    query: KeyQuery,
    auth: Auth,
    refused: AtomicBool,
    /// Whether the TPM counts a wrong value, and locks itself after some.
    guarded: bool,
    /// The state of that count when there was room for a wrong value.
    count: AtomicU64,
    pub(crate) public: Public,
    name: Vec<u8>,
    authorization: Authorization,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Handle {
    pub(crate) fn open(query: KeyQuery) -> Result<Self> {
        let device = Device::at(query.access.tcti.clone());
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        // Whatever a file says of an empty value: tpm2_encodeobject says the contrary of what is.
        let given = query.access.key_auth()?;
        let expected = query.source.name()?;
        let opened = device.run(|live| {
            let loaded = live.loaded(id, |live| load(live, &query))?;
            let public = live.public(KeyHandle::from(loaded.handle), query.access.pin.as_ref())?;
            let name = public::name(&public)?;
            if expected.as_ref().is_some_and(|expected| *expected != name) {
                return Err(TpmError::Key(
                    "what the TPM has in this place is not the key that the file or the key store names"
                        .to_owned(),
                ));
            }
            let authorization = authorization(live, &query, &public)?;
            let guarded = authorization.takes_value() && !public::common(&public).0.no_da();
            if guarded {
                live.check_tries()?;
            }
            Ok((public, name, authorization, guarded, live.count))
        });
        // Asked outside of the TPM's turn: people take their time.
        let opened = opened.and_then(|(public, name, authorization, guarded, count)| {
            let auth = match given {
                Some(auth) => auth,
                None if authorization.takes_value() && seems_to_have_value(&query, guarded) => {
                    query.access.ask_key_auth()?.unwrap_or_default()
                }
                None => Auth::default(),
            };
            check_len(&auth, "auth-source", public::common(&public).1)?;
            Ok((public, name, authorization, guarded, count, auth))
        });
        let (public, name, authorization, guarded, count, auth) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                device.unload(id);
                return Err(error);
            }
        };
        Ok(Self {
            device,
            id,
            query,
            auth,
            refused: AtomicBool::new(false),
            guarded,
            count: AtomicU64::new(count),
            public,
            name,
            authorization,
        })
    }

    /// Does `work` with the key in the TPM and a session that authorizes its use.
    fn with_key<T>(
        &self,
        work: impl Fn(&mut Live, ObjectHandle, AuthSession) -> Result<T>,
    ) -> Result<T> {
        let result = self.device.run(|live| {
            // In its turn: of many threads with a wrong value just one tries it.
            if self.refused.load(Ordering::Relaxed) {
                return Err(TpmError::Auth(
                    "the TPM refused the authorization value of this key before; it is not tried again, \
                     because repeated tries lock the TPM: correct it and open the key again"
                        .to_owned(),
                ));
            }
            let done = self.in_turn(live, &work);
            if done.as_ref().is_err_and(|e| e.is(Rc::AuthFail) || e.is(Rc::BadAuth)) {
                self.refused.store(true, Ordering::Relaxed);
                live.count = next_count();
            }
            done
        });
        match &result {
            Err(error) if error.is(Rc::PolicyFail) || error.is(Rc::PcrChanged) => {
                Err(self.policy_failed())
            }
            _ => result,
        }
    }

    fn in_turn<T>(
        &self,
        live: &mut Live,
        work: &impl Fn(&mut Live, ObjectHandle, AuthSession) -> Result<T>,
    ) -> Result<T> {
        let loaded = self.loaded(live)?;
        let same = live.last == Some(self.id);
        if loaded.persistent && !same {
            // Keys at the same handle share what ESYS knows of it: the Name that was read last.
            let name = live.context.tr_get_name(loaded.handle).call("Esys_TR_GetName")?;
            if name.value() != self.name {
                return Err(another_key());
            }
        }
        if self.guarded && self.count.load(Ordering::Relaxed) != live.count {
            live.check_tries()?;
            self.count.store(live.count, Ordering::Relaxed);
        }
        if !same {
            // Of no consequence for the TPM: the value stays on this side.
            live.context.tr_set_auth(loaded.handle, self.auth.clone()).call("Esys_TR_SetAuth")?;
            live.last = Some(self.id);
        }
        let session = match &self.authorization {
            Authorization::Value => live.hmac_session(self.query.access.pin.as_ref())?,
            Authorization::Policy(hash, steps) => self.satisfy(live, *hash, steps)?,
        };
        work(live, loaded.handle, session)
    }

    /// The key in its place. After a loss it must be the same one.
    fn loaded(&self, live: &mut Live) -> Result<Loaded> {
        live.loaded(self.id, |live| {
            let (handle, persistent) = load(live, &self.query)?;
            let name = live.context.tr_get_name(handle).call("Esys_TR_GetName")?;
            if name.value() != self.name {
                live.release(Loaded { handle, persistent });
                return Err(another_key());
            }
            Ok((handle, persistent))
        })
    }

    fn satisfy(
        &self,
        live: &mut Live,
        hash: HashingAlgorithm,
        steps: &[Step],
    ) -> Result<AuthSession> {
        let session = live.policy_session(hash, self.query.access.pin.as_ref())?;
        for step in steps {
            match step {
                Step::Pcr { selection, digest } => {
                    let digest = Digest::try_from(digest.as_slice()).call("TPM2B_DIGEST")?;
                    let list = selection.list()?;
                    let done = live
                        .context
                        .execute_without_session(|c| c.policy_pcr(session, digest, list))
                        .call("Esys_PolicyPCR");
                    // The digest of the values differs from the one that the key was made for.
                    if done.as_ref().is_err_and(|e| e.is(Rc::Value) || e.is(Rc::PcrChanged)) {
                        return Err(self.policy_failed());
                    }
                    done?;
                }
                Step::AuthValue => live
                    .context
                    .execute_without_session(|c| c.policy_auth_value(session))
                    .call("Esys_PolicyAuthValue")?,
            }
        }
        Ok(session.into())
    }

    fn policy_failed(&self) -> TpmError {
        let steps = match &self.authorization {
            Authorization::Policy(_, steps) => steps.as_slice(),
            Authorization::Value => &[],
        };
        let pcrs = steps.iter().find_map(|step| match step {
            Step::Pcr { selection, .. } => Some(selection),
            Step::AuthValue => None,
        });
        pcr_changed(pcrs)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.device.unload(self.id);
    }
}

fn another_key() -> TpmError {
    TpmError::Key("the TPM has another key in this place now; open the key again".to_owned())
}

/// Whether it is worth to ask for a value that no source gives. A file of FAPI or of OpenSSL's provider says it; of
/// a key at a handle nothing is known but that a wrong value would be counted.
fn seems_to_have_value(query: &KeyQuery, guarded: bool) -> bool {
    match query.source.file().and_then(|file| file.empty_auth) {
        Some(empty) => !empty,
        None => guarded,
    }
}

/// Brings the key into the TPM: its handle, and whether it is persistent.
fn load(live: &mut Live, query: &KeyQuery) -> Result<(ObjectHandle, bool)> {
    match &query.source {
        KeySource::Handle(handle) | KeySource::Named { handle, .. } => {
            Ok((live.persistent(*handle)?, true))
        }
        KeySource::File(file) => Ok((load_file(live, query, file)?, false)),
    }
}

fn load_file(live: &mut Live, query: &KeyQuery, file: &KeyFile) -> Result<ObjectHandle> {
    let parent = query.access.parent.unwrap_or(file.parent);
    match load_under(live, query, file, parent, Template::Tcg) {
        // A file says which hierarchy its primary is of, but not from which template it was made.
        Err(error) if error.is(Rc::Integrity) && is_primary(parent) => {
            load_under(live, query, file, parent, Template::Tools)
                .map_err(|other| if other.is(Rc::Integrity) { error } else { other })
        }
        result => result,
    }
}

/// Whether it is made from one of two templates.
fn is_primary(parent: Parent) -> bool {
    matches!(parent, Parent::Ecc(_) | Parent::Rsa(_))
}

/// Does what the parent must allow.
fn under<T>(
    live: &mut Live,
    query: &KeyQuery,
    parent: Parent,
    work: impl FnOnce(&mut Live, AuthSession) -> Result<T>,
) -> Result<T> {
    // First in any case: a pinned key is proved before anything else is done, and while there is room.
    let session = live.hmac_session(query.access.pin.as_ref())?;
    if parent == Parent::Ek { live.with_ek_policy(work) } else { work(live, session) }
}

fn load_under(
    live: &mut Live,
    query: &KeyQuery,
    file: &KeyFile,
    parent: Parent,
    template: Template,
) -> Result<ObjectHandle> {
    let public = Public::unmarshall(&file.public).call("Tss2_MU_TPMT_PUBLIC_Unmarshal")?;
    let private = Private::try_from(file.private.as_slice()).call("TPM2B_PRIVATE")?;
    let (access, pin) = (&query.access, query.access.pin.as_ref());
    let handle =
        live.parent(parent, template, pin, || access.parent_auth(), || access.owner_auth())?;
    let private = match &file.secret {
        None => Ok(private),
        Some(secret) => {
            let secret =
                EncryptedSecret::try_from(secret.as_slice()).call("TPM2B_ENCRYPTED_SECRET")?;
            let null = SymmetricDefinitionObject::Null;
            under(live, query, parent, |live, session| {
                live.context
                    .execute_with_session(Some(session), |context| {
                        context.import(handle.into(), None, public.clone(), private, secret, null)
                    })
                    .call("Esys_Import")
            })
        }
    };
    let loaded = private.and_then(|private| {
        under(live, query, parent, |live, session| {
            live.context
                .execute_with_session(Some(session), |context| {
                    context.load(handle, private, public)
                })
                .map(ObjectHandle::from)
                .call("Esys_Load")
        })
    });
    if is_primary(parent) && loaded.as_ref().is_err_and(|error| error.is(Rc::Integrity)) {
        live.forget_parent(handle);
    }
    loaded
}

/// A private key in a TPM: RSA, or EC on P-256 or P-384. It is `Send` and `Sync`; a TPM does one thing at a
/// time, so threads take turns.
pub struct TpmKey {
    handle: Handle,
    spki: Vec<u8>,
    /// The scheme, what it is called at the TPM, and the length of the signature.
    schemes: Vec<(Scheme, SignatureScheme, usize)>,
    /// Whether PSS signatures have the salt that verifiers of PS256 want. Found out once.
    pss: OnceLock<bool>,
}

impl TpmKey {
    /// Connects to the TPM and brings the key into it.
    ///
    /// # Errors
    /// [`TpmError`] names the call, its return code and what to do.
    pub fn open(query: KeyQuery) -> Result<Self> {
        let handle = Handle::open(query)?;
        let spki = public::spki(&handle.public)?;
        let key = PublicKey::from_spki(&spki).map_err(|e| TpmError::Key(e.to_string()))?;
        let schemes = public::schemes(&handle.public)?
            .into_iter()
            .map(|(scheme, name)| (scheme, name, key.max_signature_len(scheme)))
            .collect();
        Ok(Self { handle, spki, schemes, pss: OnceLock::new() })
    }

    /// What a user should know about the key.
    #[must_use]
    pub fn notes(&self) -> Vec<&'static str> {
        let mut notes = Vec::new();
        let pss = self.schemes.iter().any(|(scheme, ..)| *scheme == Scheme::RsaPssSha256);
        if pss && !self.supports(Scheme::RsaPssSha256) {
            notes.push(LONG_SALT);
        }
        notes
    }

    fn find(&self, scheme: Scheme) -> Option<(SignatureScheme, usize)> {
        let known = self.schemes.iter().find(|(s, ..)| *s == scheme);
        known.map(|(_, name, len)| (*name, *len))
    }

    /// Whether a signature of the TPM, over a message of our own, has a salt of 32 octets. A TPM that
    /// cannot be asked gets the benefit of the doubt: the signature itself will say what is wrong.
    fn short_salt(&self) -> bool {
        if let Some(known) = self.pss.get() {
            return *known;
        }
        const PROBE: &[u8] = b"cloudauth: which salt does this TPM use?";
        let Some((name, len)) = self.find(Scheme::RsaPssSha256) else { return false };
        let mut signature = vec![0; len];
        let digest = sha256(PROBE);
        match self.sign_with(Scheme::RsaPssSha256, name, &digest, &mut signature) {
            // A signature that is none says nothing of salts.
            Ok(()) => match has_short_salt(&self.spki, &digest, &signature) {
                Some(short) => *self.pss.get_or_init(|| short),
                None => true,
            },
            Err(_) => true,
        }
    }

    fn sign_with(
        &self,
        scheme: Scheme,
        name: SignatureScheme,
        digest: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        const WRONG: &str = "Esys_Sign: the TPM's signature is not as long as the public key says";
        let signature = self.handle.with_key(|live, handle, session| {
            let digest = Digest::try_from(digest).call("TPM2B_DIGEST")?;
            let ticket = no_ticket()?;
            live.context
                .execute_with_session(Some(session), |context| {
                    context.sign(KeyHandle::from(handle), digest, name, ticket)
                })
                .call("Esys_Sign")
        })?;
        match (&signature, scheme.coordinate_len()) {
            (Signature::RsaSsa(rsa) | Signature::RsaPss(rsa), None) => {
                // Of full length always; a leading zero may be left out.
                let value = rsa.signature().value();
                let missing = out.len().checked_sub(value.len());
                let missing = missing.ok_or_else(|| TpmError::Key(WRONG.to_owned()))?;
                let (zeros, rest) = out.split_at_mut(missing);
                zeros.fill(0);
                rest.copy_from_slice(value);
            }
            (Signature::EcDsa(ec), Some(size)) => {
                let (r, s) = (ec.signature_r().value(), ec.signature_s().value());
                ecdsa_raw_from_parts(r, s, size, out)
                    .map_err(|_| TpmError::Key(WRONG.to_owned()))?;
            }
            _ => {
                return Err(TpmError::Key(
                    "Esys_Sign: the TPM's signature is of another scheme".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

const LONG_SALT: &str = "this TPM makes PSS salts of the maximum length, which verifiers of PS256 refuse: the \
    key signs RS256 only";

/// Whether a PSS signature over a SHA-256 digest has a salt of 32 octets, the only one that verifiers take; none when
/// it is no signature with any salt.
fn has_short_salt(spki: &[u8], digest: &[u8], signature: &[u8]) -> Option<bool> {
    let short = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, spki);
    let imported = aws_lc_rs::digest::Digest::import_less_safe(digest, &SHA256).ok()?;
    if short.verify_digest(&imported, signature).is_ok() {
        return Some(true);
    }
    let key = RsaPublicKey::from_public_key_der(spki).ok()?;
    let any_salt = VerifyingKey::<sha2::Sha256>::new_with_auto_salt_len(key);
    let signature = rsa::pss::Signature::try_from(signature).ok()?;
    any_salt.verify_prehash(digest, &signature).ok().map(|()| false)
}

/// The ticket of a digest that was not made by the TPM.
fn no_ticket() -> Result<HashcheckTicket> {
    let ticket = TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: Default::default(),
    };
    HashcheckTicket::try_from(ticket).call("TPMT_TK_HASHCHECK")
}

impl Signer for TpmKey {
    fn public_key(&self) -> &[u8] {
        &self.spki
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.find(scheme).is_some() && (scheme != Scheme::RsaPssSha256 || self.short_salt())
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        self.find(scheme).map_or(0, |(_, len)| len)
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        const LONG: SignError = SignError::new("Esys_Sign", LONG_SALT);
        const INVALID: SignError = SignError::new(
            "Esys_Sign",
            "the TPM's signature does not verify with its public key; the TPM, or the way to it, is broken",
        );
        let (name, len) = self.find(scheme).ok_or(SignError::UNSUPPORTED)?;
        let out = out.get_mut(..len).ok_or(SignError::TOO_SMALL)?;
        if scheme == Scheme::RsaPssSha256 && self.pss.get() == Some(&false) {
            return Err(LONG);
        }
        let digest = to_sign.digest(scheme)?;
        self.sign_with(scheme, name, digest.as_ref(), out)?;
        if scheme == Scheme::RsaPssSha256 && self.pss.get().is_none() {
            let short = has_short_salt(&self.spki, digest.as_ref(), out).ok_or(INVALID)?;
            if !*self.pss.get_or_init(|| short) {
                return Err(LONG);
            }
        }
        Ok(len)
    }
}

impl fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<_> = self.schemes.iter().map(|(s, ..)| s).collect();
        write!(f, "TpmKey({:?}, {schemes:?})", self.handle.query)
    }
}

/// A secret key in a TPM that makes HMAC-SHA256 tags: for AWS it holds `AWS4` and the secret access key.
/// It is `Send` and `Sync`.
pub struct TpmMac(Handle);

impl TpmMac {
    /// Connects to the TPM and brings the key into it.
    ///
    /// # Errors
    /// [`TpmError`] names the call, its return code and what to do.
    pub fn open(query: KeyQuery) -> Result<Self> {
        let handle = Handle::open(query)?;
        public::check_mac(&handle.public)?;
        Ok(Self(handle))
    }
}

impl Mac for TpmMac {
    /// At most 1024 octets: what a TPM takes in one piece.
    fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError> {
        const LONG: SignError = SignError::new(
            "Esys_HMAC",
            "the message is longer than 1024 octets, which a TPM takes in one piece",
        );
        const LENGTH: SignError = SignError::new(
            "Esys_HMAC",
            "the tag has not 32 octets; the key is made for another hash",
        );
        if message.len() > MaxBuffer::MAX_SIZE {
            return Err(LONG);
        }
        let tag = self.0.with_key(|live, handle, session| {
            let buffer = MaxBuffer::try_from(message).call("TPM2B_MAX_BUFFER")?;
            live.context
                .execute_with_session(Some(session), |context| {
                    context.hmac(handle, buffer, HashingAlgorithm::Sha256)
                })
                .call("Esys_HMAC")
        })?;
        tag.value().try_into().map_err(|_| LENGTH)
    }
}

impl fmt::Debug for TpmMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TpmMac({:?})", self.0.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use rsa::RsaPrivateKey;
    use rsa::pkcs8::DecodePrivateKey as _;
    use rsa::pss::SigningKey;
    use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
    use rsa::traits::PublicKeyParts as _;

    /// A device that makes salts of the maximum length, beside one that makes them as verifiers want.
    #[test]
    fn salts() {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let key = RsaPrivateKey::from_pkcs8_der(pkcs8.as_ref()).unwrap();
        let mut spki = [0; 600];
        let spki =
            cloudauth_core::verifier::spki_from_rsa(&key.n_bytes(), &key.e_bytes(), &mut spki)
                .unwrap();
        let signed = |salt| {
            let signer = SigningKey::<sha2::Sha256>::new_with_salt_len(key.clone(), salt);
            signer.try_sign_with_rng(&mut getrandom::SysRng, b"m").unwrap().to_vec()
        };
        assert_eq!(has_short_salt(spki, &sha256(b"m"), &signed(32)), Some(true));
        for salt in [0, 20, 31, 33, 222] {
            assert_eq!(has_short_salt(spki, &sha256(b"m"), &signed(salt)), Some(false), "{salt}");
            assert_eq!(has_short_salt(spki, &sha256(b"n"), &signed(salt)), None, "{salt}");
        }
        assert_eq!(has_short_salt(spki, &sha256(b"n"), &signed(32)), None);
        let mut changed = signed(32);
        changed[100] ^= 1;
        assert_eq!(has_short_salt(spki, &sha256(b"m"), &changed), None);
        assert_eq!(has_short_salt(spki, &sha256(b"m"), &[0; 256]), None);
    }
}
