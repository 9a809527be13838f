//! Against SoftHSM, with faults. Ignored by `cargo test`, because SoftHSM must be installed; `tests/run`
//! runs them (`cargo test -p cloudauth-pkcs11 --test softhsm -- --ignored --test-threads=1`).
//!
//! Each test runs as a process of its own: SoftHSM reads its configuration once, at `C_Initialize`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloudauth_core::{Mac, Scheme, SignError, Signer, ToSign};
use cloudauth_pkcs11::{
    KeyQuery, ModulePolicy, ObjectQuery, PinProvider, Pkcs11Error, TokenKey, TokenMac, TokenQuery,
};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "123456";

/// Runs the test named `name` again in a process with its own SoftHSM, or says that this is the one.
fn in_own_process(name: &str) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("CLOUDAUTH_TEST_SOFTHSM") {
        return Some(dir.into());
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    let tokens = dir.path().join("tokens");
    std::fs::write(
        &conf,
        format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()),
    )
    .unwrap();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env("SOFTHSM2_CONF", &conf)
        .env("CLOUDAUTH_TEST_SOFTHSM", dir.path())
        .status()
        .unwrap();
    assert!(done.success(), "{name} failed");
    None
}

fn softhsm2_util(args: &[&str]) {
    let done = Command::new("softhsm2-util").args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn init_token(label: &str) {
    softhsm2_util(&[
        "--init-token",
        "--free",
        "--label",
        label,
        "--pin",
        PIN,
        "--so-pin",
        "87654321",
    ]);
}

fn pkcs11_tool_ec(token: &str, label: &str) {
    let done = Command::new("pkcs11-tool")
        .args(["--module", MODULE, "--token-label", token, "--login", "--pin", PIN])
        .args(["--keypairgen", "--key-type", "EC:prime256v1", "--label", label, "--id", "01"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A session of our own, which may write, beside those of the crate.
fn writer(label: &str) -> (Pkcs11, Session) {
    let context = Pkcs11::new(MODULE).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = context.get_slots_with_token().unwrap();
    let slot = slots
        .into_iter()
        .find(|s| context.get_token_info(*s).is_ok_and(|t| t.label() == label))
        .expect("the token");
    let session = context.open_rw_session(slot).unwrap();
    match session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))) {
        Ok(()) => {}
        Err(e) => assert!(e.to_string().contains("logged in"), "{e}"),
    }
    (context, session)
}

fn make_ec(session: &Session, label: &str, id: u8, more: &[Attribute]) {
    let p256 = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    make(session, &Mechanism::EccKeyPairGen, Attribute::EcParams(p256), label, id, more);
}

fn make_rsa(session: &Session, label: &str, id: u8, more: &[Attribute]) {
    let bits = Attribute::ModulusBits(2048.into());
    make(session, &Mechanism::RsaPkcsKeyPairGen, bits, label, id, more);
}

fn make(
    session: &Session,
    how: &Mechanism<'_>,
    what: Attribute,
    label: &str,
    id: u8,
    more: &[Attribute],
) {
    let public = [
        Attribute::Token(true),
        what,
        Attribute::Label(label.into()),
        Attribute::Id(vec![id]),
        Attribute::Verify(true),
    ];
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
        Attribute::Label(label.into()),
        Attribute::Id(vec![id]),
    ];
    private.extend_from_slice(more);
    session.generate_key_pair(how, &public, &private).unwrap();
}

fn make_mac(session: &Session, label: &str, key_type: KeyType, value: &[u8]) {
    session
        .create_object(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(key_type),
            Attribute::Token(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(label.into()),
            Attribute::Value(value.to_vec()),
        ])
        .unwrap();
}

fn query(token: &str, object: &str) -> KeyQuery {
    KeyQuery {
        module_path: Some(MODULE.into()),
        module_name: None,
        token: TokenQuery { label: Some(token.to_owned()), ..TokenQuery::default() },
        object: ObjectQuery { label: Some(object.into()), id: None },
    }
}

