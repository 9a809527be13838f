//! The two calls of a signature, made directly: `cryptoki` asks the token for the length first, and has
//! no single-part `C_Sign` after a context-specific login.

#![allow(unsafe_code)]

use core::ptr;
use std::path::Path;

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys as sys;

use crate::error::{CallError, Pkcs11Error, Result};
use crate::mechanism::Mechanism;

type SignInit = unsafe extern "C" fn(
    sys::CK_SESSION_HANDLE,
    *mut sys::CK_MECHANISM,
    sys::CK_OBJECT_HANDLE,
) -> sys::CK_RV;
type Sign = unsafe extern "C" fn(
    sys::CK_SESSION_HANDLE,
    *mut sys::CK_BYTE,
    sys::CK_ULONG,
    *mut sys::CK_BYTE,
    *mut sys::CK_ULONG,
) -> sys::CK_RV;

/// The functions of a module that sign.
pub(crate) struct Raw {
    sign_init: SignInit,
    sign: Sign,
    /// Keeps the code of the functions in memory.
    _library: sys::Pkcs11,
}

impl Raw {
    /// The functions of the module at `path`, which cryptoki has loaded already.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let not_a_module = || Pkcs11Error::module(path, "it is not a PKCS#11 module");
        // SAFETY: loading a library runs its code. `modules` let this path through, and cryptoki has
        // loaded the same file before: the system hands out the same library again.
        let library = unsafe { sys::Pkcs11::new(path) }.map_err(|_| not_a_module())?;
        let get = *library.C_GetFunctionList.as_ref().map_err(|_| not_a_module())?;
        let mut list: *mut sys::CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: C_GetFunctionList takes a pointer to a pointer, and may be called before
        // C_Initialize (PKCS#11 v3.0, section 5.4).
        let code = unsafe { get(&mut list) };
        if code != sys::CKR_OK || list.is_null() {
            return Err(not_a_module());
        }
        // SAFETY: the module gave a pointer to its list, which lives as long as the library. The list
        // is copied, because some systems pack it.
        let list = unsafe { ptr::read_unaligned(list) };
        match (list.C_SignInit, list.C_Sign) {
            (Some(sign_init), Some(sign)) => Ok(Self { sign_init, sign, _library: library }),
            _ => Err(Pkcs11Error::module(path, "it cannot sign (no C_SignInit or C_Sign)")),
        }
    }

    /// `C_SignInit`.
    pub(crate) fn sign_init(
        &self,
        session: &Session,
        mechanism: Mechanism,
        key: ObjectHandle,
    ) -> core::result::Result<(), CallError> {
        let mut pss = sys::CK_RSA_PKCS_PSS_PARAMS {
            hashAlg: sys::CKM_SHA256,
            mgf: sys::CKG_MGF1_SHA256,
            sLen: 32,
        };
        let mut raw = sys::CK_MECHANISM {
            mechanism: mechanism.number(),
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        if mechanism.is_pss() {
            raw.pParameter = ptr::from_mut(&mut pss).cast();
            raw.ulParameterLen = ulong(size_of_val(&pss));
        }
        // SAFETY: the session is ours alone while it is borrowed here; the mechanism and its parameters
        // live until the call returns, and the module copies what it needs (section 5.2).
        let code = unsafe { (self.sign_init)(session.handle(), &mut raw, key.handle()) };
        check("C_SignInit", code)
    }

    /// `C_Sign`: the length of the signature at the start of `out`.
    pub(crate) fn sign(
        &self,
        session: &Session,
        data: &[u8],
        out: &mut [u8],
    ) -> core::result::Result<usize, CallError> {
        let mut len = ulong(out.len());
        // SAFETY: the module reads `data.len()` octets (the parameter is not const in C, but section
        // 5.13 has it as input only) and writes at most `len` octets of `out`.
        let code = unsafe {
            (self.sign)(
                session.handle(),
                data.as_ptr().cast_mut(),
                ulong(data.len()),
                out.as_mut_ptr(),
                &mut len,
            )
        };
        check("C_Sign", code)?;
        usize::try_from(len).map_err(|_| CallError::new("C_Sign", 0, "a length without end"))
    }
}

/// `CK_ULONG` has 32 bits on some systems. A length that it cannot hold is the largest one: the call
/// then fails for it.
fn ulong(len: usize) -> sys::CK_ULONG {
    sys::CK_ULONG::try_from(len).unwrap_or(sys::CK_ULONG::MAX)
}

fn check(call: &'static str, code: sys::CK_RV) -> core::result::Result<(), CallError> {
    #[allow(clippy::useless_conversion)]
    match u64::from(code) {
        0 => Ok(()),
        code => Err(CallError::returned(call, code)),
    }
}
