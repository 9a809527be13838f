//! The client assertion of Entra ID: proof that an application holds its certificate's key.

use crate::encode::base64;
use crate::http::check_host;
use crate::jws::{self, Part};
use crate::out::{Out, Sink};
use crate::verifier::PublicKey;
use crate::x509::Certificate;
use crate::{Assertion, Attempt, Error, Result, Scheme};

/// The assertion by which an application authenticates to Entra ID with a certificate instead of a
/// secret (RFC 7523, section 3; Microsoft identity platform, "Application authentication certificate
/// credentials"). It is valid for [`LIFETIME`](Self::LIFETIME) seconds from the time of the
/// [`Attempt`], which also gives its `jti`: make a new one for every request.
#[derive(Clone, Copy, Debug)]
pub struct ClientAssertion<'a> {
    /// The application's certificate. The key that signs must be its key.
    pub certificate: Certificate<'a>,
    /// The certificates between it and the root, in DER, the issuer of the leaf first. Sent only with
    /// [`send_chain`](Self::send_chain).
    pub chain: &'a [&'a [u8]],
    /// The tenant: its id or one of its domains.
    pub tenant: &'a str,
    /// The application's (client) id.
    pub client_id: &'a str,
    /// The cloud the tenant lives in.
    pub authority: Authority<'a>,
    /// `PS256`, or `RS256` for keys that cannot; see [`scheme_for`](Self::scheme_for).
    pub scheme: Scheme,
    /// How the header names the certificate.
    pub thumbprint: Thumbprint,
    /// Send the certificates themselves too (`x5c`), for applications that trust a subject name and
    /// issuer instead of one certificate.
    pub send_chain: bool,
}

/// How the header names the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thumbprint {
    /// `x5t#S256`, SHA-256 of the DER (RFC 7515, section 4.1.8).
    #[default]
    Sha256,
    /// `x5t`, SHA-1 of the DER (RFC 7515, section 4.1.7), for services that know no other, such as ADFS.
    Sha1,
}

/// The host that issues tokens: one for each Microsoft cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority<'a> {
    /// `login.microsoftonline.com`.
    #[default]
    Public,
    /// `login.microsoftonline.us`.
    UsGovernment,
    /// `login.partner.microsoftonline.cn`.
    China,
    /// Another host name or IPv4 address, with a port if need be: a private cloud's, or a test's.
    Custom(&'a str),
}

impl<'a> Authority<'a> {
    /// The host.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        match *self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
            Self::Custom(host) => host,
        }
    }
}

impl<'a> ClientAssertion<'a> {
    /// How long an assertion is valid, in seconds.
    pub const LIFETIME: u64 = 600;

    /// An assertion in the public cloud: `PS256`, `x5t#S256`, no chain.
    #[must_use]
    pub const fn new(certificate: Certificate<'a>, tenant: &'a str, client_id: &'a str) -> Self {
        Self {
            certificate,
            chain: &[],
            tenant,
            client_id,
            authority: Authority::Public,
            scheme: Scheme::RsaPssSha256,
            thumbprint: Thumbprint::Sha256,
            send_chain: false,
        }
    }

    /// The better of the two schemes Entra ID takes: `PS256` where the key can, else `RS256`. Ask the
    /// [`Signer`](crate::Signer): `scheme_for(|s| signer.supports(s))`.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the key can neither.
    pub fn scheme_for(supports: impl Fn(Scheme) -> bool) -> Result<Scheme> {
        [Scheme::RsaPssSha256, Scheme::RsaPkcs1Sha256]
            .into_iter()
            .find(|s| supports(*s))
            .ok_or(Error::unsupported("key", "Entra ID takes RSA keys (PS256, RS256) only"))
    }

    fn check(&self, at: &Attempt) -> Result<()> {
        check_tenant(self.tenant)?;
        check_client_id(self.client_id)?;
        check_host(self.authority.host(), "authority")?;
        if !matches!(self.scheme, Scheme::RsaPssSha256 | Scheme::RsaPkcs1Sha256) {
            return Err(Error::unsupported("signature scheme", "Entra ID takes PS256 or RS256"));
        }
        if !PublicKey::from_spki(self.certificate.spki())?.supports(self.scheme) {
            return Err(Error::unsupported("certificate", "Entra ID takes RSA certificates only"));
        }
        self.certificate.check_validity(at.time())?;
        if self.send_chain {
            self.certificate.check_chain(self.chain)?;
        }
        Ok(())
    }

