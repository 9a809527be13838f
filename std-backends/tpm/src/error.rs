//! What can go wrong at a TPM, and what to do about it.

use core::fmt;

use cloudauth_core::SignError;
use tss_esapi::Error;

/// Result of this crate.
pub type Result<T> = core::result::Result<T, TpmError>;

/// Why a key could not be opened, or did not sign. No text holds an authorization value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TpmError {
    /// The TPM, or the software that leads to it, answered a call with an error.
    #[error("{0}")]
    Call(CallError),
    /// There is no way to the TPM.
    #[error("{0}")]
    Tcti(String),
    /// The key file or the key store cannot be understood.
    #[error("{0}")]
    Format(String),
    /// The key cannot be used.
    #[error("{0}")]
    Key(String),
    /// The key's policy does not hold: a PCR changed, or the selection is not the key's.
    #[error("{0}")]
    Policy(String),
    /// The authorization value is missing, cannot be read, or must not be tried.
    #[error("{0}")]
    Auth(String),
    /// One more wrong value would lock every key that the TPM protects against guessing, so none is tried.
    #[error(
        "TPM: {failures} of {limit} wrong authorization values were counted, and the next one would lock the \
         TPM, so no value is tried: a right one neither, which cannot be told before. Wait until the TPM \
         forgets one, or clear the count with the lockout authorization: tpm2_dictionarylockout \
         --clear-lockout"
    )]
    FinalTry {
        /// TPM_PT_LOCKOUT_COUNTER.
        failures: u32,
        /// TPM_PT_MAX_AUTH_FAIL.
        limit: u32,
    },
    /// The key that salts the session is not the one that was pinned.
    #[error("{0}")]
    Pin(String),
    /// Another thread has used the TPM for too long.
    #[error(
        "TPM: no answer within {0} s; another program may hold the TPM, or it hangs: look at the resource \
         manager (device:/dev/tpmrm0 lets several programs in)"
    )]
    TimedOut(u64),
    /// The process was forked.
    #[error(
        "TPM: this process is a fork of the one that opened the key, and the connection does not survive \
         that; open the key again in this process"
    )]
    Forked,
}

impl TpmError {
    /// The return code, when a call failed.
    #[must_use]
    pub fn return_code(&self) -> Option<u32> {
        match self {
            Self::Call(call) => Some(call.code),
            _ => None,
        }
    }

    pub(crate) fn is(&self, wanted: Rc) -> bool {
        matches!(self, Self::Call(call) if call.rc() == Some(wanted))
    }

    /// Whether a new connection, or loading the key again, may help.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self, Self::Call(call) if call.is_loss())
    }
}

impl From<CallError> for TpmError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// `SignError` holds no text of its own: the long form is lost here, the call and its code are not.
impl From<TpmError> for SignError {
    fn from(error: TpmError) -> Self {
        match error {
            TpmError::Call(call) => Self::new(call.call, call.text).code(call.code),
            TpmError::Tcti(_) => Self::new(
                "connect to the TPM",
                "it cannot be reached any more; start it again, and the next call connects",
            ),
            TpmError::Format(_) | TpmError::Key(_) => Self::new(
                "load the TPM key",
                "the TPM is there, but not with the key that was opened; open the key again to see why",
            ),
            TpmError::Policy(_) => Self::new(
                "TPM policy",
                "a PCR that the key's policy names has changed; boot the state that the key was made \
                 for, or make a new key",
            ),
            TpmError::Auth(_) => Self::new(
                "TPM authorization",
                "the TPM refused the authorization value, and it is not tried again, because repeated \
                 tries lock the TPM: correct it and open the key again",
            ),
            TpmError::FinalTry { .. } => Self::new(
                "TPM_PT_LOCKOUT_COUNTER",
                "one more wrong authorization value would lock the TPM, so none is tried; wait, or clear the \
                 count: tpm2_dictionarylockout --clear-lockout",
            ),
            TpmError::Pin(_) => Self::new(
                "check the pinned key",
                "the TPM has another storage root or endorsement key than the pinned one, or one with an \
                 authorization value; nothing was sent to it; open the key again to see which",
            ),
            TpmError::TimedOut(_) => {
                Self::new("TPM", "no answer in time; another program may hold the TPM, or it hangs")
            }
            TpmError::Forked => Self::new(
                "TPM",
                "this process is a fork of the one that opened the key; open the key again here",
            ),
        }
    }
}

