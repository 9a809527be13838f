//! What stands in a file of the cache.

use std::io;

use cloudauth_core::UnixTime;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Entry;
use crate::clock::Moment;
use crate::freshness::Lease;
use crate::{AwsKeys, BearerToken, Credential};

/// A file of another version is replaced.
const VERSION: u32 = 1;

/// The JSON of a file. Strings are borrowed, so that no copy is left behind. One that needs an escape is
/// thereby not readable again; no cloud issues such tokens.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    version: u32,
    /// The name of the file: one that was put under another name is not for that key.
    key: &'a str,
    /// Seconds since 1970.
    obtained: u64,
    /// Seconds of uptime when it was obtained.
    uptime: u64,
    /// Seconds since 1970.
    expiration: u64,
    /// Seconds.
    jitter: u64,
    /// Seconds of uptime when it could last not be renewed.
    failed: Option<u64>,
    #[serde(borrow)]
    credential: Secret<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Secret<'a> {
    Aws { access_key_id: &'a str, secret_access_key: &'a str, session_token: &'a str },
    Bearer { token: &'a str },
}

/// The file `name` of `entry`.
pub(super) fn encode(name: &str, entry: &Entry) -> io::Result<Zeroizing<Vec<u8>>> {
    let (credential, length) = match &entry.credential {
        Credential::Aws(AwsKeys { access_key_id, secret_access_key, session_token, .. }) => (
            Secret::Aws { access_key_id, secret_access_key, session_token },
            access_key_id.len() + secret_access_key.len() + session_token.len(),
        ),
        Credential::Bearer(BearerToken { token, .. }) => (Secret::Bearer { token }, token.len()),
        // An attested profile does not come here; should one, its secrets stay in memory.
        Credential::Secrets(_) => {
            return Err(io::Error::other("secrets of a broker are never stored"));
        }
    };
    let Lease { obtained, expiration, jitter, failed } = entry.lease;
    let record = Record {
        version: VERSION,
        key: name,
        obtained: obtained.time.as_secs(),
        uptime: obtained.uptime,
        expiration: expiration.as_secs(),
        jitter,
        failed,
        credential,
    };
    // Room for everything, each octet of the secrets escaped: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(512 + 6 * length));
    serde_json::to_writer(&mut *bytes, &record)?;
    Ok(bytes)
}

/// What the file `name` says, or why it cannot be used. Whether it is still valid is not looked at.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Entry, &'static str> {
    const TIME: &str = "its times are not possible";
    let record: Record<'_> =
        serde_json::from_slice(bytes).map_err(|_| "it is cut off, or not of this version")?;
    if record.version != VERSION {
        return Err("it is of another version");
    }
    if record.key != name {
        return Err("it is the file of another key");
    }
    let time = UnixTime::new(record.obtained).map_err(|_| TIME)?;
    let expiration = UnixTime::new(record.expiration).map_err(|_| TIME)?;
    let obtained = Moment { time, uptime: record.uptime };
    let lease = Lease { obtained, expiration, jitter: record.jitter, failed: record.failed };
    if lease.jitter > lease.max_jitter() {
        return Err(TIME);
    }
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let credential = match record.credential {
        Secret::Aws { access_key_id, secret_access_key, session_token } => {
            Credential::Aws(AwsKeys {
                access_key_id: access_key_id.to_owned(),
                secret_access_key: secret(secret_access_key),
                session_token: secret(session_token),
                expiration,
            })
        }
        Secret::Bearer { token } => {
            Credential::Bearer(BearerToken { token: secret(token), expiration })
        }
    };
    if credential.is_empty() {
        return Err("a field of it is empty");
    }
    Ok(Entry { credential, lease })
}
