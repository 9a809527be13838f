//! Keys of `pkcs11:` URIs.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cloudauth_core::verifier::{self, PublicKey};
use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use cloudauth_pkcs11::{
    KeyQuery, ModulePolicy, ObjectQuery, PinProvider, Pkcs11Error, TokenKey, TokenMac, TokenQuery,
};
use zeroize::Zeroizing;

use crate::uri::{PIN_VARIABLE, PinSource, Pkcs11Type, Pkcs11Uri};
use crate::{KeyAlgorithm, KeyError, Prompt, PublicVerifier, Result, SecretRef, Warning};

/// The variable with which the operator allows `pin-source=|COMMAND`: the whole command, character for
/// character, which begins with the absolute path of its program. The URI chooses no argument.
pub const PIN_COMMAND_VARIABLE: &str = "CLOUDAUTH_KEY_PIN_COMMAND";

/// A key in a token whose first signature of each mechanism is verified here: the public key can be of
/// another object on the token, and some tokens make PSS salts of another length.
pub(crate) struct CheckedToken {
    key: TokenKey,
    algorithm: KeyAlgorithm,
    /// For each scheme, of messages and of digests, which tokens sign by another mechanism:
    /// [`TokenKey::found`] when its signature was verified last. After a recovery the first one is verified
    /// again.
    checked: [[AtomicU64; Scheme::ALL.len()]; 2],
}

impl CheckedToken {
    pub(crate) fn open(
        uri: &Pkcs11Uri,
        place: &str,
        prompt: &Prompt,
    ) -> Result<(Self, Vec<Warning>)> {
        let query = query_of(uri, Pkcs11Type::Private)?;
        let (pin, warnings) = pin(uri, place, prompt);
        let key = TokenKey::open(query, pin, &ModulePolicy::from_env())
            .map_err(|error| failed(place, error))?;
        let public = PublicKey::from_spki(key.public_key());
        let algorithm = match public.map(|key| key.algorithm()) {
            Ok(verifier::KeyAlgorithm::Rsa { bits }) => KeyAlgorithm::Rsa { bits },
            Ok(verifier::KeyAlgorithm::P256) => KeyAlgorithm::P256,
            Ok(verifier::KeyAlgorithm::P384) => KeyAlgorithm::P384,
            _ => return Err(KeyError::Inconsistent { place: place.to_owned() }),
        };
        let checked = [const { [const { AtomicU64::new(0) }; Scheme::ALL.len()] }; 2];
        Ok((Self { key, algorithm, checked }, take(&warnings)))
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn checked(&self, scheme: Scheme, to_sign: &ToSign<'_>) -> Option<&AtomicU64> {
        let [messages, digests] = &self.checked;
        let of = if to_sign.message().is_some() { messages } else { digests };
        let all = Scheme::ALL.into_iter().zip(of);
        all.into_iter().find(|(s, _)| *s == scheme).map(|(_, checked)| checked)
    }
}

impl Signer for CheckedToken {
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
    ) -> core::result::Result<usize, SignError> {
        const WRONG: SignError = SignError::new(
            "C_Sign",
            "the token's signature does not verify with the public key on it; the public key or \
             certificate of this id belongs to another key, or (RSA-PSS) the token makes other salts \
             than of 32 octets: use RSA PKCS#1 v1.5 with it",
        );
        let len = self.key.sign(scheme, to_sign, out)?;
        let found = self.key.found();
        if let Some(checked) = self.checked(scheme, to_sign)
            && checked.load(Ordering::Relaxed) != found
        {
            let signature = out.get(..len).ok_or(WRONG)?;
            let digest = to_sign.digest(scheme)?;
            PublicVerifier::from_spki(self.public_key())
                .and_then(|public| public.verify_digest(scheme, &digest, signature))
                .map_err(|_| WRONG)?;
            checked.store(found, Ordering::Relaxed);
        }
        Ok(len)
    }
}

pub(crate) fn open_mac(
    uri: &Pkcs11Uri,
    place: &str,
    prompt: &Prompt,
) -> Result<(TokenMac, Vec<Warning>)> {
    let query = query_of(uri, Pkcs11Type::SecretKey)?;
    let (pin, warnings) = pin(uri, place, prompt);
    let mac = TokenMac::open(query, pin, &ModulePolicy::from_env());
    Ok((mac.map_err(|error| failed(place, error))?, take(&warnings)))
}

pub(crate) fn failed(place: &str, error: Pkcs11Error) -> KeyError {
    KeyError::Token { place: place.to_owned(), error }
}

fn query_of(uri: &Pkcs11Uri, wanted: Pkcs11Type) -> Result<KeyQuery> {
    if uri.object_type.is_some_and(|found| found != wanted) {
        let name = wanted.name();
        return Err(KeyError::uri(format!("a key for this use has type={name}, or no type")));
    }
    Ok(query(uri))
}

