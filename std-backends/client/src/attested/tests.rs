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
