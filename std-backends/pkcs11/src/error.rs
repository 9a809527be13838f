//! What a module or a token can answer, and what to do about it.

use core::fmt;
use std::path::PathBuf;

use cloudauth_core::SignError;
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

/// Result of this crate.
pub type Result<T> = core::result::Result<T, Pkcs11Error>;

/// Why a key in a token could not be opened, or did not sign. No text holds a PIN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// The token or the module answered a call with an error.
    #[error("{0}")]
    Call(CallError),
    /// The module cannot be used.
    #[error("PKCS#11 module {path:?}: {help}")]
    Module {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        help: String,
    },
    /// No module, or no one token.
    #[error("{0}")]
    Token(String),
    /// The token was lost, and another is in its place. It is not used: it would be given the PIN of the
    /// lost one.
    #[error(
        "C_GetSlotList: {lost} is gone, and there is {found} in its place, which is not used for a key \
         that was opened in the other; put the token back, or open the key again"
    )]
    Replaced {
        /// The token that the key was opened in.
        lost: String,
        /// What fits the URI now.
        found: String,
    },
    /// No key, several keys, or one that cannot be used.
    #[error("{0}")]
    Key(String),
    /// The PIN is missing, cannot be read, or must not be tried.
    #[error("{0}")]
    Pin(String),
    /// The process was forked.
    #[error(
        "PKCS#11: this process is a fork of the one that opened the key, and sessions do not survive \
         that; open the key again in this process"
    )]
    Forked,
}

impl Pkcs11Error {
    pub(crate) fn module(path: &std::path::Path, help: impl Into<String>) -> Self {
        Self::Module { path: path.to_owned(), help: help.into() }
    }

    /// The return code, when a call failed.
    #[must_use]
    pub fn return_code(&self) -> Option<u64> {
        match self {
            Self::Call(call) => Some(call.code),
            _ => None,
        }
    }
}

impl From<Error> for Pkcs11Error {
    fn from(error: Error) -> Self {
        Self::Call(error.into())
    }
}

impl From<CallError> for Pkcs11Error {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// `SignError` holds no text of its own: the long form is lost here, the call and its code are not.
impl From<Pkcs11Error> for SignError {
    fn from(error: Pkcs11Error) -> Self {
        match error {
            Pkcs11Error::Call(call) => {
                Self::new(call.call, call.text).code(u32::try_from(call.code).unwrap_or(u32::MAX))
            }
            Pkcs11Error::Module { .. } => Self::new(
                "PKCS#11 module",
                "it cannot be used any more; open the key again to see why",
            ),
            Pkcs11Error::Token(_) => Self::new(
                "find the token again",
                "the token is gone, or is not the only one that fits the URI; put it back, and the \
                 next call finds it",
            ),
            Pkcs11Error::Replaced { .. } => Self::new(
                "find the token again",
                "the token that the key was opened in is gone, and another one, which is not used, is in \
                 its place; put the first one back, or open the key again",
            ),
            Pkcs11Error::Key(_) => Self::new(
                "find the key again",
                "the token is back, but not with the one key that was opened; open the key again to \
                 see what is there",
            ),
            Pkcs11Error::Pin(_) => Self::new(
                "log in again",
                "the token does not take the PIN any more, or it must not be tried; open the key \
                 again to see why",
            ),
            Pkcs11Error::Forked => Self::new(
                "PKCS#11",
                "this process is a fork of the one that opened the key; open the key again here",
            ),
        }
    }
}

/// A PKCS#11 function that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallError {
    call: &'static str,
    code: u64,
    text: &'static str,
}

impl CallError {
    pub(crate) const fn new(call: &'static str, code: u64, text: &'static str) -> Self {
        Self { call, code, text }
    }

    /// A return code of `call`.
    pub(crate) fn returned(call: &'static str, code: u64) -> Self {
        let text = CODES
            .iter()
            .find(|(known, _)| *known == code)
            .map_or(if code >= VENDOR { VENDOR_TEXT } else { UNKNOWN_TEXT }, |(_, text)| *text);
        Self { call, code, text }
    }