/// The key of `uri`, whatever its type.
pub(crate) fn query(uri: &Pkcs11Uri) -> KeyQuery {
    KeyQuery {
        module_path: uri.module_path.clone(),
        module_name: uri.module_name.clone(),
        token: TokenQuery {
            label: uri.token.clone(),
            manufacturer: uri.manufacturer.clone(),
            serial: uri.serial.clone(),
            model: uri.model.clone(),
            slot_id: uri.slot_id,
            slot_manufacturer: uri.slot_manufacturer.clone(),
            slot_description: uri.slot_description.clone(),
            library_manufacturer: uri.library_manufacturer.clone(),
            library_description: uri.library_description.clone(),
            library_version: uri.library_version,
        },
        object: ObjectQuery {
            label: uri.object.clone().map(String::into_bytes),
            id: uri.id.clone(),
        },
    }
}

pub(crate) type Warnings = Arc<Mutex<Vec<Warning>>>;

pub(crate) fn take(warnings: &Warnings) -> Vec<Warning> {
    core::mem::take(&mut warnings.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What reads the PIN, when the token wants one, and where it puts its warnings.
pub(crate) fn pin(uri: &Pkcs11Uri, place: &str, prompt: &Prompt) -> (Box<PinProvider>, Warnings) {
    let warnings = Warnings::default();
    let to = warnings.clone();
    let (source, value) = (uri.pin_source.clone(), uri.pin_value.clone());
    let (question, prompt) = (format!("PIN for {place}"), prompt.clone());
    let read = move || match (&source, &value) {
        (Some(PinSource::Secret(secret)), _) => {
            let mut found = Vec::new();
            let pin = secret.read_with(&mut found).map_err(|e| format!("pin-source: {e}"))?;
            to.lock().unwrap_or_else(PoisonError::into_inner).append(&mut found);
            Ok(Some(pin))
        }
        (Some(PinSource::Command(command)), _) => run(command).map(Some),
        (None, Some(value)) => Ok(Some(Zeroizing::new(value.as_bytes().to_vec()))),
        (None, None) => match SecretRef::variable(PIN_VARIABLE).read() {
            Ok(pin) => Ok(Some(pin)),
            Err(KeyError::NotSet { .. } | KeyError::Empty { .. }) => prompt.ask(&question),
            Err(e) => Err(e.to_string()),
        },
    };
    (Box::new(read), warnings)
}

/// The longest output of a command for a PIN, in octets.
const MAX_PIN: usize = 1024;

/// How long such a command may take: a person may have to touch a device.
const COMMAND_TIME: Duration = Duration::from_secs(30);

/// The output of a `|command` (RFC 7512, section 2.4), without a shell, when the operator allowed it.
fn run(command: &str) -> core::result::Result<Zeroizing<Vec<u8>>, String> {
    let mut words = command.split_ascii_whitespace();
    let program = words.next().unwrap_or_default();
    let allowed = std::env::var_os(PIN_COMMAND_VARIABLE).filter(|path| !path.is_empty());
    if allowed.as_deref() != Some(command.as_ref()) || !Path::new(program).is_absolute() {
        return Err(format!(
            "pin-source is a command, which runs only when the operator sets {PIN_COMMAND_VARIABLE} to \
             the very same command with all its arguments; it begins with the absolute path of its \
             program"
        ));
    }
    let failed = |e: std::io::Error| format!("pin-source: run the command: {}", e.kind());
    // Nothing of this process's environment but what a program needs to run: there may be secrets in it.
    let kept = ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR"];
    let mut child = Command::new(program)
        .args(words)
        .env_clear()
        .envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // All the room at once: a vector that grows leaves copies behind.
        let mut pin = Zeroizing::new(Vec::with_capacity(MAX_PIN + 1));
        let read = stdout.map(|from| from.take(MAX_PIN as u64 + 1).read_to_end(&mut pin));
        let _ = send.send(read.is_some_and(|read| read.is_ok()).then_some(pin));
    });
    let pin = receive.recv_timeout(COMMAND_TIME);
    if pin.is_err() {
        let _ = child.kill();
    }
    // Its output has ended, or it was killed; one that closed its output and goes on is killed too.
    let until = Instant::now() + Duration::from_secs(1);
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                break child.wait().map_err(failed)?;
            }
        }
    };
    let Ok(pin) = pin else {
        return Err(format!(
            "pin-source: the command took longer than {} s",
            COMMAND_TIME.as_secs()
        ));
    };
    let mut pin = pin.unwrap_or_default();
    if pin.len() > MAX_PIN {
        return Err(format!("pin-source: the command printed more than {MAX_PIN} octets"));
    }
    crate::files::drop_newline(&mut pin);
    if !status.success() || pin.is_empty() {
        return Err("pin-source: the command failed, or printed nothing".to_owned());
    }
    Ok(pin)
}
