//! AWS: a configuration file whose credential process is this program.

use std::fmt::Write as _;
use std::path::Path;

use cloudauth_client::Source;
use cloudauth_keys::UriScheme;

use super::{Plan, Profile};
use crate::error::CliError;

/// What the SDKs look at before a profile's credential process, or would find another profile by. Source: AWS
/// SDKs and Tools Reference Guide, "Settings reference"; the last two are of older tools.
const REMOVED: [&str; 13] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_FILE",
];

pub(super) fn remove(plan: &mut Plan<'_>) {
    plan.variables.remove(&REMOVED);
}

/// The region that a profile names, for whatever reads it: the CLI and boto3 know the second variable alone.
pub(super) fn region(plan: &mut Plan<'_>, profile: &Profile<'_>) -> Option<String> {
    let region = match profile.source {
        Source::AwsRolesAnywhere(source) => source.region.as_deref(),
        Source::AwsAssumeRole(source) => source.region.as_deref(),
        Source::AwsSessionToken(source) => source.region.as_deref(),
        Source::AwsWebIdentity(source) => source.region.as_deref(),
        _ => None,
    };
    plan.variables.set_some("AWS_REGION", region);
    plan.variables.set_some("AWS_DEFAULT_REGION", region);
    region.map(str::to_owned)
}

pub(super) fn add(plan: &mut Plan<'_>, profile: &Profile<'_>) -> Result<(), CliError> {
    profile.all().try_for_each(|source| check(profile, source))?;
    remove(plan);
    let region = region(plan, profile);
    let mut text = format!("[default]\ncredential_process = {}\n", command(plan, profile)?);
    if let Some(region) = region {
        if region.contains(char::is_control) {
            return Err(CliError::input("region", "holds a control character"));
        }
        // Infallible: into a string.
        let _ = writeln!(text, "region = {region}");
    }
    plan.folder.write("aws-config", text.as_bytes())?;
    plan.folder.write("aws-credentials", b"")?;
    plan.variables.set("AWS_CONFIG_FILE", plan.folder.file("aws-config"));
    plan.variables.set("AWS_SHARED_CREDENTIALS_FILE", plan.folder.file("aws-credentials"));
    // Without it the SDK for Go in version 1 passes over that file.
    plan.variables.set("AWS_SDK_LOAD_CONFIG", "1");
    Ok(())
}

/// Whether the credential process, which the command starts wherever it is, can do the same as this one.
fn check(profile: &Profile<'_>, source: &Source) -> Result<(), CliError> {
    let lost = |what: &str| {
        Err(profile
            .only_static(&format!("{what}, which is kept from the command and what it starts")))
    };
    let key = source.key();
    for name in source.env_variables() {
        let named = key.is_some_and(|key| key.scheme() == UriScheme::Env);
        if named || std::env::var_os(&name).is_some() {
            return lost(&format!("it reads the variable {name}"));
        }
    }
    let (id, access_key) = match source {
        Source::AwsAssumeRole(role) if role.source_profile.is_none() => {
            (&role.access_key_id, &role.key)
        }
        Source::AwsSessionToken(token) => (&token.access_key_id, &token.key),
        Source::AwsWebIdentity(web) => {
            return match (&web.token_file, &web.role_arn) {
                (Some(_), Some(_)) => Ok(()),
                (None, _) => lost("it takes token-file from AWS_WEB_IDENTITY_TOKEN_FILE"),
                (_, None) => lost("it takes role-arn from AWS_ROLE_ARN"),
            };
        }
        _ => return relative(profile, source),
    };
    match (id, access_key) {
        (Some(_), Some(_)) => relative(profile, source),
        (None, _) => lost("it takes access-key-id from AWS_ACCESS_KEY_ID"),
        (_, None) => lost("it takes key from AWS_SECRET_ACCESS_KEY"),
    }
}

/// Paths in key URIs start where the program is started.
fn relative(profile: &Profile<'_>, source: &Source) -> Result<(), CliError> {
    match source.key().and_then(|key| key.file()) {
        Some(path) if path.is_relative() => Err(CliError::Usage(format!(
            "profile {:?}: its key is in {path:?}, which the command may look for elsewhere; write an \
             absolute path",
            profile.name
        ))),
        _ => Ok(()),
    }
}

/// `cloudauth credential --profile NAME`, with the same options.
fn command(plan: &Plan<'_>, profile: &Profile<'_>) -> Result<String, CliError> {
    let program = std::env::current_exe().map_err(|e| CliError::input("this program's path", e))?;
    let mut words = vec![text(&program)?, "credential".to_owned()];
    words.push(format!("--profile={}", profile.name));
    let setup = plan.setup;
    for (option, path) in
        [("config", &setup.config), ("ca-file", &setup.ca_file), ("cache-dir", &setup.cache_dir)]
    {
        if let Some(path) = path {
            words.push(format!("--{option}={}", text(path)?));
        }
    }
    words.extend(setup.timeout.map(|seconds| format!("--timeout={seconds}")));
    words.extend(setup.no_cache.then(|| "--no-cache".to_owned()));
    let quoted: Result<Vec<_>, _> = words.iter().map(|word| quoted(word)).collect();
    Ok(quoted?.join(" "))
}

fn text(path: &Path) -> Result<String, CliError> {
    let text = path.to_str().ok_or_else(|| CliError::input(path.display(), "is not UTF-8"))?;
    Ok(text.to_owned())
}

/// One word for a shell and for botocore, which splits as a shell does. `#` and `;` after a space would begin a
/// comment for SDKs that read the line before a shell does, so that they never stand there as such.
fn quoted(word: &str) -> Result<String, CliError> {
    if word.contains(char::is_control) {
        let help = "holds a control character, which cannot stand in AWS's configuration file";
        return Err(CliError::input(format_args!("{word:?}"), help));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Ok(word.to_owned());
    }
    let mut text = "'".to_owned();
    for c in word.chars() {
        match c {
            '\'' | '#' | ';' => text.extend(['\'', '\\', c, '\'']),
            c => text.push(c),
        }
    }
    text.push('\'');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_word_comes_through_a_shell() {
        for word in [
            "plain",
            "",
            "a b",
            "it's",
            "$HOME `id` \"x\" \\",
            "a #b ;c # d",
            "*?[a]~",
            "é ü",
            "'#;'",
            "-",
        ] {
            let quoted = quoted(word).unwrap();
            let out = Command::new("sh").arg("-c").arg(format!("printf %s {quoted}")).output();
            assert_eq!(String::from_utf8(out.unwrap().stdout).unwrap(), word, "{quoted}");
            assert!(!quoted.contains(" #") && !quoted.contains(" ;"), "{quoted}");
        }
        assert_eq!(quoted("--config=/a/b.toml").unwrap(), "--config=/a/b.toml");
        for bad in ["a\nb", "a\tb", "\u{7f}"] {
            assert!(quoted(bad).is_err());
        }
    }
}
