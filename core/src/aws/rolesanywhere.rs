//! IAM Roles Anywhere: a certificate's key gets a role's credentials.
//!
//! Sources: AWS, "Authentication signing process for IAM Roles Anywhere" and "CreateSession". The
//! signature is Signature Version 4 in form, made by the certificate's key; ECDSA hashes with SHA-256
//! whatever the curve.

use super::Credentials;
use super::canonical::{Canonical, Headers};
use super::class::{NO_GRAPHIC, has};
use super::endpoint::{Arn, check_region, partition, regional_host};
use super::error::json_refusal;
use crate::digest::sha256;
use crate::encode::{base64, hex, percent};
use crate::exchange::{Attempt, Draft, Exchange, Failure, Secret};
use crate::http::{HttpRequest, ResponseHead, check_host, header_lines};
use crate::json::{self, Object, Value};
use crate::verifier::{KeyAlgorithm, PublicKey};
use crate::x509::Certificate;
use crate::{Error, Out, Result, Scheme, Sink, UnixTime};

const SERVICE: &str = "rolesanywhere";

/// The most certificates that [`CreateSession::chain`] may hold, as the service allows.
pub const MAX_CHAIN_LEN: usize = 5;

/// `CreateSession`: the certificate and a signature by its key, for credentials of a role.
#[derive(Clone, Copy, Debug)]
pub struct CreateSession<'a> {
    /// The certificate of the signing key.
    pub certificate: Certificate<'a>,
    /// Intermediate certificates in DER, leaf's issuer first; at most [`MAX_CHAIN_LEN`].
    pub chain: &'a [&'a [u8]],
    /// `arn:aws:rolesanywhere:region:account:trust-anchor/id`.
    pub trust_anchor_arn: &'a str,
    /// `arn:aws:rolesanywhere:region:account:profile/id`.
    pub profile_arn: &'a str,
    /// `arn:aws:iam::account:role/name`.
    pub role_arn: &'a str,
    /// The region; `None` takes the trust anchor's.
    pub region: Option<&'a str>,
    /// A host (with an optional port) in place of the region's endpoint.
    pub endpoint: Option<&'a str>,
    /// The life of the credentials, 900 to 43,200 seconds; `None` leaves it to the profile.
    pub duration_seconds: Option<u32>,
    /// The role session's name; only for profiles that accept one.
    pub role_session_name: Option<&'a str>,
    /// Properties of the workload's instance, for profiles that require them.
    pub instance_properties: &'a [(&'a str, &'a str)],
    /// Also send the certificate as the body's `cert`.
    pub certificate_in_body: bool,
}

/// What `CreateSession` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'b> {
    /// The role's credentials.
    pub credentials: Credentials<'b>,
    /// `arn:aws:sts::account:assumed-role/role/session`.
    pub assumed_role_arn: Option<&'b str>,
    /// The ARN of the certificate's subject at the service.
    pub subject_arn: Option<&'b str>,
    /// The `SourceIdentity` of the session.
    pub source_identity: Option<&'b str>,
}

impl<'a> CreateSession<'a> {
    /// A session with the profile's own duration, in the trust anchor's region.
    #[must_use]
    pub const fn new(
        certificate: Certificate<'a>,
        trust_anchor_arn: &'a str,
        profile_arn: &'a str,
        role_arn: &'a str,
    ) -> Self {
        Self {
            certificate,
            chain: &[],
            trust_anchor_arn,
            profile_arn,
            role_arn,
            region: None,
            endpoint: None,
            duration_seconds: None,
            role_session_name: None,
            instance_properties: &[],
            certificate_in_body: false,
        }
    }

    /// The scheme that the certificate's key signs with.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for other keys than RSA, P-256 and P-384.
    pub fn scheme(&self) -> Result<Scheme> {
        match PublicKey::from_spki(self.certificate.spki())?.algorithm() {
            KeyAlgorithm::Rsa { .. } => Ok(Scheme::RsaPkcs1Sha256),
            KeyAlgorithm::P256 => Ok(Scheme::EcdsaP256Sha256),
            KeyAlgorithm::P384 => Ok(Scheme::EcdsaP384Sha256),
        }
    }

