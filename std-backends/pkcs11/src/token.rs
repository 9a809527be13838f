//! One token: which slot it is in, the login, and the pool of sessions.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use crate::error::{CallError, Pkcs11Error, Result, code};
use crate::mechanism::Mechanism;
use crate::modules::{Module, lock};

/// What a token must be like: attributes of a `pkcs11:` URI (RFC 7512, section 2.3). What is absent
/// matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenQuery {
    /// The token's label.
    pub label: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The token's model.
    pub model: Option<String>,
    /// The number of the slot.
    pub slot_id: Option<u64>,
    /// Who made the slot.
    pub slot_manufacturer: Option<String>,
    /// The slot's description.
    pub slot_description: Option<String>,
    /// Who made the module.
    pub library_manufacturer: Option<String>,
    /// The module's description of itself.
    pub library_description: Option<String>,
    /// The module's version, major and minor.
    pub library_version: Option<(u8, u8)>,
}

/// What reads the PIN: `None` when there is none. It is asked when a token wants a login, and again after
/// the token refused what it gave. An error is shown as it is: it must not hold the PIN.
pub type PinProvider =
    dyn Fn() -> core::result::Result<Option<Zeroizing<Vec<u8>>>, String> + Send + Sync;

/// A PIN, read when it is needed and kept for the next login. Its memory is wiped in the end.
pub(crate) struct Pin {
    provider: Box<PinProvider>,
    read: Mutex<Option<Arc<Zeroizing<Vec<u8>>>>>,
}

impl Pin {
    pub(crate) fn new(provider: Box<PinProvider>) -> Self {
        Self { provider, read: Mutex::new(None) }
    }

    fn get(&self) -> Result<Option<Arc<Zeroizing<Vec<u8>>>>> {
        let mut read = lock(&self.read);
        if read.is_none() {
            *read = (self.provider)().map_err(Pkcs11Error::Pin)?.map(Arc::new);
        }
        Ok(read.clone())
    }

    fn forget(&self) {
        *lock(&self.read) = None;
    }
}

/// What tells tokens apart.
#[derive(Clone, PartialEq, Eq)]
struct Identity {
    slot: Slot,
    label: String,
    serial: String,
    model: String,
    manufacturer: String,
}

impl Identity {
    fn new(slot: Slot, info: &TokenInfo) -> Self {
        Self {
            slot,
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            model: info.model().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
        }
    }
}

impl Identity {
    /// Whether it is the same token, perhaps in another slot.
    fn is_same_as(&self, other: &Self) -> bool {
        let Self { slot: _, label, serial, model, manufacturer } = self;
        (label, serial, model, manufacturer)
            == (&other.label, &other.serial, &other.model, &other.manufacturer)
    }
}

/// `Debug` of the texts escapes what a token could put into a log.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, label, serial, model, manufacturer } = self;
        write!(
            f,
            "token {label:?} (serial {serial:?}, model {model:?}, manufacturer {manufacturer:?}, \
             slot-id {slot})"
        )
    }
}

/// A token that is in use.
pub(crate) struct Token {
    pub(crate) module: Arc<Module>,
    /// [`Module::epoch`] when it was found.
    pub(crate) epoch: u64,
    identity: Identity,
    /// Whether keys are seen after a login only (CKF_LOGIN_REQUIRED).
    login_required: bool,
    /// Whether the PIN is entered at the device (CKF_PROTECTED_AUTHENTICATION_PATH).
    own_entry: bool,
    pool: Mutex<Pool>,
    returned: Condvar,
    login: Mutex<bool>,
    /// Whether its sessions are gone: a new one takes its place.
    lost: AtomicBool,
    /// Whether they went with the whole module: their numbers may be those of other sessions by now.
    finalized: AtomicBool,
}

struct Pool {
    idle: Vec<Session>,
    open: u64,
    limit: u64,
}

/// The most sessions in use at once; further threads wait.
const MAX_SESSIONS: u64 = 64;
/// How long a thread waits for a session of the others.
const PATIENCE: Duration = Duration::from_secs(30);

