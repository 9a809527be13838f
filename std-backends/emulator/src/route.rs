//! Which service a request is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attestation::{GOOGLE_HOST, GOOGLE_KEYS};
use crate::request::{Request, UNIX};

/// An emulated service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Service {
    /// AWS Security Token Service.
    Sts,
    /// AWS IAM Roles Anywhere.
    RolesAnywhere,
    /// Amazon S3.
    S3,
    /// Microsoft Entra ID.
    Entra,
    /// Azure Key Vault.
    KeyVault,
    /// Google's OAuth 2.0 server.
    GoogleOauth,
    /// Google's Security Token Service.
    GoogleSts,
    /// Google's IAM Service Account Credentials API.
    GoogleIam,
    /// What Google publishes of its attestation issuer, but for the keys.
    ConfidentialSpace,
    /// The keys of Google's attestation issuer.
    ConfidentialSpaceKeys,
    /// The launcher's token service, on the unix socket.
    Teeserver,
    /// Microsoft Azure Attestation, but for its keys.
    Maa,
    /// The keys of Microsoft Azure Attestation.
    MaaKeys,
    /// The emulator's own control API.
    Control,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sts => "sts",
            Self::RolesAnywhere => "roles-anywhere",
            Self::S3 => "s3",
            Self::Entra => "entra",
            Self::KeyVault => "key-vault",
            Self::GoogleOauth => "google-oauth",
            Self::GoogleSts => "google-sts",
            Self::GoogleIam => "google-iam",
            Self::ConfidentialSpace => "confidential-space",
            Self::ConfidentialSpaceKeys => "confidential-space-keys",
            Self::Teeserver => "teeserver",
            Self::Maa => "maa",
            Self::MaaKeys => "maa-keys",
            Self::Control => "control",
        })
    }
}

/// The service whose real host name this is.
pub(crate) fn service_of_host(host: &str) -> Option<Service> {
    let aws =
        host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
    if let Some(labels) = aws {
        let mut labels = labels.split('.');
        let first = labels.next()?;
        return match first {
            "sts" | "sts-fips" => Some(Service::Sts),
            "rolesanywhere" | "rolesanywhere-fips" => Some(Service::RolesAnywhere),
            "s3" => Some(Service::S3),
            // A bucket, whose name may have dots in it, before `s3`.
            _ => labels.any(|label| label == "s3").then_some(Service::S3),
        };
    }
    Some(match host {
        "login.microsoftonline.com"
        | "login.microsoftonline.us"
        | "login.partner.microsoftonline.cn"
        | "login.microsoft.com"
        | "login.windows.net" => Service::Entra,
        "oauth2.googleapis.com" | "accounts.google.com" | "www.googleapis.com" => {
            Service::GoogleOauth
        }
        "sts.googleapis.com" => Service::GoogleSts,
        "iamcredentials.googleapis.com" => Service::GoogleIam,
        GOOGLE_HOST => Service::ConfidentialSpace,
        _ if [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"]
            .iter()
            .any(|domain| host.ends_with(domain)) =>
        {
            Service::KeyVault
        }
        _ if host.ends_with(".attest.azure.net") => Service::Maa,
        _ => return None,
    })
}

/// The region in the host name of an AWS service; `us-east-1` for a global one.
pub(crate) fn region_of_host(host: &str) -> Option<&str> {
    service_of_host(host)?;
    let labels = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    let (rest, last) = labels.rsplit_once('.').unwrap_or(("", labels));
    let global = rest.is_empty() || last == "s3";
    Some(if global { "us-east-1" } else { last })
}

/// The service that a request is for: by path for the control API, else by the real host name,
/// else by what is signed and the path.
pub(crate) fn route(request: &Request) -> Service {
    if request.scheme == UNIX {
        return Service::Teeserver;
    }
    if request.path == "/_emulator" || request.path.starts_with("/_emulator/") {
        return Service::Control;
    }
    match (service_of_host(request.hostname()), request.path.as_str()) {
        (Some(Service::GoogleOauth), GOOGLE_KEYS) => return Service::ConfidentialSpaceKeys,
        (Some(Service::Maa), "/certs") => return Service::MaaKeys,
        (Some(service), _) => return service,
        (None, _) => {}
    }
    // S3 and STS share paths with everybody: the credential's scope tells them apart.
    match scope_service(request) {
        Some("s3") => return Service::S3,
        Some("sts") => return Service::Sts,
        Some("rolesanywhere") => return Service::RolesAnywhere,
        _ => {}
    }
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["sessions"] => Service::RolesAnywhere,
        ["token"] | ["oauth2", "v3", "certs"] | [".well-known", "openid-configuration"] => {
            Service::GoogleOauth
        }
        ["v1", "token"] => Service::GoogleSts,
        ["confidential-space", "jwks"] => Service::ConfidentialSpaceKeys,
        ["confidential-space", ..] => Service::ConfidentialSpace,
        ["maa", "certs"] => Service::MaaKeys,
        ["maa", ..] => Service::Maa,
        ["secrets" | "certificates", _, ..] => Service::KeyVault,
        ["v1", "projects", "-", "serviceAccounts", _] => Service::GoogleIam,
        ["common", "discovery", "instance"]
        | [_, "oauth2", "v2.0", "token"]
        | [_, "v2.0", ".well-known", "openid-configuration"]
        | [_, "discovery", "v2.0", "keys"] => Service::Entra,
        [""] if request.method == "POST" || request.query.contains("Action=") => Service::Sts,
        _ => Service::S3,
    }
}

