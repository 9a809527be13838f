//! Every fault of the emulator against every provider: what it does to the provider's own service, and that
//! the provider recovers.
//!
//! | fault | once | for good |
//! |---|---|---|
//! | late, within the time-out | served | |
//! | late, beyond the read time-out | tried again, served | fails after three tries |
//! | 429 | tried again, served; `Retry-After` of a second is waited for, one of two minutes is told | fails after three tries |
//! | 500 | tried again, served | fails after three tries |
//! | 403 | fails at once (where the error is called transient: tried again) | |
//! | body cut off; reset | tried again, served | fails after three tries |
//! | expired credential; HTML with 200; 10 MiB | fails at once | |
//! | HTML with 503 | tried again, served | |
//! | clock two hours ahead or behind | [`on_a_wrong_clock`] | |

use std::time::{Duration, Instant};

use cloudauth_emulator::{Fault, FaultKind, Service};

use crate::world::{LIVE, READ, TOTAL, World};

/// What becomes of a call, and how many requests its service gets.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Served(usize),
    /// With this in the error.
    Fails(usize, &'static str),
}
use Expect::{Fails, Served};

const LATE: u32 = 1800;

const fn matrix() -> [(FaultKind, u32, Expect); 18] {
    use FaultKind::{Expired, Html, Huge, Latency, Reset, Status, Throttle, Truncate};
    const GOOD: u32 = 99;
    [
        (Latency(200), 1, Served(1)),
        (Latency(LATE), 1, Served(2)),
        (Latency(LATE), GOOD, Fails(3, "no answer within 1500 ms")),
        (Throttle(None), 1, Served(2)),
        (Throttle(Some(1)), 1, Served(2)),
        (Throttle(Some(120)), 1, Fails(1, "not to be called again for 120 s")),
        (Throttle(None), GOOD, Fails(3, "429")),
        (Status(500), 1, Served(2)),
        (Status(500), GOOD, Fails(3, "500")),
        (Status(403), 1, Fails(1, "403")),
        (Truncate, 1, Served(2)),
        (Truncate, GOOD, Fails(3, "connection")),
        (Reset, 1, Served(2)),
        (Reset, GOOD, Fails(3, "connection")),
        // A token's life of no second cannot be read at all: `expires_in`.
        (Expired, 1, Fails(1, "expire")),
        (Html(200), 1, Fails(1, "answer")),
        (Html(503), 1, Served(2)),
        (Huge(10 << 20), 1, Fails(1, "1048576")),
    ]
}

/// What a clock two hours ahead and one two hours behind do. A request that proves something with the time
/// in it is refused, and made again with the service's `Date`; one without time in it cannot be refused.
fn on_a_wrong_clock(profile: &str) -> (Expect, Expect) {
    match profile {
        // The credential below has taught the time.
        "assume-role-chained" | "gcp-impersonated" => (Served(1), Served(1)),
        // A secret has no time. The tokens' own life counts from the answer.
        "azure-secret" => (Served(1), Served(1)),
        // A token that another issuer signed: not yet good at a service that is behind, whatever we do.
        "web-identity" => (Served(1), Fails(2, "clock")),
        "azure-federated" | "gcp-federated-file" => (Served(1), Fails(2, "clock")),
        "gcp-impersonated-id" => (Served(1), Fails(0, "clock")),
        _ => (Served(2), Served(2)),
    }
}

