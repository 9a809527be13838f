use super::*;
use crate::testing::{self, TestDir};
use cloudauth_core::{Scheme, ToSign};

fn uri(text: &str) -> KeyUri {
    KeyUri::parse(text).unwrap()
}

#[cfg(unix)]
#[test]
fn new_key_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = TestDir::new();
    for (name, kind) in
        [("p256", KeyKind::EcP256), ("p384", KeyKind::EcP384), ("rsa", KeyKind::Rsa2048)]
    {
        let path = dir.path().join(name);
        let named = uri(&format!("file:{}", path.display()));
        let made = create(&named, kind, &Prompt::none()).unwrap();
        assert_eq!(made.kind, kind.to_string());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let key = Key::open(&named).unwrap();
        assert!(key.warnings().is_empty());
        let scheme = Scheme::ALL.into_iter().find(|s| key.supports(*s)).unwrap();
        key.sign(scheme, &ToSign::new(b"m", &[1; 32]), &mut [0; 512]).unwrap();
        // Never replaced, and nothing is left behind.
        let before = std::fs::read(&path).unwrap();
        let refused = create(&named, kind, &Prompt::none()).unwrap_err().to_string();
        assert!(refused.contains("not replaced"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    let named = uri(&format!("file:{}", link.display()));
    assert!(create(&named, KeyKind::EcP256, &Prompt::none()).is_err(), "a dangling link");
    let nowhere = uri(&format!("file:{}/no/key.pem", dir.path().display()));
    let refused = create(&nowhere, KeyKind::EcP256, &Prompt::none()).unwrap_err();
    assert!(matches!(refused, KeyError::NotWritten { .. }), "{refused}");
    assert!(create(&uri("file:x"), KeyKind::HmacSha256, &Prompt::none()).is_err());
}

#[test]
fn an_encrypted_key_file() {
    let dir = TestDir::new();
    let passphrase = dir.write("passphrase", b"correct horse\n", 0o600);
    let path = dir.path().join("key");
    let plain = format!("file:{}", path.display());
    let named = uri(&format!("{plain}?passphrase-source=file:{}", passphrase.display()));
    create(&named, KeyKind::EcP256, &Prompt::none()).unwrap();
    assert!(
        std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY")
    );
    assert!(Key::open(&named).unwrap().warnings().is_empty());
    // Asked for where none is named; a wrong answer and none at all are told apart.
    let asked = |answer: &'static str| {
        Prompt::new(move |question| {
            assert!(question.contains("Passphrase for file"), "{question}");
            Ok(Some(Zeroizing::new(answer.to_owned())))
        })
    };
    assert!(Key::open_with(&uri(&plain), &asked("correct horse")).is_ok());
    let wrong = Key::open_with(&uri(&plain), &asked("wrong")).unwrap_err().to_string();
    assert!(wrong.contains("is wrong"), "{wrong}");
    let nobody = Key::open_with(&uri(&plain), &Prompt::new(|_| Ok(None))).unwrap_err().to_string();
    assert!(nobody.contains("CLOUDAUTH_KEY_PASSPHRASE"), "{nobody}");
    let gone = Prompt::new(|_| Err("nothing was entered".to_owned()));
    let gone = Key::open_with(&uri(&plain), &gone).unwrap_err();
    assert_eq!(gone, KeyError::Prompt { help: "nothing was entered".to_owned() });
}

#[test]
fn material_is_the_key() {
    for pkcs8 in [testing::rsa_2048(), testing::p256(), testing::p384()] {
        let expected = Key::from_pkcs8(pkcs8).unwrap();
        let pem = testing::pem("PRIVATE KEY", pkcs8);
        let read =
            Imported::private_key_text(pem.as_bytes(), "test", None, &Prompt::none()).unwrap();
        assert!(!format!("{read:?}").contains("MII"));
        let Material::Pkcs8(der) = &read.material else { panic!() };
        assert_eq!(Key::from_pkcs8(der).unwrap().public_key(), expected.public_key());
        let spki = expected.public_key().to_vec();
        let parts = read.material.with_parts(|parts| match parts {
            KeyMaterial::Rsa { n, e, d, p, q, dp, dq, qinv } => {
                let parts = [n, e, d, p, q, dp, dq, qinv].map(<[u8]>::to_vec);
                let all: Vec<_> = parts.iter().map(|part| testing::der_uint(part)).collect();
                assert_eq!(all, testing::rsa_parts()[1..]);
                n.to_vec()
            }
            KeyMaterial::Ec { point, scalar } => {
                assert_eq!(scalar.len() * 2 + 1, point.len());
                assert!(pkcs8.windows(scalar.len()).any(|w| w == scalar));
                point.to_vec()
            }
            _ => panic!(),
        });
        let part = parts.unwrap();
        assert!(spki.windows(part.len()).any(|w| w == part));
    }
    let secret = Zeroizing::new(b"wJalrXUtnFEMI\n".to_vec());
    let read = Imported::aws_secret_text(secret, "test").unwrap();
    let Material::Hmac(secret) = &read.material else { panic!() };
    assert_eq!(secret.as_slice(), b"AWS4wJalrXUtnFEMI");
    assert!(Imported::aws_secret_text(Zeroizing::new(b"AWS4x".to_vec()), "test").is_err());
}

#[test]
fn what_is_not_done() {
    let dir = TestDir::new();
    let path = dir.write("key", testing::pem("PRIVATE KEY", testing::p256()).as_bytes(), 0o600);
    let file = uri(&format!("file:{}", path.display()));
    let prompt = Prompt::none();
    let material = Material::Hmac(Zeroizing::new(vec![1]));
    for refused in [
        list(&file, &prompt).err(),
        delete(&file, &prompt).err(),
        import(&file, &material, &prompt).err(),
        create(&uri("env:X"), KeyKind::EcP256, &prompt).err(),
    ] {
        assert!(matches!(refused, Some(KeyError::NotDone { .. })), "{refused:?}");
    }
    assert!(path.exists());
    assert_eq!(describe(&file, &prompt).unwrap().kind, "EC P-256");
    #[cfg(not(feature = "tpm"))]
    {
        let tpm = uri("tpm:handle=0x81000001");
        assert!(matches!(list(&tpm, &prompt), Err(KeyError::NoBackend { .. })));
    }
    let public = uri("pkcs11:token=t;object=k;type=public?module-path=/no/such.so");
    assert!(matches!(delete(&public, &prompt), Err(KeyError::Uri { .. })));
    let private = uri("pkcs11:token=t;object=k;type=private?module-path=/no/such.so");
    assert!(matches!(create(&private, KeyKind::HmacSha256, &prompt), Err(KeyError::Uri { .. })));
    assert!(matches!(create(&private, KeyKind::EcP256, &prompt), Err(KeyError::Token { .. })));
}