    fn header(&self, header: &mut Part<'_, '_, '_>) {
        match self.thumbprint {
            Thumbprint::Sha256 => jws::plain(header, "x5t#S256", |to| {
                base64::url_encode(&self.certificate.thumbprint_sha256(), to);
            }),
            Thumbprint::Sha1 => jws::plain(header, "x5t", |to| {
                base64::url_encode(&self.certificate.thumbprint_sha1(), to);
            }),
        }
        if self.send_chain {
            let to = header.name("x5c");
            to.put(b"[\"");
            base64::encode(self.certificate.der(), to);
            for der in self.chain {
                to.put(b"\",\"");
                base64::encode(der, to);
            }
            to.put(b"\"]");
        }
    }
}

impl Assertion for ClientAssertion<'_> {
    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn certified_key(&self) -> Option<&[u8]> {
        Some(self.certificate.spki())
    }

    fn write(&self, at: &Attempt, out: &mut Out<'_>) -> Result<()> {
        self.check(at)?;
        let now = at.time();
        jws::signing_input(
            out,
            self.scheme,
            |header| self.header(header),
            |claims| {
                jws::plain(claims, "aud", |to| {
                    to.put(b"https://");
                    to.text(self.authority.host());
                    to.put(b"/");
                    to.text(self.tenant);
                    to.put(b"/oauth2/v2.0/token");
                });
                claims.number("exp", now.plus(Self::LIFETIME).as_secs());
                claims.number("iat", now.as_secs());
                claims.string("iss", self.client_id);
                jws::plain(claims, "jti", |to| to.put(&at.uuid()));
                claims.number("nbf", now.as_secs());
                claims.string("sub", self.client_id);
            },
        )
    }
}

/// Refuses a tenant that would not stay one segment of a path.
pub(crate) fn check_tenant(tenant: &str) -> Result<()> {
    if name(tenant) {
        Ok(())
    } else {
        Err(Error::invalid("tenant", "expected a tenant id or a domain (letters, digits, - and .)"))
    }
}

/// Refuses a client id that is not made of a GUID's characters.
pub(super) fn check_client_id(client_id: &str) -> Result<()> {
    if name(client_id) {
        Ok(())
    } else {
        Err(Error::invalid("client id", "expected a GUID (letters, digits, - and .)"))
    }
}

