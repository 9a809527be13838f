//! What can go wrong.

use cloudauth_core::Scheme;
use cloudauth_tpm::{Destination, KeyKind, Parent, Pin, Tcti, TpmKey, create};

use crate::support::{MESSAGE, Swtpm, auth, check, sign};

/// Killed in mid-run: an error that names the call, then a new start is enough.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn restarts() {
    let mut tpm = Swtpm::new();
    // A TPM that loses power while such keys are in use counts that as a wrong value.
    tpm.run("tpm2_dictionarylockout -s -n 100 -t 1000 -l 1000");
    tpm.primary();
    tpm.key_file("ec", "ecc256", " -p secret");
    tpm.key_at(0x8100_0010, "ecc256", "");
    let mut query = tpm.file("ec.pem");
    query.access.key_auth = auth("secret");
    let file = TpmKey::open(query).unwrap();
    let handle = TpmKey::open(tpm.handle(0x8100_0010)).unwrap();
    for _ in 0..3 {
        check(&file, Scheme::EcdsaP256Sha256);
        check(&handle, Scheme::EcdsaP256Sha256);
        tpm.kill();
        let error = sign(&file, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
        assert!(error.contains("connect to the TPM"), "{error}");
        tpm.start();
        check(&file, Scheme::EcdsaP256Sha256);
        check(&handle, Scheme::EcdsaP256Sha256);
    }
    drop((file, handle));
    assert_eq!(tpm.leftovers(), "");
}

