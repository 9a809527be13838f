use super::*;
use proptest::prelude::*;

fn file(text: &str) -> PathBuf {
    match KeyUri::parse(text).unwrap().target {
        Target::File { path, .. } => path,
        _ => panic!("{text} is no file"),
    }
}

fn refused(text: &str) -> String {
    match KeyUri::parse(text) {
        Err(KeyError::Uri { help } | KeyError::SecretReference { help }) => help,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn paths_survive_their_uri() {
    for path in ["key.pem", "/a b/%3f?#ü", "//x", "-", "a\nb", "~"] {
        let uri = KeyUri::of_file(Path::new(path)).unwrap();
        assert_eq!(file(&uri.text), Path::new(path));
    }
    assert!(KeyUri::of_file(Path::new("")).is_err());
}

#[test]
fn files_and_variables() {
    assert_eq!(file("file:key.pem"), PathBuf::from("key.pem"));
    assert_eq!(file("file:../a b/ü.pem"), PathBuf::from("../a b/ü.pem"));
    assert_eq!(file("file:/etc/key.pem"), PathBuf::from("/etc/key.pem"));
    assert_eq!(file("file:///etc/key.pem"), PathBuf::from("/etc/key.pem"));
    assert_eq!(file("file://LOCALHOST/etc/key.pem"), PathBuf::from("/etc/key.pem"));
    assert_eq!(file("FILE:a%20b%3F%23%25%2f.pem"), PathBuf::from("a b?#%/.pem"));
    assert_eq!(file("file:a:b.pem"), PathBuf::from("a:b.pem"));
    let uri = KeyUri::parse("env:MY_KEY").unwrap();
    assert_eq!(uri.scheme(), UriScheme::Env);
    assert_eq!((uri.path(), uri.query()), ("MY_KEY", None));
    assert_eq!(uri.env_variables(), ["MY_KEY", PASSPHRASE_VARIABLE]);
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    assert_eq!(file("file:%ff%fe").as_os_str().as_bytes(), [0xff, 0xfe]);
}

#[test]
fn passphrase_sources() {
    let uri = KeyUri::parse("file:k.pem?passphrase-source=env:PW").unwrap();
    assert_eq!(uri.env_variables(), ["PW"]);
    assert_eq!(uri.to_string(), "file:k.pem?passphrase-source=env:PW");
    assert_eq!(uri.query(), Some("passphrase-source=env:PW"));
    let uri = KeyUri::parse("env:K?passphrase-source=file:/run/a%2520b%26c").unwrap();
    let Target::Env { passphrase, .. } = &uri.target else { panic!("{uri:?}") };
    // Decoded once: %25 becomes a percent sign, and stays one.
    assert_eq!(*passphrase, Some(SecretRef::parse("file:/run/a%2520b%26c").unwrap()));
    assert_eq!(passphrase.as_ref().unwrap().to_string(), "file \"/run/a%20b&c\"");
    assert_eq!(uri.env_variables(), ["K"]);
    let uri = KeyUri::parse("file:k?passphrase-source=fd:3").unwrap();
    assert!(uri.env_variables().is_empty());
}

#[test]
fn refusals() {
    for bare in ["", "key.pem", "/etc/key.pem", "./a:b", "C:\\keys\\key.pem", "C:key.pem"] {
        assert!(refused(bare).contains("file:PATH"), "{bare}");
    }
    for unknown in ["https://example.com/key", "azkms:x", "data:,x", "pass:hunter2"] {
        let help = refused(unknown);
        for scheme in ["file:", "env:", "pkcs11:", "tpm:"] {
            assert!(help.contains(scheme), "{help}");
        }
        assert!(!help.contains("hunter2"), "{help}");
    }
    assert!(refused("-----BEGIN PRIVATE KEY-----").contains("keep it in a file"));
    assert!(refused("file:").contains("wants a path"));
    assert!(refused("file://").contains("wants a path"));
    assert!(refused("file:?passphrase-source=env:X").contains("wants a path"));
    assert!(refused("file://key.pem").contains("host"));
    assert!(refused("file://server/key.pem").contains("host"));
    assert!(refused("file:a%").contains("%25"));
    assert!(refused("file:a%2").contains("%25"));
    assert!(refused("file:a%+1").contains("%25"));
    assert!(refused("file:a%00b").contains("%00"));
    assert!(refused("file:a#b").contains("%23"));
    assert!(refused("file:a\nb").contains("control"));
    assert!(refused("env:").contains("env:MY_KEY"));
    assert!(refused("env:wJalrXUtnFEMI/K7MDENG").contains("env:MY_KEY"));
    assert!(refused("env:A%42").contains("env:MY_KEY"));
    assert!(refused("file:a?pin-value=hunter2").contains("unknown attribute pin-value"));
    assert!(refused("file:a?hunter2").contains("unknown attribute; "));
    assert!(refused("file:a?").contains("passphrase-source"));
    assert!(refused("file:a?passphrase-source=hunter2").contains("env:NAME"));
    assert!(refused("file:a?passphrase-source=fd:1&passphrase-source=fd:1").contains("twice"));
    assert!(refused(&format!("file:{}", "x".repeat(MAX_LEN))).contains("4096"));
}

#[test]
fn devices() {
    let text = "pkcs11:token=Cloud%20HSM;object=k;type=private?module-path=/usr/lib/x.so\
                &pin-source=env:HSM_PIN";
    let uri = KeyUri::parse(text).unwrap();
    assert_eq!(uri.scheme(), UriScheme::Pkcs11);
    assert_eq!(uri.path(), "token=Cloud%20HSM;object=k;type=private");
    assert_eq!(uri.query(), Some("module-path=/usr/lib/x.so&pin-source=env:HSM_PIN"));
    assert_eq!(uri.env_variables(), ["HSM_PIN"]);
    assert_eq!(uri.to_string(), text);
    let uri = KeyUri::parse("tpm:handle=0x81000002;tcti=device:/dev/tpmrm0").unwrap();
    assert_eq!(uri.scheme(), UriScheme::Tpm);
    assert_eq!(format!("{uri:?}"), "KeyUri(tpm:handle=0x81000002;tcti=device:/dev/tpmrm0)");
}

#[test]
fn secrets_are_redacted() {
    let shown = |text: &str| {
        let (shown, all) = match KeyUri::parse(text) {
            Ok(uri) => {
                (uri.to_string(), format!("{uri} {uri:?} {} {:?}", uri.place(), uri.pkcs11()))
            }
            Err(error) => (String::new(), format!("{error} {error:?}")),
        };
        for secret in ["1234", "99", "5678"] {
            assert!(!all.contains(secret), "{all}");
        }
        shown
    };
    assert_eq!(
        shown("pkcs11:token=t?module-name=m&pin-value=1234"),
        "pkcs11:token=t?module-name=m&pin-value=[redacted]"
    );
    assert_eq!(shown("pkcs11:?pin-value=1234"), "pkcs11:?pin-value=[redacted]");
    assert_eq!(
        shown("pkcs11:token=t?pin-value=1234&module-name=m"),
        "pkcs11:token=t?pin-value=[redacted]&module-name=m"
    );
    shown("tpm:handle=0x81000001?pin-source=file:a/pin-value=1234");
    assert_eq!(shown("pkcs11:?pin-source=|pin%201234"), "pkcs11:?pin-source=[redacted]");
    // Refused, and not repeated.
    for refused in [
        "pkcs11:pin-value=1234",
        // Separators that the user forgot to encode.
        "pkcs11:?pin-value=1234&5678&99=1;x",
        "pkcs11:?pin-value=1234&abc=1&module-name=m",
        "pkcs11:token=t?PIN-VALUE=1234",
        "pkcs11:token=t?pin%2Dvalue=1234",
        "pkcs11:token=t?pin-source=1234",
        // A separator that is none there.
        "pkcs11:token=t?module-path=m?pin-value=1234",
        "pkcs11:token=t,pin-value=1234",
    ] {
        assert_eq!(shown(refused), "", "{refused}");
    }
    shown("tpm:handle=0x81000001?auth=1234&5678&99=1;x");
    shown("tpm:handle=0x81000001?auth-source=1234");
    shown("tpm:handle=0x81000001;auth=1234;5678");
    shown("tpm:1234");
}

proptest! {
    #[test]
    fn never_panics(text in "(file:|env:|pkcs11:|tpm:|)(//)?\\PC{0,40}(\\?\\PC{0,40})?") {
        if let Ok(uri) = KeyUri::parse(&text) {
            prop_assert_eq!(format!("{uri:?}"), format!("KeyUri({uri})"));
            let _ = uri.env_variables();
        }
    }

    #[test]
    fn a_pin_is_never_shown(pin in "[0-9]{6,12}", before in "(token=)?[a-z;=&]{0,12}") {
        let path = format!("pkcs11:{before}?pin-value={pin}&module-name=m");
        let shown = match KeyUri::parse(&path) {
            Ok(uri) => format!("{uri} {uri:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains(&pin));
    }

    #[test]
    fn any_path_can_be_written(bytes in proptest::collection::vec(1u8..=127, 1..40)) {
        let encoded: String = bytes.iter().map(|b| format!("%{b:02x}")).collect();
        let expected = PathBuf::from(String::from_utf8(bytes).unwrap());
        prop_assert_eq!(file(&format!("file:{encoded}")), expected);
    }
}
