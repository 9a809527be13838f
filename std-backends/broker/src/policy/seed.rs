//! The request of the `aws-` and `azure-channel-jwt-credential` clients: a JWS under the exported octets.

use aws_lc_rs::hmac;
use cloudauth_core::encode::base64::url_decode_vartime;
use cloudauth_core::json::{self, Value};

use crate::decision::Refusal;
use crate::give::Give;

/// The least life that AWS gives, in seconds.
const LEAST_DURATION: u64 = 900;

/// What such a client asks for. It only says what it expects: the grant decides.
#[derive(Debug)]
pub(super) enum Request {
    Aws { use_assume_role: bool, role_arn: String, duration: u64 },
    Azure { scope: String },
}

/// Why there is no request.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) refusal: Refusal,
    pub(super) reason: &'static str,
}

const fn malformed(reason: &'static str) -> Error {
    Error { refusal: Refusal::Malformed, reason }
}

impl Request {
    /// Verifies `token_jwt` and reads it. The signature says little, since the exported octets are also the
    /// nonce, which stands in the attestation; the attestation's second nonce says that this is the request.
    pub(super) fn verify(token_jwt: &str, exported: &[u8; 32]) -> Result<Self, Error> {
        const PARTS: Error = malformed("expected three parts with dots between (a compact JWS)");
        let (signed, signature) = token_jwt.rsplit_once('.').ok_or(PARTS)?;
        let (header, payload) = signed.split_once('.').ok_or(PARTS)?;
        let signature = decode(signature)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, exported);
        // In constant time.
        hmac::verify(&key, signed.as_bytes(), &signature).map_err(|_| Error {
            refusal: Refusal::ChannelMismatch,
            reason: "the signature is not of this connection's key",
        })?;

