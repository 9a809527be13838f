//! Keys that this crate makes, used by itself and by the tools of others.

use cloudauth_core::{Mac as _, Scheme, Signer as _};
use cloudauth_tpm::{
    Access, Destination, KeyKind, Material, Parent, TpmKey, TpmMac, create, delete, describe,
    import, list,
};
use zeroize::Zeroizing;

use crate::support::{Swtpm, auth, check, der, pcrs};

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn created_files() {
    let tpm = Swtpm::new();
    for (kind, scheme, name) in [
        (KeyKind::Rsa2048, Scheme::RsaPkcs1Sha256, "rsa.pem"),
        (KeyKind::EcP256, Scheme::EcdsaP256Sha256, "ec.pem"),
        (KeyKind::EcP384, Scheme::EcdsaP384Sha384, "p384.pem"),
    ] {
        let to = Destination::File(tpm.path(name));
        let made = create(&tpm.access(), kind, None, &to).unwrap();
        assert_eq!(made.kind, Some(kind));
        {
            let query = tpm.file(name);
            let seen = describe(&tpm.access(), &query.source).unwrap();
            assert_eq!(seen, made);
            let key = TpmKey::open(query).unwrap();
            assert_eq!(Some(key.public_key()), made.public_key.as_deref());
            check(&key, scheme);
        }
        // Never overwritten, and nothing is left beside it.
        let error = create(&tpm.access(), kind, None, &to).unwrap_err().to_string();
        assert!(error.contains("exists"), "{error}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(tpm.path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        // tpm2-openssl signs with it, and OpenSSL alone verifies.
        std::fs::write(tpm.path("m"), b"message").unwrap();
        tpm.run(&format!(
            "openssl pkey -provider tpm2 -provider default -in {name} -pubout -out {name}.pub"
        ));
        tpm.run(&format!(
            "openssl pkeyutl -provider tpm2 -provider base -sign -inkey {name} -rawin -digest sha256 -in m \
             -out sig"
        ));
        tpm.run(&format!("openssl dgst -sha256 -verify {name}.pub -signature sig m"));
        assert_eq!(Some(der(&tpm.path(&format!("{name}.pub")))), made.public_key);
    }
    let access = Access { parent: Some(Parent::parse("ek").unwrap()), ..tpm.access() };
    let to = Destination::File(tpm.path("ek.pem"));
    let error = create(&access, KeyKind::EcP256, None, &to).unwrap_err().to_string();
    assert!(error.contains("endorsement key") && !tpm.path("ek.pem").exists(), "{error}");
    let mut entries: Vec<_> = std::fs::read_dir(tpm.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    entries.sort();
    assert!(entries.is_empty(), "{entries:?}");
    assert_eq!(tpm.leftovers(), "");
}

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn created_handles() {
    let tpm = Swtpm::new();
    let at = Destination::Handle(0x8100_0030);
    let mut access = tpm.access();
    access.key_auth = auth("key secret");
    let made = create(&access, KeyKind::EcP256, None, &at).unwrap();
    let error = create(&access, KeyKind::EcP256, None, &at).unwrap_err().to_string();
    assert!(error.contains("occupied"), "{error}");
    let error = create(&access, KeyKind::EcP256, None, &Destination::Handle(0x8000_0001));
    assert!(error.unwrap_err().to_string().contains("no persistent handle"));
    {
        let mut query = tpm.handle(0x8100_0030);
        query.access.key_auth = auth("key secret");
        check(&TpmKey::open(query).unwrap(), Scheme::EcdsaP256Sha256);
    }
    // Read by the tools, which sign with it.
    let listed = tpm.run("tpm2_getcap handles-persistent");
    assert_eq!(listed.trim(), "- 0x81000030");
    std::fs::write(tpm.path("secret"), "key secret").unwrap();
    std::fs::write(tpm.path("m"), b"message").unwrap();
    tpm.run("tpm2_sign -Q -c 0x81000030 -p file:secret -g sha256 -s ecdsa -f plain -o sig m");
    tpm.run("tpm2_readpublic -Q -c 0x81000030 -f pem -o k.pub");
    tpm.run("openssl dgst -sha256 -verify k.pub -signature sig m");
    let name = made.name.clone();
    assert_eq!(list(&tpm.access()).unwrap(), [made]);
    let error = delete(&tpm.access(), 0x8100_0030, &name[1..]).unwrap_err().to_string();
    assert!(error.contains("another key"), "{error}");
    delete(&tpm.access(), 0x8100_0030, &name).unwrap();
    let error = delete(&tpm.access(), 0x8100_0030, &name).unwrap_err().to_string();
    assert!(error.contains("no key at the persistent handle 0x81000030"), "{error}");
    assert!(list(&tpm.access()).unwrap().is_empty());
    assert_eq!(tpm.leftovers(), "");
}

#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn imports() {
    let tpm = Swtpm::new();
    tpm.run("tpm2_createprimary -Q -C o -G rsa -c q.ctx");
    tpm.run("tpm2_flushcontext -t");
    tpm.run("tpm2_evictcontrol -Q -C o -c q.ctx 0x81000001");
    tpm.run("tpm2_flushcontext -t");
    let srk = list(&tpm.access()).unwrap().remove(0);
    let error = delete(&tpm.access(), 0x8100_0001, &srk.name).unwrap_err().to_string();
    assert!(error.contains("others depend on"), "{error}");
    let genpkey = "openssl genpkey -out key.pem -outform PEM -algorithm";
    for (algorithm, kind, scheme) in [
        ("RSA -pkeyopt rsa_keygen_bits:2048", KeyKind::Rsa2048, Scheme::RsaPkcs1Sha256),
        ("EC -pkeyopt ec_paramgen_curve:P-256", KeyKind::EcP256, Scheme::EcdsaP256Sha256),
        ("EC -pkeyopt ec_paramgen_curve:P-384", KeyKind::EcP384, Scheme::EcdsaP384Sha384),
    ] {
        tpm.run(&format!("{genpkey} {algorithm}"));
        tpm.run("openssl pkey -in key.pem -pubout -out key.pub");
        let material = Material::Pkcs8(Zeroizing::new(der(&tpm.path("key.pem"))));
        // Under the ECC primary, and under an RSA storage root key.
        for (i, parent) in [None, Some(Parent::Handle(0x8100_0001))].into_iter().enumerate() {
            let mut access = tpm.access();
            access.parent = parent;
            access.key_auth = auth("value");
            let name = format!("{kind:?}{i}.pem");
            let made = import(&access, &material, None, &Destination::File(tpm.path(&name)));
            let made = made.unwrap();
            assert_eq!(
                (made.kind, &made.public_key),
                (Some(kind), &Some(der(&tpm.path("key.pub"))))
            );
            assert!(made.notes.iter().any(|note| note.contains("from outside")));
            let mut query = tpm.file(&name);
            query.access.key_auth = auth("value");
            check(&TpmKey::open(query).unwrap(), scheme);
        }
    }
    let secret = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let material = Material::Secret(Zeroizing::new(secret.to_vec()));
    import(&tpm.access(), &material, None, &Destination::File(tpm.path("aws.pem"))).unwrap();
    let mac = TpmMac::open(tpm.file("aws.pem")).unwrap();
    let tag = mac.hmac_sha256(b"20150830").unwrap();
    assert_eq!(tag, cloudauth_core::digest::hmac_sha256(secret, b"20150830"));
    drop(mac);
    for bad in [vec![], vec![1; 129]] {
        let bad = Material::Secret(Zeroizing::new(bad));
        let error =
            import(&tpm.access(), &bad, None, &Destination::File(tpm.path("x"))).unwrap_err();
        assert!(error.to_string().contains("1 to 128"), "{error}");
    }
    let bad = Material::Pkcs8(Zeroizing::new(vec![0x30, 0]));
    let error = import(&tpm.access(), &bad, None, &Destination::File(tpm.path("x"))).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(tpm.leftovers(), "");
}

/// Policies of ours, and of tpm2_policypcr; a PCR that changes after the key was made, and after it was
/// opened.
#[test]
#[ignore = "needs swtpm: tests/run tpm"]
fn policies() {
    let tpm = Swtpm::new();
    tpm.primary();
    let selection = pcrs("sha256:16,9,8,7,6,5,4,3,2,1+sha1:23").unwrap();
    let mut access = tpm.access();
    access.key_auth = auth("with value");
    let (file, at) = (Destination::File(tpm.path("p.pem")), Destination::Handle(0x8100_0040));
    create(&tpm.access(), KeyKind::EcP256, Some(&selection), &file).unwrap();
    create(&access, KeyKind::EcP256, Some(&selection), &at).unwrap();
    // PolicyPCR of the tools, with as many PCRs as they take; ours have more.
    let many = "sha256:0,1,2,3,4,5,6,7";
    tpm.run(&format!("tpm2_createpolicy -Q --policy-pcr -l {many} -L pcr.policy"));
    tpm.key_file("t", "ecc256", " -L pcr.policy -a fixedtpm|fixedparent|sensitivedataorigin|sign");
    tpm.run("tpm2_startauthsession -S s.ctx");
    tpm.run("tpm2_policyauthvalue -Q -S s.ctx -L value.policy");
    tpm.run("tpm2_flushcontext s.ctx");
    tpm.key_file(
        "v",
        "ecc256",
        " -p secret -L value.policy -a fixedtpm|fixedparent|sensitivedataorigin|sign",
    );
    let by_file = || TpmKey::open(tpm.file("p.pem"));
    let by_handle = || {
        let mut query = tpm.handle(0x8100_0040);
        query.access.key_auth = auth("with value");
        query.pcrs = pcrs("sha256:1,2,3,4,5,6,7,8,9,16+sha1:23");
        TpmKey::open(query)
    };
    let by_tools = || {
        let mut query = tpm.file("t.pem");
        query.pcrs = pcrs(many);
        TpmKey::open(query)
    };
    let by_value = || {
        let mut query = tpm.file("v.pem");
        query.access.key_auth = auth("secret");
        TpmKey::open(query)
    };
    let text = |key: Result<TpmKey, _>| -> String { format!("{}", key.unwrap_err()) };
    {
        let (file, handle, tools) = (by_file().unwrap(), by_handle().unwrap(), by_tools().unwrap());
        let value = by_value().unwrap();
        for _ in 0..3 {
            check(&file, Scheme::EcdsaP256Sha256);
            check(&handle, Scheme::EcdsaP256Sha256);
            check(&tools, Scheme::EcdsaP256Sha256);
            check(&value, Scheme::EcdsaP256Sha256);
        }
        // The wrong selection, and none.
        let mut query = tpm.handle(0x8100_0040);
        query.pcrs = pcrs("sha256:3");
        let error = text(TpmKey::open(query));
        assert!(error.contains("sha256:3") && error.contains("PCR"), "{error}");
        let error = text(TpmKey::open(tpm.handle(0x8100_0040)));
        assert!(error.contains("pcrs="), "{error}");
        let mut query = tpm.file("p.pem");
        query.pcrs = pcrs("sha256:3");
        assert!(text(TpmKey::open(query)).contains("leave pcrs out"));
    }
    assert_eq!(tpm.leftovers(), "");
    tpm.run(&format!("tpm2_pcrextend 16:sha256={}", "11".repeat(32)));
    for key in [by_file(), by_handle()] {
        let error = text(key);
        assert!(
            error.contains("a PCR changed")
                && error.contains("sha256:1,2,3,4,5,6,7,8,9,16+sha1:23"),
            "{error}"
        );
    }
    check(&by_tools().unwrap(), Scheme::EcdsaP256Sha256);
    assert_eq!(tpm.leftovers(), "");
}
