//! A URI opened: the key that it names.

use core::fmt;

use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use pkcs8::der::asn1::ObjectIdentifier;
use pkcs8::der::{Decode as _, ErrorKind};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters, Pbkdf2Prf};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use crate::google::parse_service_account;
use crate::pem::{self, Block};
use crate::software::SoftwareKey;
use crate::token::CheckedToken;
#[cfg(feature = "tpm")]
use crate::tpm;
use crate::uri::Target;
use crate::{
    GoogleAccount, KeyAlgorithm, KeyError, KeyUri, PASSPHRASE_VARIABLE, Prompt, Result, SecretRef,
    Warning, files,
};

/// A signing key, opened. It is `Send` and `Sync`, and its private half never shows.
pub struct Key {
    key: Inner,
    name: String,
    google: Option<GoogleAccount>,
    warnings: Vec<Warning>,
}

enum Inner {
    Software(SoftwareKey),
    Token(Box<CheckedToken>),
    #[cfg(feature = "tpm")]
    Tpm(Box<tpm::CheckedKey>),
}

impl Inner {
    fn signer(&self) -> &dyn Signer {
        match self {
            Self::Software(key) => key,
            Self::Token(key) => &**key,
            #[cfg(feature = "tpm")]
            Self::Tpm(key) => &**key,
        }
    }
}

impl Key {
    /// Opens the signing key that `uri` names, and checks that its parts belong together.
    ///
    /// # Errors
    /// [`KeyError`] names the place, what is wrong with it and the way out.
    pub fn open(uri: &KeyUri) -> Result<Self> {
        Self::open_with(uri, &Prompt::none())
    }

    /// As [`open`](Self::open); a PIN or passphrase that no source names is asked for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(uri: &KeyUri, prompt: &Prompt) -> Result<Self> {
        let place = uri.place();
        match uri.target() {
            Target::Pkcs11(attributes) => {
                let (key, warnings) = CheckedToken::open(attributes, &place, prompt)?;
                let key = Inner::Token(Box::new(key));
                return Ok(Self { key, name: place, google: None, warnings });
            }
            #[cfg(feature = "tpm")]
            Target::Tpm(attributes) => {
                let mut warnings = Vec::new();
                let key = tpm::CheckedKey::open(attributes, &place, prompt, &mut warnings)?;
                let key = Inner::Tpm(Box::new(key));
                return Ok(Self { key, name: place, google: None, warnings });
            }
            _ => {}
        }
        let Software { key, google, warnings } = Software::open(uri, prompt)?;
        Ok(Self { key: Inner::Software(key), name: uri.to_string(), google, warnings })
    }

    /// A key in memory, from an unencrypted PKCS#8 `PrivateKeyInfo` in DER (RFC 5958).
    ///
    /// # Errors
    /// [`KeyError`] when it is damaged, or no RSA, P-256 or P-384 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let key = Inner::Software(SoftwareKey::from_pkcs8(der, "PKCS#8 key")?);
        Ok(Self { key, name: "in memory".to_owned(), google: None, warnings: Vec::new() })
    }

    /// The type and size of the key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match &self.key {
            Inner::Software(key) => key.algorithm(),
            Inner::Token(key) => key.algorithm(),
            #[cfg(feature = "tpm")]
            Inner::Tpm(key) => key.algorithm(),
        }
    }

    /// Whose key it is, when it came out of a Google service-account JSON.
    #[must_use]
    pub fn google(&self) -> Option<&GoogleAccount> {
        self.google.as_ref()
    }

    /// What the user should know about what the key can do. It may take a signature to find out.
    #[must_use]
    pub fn notes(&self) -> Vec<&'static str> {
        match &self.key {
            #[cfg(feature = "tpm")]
            Inner::Tpm(key) => key.notes(),
            _ => Vec::new(),
        }
    }

    /// What the user should know about how the key is kept.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl Signer for Key {
    fn public_key(&self) -> &[u8] {
        self.key.signer().public_key()
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.key.signer().supports(scheme)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        self.key.signer().max_signature_len(scheme)
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> core::result::Result<usize, SignError> {
        self.key.signer().sign(scheme, to_sign, out)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.algorithm(), self.name)
    }
}

impl KeyUri {
    pub(crate) fn not_read(&self) -> KeyError {
        KeyError::NotDone {
            what: format!("read the key itself of {}", self.place()),
            help: "it never leaves its device; name a file: or env: key".to_owned(),
        }
    }

