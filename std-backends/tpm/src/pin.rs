//! The proof that the TPM has the pinned key.
//!
//! A session that is salted to a key is only as good as the public key that this process got, and the TPM
//! software stack takes it from the bus as it comes. So the pinned key is read, its Name computed here, and
//! a random value wrapped to it with the means of this crate. The session is bound to an object with that
//! value: whoever cannot unwrap it does not know the session's key.

use aws_lc_rs::rand::fill;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{AuthHandle, KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::{AsymmetricAlgorithm, HashingAlgorithm};
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Auth, Digest, EncryptedSecret, Nonce, Private, Public, SymmetricDefinitionObject,
};
use zeroize::Zeroizing;

use crate::device::{Live, SRK};
use crate::error::{Call as _, Rc, Result, TpmError};
use crate::public::{self, KeyKind, Template, Unique};
use crate::source::{Hierarchy, Parent, Pin};
use crate::wrap::{Sensitive, TYPE_KEYEDHASH, Wrapped, wrap};

/// Where endorsement keys are kept (TCG EK Credential Profile, section 2.2.1.4): RSA, then ECC.
const EKS: [u32; 2] = [0x8101_0001, 0x8101_0002];

impl Live {
    /// The pinned key, and an object whose authorization value only the TPM with that key can have got.
    pub(crate) fn prove(&mut self, pin: &Pin) -> Result<(KeyHandle, ObjectHandle)> {
        let (parent, public) = self.pinned(pin)?;
        let random = |bytes: &mut [u8]| {
            fill(bytes).map_err(|_| TpmError::Pin("the system gives no random octets".to_owned()))
        };
        let (mut auth, mut seed, mut key) =
            (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        random(&mut *auth)?;
        random(&mut *seed)?;
        random(&mut *key)?;
        // A trailing zero would be dropped from an authorization value.
        if let Some(last) = auth.last_mut() {
            *last |= 1;
        }
        let unique = cloudauth_core::digest::sha256(&Zeroizing::new([*seed, *key].concat()));
        let unique = Some(Unique::Hash(unique.to_vec()));
        let object = public::signing_template(KeyKind::HmacSha256, &[], false, unique)?;
        let sensitive =
            Sensitive { kind: TYPE_KEYEDHASH, auth: &*auth, seed: &*seed, value: &*key };
        let wrapped = wrap(&public, &object, &sensitive)?;
        let handle = self.import_proof(pin, parent, object, &wrapped)?;
        let auth = Auth::try_from(auth.as_slice()).call("TPM2B_AUTH")?;
        if let Err(error) = self.context.tr_set_auth(handle, auth).call("Esys_TR_SetAuth") {
            return self.with_transient(handle, |_| Err(error));
        }
        Ok((parent, handle))
    }

    /// The key, with its public area, whose Name was computed here and is the wanted one.
    fn pinned(&mut self, pin: &Pin) -> Result<(KeyHandle, Public)> {
        let none = || Ok(Auth::default());
        let handle = match pin {
            Pin::Srk(_) if self.has_persistent(SRK) => KeyHandle::from(self.persistent(SRK)?),
            Pin::Srk(_) => {
                let primary = Parent::Ecc(Hierarchy::Owner);
                match self.parent(primary, Template::Tcg, None, none, none) {
                    // The TPM would get the owner's value before it is proved.
                    Err(error) if error.is(Rc::AuthFail) || error.is(Rc::BadAuth) => {
                        return Err(TpmError::Pin(
                            "the owner hierarchy has an authorization value, without which the pinned storage \
                             root key cannot be made, and it is at no handle; keep it at 0x81000001, or pin the \
                             endorsement key with ek-name"
                                .to_owned(),
                        ));
                    }
                    made => made?,
                }
            }
            Pin::Ek(_) => match EKS.into_iter().find(|handle| self.has_persistent(*handle)) {
                Some(handle) => KeyHandle::from(self.persistent(handle)?),
                // Made once: it takes a slot, and a discrete TPM needs seconds for it.
                None => self.parent(Parent::Ek, Template::Tcg, None, none, none)?,
            },
        };
        let (public, ..) = self
            .context
            .execute_without_session(|context| context.read_public(handle))
            .call("Esys_ReadPublic")?;
        let name = public::name(&public)?;
        if name != pin.name() {
            return Err(TpmError::Pin(format!(
                "the TPM's {} has the Name {}, not the pinned {}: this is another TPM, or somebody is \
                 between it and this process; nothing was sent to it",
                pin.what(),
                Hex(&name),
                Hex(pin.name()),
            )));
        }
        Ok((handle, public))
    }

    /// The one that keys hang on, at its handle or made.
    pub(crate) fn rsa_endorsement_key(&mut self) -> Result<KeyHandle> {
        let [rsa, _] = EKS;
        match self.has_persistent(rsa) {
            true => self.persistent(rsa).map(KeyHandle::from),
            false => self.endorsement_key(),
        }
    }

    fn endorsement_key(&mut self) -> Result<KeyHandle> {
        let template = tss_esapi::abstraction::ek::create_ek_public_from_default_template(
            AsymmetricAlgorithm::Rsa,
            None,
        )
        .call("TPMT_PUBLIC")?;
        self.create_primary(Hierarchy::Endorsement, template, None, || Ok(Auth::default()))
    }

    fn import_proof(
        &mut self,
        pin: &Pin,
        parent: KeyHandle,
        object: Public,
        wrapped: &Wrapped,
    ) -> Result<ObjectHandle> {
        let duplicate = Private::try_from(wrapped.duplicate.as_slice()).call("TPM2B_PRIVATE")?;
        let secret =
            EncryptedSecret::try_from(wrapped.secret.as_slice()).call("TPM2B_ENCRYPTED_SECRET")?;
        let null = SymmetricDefinitionObject::Null;
        if matches!(pin, Pin::Srk(_)) {
            // It would go over the bus as it is, in the password session below.
            self.context.tr_set_auth(parent.into(), Auth::default()).call("Esys_TR_SetAuth")?;
        }
        let private = self.as_user(pin, |live, session| {
            live.context
                .execute_with_session(Some(session), |context| {
                    context.import(parent.into(), None, object.clone(), duplicate, secret, null)
                })
                .call("Esys_Import")
        });
        let private = match private {
            Err(error) if error.is(Rc::AuthFail) || error.is(Rc::BadAuth) => {
                return Err(TpmError::Pin(format!(
                    "the TPM's {} has an authorization value of its own, with which it cannot be pinned; pin the \
                     endorsement key with ek-name",
                    pin.what()
                )));
            }
            other => other?,
        };
        self.as_user(pin, |live, session| {
            live.context
                .execute_with_session(Some(session), |context| {
                    context.load(parent, private, object)
                })
                .map(ObjectHandle::from)
                .call("Esys_Load")
        })
    }

    /// With the authorization of the pinned key: a storage root key has an empty value, an endorsement key the
    /// policy of its hierarchy. Neither is a secret.
    fn as_user<T>(
        &mut self,
        pin: &Pin,
        work: impl FnOnce(&mut Self, AuthSession) -> Result<T>,
    ) -> Result<T> {
        match pin {
            Pin::Srk(_) => work(self, AuthSession::Password),
            Pin::Ek(_) => self.with_ek_policy(work),
        }
    }

    /// With the policy of endorsement keys (TCG EK Credential Profile, section B.6.2): that of their hierarchy's
    /// authorization value, which is empty.
    pub(crate) fn with_ek_policy<T>(
        &mut self,
        work: impl FnOnce(&mut Self, AuthSession) -> Result<T>,
    ) -> Result<T> {
        let session =
            self.start_session(None, None, SessionType::Policy, HashingAlgorithm::Sha256)?;
        let result = PolicySession::try_from(session)
            .call("Esys_StartAuthSession")
            .and_then(|policy| {
                self.context
                    .execute_with_session(Some(AuthSession::Password), |context| {
                        context.policy_secret(
                            policy,
                            AuthHandle::Endorsement,
                            Nonce::default(),
                            Digest::default(),
                            Nonce::default(),
                            None,
                        )
                    })
                    .call("Esys_PolicySecret")
            })
            .and_then(|_| work(self, session));
        self.flush_session(session);
        result
    }
}

struct Hex<'a>(&'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
