//! The header, the list of symbols, the cases of these tests and the core's flows say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const HEADER: &str = include_str!("../../../include/cloudauth.h");
const SYMBOLS: &str = include_str!("../../../include/cloudauth.sym");

/// Functions that cannot fail.
const INFALLIBLE: [&str; 12] = [
    "cloudauth_abi_version",
    "cloudauth_client_close",
    "cloudauth_hmac_key_wipe",
    "cloudauth_key_close",
    "cloudauth_mac_key_close",
    "cloudauth_p256_key_wipe",
    "cloudauth_prepared_wipe",
    "cloudauth_sigv4_key_wipe",
    "cloudauth_strerror",
    "cloudauth_version",
    "cloudauth_version_number",
    "cloudauth_wipe",
];

#[test]
fn every_function_has_a_case() {
    let cases: BTreeSet<_> = crate::cases::all().into_iter().map(|case| case.name).collect();
    let functions = SYMBOLS.lines().filter(|name| !INFALLIBLE.contains(name));
    let here = functions.filter(|name| cfg!(feature = "std") || !is_hosted(name));
    assert_eq!(cases, here.collect());
}

fn is_hosted(name: &str) -> bool {
    ["cloudauth_client_", "cloudauth_key_", "cloudauth_mac_key_"]
        .iter()
        .any(|p| name.starts_with(p))
}

/// Programs for a library without the feature `std` do not see them.
#[test]
fn hosted_functions_are_behind_a_macro() {
    for name in SYMBOLS.lines() {
        let (before, after) = HEADER.split_once(&format!("{name}(")).expect(name);
        let (comment, _) = before.rsplit_once("/**").expect(name);
        let opened = comment.trim_end().ends_with("#if defined(CLOUDAUTH_STD)");
        let closed = after.split_once(';').unwrap().1.trim_start().starts_with("#endif");
        assert_eq!((opened, closed), (is_hosted(name), is_hosted(name)), "{name}");
    }
}

/// What stands between a function's name and its comment.
fn declared(name: &str) -> (&'static str, &'static str) {
    let (before, after) = HEADER.split_once(&format!("{name}(")).expect(name);
    assert!(after.contains(';'));
    let line = before.rsplit('\n').next().unwrap();
    assert!(!line.starts_with([' ', '#']), "{name}: {line}");
    let comment = before.strip_suffix(line).unwrap().trim_end();
    let (_, comment) = comment.rsplit_once("/**").expect(name);
    let comment = comment.strip_suffix("*/").expect(name);
    assert!(!comment.contains("*/"), "{name} has no comment of its own");
    (line, comment)
}

/// The names of the results in a function's comment, and in those that it refers to.
fn results(name: &str, into: &mut BTreeSet<&'static str>) {
    let (_, comment) = declared(name);
    let results = comment.split_once("@return ").expect(name).1;
    let words = results.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut as_other = false;
    for word in words.filter(|word| !word.is_empty()) {
        if word.starts_with("CLOUDAUTH_OK") || word.starts_with("CLOUDAUTH_ERR_") {
            into.insert(word);
        }
        if as_other && word.starts_with("cloudauth_") {
            self::results(word, into);
        }
        as_other = word.eq_ignore_ascii_case("as");
    }
}

/// The results that every function's comment names.
static RESULTS: LazyLock<BTreeMap<&str, BTreeSet<i32>>> = LazyLock::new(|| {
    let mut numbers = BTreeMap::from([("CLOUDAUTH_OK", 0)]);
    for line in HEADER.lines().filter_map(|line| line.strip_prefix("#define ")) {
        if let Some((name, number)) = line.split_once(" (") {
            numbers.insert(name, number.trim_end_matches(')').parse().unwrap());
        }
    }
    let of = |name| {
        let mut names = BTreeSet::new();
        results(name, &mut names);
        (name, names.into_iter().map(|result| numbers[result]).collect())
    };
    SYMBOLS.lines().filter(|name| !INFALLIBLE.contains(name)).map(of).collect()
});

/// Whether the comment of a function names a result.
pub(crate) fn documents(name: &str, result: i32) -> bool {
    RESULTS[name].contains(&result)
}

#[test]
fn every_function_is_documented_with_its_results() {
    for name in SYMBOLS.lines() {
        let (line, comment) = declared(name);
        let fallible = line.starts_with("cloudauth_result");
        assert_eq!(fallible, !INFALLIBLE.contains(&name), "{name}: {line}");
        assert!(comment.len() > 20, "{name}");
        assert!(!fallible || documents(name, 0) && RESULTS[name].len() > 3, "{name}");
        // And no other.
        assert!(!fallible || !documents(name, 1) && !documents(name, -199), "{name}");
    }
    assert!(!documents("cloudauth_base64url_encode", cloudauth::CLOUDAUTH_ERR_SIGNER));
    assert!(documents("cloudauth_sigv4_presign", cloudauth::CLOUDAUTH_ERR_MISMATCH));
}