/// A wrong value is tried once by a key; the TPM's lockout is named.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn wrong_values_and_lockout() {
    let tpm = Swtpm::new();
    tpm.run("tpm2_dictionarylockout -s -n 5 -t 1000 -l 1000");
    tpm.run(
        "tpm2_createprimary -Q -C o -G ecc -c p.ctx -a \
             restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda",
    );
    tpm.run("tpm2_flushcontext -t");
    tpm.key_file("ec", "ecc256", " -p secret");
    let plain = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda";
    tpm.key_file("noda", "ecc256", &format!(" -a {plain}"));
    let wrong = || {
        let mut query = tpm.file("ec.pem");
        query.access.key_auth = auth("wrong");
        TpmKey::open(query).unwrap()
    };
    {
        let key = wrong();
        // All at once: one of them tries it.
        let errors: Vec<String> = std::thread::scope(|scope| {
            let signing = || sign(&key, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(signing)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let tried = |e: &&String| e.contains("Esys_Sign: TPM_RC_AUTH_FAIL") && e.contains("0x98e");
        assert_eq!(errors.iter().filter(tried).count(), 1, "{errors:?}");
        for _ in 0..20 {
            let error = sign(&key, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
            assert!(error.contains("not tried again"), "{error}");
        }
    }
    assert_eq!(tpm.failures(), 1);
    let right = || {
        let mut query = tpm.file("ec.pem");
        query.access.key_auth = auth("secret");
        TpmKey::open(query)
    };
    let still_good = right().unwrap();
    for _ in 0..3 {
        let _ = sign(&wrong(), Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err();
    }
    // The next wrong value would lock the TPM, so none is tried: not a right one either, which nobody can
    // tell before.
    let error = right().unwrap_err().to_string();
    assert!(error.contains("4 of 5"), "{error}");
    assert!(error.contains("tpm2_dictionarylockout --clear-lockout"), "{error}");
    let error = sign(&still_good, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
    assert!(error.contains("tpm2_dictionarylockout --clear-lockout"), "{error}");
    // A key without this protection can be used, and is not counted.
    check(&TpmKey::open(tpm.file("noda.pem")).unwrap(), Scheme::EcdsaP256Sha256);
    drop(still_good);
    assert_eq!(tpm.failures(), 4);
    std::fs::write(tpm.path("m"), MESSAGE).unwrap();
    tpm.run("tpm2_load -Q -C p.ctx -u ec.pub -r ec.priv -c ec.ctx");
    tpm.run("tpm2_flushcontext -t");
    let _ = tpm.try_run("tpm2_sign -Q -c ec.ctx -p wrong -g sha256 -s ecdsa -o sig m").unwrap_err();
    tpm.run("tpm2_flushcontext -t");
    tpm.run("tpm2_flushcontext -l");
    {
        let error =
            sign(&right().unwrap(), Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
        assert!(error.contains("TPM_RC_LOCKOUT"), "{error}");
        assert!(error.contains("tpm2_dictionarylockout --clear-lockout"), "{error}");
    }
    tpm.run("tpm2_dictionarylockout --clear-lockout");
    let mut query = tpm.file("ec.pem");
    query.access.key_auth = auth("secret");
    check(&TpmKey::open(query).unwrap(), Scheme::EcdsaP256Sha256);
    assert_eq!(tpm.leftovers(), "");
}

/// The value of a parent is counted like that of a key.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn the_final_try_of_a_parent() {
    let tpm = Swtpm::new();
    tpm.run("tpm2_dictionarylockout -s -n 3 -t 1000 -l 1000");
    tpm.run("tpm2_createprimary -Q -C o -G ecc -p parent -c q.ctx");
    tpm.run("tpm2_flushcontext -t");
    tpm.run("tpm2_evictcontrol -Q -C o -c q.ctx 0x81000020");
    tpm.run("tpm2_flushcontext -t");
    let new = |name: &str, value| {
        let mut access = tpm.access();
        access.parent = Some(Parent::Handle(0x8100_0020));
        access.parent_auth = auth(value);
        create(&access, KeyKind::EcP256, None, &Destination::File(tpm.path(name))).map(drop)
    };
    let open = |value| {
        let mut query = tpm.file("good.pem");
        query.access.parent_auth = auth(value);
        TpmKey::open(query).map(drop)
    };
    new("good.pem", "parent").unwrap();
    assert!(open("wrong").unwrap_err().to_string().contains("TPM_RC_AUTH_FAIL"));
    open("parent").unwrap();
    assert!(new("bad.pem", "wrong").unwrap_err().to_string().contains("TPM_RC_AUTH_FAIL"));
    assert_eq!(tpm.failures(), 2);
    for error in [open("parent"), open("wrong"), new("bad.pem", "parent")] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("2 of 3") && error.contains("--clear-lockout"), "{error}");
    }
    assert_eq!(tpm.failures(), 2);
    tpm.run("tpm2_dictionarylockout --clear-lockout");
    open("parent").unwrap();
    assert_eq!(tpm.leftovers(), "");
}

/// A thousand signatures, of which some fail, in a TPM with three slots.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn nothing_is_left_behind() {
    let tpm = Swtpm::new();
    tpm.primary();
    for name in ["a", "b", "c", "d"] {
        tpm.key_file(name, "ecc256", "");
    }
    tpm.key_file("locked", "ecc256", " -p secret");
    tpm.run("tpm2_dictionarylockout -s -n 1000 -t 1000 -l 1000");
    {
        // More keys than slots.
        let keys =
            ["a", "b", "c", "d"].map(|n| TpmKey::open(tpm.file(&format!("{n}.pem"))).unwrap());
        for i in 0..250 {
            check(&keys[i % 4], Scheme::EcdsaP256Sha256);
            check(&keys[i % 4], Scheme::EcdsaP256Sha256);
            let wrong = if i % 2 == 0 { "locked.pem" } else { "no.pem" };
            let mut query =
                if wrong == "no.pem" { tpm.handle(0x8100_0099) } else { tpm.file(wrong) };
            query.access.key_auth = auth("wrong");
            match TpmKey::open(query) {
                Ok(key) => {
                    let _ = sign(&key, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err();
                }
                Err(error) => assert!(error.to_string().contains("0x81000099"), "{error}"),
            }
            let mut query = tpm.file("a.pem");
            query.pcrs = crate::support::pcrs("sha256:0");
            let _ = TpmKey::open(query).unwrap_err();
        }
    }
    assert_eq!(tpm.leftovers(), "");
}

/// Keys are shared between threads, which take turns.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn threads() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("a", "ecc256", "");
    tpm.key_at(0x8100_0010, "rsa2048", "");
    {
        let one = TpmKey::open(tpm.file("a.pem")).unwrap();
        let two = TpmKey::open(tpm.handle(0x8100_0010)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        check(&one, Scheme::EcdsaP256Sha256);
                        check(&two, Scheme::RsaPkcs1Sha256);
                    }
                });
            }
        });
    }
    assert_eq!(tpm.leftovers(), "");
}

