//! The same request, signed by the crate aws-sigv4.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use cloudauth_core::UnixTime;

use super::{ID, SECRET};
use crate::error::CliError;

/// What is signed.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// None: the payload is not signed.
    pub(super) body: Option<&'a [u8]>,
}

impl Request<'_> {
    /// A request without a body.
    pub(super) const GET: Self = Self { method: "GET", url: "", headers: &[], body: None };

    /// The signature, for S3 by its rules; `presigned` for one hour in the query.
    pub(super) fn signature(
        &self,
        now: UnixTime,
        region: &str,
        service: &str,
        presigned: bool,
    ) -> Result<String, CliError> {
        let mut settings = SigningSettings::default();
        if presigned {
            settings.expires_in = Some(Duration::from_secs(3600));
            settings.signature_location = SignatureLocation::QueryParams;
        }
        if service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            if !presigned {
                settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            }
        }
        let failed =
            |what: &dyn core::fmt::Display| CliError::Key(format!("demo: aws-sigv4: {what}"));
        let identity = Credentials::new(ID, SECRET, None, None, "demo").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs()))
            .settings(settings)
            .build()
            .map_err(|e| failed(&e))?
            .into();
        let body = self.body.map_or(SignableBody::UnsignedPayload, SignableBody::Bytes);
        let headers = self.headers.iter().copied();
        let request = SignableRequest::new(self.method, self.url, headers, body);
        let signed = sign(request.map_err(|e| failed(&e))?, &params).map_err(|e| failed(&e))?;
        Ok(signed.signature().to_owned())
    }
}
