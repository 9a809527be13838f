//! Azure Key Vault: secrets, certificates, and their versions.
//!
//! Source: Azure Key Vault REST API reference, version 7.4: "Get Secret", "Get Secret Versions", "Get
//! Certificate"; Azure Key Vault developer's guide, "Authentication, requests and responses".

use super::client_assertion::check_tenant;
use crate::encode::base64;
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret, ServiceError};
use crate::http::{ResponseHead, check_host};
use crate::json::{self, Elements, Kind, Value};
use crate::out::Sink;
use crate::{Error, Result, UnixTime, oauth};

/// The version of the REST API that is asked for.
const API: &str = "api-version=7.4";

/// What is asked of a vault, and with which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The vault's host, such as `prod.vault.azure.net`.
    pub host: &'a str,
    /// The name of the secret or certificate: up to 127 letters, digits and hyphens.
    pub name: &'a str,
    /// The version's identifier; `None` for the present one.
    pub version: Option<&'a str>,
    /// An access token for the vault's [`scope`].
    pub token: Secret<'a>,
}

/// A secret: `GET /secrets/{name}/{version}`. The private key of a certificate is the secret of the same
/// name and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSecret<'a>(pub Item<'a>);

/// A certificate without its private key: `GET /certificates/{name}/{version}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetCertificate<'a>(pub Item<'a>);

/// The versions of a secret, without their values: `GET /secrets/{name}/versions`, a page at a time. The
/// version of [`item`](Self::item) is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSecretVersions<'a> {
    /// The secret.
    pub item: Item<'a>,
    /// [`Versions::next_link`] of the page before; `None` for the first.
    pub next_link: Option<&'a str>,
}

/// A secret as a vault gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyVaultSecret<'b> {
    /// The value.
    pub value: Secret<'b>,
    /// What it is.
    pub properties: Properties<'b>,
}

/// A certificate as a vault gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyVaultCertificate<'b> {
    /// The certificate in base64: see [`der`](Self::der).
    cer: &'b str,
    /// The URL of the secret with the private key, where it may leave the vault.
    pub secret_id: Option<&'b str>,
    /// What it is.
    pub properties: Properties<'b>,
}

/// What a vault says of a version of a secret or certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'b> {
    /// Its URL, version included.
    pub id: &'b str,
    /// The version's identifier.
    pub version: &'b str,
    /// What the value is; of a certificate's private key see [`Content`].
    pub content_type: Option<&'b str>,
    /// Whether it may be used. A vault refuses the value of one that may not.
    pub enabled: bool,
    /// From when on it is good.
    pub not_before: Option<UnixTime>,
    /// When it ends.
    pub expires: Option<UnixTime>,
}

/// In which form the secret of a certificate holds its private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// PKCS#12 (RFC 7292) without a password, in base64: `application/x-pkcs12`.
    Pkcs12,
    /// Private key and chain in PEM: `application/x-pem-file`.
    Pem,
}

impl Properties<'_> {
    /// The form of a certificate's private key; `None` for any other secret.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        match self.content_type? {
            "application/x-pkcs12" => Some(Content::Pkcs12),
            "application/x-pem-file" => Some(Content::Pem),
            _ => None,
        }
    }
}

impl KeyVaultCertificate<'_> {
    /// Writes the certificate, in DER, at the start of `out`; three quarters of the answer's body are
    /// always enough room.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) when it is not base64,
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn der<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8]> {
        base64::decode(self.cer.as_bytes(), out)
    }
}

/// A page of versions.
#[derive(Clone, Debug)]
pub struct Versions<'b> {
    entries: Elements<'b>,
    /// Where the next page is; `None` on the last.
    pub next_link: Option<&'b str>,
}

impl<'b> Iterator for Versions<'b> {
    type Item = Result<Properties<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|entry| properties(&entry))
    }
}

/// What a vault that refuses a token with status 401 says of the token that it wants: the header
/// `WWW-Authenticate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'b> {
    /// The URL of the authority and tenant, such as `https://login.microsoftonline.com/{tenant}`.
    pub authorization: &'b str,
    /// What the token must be for, such as `https://vault.azure.net`. Whoever follows it must see that the
    /// vault's host belongs to it ([`covers`](Self::covers)): another would collect tokens.
    pub resource: &'b str,
}

