//! Where a key is, and what it hangs on.

use core::fmt;

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{Auth, Public};
use tss_esapi::traits::UnMarshall as _;
use zeroize::Zeroizing;

use crate::error::{Call as _, Result, TpmError};
use crate::keyfile::KeyFile;
use crate::public;
use crate::tcti::Tcti;

/// How a TPM is reached, and what authorizes the work there.
pub struct Access {
    /// The way to the TPM.
    pub tcti: Tcti,
    /// The parent, when it is not the one that a file names.
    pub parent: Option<Parent>,
    /// The key that sessions must be salted to.
    pub pin: Option<Pin>,
    /// The key's authorization value.
    pub key_auth: Box<AuthProvider>,
    /// What asks a person for it, where `key_auth` gives none and the key seems to have one. An empty
    /// answer stands for none.
    pub ask_key_auth: Box<AuthProvider>,
    /// The authorization value of a parent at a persistent handle.
    pub parent_auth: Box<AuthProvider>,
    /// The authorization value of the hierarchy under which a primary is made, or a handle is written.
    pub owner_auth: Box<AuthProvider>,
}

/// What reads an authorization value when it is needed; none where there is none. An error says why it cannot
/// be read, without the value.
pub type AuthProvider =
    dyn Fn() -> core::result::Result<Option<Zeroizing<Vec<u8>>>, String> + Send + Sync;

impl Access {
    pub(crate) fn key_auth(&self) -> Result<Option<Auth>> {
        value(&self.key_auth, "auth-source")
    }

    pub(crate) fn ask_key_auth(&self) -> Result<Option<Auth>> {
        value(&self.ask_key_auth, "the answer")
    }

    pub(crate) fn parent_auth(&self) -> Result<Auth> {
        value(&self.parent_auth, "parent-auth-source").map(Option::unwrap_or_default)
    }

    pub(crate) fn owner_auth(&self) -> Result<Auth> {
        value(&self.owner_auth, "owner-auth-source").map(Option::unwrap_or_default)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({}, {:?}, {:?})", self.tcti, self.parent, self.pin)
    }
}

fn value(provider: &AuthProvider, what: &str) -> Result<Option<Auth>> {
    let Some(value) = provider().map_err(TpmError::Auth)? else { return Ok(None) };
    match Auth::try_from(value.as_slice()) {
        Ok(auth) => Ok(Some(auth)),
        Err(_) => Err(too_long(what, 64)),
    }
}

/// An authorization value is no longer than a digest of the hash that the object's Name is made with (TPM 2.0
/// Library, part 1, section 19.6.4.2). Without this check a TPM takes a longer one for a wrong one, and counts it.
pub(crate) fn check_len(auth: &Auth, what: &str, hash: HashingAlgorithm) -> Result<()> {
    let most = match hash {
        HashingAlgorithm::Sha1 => 20,
        HashingAlgorithm::Sha384 => 48,
        HashingAlgorithm::Sha512 => 64,
        _ => 32,
    };
    // Zeros at the end are no part of it.
    let value = auth.value();
    let len = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if len > most { Err(too_long(what, most)) } else { Ok(()) }
}

fn too_long(what: &str, most: usize) -> TpmError {
    TpmError::Auth(format!(
        "{what}: the value is longer than the {most} octets that the TPM takes here (the digest of the hash of \
         the key's Name); use a shorter one"
    ))
}

/// Which key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// A persistent handle, 0x81000000 to 0x81ffffff.
    Handle(u32),
    /// The key with this Name at a persistent handle, and no other.
    Named {
        /// The persistent handle.
        handle: u32,
        /// The TPM Name.
        name: Vec<u8>,
    },
    /// A `TSS2 PRIVATE KEY`.
    File(Box<KeyFile>),
}

impl KeySource {
    /// The Name that the key must have, where that is known.
    pub(crate) fn name(&self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Handle(_) => Ok(None),
            Self::Named { name, .. } => Ok(Some(name.clone())),
            Self::File(file) => {
                let public =
                    Public::unmarshall(&file.public).call("Tss2_MU_TPMT_PUBLIC_Unmarshal")?;
                public::name(&public).map(Some)
            }
        }
    }

    pub(crate) fn file(&self) -> Option<&KeyFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Handle(_) | Self::Named { .. } => None,
        }
    }
}

