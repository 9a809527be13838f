//! `tpm:` URIs.

use core::fmt;
use std::path::PathBuf;

use super::{decode_path, percent_decode};
use crate::{KeyError, Result, SecretRef};

/// The attributes of a `tpm:` URI, decoded: `tpm:handle=0x81000005`, `tpm:file=key.pem` or
/// `tpm:fapi=/HS/SRK/name`, then any of the others, `;` between those before the question mark and `&`
/// between those behind it. Every attribute stands there at most once, and one that is not known is refused.
///
/// | attribute | what it says |
/// |---|---|
/// | `handle` | the key is at this persistent handle |
/// | `file` | the key is in this `TSS2 PRIVATE KEY` file |
/// | `fapi` | the key has this path in the FAPI key store; `/HS/SRK` alone names all of them, to be listed |
/// | `parent` | the key's parent, when not the one that the file names: `0x81000001`, `owner`, `owner-rsa`, `ek` (the RSA endorsement key), … |
/// | `pcrs` | the PCRs of the key's policy, when its file does not name them: `sha256:0,7` |
/// | `tcti` | the way to the TPM; else `TPM2TOOLS_TCTI`, `TCTI`, `device:/dev/tpmrm0` |
/// | `auth-source` | where the key's authorization value is: `env:NAME`, `file:PATH` or `fd:N`; else `CLOUDAUTH_KEY_AUTH`, else a person is asked where the key may have one |
/// | `parent-auth-source`, `owner-auth-source` | the same of the parent and of the owner hierarchy |
/// | `srk-name`, `ek-name` | the TPM Name, in hex, of the storage root or endorsement key that every session must be salted to |
/// | `fapi-profile`, `fapi-user-dir`, `fapi-system-dir` | where the key store is |
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TpmUri {
    /// `handle`.
    pub handle: Option<u32>,
    /// `file`.
    pub file: Option<PathBuf>,
    /// `fapi`.
    pub fapi: Option<String>,
    /// `parent`, as written.
    pub parent: Option<String>,
    /// `pcrs`, as written.
    pub pcrs: Option<String>,
    /// `tcti`.
    pub tcti: Option<String>,
    /// `auth-source`.
    pub auth_source: Option<SecretRef>,
    /// `parent-auth-source`.
    pub parent_auth_source: Option<SecretRef>,
    /// `owner-auth-source`.
    pub owner_auth_source: Option<SecretRef>,
    /// `srk-name`.
    pub srk_name: Option<Vec<u8>>,
    /// `ek-name`.
    pub ek_name: Option<Vec<u8>>,
    /// `fapi-profile`.
    pub fapi_profile: Option<String>,
    /// `fapi-user-dir`.
    pub fapi_user_dir: Option<PathBuf>,
    /// `fapi-system-dir`.
    pub fapi_system_dir: Option<PathBuf>,
}

/// The attributes.
const NAMES: &str = "handle file fapi parent pcrs tcti auth-source parent-auth-source owner-auth-source \
    srk-name ek-name fapi-profile fapi-user-dir fapi-system-dir";

impl TpmUri {
    /// Reads what stands behind `tpm:`.
    pub(super) fn parse(path: &str, query: Option<&str>) -> Result<Self> {
        let mut uri = Self::default();
        let parts = path
            .split(';')
            .filter(|_| !path.is_empty())
            .chain(query.into_iter().flat_map(|q| q.split('&')));
        for part in parts {
            uri.attribute(part)?;
        }
        let places = [uri.handle.is_some(), uri.file.is_some(), uri.fapi.is_some()];
        // `tpm:` and `tpm:?tcti=…` name the TPM itself, whose keys can be listed.
        let device = path.is_empty();
        if places.into_iter().filter(|named| *named).count() != usize::from(!device) {
            return Err(KeyError::uri(
                "a tpm: URI names one key: tpm:handle=0x81000005, tpm:file=key.pem or \
                 tpm:fapi=/HS/SRK/name",
            ));
        }
        if uri.srk_name.is_some() && uri.ek_name.is_some() {
            return Err(KeyError::uri("srk-name and ek-name exclude each other"));
        }
        if uri.fapi.is_none()
            && (uri.fapi_profile.is_some()
                || uri.fapi_user_dir.is_some()
                || uri.fapi_system_dir.is_some())
        {
            return Err(KeyError::uri("the fapi- attributes belong to tpm:fapi=/HS/SRK/name"));
        }
        Ok(uri)
    }