/// The fourth part of `Credential=<id>/<date>/<region>/<service>/aws4_request`, in the header or
/// the query of a presigned URL.
fn scope_service(request: &Request) -> Option<&str> {
    let (_, credential) = match request.header("authorization") {
        Some(header) => header.strip_prefix("AWS4-")?.split_once("Credential=")?,
        None => request.query.split_once("X-Amz-Credential=")?,
    };
    let credential = credential.split([',', '&', ' ']).next()?;
    let rest = credential.strip_suffix("/aws4_request");
    let rest = rest.or_else(|| credential.strip_suffix("%2Faws4_request"))?;
    rest.rsplit_once('/').or_else(|| rest.rsplit_once("%2F")).map(|(_, service)| service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, service, region) in [
            ("sts.amazonaws.com", Some(Service::Sts), Some("us-east-1")),
            ("sts.eu-west-1.amazonaws.com", Some(Service::Sts), Some("eu-west-1")),
            ("sts.cn-north-1.amazonaws.com.cn", Some(Service::Sts), Some("cn-north-1")),
            (
                "rolesanywhere.us-east-2.amazonaws.com",
                Some(Service::RolesAnywhere),
                Some("us-east-2"),
            ),
            ("s3.amazonaws.com", Some(Service::S3), Some("us-east-1")),
            ("a.b.s3.eu-west-1.amazonaws.com", Some(Service::S3), Some("eu-west-1")),
            ("a.s3.amazonaws.com", Some(Service::S3), Some("us-east-1")),
            ("ec2.us-east-1.amazonaws.com", None, None),
            ("sts.amazonaws.com.evil.example", None, None),
            ("login.microsoftonline.com", Some(Service::Entra), None),
            ("oauth2.googleapis.com", Some(Service::GoogleOauth), None),
            ("confidentialcomputing.googleapis.com", Some(Service::ConfidentialSpace), None),
            ("sharedeus.eus.attest.azure.net", Some(Service::Maa), None),
            ("attest.azure.net", None, None),
            ("prod.vault.azure.net", Some(Service::KeyVault), None),
            ("vault.azure.net", None, None),
            ("localhost", None, None),
        ] {
            assert_eq!(service_of_host(host), service, "{host}");
            assert_eq!(region_of_host(host), region, "{host}");
        }
    }
}