impl<'b> Challenge<'b> {
    /// The challenge of an answer; `None` when there is none that can be understood.
    #[must_use]
    pub fn read(head: &ResponseHead<'b>) -> Option<Self> {
        let fields = head.header("www-authenticate")?.strip_prefix("Bearer ")?;
        let field = |wanted: &str| {
            fields.split([',', ' ']).find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let value = value.strip_prefix('"')?.strip_suffix('"')?;
                (name == wanted).then_some(value)
            })
        };
        Some(Self {
            authorization: field("authorization").or(field("authorization_uri"))?,
            resource: field("resource").or(field("scope"))?,
        })
    }

    /// The tenant: the last part of [`authorization`](Self::authorization).
    #[must_use]
    pub fn tenant(&self) -> Option<&'b str> {
        let (_, tenant) = self.authorization.rsplit_once('/')?;
        check_tenant(tenant).is_ok().then_some(tenant)
    }

    /// Whether the resource is that of the vault `host`: the host's domain, without its first label.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let resource = self.resource.strip_prefix("https://").unwrap_or_default();
        let resource = resource.strip_suffix("/.default").unwrap_or(resource);
        let resource = resource.strip_suffix('/').unwrap_or(resource);
        !resource.is_empty() && host.split_once('.').is_some_and(|(_, domain)| domain == resource)
    }
}

/// Writes the scope that a token for the vault `host` must have: `https://vault.azure.net/.default` in the
/// public cloud, the host's own domain in the others.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) for a host that is not that of a vault.
pub fn scope(host: &str, out: &mut impl Sink) -> Result<()> {
    check_host(host, "vault")?;
    let (_, domain) = host.split_once('.').ok_or(NO_VAULT)?;
    let domain = domain.split(':').next().unwrap_or_default();
    if !domain.starts_with("vault.") {
        return Err(NO_VAULT);
    }
    for part in ["https://", domain, "/.default"] {
        out.put(part.as_bytes());
    }
    Ok(())
}

const NO_VAULT: Error =
    Error::invalid("vault", "expected a vault's host, such as prod.vault.azure.net");

impl Item<'_> {
    fn check(&self) -> Result<()> {
        check_host(self.host, "vault")?;
        let plain = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        if !(1..=127).contains(&self.name.len()) || !plain(self.name) {
            return Err(Error::invalid(
                "name",
                "expected a secret's or certificate's name: 1 to 127 letters, digits and hyphens",
            ));
        }
        if self.version.is_some_and(|v| !(1..=64).contains(&v.len()) || !plain(v)) {
            return Err(Error::invalid("version", "expected the identifier of a version"));
        }
        if !oauth::is_token(self.token.expose()) {
            return Err(Error::invalid("access token", "expected printable ASCII without spaces"));
        }
        Ok(())
    }

    fn write(&self, draft: &mut Draft<'_>, target: &[&str]) {
        draft.method("GET");
        draft.host(|out| out.text(self.host));
        draft.target(|out| target.iter().for_each(|part| out.text(part)));
        draft.head(|out| {
            out.text("Authorization: Bearer ");
            out.text(self.token.expose());
            out.text("\r\nAccept: application/json");
        });
    }

    fn get(&self, draft: &mut Draft<'_>, collection: &str) -> Result<()> {
        self.check()?;
        let (slash, version) = self.version.map_or(("", ""), |version| ("/", version));
        self.write(draft, &[collection, self.name, slash, version, "?", API]);
        Ok(())
    }

    /// Whether what came is what was asked for. Vaults do not tell names apart by case.
    fn check_answer(&self, properties: &Properties<'_>) -> Result<()> {
        let mut parts = properties.id.rsplit('/');
        let (version, name) = (parts.next(), parts.next().unwrap_or_default());
        let other = self.version.is_some_and(|wanted| version != Some(wanted));
        if !name.eq_ignore_ascii_case(self.name) || other {
            return Err(Error::mismatch("id", "the vault answered with another secret"));
        }
        Ok(())
    }
}

impl Exchange for GetSecret<'_> {
    type Output<'b> = KeyVaultSecret<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        self.0.get(draft, "/secrets/")
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<KeyVaultSecret<'b>, Failure<'b>> {
        let answer = good(head, body)?;
        let properties = properties(&answer)?;
        self.0.check_answer(&properties)?;
        Ok(KeyVaultSecret { value: Secret::new(answer.string("value")?), properties })
    }
}

