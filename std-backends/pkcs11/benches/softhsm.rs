//! Signatures of this crate beside the bare calls (`C_SignInit` and `C_Sign` in a loop), in turn in one
//! process, with SoftHSM. `tests/bench` runs it; ends with 1 when a row is far above its goal.

// A benchmark stops at the first thing that is not as it expects.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, unsafe_code)]

use std::process::{Command, ExitCode};
use std::ptr;
use std::time::{Duration, Instant};

use cloudauth_core::{Mac as _, Scheme, Signer as _, ToSign};
use cloudauth_pkcs11::{KeyQuery, ModulePolicy, ObjectQuery, TokenKey, TokenMac, TokenQuery};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use cryptoki_sys as sys;
use zeroize::Zeroizing;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "123456";
const SLICES: usize = 41;
const GOAL: f64 = 1.05;
/// Above this something is broken; a shared machine's ratio is not exact.
const BROKEN: f64 = 1.25;

fn main() -> ExitCode {
    if !std::path::Path::new(MODULE).exists() {
        println!("PKCS#11: skipped, SoftHSM is not installed");
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("CLOUDAUTH_BENCH_SOFTHSM").is_some() {
        return measure();
    }
    // SoftHSM reads its configuration from the environment that the process began with.
    let dir = tempfile::tempdir().unwrap();
    let (conf, tokens) = (dir.path().join("conf"), dir.path().join("tokens"));
    std::fs::create_dir(&tokens).unwrap();
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
    std::fs::write(&conf, text).unwrap();
    let run = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).env("SOFTHSM2_CONF", &conf).output().unwrap();
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let init = ["--init-token", "--free", "--label", "t", "--pin", PIN, "--so-pin", "87654321"];
    run("softhsm2-util", &init);
    for kind in ["rsa:2048", "EC:prime256v1"] {
        let tool = ["--module", MODULE, "--token-label", "t", "--login", "--pin", PIN];
        let id = if kind == "rsa:2048" { "01" } else { "02" };
        let make = ["--keypairgen", "--key-type", kind, "--label", kind, "--id", id];
        run("pkcs11-tool", &[&tool[..], &make].concat());
    }
    let done = Command::new(std::env::current_exe().unwrap())
        .env("SOFTHSM2_CONF", &conf)
        .env("CLOUDAUTH_BENCH_SOFTHSM", "1")
        .status()
        .unwrap();
    if done.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The module's own functions, without anything between.
struct Bare {
    init: unsafe extern "C" fn(
        sys::CK_SESSION_HANDLE,
        *mut sys::CK_MECHANISM,
        sys::CK_OBJECT_HANDLE,
    ) -> sys::CK_RV,
    sign: unsafe extern "C" fn(
        sys::CK_SESSION_HANDLE,
        *mut u8,
        sys::CK_ULONG,
        *mut u8,
        *mut sys::CK_ULONG,
    ) -> sys::CK_RV,
    session: Session,
    _library: sys::Pkcs11,
}

impl Bare {
    fn new(session: Session) -> Self {
        // SAFETY: SoftHSM is loaded already, and gives its list, which lives as long as the library.
        let (library, list) = unsafe {
            let library = sys::Pkcs11::new(MODULE).unwrap();
            let mut list = ptr::null_mut();
            assert_eq!(library.C_GetFunctionList(&mut list), 0);
            let list = ptr::read_unaligned(list);
            (library, list)
        };
        let (init, sign) = (list.C_SignInit.unwrap(), list.C_Sign.unwrap());
        Self { init, sign, session, _library: library }
    }

    fn sign(&self, mechanism: sys::CK_MECHANISM_TYPE, key: u64, data: &[u8], out: &mut [u8]) {
        let mut mechanism =
            sys::CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        let mut len = out.len() as sys::CK_ULONG;
        // SAFETY: the lengths are those of the slices, and the session is this thread's alone.
        unsafe {
            assert_eq!((self.init)(self.session.handle(), &mut mechanism, key as _), 0);
            let data_len = data.len() as sys::CK_ULONG;
            let data = data.as_ptr().cast_mut();
            let session = self.session.handle();
            assert_eq!((self.sign)(session, data, data_len, out.as_mut_ptr(), &mut len), 0);
        }
    }
}

fn measure() -> ExitCode {
    let query = |label: &str| KeyQuery {
        module_path: Some(MODULE.into()),
        module_name: None,
        token: TokenQuery { label: Some("t".into()), ..TokenQuery::default() },
        object: ObjectQuery { label: Some(label.into()), id: None },
    };
    let pin = || -> Box<cloudauth_pkcs11::PinProvider> {
        Box::new(|| Ok(Some(Zeroizing::new(PIN.as_bytes().to_vec()))))
    };
    let policy = ModulePolicy::root_owned();
    let context = Pkcs11::new(MODULE).unwrap();
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = context.get_slots_with_initialized_token().unwrap()[0];
    let session = context.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))).unwrap();
    session
        .create_object(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(true),
            Attribute::Sign(true),
            Attribute::Label(b"mac".to_vec()),
            Attribute::Value(vec![7; 44]),
        ])
        .unwrap();
    let handle = |class, label: &str| {
        let found =
            session.find_objects(&[Attribute::Class(class), Attribute::Label(label.into())]);
        found.unwrap()[0].handle()
    };
    #[allow(clippy::useless_conversion)]
    let (rsa, ec, mac) = (
        u64::from(handle(ObjectClass::PRIVATE_KEY, "rsa:2048")),
        u64::from(handle(ObjectClass::PRIVATE_KEY, "EC:prime256v1")),
        u64::from(handle(ObjectClass::SECRET_KEY, "mac")),
    );
    let our_rsa = TokenKey::open(query("rsa:2048"), pin(), &policy).unwrap();
    let our_ec = TokenKey::open(query("EC:prime256v1"), pin(), &policy).unwrap();
    let our_mac = TokenMac::open(query("mac"), pin(), &policy).unwrap();
    let bare = Bare::new(session);
    let message = [0x61; 400];
    let digest = [0x61; 32];
    let to_sign = ToSign::new(&message, &[7; 32]);
    let mut good = true;
    good &= row(
        "RSA-2048, PKCS#1 v1.5",
        20,
        || {
            our_rsa.sign(Scheme::RsaPkcs1Sha256, &to_sign, &mut [0; 256]).unwrap();
        },
        || bare.sign(sys::CKM_SHA256_RSA_PKCS, rsa, &message, &mut [0; 256]),
    );
    good &= row(
        "ECDSA P-256",
        200,
        || {
            our_ec.sign(Scheme::EcdsaP256Sha256, &to_sign, &mut [0; 64]).unwrap();
        },
        || bare.sign(sys::CKM_ECDSA, ec, &digest, &mut [0; 64]),
    );
    good &= row(
        "HMAC-SHA256, 8 octets",
        800,
        || {
            our_mac.hmac_sha256(b"20261122").unwrap();
        },
        || bare.sign(sys::CKM_SHA256_HMAC, mac, b"20261122", &mut [0; 32]),
    );
    good &= parallel(&our_rsa, &to_sign, &context, slot, rsa);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Signatures of as many threads as there are processors, beside bare loops of as many.