    /// Checks every parameter and gives the region.
    fn check(&self, now: UnixTime) -> Result<&'a str> {
        let anchor = Arn::parse(
            self.trust_anchor_arn,
            SERVICE,
            "trust-anchor/",
            Error::invalid(
                "trust anchor ARN",
                "expected arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID",
            ),
        )?;
        let profile = Arn::parse(
            self.profile_arn,
            SERVICE,
            "profile/",
            Error::invalid(
                "profile ARN",
                "expected arn:aws:rolesanywhere:REGION:ACCOUNT:profile/ID",
            ),
        )?;
        let wrong = Error::invalid("role ARN", "expected arn:aws:iam::ACCOUNT:role/NAME");
        let role = Arn::parse(self.role_arn, "iam", "role/", wrong)?;
        if !role.region.is_empty() {
            return Err(wrong);
        }
        if anchor.region.is_empty() {
            return Err(Error::invalid("trust anchor ARN", "has no region"));
        }
        if anchor.account != profile.account {
            return Err(Error::mismatch(
                "profile ARN",
                "its account is not the trust anchor's; both must be in one account",
            ));
        }
        if anchor.partition != profile.partition || anchor.partition != role.partition {
            return Err(Error::mismatch(
                "role ARN",
                "trust anchor, profile and role must be in one partition, such as aws",
            ));
        }
        if anchor.region != profile.region {
            return Err(Error::mismatch(
                "profile ARN",
                "its region is not the trust anchor's; both must be in one region",
            ));
        }
        let region = self.region.unwrap_or(anchor.region);
        check_region(region)?;
        if let Some(host) = self.endpoint {
            check_host(host, "endpoint")?;
        } else if partition(region) != anchor.partition {
            return Err(Error::mismatch("region", "is not in the partition that the ARNs name"));
        }
        if self.duration_seconds.is_some_and(|d| !(900..=43_200).contains(&d)) {
            return Err(Error::invalid("session duration", "must be 900 to 43200 seconds"));
        }
        let name_ok = |c: u8| {
            c.is_ascii_alphanumeric()
                || matches!(c, b'+' | b'=' | b',' | b'.' | b'@' | b'_' | b'-' | b' ')
        };
        if let Some(name) = self.role_session_name
            && !((2..=64).contains(&name.len()) && name.bytes().all(name_ok))
        {
            return Err(Error::invalid(
                "role session name",
                "expected 2 to 64 letters, digits, spaces or _+=,.@-",
            ));
        }
        for (i, (name, _)) in self.instance_properties.iter().enumerate() {
            if name.is_empty() {
                return Err(Error::invalid(
                    "instance property",
                    "has no name; expected NAME=VALUE",
                ));
            }
            if self.instance_properties.iter().take(i).any(|(other, _)| other == name) {
                return Err(Error::invalid("instance property", "is given twice"));
            }
        }
        if self.chain.len() > MAX_CHAIN_LEN {
            return Err(Error::new(
                crate::ErrorKind::Capacity,
                "certificate chain",
                "holds more than five intermediates",
            ));
        }
        self.certificate.check_chain(self.chain)?;
        self.certificate.check_validity(now)?;
        Ok(region)
    }

    fn write_body(&self, out: &mut Out<'_>) {
        let mut body = Object::new(out);
        if self.certificate_in_body {
            let to = body.name("cert");
            to.put(b"\"");
            base64::encode(self.certificate.der(), to);
            to.put(b"\"");
        }
        if let Some(seconds) = self.duration_seconds {
            body.number("durationSeconds", u64::from(seconds));
        }
        if !self.instance_properties.is_empty() {
            let mut properties = Object::new(body.name("instanceProperties"));
            for (name, value) in self.instance_properties {
                properties.string(name, value);
            }
            properties.end();
        }
        body.optional("roleSessionName", self.role_session_name);
        body.end();
    }
}

