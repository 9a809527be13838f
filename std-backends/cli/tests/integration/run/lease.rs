//! Leases, and what ends with them.

use super::*;

/// The broker is down for good: what is there serves until the end of the lease, and then what was chosen is done.
#[test]
fn the_end_of_a_lease() {
    let cases = [("keep", 8), ("stop", 0), ("wipe", 8)].map(|(at_end, seconds)| {
        thread::spawn(move || {
            let setup = Setup::new();
            setup.world.broker.lasts(8);
            let config = setup.config(&format!("[renewal]\nat-end = '{at_end}'\nstop-after = 2"));
            // Deaf to SIGTERM: the second signal is the one that counts.
            let script = "trap '' TERM; touch ready; while :; do sleep 0.05; done";
            let start = Instant::now();
            let child = Beside::start(&mut setup.shell(&config, script));
            until("ready", || setup.world.path("ready").exists());
            setup.world.broker.behave(&vec![Behaviour::Problem(503, "unavailable", None); 900]);
            let key = setup.directory().join("key");
            while start.elapsed() < Duration::from_millis(6500) {
                assert_eq!(content(&key), "geheim-1", "{at_end}");
                thread::sleep(Duration::from_millis(20));
            }
            match at_end {
                "keep" => {
                    thread::sleep(Duration::from_secs(4));
                    assert_eq!(content(&key), "geheim-1");
                }
                "wipe" => {
                    until("wiped", || {
                        !key.exists() && !setup.directory().join("tls/app.key").exists()
                    });
                    assert!(start.elapsed() < Duration::from_secs(10));
                    // The broker comes back.
                    setup.give("geheim-3");
                    setup.world.broker.behave(&[]);
                    until("written", || content(&key) == "geheim-3");
                }
                _ => {}
            }
            if seconds > 0 {
                kill("-KILL", children(&child).trim());
            }
            let (code, said) = child.end();
            assert_eq!(code, Some(if at_end == "stop" { 5 } else { 137 }), "{said}");
            assert!(said.contains("could not be renewed, and serve until"), "{said}");
            assert!(said.contains("lease of the secrets has ended"), "{said}");
            assert_eq!(said.contains("it is killed"), at_end == "stop", "{said}");
            if at_end == "stop" {
                let took = start.elapsed().as_secs_f64();
                assert!((8.0..13.0).contains(&took), "{took}");
            }
            assert!(setup.is_wiped());
        })
    });
    for case in cases {
        case.join().unwrap();
    }
}

/// What the command has started ends with it, however it ends, and however deaf it is.
#[test]
fn nothing_goes_on_without_the_command() {
    let setup = Setup::new();
    let config = setup.config("[renewal]\nstop-after = 1");
    let gone = |pid: &str| {
        let stat = content(&Path::new("/proc").join(pid).join("stat"));
        stat.is_empty() || stat.contains(") Z")
    };
    let script = "(trap '' TERM; exec setsid sleep 61) & echo $! >one; (sh -c 'sleep 62 & echo $! >two; wait' &); \
                  while [ ! -s two ]; do sleep 0.02; done; exit 3";
    let start = Instant::now();
    let log = fs::File::create(setup.world.path("log")).unwrap();
    let mut command = setup.shell(&config, script);
    let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
    assert_eq!(status.code(), Some(3), "{}", content(&setup.world.path("log")));
    // The deaf one is killed after a second.
    let took = start.elapsed().as_secs_f64();
    assert!((1.0..6.0).contains(&took), "{took}");
    for name in ["one", "two"] {
        let pid = content(&setup.world.path(name)).trim().to_owned();
        assert!(!pid.is_empty() && gone(&pid), "{name}");
    }
    assert!(setup.is_wiped());
}

/// Whoever sets the clock here, a day ahead of the broker's or behind it, makes no lease longer and none shorter.
#[test]
fn the_broker_has_another_time() {
    let cases = [86_400, -86_400].map(|ahead| {
        thread::spawn(move || {
            let setup = Setup::new();
            setup.world.broker.lasts(8);
            setup.world.broker.set_clock(ahead);
            let config = setup.config("[renewal]\nstop-after = 2");
            let start = Instant::now();
            let child = Beside::start(&mut setup.shell(&config, "exec sleep 60"));
            let asked = std::cell::Cell::new(0);
            until("renewed twice", || {
                asked.set(asked.get() + setup.world.broker.log().len());
                asked.get() >= 3 * ONCE.len()
            });
            let between = start.elapsed().as_secs_f64();
            assert!((6.0..14.0).contains(&between), "{ahead}: {between}");
            let start = Instant::now();
            setup.world.broker.behave(&vec![Behaviour::Problem(503, "unavailable", None); 900]);
            let (code, said) = child.end();
            let took = start.elapsed().as_secs_f64();
            assert!(code == Some(5) && (6.0..11.0).contains(&took), "{ahead}: {took} {said}");
            assert!(said.contains("has ended"), "{said}");
        })
    });
    for case in cases {
        case.join().unwrap();
    }
}

/// The numbers of the project's goal: 100 secrets in under a second, with one attestation.
#[test]
fn a_hundred_secrets() {
    let setup = Setup::without_attestation();
    let asked = setup.world.teeserver();
    let give = |value: &str| {
        let secret =
            |i| (format!("s{i}"), json!({"value": STANDARD.encode(format!("{value}-{i}"))}));
        let secrets: serde_json::Map<_, _> = (0..100).map(secret).collect();
        setup.world.broker.give(json!({"secrets": secrets}));
    };
    give("one");
    setup.world.broker.lasts(10);
    let files: String = (0..100).map(|i| format!("\"d{}/s{i}\" = '${{s{i}}}'\n", i % 7)).collect();
    let config = setup.config_of(&format!(
        "[files]\ndirectory = {:?}\n[files.content]\n{files}[renewal]\non-change = 'SIGHUP'",
        setup.directory()
    ));
    let script = "trap 'touch changed' HUP; touch ready; while :; do sleep 0.02; done";
    let child = Beside::start(&mut setup.shell(&config, script));
    until("ready", || setup.world.path("ready").exists());
    give("two");
    setup.world.broker.log();
    until("asked", || !setup.world.broker.log().is_empty());
    let start = Instant::now();
    until("changed", || setup.world.path("changed").exists());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    for i in 0..100 {
        let path = setup.directory().join(format!("d{}/s{i}", i % 7));
        assert_eq!(content(&path), format!("two-{i}"));
    }
    assert_eq!(asked.lock().unwrap().len(), 2);
    kill("-TERM", &child.pid());
    child.end();
    assert!(setup.is_wiped());
}