    fn attribute(&mut self, part: &str) -> Result<()> {
        let (name, value) =
            part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
                KeyError::uri(
                    "every attribute of a tpm: URI is NAME=VALUE; ; separates them before the question \
                     mark and & behind it (in a value write them %3B and %26)",
                )
            })?;
        if value.is_empty() {
            return Err(KeyError::uri("an attribute of a tpm: URI has no value"));
        }
        match name {
            "handle" => once(&mut self.handle, "handle", handle(value)?),
            "file" => once(&mut self.file, "file", decode_path(value)?),
            "fapi" => once(&mut self.fapi, "fapi", text("fapi", value)?),
            "parent" => once(&mut self.parent, "parent", text("parent", value)?),
            "pcrs" => once(&mut self.pcrs, "pcrs", text("pcrs", value)?),
            "tcti" => once(&mut self.tcti, "tcti", text("tcti", value)?),
            "auth-source" => once(&mut self.auth_source, name, SecretRef::parse(value)?),
            "parent-auth-source" => {
                once(&mut self.parent_auth_source, name, SecretRef::parse(value)?)
            }
            "owner-auth-source" => {
                once(&mut self.owner_auth_source, name, SecretRef::parse(value)?)
            }
            "srk-name" => once(&mut self.srk_name, "srk-name", tpm_name(value)?),
            "ek-name" => once(&mut self.ek_name, "ek-name", tpm_name(value)?),
            "fapi-profile" => once(&mut self.fapi_profile, name, text(name, value)?),
            "fapi-user-dir" => once(&mut self.fapi_user_dir, name, decode_path(value)?),
            "fapi-system-dir" => once(&mut self.fapi_system_dir, name, decode_path(value)?),
            _ => Err(unknown(name)),
        }
    }

    /// The references to secrets.
    pub(crate) fn sources(&self) -> [(Option<&SecretRef>, &'static str); 3] {
        [
            (self.auth_source.as_ref(), super::AUTH_VARIABLE),
            (self.parent_auth_source.as_ref(), super::PARENT_AUTH_VARIABLE),
            (self.owner_auth_source.as_ref(), super::OWNER_AUTH_VARIABLE),
        ]
    }
}

fn once<T>(to: &mut Option<T>, name: &str, value: T) -> Result<()> {
    if to.replace(value).is_some() {
        return Err(KeyError::uri(format!("{name} stands there twice")));
    }
    Ok(())
}

fn unknown(name: &str) -> KeyError {
    // The name may be the rest of a secret with a separator in it.
    let name = match name {
        "auth" | "password" | "key-auth" | "pin-source" | "pin-value" => {
            " for a secret (it is auth-source, and names a place: env:NAME, file:PATH or fd:N)"
        }
        "path" => " path (it is file)",
        "pcr" => " pcr (it is pcrs)",
        _ => "",
    };
    KeyError::uri(format!("unknown attribute{name} of a tpm: URI; known are {NAMES}"))
}

fn text(name: &str, value: &str) -> Result<String> {
    let bytes = percent_decode(value).ok_or_else(|| {
        KeyError::uri(format!("{name}: after % stand two hex digits; write % itself as %25"))
    })?;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains(char::is_control))
        .ok_or_else(|| KeyError::uri(format!("{name} is not UTF-8, or has control characters")))
}

