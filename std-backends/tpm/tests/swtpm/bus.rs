//! Somebody who can change what goes over the bus, or cuts it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use cloudauth_core::Scheme;
use cloudauth_tpm::{
    Destination, KeyKind, Material, Parent, Pin, TpmKey, create, delete, import, list,
};
use zeroize::Zeroizing;

use crate::proxy::{
    CREATE_PRIMARY, EVICT_CONTROL, IMPORT, Proxy, READ_PUBLIC, START_AUTH_SESSION, exchange_point,
};
use crate::support::{Swtpm, auth, check, der};

const SRK: u32 = 0x8100_0001;

fn a_point() -> [u8; 64] {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    pair.public_key().as_ref()[1..].try_into().unwrap()
}

fn a_key(tpm: &Swtpm) -> Material {
    tpm.run(
        "openssl genpkey -out key.pem -outform PEM -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    );
    Material::Pkcs8(Zeroizing::new(der(&tpm.path("key.pem"))))
}

/// A key from outside is wrapped for a parent of this TPM, or not at all.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn a_parent_that_is_exchanged() {
    let tpm = Swtpm::new();
    tpm.storage_root_key("ecc");
    let (ek, srk) = (tpm.ek_name(), tpm.name("0x81000001"));
    let material = a_key(&tpm);
    let run = |name: &str, tamper: bool| {
        let proxy = Proxy::new(&tpm);
        let (point, srk) = (a_point(), srk.clone());
        proxy.on_answer(move |code, answer| {
            if tamper && code == READ_PUBLIC {
                exchange_point(answer, &srk, &point);
            }
            true
        });
        let mut access = tpm.access();
        access.tcti = proxy.tcti();
        access.pin = Some(Pin::Ek(ek.clone()));
        access.parent = Some(Parent::Handle(SRK));
        let done = import(&access, &material, None, &Destination::File(tpm.path(name)));
        let wrapped = proxy.commands(IMPORT);
        let under_srk = wrapped.iter().filter(|c| c[10..14] == SRK.to_be_bytes()).count();
        (done, under_srk)
    };
    let (done, wrapped) = run("good.pem", false);
    done.unwrap();
    // The TPM may ask to try again, for it tests itself.
    assert_ne!(wrapped, 0);
    let (done, wrapped) = run("bad.pem", true);
    let error = done.unwrap_err().to_string();
    assert!(error.contains("on the way"), "{error}");
    assert_eq!(wrapped, 0, "the key went over the bus, wrapped for another");
    assert!(!tpm.path("bad.pem").exists());
}

/// Whoever has the parent's private half has the keys under it.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn parents_that_can_be_copied() {
    let tpm = Swtpm::new();
    tpm.primary();
    let storage = "restricted|decrypt|userwithauth|sensitivedataorigin";
    tpm.key_at(0x8100_0021, "ecc", &format!(" -a {storage}"));
    tpm.key_at(0x8100_0022, "ecc", &format!(" -a {storage}|fixedtpm|fixedparent"));
    tpm.key_at(0x8100_0023, "ecc256", "");
    let material = a_key(&tpm);
    for (parent, refused) in [(0x21, true), (0x22, false), (0x23, true)] {
        let mut access = tpm.access();
        access.parent = Some(Parent::Handle(0x8100_0000 + parent));
        let to = |name: &str| Destination::File(tpm.path(&format!("{name}{parent}.pem")));
        let made = create(&access, KeyKind::EcP256, None, &to("c"));
        let brought = import(&access, &material, None, &to("i"));
        for done in [made, brought] {
            match done {
                Ok(_) => assert!(!refused, "{parent:#x}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(refused && error.contains("fixedTPM"), "{parent:#x}: {error}");
                }
            }
        }
    }
    assert_eq!(tpm.leftovers(), "");
}