impl Token {
    /// The one token of the module that fits. One that takes the place of `lost` must be the same: the
    /// URI may fit another one, whose login would then be given the PIN of this one.
    pub(crate) fn find(
        module: &Arc<Module>,
        query: &TokenQuery,
        lost: Option<&Self>,
    ) -> Result<Arc<Self>> {
        check_library(module, query)?;
        let mut fitting = Vec::new();
        let mut others = Vec::new();
        for slot in module.context.get_slots_with_token()? {
            let info = match module.context.get_token_info(slot) {
                Ok(info) => info,
                // Pulled out since, or of another kind.
                Err(Error::Pkcs11(
                    RvError::TokenNotPresent | RvError::TokenNotRecognized | RvError::DeviceRemoved,
                    _,
                )) => continue,
                Err(e) => return Err(e.into()),
            };
            if !info.token_initialized() {
                continue;
            }
            let identity = Identity::new(slot, &info);
            if query.fits(module, slot, &info)? {
                fitting.push((identity, info));
            } else {
                others.push(identity);
            }
        }
        if let Some(lost) = lost.map(|lost| &lost.identity) {
            let (same, other): (Vec<_>, Vec<_>) =
                fitting.into_iter().partition(|(found, _)| found.is_same_as(lost));
            if same.is_empty() && !other.is_empty() {
                let found = list(other.iter().map(|(identity, _)| identity));
                return Err(Pkcs11Error::Replaced { lost: lost.to_string(), found });
            }
            fitting = same;
        }
        let (identity, info) = match fitting.len() {
            1 => fitting.remove(0),
            0 => return Err(none_fits(&others)),
            _ => {
                let names = list(fitting.iter().map(|(identity, _)| identity));
                return Err(Pkcs11Error::Token(format!(
                    "C_GetSlotList: several tokens fit the URI; name one by serial or token: {names}"
                )));
            }
        };
        let mut tokens = lock(&module.tokens);
        if let Some(known) = tokens.iter().find(|t| t.identity == identity && !t.is_lost()) {
            return Ok(known.clone());
        }
        let limit = match info.max_session_count() {
            Limit::Max(limit) => limit.clamp(1, MAX_SESSIONS),
            _ => MAX_SESSIONS,
        };
        let token = Arc::new(Self {
            module: module.clone(),
            epoch: module.epoch(),
            identity,
            login_required: info.login_required(),
            own_entry: info.protected_authentication_path(),
            pool: Mutex::new(Pool { idle: Vec::new(), open: 0, limit }),
            returned: Condvar::new(),
            login: Mutex::new(false),
            lost: AtomicBool::new(false),
            finalized: AtomicBool::new(false),
        });
        tokens.push(token.clone());
        Ok(token)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Marks the token as lost after `error`, and closes the sessions that may be open still.
    pub(crate) fn retire(self: &Arc<Self>, error: &CallError) {
        let _entered = self.module.enter();
        if error.code() == code::CRYPTOKI_NOT_INITIALIZED {
            self.finalized.store(true, Ordering::Release);
        }
        self.lost.store(true, Ordering::Release);
        lock(&self.module.tokens).retain(|t| !Arc::ptr_eq(t, self));
        let idle = core::mem::take(&mut lock(&self.pool).idle);
        for session in idle {
            self.discard(session, false);
        }
        self.returned.notify_all();
    }

    /// Marks the token as lost with the whole module; its sessions are gone. It is in no list any more.
    pub(crate) fn finalized(&self) {
        self.finalized.store(true, Ordering::Release);
        self.lost.store(true, Ordering::Release);
        lock(&self.pool).idle.clear();
        self.returned.notify_all();
    }

    /// Whether it is the same token, perhaps in another slot.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.identity.is_same_as(&other.identity)
    }

    /// Logs in as the user, once. `false`: the token wants a login, but there is no PIN; what is not
    /// private can be used all the same.
    pub(crate) fn login(&self, pin: &Pin) -> Result<bool> {
        let mut done = lock(&self.login);
        if *done {
            return Ok(true);
        }
        if !self.login_required {
            *done = true;
            return Ok(true);
        }
        let value = pin.get()?;
        if value.is_none() && !self.own_entry {
            return Ok(false);
        }
        let session = self.session()?;
        let result = self.log_in_to(&session, UserType::User, value.as_deref(), pin);
        match &result {
            Err(Pkcs11Error::Call(error)) => self.discard(session, error.session_is_gone()),
            _ => self.put_back(session),
        }
        result?;
        *done = true;
        Ok(true)
    }

    /// Whether another part of the process ended the login, in which case it is forgotten here too. Then
    /// private keys are not there to be seen, and no call says why.
    pub(crate) fn has_logged_out(&self, session: &Session) -> Result<bool> {
        use cryptoki::session::SessionState;

        let public = matches!(
            session.get_session_info()?.session_state(),
            SessionState::RoPublic | SessionState::RwPublic
        );
        if public && self.login_required {
            *lock(&self.login) = false;
            return Ok(true);
        }
        Ok(false)
    }