/// A call that failed: of the Enhanced System API, or of what is below it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallError {
    call: &'static str,
    code: u32,
    text: &'static str,
}

impl CallError {
    /// A return code of `call`.
    pub(crate) fn returned(call: &'static str, code: u32) -> Self {
        let text = match (Rc::of(code), code >> 16) {
            (Some(rc), _) => rc.text(),
            (None, 0 | TPM_BY_RESOURCE_MANAGER) => UNKNOWN,
            (None, TCTI) => TRANSPORT,
            (None, _) => STACK,
        };
        Self { call, code, text }
    }

    /// The function, such as `Esys_Sign`.
    #[must_use]
    pub const fn call(&self) -> &'static str {
        self.call
    }

    /// Its return code.
    #[must_use]
    pub const fn code(&self) -> u32 {
        self.code
    }

    fn rc(&self) -> Option<Rc> {
        Rc::of(self.code)
    }

    fn is_loss(&self) -> bool {
        match self.rc() {
            Some(rc) => rc.is_loss(),
            // Of the layers above the TPM: the connection is in an unknown state.
            None => self.code >> 16 != 0 && self.code >> 16 != TPM_BY_RESOURCE_MANAGER,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.text)?;
        if self.code != 0 {
            write!(f, " (code {:#x})", self.code)?;
        }
        Ok(())
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Gives a failed call its name.
pub(crate) trait Call<T> {
    fn call(self, name: &'static str) -> Result<T>;
}

impl<T> Call<T> for tss_esapi::Result<T> {
    fn call(self, name: &'static str) -> Result<T> {
        self.map_err(|error| match code(error) {
            Some(code) => CallError::returned(name, code).into(),
            None => CallError { call: name, code: 0, text: WRAPPER }.into(),
        })
    }
}

/// The number of an error; tss-esapi shows it in no other way.
fn code(error: Error) -> Option<u32> {
    use tss_esapi::constants::response_code::Tss2ResponseCode as Code;
    let text = match error {
        Error::Tss2Error(Code::FormatZero(rc)) => rc.to_string(),
        Error::Tss2Error(Code::FormatOne(rc)) => rc.to_string(),
        _ => return None,
    };
    let (_, hex) = text.split_once("0x")?;
    u32::from_str_radix(hex, 16).ok()
}

const TCTI: u32 = 10;
const TPM_BY_RESOURCE_MANAGER: u32 = 11;
const UNKNOWN: &str = "the TPM refused it; tpm2_rc_decode explains the code";
const TRANSPORT: &str =
    "the connection to the TPM failed; is the TPM, its simulator or its resource manager running?";
const STACK: &str = "the TPM software stack failed; tpm2_rc_decode explains the code";
const WRAPPER: &str = "the TPM's answer, or a value given to it, cannot be understood";

macro_rules! codes {
    ($($name:ident $value:literal $text:literal)*) => {
        /// The response codes of a TPM (TPM 2.0 Library, part 2, section 6.6) that are told apart, without
        /// the number of the parameter, handle or session that they belong to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Rc { $($name),* }

        impl Rc {
            const ALL: &[(u32, Self, &str)] = &[$(($value, Self::$name, $text)),*];
        }
    };
}

codes! {
    Initialize 0x100 "TPM_RC_INITIALIZE: the TPM was not started; run: tpm2_startup -c"
    Failure 0x101 "TPM_RC_FAILURE: the TPM is in failure mode; restart it"
    AuthUnavailable 0x12f "TPM_RC_AUTH_UNAVAILABLE: the key wants its policy; name the PCRs with pcrs= in the URI"
    PcrChanged 0x128 "TPM_RC_PCR_CHANGED: a PCR changed while the policy was evaluated; try again"
    CommandCode 0x143 "TPM_RC_COMMAND_CODE: the TPM does not have this command"
    NvSpace 0x14b "TPM_RC_NV_SPACE: no room for another persistent key; remove one with: tpm2_evictcontrol -c HANDLE"
    NvDefined 0x14c "TPM_RC_NV_DEFINED: the handle is occupied; choose another, or remove what is there with: tpm2_evictcontrol -c HANDLE"
    ContextGap 0x901 "TPM_RC_CONTEXT_GAP: too many sessions are saved; flush old ones with: tpm2_flushcontext -s"
    ObjectMemory 0x902 "TPM_RC_OBJECT_MEMORY: the TPM's object slots are full; use the resource manager (device:/dev/tpmrm0), or free them with: tpm2_flushcontext -t"
    SessionMemory 0x903 "TPM_RC_SESSION_MEMORY: the TPM's session slots are full; use the resource manager (device:/dev/tpmrm0), or free them with: tpm2_flushcontext -l"
    Memory 0x904 "TPM_RC_MEMORY: the TPM is out of memory; flush objects and sessions with: tpm2_flushcontext"
    SessionHandles 0x905 "TPM_RC_SESSION_HANDLES: the TPM's session handles are used up; free them with: tpm2_flushcontext -s"
    ObjectHandles 0x906 "TPM_RC_OBJECT_HANDLES: the TPM's object handles are used up; free them with: tpm2_flushcontext -t"
    Testing 0x90a "TPM_RC_TESTING: the TPM tests itself; try again"
    ReferenceH0 0x910 "TPM_RC_REFERENCE_H0: the key is not loaded any more"
    ReferenceH1 0x911 "TPM_RC_REFERENCE_H1: an object is not loaded any more"
    ReferenceS0 0x918 "TPM_RC_REFERENCE_S0: the session is gone"
    ReferenceS1 0x919 "TPM_RC_REFERENCE_S1: the session is gone"
    NvRate 0x920 "TPM_RC_NV_RATE: the TPM spares its memory; try again later"
    Lockout 0x921 "TPM_RC_LOCKOUT: too many wrong authorization values: the TPM refuses every key with dictionary-attack protection. It is not tried again. Wait, or clear it with the lockout authorization: tpm2_dictionarylockout --clear-lockout"
    Retry 0x922 "TPM_RC_RETRY: the TPM is busy; try again"
    NvUnavailable 0x923 "TPM_RC_NV_UNAVAILABLE: the TPM cannot write its memory now; try again later"
    Asymmetric 0x81 "TPM_RC_ASYMMETRIC: the TPM does not have this kind of key"
    Attributes 0x82 "TPM_RC_ATTRIBUTES: the key's attributes do not allow this; a signing key has the attribute sign, and is not restricted"
    Hash 0x83 "TPM_RC_HASH: the TPM, or the key, does not take this hash"
    Value 0x84 "TPM_RC_VALUE: the TPM does not take a value; a key size or curve that it lacks, or a PCR digest that is not the present one"
    Hierarchy 0x85 "TPM_RC_HIERARCHY: the hierarchy is disabled, or not the right one"
    KeySize 0x87 "TPM_RC_KEY_SIZE: the TPM does not have keys of this size"
    Type 0x8a "TPM_RC_TYPE: the key is of another type than the command wants"
    Handle 0x8b "TPM_RC_HANDLE: there is nothing at this handle; list what there is with: tpm2_getcap handles-persistent"
    AuthFail 0x8e "TPM_RC_AUTH_FAIL: the authorization value is wrong; it was tried once and is not tried again, because repeated tries lock the TPM: name the right one with auth-source in the URI, or set CLOUDAUTH_KEY_AUTH"
    Scheme 0x92 "TPM_RC_SCHEME: the key does not sign in this way; use another signature scheme"
    Size 0x95 "TPM_RC_SIZE: a value is too long for the TPM; the key may be too short for the scheme"
    Symmetric 0x96 "TPM_RC_SYMMETRIC: the TPM lacks AES-128 in CFB mode"
    PolicyFail 0x9d "TPM_RC_POLICY_FAIL: the key's policy does not hold: a PCR has another value than when the key was made, or the policy is another; name its PCRs with pcrs= in the URI"
    Integrity 0x9f "TPM_RC_INTEGRITY: the key does not belong to this parent: it was made by another TPM, under another parent, or before the TPM was cleared"
    Ticket 0xa0 "TPM_RC_TICKET: a restricted key signs only what the TPM has hashed; make a key that is not restricted"
    BadAuth 0xa2 "TPM_RC_BAD_AUTH: the authorization value is wrong: of the key, name it with auth-source; of its parent, with parent-auth-source; of the owner hierarchy, with owner-auth-source"
    Curve 0xa6 "TPM_RC_CURVE: the TPM does not have this curve"
    Binding 0xa5 "TPM_RC_BINDING: the public and the private part of the key do not belong together"
}

impl Rc {
    fn of(code: u32) -> Option<Self> {
        if code >> 16 != 0 && code >> 16 != TPM_BY_RESOURCE_MANAGER {
            return None;
        }
        let code = code & 0xffff;
        // Format one (bit 7) carries the number of a handle, parameter or session beside the error.
        let base = if code & 0x80 != 0 { code & 0xbf } else { code };
        Self::ALL.iter().find(|(value, ..)| *value == base).map(|(_, rc, _)| *rc)
    }

    fn text(self) -> &'static str {
        Self::ALL.iter().find(|(_, rc, _)| *rc == self).map_or(UNKNOWN, |(_, _, text)| text)
    }

    /// After these the TPM was restarted, or somebody flushed what was loaded.
    fn is_loss(self) -> bool {
        matches!(
            self,
            Self::Initialize
                | Self::ReferenceH0
                | Self::ReferenceH1
                | Self::ReferenceS0
                | Self::ReferenceS1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tss_esapi::constants::tss;

    #[test]
    fn calls_are_named_with_their_code() {
        let error = CallError::returned("Esys_Sign", 0x98e);
        let text = error.to_string();
        assert!(text.starts_with("Esys_Sign: TPM_RC_AUTH_FAIL: the authorization value"), "{text}");
        assert!(text.ends_with("(code 0x98e)"), "{text}");
        let sign = SignError::from(TpmError::from(error));
        assert_eq!((sign.return_code(), sign.to_string()), (0x98e, text));
        let lockout = TpmError::from(CallError::returned("Esys_Sign", 0x921));
        assert!(lockout.is(Rc::Lockout) && !lockout.is_loss());
        assert!(lockout.to_string().contains("tpm2_dictionarylockout --clear-lockout"));
        // The same by way of a resource manager.
        assert!(TpmError::from(CallError::returned("Esys_Sign", 0xb_0921)).is(Rc::Lockout));
        let broken = TpmError::from(CallError::returned("Esys_Sign", 0xa_000a));
        assert!(broken.is_loss() && broken.to_string().contains("connection"), "{broken}");
        assert!(CallError::returned("Esys_Load", 0x1df).to_string().contains("TPM_RC_INTEGRITY"));
        assert!(CallError::returned("Esys_Load", 0x1fe).to_string().contains("tpm2_rc_decode"));
        assert!(CallError::returned("Esys_Load", 0x910).is_loss());
    }

    /// The numbers are those of the header, through tss-esapi's own reading.
    #[test]
    fn numbers() {
        for (rc, number) in [
            (Rc::Lockout, tss::TPM2_RC_LOCKOUT),
            (Rc::AuthFail, tss::TPM2_RC_AUTH_FAIL),
            (Rc::BadAuth, tss::TPM2_RC_BAD_AUTH),
            (Rc::ObjectMemory, tss::TPM2_RC_OBJECT_MEMORY),
            (Rc::SessionMemory, tss::TPM2_RC_SESSION_MEMORY),
            (Rc::PolicyFail, tss::TPM2_RC_POLICY_FAIL),
            (Rc::Integrity, tss::TPM2_RC_INTEGRITY),
            (Rc::ReferenceH0, tss::TPM2_RC_REFERENCE_H0),
            (Rc::ReferenceS0, tss::TPM2_RC_REFERENCE_S0),
            (Rc::NvDefined, tss::TPM2_RC_NV_DEFINED),
            (Rc::PcrChanged, tss::TPM2_RC_PCR_CHANGED),
            (Rc::AuthUnavailable, tss::TPM2_RC_AUTH_UNAVAILABLE),
        ] {
            assert_eq!(Rc::of(number), Some(rc));
        }
    }

    /// The one way to a number leads through a text of tss-esapi's.
    #[test]
    fn numbers_are_read() {
        use tss_esapi::structures::Public;
        use tss_esapi::traits::UnMarshall as _;
        let error = Public::unmarshall(&[]).unwrap_err();
        assert!(code(error).is_some_and(|code| code >> 16 == 9), "{error:?}");
    }
}
