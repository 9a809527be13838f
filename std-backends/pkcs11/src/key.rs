//! Keys that sign and tag in a token.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use cloudauth_core::signer::ecdsa_raw_from_parts;
use cloudauth_core::verifier::PublicKey;
use cloudauth_core::{Mac, Scheme, SignError, Signer, ToSign};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use crate::error::{CallError, Pkcs11Error, Result};
use crate::mechanism::{Mechanism, SHA256_DIGEST_INFO};
use crate::modules::{Module, ModulePolicy};
use crate::object::{self, KeyClass, ObjectQuery};
use crate::token::{Pin, PinProvider, Token, TokenQuery};

/// Which key of which token, through which module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyQuery {
    /// The module's file, or with `module_name` the directory that holds it.
    pub module_path: Option<PathBuf>,
    /// The module's name, looked for where systems keep modules.
    pub module_name: Option<String>,
    /// The token.
    pub token: TokenQuery,
    /// The key.
    pub object: ObjectQuery,
}

/// Where a key is at the moment. After a loss another takes its place.
struct Live {
    token: Arc<Token>,
    key: ObjectHandle,
}

/// What both kinds of key share.
struct Handle {
    module: Arc<Module>,
    query: KeyQuery,
    kind: KeyClass,
    pin: Pin,
    live: RwLock<Arc<Live>>,
    /// How often the key was found.
    found: AtomicU64,
    facts: Facts,
}

/// What a key says about itself.
struct Facts {
    /// The SubjectPublicKeyInfo; empty for a secret key.
    public_key: Vec<u8>,
    always_authenticate: bool,
    /// Empty when all are allowed.
    allowed: Vec<MechanismType>,
}

/// What is read when a key is found.
struct Found {
    live: Live,
    facts: Facts,
}

impl Handle {
    fn open(
        query: KeyQuery,
        kind: KeyClass,
        pin: Box<PinProvider>,
        policy: &ModulePolicy,
    ) -> Result<Self> {
        let path = policy.find(query.module_path.as_deref(), query.module_name.as_deref())?;
        let module = Module::load(&path)?;
        let pin = Pin::new(pin);
        let Found { live, facts } = find_again(&module, &query, kind, &pin, None)?;
        let live = RwLock::new(Arc::new(live));
        Ok(Self { module, query, kind, pin, live, found: AtomicU64::new(1), facts })
    }

    fn live(&self) -> Arc<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs `data`; when the session, the login or the token is gone, finds the key again, once.
    fn sign(&self, mechanism: Mechanism, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.module.check_process()?;
        let live = self.live();
        match self.sign_once(&live, mechanism, data, out) {
            Err(Pkcs11Error::Call(error)) if error.is_loss() => {
                let live = self.recover(&live, error)?;
                self.sign_once(&live, mechanism, data, out)
            }
            result => result,
        }
    }

    fn sign_once(
        &self,
        live: &Live,
        mechanism: Mechanism,
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize> {
        let _entered = self.module.enter();
        let session = live.token.session()?;
        let result = self.sign_in(&session, live, mechanism, data, out);
        match &result {
            Ok(_) => live.token.put_back(session),
            Err(error) => live.token.discard(session, is_gone(error)),
        }
        result
    }

    fn sign_in(
        &self,
        session: &Session,
        live: &Live,
        mechanism: Mechanism,
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize> {
        self.module.raw.sign_init(session, mechanism, live.key)?;
        if self.facts.always_authenticate {
            live.token.authenticate(session, &self.pin)?;
        }
        Ok(self.module.raw.sign(session, data, out)?)
    }

    /// The key in its new place. Of several threads that noticed the loss one looks, the others wait.
    fn recover(&self, lost: &Arc<Live>, why: CallError) -> Result<Arc<Live>> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&live, lost) {
            return Ok(live.clone());
        }
        lost.token.retire(&why);
        self.module.revive(&why, lost.token.epoch)?;
        let found = find_again(&self.module, &self.query, self.kind, &self.pin, Some(&lost.token))?;
        if found.facts.public_key != self.facts.public_key {
            return Err(Pkcs11Error::Key(
                "the token has another key in this place now; open the key again".to_owned(),
            ));
        }
        *live = Arc::new(found.live);
        self.found.fetch_add(1, Ordering::Release);
        Ok(live.clone())
    }

    /// Whether the token signs with `mechanism`, and the key with it. With a guard of
    /// [`Module::enter`] in hand.
    fn signs_with(&self, token: &Token, mechanism: Mechanism) -> bool {
        let allowed = &self.facts.allowed;
        (allowed.is_empty() || allowed.contains(&mechanism.kind())) && token.signs_with(mechanism)
    }

