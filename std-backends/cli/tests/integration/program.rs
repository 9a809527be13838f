//! Running the program: what it prints, where, and its exit codes.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// The program, with none of this machine's cloud settings.
pub(crate) fn cloudauth(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudauth"));
    command.args(args).env_clear();
    command
}

/// Runs with `input` on standard input.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A program that refuses its options closes standard input early.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}
