//! The connection to a TPM, which all keys of a process share.

use core::time::Duration;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tss_esapi::Context;
use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::{CapabilityType, SessionType, StartupType};
use tss_esapi::handles::{KeyHandle, ObjectHandle, SessionHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::Hierarchy as EsysHierarchy;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Auth, CapabilityData, Public, SymmetricDefinition};

use crate::error::{Call as _, Rc, Result, TpmError};
use crate::public::{self, Template};
use crate::source::{Hierarchy, Parent, Pin, check_len};
use crate::tcti::Tcti;
use crate::trust::next_count;

/// How long a thread waits for the others, and the first answer of a TPM may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the storage root key is kept (TCG TPM 2.0 Provisioning Guidance, section 7.8).
pub(crate) const SRK: u32 = 0x8100_0001;

/// A TPM, connected or not.
pub(crate) struct Device {
    tcti: Tcti,
    process: u32,
    slot: Mutex<Slot>,
    free: Condvar,
}

#[derive(Default)]
struct Slot {
    busy: bool,
    live: Option<Box<Live>>,
}

static DEVICES: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());

impl Device {
    /// The one device of this process at the end of `tcti`.
    pub(crate) fn at(tcti: Tcti) -> Arc<Self> {
        let process = std::process::id();
        let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        devices.retain(|device| device.strong_count() != 0);
        let mut known = devices.iter().filter_map(Weak::upgrade);
        if let Some(device) = known.find(|d| d.tcti == tcti && d.process == process) {
            return device;
        }
        let device = Arc::new(Self { tcti, process, slot: Mutex::default(), free: Condvar::new() });
        devices.push(Arc::downgrade(&device));
        device
    }

    /// Does `work` at the TPM. When the connection breaks, or the TPM forgot what was loaded, connects
    /// again and does it once more.
    pub(crate) fn run<T>(&self, work: impl Fn(&mut Live) -> Result<T>) -> Result<T> {
        let mut turn = self.turn()?;
        let connected = turn.live.is_some();
        match turn.attempt(&work) {
            Err(error) if connected && error.is_loss() => turn.attempt(&work),
            result => result,
        }
    }

    fn turn(&self) -> Result<Turn<'_>> {
        if std::process::id() != self.process {
            return Err(TpmError::Forked);
        }
        let until = Instant::now() + PATIENCE;
        let mut slot = self.lock();
        while slot.busy {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(TpmError::TimedOut(PATIENCE.as_secs()));
            }
            slot = self.free.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        slot.busy = true;
        let live = slot.live.take();
        Ok(Turn { device: self, live })
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a key that is not used any more out of the TPM.
    pub(crate) fn unload(&self, id: u64) {
        if let Ok(mut turn) = self.turn()
            && let Some(live) = turn.live.as_mut()
        {
            live.unload(id);
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // The connection belongs to the process that made it.
        if std::process::id() != self.process {
            core::mem::forget(self.lock().live.take());
        }
    }
}

/// One thread's turn at the TPM.
struct Turn<'a> {
    device: &'a Device,
    live: Option<Box<Live>>,
}

impl Turn<'_> {
    fn attempt<T>(&mut self, work: &impl Fn(&mut Live) -> Result<T>) -> Result<T> {
        if self.live.is_none() {
            self.live = Some(Box::new(Live::connect(&self.device.tcti)?));
        }
        let Some(live) = self.live.as_mut() else {
            return Err(TpmError::TimedOut(0));
        };
        let result = work(live);
        match &result {
            Ok(_) => {}
            Err(error) if error.is_loss() => self.live = None,
            // A session that was part of a failure may be out of step with the TPM.
            Err(_) => live.end_sessions(),
        }
        result
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut slot = self.device.lock();
        slot.live = self.live.take();
        slot.busy = false;
        self.device.free.notify_one();
    }
}

/// A key in the TPM.
#[derive(Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) handle: ObjectHandle,
    pub(crate) persistent: bool,
}

/// The sessions that are salted to one key.
#[derive(Default)]
struct Sessions {
    pin: Option<Pin>,
    hmac: Option<AuthSession>,
    policy: Option<(HashingAlgorithm, PolicySession)>,
}

/// A connected TPM. When it is dropped, everything that was loaded is flushed.
pub(crate) struct Live {
    pub(crate) context: Context,
    persistent: Vec<u32>,
    /// How many use what ESYS keeps of a persistent key: it is the same for all of them.
    users: Vec<(ObjectHandle, usize)>,
    primaries: Vec<(Parent, Template, KeyHandle)>,
    /// The key that sessions without a pin are salted to.
    salt: Option<KeyHandle>,
    sessions: Sessions,
    loaded: Vec<(u64, Loaded)>,
    /// The key that was used last: ESYS still knows its Name and its authorization value, and what changes that
    /// takes it back. ESYS hashes the public area each time that it is asked for a Name.
    pub(crate) last: Option<u64>,
    /// Another number whenever the TPM's count of wrong values may be another.
    pub(crate) count: u64,
}

