//! Whether a credential is of the account, tenant or project that the configuration expects.
//!
//! A broker that is not the one it seems to be (whoever stole its TLS key) can hand out credentials of an
//! account of its own, and get what the workload then writes there.

use std::sync::Arc;

use cloudauth_core::encode::base64;
use cloudauth_core::json;
use cloudauth_tls::Endpoint;

use super::{Attested, Opened};
use crate::environment::{aws_endpoint, endpoint};
use crate::{CallerIdentity, Credential, Error, Inputs, Result};

/// The region whose STS is asked where none is given. It knows every account of the public partition.
const REGION: &str = "us-east-1";

impl Attested {
    /// Another endpoint of STS. Variables count only where the environment does.
    pub(super) fn sts_endpoint(&self) -> Result<Option<Endpoint>> {
        match &self.sts_endpoint_url {
            Some(url) => endpoint(url, "sts-endpoint-url").map(Some),
            None if self.trust_environment => aws_endpoint(None, "STS"),
            None => Ok(None),
        }
    }
}

impl Opened {
    /// Refuses a credential that is not of the expected account, tenant or project.
    pub(super) async fn check(&self, credential: &Credential, inputs: &Arc<Inputs>) -> Result<()> {
        let Attested { expect_account, expect_tenant, expect_project, .. } = &self.config;
        if let (Some(expected), Some((transport, endpoint))) = (expect_account, &self.sts) {
            let Credential::Aws(_) = credential else {
                return other(&format!("what is no credentials of the account {expected}"));
            };
            let region = self.config.region.as_deref().unwrap_or(REGION).to_owned();
            let call = CallerIdentity { region: Some(region), ..CallerIdentity::default() };
            let endpoint = endpoint.as_ref();
            let of = call.ask(inputs, Some(credential), transport, endpoint).await?;
            if of.account != *expected {
                return other(&format!(
                    "credentials of the account {}, not {expected}",
                    of.account
                ));
            }
        }
        if let Some(expected) = expect_tenant {
            let tenant = claim(credential, "tid");
            if !tenant.as_ref().is_some_and(|tenant| tenant.eq_ignore_ascii_case(expected)) {
                return other(&format!("what is no token of the tenant {expected}"));
            }
        }
        if let Some(expected) = expect_project {
            let account = claim(credential, "iss");
            if !account.is_some_and(|account| is_of_project(&account, expected)) {
                return other(&format!(
                    "what is no self-signed token of a service account of the project {expected}"
                ));
            }
        }
        Ok(())
    }
}

fn other(what: &str) -> Result<()> {
    Err(Error::refused("broker", format!("it gave {what}; whose broker is this?")))
}

/// A claim of a bearer token that is a JWT.
fn claim(credential: &Credential, name: &str) -> Option<String> {
    let Credential::Bearer(token) = credential else { return None };
    let claims = token.token.split('.').nth(1)?;
    let mut buf = vec![0; claims.len()];
    let claims = json::parse(base64::url_decode_vartime(claims.as_bytes(), &mut buf).ok()?).ok()?;
    Some(claims.get(name)?.as_str()?.to_owned())
}

/// Whether a service account is a project's, by its name: `NAME@PROJECT.iam.gserviceaccount.com`, or the
/// project's own of App Engine. In the name of a project of a domain (`example.com:project`) the two change
/// places.
fn is_of_project(account: &str, project: &str) -> bool {
    let name = match project.split_once(':') {
        Some((domain, project)) => format!("{project}.{domain}"),
        None => project.to_owned(),
    };
    let Some((_, host)) = account.split_once('@') else { return false };
    !project.is_empty()
        && (host == format!("{name}.iam.gserviceaccount.com")
            || account == format!("{name}@appspot.gserviceaccount.com"))
}

#[cfg(test)]
mod tests {
    use cloudauth_core::UnixTime;

    use super::*;
    use crate::BearerToken;

    #[test]
    fn projects() {
        for (account, project, is) in [
            ("robot@prod.iam.gserviceaccount.com", "prod", true),
            ("prod@appspot.gserviceaccount.com", "prod", true),
            ("robot@prod.example.com.iam.gserviceaccount.com", "example.com:prod", true),
            ("robot@prod2.iam.gserviceaccount.com", "prod", false),
            ("robot@evil.prod.iam.gserviceaccount.com", "prod", false),
            ("prod@evil.iam.gserviceaccount.com", "prod", false),
            ("robot@prod.iam.gserviceaccount.com.evil", "prod", false),
            ("x@y@prod.iam.gserviceaccount.com", "prod", false),
            ("1234-compute@developer.gserviceaccount.com", "1234", false),
            ("robot@.iam.gserviceaccount.com", "", false),
            ("prod", "prod", false),
        ] {
            assert_eq!(is_of_project(account, project), is, "{account} {project}");
        }
    }

    #[test]
    fn claims_of_tokens() {
        let bearer = |token: &str| {
            let token = token.to_owned().into();
            Credential::Bearer(BearerToken { token, expiration: UnixTime::MAX })
        };
        // {"tid":"T"}
        assert_eq!(claim(&bearer("e30.eyJ0aWQiOiJUIn0.AQ"), "tid").as_deref(), Some("T"));
        assert_eq!(claim(&bearer("e30.eyJ0aWQiOiJUIn0.AQ"), "iss"), None);
        for bad in ["ya29.opaque", "e30", "", "e30.!.AQ", "e30.eyJ0aWQiOjF9.AQ"] {
            assert_eq!(claim(&bearer(bad), "tid"), None, "{bad}");
        }
    }
}
