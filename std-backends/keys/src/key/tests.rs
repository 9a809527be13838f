use super::*;
use std::process::Command;

use crate::testing::{self, TestDir, inner, pem, sec1};
use aws_lc_rs::signature as lc;
use pkcs8::der::Encode as _;
use pkcs8::pkcs5::pbes2::{self, Pbkdf2Params, ScryptParams};
use pkcs8::pkcs5::scrypt;
use proptest::prelude::*;

const PASSPHRASE: &str = "correct horse battery";

/// Opens `text` as a file of mode 0600.
fn open(text: impl AsRef<[u8]>) -> Result<Key> {
    open_with(text, "")
}

fn open_with(text: impl AsRef<[u8]>, query: &str) -> Result<Key> {
    let dir = TestDir::new();
    dir.write("pass", PASSPHRASE.as_bytes(), 0o600);
    let path = dir.write("key", text.as_ref(), 0o600);
    let query = query.replace("DIR", dir.path().to_str().unwrap());
    Key::open(&KeyUri::parse(&format!("file:{}{query}", path.display())).unwrap())
}

fn parameters(kdf: Kdf) -> Parameters {
    Parameters { kdf, encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: [5; 16] } }
}

fn pbkdf2(prf: Pbkdf2Prf, iteration_count: u32) -> Parameters {
    let kdf = Pbkdf2Params::hmac_sha256(2048, b"salt of 16 bytes").unwrap();
    parameters(Kdf::Pbkdf2(Pbkdf2Params { prf, iteration_count, ..kdf }))
}

fn scrypt_with(cost_parameter: u64, block_size: u16, parallelization: u16) -> Parameters {
    let some = scrypt::Params::new(10, 8, 1).unwrap();
    let kdf = ScryptParams::from_params_and_salt(some, b"salt of 16 bytes").unwrap();
    let kdf = ScryptParams { cost_parameter, block_size, parallelization, ..kdf };
    parameters(Kdf::Scrypt(kdf))
}

fn encrypted(pkcs8: &[u8], parameters: Parameters) -> String {
    let info = PrivateKeyInfoRef::from_der(pkcs8).unwrap();
    let der = info.encrypt_with_params(parameters, PASSPHRASE).unwrap();
    pem("ENCRYPTED PRIVATE KEY", der.as_bytes())
}

/// Encrypted with parameters that nobody can or should compute.
fn not_encrypted(parameters: Parameters) -> String {
    let data = pkcs8::der::asn1::OctetStringRef::new(&[7; 64]).unwrap();
    let encryption_algorithm = EncryptionScheme::Pbes2(parameters);
    let info = EncryptedPrivateKeyInfoRef { encryption_algorithm, encrypted_data: data };
    pem("ENCRYPTED PRIVATE KEY", &info.to_der().unwrap())
}

fn json(pkcs8: &[u8]) -> String {
    serde_json::json!({
        "type": "service_account",
        "client_email": "sa@p.iam.gserviceaccount.com",
        "private_key_id": "kid",
        "private_key": pem("PRIVATE KEY", pkcs8),
    })
    .to_string()
}

/// Signs, and verifies with aws-lc-rs under the public key of `pkcs8`.
fn is_the_key(key: &Key, pkcs8: &[u8]) {
    let expected = Key::from_pkcs8(pkcs8).unwrap();
    assert_eq!(key.public_key(), expected.public_key());
    let (scheme, algorithm): (_, &'static dyn lc::VerificationAlgorithm) = match key.algorithm() {
        KeyAlgorithm::Rsa { .. } => (Scheme::RsaPkcs1Sha256, &lc::RSA_PKCS1_2048_8192_SHA256),
        KeyAlgorithm::P256 => (Scheme::EcdsaP256Sha256, &lc::ECDSA_P256_SHA256_FIXED),
        KeyAlgorithm::P384 => (Scheme::EcdsaP384Sha384, &lc::ECDSA_P384_SHA384_FIXED),
    };
    let mut out = [0; 512];
    let len = key.sign(scheme, &ToSign::new(b"m", &[1; 32]), &mut out).unwrap();
    let public = lc::UnparsedPublicKey::new(algorithm, expected.public_key());
    public.verify(b"m", &out[..len]).unwrap();
}

