//! Which directories are used.

use super::*;

#[test]
fn directories_that_others_reach_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let refusal = |name: &str| match FileCache::at(&path(name)) {
        Err(Error::Config { help, .. }) => help,
        other => panic!("{name}: {other:?}"),
    };
    let mode = |name: &str, mode| {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    assert!(FileCache::at(&path("new/in/new")).is_ok());
    assert_eq!(path("new").metadata().unwrap().mode() & 0o7777, 0o700);
    symlink(path("new"), path("link")).unwrap();
    for link in ["link", "link/", "link/."] {
        assert!(refusal(link).contains("symbolic link"), "{link}");
    }
    symlink(path("nowhere"), path("dangling")).unwrap();
    assert!(refusal("dangling").contains("symbolic link"));
    fs::write(path("file"), "").unwrap();
    assert!(refusal("file").contains("no directory"));
    for open in [0o701, 0o710, 0o704, 0o740, 0o770, 0o777] {
        mode("new", open);
        assert!(refusal("new").contains("chmod 0700"), "{open:o}");
    }
    mode("new", 0o700);
    assert!(FileCache::at(&path("new")).is_ok());
    let relative = FileCache::at(Path::new("cache")).unwrap_err();
    assert!(relative.to_string().contains("absolute path"), "{relative}");
    if as_root("a directory of another user") {
        chown(path("new"), Some(12345), None).unwrap();
        assert!(refusal("new").contains("another user"));
    }
}

#[test]
fn the_runtime_directory_is_used_if_it_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = dir.path().join("runtime");
    let below = |path: &Path| FileCache::below(Some(path.as_os_str().to_owned()));
    for none in [None, Some(""), Some("relative/path")] {
        assert!(FileCache::below(none.map(OsString::from)).unwrap().is_none(), "{none:?}");
    }
    assert!(below(&runtime).unwrap().is_none());
    fs::create_dir(&runtime).unwrap();
    for (mode, good) in [(0o755, false), (0o700, true)] {
        fs::set_permissions(&runtime, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(below(&runtime).is_ok(), good, "{mode:o}");
        assert_eq!(runtime.join("cloudauth").exists(), good);
    }
    assert_eq!(runtime.join("cloudauth").metadata().unwrap().mode() & 0o7777, 0o700);
    assert!(below(&runtime).unwrap().is_some());
    symlink(&runtime, dir.path().join("link")).unwrap();
    for link in ["link", "link/"] {
        let error = below(&dir.path().join(link)).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }
    // Ours is a link.
    fs::rename(runtime.join("cloudauth"), runtime.join("elsewhere")).unwrap();
    symlink("elsewhere", runtime.join("cloudauth")).unwrap();
    let error = below(&runtime).unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    if as_root("a runtime directory of another user") {
        fs::remove_file(runtime.join("cloudauth")).unwrap();
        assert!(below(&runtime).is_ok());
        chown(&runtime, Some(12345), None).unwrap();
        assert!(below(&runtime).unwrap_err().to_string().contains("another user"));
    }
}