    /// The function, such as `C_Sign`.
    #[must_use]
    pub const fn call(&self) -> &'static str {
        self.call
    }

    /// Its return code.
    #[must_use]
    pub const fn code(&self) -> u64 {
        self.code
    }

    /// Whether the session may be fine no more but a new one, after a new login, may do.
    pub(crate) fn is_loss(&self) -> bool {
        LOSS.contains(&self.code)
    }

    /// Whether the session is closed already, so that closing its number could hit another.
    pub(crate) fn session_is_gone(&self) -> bool {
        [code::SESSION_CLOSED, code::SESSION_HANDLE_INVALID, code::CRYPTOKI_NOT_INITIALIZED]
            .contains(&self.code)
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

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(rv, function) => Self::returned(name(function), number(rv)),
            Error::NullFunctionPointer => Self::new("PKCS#11", 0, "the module lacks a function"),
            Error::LibraryLoading(_) | Error::MissingSymbol(_) => {
                Self::new("C_GetFunctionList", 0, "not a PKCS#11 module")
            }
            _ => Self::new("PKCS#11", 0, "the module returned a value that cannot be understood"),
        }
    }
}

/// The C name of a function.
fn name(function: Function) -> &'static str {
    match function {
        Function::Initialize => "C_Initialize",
        Function::Finalize => "C_Finalize",
        Function::GetInfo => "C_GetInfo",
        Function::GetFunctionList => "C_GetFunctionList",
        Function::GetInterface => "C_GetInterface",
        Function::GetSlotList => "C_GetSlotList",
        Function::GetSlotInfo => "C_GetSlotInfo",
        Function::GetTokenInfo => "C_GetTokenInfo",
        Function::GetMechanismList => "C_GetMechanismList",
        Function::GetMechanismInfo => "C_GetMechanismInfo",
        Function::OpenSession => "C_OpenSession",
        Function::CloseSession => "C_CloseSession",
        Function::GetSessionInfo => "C_GetSessionInfo",
        Function::Login => "C_Login",
        Function::GetAttributeValue => "C_GetAttributeValue",
        Function::FindObjectsInit => "C_FindObjectsInit",
        Function::FindObjects => "C_FindObjects",
        Function::GenerateRandom => "C_GenerateRandom",
        Function::DestroyObject => "C_DestroyObject",
        Function::CreateObject => "C_CreateObject",
        Function::GenerateKeyPair => "C_GenerateKeyPair",
        Function::GenerateKey => "C_GenerateKey",
        _ => "PKCS#11 call",
    }
}

const VENDOR: u64 = 0x8000_0000;
const VENDOR_TEXT: &str =
    "a code of the module's vendor (CKR_VENDOR_DEFINED); look it up in the module's manual";
const UNKNOWN_TEXT: &str = "an error that PKCS#11 does not define; look into the module's log";

macro_rules! codes {
    ($($variant:ident $constant:ident $value:literal $help:literal)*) => {
        /// The return codes.
        #[allow(dead_code)] // one table, of which some are asked for
        pub(crate) mod code {
            $(pub(crate) const $constant: u64 = $value;)*
        }

        /// What each return code says, with its name in front.
        const CODES: &[(u64, &str)] =
            &[$(($value, concat!("CKR_", stringify!($constant), ": ", $help)),)*];

        fn number(rv: RvError) -> u64 {
            match rv {
                $(RvError::$variant => $value,)*
                RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) => into(code),
                _ => 0,
            }
        }
    };
}

/// `CK_RV` has 32 bits on some systems.
#[allow(clippy::useless_conversion)]
fn into(code: cryptoki_sys::CK_RV) -> u64 {
    code.into()
}