impl Exchange for GetCertificate<'_> {
    type Output<'b> = KeyVaultCertificate<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        self.0.get(draft, "/certificates/")
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<KeyVaultCertificate<'b>, Failure<'b>> {
        let answer = good(head, body)?;
        let properties = properties(&answer)?;
        self.0.check_answer(&properties)?;
        let secret_id = answer.get("sid").and_then(|sid| sid.as_str());
        Ok(KeyVaultCertificate { cer: answer.string("cer")?, secret_id, properties })
    }
}

impl Exchange for GetSecretVersions<'_> {
    type Output<'b> = Versions<'b>;

    fn write(&self, _: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        let Self { item, next_link } = self;
        item.check()?;
        let path = ["/secrets/", item.name, "/versions?"];
        let Some(link) = next_link else {
            item.write(draft, &[path[0], path[1], path[2], API]);
            return Ok(());
        };
        // The token goes to the vault and to nobody that an answer names.
        let query = ["https://", item.host].iter().chain(&path).try_fold(*link, |rest, part| {
            let (start, rest) = rest.split_at_checked(part.len())?;
            start.eq_ignore_ascii_case(part).then_some(rest)
        });
        let query = query.filter(|query| query.bytes().all(|c| c.is_ascii_graphic() && c != b'#'));
        let query = query.ok_or(Error::invalid(
            "next link",
            "expected what the vault gave for the versions of this secret",
        ))?;
        item.write(draft, &[path[0], path[1], path[2], query]);
        Ok(())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Versions<'b>, Failure<'b>> {
        let answer = good(head, body)?;
        let entries = answer.get("value").filter(|value| value.kind() == Kind::Array);
        let entries = entries.ok_or(Error::malformed("value", "expected an array of versions"))?;
        let next_link = answer.get("nextLink").and_then(|link| link.as_str());
        let next_link = next_link.filter(|link| !link.is_empty());
        Ok(Versions { entries: entries.elements(), next_link })
    }
}

/// The answer as JSON, if it is a good one.
fn good<'b>(
    head: &ResponseHead<'b>,
    body: &'b mut [u8],
) -> core::result::Result<Value<'b>, Failure<'b>> {
    match json::parse(body) {
        Ok(answer) if head.status == 200 => Ok(answer),
        Ok(answer) => Err(Failure::Service(refusal(head.status, &answer))),
        Err(e) if head.status == 200 => Err(Failure::Answer(e)),
        Err(_) => {
            Err(Failure::Service(ServiceError { status: head.status, code: "", message: "" }))
        }
    }
}

/// `{"error":{"code":"Forbidden","message":"…","innererror":{"code":"SecretDisabled"}}}`: the inner code
/// says more.
fn refusal<'b>(status: u16, answer: &Value<'b>) -> ServiceError<'b> {
    let text = |pointer| answer.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default();
    let code = match text("/error/innererror/code") {
        "" => text("/error/code"),
        inner => inner,
    };
    ServiceError { status, code, message: text("/error/message") }
}

fn properties<'b>(answer: &Value<'b>) -> Result<Properties<'b>> {
    const BAD_TIME: Error = Error::malformed("attributes", "expected times in seconds");
    let id = answer.string("id")?;
    let (_, version) = id.rsplit_once('/').ok_or(Error::malformed("id", "expected a URL"))?;
    let attributes = answer.get("attributes").filter(|value| value.kind() == Kind::Object);
    let attributes = attributes.ok_or(Error::malformed("attributes", "is missing"))?;
    let time = |name| match attributes.get(name) {
        None => Ok(None),
        Some(value) if value.kind() == Kind::Null => Ok(None),
        Some(value) => UnixTime::new(value.as_seconds().ok_or(BAD_TIME)?).map(Some),
    };
    Ok(Properties {
        id,
        version,
        content_type: answer.get("contentType").and_then(|kind| kind.as_str()),
        enabled: attributes
            .get("enabled")
            .and_then(|enabled| enabled.as_bool())
            .ok_or(Error::malformed("enabled", "expected true or false"))?,
        not_before: time("nbf")?,
        expires: time("exp")?,
    })
}

#[cfg(test)]
mod tests;