    /// The login that a key with CKA_ALWAYS_AUTHENTICATE wants after each `C_SignInit`.
    pub(crate) fn authenticate(&self, session: &Session, pin: &Pin) -> Result<()> {
        let value = pin.get()?;
        if value.is_none() && !self.own_entry {
            return Err(Pkcs11Error::Pin(no_pin(&self.identity)));
        }
        self.log_in_to(session, UserType::ContextSpecific, value.as_deref(), pin)
    }

    fn log_in_to(
        &self,
        session: &Session,
        user: UserType,
        value: Option<&Zeroizing<Vec<u8>>>,
        pin: &Pin,
    ) -> Result<()> {
        // Held during the call: of several threads with one wrong PIN only one may try it, and none may
        // try on what the token said before another's try.
        let mut refused = lock(&self.module.refused);
        self.may_try(&self.module.context.get_token_info(self.identity.slot)?)?;
        let serial = &self.identity.serial;
        let result = match value {
            None => session.login(user, None),
            Some(value) if refused.iter().any(|(s, v)| s == serial && v == value) => {
                pin.forget();
                return Err(Pkcs11Error::Pin(format!(
                    "C_Login: CKR_PIN_INCORRECT: {} refused this PIN before; it is not tried again, \
                     because repeated tries lock the token; correct it",
                    self.identity
                )));
            }
            Some(value) => session.login_with_raw(user, &RawAuthPin::new(Box::new(value.to_vec()))),
        };
        match result {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(e) => {
                let error = CallError::from(e);
                // The PIN never came to the token: trying again costs nothing.
                let unused = [
                    code::SESSION_CLOSED,
                    code::SESSION_HANDLE_INVALID,
                    code::CRYPTOKI_NOT_INITIALIZED,
                    code::TOKEN_NOT_PRESENT,
                    code::DEVICE_REMOVED,
                ];
                let Some(value) = value.filter(|_| !unused.contains(&error.code())) else {
                    return Err(error.into());
                };
                refused.push((serial.clone(), value.clone()));
                pin.forget();
                if error.is_loss() {
                    return Err(Pkcs11Error::Pin(format!(
                        "{error}; the token may have counted this as a try, so the PIN is not tried \
                         again by this process"
                    )));
                }
                Err(error.into())
            }
        }
    }

    /// Refuses a login that could lock the token: programs that ask for credentials start again and
    /// again, and one try each is enough.
    fn may_try(&self, info: &TokenInfo) -> Result<()> {
        let path = &self.module.path;
        let fault = if info.user_pin_locked() {
            format!(
                "the user PIN is locked (CKF_USER_PIN_LOCKED); the security officer unlocks it with: \
                 pkcs11-tool --module {path:?} --login --login-type so --init-pin"
            )
        } else if info.user_pin_final_try() {
            format!(
                "one more wrong PIN locks it (CKF_USER_PIN_FINAL_TRY), so C_Login is not called; check \
                 the PIN, and log in with it once by hand, which clears the flag: pkcs11-tool --module \
                 {path:?} --login --list-objects"
            )
        } else if !info.user_pin_initialized() {
            format!(
                "it has no user PIN yet (CKF_USER_PIN_INITIALIZED is not set); the security officer \
                 sets it with: pkcs11-tool --module {path:?} --login --login-type so --init-pin"
            )
        } else {
            return Ok(());
        };
        Err(Pkcs11Error::Pin(format!("{}: {fault}", self.identity)))
    }

    pub(crate) fn label(&self) -> &str {
        &self.identity.label
    }

    pub(crate) fn serial(&self) -> &str {
        &self.identity.serial
    }

    /// A session that reads, outside the pool. It is closed when it is dropped.
    pub(crate) fn reader(&self) -> Result<Session> {
        Ok(self.module.context.open_ro_session(self.identity.slot)?)
    }

    /// A session that may write, outside the pool. It is closed when it is dropped.
    pub(crate) fn writer(&self) -> Result<Session> {
        Ok(self.module.context.open_rw_session(self.identity.slot)?)
    }

    /// How errors say that a PIN is needed.
    pub(crate) fn no_pin(&self) -> String {
        no_pin(&self.identity)
    }

    /// Whether the token signs with `mechanism`.
    pub(crate) fn signs_with(&self, mechanism: Mechanism) -> bool {
        let info = self.module.context.get_mechanism_info(self.identity.slot, mechanism.kind());
        info.is_ok_and(|info| info.sign())
    }

