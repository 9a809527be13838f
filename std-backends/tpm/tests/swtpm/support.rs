//! A TPM of the test's own, and the tools that others wrote.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_FIXED,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use cloudauth_core::signer::ecdsa_der_from_raw;
use cloudauth_core::{Scheme, SignError, Signer, ToSign};
use cloudauth_tpm::{Access, AuthProvider, KeyFile, KeyQuery, KeySource, PcrSelection, Tcti};
use zeroize::Zeroizing;

/// A swtpm on a loopback port, without a resource manager: three object slots, three session slots.
pub(crate) struct Swtpm {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Swtpm {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let mut swtpm = Self { dir, port: free_ports(), child: None };
        swtpm.start();
        swtpm
    }

    pub(crate) fn start(&mut self) {
        self.start_with("not-need-init,startup-clear");
    }

    pub(crate) fn start_with(&mut self, flags: &str) {
        let server = |port| format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", flags, "--tpmstate"])
            .arg(format!("dir={}", self.dir.path().join("state").display()))
            .args(["--server", &server(self.port), "--ctrl", &server(self.port + 1)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port + 1)).is_err() {
            assert!(Instant::now() < until, "swtpm does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn conf(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    pub(crate) fn tcti(&self) -> Tcti {
        Tcti::parse(&self.conf()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a tool in the directory of this TPM.
    pub(crate) fn try_run(&self, line: &str) -> Result<String, String> {
        let mut words = line.split(' ');
        let done = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.dir.path())
            .env("TPM2TOOLS_TCTI", self.conf())
            .env("TPM2OPENSSL_TCTI", self.conf())
            .env("TSS2_LOG", "all+NONE")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            Ok(out)
        } else {
            Err(format!("{line}: {}", String::from_utf8_lossy(&done.stderr)))
        }
    }

    pub(crate) fn run(&self, line: &str) -> String {
        self.try_run(line).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is left in the TPM: transient objects, loaded sessions, saved sessions.
    pub(crate) fn leftovers(&self) -> String {
        ["transient", "loaded-session", "saved-session"]
            .map(|kind| self.run(&format!("tpm2_getcap handles-{kind}")))
            .concat()
    }

    /// A primary in the context file `p.ctx`, under which the tools make keys.
    pub(crate) fn primary(&self) {
        self.run("tpm2_createprimary -Q -C o -G ecc -c p.ctx");
        self.run("tpm2_flushcontext -t");
    }

    /// A key of the tools, in `NAME.pem`.
    pub(crate) fn key_file(&self, name: &str, algorithm: &str, more: &str) {
        self.run(&format!(
            "tpm2_create -Q -C p.ctx -G {algorithm} -u {name}.pub -r {name}.priv{more}"
        ));
        self.encode(name);
    }

    /// `NAME.pem` of `NAME.pub` and `NAME.priv`.
    pub(crate) fn encode(&self, name: &str) {
        self.run(&format!("tpm2_encodeobject -C p.ctx -u {name}.pub -r {name}.priv -o {name}.pem"));
        self.run("tpm2_flushcontext -t");
        // The tool forgets its session.
        self.run("tpm2_flushcontext -l");
    }

    /// A key of the tools, at a persistent handle.
    pub(crate) fn key_at(&self, handle: u32, algorithm: &str, more: &str) {
        self.run(&format!(
            "tpm2_create -Q -C p.ctx -G {algorithm} -u k.pub -r k.priv -c k.ctx{more}"
        ));
        self.run("tpm2_flushcontext -t");
        self.run(&format!("tpm2_evictcontrol -Q -C o -c k.ctx {handle:#x}"));
        self.run("tpm2_flushcontext -t");
    }

    /// A storage root key at 0x81000001.
    pub(crate) fn storage_root_key(&self, algorithm: &str) {
        self.run(&format!("tpm2_createprimary -Q -C o -G {algorithm} -c srk.ctx"));
        self.run("tpm2_flushcontext -t");
        self.run("tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001");
        self.run("tpm2_flushcontext -t");
    }

    /// The TPM Name that the tools show.
    pub(crate) fn name(&self, context: &str) -> Vec<u8> {
        let shown = self.run(&format!("tpm2_readpublic -c {context}"));
        let line = shown.lines().find(|line| line.starts_with("name: ")).unwrap();
        let hex = line.trim_start_matches("name: ").as_bytes();
        let mut name = vec![0; hex.len() / 2];
        cloudauth_core::encode::hex::decode(hex, &mut name).unwrap();
        self.run("tpm2_flushcontext -t");
        name
    }

    /// The Name of the RSA endorsement key of the TCG's template.
    pub(crate) fn ek_name(&self) -> Vec<u8> {
        self.run("tpm2_createek -Q -c ek.ctx -G rsa -u ek.pub");
        self.run("tpm2_flushcontext -t");
        self.run("tpm2_flushcontext -l");
        self.name("ek.ctx")
    }

    /// How many wrong values the TPM has counted.
    pub(crate) fn failures(&self) -> u32 {
        let shown = self.run("tpm2_getcap properties-variable");
        let line = shown.lines().find(|l| l.contains("LOCKOUT_COUNTER")).unwrap();
        u32::from_str_radix(line.rsplit("0x").next().unwrap().trim(), 16).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> KeyQuery {
        let file = KeyFile::from_der(&der(&self.path(name))).unwrap();
        self.query(KeySource::File(Box::new(file)))
    }

    pub(crate) fn handle(&self, handle: u32) -> KeyQuery {
        self.query(KeySource::Handle(handle))
    }

    pub(crate) fn query(&self, source: KeySource) -> KeyQuery {
        KeyQuery { access: self.access(), source, pcrs: None }
    }

    pub(crate) fn access(&self) -> Access {
        Access {
            tcti: self.tcti(),
            parent: None,
            pin: None,
            key_auth: none(),
            ask_key_auth: none(),
            parent_auth: none(),
            owner_auth: none(),
        }
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port whose successor is free too.
pub(crate) fn free_ports() -> u16 {
    loop {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = one.local_addr().unwrap().port();
        if port < 65000 && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// The DER in a PEM file.
pub(crate) fn der(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let mut out = vec![0; body.len()];
    cloudauth_core::encode::base64::decode(body.as_bytes(), &mut out).unwrap().to_vec()
}

pub(crate) fn none() -> Box<AuthProvider> {
    Box::new(|| Ok(None))
}

pub(crate) fn auth(value: &'static str) -> Box<AuthProvider> {
    Box::new(move || Ok(Some(Zeroizing::new(value.as_bytes().to_vec()))))
}

pub(crate) fn pcrs(text: &str) -> Option<PcrSelection> {
    Some(PcrSelection::parse(text).unwrap())
}

pub(crate) const MESSAGE: &[u8] = b"the message";

pub(crate) fn sign(
    key: &impl Signer,
    scheme: Scheme,
    message: &[u8],
) -> Result<Vec<u8>, SignError> {
    let mut out = vec![0; key.max_signature_len(scheme)];
    let len = key.sign(scheme, &ToSign::new(message, &[7; 32]), &mut out)?;
    assert_eq!(len, out.len());
    Ok(out)
}

/// Signs and verifies with an implementation that is not ours.
pub(crate) fn check(key: &impl Signer, scheme: Scheme) {
    let signature = sign(key, scheme, MESSAGE).unwrap();
    verify(key.public_key(), scheme, MESSAGE, &signature);
}

/// The same of a digest that was made elsewhere; one of a wrong length is refused.
pub(crate) fn check_digest(key: &impl Signer, scheme: Scheme) {
    let hash = if scheme == Scheme::EcdsaP384Sha384 { &SHA384 } else { &SHA256 };
    let digest = digest(hash, MESSAGE);
    let mut out = vec![0; key.max_signature_len(scheme)];
    let mut sign = |digest| key.sign(scheme, &ToSign::prehashed(digest, &[7; 32]), &mut out);
    for wrong in [0, 20, 31, 80 - digest.as_ref().len()] {
        assert_eq!(sign(&[7; 48][..wrong]), Err(SignError::DIGEST_LENGTH), "{scheme:?} {wrong}");
    }
    sign(digest.as_ref()).unwrap();
    verify(key.public_key(), scheme, MESSAGE, &out);
}

pub(crate) fn verify(spki: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) {
    let mut der = [0; 104];
    let (algorithm, signature): (&dyn VerificationAlgorithm, &[u8]) = match scheme {
        Scheme::RsaPkcs1Sha256 => (&RSA_PKCS1_2048_8192_SHA256, signature),
        Scheme::RsaPssSha256 => (&RSA_PSS_2048_8192_SHA256, signature),
        Scheme::EcdsaP256Sha256 => (&ECDSA_P256_SHA256_FIXED, signature),
        Scheme::EcdsaP384Sha256 => {
            (&ECDSA_P384_SHA256_ASN1, ecdsa_der_from_raw(signature, &mut der).unwrap())
        }
        _ => (&ECDSA_P384_SHA384_FIXED, signature),
    };
    UnparsedPublicKey::new(algorithm, spki).verify(message, signature).unwrap();
}