#[test]
fn every_form() {
    let (rsa, p256, p384) = (testing::rsa_2048(), testing::p256(), testing::p384());
    let p256_oid = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    let forms = [
        (rsa, pem("PRIVATE KEY", rsa)),
        (p256, pem("PRIVATE KEY", p256)),
        (p384, pem("PRIVATE KEY", p384).replace('\n', "\r\n")),
        (rsa, pem("RSA PRIVATE KEY", &inner(rsa))),
        (p256, pem("EC PRIVATE KEY", &sec1(p256, &lc::ECDSA_P256_SHA256_FIXED_SIGNING))),
        (p384, pem("EC PRIVATE KEY", &sec1(p384, &lc::ECDSA_P384_SHA384_FIXED_SIGNING))),
        (p256, pem("EC PARAMETERS", &p256_oid) + &pem("EC PRIVATE KEY", &inner(p256))),
        (rsa, json(rsa)),
        (rsa, format!("\n  {}", json(rsa))),
        (p256, "text\n".to_owned() + &pem("CERTIFICATE", &[0x30, 0]) + &pem("PRIVATE KEY", p256)),
    ];
    for (pkcs8, text) in forms {
        let key = open(&text).unwrap_or_else(|e| panic!("{e}\n{}", text.lines().next().unwrap()));
        is_the_key(&key, pkcs8);
        assert_eq!(key.warnings(), []);
        assert_eq!(key.google().is_some(), text.contains("service_account"));
    }
}

#[test]
fn encrypted_forms() {
    let gcm = Parameters {
        encryption: pbes2::EncryptionScheme::Aes256Gcm { nonce: [1; 12] },
        ..scrypt_with(1 << 10, 8, 1)
    };
    for parameters in [
        pbkdf2(Pbkdf2Prf::HmacWithSha256, 2048),
        pbkdf2(Pbkdf2Prf::HmacWithSha512, 1),
        scrypt_with(1 << 14, 8, 1),
        gcm,
    ] {
        let text = encrypted(testing::rsa_2048(), parameters);
        let key = open_with(&text, "?passphrase-source=file:DIR/pass").unwrap();
        is_the_key(&key, testing::rsa_2048());
        assert_eq!(key.warnings(), []);
        let wrong = open_with(&text, "?passphrase-source=env:CARGO_PKG_NAME").unwrap_err();
        assert!(matches!(wrong, KeyError::Passphrase { .. }), "{wrong}");
        assert!(wrong.to_string().contains("wrong"), "{wrong}");
    }
    let plain = pem("PRIVATE KEY", testing::p256());
    let key = open_with(plain, "?passphrase-source=file:DIR/pass").unwrap();
    assert!(matches!(key.warnings(), [Warning::NotEncrypted { .. }]), "{:?}", key.warnings());
}

