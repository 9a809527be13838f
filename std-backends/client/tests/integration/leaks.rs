//! Nothing stays open behind a call, however it ends.

use std::process::Command;
use std::time::{Duration, Instant};

use cloudauth_client::blocking::Runtime;
use cloudauth_emulator::{Fault, FaultKind};

use crate::world::{LIVE, World};

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// In a process of its own, where no other test opens files.
#[cfg(target_os = "linux")]
#[test]
fn no_file_stays_open() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leaks::calls_that_end_badly", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by no_file_stays_open, in a process of its own"]
fn calls_that_end_badly() {
    let world = World::new();
    let before = open_files();
    for (profile, service) in LIVE {
        for kind in [
            FaultKind::Reset,
            FaultKind::Truncate,
            FaultKind::Huge(10 << 20),
            FaultKind::Html(200),
            FaultKind::Latency(3000),
            FaultKind::Status(500),
        ] {
            let runtime = Runtime::new().unwrap();
            let client = world.client();
            let provider = world.provider(&client, profile);
            world.emulator.fault(Fault { service: Some(*service), count: 99, kind });
            // Given up in the middle: a caller that loses patience.
            let limit = Duration::from_millis(700);
            let _ = runtime
                .wait(async { Ok(tokio::time::timeout(limit, provider.credential()).await) })
                .unwrap();
            world.emulator.clear_faults();
        }
    }
    // The emulator, in this process too, may still be closing its ends.
    let start = Instant::now();
    while open_files() > before && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(open_files() <= before, "{} open files, {before} before", open_files());
}