impl Live {
    /// A TPM that does not answer must not hold the caller: it is asked by another thread.
    fn connect(tcti: &Tcti) -> Result<Self> {
        let config = tcti.config()?;
        let simulator = tcti.is_simulator();
        let (send, receive) = channel();
        let opened = std::thread::Builder::new().name("tpm".to_owned()).spawn(move || {
            let open = || {
                let mut context = Context::new(config).call("Esys_Initialize")?;
                let persistent = match persistent_handles(&mut context) {
                    // The firmware does this for a real TPM.
                    Err(error) if simulator && error.is(Rc::Initialize) => {
                        context.startup(StartupType::Clear).call("Esys_Startup")?;
                        persistent_handles(&mut context)?
                    }
                    result => result?,
                };
                Ok((context, persistent))
            };
            let _ = send.send(open());
        });
        opened.map_err(|error| TpmError::Tcti(format!("connect to the TPM: {}", error.kind())))?;
        let (context, persistent) = match receive.recv_timeout(PATIENCE) {
            Ok(result) => result.map_err(|error: TpmError| unreachable_tpm(tcti, &error))?,
            Err(RecvTimeoutError::Timeout) => return Err(TpmError::TimedOut(PATIENCE.as_secs())),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(TpmError::Tcti(format!("connect to the TPM at {tcti}: it failed")));
            }
        };
        Ok(Self {
            context,
            persistent,
            users: Vec::new(),
            last: None,
            primaries: Vec::new(),
            salt: None,
            sessions: Sessions::default(),
            loaded: Vec::new(),
            count: next_count(),
        })
    }

    pub(crate) fn has_persistent(&self, handle: u32) -> bool {
        self.persistent.contains(&handle)
    }

    /// The key at a persistent handle.
    pub(crate) fn persistent(&mut self, handle: u32) -> Result<ObjectHandle> {
        if !self.has_persistent(handle) {
            // It may be new.
            self.persistent = persistent_handles(&mut self.context)?;
        }
        if !self.has_persistent(handle) {
            return Err(TpmError::Key(format!(
                "there is no key at the persistent handle {handle:#x}; list what there is with: \
                 tpm2_getcap handles-persistent"
            )));
        }
        let handle = TpmHandle::try_from(handle).call("TPM_HANDLE")?;
        let handle = self.context.tr_from_tpm_public(handle).call("Esys_TR_FromTPMPublic")?;
        self.last = None;
        match self.users.iter_mut().find(|(known, _)| *known == handle) {
            Some((_, users)) => *users += 1,
            None => self.users.push((handle, 1)),
        }
        Ok(handle)
    }

    /// One user less of a persistent key. The last one lets ESYS forget it.
    pub(crate) fn close_persistent(&mut self, handle: ObjectHandle) {
        self.last = None;
        let Some(at) = self.users.iter().position(|(known, _)| *known == handle) else { return };
        if let Some((_, users)) = self.users.get_mut(at).filter(|(_, users)| *users > 1) {
            *users -= 1;
            return;
        }
        self.users.swap_remove(at);
        // It fails only when the key was evicted, and is gone already.
        let _ = self.context.tr_close(&mut { handle });
    }

    /// The persistent handles that the TPM has now.
    pub(crate) fn persistent_handles(&mut self) -> Result<Vec<u32>> {
        self.persistent = persistent_handles(&mut self.context)?;
        Ok(self.persistent.clone())
    }

    /// The key `id`, which `load` brings into the TPM when it is not there.
    pub(crate) fn loaded(
        &mut self,
        id: u64,
        load: impl Fn(&mut Self) -> Result<(ObjectHandle, bool)>,
    ) -> Result<Loaded> {
        if let Some((_, loaded)) = self.loaded.iter().find(|(known, _)| *known == id) {
            return Ok(*loaded);
        }
        self.last = None;
        let (handle, persistent) = match load(self) {
            // Without a resource manager there are three slots: the other keys of this process make room.
            Err(error) if error.is(Rc::ObjectMemory) && !self.loaded.is_empty() => {
                for (_, loaded) in core::mem::take(&mut self.loaded) {
                    self.release(loaded);
                }
                load(self)?
            }
            result => result?,
        };
        let loaded = Loaded { handle, persistent };
        self.loaded.push((id, loaded));
        Ok(loaded)
    }

    fn unload(&mut self, id: u64) {
        if let Some(at) = self.loaded.iter().position(|(known, _)| *known == id) {
            let (_, loaded) = self.loaded.swap_remove(at);
            self.release(loaded);
        }
    }

    /// Flushing fails only when the object is gone already.
    pub(crate) fn release(&mut self, loaded: Loaded) {
        if loaded.persistent {
            self.close_persistent(loaded.handle);
        } else {
            let _ = self.context.flush_context(loaded.handle);
        }
    }

    /// Does `work` with a transient object, and flushes it.
    pub(crate) fn with_transient<T>(
        &mut self,
        handle: ObjectHandle,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let result = work(self);
        self.release(Loaded { handle, persistent: false });
        result
    }

    /// The parent, made once when it is a primary.
    pub(crate) fn parent(
        &mut self,
        parent: Parent,
        template: Template,
        pin: Option<&Pin>,
        parent_auth: impl Fn() -> Result<Auth>,
        owner_auth: impl Fn() -> Result<Auth>,
    ) -> Result<KeyHandle> {
        self.last = None;
        let mut known = self.primaries.iter();
        let known = known.find(|(p, t, _)| *p == parent && *t == template).map(|(.., h)| *h);
        let handle = match (parent, known) {
            (Parent::Handle(number), known) => {
                let handle = match known {
                    Some(handle) => handle,
                    None => KeyHandle::from(self.persistent(number)?),
                };
                // Each key has its own value for the parent, and all have the same parent.
                let auth = parent_auth()?;
                if !auth.is_empty() {
                    let public = self.public(handle, pin)?;
                    let (attributes, hash, _) = public::common(&public);
                    check_len(&auth, "parent-auth-source", hash)?;
                    if !attributes.no_da() {
                        self.check_tries()?;
                    }
                }
                self.context.tr_set_auth(handle.into(), auth).call("Esys_TR_SetAuth")?;
                handle
            }
            (_, Some(handle)) => handle,
            (Parent::Ek, None) => self.rsa_endorsement_key()?,
            (Parent::Ecc(hierarchy), None) => {
                let public = public::storage_template(false, template)?;
                self.create_primary(hierarchy, public, pin, owner_auth)?
            }
            (Parent::Rsa(hierarchy), None) => {
                let public = public::storage_template(true, template)?;
                self.create_primary(hierarchy, public, pin, owner_auth)?
            }
        };
        if known.is_none() {
            self.primaries.push((parent, template, handle));
        }
        Ok(handle)
    }

    /// Makes room: the primary was not the one that was looked for.
    pub(crate) fn forget_parent(&mut self, handle: KeyHandle) {
        self.primaries.retain(|(.., known)| *known != handle);
        if self.salt == Some(handle) {
            self.salt = None;
        }
        self.release(Loaded { handle: handle.into(), persistent: false });
    }

    /// A primary key from a template. It is flushed with the connection.
    pub(crate) fn create_primary(
        &mut self,
        hierarchy: Hierarchy,
        template: Public,
        pin: Option<&Pin>,
        auth: impl Fn() -> Result<Auth>,
    ) -> Result<KeyHandle> {
        let auth = if hierarchy == Hierarchy::Null { Auth::default() } else { auth()? };
        let esys = match hierarchy {
            Hierarchy::Owner => EsysHierarchy::Owner,
            Hierarchy::Endorsement => EsysHierarchy::Endorsement,
            Hierarchy::Platform => EsysHierarchy::Platform,
            Hierarchy::Null => EsysHierarchy::Null,
        };
        // An empty value is no secret; another is proved in a session with the pinned TPM, and does not cross
        // the bus.
        let session = if auth.is_empty() { AuthSession::Password } else { self.hmac_session(pin)? };
        self.context.tr_set_auth(esys.into(), auth).call("Esys_TR_SetAuth")?;
        let made = self.context.execute_with_session(Some(session), |context| {
            context.create_primary(esys, template, None, None, None, None)
        });
        self.context.tr_set_auth(esys.into(), Auth::default()).call("Esys_TR_SetAuth")?;
        Ok(made.call("Esys_CreatePrimary")?.key_handle)
    }

    /// The key that sessions are salted to: the storage root key, else a primary that is there already, else
    /// one of the null hierarchy, which needs no authorization.
    fn salt(&mut self) -> Result<KeyHandle> {
        if let Some(salt) = self.salt {
            return Ok(salt);
        }
        let mut found = None;
        if self.has_persistent(SRK) {
            let handle = KeyHandle::from(self.persistent(SRK)?);
            let (public, ..) = self.context.read_public(handle).call("Esys_ReadPublic")?;
            found = public::is_storage(&public).then_some(handle);
        }
        let salt = match found.or(self.primaries.first().map(|(.., handle)| *handle)) {
            Some(handle) => handle,
            None => {
                let parent = Parent::Ecc(Hierarchy::Null);
                let none = || Ok(Auth::default());
                self.parent(parent, Template::Tcg, None, none, none)?
            }
        };
        self.salt = Some(salt);
        Ok(salt)
    }

    fn sessions(&mut self, pin: Option<&Pin>) -> &mut Sessions {
        // One pair at a time: without a resource manager there are three slots.
        if self.sessions.pin.as_ref() != pin {
            self.end_sessions();
            self.sessions.pin = pin.cloned();
        }
        &mut self.sessions
    }

    /// The session in which authorization values are proved, and the first parameters encrypted.
    pub(crate) fn hmac_session(&mut self, pin: Option<&Pin>) -> Result<AuthSession> {
        if let Some(session) = self.sessions(pin).hmac {
            return Ok(session);
        }
        let session = self.start(SessionType::Hmac, HashingAlgorithm::Sha256, pin)?;
        self.sessions(pin).hmac = Some(session);
        Ok(session)
    }

    /// The session in which policies are satisfied, empty.
    pub(crate) fn policy_session(
        &mut self,
        hash: HashingAlgorithm,
        pin: Option<&Pin>,
    ) -> Result<PolicySession> {
        let known = self.sessions(pin).policy;
        if let Some((_, session)) = known.filter(|(known, _)| *known == hash) {
            self.context.policy_restart(session).call("Esys_PolicyRestart")?;
            return Ok(session);
        }
        if let Some((_, old)) = self.sessions(pin).policy.take() {
            self.flush_session(old.into());
        }
        let session = self.start(SessionType::Policy, hash, pin)?;
        let session = PolicySession::try_from(session).call("Esys_StartAuthSession")?;
        self.sessions(pin).policy = Some((hash, session));
        Ok(session)
    }

    fn start(
        &mut self,
        kind: SessionType,
        hash: HashingAlgorithm,
        pin: Option<&Pin>,
    ) -> Result<AuthSession> {
        match pin {
            None => {
                let salt = self.salt()?;
                self.start_session(Some(salt), None, kind, hash)
            }
            Some(pin) => {
                let (salt, proof) = self.prove(pin)?;
                self.with_transient(proof, |live| {
                    live.start_session(Some(salt), Some(proof), kind, hash)
                })
            }
        }
    }

    /// A session that goes on, with the first parameters encrypted in both directions.
    pub(crate) fn start_session(
        &mut self,
        salt: Option<KeyHandle>,
        bind: Option<ObjectHandle>,
        kind: SessionType,
        hash: HashingAlgorithm,
    ) -> Result<AuthSession> {
        let session = self
            .context
            .execute_without_session(|context| {
                let aes = SymmetricDefinition::AES_128_CFB;
                context.start_auth_session(salt, bind, None, kind, aes, hash)
            })
            .call("Esys_StartAuthSession")?
            .ok_or_else(|| TpmError::Key("Esys_StartAuthSession: no session".to_owned()))?;
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_continue_session(true)
            .with_decrypt(true)
            .with_encrypt(true)
            .build();
        if let Err(error) = self.context.tr_sess_set_attributes(session, attributes, mask) {
            self.flush_session(session);
            return Err(error).call("Esys_TRSess_SetAttributes");
        }
        Ok(session)
    }

    fn end_sessions(&mut self) {
        if let Some(session) = self.sessions.hmac.take() {
            self.flush_session(session);
        }
        if let Some((_, session)) = self.sessions.policy.take() {
            self.flush_session(session.into());
        }
    }

    pub(crate) fn flush_session(&mut self, session: AuthSession) {
        let _ = self.context.flush_context(SessionHandle::from(session).into());
    }
}

fn persistent_handles(context: &mut Context) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    let mut from = 0x8100_0000;
    loop {
        let (data, more) = context
            .execute_without_session(|c| c.get_capability(CapabilityType::Handles, from, 254))
            .call("Esys_GetCapability")?;
        let CapabilityData::Handles(handles) = data else { return Ok(found) };
        found.extend(handles.as_ref().iter().map(|handle| u32::from(*handle)));
        match found.last() {
            Some(last) if more => from = last + 1,
            _ => return Ok(found),
        }
    }
}

fn unreachable_tpm(tcti: &Tcti, error: &TpmError) -> TpmError {
    match error {
        TpmError::Call(call) => TpmError::Tcti(format!(
            "connect to the TPM at {tcti}: {call}; name it with tcti= in the URI or with TPM2TOOLS_TCTI, and \
             let the user be in the group tss for /dev/tpmrm0"
        )),
        other => other.clone(),
    }
}