    #[cfg(not(feature = "tpm"))]
    pub(crate) fn no_backend(&self) -> KeyError {
        KeyError::NoBackend { scheme: self.scheme().name(), backend: "TPM", feature: "tpm" }
    }
}

/// A key out of a text, and what stands there beside it.
pub(crate) struct Software {
    pub(crate) key: SoftwareKey,
    pub(crate) google: Option<GoogleAccount>,
    pub(crate) warnings: Vec<Warning>,
}

impl Software {
    /// The key of a file or a variable.
    pub(crate) fn open(uri: &KeyUri, prompt: &Prompt) -> Result<Self> {
        let mut warnings = Vec::new();
        let (text, passphrase) = match uri.target() {
            Target::File { path, passphrase } => {
                (files::read(path, false, &mut warnings)?, passphrase)
            }
            Target::Env { name, passphrase } => (files::read_variable(name)?, passphrase),
            #[cfg(not(feature = "tpm"))]
            Target::Tpm(_) => return Err(uri.no_backend()),
            _ => return Err(uri.not_read()),
        };
        let mut read = Self::read(&text, uri.place(), passphrase.as_ref(), prompt)?;
        warnings.append(&mut read.warnings);
        Ok(Self { warnings, ..read })
    }

    /// The key of a text from `place`.
    pub(crate) fn read(
        text: &[u8],
        place: String,
        passphrase: Option<&SecretRef>,
        prompt: &Prompt,
    ) -> Result<Self> {
        if text.trim_ascii().is_empty() {
            return Err(KeyError::Empty { place });
        }
        let (source, warnings) = (passphrase, Vec::new());
        let mut opener = Opener { place, source, prompt, warnings, decrypted: false };
        let (key, google) = if text.trim_ascii_start().first() == Some(&b'{') {
            let (account, pem) = parse_service_account(text, &opener.place)?;
            (opener.pem(pem.as_bytes())?, Some(account))
        } else {
            (opener.pem(text)?, None)
        };
        if passphrase.is_some() && !opener.decrypted {
            opener.warnings.push(Warning::NotEncrypted { place: opener.place });
        }
        Ok(Self { key, google, warnings: opener.warnings })
    }
}

/// What opening a text needs to know.
struct Opener<'a> {
    place: String,
    source: Option<&'a SecretRef>,
    prompt: &'a Prompt,
    warnings: Vec<Warning>,
    decrypted: bool,
}