codes! {
    HostMemory HOST_MEMORY 0x02 "the module ran out of memory"
    SlotIdInvalid SLOT_ID_INVALID 0x03 "the slot is gone; is the device plugged in?"
    GeneralError GENERAL_ERROR 0x05 "the module failed; look into its log and configuration"
    FunctionFailed FUNCTION_FAILED 0x06 "the module failed; look into its log"
    ArgumentsBad ARGUMENTS_BAD 0x07 "the module does not accept the call's arguments"
    CantLock CANT_LOCK 0x0a "the module is not safe to use from several threads; use another one"
    ActionProhibited ACTION_PROHIBITED 0x1b "the token does not allow this for this object (CKA_DESTROYABLE, CKA_MODIFIABLE)"
    AttributeReadOnly ATTRIBUTE_READ_ONLY 0x10 "the token does not let this attribute be set"
    AttributeSensitive ATTRIBUTE_SENSITIVE 0x11 "the token does not show this attribute"
    AttributeTypeInvalid ATTRIBUTE_TYPE_INVALID 0x12 "the key lacks an attribute"
    AttributeValueInvalid ATTRIBUTE_VALUE_INVALID 0x13 "the token does not accept an attribute"
    DataInvalid DATA_INVALID 0x20 "the token does not accept the data to sign"
    DataLenRange DATA_LEN_RANGE 0x21 "the key is too short for this signature scheme"
    DeviceError DEVICE_ERROR 0x30 "the device failed; check it and its connection"
    DeviceMemory DEVICE_MEMORY 0x31 "the device ran out of memory; close other sessions"
    DeviceRemoved DEVICE_REMOVED 0x32 "the device was removed; put it back"
    FunctionCanceled FUNCTION_CANCELED 0x50 "somebody cancelled the operation at the device"
    FunctionNotSupported FUNCTION_NOT_SUPPORTED 0x54 "the module lacks this function"
    KeyHandleInvalid KEY_HANDLE_INVALID 0x60 "the key is gone, or the login has ended"
    KeySizeRange KEY_SIZE_RANGE 0x62 "the token does not sign with keys of this size (SoftHSM wants 32 octets for HMAC-SHA256)"
    KeyTypeInconsistent KEY_TYPE_INCONSISTENT 0x63 "the key is of another type than the mechanism wants"
    KeyFunctionNotPermitted KEY_FUNCTION_NOT_PERMITTED 0x68 "the key must not sign; it needs the attribute CKA_SIGN, and the mechanism in CKA_ALLOWED_MECHANISMS if that is set"
    MechanismInvalid MECHANISM_INVALID 0x70 "the token cannot sign in this way; use another signature scheme"
    MechanismParamInvalid MECHANISM_PARAM_INVALID 0x71 "the token does not accept the parameters (SHA-256, MGF1 with SHA-256, salt of 32 octets); use RSA PKCS#1 v1.5"
    ObjectHandleInvalid OBJECT_HANDLE_INVALID 0x82 "the key is gone, or the login has ended"
    OperationActive OPERATION_ACTIVE 0x90 "the session is in use; another part of the process uses it"
    OperationNotInitialized OPERATION_NOT_INITIALIZED 0x91 "another part of the process ended the operation"
    PinIncorrect PIN_INCORRECT 0xa0 "the PIN is wrong; it was tried once and is not tried again, because repeated tries lock the token: correct it before the next try"
    PinInvalid PIN_INVALID 0xa1 "the PIN has characters that the token does not accept; correct it before the next try"
    PinLenRange PIN_LEN_RANGE 0xa2 "the PIN is too short or too long; correct it before the next try"
    PinExpired PIN_EXPIRED 0xa3 "the PIN has expired; set a new one with: pkcs11-tool --login --change-pin"
    PinLocked PIN_LOCKED 0xa4 "the PIN is locked after too many wrong tries; the security officer unlocks it with: pkcs11-tool --login --login-type so --init-pin"
    SessionClosed SESSION_CLOSED 0xb0 "the session was closed; another part of the process closed it, or the device was removed"
    SessionCount SESSION_COUNT 0xb1 "the token has no session left; close other programs that use it"
    SessionHandleInvalid SESSION_HANDLE_INVALID 0xb3 "the session was closed; another part of the process closed it, or the device was removed"
    SessionReadOnly SESSION_READ_ONLY 0xb5 "the token does not let this login change anything"
    TemplateIncomplete TEMPLATE_INCOMPLETE 0xd0 "the token wants more attributes for a key than it was given"
    TemplateInconsistent TEMPLATE_INCONSISTENT 0xd1 "the token does not take such a key: some make keys themselves and never import one, or import only wrapped ones"
    TokenNotPresent TOKEN_NOT_PRESENT 0xe0 "no token in the slot; put it back"
    TokenNotRecognized TOKEN_NOT_RECOGNIZED 0xe1 "the module does not know this kind of token"
    TokenWriteProtected TOKEN_WRITE_PROTECTED 0xe2 "the token is write-protected"
    CurveNotSupported CURVE_NOT_SUPPORTED 0x140 "the token does not know this curve"
    UserAlreadyLoggedIn USER_ALREADY_LOGGED_IN 0x100 "somebody is logged in already"
    UserNotLoggedIn USER_NOT_LOGGED_IN 0x101 "not logged in; name the PIN with pin-source in the URI, or set CLOUDAUTH_KEY_PIN"
    UserPinNotInitialized USER_PIN_NOT_INITIALIZED 0x102 "the token has no user PIN yet; the security officer sets it with: pkcs11-tool --login --login-type so --init-pin"
    UserTypeInvalid USER_TYPE_INVALID 0x103 "the token has no such login"
    UserAnotherAlreadyLoggedIn USER_ANOTHER_ALREADY_LOGGED_IN 0x104 "the security officer is logged in by another part of the process; log out first"
    UserTooManyTypes USER_TOO_MANY_TYPES 0x105 "too many users are logged in"
    BufferTooSmall BUFFER_TOO_SMALL 0x150 "the signature is longer than the key allows; the public key belongs to another key"
    CryptokiNotInitialized CRYPTOKI_NOT_INITIALIZED 0x190 "another part of the process finalized the module"
    CryptokiAlreadyInitialized CRYPTOKI_ALREADY_INITIALIZED 0x191 "the module is in use already"
    FipsSelfTestFailed FIPS_SELF_TEST_FAILED 0x1a9 "the module's self-test failed; it must be repaired"
    LibraryLoadFailed LIBRARY_LOAD_FAILED 0x1aa "the module could not load a library that it needs"
    PinTooWeak PIN_TOO_WEAK 0x1ab "the PIN is too weak; set a new one"
    FunctionRejected FUNCTION_REJECTED 0x200 "somebody rejected the operation at the device"
}