/// The owner's value is for the pinned TPM.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn owner_values_and_pins() {
    let tpm = Swtpm::new();
    tpm.storage_root_key("ecc");
    tpm.primary();
    tpm.key_file("a", "ecc256", "");
    tpm.run("tpm2_changeauth -Q -c owner owner-secret");
    let right = tpm.name("0x81000001");
    let mut wrong = right.clone();
    wrong[20] ^= 1;
    for (pin, good) in [(right, true), (wrong, false)] {
        let proxy = Proxy::new(&tpm);
        let mut query = tpm.file("a.pem");
        query.access.tcti = proxy.tcti();
        query.access.owner_auth = auth("owner-secret");
        query.access.pin = Some(Pin::Srk(pin));
        match TpmKey::open(query) {
            Ok(key) => {
                assert!(good);
                check(&key, Scheme::EcdsaP256Sha256);
            }
            Err(error) => {
                assert!(!good && error.to_string().contains("not the pinned"), "{error}");
                assert!(proxy.commands(CREATE_PRIMARY).is_empty());
            }
        }
    }
    // A storage root key that would have to be made with the value cannot prove the TPM first.
    let name = tpm.name("0x81000001");
    tpm.run("tpm2_evictcontrol -Q -C o -P owner-secret -c 0x81000001");
    let mut query = tpm.file("a.pem");
    query.access.owner_auth = auth("owner-secret");
    query.access.pin = Some(Pin::Srk(name));
    let error = TpmKey::open(query).unwrap_err().to_string();
    assert!(error.contains("0x81000001") && error.contains("ek-name"), "{error}");
    assert_eq!(tpm.leftovers(), "");
}

/// The key of a file is the one whose public area the file has.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn public_keys_that_are_exchanged() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_file("a", "ecc256", "");
    let name = {
        let source = tpm.file("a.pem").source;
        cloudauth_tpm::describe(&tpm.access(), &source).unwrap().name
    };
    let proxy = Proxy::new(&tpm);
    let open = || {
        let mut query = tpm.file("a.pem");
        query.access.tcti = proxy.tcti();
        TpmKey::open(query)
    };
    check(&open().unwrap(), Scheme::EcdsaP256Sha256);
    let point = a_point();
    proxy.on_answer(move |code, answer| {
        if code == READ_PUBLIC {
            exchange_point(answer, &name, &point);
        }
        true
    });
    let error = open().unwrap_err().to_string();
    assert!(error.contains("not the key"), "{error}");
    assert_eq!(tpm.leftovers(), "");
}

/// Keys at one handle do not take it from each other.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn two_keys_at_one_handle() {
    let tpm = Swtpm::new();
    tpm.primary();
    tpm.key_at(0x8100_0010, "ecc256", " -p secret");
    let proxy = Proxy::new(&tpm);
    let open = |value| {
        let mut query = tpm.handle(0x8100_0010);
        query.access.tcti = proxy.tcti();
        query.access.key_auth = auth(value);
        TpmKey::open(query).unwrap()
    };
    let (one, two) = (open("secret"), open("secret"));
    check(&one, Scheme::EcdsaP256Sha256);
    drop(two);
    check(&one, Scheme::EcdsaP256Sha256);
    let three = open("secret");
    drop(one);
    check(&three, Scheme::EcdsaP256Sha256);
    let sessions = proxy.commands(START_AUTH_SESSION).len();
    assert_eq!(sessions, 1, "a key was taken away, and everything made again");
    drop(three);
    assert_eq!(tpm.leftovers(), "");
}

/// The TPM did it, but its answer was lost.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn answers_that_are_lost() {
    let tpm = Swtpm::new();
    let proxy = Proxy::new(&tpm);
    let mut access = tpm.access();
    access.tcti = proxy.tcti();
    // A key that was open before: a connection that was never good is not made again.
    tpm.primary();
    tpm.key_at(0x8100_0010, "ecc256", "");
    let mut query = tpm.handle(0x8100_0010);
    query.access.tcti = proxy.tcti();
    let open = TpmKey::open(query).unwrap();
    let cut = || {
        let mut cut = false;
        proxy.on_answer(move |code, _| {
            let now = code == EVICT_CONTROL && !cut;
            cut |= now;
            !now
        });
    };
    let at = Destination::Handle(0x8100_0030);
    cut();
    let made = create(&access, KeyKind::EcP256, None, &at).unwrap();
    // Who cuts the connection leaves objects and sessions behind.
    let clean = || {
        for kind in ["-t", "-l", "-s"] {
            tpm.run(&format!("tpm2_flushcontext {kind}"));
        }
    };
    clean();
    assert_eq!(list(&tpm.access()).unwrap()[1..], *std::slice::from_ref(&made));
    // Another's key is not taken for it.
    let error = create(&access, KeyKind::EcP256, None, &at).unwrap_err().to_string();
    assert!(error.contains("occupied"), "{error}");
    cut();
    delete(&access, 0x8100_0030, &made.name).unwrap();
    clean();
    assert_eq!(list(&tpm.access()).unwrap().len(), 1);
    let error = delete(&access, 0x8100_0030, &made.name).unwrap_err().to_string();
    assert!(error.contains("no key at the persistent handle"), "{error}");
    check(&open, Scheme::EcdsaP256Sha256);
}
