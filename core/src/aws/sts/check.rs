//! The limits of STS's parameters, as its API reference and botocore's model of it give them.

use super::{MAX_POLICY_ARNS, MAX_POLICY_LEN, MAX_PROVIDED_CONTEXTS, MAX_TAGS, SERVICE};
use crate::aws::endpoint::{check_iam_arn, check_region, regional_host};
use crate::aws::sigv4::SigV4;
use crate::aws::sts::ProvidedContext;
use crate::http::check_host;
use crate::{Error, ErrorKind, Out, Result};

/// `[\w+=,.@-]`, in ASCII.
const fn in_name(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
}

fn length(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len())
}

const fn many(field: &'static str, help: &'static str) -> Error {
    Error::new(ErrorKind::Capacity, field, help)
}

/// Refuses a key of another service, and hosts that do not take its region.
pub(super) fn signer(signer: &SigV4<'_>, endpoint: Option<&str>) -> Result<()> {
    if signer.key.service() != SERVICE {
        return Err(Error::mismatch(
            "signing key",
            "derived for another service; derive it for sts",
        ));
    }
    let Some(host) = endpoint else { return Ok(()) };
    check_host(host, "endpoint")?;
    let name = host.split(':').next().unwrap_or_default();
    let region = signer.key.region();
    if name.eq_ignore_ascii_case("sts.amazonaws.com") && region != "us-east-1" {
        return Err(Error::mismatch(
            "endpoint",
            "sts.amazonaws.com takes signatures for us-east-1 only; derive the key for us-east-1, or \
             leave the endpoint out to use the region's own",
        ));
    }
    if other_region(name, region) {
        return Err(Error::mismatch(
            "endpoint",
            "belongs to another region than the signing key; derive the key for that region",
        ));
    }
    Ok(())
}

/// Whether `name` is the host of a region, but not of `region`.
fn other_region(name: &str, region: &str) -> bool {
    let Some(its) = name.split('.').nth(1).filter(|its| check_region(its).is_ok()) else {
        return false;
    };
    let mut space = [0u8; 64];
    let mut out = Out::new(&mut space);
    regional_host(SERVICE, its, &mut out);
    its != region && out.finish().is_ok_and(|host| host == name.as_bytes())
}

/// The region and the endpoint of a call that nobody signs.
pub(super) fn unsigned(region: &str, endpoint: Option<&str>) -> Result<()> {
    check_region(region)?;
    endpoint.map_or(Ok(()), |host| check_host(host, "endpoint"))
}

pub(super) fn role_arn(text: &str) -> Result<()> {
    let wrong = Error::invalid("role ARN", "expected arn:aws:iam::ACCOUNT:role/NAME");
    check_iam_arn(text, "role/", false, wrong)
}

pub(super) fn role_session_name(text: &str) -> Result<()> {
    if length(text, 2, 64) && text.bytes().all(in_name) {
        return Ok(());
    }
    Err(Error::invalid("role session name", "expected 2 to 64 letters, digits or _+=,.@-"))
}

/// The life of a role's credentials.
pub(super) fn role_duration(seconds: Option<u32>) -> Result<()> {
    if seconds.is_none_or(|s| (900..=43_200).contains(&s)) {
        return Ok(());
    }
    Err(Error::invalid("session duration", "must be 900 to 43200 seconds"))
}

/// The life of a user's own credentials.
pub(super) fn token_duration(seconds: Option<u32>) -> Result<()> {
    if seconds.is_none_or(|s| (900..=129_600).contains(&s)) {
        return Ok(());
    }
    Err(Error::invalid("session duration", "must be 900 to 129600 seconds"))
}

pub(super) fn external_id(text: Option<&str>) -> Result<()> {
    let good = |c: u8| in_name(c) || matches!(c, b':' | b'/');
    if text.is_none_or(|t| length(t, 2, 1224) && t.bytes().all(good)) {
        return Ok(());
    }
    Err(Error::invalid("external id", "expected 2 to 1224 letters, digits or _+=,.@:/-"))
}

