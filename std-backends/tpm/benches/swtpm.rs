//! Signatures of this crate beside bare `Esys_Sign` in a loop, with the same kind of session (salted,
//! encrypting, kept). Each side has a swtpm of its own, because one takes one connection; they run in turn in one
//! process. `tests/bench` runs it; ends with 1 when a row is far above its goal.

// A benchmark stops at the first thing that is not as it expects.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, unsafe_code)]

use std::ffi::CString;
use std::process::ExitCode;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use cloudauth_core::{Mac as _, Scheme, Signer as _, ToSign};
use cloudauth_tpm::{Destination, KeyKind, Material, TpmKey, TpmMac, create, import};
use tss_esapi::constants::tss::*;
use tss_esapi::tss2_esys::*;
use zeroize::Zeroizing;

#[allow(dead_code, clippy::expect_used)]
#[path = "../tests/swtpm/support.rs"]
mod support;

use support::Swtpm;

const SLICES: usize = 31;
const GOAL: f64 = 1.05;
/// Above this something is broken; a shared machine's ratio is not exact.
const BROKEN: f64 = 1.25;

const RSA: u32 = 0x8100_0010;
const EC: u32 = 0x8100_0011;
const MAC: u32 = 0x8100_0012;

fn main() -> ExitCode {
    if !std::path::Path::new("/usr/bin/swtpm").exists() {
        println!("TPM: skipped, swtpm is not installed");
        return ExitCode::SUCCESS;
    }
    let (ours, theirs) = (Swtpm::new(), Swtpm::new());
    for tpm in [&ours, &theirs] {
        let access = tpm.access();
        create(&access, KeyKind::Rsa2048, None, &Destination::Handle(RSA)).unwrap();
        create(&access, KeyKind::EcP256, None, &Destination::Handle(EC)).unwrap();
        let secret = Material::Secret(Zeroizing::new(vec![7; 44]));
        import(&access, &secret, None, &Destination::Handle(MAC)).unwrap();
    }
    let rsa = TpmKey::open(ours.handle(RSA)).unwrap();
    let ec = TpmKey::open(ours.handle(EC)).unwrap();
    let mac = TpmMac::open(ours.handle(MAC)).unwrap();
    let bare = Bare::new(&theirs.conf());
    let (bare_rsa, bare_ec, bare_mac) = (bare.key(RSA), bare.key(EC), bare.key(MAC));
    let message = [0x61; 400];
    let to_sign = ToSign::new(&message, &[7; 32]);
    let mut good = true;
    good &= row(
        "RSA-2048, PKCS#1 v1.5",
        10,
        || {
            rsa.sign(Scheme::RsaPkcs1Sha256, &to_sign, &mut [0; 256]).unwrap();
        },
        || bare.sign(bare_rsa, TPM2_ALG_RSASSA),
    );
    good &= row(
        "ECDSA P-256",
        40,
        || {
            ec.sign(Scheme::EcdsaP256Sha256, &to_sign, &mut [0; 64]).unwrap();
        },
        || bare.sign(bare_ec, TPM2_ALG_ECDSA),
    );
    good &= row(
        "HMAC-SHA256, 8 octets",
        60,
        || {
            mac.hmac_sha256(b"20261122").unwrap();
        },
        || bare.hmac(bare_mac),
    );
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The software stack's own functions, without anything between.
struct Bare {
    esys: *mut ESYS_CONTEXT,
    session: ESYS_TR,
}

fn ok(rc: TSS2_RC) {
    assert_eq!(rc, 0, "{rc:#x}");
}

impl Bare {
    fn new(conf: &str) -> Self {
        let conf = CString::new(conf).unwrap();
        let (mut tcti, mut esys) = (null_mut(), null_mut());
        let mut session = ESYS_TR_NONE;
        // SAFETY: the pointers are to locals that outlive the calls, and the results are checked.
        unsafe {
            ok(Tss2_TctiLdr_Initialize(conf.as_ptr(), &mut tcti));
            ok(Esys_Initialize(&mut esys, tcti, null_mut()));
            let salt = primary(esys);
            let mut symmetric = TPMT_SYM_DEF { algorithm: TPM2_ALG_AES, ..Default::default() };
            symmetric.keyBits.aes = 128;
            symmetric.mode.aes = TPM2_ALG_CFB;
            let (none, kind) = (ESYS_TR_NONE, TPM2_SE_HMAC);
            ok(Esys_StartAuthSession(
                esys,
                salt,
                none,
                none,
                none,
                none,
                null(),
                kind,
                &symmetric,
                TPM2_ALG_SHA256,
                &mut session,
            ));
            let attributes =
                TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
            ok(Esys_TRSess_SetAttributes(esys, session, attributes, 0xff));
            ok(Esys_FlushContext(esys, salt));
        }
        Self { esys, session }
    }

    fn key(&self, handle: u32) -> ESYS_TR {
        let (mut key, none) = (ESYS_TR_NONE, ESYS_TR_NONE);
        // SAFETY: as above.
        unsafe { ok(Esys_TR_FromTPMPublic(self.esys, handle, none, none, none, &mut key)) };
        key
    }

    fn sign(&self, key: ESYS_TR, scheme: TPM2_ALG_ID) {
        let mut digest = TPM2B_DIGEST { size: 32, ..Default::default() };
        digest.buffer[..32].fill(0x61);
        let mut scheme = TPMT_SIG_SCHEME { scheme, ..Default::default() };
        scheme.details.any.hashAlg = TPM2_ALG_SHA256;
        let ticket = TPMT_TK_HASHCHECK {
            tag: TPM2_ST_HASHCHECK,
            hierarchy: TPM2_RH_NULL,
            digest: Default::default(),
        };
        let (mut signature, none) = (null_mut(), ESYS_TR_NONE);
        // SAFETY: as above; the signature is the callee's and is given back to it.
        unsafe {
            ok(Esys_Sign(
                self.esys,
                key,
                self.session,
                none,
                none,
                &digest,
                &scheme,
                &ticket,
                &mut signature,
            ));
            Esys_Free(signature.cast());
        }
    }

    fn hmac(&self, key: ESYS_TR) {
        let mut buffer = TPM2B_MAX_BUFFER { size: 8, ..Default::default() };
        buffer.buffer[..8].copy_from_slice(b"20261122");
        let (mut tag, none, hash) = (null_mut(), ESYS_TR_NONE, TPM2_ALG_SHA256);
        // SAFETY: as above.
        unsafe {
            ok(Esys_HMAC(self.esys, key, self.session, none, none, &buffer, hash, &mut tag));
            Esys_Free(tag.cast());
        }
    }
}

/// An ECC storage primary of the null hierarchy.
///
/// # Safety
/// `esys` is a context of the software stack.
unsafe fn primary(esys: *mut ESYS_CONTEXT) -> ESYS_TR {
    let mut public = TPM2B_PUBLIC::default();
    public.publicArea.type_ = TPM2_ALG_ECC;
    public.publicArea.nameAlg = TPM2_ALG_SHA256;
    public.publicArea.objectAttributes = TPMA_OBJECT_RESTRICTED
        | TPMA_OBJECT_DECRYPT
        | TPMA_OBJECT_FIXEDTPM
        | TPMA_OBJECT_FIXEDPARENT
        | TPMA_OBJECT_SENSITIVEDATAORIGIN
        | TPMA_OBJECT_USERWITHAUTH;
    let mut ecc = TPMS_ECC_PARMS { curveID: TPM2_ECC_NIST_P256, ..Default::default() };
    ecc.symmetric.algorithm = TPM2_ALG_AES;
    ecc.symmetric.keyBits.aes = 128;
    ecc.symmetric.mode.aes = TPM2_ALG_CFB;
    ecc.scheme.scheme = TPM2_ALG_NULL;
    ecc.kdf.scheme = TPM2_ALG_NULL;
    public.publicArea.parameters.eccDetail = ecc;
    let (sensitive, data) = (TPM2B_SENSITIVE_CREATE::default(), TPM2B_DATA::default());
    let (pcrs, none) = (TPML_PCR_SELECTION::default(), ESYS_TR_NONE);
    let mut handle = ESYS_TR_NONE;
    // SAFETY: the caller's promise; results that are not wanted are left to the process's end.
    unsafe {
        ok(Esys_CreatePrimary(
            esys,
            ESYS_TR_RH_NULL,
            ESYS_TR_PASSWORD,
            none,
            none,
            &sensitive,
            &public,
            &data,
            &pcrs,
            &mut handle,
            &mut null_mut(),
            &mut null_mut(),
            &mut null_mut(),
            &mut null_mut(),
        ));
    }
    handle
}

fn row(what: &str, count: u32, mut ours: impl FnMut(), mut peer: impl FnMut()) -> bool {
    let time = |run: &mut dyn FnMut()| -> Duration {
        let start = Instant::now();
        for _ in 0..count {
            run();
        }
        start.elapsed() / count
    };
    time(&mut ours);
    time(&mut peer);
    let mut slices: Vec<_> = (0..SLICES)
        .map(|i| {
            // In turn first, so that neither gets the warmer half.
            let (a, b);
            if i % 2 == 0 {
                a = time(&mut ours);
                b = time(&mut peer);
            } else {
                b = time(&mut peer);
                a = time(&mut ours);
            }
            (a.as_secs_f64() / b.as_secs_f64(), a, b)
        })
        .collect();
    slices.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, a, b) = slices[SLICES / 2];
    println!(
        "TPM (swtpm) {what}: {:.1} us, bare call with the same kind of session {:.1} us; {:+.1} % (goal <= 5 \
         %: {})",
        a.as_secs_f64() * 1e6,
        b.as_secs_f64() * 1e6,
        (ratio - 1.0) * 100.0,
        if ratio <= GOAL { "yes" } else { "NO" }
    );
    ratio <= BROKEN
}