    fn name(&self) -> String {
        format!("{}", self.live().token)
    }
}

/// As [`find`]. A token that was lost while nobody looked (its sessions are in a pool), or that the module
/// does not see, is looked for once more.
fn find_again(
    module: &Arc<Module>,
    query: &KeyQuery,
    kind: KeyClass,
    pin: &Pin,
    lost: Option<&Token>,
) -> Result<Found> {
    let epoch = module.epoch();
    let error = match find(module, query, kind, pin, lost) {
        Ok(found) => return Ok(found),
        Err((token, Pkcs11Error::Call(error))) if error.is_loss() => {
            if let Some(token) = token {
                token.retire(&error);
            }
            module.revive(&error, epoch)?;
            Pkcs11Error::Call(error)
        }
        Err((None, error @ (Pkcs11Error::Token(_) | Pkcs11Error::Replaced { .. }))) => error,
        Err((_, error)) => return Err(error),
    };
    // Where it cannot restart, a lost session may be all that was wrong.
    if !module.restart(lost)? && !matches!(error, Pkcs11Error::Call(_)) {
        return Err(error);
    }
    find(module, query, kind, pin, lost).map_err(|(_, error)| error)
}

/// The token, a login and the key. An error names the token that failed, when there is one.
fn find(
    module: &Arc<Module>,
    query: &KeyQuery,
    kind: KeyClass,
    pin: &Pin,
    lost: Option<&Token>,
) -> core::result::Result<Found, (Option<Arc<Token>>, Pkcs11Error)> {
    let _entered = module.enter();
    let token = Token::find(module, &query.token, lost).map_err(|e| (None, e))?;
    let read = || {
        let logged_in = token.login(pin)?;
        let session = token.session()?;
        let result = read(&session, &token, query, kind, logged_in);
        match &result {
            Err(error @ Pkcs11Error::Call(_)) => token.discard(session, is_gone(error)),
            _ => token.put_back(session),
        }
        result
    };
    match read() {
        Ok((key, facts)) => Ok(Found { live: Live { token, key }, facts }),
        Err(e) => Err((Some(token), e)),
    }
}

fn read(
    session: &Session,
    token: &Token,
    query: &KeyQuery,
    kind: KeyClass,
    logged_in: bool,
) -> Result<(ObjectHandle, Facts)> {
    let key = object::find(session, token, kind, &query.object, logged_in)?;
    let public_key = match kind {
        KeyClass::Private => object::public_key(session, &key)?,
        KeyClass::Secret => {
            object::check_mac(&key)?;
            Vec::new()
        }
    };
    let always_authenticate = key.always_authenticate();
    let allowed = object::allowed_mechanisms(session, key.handle)?;
    Ok((key.handle, Facts { public_key, always_authenticate, allowed }))
}

fn is_gone(error: &Pkcs11Error) -> bool {
    matches!(error, Pkcs11Error::Call(error) if error.session_is_gone())
}

/// A private key in a token: RSA of 2048 to 8192 bits, or EC on P-256 or P-384. It is `Send` and `Sync`;
/// threads sign in parallel, each in a session of its own.
pub struct TokenKey {
    handle: Handle,
    schemes: Vec<Known>,
}

/// How the token makes a scheme.
#[derive(Clone, Copy)]
struct Known {
    scheme: Scheme,
    /// Of a message.
    mechanism: Mechanism,
    /// Of a digest, where it can: maybe the same.
    of_digest: Option<Mechanism>,
    len: usize,
}

impl TokenKey {
    /// Finds the one key that fits, logging in when the token wants it.
    ///
    /// # Errors
    /// [`Pkcs11Error`] names the call, its return code and what to do.
    pub fn open(query: KeyQuery, pin: Box<PinProvider>, policy: &ModulePolicy) -> Result<Self> {
        let handle = Handle::open(query, KeyClass::Private, pin, policy)?;
        let key = PublicKey::from_spki(&handle.facts.public_key)
            .map_err(|e| Pkcs11Error::Key(e.to_string()))?;
        let token = handle.live().token.clone();
        let entered = handle.module.enter();
        let schemes: Vec<_> = Scheme::ALL
            .into_iter()
            .filter(|scheme| key.supports(*scheme))
            .filter_map(|scheme| {
                let mechanisms = Mechanism::of(scheme).iter().copied();
                let mut mechanisms = mechanisms.filter(|m| handle.signs_with(&token, *m));
                let mechanism = mechanisms.next()?;
                let of_digest = core::iter::once(mechanism)
                    .chain(mechanisms)
                    .find(|mechanism| mechanism.takes_digest());
                Some(Known { scheme, mechanism, of_digest, len: key.max_signature_len(scheme) })
            })
            .collect();
        if schemes.is_empty() {
            return Err(Pkcs11Error::Key(format!(
                "C_GetMechanismInfo: {token} cannot sign with this key: it offers none of \
                 CKM_SHA256_RSA_PKCS, CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_ECDSA_SHA256 and CKM_ECDSA for \
                 signing, or the key's CKA_ALLOWED_MECHANISMS leaves them out"
            )));
        }
        drop(entered);
        Ok(Self { handle, schemes })
    }