/// The members of structures are listed where a change of them fails a build.
#[test]
fn every_structure_has_a_frozen_layout() {
    let layout = include_str!("../../src/layout.rs");
    let names = HEADER.lines().filter_map(|line| line.strip_prefix("} cloudauth_"));
    let mut count = 0;
    for name in names.map(|name| format!("cloudauth_{}", name.trim_end_matches(';'))) {
        let listed = layout.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")));
        assert!(listed, "{name} is not in ffi/src/layout.rs");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

/// The name of each flow in C.
const FLOWS: [(&str, &str); 14] = [
    ("AccessTokenRequest", "gcp_access_token"),
    ("AssumeRole", "sts_assume_role"),
    ("AssumeRoleWithWebIdentity", "sts_assume_role_with_web_identity"),
    ("ClientAssertion", "azure_client_assertion"),
    ("CreateSession", "rolesanywhere_create_session"),
    ("GenerateAccessToken", "gcp_generate_access_token"),
    ("GenerateIdToken", "gcp_generate_id_token"),
    ("GetCallerIdentity", "sts_get_caller_identity"),
    ("GetSessionToken", "sts_get_session_token"),
    ("IdTokenRequest", "gcp_id_token"),
    ("SelfSigned", "gcp_self_signed"),
    ("SubjectToken", "gcp_subject_token"),
    ("TokenExchange", "gcp_federation"),
    ("TokenRequest", "azure_token"),
];

/// The files of those that C has as a whole alone, by a profile of the hosted half: they live on a TLS connection
/// whose keying material they bind, or on a Unix socket, or go where Key Vault's last answer said.
const WHOLE: [&str; 4] =
    ["attest/teeserver.rs", "azure/keyvault.rs", "broker.rs", "broker/seed.rs"];

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn every_flow_of_the_core_is_here() {
    let mut found = BTreeSet::new();
    let core = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/src"));
    let mut whole = WHOLE.map(|file| core.join(file)).into();
    scan(core, &mut whole, &mut found);
    assert_eq!(whole, BTreeSet::new(), "have no flow");
    for (kind, flow) in &found {
        let known = FLOWS.iter().find(|(name, _)| name == flow);
        let (_, name) = known.unwrap_or_else(|| panic!("{flow} has no function in the header"));
        let functions: &[&str] = match kind.as_str() {
            "Exchange" => &["needed", "request", "response"],
            _ => &["needed", "sign", "prepare"],
        };
        for function in functions {
            let symbol = format!("cloudauth_{name}_{function}");
            assert!(SYMBOLS.lines().any(|line| line == symbol), "{symbol}");
        }
        // What is signed with a key of the caller's can be signed in two steps, too.
        let arguments = |function| {
            let declaration = HEADER.split_once(&format!(" cloudauth_{name}_{function}("))?.1;
            Some(declaration.split_once(')')?.0)
        };
        let signs = arguments("request").is_some_and(|list| list.contains("cloudauth_signer"));
        assert!(!signs || arguments("prepare").is_some(), "{name} has no first step");
    }
    assert_eq!(found.len(), FLOWS.len(), "{found:?}");
}

/// Finds `impl Exchange for` and `impl Assertion for` outside comments, tests and the files of `whole`, of which
/// it leaves those that have none.
fn scan(folder: &Path, whole: &mut BTreeSet<PathBuf>, found: &mut BTreeSet<(String, String)>) {
    let passed = whole.clone();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(&path, whole, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for line in text.split("#[cfg(test)]").next().unwrap().lines() {
            let Some(rest) = line.strip_prefix("impl") else { continue };
            for kind in ["Exchange", "Assertion"] {
                if let Some((_, flow)) = rest.split_once(&format!("{kind} for ")) {
                    let name = flow.split(|c: char| !c.is_alphanumeric()).next().unwrap();
                    if !passed.contains(&path) {
                        found.insert((kind.into(), name.into()));
                    }
                    whole.remove(&path);
                }
            }
        }
    }
}

#[test]
fn every_result_has_a_text() {
    use std::ffi::CStr;
    let text = |result| {
        // SAFETY: a static text that ends with NUL.
        unsafe { CStr::from_ptr(cloudauth::cloudauth_strerror(result)) }.to_str().unwrap()
    };
    let mut seen = BTreeSet::new();
    for line in HEADER.lines().filter(|line| line.starts_with("#define CLOUDAUTH_ERR_")) {
        let number = line.split(['(', ')']).nth(1).expect("in parentheses").parse().unwrap();
        assert!(seen.insert(text(number)) && text(number) != text(1), "{line}");
    }
    assert_eq!(seen.len(), 22);
    assert_eq!(text(0), "success");
    for unknown in [1, i32::MIN, i32::MAX, -99] {
        assert_eq!(text(unknown), "unknown result");
    }
}

#[test]
fn versions() {
    // SAFETY: a static text that ends with NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(cloudauth::cloudauth_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap());
    let number = parts.fold(0, |sum, part| sum * 100 + part);
    assert_eq!(cloudauth::cloudauth_version_number(), number);
    assert_eq!(cloudauth::cloudauth_abi_version(), cloudauth::CLOUDAUTH_ABI_VERSION);
}