#[test]
fn encryption_that_is_not_done() {
    for (parameters, what) in [
        (pbkdf2(Pbkdf2Prf::HmacWithSha1, 2048), "SHA-1"),
        (pbkdf2(Pbkdf2Prf::HmacWithSha256, 0), "PBKDF2"),
        (pbkdf2(Pbkdf2Prf::HmacWithSha256, 10_000_001), "PBKDF2"),
        (pbkdf2(Pbkdf2Prf::HmacWithSha256, u32::MAX), "PBKDF2"),
        (scrypt_with(0, 8, 1), "scrypt"),
        (scrypt_with(1, 8, 1), "scrypt"),
        (scrypt_with(1000, 8, 1), "scrypt"),
        (scrypt_with(1 << 18, 9, 1), "scrypt"),
        (scrypt_with(1 << 63, u16::MAX, u16::MAX), "scrypt"),
        (scrypt_with(1 << 14, 0, 1), "scrypt"),
        (scrypt_with(1 << 14, 8, 0), "scrypt"),
        (scrypt_with(1 << 14, 8, 65), "scrypt"),
    ] {
        let text = not_encrypted(parameters.clone());
        let error = open_with(&text, "?passphrase-source=file:DIR/pass").unwrap_err();
        assert!(matches!(error, KeyError::Unsupported { .. }), "{parameters:?}: {error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.to_string().contains("openssl pkcs8 -topk8"), "{error}");
    }
    let pbes1 = [
        0x30, 0x20, 0x30, 0x1b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 3, 0x30, 0x0e, 4,
        8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 8, 0, 4, 1, 0,
    ];
    let error = open(pem("ENCRYPTED PRIVATE KEY", &pbes1)).unwrap_err();
    assert!(error.to_string().contains("PBES1"), "{error}");
}

#[test]
fn refusals() {
    let p256 = testing::p256();
    let plain = pem("PRIVATE KEY", p256);
    let two = plain.clone() + &pem("EC PRIVATE KEY", &inner(p256));
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00\n\n\
               AQID\n-----END RSA PRIVATE KEY-----\n";
    let bare = pem("EC PRIVATE KEY", &inner(p256));
    let p384_oid = [6, 5, 0x2b, 0x81, 4, 0, 0x22];
    let mixed = pem("EC PARAMETERS", &p384_oid)
        + &pem("EC PRIVATE KEY", &sec1(p256, &lc::ECDSA_P256_SHA256_FIXED_SIGNING));
    let cases = [
        (String::new(), "is empty"),
        (" \n".to_owned(), "is empty"),
        ("hunter2".to_owned(), "expected PEM"),
        (pem("CERTIFICATE", &[0x30, 0]), "this is a certificate, not a private key"),
        (pem("PUBLIC KEY", &[0x30, 0]), "this is a public key, not a private key"),
        (pem("CERTIFICATE REQUEST", &[0x30, 0]), "a certificate request"),
        (pem("PKCS7", &[0x30, 0]), "PEM of the kind PKCS7"),
        (pem("DSA PRIVATE KEY", &[0x30, 0]), "a DSA key"),
        (pem("OPENSSH PRIVATE KEY", &[1]), "ssh-keygen"),
        (pem("TSS2 PRIVATE KEY", &[0x30, 0]), "tpm:file=PATH"),
        (pem("ANY PRIVATE KEY", &[1]), "of the kind ANY PRIVATE KEY"),
        (pem("EC PARAMETERS", &p384_oid), "expected PEM"),
        (old.to_owned(), "openssl pkcs8 -topk8"),
        (two, "several private keys"),
        (bare, "without a name"),
        (mixed, "do not belong together"),
        (plain.replace("-----END", "----END"), "cut off"),
        (pem("PRIVATE KEY", &p256[..50]), "damaged PKCS#8"),
        (pem("PRIVATE KEY", &[p256, &[0]].concat()), "damaged PKCS#8"),
        (pem("RSA PRIVATE KEY", p256), "damaged RSA"),
        (pem("EC PRIVATE KEY", p256), "damaged EC"),
        (pem("ENCRYPTED PRIVATE KEY", p256), "damaged encrypted"),
        (json(p256).replace("service_account", "authorized_user"), "service_account"),
        (json(p256).replace("-----BEGIN", "-----"), "expected PEM"),
        (encrypted(p256, pbkdf2(Pbkdf2Prf::HmacWithSha256, 1)), PASSPHRASE_VARIABLE),
    ];
    for (text, expected) in cases {
        let error = open(&text).err().unwrap_or_else(|| panic!("opened: {expected}"));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("/key\""), "names the file: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let error = open(p256).unwrap_err();
    assert!(error.to_string().contains("openssl pkcs12"), "{error}");
    for (uri, expected) in [
        ("pkcs11:token=t?module-path=/no/such.so&pin-value=hunter2", "is it installed?"),
        ("pkcs11:type=public?pin-value=hunter2", "type=private"),
        #[cfg(not(feature = "tpm"))]
        ("tpm:fapi=/HS", "--features tpm"),
        #[cfg(feature = "tpm")]
        ("tpm:fapi=/HS", "a FAPI path is"),
    ] {
        let error = Key::open(&KeyUri::parse(uri).unwrap()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn nothing_secret_is_shown() {
    let secrets = [b"-----BEGIN".as_slice(), PASSPHRASE.as_bytes(), b"MII", b"MIG"];
    let text = encrypted(testing::rsa_2048(), pbkdf2(Pbkdf2Prf::HmacWithSha256, 1));
    let key = open_with(text, "?passphrase-source=file:DIR/pass").unwrap();
    let shown = format!("{key:?} {:?} {:?}", key.warnings(), key.google());
    for secret in secrets {
        assert!(!shown.as_bytes().windows(secret.len()).any(|w| w == secret), "{shown}");
    }
    assert!(shown.starts_with("Key(RSA-2048, file:"), "{shown}");
    assert_eq!(
        format!("{:?}", Key::from_pkcs8(testing::p256()).unwrap()),
        "Key(EC P-256, in memory)"
    );
    fn shared<T: Send + Sync>() {}
    shared::<Key>();
}

#[cfg(unix)]
#[test]
fn permissions() {
    let dir = TestDir::new();
    let path = dir.write("key", pem("PRIVATE KEY", testing::p256()).as_bytes(), 0o644);
    let uri = KeyUri::parse(&format!("file:{}", path.display())).unwrap();
    let key = Key::open(&uri).unwrap();
    assert_eq!(key.warnings(), [Warning::ReadableByOthers { path: path.clone(), mode: 0o644 }]);
    assert!(key.warnings()[0].to_string().contains("chmod 600"));
    dir.write("key", pem("PRIVATE KEY", testing::p256()).as_bytes(), 0o666);
    assert!(matches!(Key::open(&uri).unwrap_err(), KeyError::WritableByOthers { .. }));
}

/// forbid(unsafe_code) leaves no way to set a variable in this process, so the test runs itself.
#[test]
fn keys_and_passphrases_in_variables() {
    const NAME: &str = "CLOUDAUTH_TEST_KEY";
    let uri = KeyUri::parse(&format!("env:{NAME}")).unwrap();
    if std::env::var_os("CLOUDAUTH_TEST_CHILD").is_some() {
        match Key::open(&uri) {
            Ok(key) => assert_eq!(key.algorithm(), KeyAlgorithm::P384),
            Err(error) => panic!("ERROR: {error}"),
        }
        return;
    }
    let run = |key: &str, passphrase: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "key::tests::keys_and_passphrases_in_variables", "--nocapture"]);
        child.env("CLOUDAUTH_TEST_CHILD", "1").env(NAME, key).env_remove(PASSPHRASE_VARIABLE);
        if let Some(passphrase) = passphrase {
            child.env(PASSPHRASE_VARIABLE, passphrase);
        }
        let output = child.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let text = encrypted(testing::p384(), pbkdf2(Pbkdf2Prf::HmacWithSha256, 1));
    let plain = run(&pem("PRIVATE KEY", testing::p384()), None);
    assert!(plain.0 && plain.1.contains("1 passed"), "{}", plain.1);
    assert!(run(&text, Some(PASSPHRASE)).0);
    assert!(run(&text, Some(&format!("{PASSPHRASE}\n"))).0);
    for (passphrase, expected) in [
        (None, "set CLOUDAUTH_KEY_PASSPHRASE"),
        (Some("wrong"), "passphrase is wrong"),
        (Some(""), "variable CLOUDAUTH_KEY_PASSPHRASE: it is empty"),
    ] {
        let (success, output) = run(&text, passphrase);
        assert!(!success && output.contains(expected), "{output}");
        assert!(output.contains(NAME) || passphrase == Some(""), "{output}");
    }
    assert!(run(&"x".repeat(65537), None).1.contains("more than 65536 octets"));
}

/// Keys and encodings as openssl writes them, where there is an openssl.
#[test]
fn keys_that_openssl_made() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: no openssl program");
        return;
    }
    let dir = TestDir::new();
    let run = |line: &str| {
        let mut command = Command::new("openssl");
        let done = command.args(line.split(' ')).current_dir(dir.path()).output().unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    for (name, generate) in [
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa"),
        ("p256", "ecparam -name prime256v1 -genkey -out p256"),
        ("p384", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384"),
    ] {
        run(generate);
        run(&format!("pkey -in {name} -pubout -outform DER -out {name}.pub"));
        run(&format!("pkey -in {name} -traditional -out {name}.traditional"));
        let encrypt =
            format!("pkcs8 -topk8 -in {name} -passout pass:{}", PASSPHRASE.replace(' ', "_"));
        run(&format!("{encrypt} -out {name}.default"));
        run(&format!("{encrypt} -scrypt -out {name}.scrypt"));
        run(&format!("{encrypt} -v2 aes-128-cbc -v2prf hmacWithSHA512 -out {name}.sha512"));
        run(&format!("{encrypt} -v2 aes256 -v2prf hmacWithSHA1 -out {name}.sha1"));
        dir.write("pass", PASSPHRASE.replace(' ', "_").as_bytes(), 0o600);
        let open = |file: &str| {
            let path = dir.write("key", &read(file), 0o600);
            let pass = dir.path().join("pass");
            let uri = format!("file:{}?passphrase-source=file:{}", path.display(), pass.display());
            Key::open(&KeyUri::parse(&uri).unwrap())
        };
        for form in ["", ".traditional", ".default", ".scrypt", ".sha512"] {
            let key = open(&format!("{name}{form}")).unwrap();
            assert_eq!(key.public_key(), read(&format!("{name}.pub")), "{name}{form}");
        }
        let error = open(&format!("{name}.sha1")).unwrap_err();
        assert!(error.to_string().contains("SHA-1"), "{error}");
        run(&format!("pkey -in {name} -traditional -aes256 -passout pass:abcd -out {name}.old"));
        let error = open(&format!("{name}.old")).unwrap_err();
        assert!(error.to_string().contains("Proc-Type"), "{error}");
        assert!(open(&format!("{name}.pub")).is_err());
    }
    for (generate, expected) in [
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out other", "of 1024 bits"),
        ("genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out other", "PSS"),
        ("genpkey -algorithm ED25519 -out other", "Ed25519"),
        ("genpkey -algorithm ED448 -out other", "Ed448"),
        ("genpkey -algorithm X25519 -out other", "X25519"),
        ("ecparam -name secp521r1 -genkey -noout -out other", "P-521"),
        (
            "ecparam -name prime256v1 -param_enc explicit -genkey -noout -out other",
            "without a name",
        ),
    ] {
        run(generate);
        let error = open(read("other")).unwrap_err();
        assert!(error.to_string().contains(expected), "{generate}: {error}");
    }
}

/// The PEM of a small key of each form, and its public key.
fn samples() -> Vec<(String, Vec<u8>)> {
    let public = |pkcs8| Key::from_pkcs8(pkcs8).unwrap().public_key().to_vec();
    let (rsa, p256, p384) = (testing::rsa_2048(), testing::p256(), testing::p384());
    let sealed = encrypted(p256, pbkdf2(Pbkdf2Prf::HmacWithSha256, 1));
    vec![
        (pem("PRIVATE KEY", rsa), public(rsa)),
        (pem("RSA PRIVATE KEY", &inner(rsa)), public(rsa)),
        (pem("PRIVATE KEY", p256), public(p256)),
        (pem("EC PRIVATE KEY", &sec1(p384, &lc::ECDSA_P384_SHA384_FIXED_SIGNING)), public(p384)),
        (sealed, public(p256)),
        (json(p256), public(p256)),
    ]
}

/// Opens without the file system.
fn open_text(text: &[u8], pass: &SecretRef) -> Result<SoftwareKey> {
    let (place, warnings) = ("test".to_owned(), Vec::new());
    let prompt = &Prompt::none();
    let mut opener = Opener { place, source: Some(pass), prompt, warnings, decrypted: false };
    if text.first() == Some(&b'{') {
        let (_, pem) = parse_service_account(text, "test")?;
        return opener.pem(pem.as_bytes());
    }
    opener.pem(text)
}

#[test]
fn every_truncation_is_an_error_or_the_same_key() {
    let dir = TestDir::new();
    let path = dir.write("pass", PASSPHRASE.as_bytes(), 0o600);
    let pass = SecretRef::parse(&format!("file:{}", path.display())).unwrap();
    for (text, public) in samples() {
        for len in 0..text.len() {
            if let Ok(key) = open_text(&text.as_bytes()[..len], &pass) {
                assert_eq!(key.public_key(), public);
                assert_eq!(len, text.len() - 1, "all but the last line end is needed");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_mutation_is_an_error_or_the_same_key(
        which in 0usize..6, at in any::<prop::sample::Index>(), octet in any::<u8>(),
        in_der in any::<bool>(),
    ) {
        use std::sync::OnceLock;
        static PASS: OnceLock<(TestDir, SecretRef)> = OnceLock::new();
        static SAMPLES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
        let (_, pass) = PASS.get_or_init(|| {
            let dir = TestDir::new();
            let path = dir.write("pass", PASSPHRASE.as_bytes(), 0o600);
            let pass = SecretRef::parse(&format!("file:{}", path.display())).unwrap();
            (dir, pass)
        });
        let samples = SAMPLES.get_or_init(samples);
        let (text, public) = &samples[which];
        let mut changed = text.clone().into_bytes();
        if in_der && which != 5 {
            let block = pem::blocks(text.as_bytes(), "test").unwrap().remove(0);
            let mut der = block.der.to_vec();
            let at = at.index(der.len());
            der[at] = octet;
            changed = pem(block.label, &der).into_bytes();
        } else {
            let at = at.index(changed.len());
            changed[at] = octet;
        }
        if let Ok(key) = open_text(&changed, pass) {
            prop_assert_eq!(key.public_key(), &public[..]);
        }
    }

    #[test]
    fn any_der_never_panics(der in proptest::collection::vec(any::<u8>(), 0..80)) {
        let pass = SecretRef::parse("env:CARGO_PKG_NAME").unwrap();
        for label in ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            let _ = open_text(pem(label, &der).as_bytes(), &pass);
        }
    }
}
