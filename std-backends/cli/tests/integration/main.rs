//! The `cloudauth` program as its users run it.

mod aws_signing_suite;
mod program;
