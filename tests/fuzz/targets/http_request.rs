//! The program's reader of raw HTTP requests: what it writes, it reads again.
#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../../std-backends/cli/src/error.rs"]
mod error;
#[path = "../../../std-backends/cli/src/raw_request.rs"]
mod raw_request;

use libfuzzer_sys::fuzz_target;
use raw_request::RawRequest;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = RawRequest::parse(data) {
        assert!(!request.host().is_empty() || request.header("host") == Some(""));
        let again = RawRequest::parse(&request.write()).expect("what is written can be read");
        assert_eq!(again, request);
    }
});