fn pin(value: &'static str) -> Box<PinProvider> {
    Box::new(move || Ok(Some(Zeroizing::new(value.as_bytes().to_vec()))))
}

fn open(token: &str, object: &str) -> Result<TokenKey, Pkcs11Error> {
    TokenKey::open(query(token, object), pin(PIN), &ModulePolicy::root_owned())
}

fn sign(key: &TokenKey) -> Result<Vec<u8>, SignError> {
    let mut out = [0; 64];
    let to_sign = ToSign::new(b"message", &[7; 32]);
    key.sign(Scheme::EcdsaP256Sha256, &to_sign, &mut out).map(|len| out[..len].to_vec())
}

fn verify(key: &TokenKey, signature: &[u8]) {
    use cloudauth_core::soft::SoftVerifier;
    use cloudauth_core::verifier::Verifier as _;
    let verifier = SoftVerifier::from_spki(key.public_key()).unwrap();
    verifier.verify(Scheme::EcdsaP256Sha256, b"message", signature).unwrap();
}

macro_rules! own_process {
    () => {{
        let name = std::any::type_name_of_val(&|| ());
        let name = name.trim_end_matches("::{{closure}}").rsplit("::").next().unwrap();
        match in_own_process(name) {
            Some(dir) => dir,
            None => return,
        }
    }};
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn signs_and_tags() {
    own_process!();
    init_token("t");
    let (_context, session) = writer("t");
    make_ec(&session, "ec", 1, &[]);
    make_ec(&session, "always", 2, &[Attribute::AlwaysAuthenticate(true)]);
    let secret = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    make_mac(&session, "generic", KeyType::GENERIC_SECRET, secret);
    make_mac(&session, "hmac", KeyType::SHA256_HMAC, secret);
    make_mac(&session, "aes", KeyType::AES, &[7; 32]);

    let key = open("t", "ec").unwrap();
    for _ in 0..200 {
        verify(&key, &sign(&key).unwrap());
    }
    assert!(!key.supports(Scheme::RsaPkcs1Sha256) && !key.supports(Scheme::EcdsaP384Sha384));
    let to_sign = ToSign::new(b"message", &[7; 32]);
    let refused = key.sign(Scheme::RsaPkcs1Sha256, &to_sign, &mut [0; 999]);
    assert_eq!(refused, Err(SignError::UNSUPPORTED));
    let refused = key.sign(Scheme::EcdsaP256Sha256, &to_sign, &mut [0; 63]);
    assert_eq!(refused, Err(SignError::TOO_SMALL));

    // A login for each signature; SoftHSM refuses C_Sign without one.
    let always = open("t", "always").unwrap();
    for _ in 0..3 {
        verify(&always, &sign(&always).unwrap());
    }

    let expected = cloudauth_core::soft::HmacKey::new(secret);
    for label in ["generic", "hmac"] {
        let mac = TokenMac::open(query("t", label), pin(PIN), &ModulePolicy::root_owned()).unwrap();
        for message in [&b""[..], b"20260101", &[9; 5000]] {
            assert_eq!(mac.hmac_sha256(message), expected.hmac_sha256(message));
        }
    }
    let mac = |label| TokenMac::open(query("t", label), pin(PIN), &ModulePolicy::root_owned());
    let refused = mac("aes").unwrap_err().to_string();
    assert!(refused.contains("key import --aws-secret"), "{refused}");
    let refused = mac("ec").unwrap_err().to_string();
    assert!(refused.contains("no secret key") && refused.contains("generic"), "{refused}");
}

/// What the token hashes itself it is not asked to sign as a digest, and no other mechanism is made of it.
#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn digests() {
    use aws_lc_rs::digest::{SHA256, SHA384, digest};
    use aws_lc_rs::signature as lc;
    own_process!();
    init_token("t");
    let (_context, session) = writer("t");
    let p384 = vec![0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
    let only = |m| [Attribute::AllowedMechanisms(vec![m])];
    make_rsa(&session, "rsa", 1, &[]);
    make_rsa(&session, "hashes", 2, &only(MechanismType::SHA256_RSA_PKCS));
    make_rsa(&session, "raw", 3, &only(MechanismType::RSA_PKCS));
    make_ec(&session, "p256", 4, &[]);
    make(&session, &Mechanism::EccKeyPairGen, Attribute::EcParams(p384), "p384", 5, &[]);
    let cases: [(&str, Scheme, &dyn lc::VerificationAlgorithm); 7] = [
        ("rsa", Scheme::RsaPkcs1Sha256, &lc::RSA_PKCS1_2048_8192_SHA256),
        ("rsa", Scheme::RsaPssSha256, &lc::RSA_PSS_2048_8192_SHA256),
        ("raw", Scheme::RsaPkcs1Sha256, &lc::RSA_PKCS1_2048_8192_SHA256),
        ("hashes", Scheme::RsaPkcs1Sha256, &lc::RSA_PKCS1_2048_8192_SHA256),
        ("p256", Scheme::EcdsaP256Sha256, &lc::ECDSA_P256_SHA256_FIXED),
        ("p384", Scheme::EcdsaP384Sha256, &lc::ECDSA_P384_SHA256_ASN1),
        ("p384", Scheme::EcdsaP384Sha384, &lc::ECDSA_P384_SHA384_FIXED),
    ];
    for (label, scheme, algorithm) in cases {
        let key = open("t", label).unwrap();
        let hash = if scheme == Scheme::EcdsaP384Sha384 { &SHA384 } else { &SHA256 };
        let digest = digest(hash, b"message");
        let sign = |to_sign: &ToSign<'_>| {
            let mut out = vec![0; key.max_signature_len(scheme)];
            key.sign(scheme, to_sign, &mut out).map(|_| out)
        };
        let check = |signature: &[u8]| {
            let mut der = [0; 104];
            let signature = match scheme {
                Scheme::EcdsaP384Sha256 => {
                    cloudauth_core::signer::ecdsa_der_from_raw(signature, &mut der).unwrap()
                }
                _ => signature,
            };
            let public = lc::UnparsedPublicKey::new(algorithm, key.public_key());
            public.verify(b"message", signature).unwrap_or_else(|_| panic!("{label} {scheme:?}"));
        };
        check(&sign(&ToSign::new(b"message", &[7; 32])).unwrap());
        let signed = sign(&ToSign::prehashed(digest.as_ref(), &[7; 32]));
        if label == "hashes" {
            assert_eq!(signed, Err(SignError::NO_MESSAGE));
            continue;
        }
        check(&signed.unwrap());
        for wrong in [0, 20, 31, 80 - digest.as_ref().len()] {
            let refused = sign(&ToSign::prehashed(&[7; 48][..wrong], &[7; 32]));
            assert_eq!(refused, Err(SignError::DIGEST_LENGTH), "{label} {scheme:?}");
        }
    }
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn none_and_several() {
    own_process!();
    init_token("t");
    init_token("u");
    let (_context, session) = writer("t");
    make_ec(&session, "twice", 1, &[]);
    make_ec(&session, "twice", 2, &[]);
    make_ec(&session, "mute", 3, &[Attribute::Sign(false)]);
    let bound = |to| [Attribute::AllowedMechanisms(vec![to])];
    make_ec(&session, "bound", 4, &bound(MechanismType::ECDSA));
    make_ec(&session, "bound-away", 5, &bound(MechanismType::ECDH1_DERIVE));
    let text = |q| {
        TokenKey::open(q, pin(PIN), &ModulePolicy::root_owned()).map(drop).unwrap_err().to_string()
    };
    let several = text(query("t", "twice"));
    for part in ["several keys", "C_FindObjects", "EC private key", "\"twice\"", "%01", "%02"] {
        assert!(several.contains(part), "{several}");
    }
    let mut one = query("t", "twice");
    one.object.id = Some(vec![2]);
    verify_opens(one);
    let none = text(query("t", "none"));
    assert!(none.contains("no private key") && none.contains("\"mute\""), "{none}");
    let mute = text(query("t", "mute"));
    assert!(mute.contains("CKA_SIGN"), "{mute}");
    verify_opens(query("t", "bound"));
    let away = text(query("t", "bound-away"));
    assert!(away.contains("CKA_ALLOWED_MECHANISMS"), "{away}");
    let mut tokens = query("t", "twice");
    tokens.token.label = None;
    let several = text(tokens.clone());
    for part in ["several tokens", "\"t\"", "\"u\"", "serial"] {
        assert!(several.contains(part), "{several}");
    }
    tokens.token.model = Some("Other".to_owned());
    let none = text(tokens);
    assert!(none.contains("no token fits") && none.contains("\"u\""), "{none}");
    let mut library = query("t", "twice");
    library.token.library_version = Some((99, 1));
    let refused = text(library);
    assert!(refused.contains("library-version 2."), "{refused}");
}

fn verify_opens(query: KeyQuery) {
    let key = TokenKey::open(query, pin(PIN), &ModulePolicy::root_owned()).unwrap();
    verify(&key, &sign(&key).unwrap());
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn a_wrong_pin_is_tried_once() {
    own_process!();
    init_token("t");
    static READ: AtomicUsize = AtomicUsize::new(0);
    let wrong = || -> Box<PinProvider> {
        Box::new(|| {
            READ.fetch_add(1, Ordering::Relaxed);
            Ok(Some(Zeroizing::new(b"999999".to_vec())))
        })
    };
    let open = |pin| TokenKey::open(query("t", "ec"), pin, &ModulePolicy::root_owned());
    let first = open(wrong()).unwrap_err();
    assert_eq!(first.return_code(), Some(0xa0));
    assert!(first.to_string().contains("C_Login: CKR_PIN_INCORRECT"), "{first}");
    for _ in 0..5 {
        let again = open(wrong()).unwrap_err();
        assert!(again.to_string().contains("refused this PIN before"), "{again}");
        assert_eq!(again.return_code(), None, "C_Login was called again");
    }
    assert_eq!(READ.load(Ordering::Relaxed), 6);
    let none = open(Box::new(|| Ok(None))).unwrap_err().to_string();
    assert!(none.contains("CLOUDAUTH_KEY_PIN"), "{none}");
    let unreadable = open(Box::new(|| Err("pin-source: gone".to_owned()))).unwrap_err();
    assert_eq!(unreadable, Pkcs11Error::Pin("pin-source: gone".to_owned()));
    // The right one is.
    let (_context, session) = writer("t");
    make_ec(&session, "ec", 1, &[]);
    verify_opens(query("t", "ec"));
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn recovers() {
    let dir = own_process!();
    init_token("t");
    let (context, session) = writer("t");
    make_ec(&session, "ec", 1, &[]);
    let key = open("t", "ec").unwrap();
    verify(&key, &sign(&key).unwrap());
    assert_eq!(key.found(), 1);
    // The login ends under our feet.
    session.logout().unwrap();
    verify(&key, &sign(&key).unwrap());
    assert_eq!(key.found(), 2);
    // Another part of the process finalizes the module: every session is gone.
    context.clone().finalize().unwrap();
    verify(&key, &sign(&key).unwrap());
    drop(session);
    // The token is removed, and put back.
    let (tokens, away) = (dir.join("tokens"), dir.join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    context.clone().finalize().unwrap();
    std::fs::create_dir(&tokens).unwrap();
    let error = sign(&key).unwrap_err();
    assert!(error.to_string().contains("token"), "{error}");
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();
    context.clone().finalize().unwrap();
    verify(&key, &sign(&key).unwrap());
    // Another key in its place.
    let (_, session) = writer("t");
    for object in session.find_objects(&[Attribute::Label(b"ec".to_vec())]).unwrap() {
        session.destroy_object(object).unwrap();
    }
    let error = sign(&key).unwrap_err();
    assert!(error.to_string().contains("find the key again"), "{error}");
    make_ec(&session, "ec", 1, &[]);
    let error = sign(&key).unwrap_err();
    assert!(error.to_string().contains("not with the one key"), "{error}");
    let new = open("t", "ec").unwrap();
    verify(&new, &sign(&new).unwrap());
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn a_token_is_removed_while_in_use() {
    let dir = own_process!();
    init_token("t");
    // By another process: in this one only the crate initialises the module.
    pkcs11_tool_ec("t", "ec");
    let key = open("t", "ec").unwrap();
    verify(&key, &sign(&key).unwrap());
    let (tokens, away) = (dir.join("tokens"), dir.join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    // SoftHSM itself does not notice at once; whatever it does, the error names a call and its code.
    if let Err(error) = sign(&key) {
        println!("removed: {error}");
        assert!(error.to_string().contains("token"), "{error}");
    }
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();
    verify(&key, &sign(&key).unwrap());
    // Made again: another token, which SoftHSM shows after C_Finalize only, and which has no key yet.
    softhsm2_util(&["--delete-token", "--token", "t"]);
    init_token("t");
    let error = sign(&key).unwrap_err();
    assert!(error.to_string().contains("another one, which is not used"), "{error}");
    pkcs11_tool_ec("t", "ec");
    // Not even with a key of this name in it: its PIN may be another.
    let error = sign(&key).unwrap_err();
    assert!(error.to_string().contains("another one, which is not used"), "{error}");
    let new = open("t", "ec").unwrap();
    verify(&new, &sign(&new).unwrap());
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn many_threads() {
    own_process!();
    init_token("t");
    let (_context, session) = writer("t");
    make_ec(&session, "ec", 1, &[]);
    let key = open("t", "ec").unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let (count, calm) = (AtomicUsize::new(0), AtomicUsize::new(1));
    std::thread::scope(|threads| {
        for _ in 0..32 {
            threads.spawn(|| {
                while Instant::now() < until {
                    let signature = match sign(&key) {
                        Ok(signature) => signature,
                        // The login can end twice within one call, which recovers once.
                        Err(_) if calm.load(Ordering::Relaxed) == 0 => sign(&key).unwrap(),
                        Err(e) => panic!("{e}"),
                    };
                    verify(&key, &signature);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Then the login ends several times.
        std::thread::sleep(Duration::from_secs(7));
        calm.store(0, Ordering::Relaxed);
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(500));
            let _ = session.logout();
        }
    });
    println!("{} signatures in 10 s of 32 threads", count.into_inner());
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn one_login_for_many_keys() {
    own_process!();
    init_token("t");
    let (_context, session) = writer("t");
    make_ec(&session, "a", 1, &[]);
    make_ec(&session, "b", 2, &[]);
    static READ: AtomicUsize = AtomicUsize::new(0);
    let counted = || -> Box<PinProvider> {
        Box::new(|| {
            READ.fetch_add(1, Ordering::Relaxed);
            Ok(Some(Zeroizing::new(PIN.as_bytes().to_vec())))
        })
    };
    let open =
        |label| TokenKey::open(query("t", label), counted(), &ModulePolicy::root_owned()).unwrap();
    let keys = [open("a"), open("b"), open("a")];
    for key in &keys {
        verify(key, &sign(key).unwrap());
    }
    assert_eq!(READ.load(Ordering::Relaxed), 1);
    assert!(Path::new(MODULE).exists());
    fn shared<T: Send + Sync>() {}
    shared::<TokenKey>();
    shared::<TokenMac>();
}

/// Restarts of the module (C_Finalize) beside signatures, losses and look-ups of other threads.
#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn a_token_comes_and_goes_under_load() {
    let dir = own_process!();
    init_token("t");
    pkcs11_tool_ec("t", "ec");
    let key = open("t", "ec").unwrap();
    let (tokens, away) = (dir.join("tokens"), dir.join("away"));
    let until = Instant::now() + Duration::from_secs(4);
    let (good, bad) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for number in 0..8 {
            let (key, good, bad) = (&key, &good, &bad);
            threads.spawn(move || {
                while Instant::now() < until {
                    let one = (number == 0).then(|| open("t", "ec"));
                    let opened = match &one {
                        Some(Err(_)) => continue,
                        Some(Ok(key)) => key,
                        None => key,
                    };
                    match sign(opened) {
                        Ok(signature) => {
                            verify(opened, &signature);
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert!(error.to_string().len() > 10, "{error}");
                            bad.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(60));
            std::fs::rename(&tokens, &away).unwrap();
            std::fs::create_dir(&tokens).unwrap();
            std::thread::sleep(Duration::from_millis(40));
            std::fs::remove_dir_all(&tokens).unwrap();
            std::fs::rename(&away, &tokens).unwrap();
        }
    });
    verify(&key, &sign(&key).unwrap());
    println!(
        "{} signatures and {} errors while the token came and went",
        good.load(Ordering::Relaxed),
        bad.load(Ordering::Relaxed)
    );
    assert!(good.into_inner() > 50);
}

/// The child of a fork: what was opened before says so, and can be opened again; the parent goes on.
#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn forks() {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
    }
    own_process!();
    init_token("t");
    pkcs11_tool_ec("t", "ec");
    let key = open("t", "ec").unwrap();
    verify(&key, &sign(&key).unwrap());
    for _ in 0..3 {
        // SAFETY: nothing else in this process uses the module, and the child leaves by _exit.
        let child = unsafe { fork() };
        assert!(child >= 0);
        if child == 0 {
            let child = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let error = sign(&key).unwrap_err().to_string();
                assert!(error.contains("fork") && error.contains("open the key again"), "{error}");
                let again = open("t", "ec").unwrap();
                for _ in 0..5 {
                    verify(&again, &sign(&again).unwrap());
                }
            }));
            // SAFETY: it ends the child at once.
            unsafe { _exit(i32::from(child.is_err())) };
        }
        verify(&key, &sign(&key).unwrap());
        let mut status = -1;
        // SAFETY: the status is ours.
        assert_eq!(unsafe { waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child failed");
        verify(&key, &sign(&key).unwrap());
    }
}

#[test]
#[ignore = "needs SoftHSM: tests/run pkcs11"]
fn keys_are_made_and_deleted_beside_others() {
    use cloudauth_pkcs11::manage::{self, KeyMaterial, NewKey};

    own_process!();
    init_token("t");
    let policy = ModulePolicy::root_owned();
    let made = manage::generate(&query("t", "new"), NewKey::P256, pin(PIN), &policy).unwrap();
    assert_eq!((made.kind.as_str(), made.label.as_slice()), ("EC P-256", &b"new"[..]));
    assert_eq!(
        (made.sensitive, made.extractable, made.local),
        (Some(true), Some(false), Some(true))
    );
    let key = open("t", "new").unwrap();
    assert_eq!(made.public_key.as_deref(), Some(key.public_key()));
    verify(&key, &sign(&key).unwrap());
    let again = manage::generate(&query("t", "new"), NewKey::P256, pin(PIN), &policy);
    assert!(again.unwrap_err().to_string().contains("already"));
    let secret = KeyMaterial::Secret(b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    manage::import(&query("t", "mac"), secret, pin(PIN), &policy).unwrap();
    TokenMac::open(query("t", "mac"), pin(PIN), &policy).unwrap().hmac_sha256(b"").unwrap();
    let mut all = query("t", "");
    all.object.label = None;
    assert_eq!(manage::list(&all, None, pin(PIN), &policy).unwrap().len(), 2);
    // The login ends under our feet: no key is there to be seen without another one.
    let (_context, session) = writer("t");
    session.logout().unwrap();
    assert_eq!(manage::list(&all, None, pin(PIN), &policy).unwrap().len(), 2);
    verify(&key, &sign(&key).unwrap());
    assert_eq!(manage::list(&all, None, pin(PIN), &policy).unwrap().len(), 2);
    // Deleting a key that is in use.
    manage::delete(&query("t", "new"), None, pin(PIN), &policy).unwrap();
    let error = sign(&key).unwrap_err();
    assert!(error.to_string().contains("find the key again"), "{error}");
    let none = manage::delete(&all, None, pin(PIN), &policy).unwrap_err();
    assert!(none.to_string().contains("object=LABEL"), "{none}");
}