        let mut header = decode(header)?;
        let header = json::parse(&mut header).map_err(|_| malformed("the header is no JSON"))?;
        let plain = header.members().all(|(name, value)| match name {
            "alg" => value.as_str() == Some("HS256"),
            "typ" => value.as_str() == Some("JWT"),
            _ => false,
        });
        if !plain || header.get("alg").is_none() {
            return Err(malformed("expected the header {\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
        }
        let mut payload = decode(payload)?;
        let payload = json::parse(&mut payload).map_err(|_| malformed("the payload is no JSON"))?;
        Self::read(&payload)
    }

    fn read(payload: &Value<'_>) -> Result<Self, Error> {
        const AWS: [&str; 6] =
            ["use_assume_role", "access_key_id", "role_arn", "region", "duration", "session_name"];
        const AZURE: [&str; 3] = ["tenant", "appid", "scope"];
        let only = |names: &[&str]| payload.members().all(|(name, _)| names.contains(&name));
        let text = |name: &str| payload.get(name).and_then(|value| value.as_str());
        // What is not used must still be what it should be.
        let unused =
            |names: &[&str]| names.iter().all(|n| payload.get(n).is_none() || text(n).is_some());
        let aws = || {
            let use_assume_role = payload.get("use_assume_role")?.as_bool()?;
            let duration = payload.get("duration")?.as_u64()?;
            let unused = unused(&["access_key_id", "region", "session_name"]);
            let role_arn = text("role_arn")?.to_owned();
            unused.then_some(Self::Aws { use_assume_role, role_arn, duration })
        };
        let azure = || {
            let scope = text("scope")?.to_owned();
            unused(&["tenant", "appid"]).then_some(Self::Azure { scope })
        };
        let request = match (only(&AWS), only(&AZURE)) {
            (true, false) => aws(),
            (false, true) => azure(),
            _ => None,
        };
        request.ok_or(malformed("the payload is neither the AWS nor the Azure client's"))
    }

    /// Whether a grant gives what is asked for, and for how many seconds.
    pub(super) fn fits(&self, give: &Give) -> Result<Option<u32>, &'static str> {
        match self {
            Self::Azure { scope } => match give.azure_scope() {
                Some(own) if own == *scope => Ok(None),
                Some(_) => Err("the client asks for another scope than the grant's"),
                None => Err("the client asks for a token of Azure, and the grant gives another"),
            },
            Self::Aws { use_assume_role, role_arn, duration } => {
                let cap = give.duration().ok_or("the client asks for AWS credentials")?;
                match (use_assume_role, give.role_arn()) {
                    (true, Some(own)) if own == role_arn => {}
                    (true, Some(_)) => {
                        return Err("the client asks for another role than the grant's");
                    }
                    (true, None) => {
                        return Err("the client asks for a role, and the grant has none");
                    }
                    (false, None) => {}
                    (false, Some(_)) => {
                        return Err(
                            "the client asks for the broker's own rights, not for the role",
                        );
                    }
                }
                if !(LEAST_DURATION..=cap.into()).contains(duration) {
                    return Err("the client asks for a shorter or longer life than there is");
                }
                u32::try_from(*duration).map(Some).map_err(|_| "is too long")
            }
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; text.len()];
    let octets = url_decode_vartime(text.as_bytes(), &mut out);
    Ok(octets.map_err(|_| malformed("expected base64url without padding"))?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    const KEY: [u8; 32] = [7; 32];

    fn signed(header: &str, payload: &str) -> String {
        let signed = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
    }

    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    fn aws() -> serde_json::Value {
        json!({"use_assume_role": true, "access_key_id": "", "role_arn": "arn", "region": "us-east-1",
               "duration": 900, "session_name": "s"})
    }

    #[test]
    fn reads_what_the_clients_send() {
        let request = Request::verify(&signed(HEADER, &aws().to_string()), &KEY).unwrap();
        assert!(matches!(request, Request::Aws { use_assume_role: true, duration: 900, .. }));
        for payload in [json!({"scope": "s"}), json!({"tenant": "t", "appid": "a", "scope": "s"})] {
            let request = Request::verify(&signed(HEADER, &payload.to_string()), &KEY).unwrap();
            assert!(matches!(request, Request::Azure { scope } if scope == "s"));
        }
        // Another implementation's.
        let key = jsonwebtoken::EncodingKey::from_secret(&KEY);
        let theirs = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &aws(), &key).unwrap();
        Request::verify(&theirs, &KEY).unwrap();
    }

    #[test]
    fn refuses_everything_else() {
        let good = aws().to_string();
        assert!(Request::verify(&signed(HEADER, &good), &KEY).is_ok());
        let other = Request::verify(&signed(HEADER, &good), &[8; 32]).unwrap_err();
        assert_eq!(other.refusal, Refusal::ChannelMismatch);
        let unsigned = signed(HEADER, &good);
        let unsigned = unsigned.rsplit_once('.').unwrap().0;
        for bad in [format!("{unsigned}."), unsigned.to_owned(), String::new(), "..".into()] {
            assert!(Request::verify(&bad, &KEY).is_err(), "{bad}");
        }
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            "[]",
        ] {
            assert!(Request::verify(&signed(header, &good), &KEY).is_err(), "{header}");
        }
        let mut more = aws();
        more["more"] = json!(1);
        let mut without = aws();
        without.as_object_mut().unwrap().remove("role_arn");
        let mut negative = aws();
        negative["duration"] = json!(-1);
        let mut number = aws();
        number["region"] = json!(1);
        for bad in [more, without, negative, number, json!({}), json!([]), json!({"scope": 1})] {
            let error = Request::verify(&signed(HEADER, &bad.to_string()), &KEY).unwrap_err();
            assert_eq!(error.refusal, Refusal::Malformed, "{bad}");
        }
        let twice = good.replace(r#""duration":900"#, r#""duration":900,"duration":900"#);
        assert!(Request::verify(&signed(HEADER, &twice), &KEY).is_err());
    }
}