impl Opener<'_> {
    /// The one private key of a PEM text. Certificates and the like beside it are passed over.
    fn pem(&mut self, text: &[u8]) -> Result<SoftwareKey> {
        let blocks = pem::blocks(text, &self.place)?;
        let mut keys = blocks.iter().filter(|b| b.label.ends_with("PRIVATE KEY"));
        match (keys.next(), keys.next()) {
            (Some(key), None) => self.block(key, &blocks),
            (Some(_), Some(_)) => Err(self.malformed("several private keys; keep one a file")),
            (None, _) => Err(self.no_private_key(text, &blocks)),
        }
    }

    fn block(&mut self, block: &Block<'_>, blocks: &[Block<'_>]) -> Result<SoftwareKey> {
        let unsupported = |found: &str, help| {
            Err(KeyError::Unsupported { place: self.place.clone(), found: found.to_owned(), help })
        };
        match block.label {
            "PRIVATE KEY" => SoftwareKey::from_pkcs8(&block.der, &self.place),
            "ENCRYPTED PRIVATE KEY" => {
                let der = self.decrypt(&block.der)?;
                SoftwareKey::from_pkcs8(&der, &self.place)
            }
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" if block.headers => {
                unsupported(
                    "the old PEM encryption (Proc-Type: 4,ENCRYPTED)",
                    "convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW",
                )
            }
            "RSA PRIVATE KEY" => SoftwareKey::from_pkcs1(&block.der, &self.place),
            "EC PRIVATE KEY" => {
                let curve = blocks.iter().find(|b| b.label == "EC PARAMETERS");
                let curve = curve.and_then(|b| ObjectIdentifier::from_der(&b.der).ok());
                SoftwareKey::from_sec1(&block.der, curve, &self.place)
            }
            "DSA PRIVATE KEY" => unsupported(
                "a DSA key",
                "use an RSA key of 2048 to 8192 bits, or an EC key on P-256 or P-384",
            ),
            "OPENSSH PRIVATE KEY" => unsupported(
                "the OpenSSH key format",
                "convert a copy with: ssh-keygen -p -m PKCS8 -f COPY",
            ),
            "TSS2 PRIVATE KEY" => unsupported("a TPM key in a file: URI", "name it tpm:file=PATH"),
            other => unsupported(
                &format!("a PEM block of the kind {other}"),
                "convert the key with: openssl pkcs8 -topk8",
            ),
        }
    }

    fn malformed(&self, help: &str) -> KeyError {
        KeyError::malformed(&self.place, help)
    }

    fn no_private_key(&self, text: &[u8], blocks: &[Block<'_>]) -> KeyError {
        let found = match blocks.iter().map(|b| b.label).find(|label| *label != "EC PARAMETERS") {
            Some("CERTIFICATE") => "a certificate".to_owned(),
            Some("PUBLIC KEY" | "RSA PUBLIC KEY") => "a public key".to_owned(),
            Some("CERTIFICATE REQUEST") => "a certificate request".to_owned(),
            Some(other) => format!("PEM of the kind {other}"),
            None if text.first() == Some(&0x30) => {
                return self.malformed(
                    "binary, not PEM; convert DER with: openssl pkey -inform DER, PKCS#12 (.pfx, \
                     .p12) with: openssl pkcs12 -nocerts",
                );
            }
            None => {
                return self.malformed(
                    "expected PEM (-----BEGIN PRIVATE KEY-----) or a Google service-account JSON",
                );
            }
        };
        let place = self.place.clone();
        KeyError::NotAPrivateKey { place, found, help: "name the file with the private key" }
    }

    /// A PKCS#8 `EncryptedPrivateKeyInfo` under PBES2 (RFC 8018).
    fn decrypt(&mut self, der: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let unsupported = |place: &str, found: &str| KeyError::Unsupported {
            place: place.to_owned(),
            found: format!("encryption with {found}"),
            help: "convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256",
        };
        let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|e| match e.kind() {
            ErrorKind::OidUnknown { oid } => unsupported(&self.place, &oid.to_string()),
            _ => self.malformed("damaged encrypted PKCS#8, or an unknown kind of encryption"),
        })?;
        let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
            return Err(unsupported(&self.place, "PBES1, which is broken"));
        };
        if let Some(found) = refused_cost(parameters) {
            return Err(unsupported(&self.place, found));
        }
        let passphrase = self.passphrase()?;
        let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
        // A wrong passphrase leaves right padding once in some 256 cases: then the content tells.
        let len = parameters
            .decrypt_in_place(&passphrase, &mut buffer)
            .ok()
            .filter(|plain| PrivateKeyInfoRef::from_der(plain).is_ok())
            .map(<[u8]>::len);
        let Some(len) = len else {
            return Err(KeyError::Passphrase {
                place: self.place.clone(),
                help: "the passphrase is wrong, or the file is damaged",
            });
        };
        buffer.truncate(len);
        self.decrypted = true;
        Ok(buffer)
    }

    fn passphrase(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        if let Some(source) = self.source {
            return source.read_with(&mut self.warnings);
        }
        match SecretRef::variable(PASSPHRASE_VARIABLE).read() {
            Err(KeyError::NotSet { .. }) => {}
            read => return read,
        }
        let question = format!("Passphrase for {}", self.place);
        let asked = self.prompt.ask(&question).map_err(|help| KeyError::Prompt { help })?;
        asked.ok_or_else(|| KeyError::Passphrase {
            place: self.place.clone(),
            help: "it is encrypted; add ?passphrase-source=env:NAME, file:PATH or fd:N to the URI, or \
                   set CLOUDAUTH_KEY_PASSPHRASE",
        })
    }
}

/// Key derivation that is not done: it would take minutes or gigabytes, or cannot be computed at all.
fn refused_cost(parameters: &Parameters) -> Option<&'static str> {
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) if kdf.prf == Pbkdf2Prf::HmacWithSha1 => Some("PBKDF2 on SHA-1"),
        Kdf::Pbkdf2(kdf) if !(1..=10_000_000).contains(&kdf.iteration_count) => {
            Some("PBKDF2 of more than 10 million iterations, or none")
        }
        Kdf::Scrypt(kdf) => {
            let (n, r) = (kdf.cost_parameter, u64::from(kdf.block_size));
            let p = u64::from(kdf.parallelization);
            let memory = n.saturating_mul(r).saturating_mul(128);
            let fits = n.is_power_of_two()
                && n >= 2
                && (1..=256 << 20).contains(&memory)
                && (1..=1 << 30).contains(&memory.saturating_mul(p));
            (!fits).then_some("scrypt of more than 256 MiB, or with wrong parameters")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