/// The key that the session is salted to.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn pinned_names() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("a", "ecc256", " -p secret");
    let ek = tpm.ek_name();
    let open = |pin: &Pin| {
        let mut query = tpm.file("a.pem");
        query.access.key_auth = auth("secret");
        query.access.pin = Some(pin.clone());
        TpmKey::open(query)
    };
    let good = |pin: &Pin| {
        for _ in 0..2 {
            check(&open(pin).unwrap(), Scheme::EcdsaP256Sha256);
        }
        assert_eq!(tpm.leftovers(), "");
    };
    let refused = |pin: &Pin| {
        let error = open(pin).unwrap_err().to_string();
        assert!(error.contains("not the pinned"), "{error}");
        assert_eq!(tpm.leftovers(), "");
    };
    let other = |name: &[u8]| {
        let mut other = name.to_vec();
        other[20] ^= 1;
        other
    };
    good(&Pin::Ek(ek.clone()));
    refused(&Pin::Ek(other(&ek)));
    refused(&Pin::Srk(ek.clone()));
    for algorithm in ["rsa", "ecc"] {
        tpm.storage_root_key(algorithm);
        let srk = tpm.name("0x81000001");
        good(&Pin::Srk(srk.clone()));
        refused(&Pin::Srk(other(&srk)));
        tpm.run("tpm2_evictcontrol -Q -C o -c 0x81000001");
    }
    // Its value would go over the bus as it is.
    tpm.key_at(0x8100_0010, "ecc256", "");
    tpm.run("tpm2_createprimary -Q -C o -G ecc -p owned -c srk.ctx");
    tpm.run("tpm2_flushcontext -t");
    tpm.run("tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001");
    tpm.run("tpm2_flushcontext -t");
    let mut query = tpm.handle(0x8100_0010);
    query.access.pin = Some(Pin::Srk(tpm.name("0x81000001")));
    let error = match TpmKey::open(query) {
        Ok(key) => sign(&key, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("authorization value"), "{error}");
}

/// Hierarchies with authorization values of their own.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn owner_values() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("a", "ecc256", "");
    tpm.key_at(0x8100_0010, "ecc256", "");
    tpm.run("tpm2_changeauth -Q -c owner owner-secret");
    // A key at a handle does not need the owner.
    check(&TpmKey::open(tpm.handle(0x8100_0010)).unwrap(), Scheme::EcdsaP256Sha256);
    let error = TpmKey::open(tpm.file("a.pem")).unwrap_err().to_string();
    assert!(error.contains("Esys_CreatePrimary: TPM_RC_BAD_AUTH"), "{error}");
    assert!(error.contains("owner-auth-source"), "{error}");
    let mut query = tpm.file("a.pem");
    query.access.owner_auth = auth("owner-secret");
    check(&TpmKey::open(query).unwrap(), Scheme::EcdsaP256Sha256);
    assert_eq!(tpm.leftovers(), "");
}

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn no_tpm() {
    let mut query = Swtpm::new().handle(0x8100_0010);
    let error = TpmKey::open(query).unwrap_err().to_string();
    assert!(error.contains("connect to the TPM at swtpm:host=127.0.0.1"), "{error}");
    let tpm = Swtpm::new();
    query = tpm.handle(0x8100_0010);
    query.access.tcti = Tcti::parse("device:/dev/no-such-tpm").unwrap();
    let error = TpmKey::open(query).unwrap_err().to_string();
    assert!(
        error.contains("device:/dev/no-such-tpm") && error.contains("TPM2TOOLS_TCTI"),
        "{error}"
    );
}

/// A simulator that nobody has started up.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn startup() {
    let mut tpm = Swtpm::new();
    tpm.primary();
    tpm.key_at(0x8100_0010, "ecc256", "");
    tpm.kill();
    tpm.start_with("not-need-init");
    check(&TpmKey::open(tpm.handle(0x8100_0010)).unwrap(), Scheme::EcdsaP256Sha256);
}

/// The child of a fork: what was opened and used before says so, and can be opened again; the parent goes on.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn forks() {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
    }
    let tpm = Swtpm::new();
    tpm.storage_root_key("ecc");
    tpm.primary();
    tpm.key_at(0x8100_0010, "ecc256", "");
    let open = || TpmKey::open(tpm.handle(0x8100_0010)).unwrap();
    let key = open();
    check(&key, Scheme::EcdsaP256Sha256);
    for _ in 0..3 {
        // SAFETY: no other thread of this process uses the TPM, and the child leaves by _exit.
        let child = unsafe { fork() };
        assert!(child >= 0);
        if child == 0 {
            let child = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let error = sign(&key, Scheme::EcdsaP256Sha256, MESSAGE).unwrap_err().to_string();
                assert!(error.contains("fork") && error.contains("open the key again"), "{error}");
                let again = open();
                for _ in 0..5 {
                    check(&again, Scheme::EcdsaP256Sha256);
                }
            }));
            // SAFETY: it ends the child at once.
            unsafe { _exit(i32::from(child.is_err())) };
        }
        let mut status = -1;
        // SAFETY: the status is ours.
        assert_eq!(unsafe { waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child failed");
        check(&key, Scheme::EcdsaP256Sha256);
    }
    drop(key);
    assert_eq!(tpm.leftovers(), "");
}
