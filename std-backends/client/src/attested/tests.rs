//! What is refused before anything is asked.

use super::*;

fn usual() -> Attested {
    Attested {
        broker: "https://broker.example".into(),
        pin: Some("00".repeat(32)),
        grant: Some("g".into()),
        audience: "https://broker.example".into(),
        teeserver: Some("/no/such.sock".into()),
        ..Attested::default()
    }
}

#[cfg(unix)]
#[test]
fn certificates_that_others_can_change() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(["broker.example".to_owned()]).unwrap();
    let of = |name: &str, mode| {
        let path = folder.path().join(name);
        std::fs::write(&path, key.cert.pem()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    let broker = |path| Attested { pin: None, ca_file: Some(path), ..usual() };
    let sts = |path| Attested {
        expect_account: Some("123456789012".into()),
        sts_ca_file: Some(path),
        ..usual()
    };
    let open = |source: Attested| source.open(&Inputs::default()).map(drop);
    // As a usual umask leaves it, and stricter.
    for (name, mode) in [("usual", 0o644), ("strict", 0o400)] {
        open(broker(of(name, mode))).unwrap();
        open(sts(of(name, mode))).unwrap();
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    for (name, mode) in [("group", 0o664), ("all", 0o646)] {
        for source in [broker(of(name, mode)), sts(of(name, mode))] {
            let error = open(source).unwrap_err().to_string();
            assert!(error.contains("chmod go-w") && error.contains(name), "{error}");
        }
    }
}

/// The operator would choose the code that gets the PIN, or who gets a TPM's authorization value.
#[test]
fn keys_of_devices() {
    let of = |key: &str| Attested {
        certificate: Some("c.pem".into()),
        key: Some(KeyUri::parse(key).unwrap()),
        ..usual()
    };
    for good in [
        "file:key.pem",
        "pkcs11:object=k?module-path=/usr/lib/m.so",
        "pkcs11:object=k?module-path=/usr/lib&module-name=m",
        "tpm:handle=0x81000001?tcti=device:/dev/tpmrm0",
    ] {
        of(good).check().unwrap();
    }
    for (key, names) in [
        ("pkcs11:object=k", "module-path"),
        ("pkcs11:object=k?module-name=softhsm2", "module-path"),
        ("tpm:handle=0x81000001", "tcti="),
        ("tpm:file=key.pem", "tcti="),
    ] {
        let error = of(key).check().unwrap_err().to_string();
        assert!(error.contains(names) && error.contains("trust-environment"), "{key}: {error}");
        Attested { trust_environment: true, ..of(key) }.check().unwrap();
    }
    // With a list modules need not be root's.
    let listed = of("pkcs11:object=k?module-path=/usr/lib/m.so").check_key(true).unwrap_err();
    assert!(listed.to_string().contains(ALLOWED_MODULES_VARIABLE), "{listed}");
    of("tpm:handle=0x81000001?tcti=device:/dev/tpmrm0").check_key(true).unwrap();
}

#[test]
fn limits_of_time() {
    let of = |timeout| Attested { timeout, ..usual() };
    // A broker's own limits: 25 s for the cloud, 5 s for its record.
    for (timeout, seconds, answer) in [(None, 60, 40), (Some(1), 1, 1), (Some(90), 90, 40)] {
        of(timeout).check().unwrap();
        assert_eq!(of(timeout).limit(), Duration::from_secs(seconds));
        assert_eq!(of(timeout).answer_limit(), Duration::from_secs(answer));
    }
    let error = of(Some(0)).check().unwrap_err().to_string();
    assert!(error.contains("timeout") && error.contains("at least 1"), "{error}");
}

/// What the broker may have carried out is not asked for again.
#[test]
fn what_is_tried_once_more() {
    let host = || "broker.example".to_owned();
    let late = TransportError::TimedOut { host: host(), step: Step::Answer, limit: ANSWER };
    let ended = TransportError::Ended { host: host() };
    let broken = TransportError::Broken { host: host(), reason: "reset".into() };
    for (error, before, after) in [(late, true, false), (broken, true, false), (ended, true, true)]
    {
        let error = Error::service("broker's credentials", error);
        let again = [false, true].map(|sent| worth_another(&error, sent).is_some());
        assert_eq!(again, [before, after], "{error}");
    }
}
