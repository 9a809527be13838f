//! The emulated services of AWS.

pub(crate) mod chunked;
pub(crate) mod rolesanywhere;
pub(crate) mod s3;
pub(crate) mod sigv4;
pub(crate) mod sts;
mod xml;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keys::{random, sha256};
use crate::state::{Issued, Session};

/// An error of an AWS service: status, name, message.
#[derive(Debug)]
pub(crate) struct AwsError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl AwsError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

/// The account in an ARN.
pub(crate) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// A unique identifier as IAM makes them, always the same for the same ARN.
pub(crate) fn unique_id(prefix: &str, arn: &str) -> String {
    format!("{prefix}{}", base32(&sha256(arn.as_bytes()), 17))
}

fn base32(octets: &[u8], length: usize) -> String {
    let digit = |octet: &u8| char::from_digit(u32::from(octet & 31), 32).unwrap_or('0');
    octets.iter().map(|octet| digit(octet).to_ascii_uppercase()).take(length).collect()
}

/// New temporary credentials for the session, whose access key identifier is set here.
pub(crate) fn issue(mut session: Session) -> Issued {
    session.access_key_id = format!("ASIA{}", base32(&random::<16>(), 16));
    let secret = STANDARD.encode(random::<30>());
    let token = format!("IQoJ{}", STANDARD.encode(random::<192>()));
    Issued { session, secret, token }
}

/// `arn:aws:sts::<account>:assumed-role/<role>/<session>`, for a role's ARN.
pub(crate) fn assumed_role_arn(role_arn: &str, session_name: &str) -> String {
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    let name = role_arn.rsplit('/').next().unwrap_or_default();
    format!("arn:{partition}:sts::{}:assumed-role/{name}/{session_name}", account_of(role_arn))
}

/// Whether the text has so many characters, all of them letters, digits or among `extra`: the
/// patterns of IAM's names.
pub(crate) fn is_name(text: &str, least: usize, most: usize, extra: &str) -> bool {
    (least..=most).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}
