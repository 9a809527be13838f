//! The strict JSON reader: what it accepts, serde_json accepts with the same value.
#![no_main]

use cloudauth_core::Out;
use cloudauth_core::json::{self, Kind, Value};
use libfuzzer_sys::fuzz_target;

const PRIVATE: &[u8] = b"$serde_json::private::";

fuzz_target!(|data: &[u8]| {
    let mut text = data.to_vec();
    let Ok(value) = json::parse(&mut text) else { return };
    // What serde_json calls its own numbers, so that they keep all digits.
    if data.windows(PRIVATE.len()).any(|part| part == PRIVATE) {
        return;
    }
    let theirs: serde_json::Value = serde_json::from_slice(data).expect("serde_json reads it too");
    walk(value, 0);
    let mut written = vec![0; data.len() * 6 + 16];
    let mut out = Out::new(&mut written);
    value.write(&mut out);
    let ours: serde_json::Value =
        serde_json::from_slice(out.finish().expect("room")).expect("what is written is JSON");
    assert_eq!(ours, theirs);
});

/// Every accessor on every value.
fn walk(value: Value<'_>, depth: usize) {
    assert!(depth <= json::MAX_DEPTH);
    assert_eq!(value.as_str().is_some(), value.kind() == Kind::String);
    assert_eq!(value.number_text().is_some(), value.kind() == Kind::Number);
    let _ = (value.as_bool(), value.as_u64(), value.as_i64(), value.as_seconds());
    for (name, member) in value.members() {
        let found = value.get(name).expect("a member is found by its name");
        assert_eq!(found.kind(), member.kind());
        walk(member, depth + 1);
    }
    value.elements().for_each(|element| walk(element, depth + 1));
    let _ = value.pointer("/a/0/~1~0");
}