    /// A session for one thread. It is closed by [`put_back`](Self::put_back) or
    /// [`discard`](Self::discard), never by being dropped: its number could be another's by then.
    pub(crate) fn session(&self) -> core::result::Result<Session, CallError> {
        let none_left = CallError::returned("C_OpenSession", code::SESSION_COUNT);
        let mut pool = lock(&self.pool);
        loop {
            if self.is_lost() {
                return Err(CallError::returned("C_OpenSession", code::TOKEN_NOT_PRESENT));
            }
            if let Some(session) = pool.idle.pop() {
                return Ok(session);
            }
            if pool.open < pool.limit {
                pool.open += 1;
                drop(pool);
                let opened = self.module.context.open_ro_session_no_drop(self.identity.slot);
                let error = match opened {
                    Ok(session) => return Ok(session),
                    Err(e) => CallError::from(e),
                };
                pool = lock(&self.pool);
                pool.open -= 1;
                if error.code() != code::SESSION_COUNT || pool.open == 0 {
                    return Err(error);
                }
                // Others have the rest of the token's sessions: ours must do.
                pool.limit = pool.open;
            }
            let (next, waited) =
                self.returned.wait_timeout(pool, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            pool = next;
            if waited.timed_out() && pool.idle.is_empty() {
                return Err(none_left);
            }
        }
    }

    /// Gives a session back that works.
    pub(crate) fn put_back(&self, session: Session) {
        let mut pool = lock(&self.pool);
        if self.is_lost() {
            drop(pool);
            self.discard(session, false);
            return;
        }
        pool.idle.push(session);
        drop(pool);
        self.returned.notify_one();
    }

    /// Gives a session up in which a call failed: an operation may be left open in it.
    pub(crate) fn discard(&self, session: Session, gone: bool) {
        if !gone && !self.finalized.load(Ordering::Acquire) {
            let _ = session.close();
        }
        let mut pool = lock(&self.pool);
        pool.open = pool.open.saturating_sub(1);
        drop(pool);
        self.returned.notify_one();
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

impl TokenQuery {
    fn fits(&self, module: &Module, slot: Slot, info: &TokenInfo) -> Result<bool> {
        let token = is(&self.label, info.label())
            && is(&self.manufacturer, info.manufacturer_id())
            && is(&self.serial, info.serial_number())
            && is(&self.model, info.model())
            && self.slot_id.is_none_or(|id| id == slot.id());
        if !token || self.slot_manufacturer.is_none() && self.slot_description.is_none() {
            return Ok(token);
        }
        let info = module.context.get_slot_info(slot)?;
        Ok(is(&self.slot_manufacturer, info.manufacturer_id())
            && is(&self.slot_description, info.slot_description()))
    }
}

/// The fields of PKCS#11 are padded with blanks, which do not count.
fn is(wanted: &Option<String>, found: &str) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted.trim_end_matches(' ') == found)
}

fn check_library(module: &Module, query: &TokenQuery) -> Result<()> {
    let TokenQuery { library_manufacturer, library_description, library_version, .. } = query;
    if library_manufacturer.is_none() && library_description.is_none() && library_version.is_none()
    {
        return Ok(());
    }
    let info = module.context.get_library_info()?;
    let version = (info.library_version().major(), info.library_version().minor());
    if is(library_manufacturer, info.manufacturer_id())
        && is(library_description, info.library_description())
        && library_version.is_none_or(|wanted| wanted == version)
    {
        return Ok(());
    }
    Err(Pkcs11Error::module(
        &module.path,
        format!(
            "C_GetInfo: it is not the library that the URI names, but library-manufacturer {:?}, \
             library-description {:?}, library-version {}.{}",
            info.manufacturer_id(),
            info.library_description(),
            version.0,
            version.1
        ),
    ))
}

fn none_fits(others: &[Identity]) -> Pkcs11Error {
    Pkcs11Error::Token(if others.is_empty() {
        "C_GetSlotList: no token; is the device plugged in, and the module configured for this user \
         (SoftHSM: SOFTHSM2_CONF, and the rights of its token directory)?"
            .to_owned()
    } else {
        format!("C_GetSlotList: no token fits the URI; there are: {}", list(others.iter()))
    })
}

fn list(names: impl Iterator<Item = impl fmt::Display>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join("; ")
}

fn no_pin(identity: &Identity) -> String {
    format!(
        "C_Login: {identity} wants a PIN; name it with ?pin-source=file:PATH, env:NAME or fd:N in the \
         URI, or set CLOUDAUTH_KEY_PIN"
    )
}