impl Exchange for CreateSession<'_> {
    type Output<'b> = Session<'b>;

    fn write(&self, at: &Attempt, draft: &mut Draft<'_>) -> Result<()> {
        let region = self.check(at.time())?;
        let scheme = self.scheme()?;
        let algorithm = algorithm(scheme);
        draft.method("POST");
        draft.host(|out| match self.endpoint {
            Some(host) => out.text(host),
            None => regional_host(SERVICE, region, out),
        });
        draft.target(|out| {
            let arns = [
                ("/sessions?profileArn=", self.profile_arn),
                ("&roleArn=", self.role_arn),
                ("&trustAnchorArn=", self.trust_anchor_arn),
            ];
            for (name, arn) in arns {
                out.text(name);
                percent::encode(arn.as_bytes(), out);
            }
        });
        draft.body(|out| self.write_body(out));

        let payload = hex::digest(&sha256(draft.body_written()));
        let host = draft.host_span();
        let target = draft.target_span();
        let mut scope = [0u8; super::MAX_SCOPE_LEN];
        let scope = write_scope(at.time(), region, &mut scope)?;
        let mut hashed: Result<[u8; 32]> = Ok([0; 32]);
        draft.head(|out| {
            let from = out.len();
            out.text("Content-Type: application/json\r\nX-Amz-Date: ");
            out.put(&at.time().basic());
            out.text("\r\nX-Amz-X509: ");
            base64::encode(self.certificate.der(), out);
            for (i, der) in self.chain.iter().enumerate() {
                out.text(if i == 0 { "\r\nX-Amz-X509-Chain: " } else { "," });
                base64::encode(der, out);
            }
            let written = Written {
                host: ascii(out.written(host.from, host.to)),
                target: ascii(out.written(target.from, target.to)),
                head: ascii(out.written(from, out.len())),
                payload: ascii(&payload),
            };
            hashed = written.with_canonical(|canonical, order| {
                let mut sink = crate::digest::Sha256::new();
                canonical.write(order, &mut sink);
                Ok(sink.finish())
            });
            out.text("\r\nAuthorization: ");
            out.text(algorithm);
            out.text(" Credential=");
            self.certificate.write_serial_decimal(out);
            out.text("/");
            out.text(scope);
            out.text(", SignedHeaders=content-type;host;x-amz-date;x-amz-x509");
            if !self.chain.is_empty() {
                out.text(";x-amz-x509-chain");
            }
            out.text(", Signature=");
        });
        let hashed = hex::digest(&hashed?);
        draft.sign_header(scheme, |out| {
            out.text(algorithm);
            out.text("\n");
            out.put(&at.time().basic());
            out.text("\n");
            out.text(scope);
            out.text("\n");
            out.put(&hashed);
        });
        Ok(())
    }

    fn certified_key(&self) -> Option<&[u8]> {
        Some(self.certificate.spki())
    }

    fn response<'b>(
        &self,
        head: &ResponseHead<'b>,
        body: &'b mut [u8],
    ) -> core::result::Result<Session<'b>, Failure<'b>> {
        if head.status != 201 {
            return Err(json_refusal(head, body));
        }
        let answer = json::parse(body)?;
        let first = answer.get("credentialSet").and_then(|set| set.elements().next());
        let first = first.ok_or(Error::malformed("credentialSet", "missing or empty"))?;
        let keys = first.get("credentials").ok_or(Error::malformed("credentials", "missing"))?;
        let text = |value: &Value<'b>, name: &str| value.get(name).and_then(|v| v.as_str());
        Ok(Session {
            credentials: Credentials {
                access_key_id: filled(keys, "accessKeyId")?,
                secret_access_key: Secret::new(filled(keys, "secretAccessKey")?),
                session_token: Secret::new(filled(keys, "sessionToken")?),
                expiration: UnixTime::parse(filled(keys, "expiration")?)
                    .map_err(|_| Error::malformed("expiration", "expected RFC 3339"))?,
            },
            assumed_role_arn: first.get("assumedRoleUser").and_then(|user| text(&user, "arn")),
            subject_arn: text(&answer, "subjectArn"),
            source_identity: text(&first, "sourceIdentity"),
        })
    }
}

/// Writes the canonical request that a finished `CreateSession` request was signed over, to show why a
/// signature does not match.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) when `request` is no such request.
pub fn canonical_request(request: &HttpRequest<'_>, out: &mut impl Sink) -> Result<()> {
    let payload = hex::digest(&sha256(request.body()));
    let written = Written {
        host: request.host(),
        target: request.target(),
        head: request.head,
        payload: ascii(&payload),
    };
    written.with_canonical(|canonical, order| {
        canonical.write(order, out);
        Ok(())
    })
}

/// The parts of a request as they stand in its buffer.
struct Written<'w> {
    host: &'w str,
    target: &'w str,
    head: &'w str,
    payload: &'w str,
}

impl Written<'_> {
    fn with_canonical<T>(
        &self,
        then: impl FnOnce(&Canonical<'_>, &super::canonical::HeaderOrder) -> Result<T>,
    ) -> Result<T> {
        let mut headers: [(&str, &str); 6] = [("Host", self.host); 6];
        let lines = header_lines(self.head);
        let mut count = 1;
        for (slot, line) in headers.iter_mut().skip(1).zip(lines) {
            *slot = line;
            count += 1;
        }
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let canonical = Canonical {
            method: "POST",
            path,
            normalize_path: false,
            double_encode: true,
            query,
            pairs: &(),
            headers: Headers::Slice(headers.get(..count).unwrap_or_default()),
            added: [&[]; 3],
            unsigned: &[],
            payload: self.payload.as_bytes(),
        };
        let order = canonical.header_order(canonical.check()?);
        then(&canonical, &order)
    }
}

const fn algorithm(scheme: Scheme) -> &'static str {
    match scheme.coordinate_len() {
        Some(_) => "AWS4-X509-ECDSA-SHA256",
        None => "AWS4-X509-RSA-SHA256",
    }
}

/// `20240706/us-east-2/rolesanywhere/aws4_request`.
fn write_scope<'s>(time: UnixTime, region: &str, buf: &'s mut [u8]) -> Result<&'s str> {
    let mut out = Out::new(buf);
    out.put(&time.date());
    for part in ["/", region, "/", SERVICE, "/aws4_request"] {
        out.text(part);
    }
    Ok(ascii(out.finish()?))
}

fn filled<'b>(object: Value<'b>, name: &'static str) -> Result<&'b str> {
    let text = object.string(name)?;
    if text.is_empty() {
        return Err(Error::malformed(name, "is empty"));
    }
    // They go into headers and configuration files later.
    if has::<NO_GRAPHIC>(text.as_bytes()) {
        return Err(Error::malformed(name, "expected printable characters without spaces"));
    }
    Ok(text)
}

fn ascii(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}
