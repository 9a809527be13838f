//! `aws-chunked` bodies: chunks with or without signatures, and a checksum in the trailer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes, BytesMut};
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};

use super::AwsError;
use super::sigv4::Caller;
use crate::clock;
use crate::keys::{hex, sha1, sha256};
use crate::request::Request;

/// The headers in which a checksum of an object comes and goes.
const CHECKSUMS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// An uploaded object, its checksum checked.
pub(super) struct Upload {
    pub(super) body: Bytes,
    pub(super) checksum: Option<(&'static str, String)>,
}

/// The object in the request's body, as `x-amz-content-sha256` says it is packed.
pub(super) fn upload(request: &Request, caller: &Caller) -> Result<Upload, AwsError> {
    // A presigned upload has no such header.
    let kind = request.header("x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
    let (body, trailer) = match kind {
        "UNSIGNED-PAYLOAD" => (request.body.clone(), None),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunks(request, None, true)?,
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunks(request, Some(caller), false)?,
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => chunks(request, Some(caller), true)?,
        hash if hash == hex(&sha256(&request.body)) => (request.body.clone(), None),
        _ => {
            let message =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(AwsError::new(400, "XAmzContentSHA256Mismatch", message));
        }
    };
    let in_header = CHECKSUMS
        .iter()
        .find_map(|name| request.header(name).map(|value| (*name, value.to_owned())));
    let checksum = in_header.or(trailer);
    if let Some((name, value)) = &checksum
        && *value != compute(name, &body)
    {
        return Err(AwsError::new(
            400,
            "BadDigest",
            format!("The {name} you specified did not match the calculated checksum."),
        ));
    }
    Ok(Upload { body, checksum })
}

fn compute(name: &str, body: &[u8]) -> String {
    STANDARD.encode(match name {
        "x-amz-checksum-crc32" => {
            Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(body).to_be_bytes().to_vec()
        }
        "x-amz-checksum-crc32c" => {
            Crc::<u32>::new(&CRC_32_ISCSI).checksum(body).to_be_bytes().to_vec()
        }
        "x-amz-checksum-crc64nvme" => {
            Crc::<u64>::new(&CRC_64_NVME).checksum(body).to_be_bytes().to_vec()
        }
        "x-amz-checksum-sha1" => sha1(body),
        _ => sha256(body),
    })
}

fn malformed(what: &str) -> AwsError {
    AwsError::new(400, "IncompleteBody", format!("The aws-chunked body is malformed: {what}."))
}

fn mismatch() -> AwsError {
    AwsError::new(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.",
    )
}

/// Takes one line, without its end.
fn line(rest: &mut Bytes) -> Result<String, AwsError> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or_else(|| malformed("line"))?;
    let line = rest.split_to(end);
    rest.advance(2);
    String::from_utf8(line.to_vec()).map_err(|_| malformed("line"))
}

type Unpacked = (Bytes, Option<(&'static str, String)>);

/// Unpacks the chunks; each must carry the signature that follows from the one before it, unless
/// there is no `signer`.
fn chunks(request: &Request, signer: Option<&Caller>, trailer: bool) -> Result<Unpacked, AwsError> {
    let mut rest = request.body.clone();
    let mut body = BytesMut::new();
    let mut previous = signer.map(|s| s.signed.signature.clone()).unwrap_or_default();
    let mut check = |what: &str, claimed: Option<&str>, hashes: &str| {
        let Some(signer) = signer else { return Ok(()) };
        let time = clock::basic(signer.signed.time);
        let text =
            format!("AWS4-HMAC-SHA256-{what}\n{time}\n{}\n{previous}\n{hashes}", signer.scope());
        let ours = signer.sign_chunk(&text);
        if claimed != Some(ours.as_str()) {
            return Err(mismatch());
        }
        previous = ours;
        Ok(())
    };
    let nothing = hex(&sha256(b""));
    loop {
        let head = line(&mut rest)?;
        let (size, extension) = head.split_once(';').unwrap_or((&head, ""));
        let size = usize::from_str_radix(size, 16).map_err(|_| malformed("chunk size"))?;
        if rest.len() < size {
            return Err(malformed("a chunk ends early"));
        }
        let chunk = rest.split_to(size);
        let claimed = extension.strip_prefix("chunk-signature=");
        check("PAYLOAD", claimed, &format!("{nothing}\n{}", hex(&sha256(&chunk))))?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(&chunk);
        if !line(&mut rest)?.is_empty() {
            return Err(malformed("a chunk is longer than it says"));
        }
    }
    let mut checksum = None;
    let mut signed = String::new();
    let mut signature = None;
    while !rest.is_empty() {
        let text = line(&mut rest)?;
        let Some((name, value)) = text.split_once(':') else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == "x-amz-trailer-signature" {
            signature = Some(value);
            continue;
        }
        signed.push_str(&format!("{name}:{value}\n"));
        if let Some(known) = CHECKSUMS.iter().find(|known| **known == name) {
            checksum = Some((*known, value));
        }
    }
    if trailer {
        check("TRAILER", signature.as_deref(), &hex(&sha256(signed.as_bytes())))?;
        let announced = request.header("x-amz-trailer").map(str::to_ascii_lowercase);
        if announced.as_deref() != checksum.as_ref().map(|(name, _)| *name) {
            return Err(malformed("the trailer is not the one that x-amz-trailer names"));
        }
    }
    let length = request.header("x-amz-decoded-content-length").and_then(|text| text.parse().ok());
    if length != Some(body.len()) {
        return Err(malformed("x-amz-decoded-content-length is another"));
    }
    Ok((body.freeze(), checksum))
}
