//! What is made sure of before the TPM gets an authorization value, or a secret that is wrapped for one of its keys.

use core::sync::atomic::{AtomicU64, Ordering};

use tss_esapi::constants::{CapabilityType, PropertyTag};
use tss_esapi::handles::KeyHandle;
use tss_esapi::structures::{CapabilityData, Public};

use crate::device::Live;
use crate::error::{Call as _, Rc, Result, TpmError};
use crate::public;
use crate::source::Pin;

/// Numbers for states of the TPM's count of wrong values: another number, another state.
static NEXT_COUNT: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_count() -> u64 {
    NEXT_COUNT.fetch_add(1, Ordering::Relaxed)
}

impl Live {
    /// The public area of a key; with a pin, as the TPM that was proved says it.
    pub(crate) fn public(&mut self, handle: KeyHandle, pin: Option<&Pin>) -> Result<Public> {
        match pin {
            Some(_) => self.public_in_session(handle, pin),
            None => {
                let read = self.context.execute_without_session(|c| c.read_public(handle));
                read.map(|(public, ..)| public).call("Esys_ReadPublic")
            }
        }
    }

    /// The command names the key by the Name that this process has of it, and the answer is authenticated: one
    /// who changed either on the way is found out.
    fn public_in_session(&mut self, handle: KeyHandle, pin: Option<&Pin>) -> Result<Public> {
        let exchanged = || {
            TpmError::Pin(
                "the public key of the key, or of its parent, was changed on the way from the TPM, which has \
                 another one: somebody is between it and this process; nothing was sent to it"
                    .to_owned(),
            )
        };
        let session = self.hmac_session(pin)?;
        let read = self
            .context
            .execute_with_session(Some(session), |context| context.read_public(handle))
            .call("Esys_ReadPublic");
        let (public, ..) = match read {
            Err(error) if error.is(Rc::AuthFail) || error.is(Rc::BadAuth) => {
                return Err(exchanged());
            }
            read => read?,
        };
        let known = self.context.tr_get_name(handle.into()).call("Esys_TR_GetName")?;
        if public::name(&public)? != known.value() {
            return Err(exchanged());
        }
        Ok(public)
    }

    /// The public area of a parent under which a key is made, or brought. It must be one whose private half
    /// never was outside of this TPM: whoever knows it has the key.
    pub(crate) fn check_parent(&mut self, parent: KeyHandle, pin: Option<&Pin>) -> Result<Public> {
        let public = self.public_in_session(parent, pin)?;
        let (attributes, ..) = public::common(&public);
        if !attributes.fixed_tpm() || !public::is_storage(&public) {
            return Err(TpmError::Key(
                "the parent is no storage key that cannot leave this TPM (it wants the attributes fixedTPM, \
                 restricted and decrypt, and not sign); name another with parent="
                    .to_owned(),
            ));
        }
        Ok(public)
    }

    /// That a wrong value would not be the one that locks the TPM. In lockout the TPM says so itself.
    pub(crate) fn check_tries(&mut self) -> Result<()> {
        let first = u32::from(PropertyTag::LockoutCounter);
        let (data, _) = self
            .context
            .execute_without_session(|c| c.get_capability(CapabilityType::TpmProperties, first, 3))
            .call("Esys_GetCapability")?;
        let CapabilityData::TpmProperties(list) = data else { return Ok(()) };
        let value = |tag| list.find(tag).map(|property| property.value());
        let (Some(failures), Some(limit)) =
            (value(PropertyTag::LockoutCounter), value(PropertyTag::MaxAuthFail))
        else {
            return Ok(());
        };
        // No time after which one is forgotten: the TPM does not count at all.
        let counts = value(PropertyTag::LockoutInterval) != Some(0);
        // A TPM that takes one wrong value only is always one away from its lockout.
        if counts && failures > 0 && failures.checked_add(1) == Some(limit) {
            return Err(TpmError::FinalTry { failures, limit });
        }
        Ok(())
    }
}
