//! Claims that say nothing of a workload, because whoever starts it or shows its token chooses them.

/// Where nonces are, by both kinds of issuer and by their older names. By the older brokers' scheme, a nonce is
/// the secret of the connection itself.
const NONCES: [&[&str]; 6] = [
    &["eat_nonce"],
    &["nonce"],
    &["x-ms-runtime", "nonce"],
    &["x-ms-sgx-ehd"],
    &["maa-ehd"],
    &["aas-ehd"],
];

/// Whether a JSON pointer leads to a nonce or into one.
pub(super) fn is_nonce(pointer: &str) -> bool {
    let tokens = tokens(pointer);
    NONCES.iter().any(|path| leads_into(&tokens, path))
}

/// Whether it leads to the claim `nonce` of Microsoft's, which no report covers.
pub(super) fn is_uncovered_nonce(pointer: &str) -> bool {
    leads_into(&tokens(pointer), &["nonce"])
}

/// Whether it leads to a member of a Google token's container, such as `env`, or into one; that was once in
/// another place.
pub(super) fn is_of_container(pointer: &str, member: &str) -> bool {
    let tokens = tokens(pointer);
    ["submods", "tee"].iter().any(|block| leads_into(&tokens, &[*block, "container", member]))
}

fn leads_into(tokens: &[String], path: &[&str]) -> bool {
    tokens.len() >= path.len() && tokens.iter().zip(path).all(|(token, name)| token == name)
}

/// The names that a JSON pointer goes by (RFC 6901, section 4).
fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}