    /// How often the key was found: 1 when it was opened, and one more after each recovery. What was
    /// learned of the token before that may not hold any more.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.handle.found.load(Ordering::Acquire)
    }

    fn sign_with(
        &self,
        known: Known,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        let mechanism = match to_sign.message() {
            Some(message) if !known.mechanism.takes_digest() => {
                return Ok(self.handle.sign(known.mechanism, message, out)?);
            }
            _ => known.of_digest.ok_or(SignError::NO_MESSAGE)?,
        };
        let digest = to_sign.digest(known.scheme)?;
        if mechanism != Mechanism::RsaPkcs {
            return Ok(self.handle.sign(mechanism, digest.as_ref(), out)?);
        }
        let mut info = [0; 51];
        for (to, from) in info.iter_mut().zip(SHA256_DIGEST_INFO.iter().chain(digest.as_ref())) {
            *to = *from;
        }
        Ok(self.handle.sign(mechanism, &info, out)?)
    }

    fn known(&self, scheme: Scheme) -> Option<Known> {
        self.schemes.iter().copied().find(|known| known.scheme == scheme)
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &[u8] {
        &self.handle.facts.public_key
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.max_signature_len(scheme) != 0
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        self.known(scheme).map_or(0, |known| known.len)
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        const LENGTH: SignError = SignError::new(
            "C_Sign",
            "the signature is not as long as the public key says; it belongs to another key",
        );
        let known = self.known(scheme).ok_or(SignError::UNSUPPORTED)?;
        let len = known.len;
        let out = out.get_mut(..len).ok_or(SignError::TOO_SMALL)?;
        let written = self.sign_with(known, to_sign, out)?;
        match scheme.coordinate_len() {
            _ if written == len => {}
            // The standard wants r and s of equal length; some tokens leave zeros out of both.
            Some(size) if written % 2 == 0 && written < len && written > 0 => {
                let mut short = [0; 96];
                let short = short.get_mut(..written).ok_or(LENGTH)?;
                short.copy_from_slice(out.get(..written).ok_or(LENGTH)?);
                let (r, s) = short.split_at_checked(written / 2).ok_or(LENGTH)?;
                ecdsa_raw_from_parts(r, s, size, out).map_err(|_| LENGTH)?;
            }
            _ => return Err(LENGTH),
        }
        Ok(len)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<_> =
            self.schemes.iter().map(|known| (known.scheme, known.mechanism)).collect();
        write!(f, "TokenKey({}, {schemes:?})", self.handle.name())
    }
}

/// A secret key in a token that makes HMAC-SHA256 tags: for AWS it holds `AWS4` and the secret access
/// key. It is `Send` and `Sync`.
pub struct TokenMac(Handle);

impl TokenMac {
    /// Finds the one secret key that fits, logging in when the token wants it.
    ///
    /// # Errors
    /// [`Pkcs11Error`] names the call, its return code and what to do.
    pub fn open(query: KeyQuery, pin: Box<PinProvider>, policy: &ModulePolicy) -> Result<Self> {
        let handle = Handle::open(query, KeyClass::Secret, pin, policy)?;
        let token = handle.live().token.clone();
        let entered = handle.module.enter();
        if !handle.signs_with(&token, Mechanism::Sha256Hmac) {
            return Err(Pkcs11Error::Key(format!(
                "C_GetMechanismInfo: {token} cannot make HMAC-SHA256 tags with this key: the token does \
                 not offer CKM_SHA256_HMAC for signing, or the key's CKA_ALLOWED_MECHANISMS leaves it out"
            )));
        }
        drop(entered);
        Ok(Self(handle))
    }
}

impl Mac for TokenMac {
    fn hmac_sha256(&self, message: &[u8]) -> core::result::Result<[u8; 32], SignError> {
        let mut tag = [0; 32];
        match self.0.sign(Mechanism::Sha256Hmac, message, &mut tag)? {
            32 => Ok(tag),
            _ => Err(SignError::new("C_Sign", "the tag has not 32 octets; the module is broken")),
        }
    }
}

impl fmt::Debug for TokenMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenMac({})", self.0.name())
    }
}