/// A GUID or a domain: what stands in a path as it is, and is no `..`.
fn name(text: &str) -> bool {
    text.as_bytes().split(|c| *c == b'.').all(|label| {
        !label.is_empty() && label.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::jws::testing::{NOW, StandIn, attempt, signs_both_ways, texts, values};
    use crate::{ErrorKind, UnixTime};
    use proptest::prelude::*;
    use serde_json::json;

    // An RSA certificate of 2026 that an EC authority issued, and the authority, by pyca/cryptography.
    pub(in crate::azure) const LEAF: &str = "\
        MIIB1jCCAX2gAwIBAgIFEjRWeJAwCgYIKoZIzj0EAwMwDTELMAkGA1UEAwwCQ0EwHhcNMjYwMTAxMDAwMDAwWhcN\
        MjcwMTAxMDAwMDAwWjAOMQwwCgYDVQQDDANhcHAwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCQXL53\
        k9jZNkvleTszOmrX4Q8hANEvNoI5SygJ78k2Dh+EARNdF6rxe4EqNwDAKM1mc2uE7nhIImIUraKwb7WmfIJuJ33O\
        +qiIg829BfdUu2wPFVHdyM5+YgUi6f4r6BfceBuccNY9rUSS2WsuqPefAx4IORDkqqn+xgglLGkkvu7zH2Lly98F\
        dzMzS2ru6z9LuZtgDtWxlyhf649mhtSuiyXAzkDMEjO8z0PaxGESWT20R/+uKG2U1+7bzTaL90lT0WIrRCuok1Z+\
        5EzsIeejHwgT4vIQUDHirye970g5jyNSGmLr1+IW3OklWKP2z/OAbXMPYJwWy/9LU0U0sfeZAgMBAAEwCgYIKoZI\
        zj0EAwMDRwAwRAIgfNuLjq5xpnJJ2crSmvA1GUw7Ll1Qtg3VbWLFKGUQ6x4CIFPEKS+sjo41KP5YWbk9uJqgvOa/\
        /dqg088MH8YSCM8a";
    const CA: &str = "\
        MIIBBjCBraADAgECAgEBMAoGCCqGSM49BAMDMA0xCzAJBgNVBAMMAkNBMB4XDTI1MDEwMTAwMDAwMFoXDTQ1MDEw\
        MTAwMDAwMFowDTELMAkGA1UEAwwCQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATbFC1R9T7v1RGPULe6UUnm\
        YveBZNNPwG46co+FLoCb2hni+BVRTek2cZ+V1yeA3hI+69eCvHXe1mLpmgZm31hAMAoGCCqGSM49BAMDA0gAMEUC\
        IDhc/dtLaiCj9FdPeyuiza/5rHyCOPnCUUI5HUKB+NYqAiEApjQOFO+CWURF7Q2qgWztUXJYgFYyI/kRaHXJNDjj\
        f5o=";

    pub(in crate::azure) const TENANT: &str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f";
    pub(in crate::azure) const CLIENT: &str = "11111111-2222-3333-4444-555555555555";

    pub(in crate::azure) fn der(base64_text: &str) -> Vec<u8> {
        base64::decode(base64_text.as_bytes(), &mut [0; 1024]).unwrap().to_vec()
    }

    fn at(secs: u64) -> Attempt {
        Attempt::new(UnixTime::new(secs).unwrap(), [7; 32])
    }

    #[test]
    fn defaults() {
        let leaf = der(LEAF);
        let certificate = Certificate::parse(&leaf).unwrap();
        let (header, claims) = texts(&ClientAssertion::new(certificate, TENANT, CLIENT)).unwrap();
        // The thumbprint is by `openssl dgst`, the token id by Python's hmac and uuid.
        assert_eq!(
            header,
            r#"{"alg":"PS256","typ":"JWT","x5t#S256":"ClVQA5NgLp3tiJY8pHfDe8QNmwbrToEyBuGBH1SKIac"}"#
        );
        assert_eq!(
            claims,
            r#"{"aud":"https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f"#
                .to_owned()
                + r#"/oauth2/v2.0/token","exp":1795349400,"iat":1795348800,"#
                + r#""iss":"11111111-2222-3333-4444-555555555555","jti":"1467814c-19b2-4b44-be88-9cc5d32ab6f2","#
                + r#""nbf":1795348800,"sub":"11111111-2222-3333-4444-555555555555"}"#
        );
        let other = Attempt::new(attempt().time(), [8; 32]);
        assert_ne!(other.uuid(), attempt().uuid());
    }

    #[test]
    fn every_option() {
        let (leaf, ca) = (der(LEAF), der(CA));
        let chain = [ca.as_slice()];
        let assertion = ClientAssertion {
            chain: &chain,
            authority: Authority::China,
            scheme: Scheme::RsaPkcs1Sha256,
            thumbprint: Thumbprint::Sha1,
            send_chain: true,
            ..ClientAssertion::new(Certificate::parse(&leaf).unwrap(), "contoso.com", CLIENT)
        };
        let (header, claims) = values(&assertion).unwrap();
        assert_eq!(
            header,
            json!({"alg": "RS256", "typ": "JWT", "x5t": "8CRAhFnyUhsxuWudILag00rnMvE",
                "x5c": [LEAF, CA]})
        );
        let china = "https://login.partner.microsoftonline.cn/contoso.com/oauth2/v2.0/token";
        assert_eq!(claims["aud"], china);
        for (authority, host) in [
            (Authority::Public, "login.microsoftonline.com"),
            (Authority::UsGovernment, "login.microsoftonline.us"),
            (Authority::Custom("localhost:8443"), "localhost:8443"),
        ] {
            let (_, claims) = values(&ClientAssertion { authority, ..assertion }).unwrap();
            let aud = format!("https://{host}/contoso.com/oauth2/v2.0/token");
            assert_eq!(claims["aud"], aud.as_str());
        }
        // The chain is sent on request only, and the leaf alone where there is no chain.
        let (header, _) = values(&ClientAssertion { send_chain: false, ..assertion }).unwrap();
        assert_eq!(header.get("x5c"), None);
        let (header, _) = values(&ClientAssertion { chain: &[], ..assertion }).unwrap();
        assert_eq!(header["x5c"], json!([LEAF]));
    }

    #[test]
    fn signs_with_the_certified_key_only() {
        let (leaf, ca) = (der(LEAF), der(CA));
        let certificate = Certificate::parse(&leaf).unwrap();
        let assertion = ClientAssertion::new(certificate, TENANT, CLIENT);
        signs_both_ways(&assertion, &StandIn { spki: certificate.spki().to_vec(), len: 256 });
        let mut other = certificate.spki().to_vec();
        // An octet of the modulus.
        other[100] ^= 1;
        for spki in [other, Certificate::parse(&ca).unwrap().spki().to_vec()] {
            let signer = StandIn { spki, len: 256 };
            let e = assertion.sign(&signer, &attempt(), &mut [0; 2048]).unwrap_err();
            assert_eq!((e.kind(), e.field()), (ErrorKind::Mismatch, "certificate"));
        }
    }

    #[test]
    fn validity_is_inclusive() {
        let leaf = der(LEAF);
        let certificate = Certificate::parse(&leaf).unwrap();
        let assertion = ClientAssertion::new(certificate, TENANT, CLIENT);
        let result = |secs| assertion.needed(&at(secs), 256).map_err(|e| (e.kind(), e.help()));
        let (from, to) = (1_767_225_600, 1_798_761_600);
        assert!(result(from).is_ok() && result(to).is_ok());
        for (secs, word) in [(from - 1, "not yet valid"), (to + 1, "expired")] {
            let (kind, help) = result(secs).unwrap_err();
            assert!(kind == ErrorKind::Invalid && help.starts_with(word), "{help}");
        }
    }

    #[test]
    fn schemes() {
        let rsa = |s: Scheme| s.coordinate_len().is_none();
        assert_eq!(ClientAssertion::scheme_for(rsa), Ok(Scheme::RsaPssSha256));
        let old = |s| s == Scheme::RsaPkcs1Sha256;
        assert_eq!(ClientAssertion::scheme_for(old), Ok(Scheme::RsaPkcs1Sha256));
        let e = ClientAssertion::scheme_for(|s| !rsa(s)).unwrap_err();
        assert_eq!((e.kind(), e.field()), (ErrorKind::Unsupported, "key"));
        let (leaf, ca) = (der(LEAF), der(CA));
        let good = ClientAssertion::new(Certificate::parse(&leaf).unwrap(), TENANT, CLIENT);
        for scheme in Scheme::ALL {
            let needed = ClientAssertion { scheme, ..good }.needed(&attempt(), 256);
            assert_eq!(needed.is_ok(), rsa(scheme), "{scheme:?}");
        }
        let ec = ClientAssertion { certificate: Certificate::parse(&ca).unwrap(), ..good };
        let e = ec.needed(&attempt(), 256).unwrap_err();
        assert_eq!((e.kind(), e.field()), (ErrorKind::Unsupported, "certificate"));
    }

    #[test]
    fn refusals() {
        let (leaf, ca) = (der(LEAF), der(CA));
        let good = ClientAssertion::new(Certificate::parse(&leaf).unwrap(), TENANT, CLIENT);
        let field = |assertion: ClientAssertion<'_>| {
            let e = assertion.needed(&attempt(), 256).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid);
            e.field()
        };
        for bad in
            ["", "a/b", "..", ".", "a..b", "a.", "a b", "a%2fb", "a\"", "a\n", "ä", "a?b", "{}"]
        {
            assert_eq!(field(ClientAssertion { tenant: bad, ..good }), "tenant");
            assert_eq!(field(ClientAssertion { client_id: bad, ..good }), "client id");
        }
        for bad in [
            "",
            "https://login.microsoftonline.com",
            "a/b",
            "a@b",
            "a\r\nb",
            "..",
            "a:",
            "a:+1",
            "a:65536",
            "a:1:2",
            ":1",
        ] {
            assert_eq!(
                field(ClientAssertion { authority: Authority::Custom(bad), ..good }),
                "authority"
            );
        }
        let sent = ClientAssertion { send_chain: true, ..good };
        let pem = b"-----BEGIN CERTIFICATE-----";
        let truncated = &ca[..ca.len() - 1];
        for chain in [&[&[][..]], &[&pem[..]], &[truncated], &[leaf.as_slice()]] {
            assert_eq!(field(ClientAssertion { chain, ..sent }), "certificate chain");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_was_given(
            tenant in prop_oneof!["[a-z0-9.-]{0,12}", any::<String>()],
            client_id in prop_oneof!["[A-Z0-9-]{1,12}", any::<String>()],
            host in prop_oneof!["[a-z.]{1,12}", any::<String>()],
            secs in NOW - 1000..NOW + 1000,
        ) {
            let leaf = der(LEAF);
            let assertion = ClientAssertion {
                authority: Authority::Custom(&host),
                ..ClientAssertion::new(Certificate::parse(&leaf).unwrap(), &tenant, &client_id)
            };
            let mut buf = [0; 8192];
            if let Ok(prepared) = assertion.prepare(&at(secs), &mut buf) {
                let message = core::str::from_utf8(prepared.to_sign().1.message().unwrap()).unwrap();
                let claims = jws::testing::text(message.split_once('.').unwrap().1);
                let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
                let aud = format!("https://{host}/{tenant}/oauth2/v2.0/token");
                prop_assert_eq!(&claims["aud"], &aud);
                prop_assert_eq!(&claims["iss"], &client_id);
                prop_assert_eq!(&claims["sub"], &client_id);
                prop_assert_eq!(claims["exp"].as_u64(), Some(secs + 600));
                prop_assert_eq!(claims["nbf"].as_u64(), Some(secs));
                prop_assert!(!aud.contains("/../"));
            }
        }
    }
}
