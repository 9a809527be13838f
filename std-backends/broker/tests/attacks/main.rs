//! The attack suite: the real broker, with TLS on the loopback network, and the emulator as issuers and clouds. Every
//! attack stands beside the neighbouring request that must pass.
//!
//! It has no harness of the standard kind, for that would show its table only when something fails. `cargo test -p
//! cloudauth-broker --test attacks` prints it always, and fails if one attack is not refused as expected, or one
//! neighbour not accepted. Words behind `--` choose topics.

// clippy.toml allows these in tests, but not in what several tests share.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

mod binder;
mod chains;
mod channel;
mod claims;
mod clients;
mod http;
mod key_sets;
mod leaks;
mod load;
mod secrets;
mod seed;
mod sink;
mod table;
mod tls;
mod tokens;
mod wire;
mod world;

use std::process::ExitCode;

use table::{Expect, Outcome, Table};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, config] = args.as_slice()
        && word == clients::CLIENT
    {
        return clients::client(config);
    }
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let words = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
    binder::known_answers();
    leaks::keep_log();
    let mut table = Table::new(words);
    table.topic("channel", channel::run);
    table.topic("tokens", tokens::run);
    table.topic("chains of certificates", chains::run);
    table.topic("key sets", key_sets::run);
    table.topic("claims and policy", claims::run);
    table.topic("HTTP and grants", http::run);
    table.topic("TLS", tls::run);
    table.topic("load and addresses", load::run);
    table.topic("seed listeners", seed::run);
    table.topic("secrets", secrets::run);
    table.topic("our own client", clients::run);
    table.topic("what is told", told);
    match table.print() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Last of all: whether anything secret stands in records, logs, metrics and answers.
fn told(table: &mut Table) {
    let found = leaks::find();
    let looked = format!("{} secrets looked for in {} octets", found.secrets, found.octets);
    let refused = match found.leaks.is_empty() {
        true => Outcome::Refused("nothing found".to_owned()),
        false => Outcome::Accepted(found.leaks.join(", ")),
    };
    // The search itself works.
    leaks::text("a test", format!("x{}x", leaks::PLANTED));
    leaks::secret("a planted one", leaks::PLANTED);
    let planted = leaks::find().leaks == ["a planted one in a test"];
    let passed = Outcome::of(planted.then_some(()).ok_or("not found"), "found");
    table.attack(
        "reading records, logs, metrics and answers for tokens, nonces, exported values, credentials",
        &looked,
        &refused,
        Expect::Refused("nothing found"),
        "a planted one",
        &passed,
    );
}