fn parallel(key: &TokenKey, to_sign: &ToSign<'_>, context: &Pkcs11, slot: Slot, rsa: u64) -> bool {
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
    let slice = Duration::from_millis(150);
    let count = |work: &mut dyn FnMut()| {
        let (mut done, start) = (0u32, Instant::now());
        while start.elapsed() < slice {
            work();
            done += 1;
        }
        f64::from(done)
    };
    let ours = || -> f64 {
        std::thread::scope(|scope| {
            let spawn = |_| {
                scope.spawn(|| {
                    count(&mut || {
                        key.sign(Scheme::RsaPkcs1Sha256, to_sign, &mut [0; 256]).unwrap();
                    })
                })
            };
            let running: Vec<_> = (0..threads).map(spawn).collect();
            running.into_iter().map(|t| t.join().unwrap()).sum()
        })
    };
    let bare = || -> f64 {
        std::thread::scope(|scope| {
            let spawn = |_| {
                let session = context.open_ro_session(slot).unwrap();
                scope.spawn(move || {
                    let bare = Bare::new(session);
                    let message = to_sign.message().unwrap();
                    count(&mut || bare.sign(sys::CKM_SHA256_RSA_PKCS, rsa, message, &mut [0; 256]))
                })
            };
            let running: Vec<_> = (0..threads).map(spawn).collect();
            running.into_iter().map(|t| t.join().unwrap()).sum()
        })
    };
    let mut ratios: Vec<f64> = (0..15).map(|_| ours() / bare()).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!(
        "PKCS#11 (SoftHSM) RSA-2048, {threads} threads: {:.1} % of the throughput of as many bare loops \
         (goal >= 95 %: {})",
        ratio * 100.0,
        if ratio >= 0.95 { "yes" } else { "NO" }
    );
    ratio >= 0.75
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
        "PKCS#11 (SoftHSM) {what}: {:.1} us, bare C_SignInit and C_Sign {:.1} us; {:+.1} % (goal <= 5 %: \
         {})",
        a.as_secs_f64() * 1e6,
        b.as_secs_f64() * 1e6,
        (ratio - 1.0) * 100.0,
        if ratio <= GOAL { "yes" } else { "NO" }
    );
    ratio <= BROKEN
}