fn handle(value: &str) -> Result<u32> {
    let hex = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X"));
    hex.filter(|hex| hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .filter(|handle| handle >> 24 == 0x81)
        .ok_or_else(|| {
            KeyError::uri(
                "handle is a persistent handle, 0x81000000 to 0x81ffffff, such as handle=0x81000005",
            )
        })
}

/// The number of a hash, and a digest of that hash.
fn tpm_name(value: &str) -> Result<Vec<u8>> {
    let mut name = vec![0; value.len() / 2];
    cloudauth_core::encode::hex::decode(value.as_bytes(), &mut name)
        .ok()
        .filter(|_| matches!((value.len(), value.get(..4)), (68, Some("000b")) | (100, Some("000c"))))
        .ok_or_else(|| {
            KeyError::uri(
                "a TPM Name is 68 hex digits that begin with 000b (SHA-256), or 100 that begin with 000c \
                 (SHA-384): the name of tpm2_readpublic",
            )
        })?;
    Ok(name)
}

impl fmt::Debug for TpmUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpmUri")
            .field("handle", &self.handle)
            .field("file", &self.file)
            .field("fapi", &self.fapi)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::KeyUri;

    fn refused(text: &str) -> String {
        KeyUri::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn attributes() {
        let name = format!("000b{}", "5a".repeat(32));
        let text = format!(
            "tpm:handle=0x81000005;pcrs=sha256:0,7?tcti=swtpm:host=127.0.0.1,port=2321\
             &auth-source=env:A&owner-auth-source=fd:3&parent-auth-source=file:/run/p&srk-name={name}"
        );
        let uri = KeyUri::parse(&text).unwrap();
        assert_eq!(uri.to_string(), text);
        assert_eq!(uri.env_variables(), ["A"]);
        let uri = uri.tpm().unwrap();
        assert_eq!(uri.handle, Some(0x8100_0005));
        assert_eq!(uri.pcrs.as_deref(), Some("sha256:0,7"));
        assert_eq!(uri.tcti.as_deref(), Some("swtpm:host=127.0.0.1,port=2321"));
        assert_eq!(uri.srk_name.as_ref().map(Vec::len), Some(34));
        let uri = KeyUri::parse("tpm:file=/etc/a%20b.pem;tcti=device:/dev/tpm0").unwrap();
        assert_eq!(uri.tpm().unwrap().file, Some("/etc/a b.pem".into()));
        assert_eq!(
            uri.env_variables(),
            ["CLOUDAUTH_KEY_AUTH", "CLOUDAUTH_PARENT_AUTH", "CLOUDAUTH_OWNER_AUTH"]
        );
        let uri = KeyUri::parse("tpm:fapi=/HS/SRK/k?fapi-profile=P_ECCP256SHA256").unwrap();
        assert_eq!(uri.tpm().unwrap().fapi.as_deref(), Some("/HS/SRK/k"));
        // The TPM itself, whose keys are listed.
        for all in ["tpm:", "tpm:?tcti=device:/dev/tpm0"] {
            let uri = KeyUri::parse(all).unwrap();
            let uri = uri.tpm().unwrap();
            assert!(uri.handle.is_none() && uri.file.is_none() && uri.fapi.is_none());
        }
    }

    #[test]
    fn refusals() {
        for one in [
            "tpm:tcti=device",
            "tpm:?handle=0x81000005",
            "tpm:handle=0x81000005;file=k",
            "tpm:file=k;fapi=/HS/SRK/k",
        ] {
            let help = refused(one);
            assert!(help.contains("names one key") || help.contains("NAME=VALUE"), "{one}: {help}");
        }
        for handle in ["81000005", "0x81", "0x80000001", "0x40000001", "0x8100000g", "0x+1000005"] {
            assert!(
                refused(&format!("tpm:handle={handle}")).contains("persistent handle"),
                "{handle}"
            );
        }
        for (uri, help) in [
            ("tpm:file=", "no value"),
            ("tpm:file=k;file=l", "twice"),
            ("tpm:file=k?auth=secret", "auth-source"),
            ("tpm:file=k?auth-source=secret", "env:NAME"),
            ("tpm:file=k?label=x", "unknown attribute of"),
            ("tpm:file=k?srk-name=000b12", "68 hex digits"),
            ("tpm:file=k?fapi-profile=x", "belong to"),
            ("tpm:file=a%2", "%25"),
            ("tpm:fapi=%ff", "UTF-8"),
        ] {
            let text = refused(uri);
            assert!(text.contains(help), "{uri}: {text}");
            assert!(!text.contains("secret,") && !text.contains("=secret"), "{text}");
        }
        let name = "5a".repeat(32);
        let both = format!("tpm:file=k?srk-name=000b{name}&ek-name=000b{name}");
        assert!(refused(&both).contains("exclude"));
    }
}