/// Return codes after which a new session may do.
const LOSS: [u64; 13] = [
    code::SLOT_ID_INVALID,
    code::GENERAL_ERROR,
    code::DEVICE_ERROR,
    code::DEVICE_REMOVED,
    code::KEY_HANDLE_INVALID,
    code::OBJECT_HANDLE_INVALID,
    code::OPERATION_NOT_INITIALIZED,
    code::SESSION_CLOSED,
    code::SESSION_HANDLE_INVALID,
    code::TOKEN_NOT_PRESENT,
    code::TOKEN_NOT_RECOGNIZED,
    code::USER_NOT_LOGGED_IN,
    code::CRYPTOKI_NOT_INITIALIZED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_named_with_their_code() {
        let error = CallError::from(Error::Pkcs11(RvError::PinIncorrect, Function::Login));
        let text = error.to_string();
        assert!(text.starts_with("C_Login: CKR_PIN_INCORRECT: the PIN is wrong"), "{text}");
        assert!(text.ends_with("(code 0xa0)"), "{text}");
        assert!(!error.is_loss());
        let sign = SignError::from(Pkcs11Error::from(error));
        assert_eq!(sign.return_code(), 0xa0);
        assert_eq!(sign.to_string(), text);
        let vendor = CallError::returned("C_Sign", 0x8000_0001).to_string();
        assert!(vendor.contains("vendor") && vendor.ends_with("(code 0x80000001)"), "{vendor}");
        let unknown = CallError::returned("C_Sign", 0x7fff).to_string();
        assert!(unknown.contains("does not define"), "{unknown}");
    }

    /// The numbers are those of the header.
    #[test]
    fn numbers() {
        use cryptoki_sys as sys;
        for (ours, theirs) in [
            (code::HOST_MEMORY, sys::CKR_HOST_MEMORY),
            (code::DEVICE_REMOVED, sys::CKR_DEVICE_REMOVED),
            (code::KEY_FUNCTION_NOT_PERMITTED, sys::CKR_KEY_FUNCTION_NOT_PERMITTED),
            (code::PIN_LOCKED, sys::CKR_PIN_LOCKED),
            (code::SESSION_HANDLE_INVALID, sys::CKR_SESSION_HANDLE_INVALID),
            (code::USER_NOT_LOGGED_IN, sys::CKR_USER_NOT_LOGGED_IN),
            (code::CRYPTOKI_ALREADY_INITIALIZED, sys::CKR_CRYPTOKI_ALREADY_INITIALIZED),
            (code::FUNCTION_REJECTED, sys::CKR_FUNCTION_REJECTED),
        ] {
            assert_eq!(ours, into(theirs));
        }
        // All of them, through cryptoki's own reading of the number.
        for (code, text) in CODES {
            let rv = cryptoki::error::Rv::from(sys::CK_RV::try_from(*code).unwrap());
            let cryptoki::error::Rv::Error(rv) = rv else { panic!("{text}") };
            assert_eq!(number(rv), *code, "{text}");
        }
    }
}