/// A hierarchy of the TPM: the root under which primary keys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hierarchy {
    /// The owner's (storage) hierarchy.
    Owner,
    /// The endorsement hierarchy.
    Endorsement,
    /// The platform hierarchy.
    Platform,
    /// The null hierarchy: its keys end with the TPM's next restart.
    Null,
}

/// The key under which another one was made, and is loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// A persistent handle.
    Handle(u32),
    /// The ECC P-256 primary of a hierarchy, made from the TCG's storage template (`H-2`), as
    /// `TSS2 PRIVATE KEY` files mean it.
    Ecc(Hierarchy),
    /// The RSA-2048 primary of a hierarchy, made from the TCG's storage template (`H-1`).
    Rsa(Hierarchy),
    /// The RSA-2048 endorsement key, at 0x81010001 or made from the TCG's template (`L-1`). Keys are loaded under
    /// it by its policy, for which the endorsement hierarchy must have no authorization value.
    Ek,
}

impl Parent {
    /// Reads `0x81000001`, `ek`, `owner`, `endorsement`, `platform` or `null`, the last four also with `-rsa`
    /// behind it, or as numbers (`0x40000001`).
    ///
    /// # Errors
    /// [`TpmError::Format`] says what is expected.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "ek" {
            return Ok(Self::Ek);
        }
        let (name, rsa) = match text.strip_suffix("-rsa") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let number = match name {
            "owner" => Some(OWNER),
            "null" => Some(NULL),
            "endorsement" => Some(ENDORSEMENT),
            "platform" => Some(PLATFORM),
            _ => name.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()),
        };
        number.and_then(|number| Self::from_handle(number, rsa)).ok_or_else(|| {
            TpmError::Format(
                "parent is a persistent handle (0x81000001), ek, owner, endorsement, platform or null, the \
                 last four with -rsa behind them where the primary is an RSA key"
                    .to_owned(),
            )
        })
    }

    /// A handle as key files hold it.
    pub(crate) fn from_handle(number: u32, rsa: bool) -> Option<Self> {
        let hierarchy = match number {
            OWNER => Hierarchy::Owner,
            NULL => Hierarchy::Null,
            ENDORSEMENT => Hierarchy::Endorsement,
            PLATFORM => Hierarchy::Platform,
            _ if is_persistent(number) && !rsa => return Some(Self::Handle(number)),
            _ => return None,
        };
        Some(if rsa { Self::Rsa(hierarchy) } else { Self::Ecc(hierarchy) })
    }

    /// The handle as key files hold it.
    pub(crate) fn handle(self) -> u32 {
        match self {
            Self::Handle(number) => number,
            Self::Ek => ENDORSEMENT,
            Self::Ecc(hierarchy) | Self::Rsa(hierarchy) => match hierarchy {
                Hierarchy::Owner => OWNER,
                Hierarchy::Null => NULL,
                Hierarchy::Endorsement => ENDORSEMENT,
                Hierarchy::Platform => PLATFORM,
            },
        }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(number) => write!(f, "the parent {number:#x}"),
            Self::Ek => f.write_str("the endorsement key"),
            Self::Ecc(hierarchy) => write!(f, "the ECC primary of the {hierarchy:?} hierarchy"),
            Self::Rsa(hierarchy) => write!(f, "the RSA primary of the {hierarchy:?} hierarchy"),
        }
    }
}

const OWNER: u32 = 0x4000_0001;
const NULL: u32 = 0x4000_0007;
const ENDORSEMENT: u32 = 0x4000_000b;
const PLATFORM: u32 = 0x4000_000c;

pub(crate) fn is_persistent(handle: u32) -> bool {
    handle >> 24 == 0x81
}

/// The key that the session must be salted to, by its TPM Name: `000b` and the SHA-256 of its public area
/// (`tpm2_readpublic` prints it). A TPM in which it is not there gets no authorization value and no
/// data to sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// The storage root key's Name: that of handle 0x81000001, else of the owner hierarchy's ECC primary.
    Srk(Vec<u8>),
    /// The endorsement key's Name: that of handle 0x81010001 (RSA), else 0x81010002 (ECC), else of the
    /// RSA primary made from the TCG's template.
    Ek(Vec<u8>),
}

impl Pin {
    /// The Name that is wanted.
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Srk(name) | Self::Ek(name) => name,
        }
    }

    /// What the name is of.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Srk(_) => "storage root key",
            Self::Ek(_) => "endorsement key",
        }
    }
}