/// One provider through the whole matrix.
fn run(profile: &str) {
    let service = LIVE.iter().find(|(name, _)| *name == profile).unwrap().1;
    let world = World::new();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for (kind, count, mut expect) in matrix() {
        // Whatever the status, the name of this error says that it passes: `temporarily_unavailable`.
        let oauth = [Service::Entra, Service::GoogleOauth, Service::GoogleSts].contains(&service);
        if oauth && kind == FaultKind::Status(403) {
            expect = Served(2);
        }
        let what = format!("{profile}: {kind:?} x {count}");
        wrong.extend(case(&world, &runtime, profile, service, expect, &what, || {
            world.emulator.fault(Fault { service: Some(service), count, kind: kind.clone() });
        }));
    }
    let (ahead, behind) = on_a_wrong_clock(profile);
    for (seconds, expect) in [(7200, ahead), (-7200, behind)] {
        let what = format!("{profile}: clock {seconds}");
        wrong.extend(case(&world, &runtime, profile, service, expect, &what, || {
            world.emulator.set_time_offset(seconds).unwrap();
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One fault: what went otherwise than expected.
fn case(
    world: &World,
    runtime: &tokio::runtime::Runtime,
    profile: &str,
    service: Service,
    expect: Expect,
    what: &str,
    break_it: impl FnOnce(),
) -> Option<String> {
    let client = world.client();
    let provider = world.provider(&client, profile);
    let before = world.count(service);
    break_it();
    let start = Instant::now();
    let result = runtime.block_on(provider.credential());
    let took = start.elapsed();
    let tries = world.count(service) - before;
    let as_expected = match (expect, &result) {
        (Served(n), Ok(_)) => tries == n,
        (Fails(n, says), Err(error)) => tries == n && error.to_string().contains(says),
        _ => false,
    };
    let wrong = (!as_expected).then(|| {
        let came = match &result {
            Ok(_) => "served".to_owned(),
            Err(error) => error.to_string(),
        };
        format!("{what}: expected {expect:?}; {tries} tries: {came}")
    });
    // The whole-call limit, and what a loaded machine adds.
    assert!(took < TOTAL + READ, "{what}: {took:?}");
    if what.contains("Throttle(Some(1))") {
        assert!(took >= Duration::from_secs(1), "{what}: {took:?}");
    }
    // The same provider, as soon as the service is well.
    world.emulator.clear_faults();
    world.emulator.set_time_offset(0).unwrap();
    provider.invalidate();
    let again = runtime.block_on(provider.credential());
    assert!(again.is_ok(), "{what}, recovery: {:?}", again.err());
    // Nothing goes on behind its back.
    let tasks = runtime.metrics().num_alive_tasks();
    assert_eq!(tasks, 0, "{what}: tasks");
    wrong
}

macro_rules! rows {
    ($($name:ident: $profile:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            run($profile);
        })*

        /// No profile is left out.
        #[test]
        fn all_are_there() {
            let rows = [$($profile),*];
            for (profile, _) in LIVE {
                assert!(rows.contains(profile), "{profile}");
            }
        }
    };
}

rows! {
    anywhere_rsa: "anywhere-rsa",
    anywhere_p256: "anywhere-p256",
    anywhere_p384: "anywhere-p384",
    assume_role: "assume-role",
    assume_role_chained: "assume-role-chained",
    session_token: "session-token",
    web_identity: "web-identity",
    azure_certificate: "azure-certificate",
    azure_secret: "azure-secret",
    azure_federated: "azure-federated",
    gcp_oauth: "gcp-oauth",
    gcp_id_token: "gcp-id-token",
    gcp_federated_key: "gcp-federated-key",
    gcp_federated_file: "gcp-federated-file",
    gcp_impersonated: "gcp-impersonated",
    gcp_impersonated_id: "gcp-impersonated-id",
}

/// Whose clock is a day and more off is told, not guessed.
#[test]
fn a_clock_that_is_days_off_is_told() {
    let world = World::new();
    let runtime = cloudauth_client::blocking::Runtime::new().unwrap();
    world.emulator.set_time_offset(3 * 86_400).unwrap();
    for profile in ["anywhere-p256", "assume-role", "azure-certificate", "gcp-oauth"] {
        let client = world.client();
        let provider = world.provider(&client, profile);
        let error = runtime.wait(provider.credential()).unwrap_err().to_string();
        let says = "this machine's clock is 2";
        assert!(error.contains(says) && error.contains("s behind"), "{profile}: {error}");
    }
}

/// While a renewal fails, the credential at hand serves until its end; then the error is told.
#[test]
fn the_last_good_credential_serves_until_its_end() {
    let world = World::new();
    let runtime = cloudauth_client::blocking::Runtime::new().unwrap();
    // Sessions have at least fifteen minutes: the service's time goes by, and a refusal teaches it. So
    // the client is told the time with each call of another provider that shares its clock.
    let client = world.client();
    let provider = world.provider(&client, "assume-role");
    let teacher = world.provider(&client, "session-token");
    let first = runtime.wait(provider.credential()).unwrap();
    let down = || {
        world.emulator.fault(Fault {
            service: Some(Service::Sts),
            count: 99,
            kind: FaultKind::Status(500),
        });
    };
    let pass = |seconds: i64| {
        world.emulator.clear_faults();
        world.emulator.set_time_offset(seconds).unwrap();
        teacher.invalidate();
        runtime.wait(teacher.credential()).unwrap();
    };
    // Ten minutes before the end of an hour: one tries to renew it, all are served.
    pass(3600 - 600);
    down();
    let before = world.count(Service::Sts);
    assert_eq!(runtime.wait(provider.credential()).unwrap(), first);
    assert_eq!(world.count(Service::Sts), before + 3);
    // Within the pause after a failure nobody is asked.
    assert_eq!(runtime.wait(provider.credential()).unwrap(), first);
    assert_eq!(world.count(Service::Sts), before + 3);
    // After its end there is nothing to serve. (Less than a quarter of an hour later no signature would be
    // refused, and the time not learnt.)
    pass(3600 + 600);
    down();
    let error = runtime.wait(provider.credential()).unwrap_err().to_string();
    assert!(error.contains("AssumeRole") && error.contains("500"), "{error}");
    // And at once a new one when the service is back.
    world.emulator.clear_faults();
    let second = runtime.wait(provider.credential()).unwrap();
    assert_ne!(second, first);
}
