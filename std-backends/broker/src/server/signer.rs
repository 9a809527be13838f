//! The server's key where it is in a device.

use std::fmt;

use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use cloudauth_keys::Key;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// How many handshakes may wait for the device. Each holds a thread; further ones fail at once.
const WAITING: usize = 64;

/// Signs without holding up the runtime: a TPM takes 50 ms, a network HSM may take longer.
pub(super) struct DeviceKey {
    key: Key,
    waiting: Semaphore,
}

impl DeviceKey {
    pub(super) const fn new(key: Key) -> Self {
        Self { key, waiting: Semaphore::const_new(WAITING) }
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceKey").field(&self.key).finish()
    }
}

impl Signer for DeviceKey {
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
    ) -> Result<usize, SignError> {
        let _place = self.waiting.try_acquire().map_err(|_| {
            SignError::new(
                "sign",
                "too many handshakes wait for this key; they come faster than it signs",
            )
        })?;
        let mut sign = || self.key.sign(scheme, to_sign, out);
        let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
        match flavor {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(sign),
            _ => sign(),
        }
    }
}