/// A session policy and its managed companions.
pub(super) fn policies(policy: Option<&str>, arns: &[&str]) -> Result<()> {
    let good = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if let Some(policy) = policy {
        if policy.is_empty() || !policy.chars().all(good) {
            return Err(Error::invalid(
                "session policy",
                "expected JSON in characters from U+0020 to U+00FF",
            ));
        }
        if policy.chars().count() > MAX_POLICY_LEN {
            return Err(many("session policy", "holds more than 2048 characters"));
        }
    }
    if arns.len() > MAX_POLICY_ARNS {
        return Err(many("policy ARN", "more than ten are given"));
    }
    let wrong = Error::invalid("policy ARN", "expected arn:aws:iam::ACCOUNT:policy/NAME");
    arns.iter().try_for_each(|arn| check_iam_arn(arn, "policy/", true, wrong))
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.
fn in_tag(c: char) -> bool {
    c.is_alphanumeric()
        || c.is_whitespace() && !c.is_control()
        || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

fn reserved(text: &str) -> bool {
    text.as_bytes().first_chunk::<4>().is_some_and(|start| start.eq_ignore_ascii_case(b"aws:"))
}

fn is_tag_key(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && text.chars().all(in_tag)
}

pub(super) fn tags(tags: &[(&str, &str)], transitive: &[&str]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(many("session tag", "more than 50 are given"));
    }
    for (i, (key, value)) in tags.iter().enumerate() {
        if !is_tag_key(key) {
            return Err(Error::invalid(
                "session tag",
                "expected a key of 1 to 128 letters, digits, spaces or _.:/=+-@",
            ));
        }
        if value.chars().count() > 256 || !value.chars().all(in_tag) {
            return Err(Error::invalid(
                "session tag",
                "expected a value of at most 256 letters, digits, spaces or _.:/=+-@",
            ));
        }
        if reserved(key) || reserved(value) {
            return Err(Error::invalid("session tag", "must not begin with aws:"));
        }
        // Keys that differ in case only are one key to the service.
        if tags.iter().take(i).any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            return Err(Error::invalid("session tag", "is given twice"));
        }
    }
    if transitive.len() > MAX_TAGS {
        return Err(many("transitive tag key", "more than 50 are given"));
    }
    if !transitive.iter().all(|key| is_tag_key(key)) {
        return Err(Error::invalid(
            "transitive tag key",
            "expected 1 to 128 letters, digits, spaces or _.:/=+-@",
        ));
    }
    Ok(())
}

pub(super) fn source_identity(text: Option<&str>) -> Result<()> {
    // The colon of the reserved prefix aws: is no character of a source identity.
    if text.is_none_or(|t| length(t, 2, 64) && t.bytes().all(in_name)) {
        return Ok(());
    }
    Err(Error::invalid(
        "source identity",
        "expected 2 to 64 letters, digits or _+=,.@-, and no aws: in front",
    ))
}

/// The device of multi-factor authentication and its code.
pub(super) fn mfa(serial_number: Option<&str>, token_code: Option<&str>) -> Result<()> {
    let (serial, code) = match (serial_number, token_code) {
        (None, None) => return Ok(()),
        (Some(serial), Some(code)) => (serial, code),
        (Some(_), None) => {
            return Err(Error::invalid("token code", "missing; a serial number needs one"));
        }
        (None, Some(_)) => {
            return Err(Error::invalid("serial number", "missing; a token code needs one"));
        }
    };
    let good = |c: u8| in_name(c) || matches!(c, b':' | b'/');
    if !(length(serial, 9, 256) && serial.bytes().all(good)) {
        return Err(Error::invalid(
            "serial number",
            "expected a device's serial number or ARN: 9 to 256 letters, digits or _+=/:,.@-",
        ));
    }
    if !(code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit())) {
        return Err(Error::invalid("token code", "expected six digits"));
    }
    Ok(())
}

pub(super) fn provided_contexts(contexts: &[ProvidedContext<'_>]) -> Result<()> {
    if contexts.len() > MAX_PROVIDED_CONTEXTS {
        return Err(many("provided context", "more than five are given"));
    }
    let wrong = Error::invalid(
        "provider ARN",
        "expected one such as arn:aws:iam::aws:contextProvider/IdentityCenter",
    );
    for context in contexts {
        check_iam_arn(context.provider_arn, "contextProvider/", true, wrong)?;
        if !(length(context.context_assertion, 4, 2048) && is_plain(context.context_assertion)) {
            return Err(Error::invalid(
                "context assertion",
                "expected 4 to 2048 printable characters without spaces",
            ));
        }
    }
    Ok(())
}

pub(super) fn web_identity(token: &str, provider_id: Option<&str>) -> Result<()> {
    if !(length(token, 4, 20_000) && is_plain(token)) {
        return Err(Error::invalid(
            "web identity token",
            "expected 4 to 20000 printable characters without spaces or line ends",
        ));
    }
    if !provider_id.is_none_or(|id| length(id, 4, 2048) && is_plain(id)) {
        return Err(Error::invalid(
            "provider id",
            "expected the host of an OAuth 2.0 provider; leave it out for OpenID Connect",
        ));
    }
    Ok(())
}

/// Printable ASCII without spaces.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_graphic())
}
