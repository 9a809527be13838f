//! The server's key where it is in a device.

use std::fmt;

use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// How many handshakes may wait for the device. Each holds a thread; further ones fail at once.
const WAITING: usize = 64;

/// Signs without holding up the runtime: a TPM takes 50 ms, a network HSM may take longer.
pub(super) struct DeviceKey<K> {
    key: K,
    waiting: Semaphore,
}

impl<K> DeviceKey<K> {
    pub(super) const fn new(key: K) -> Self {
        Self { key, waiting: Semaphore::const_new(WAITING) }
    }
}

impl<K: fmt::Debug> fmt::Debug for DeviceKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceKey").field(&self.key).finish()
    }
}

impl<K: Signer> Signer for DeviceKey<K> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    struct Slow;

    impl Signer for Slow {
        fn public_key(&self) -> &[u8] {
            &[]
        }

        fn supports(&self, _: Scheme) -> bool {
            true
        }

        fn max_signature_len(&self, _: Scheme) -> usize {
            0
        }

        fn sign(&self, _: Scheme, _: &ToSign<'_>, _: &mut [u8]) -> Result<usize, SignError> {
            sleep(Duration::from_millis(500));
            Ok(0)
        }
    }

    async fn sign(key: Arc<DeviceKey<Slow>>) -> bool {
        key.sign(Scheme::EcdsaP256Sha256, &ToSign::new(b"", &[0; 32]), &mut []).is_ok()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_and_few_wait() {
        let key = Arc::new(DeviceKey::new(Slow));
        let began = Instant::now();
        let signing: Vec<_> = (0..WAITING + 10).map(|_| tokio::spawn(sign(key.clone()))).collect();
        // A task of the one worker, behind all those.
        assert!(
            tokio::spawn(async move { began.elapsed() < Duration::from_millis(400) })
                .await
                .unwrap()
        );
        let mut signed = 0;
        for task in signing {
            signed += usize::from(task.await.unwrap());
        }
        assert_eq!(signed, WAITING);
        assert!(sign(key).await);
    }
}
