//! Signature Version 4.

use core::mem::ManuallyDrop;

use cloudauth_core::aws::SigningKey;
use cloudauth_core::aws::sigv4::{Payload, Request, Settings, SigV4};
use cloudauth_core::{Error, UnixTime};

use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::call::{Cx, Outcome, Output, fill, run, unused};
use crate::handle::{self, Handle};
use crate::http::with_headers;
use crate::result::{Fault, cloudauth_error, cloudauth_result};
use crate::signer::{ExternalMac, cloudauth_mac};

/// A derived signing key: good for one UTC day, one region and one service. Making it costs more
/// than half of a signature, so keep it for the day. May be used by several threads at once. Wipe
/// it with cloudauth_sigv4_key_wipe.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sigv4_key {
    /// Opaque.
    pub reserved: [u64; 56],
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_sigv4_key {
    type Value = SigningKey;
    const TAG: u64 = u64::from_le_bytes(*b"sigv4key");
}

const _: () = assert!(handle::fits::<cloudauth_sigv4_key>());

/// Derives the key for the UTC day of `time` (seconds since 1970), a region and a service ("s3",
/// "sts"). `mac` holds "AWS4" and the secret access key; it is asked once.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a region or service that cannot be one, and for
/// a time outside 1970 to 9999; CLOUDAUTH_ERR_CAPACITY if they are longer than 70 octets together;
/// CLOUDAUTH_ERR_SIGNER; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE,
/// CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sigv4_key_derive(
    key: *mut cloudauth_sigv4_key,
    mac: *const cloudauth_mac,
    time: i64,
    region: cloudauth_bytes,
    service: cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            handle::clear(cx, key, "key")?;
            let mac = ExternalMac::new(cx, mac)?;
            let (region, service) = (cx.text(region, "region")?, cx.text(service, "service")?);
            let time = cx.time(time)?;
            let mut made = ManuallyDrop::new(SigningKey::derive(&mac, time, region, service));
            handle::set(cx, key, &mut made)
        })
    }
}

/// Tells whether the key is good at `time`, in seconds since 1970: `*covers` is 1 on the same UTC
/// day, else 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a time outside 1970 to 9999;
/// CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sigv4_key_covers(
    key: *const cloudauth_sigv4_key,
    time: i64,
    covers: *mut u32,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(covers, "covers")?;
            cx.update(covers, handle::get(cx, key, "key")?.covers(cx.time(time)?).into());
            Ok(())
        })
    }
}

/// Wipes the key; NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sigv4_key_wipe(key: *mut cloudauth_sigv4_key) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(key) }
}

/// Take the path as it is: do not resolve "." and "..".
pub const CLOUDAUTH_SIGV4_KEEP_PATH: u32 = 1;
/// Do not percent-encode the path once more.
pub const CLOUDAUTH_SIGV4_ENCODE_ONCE: u32 = 2;
/// Add X-Amz-Content-Sha256.
pub const CLOUDAUTH_SIGV4_CONTENT_SHA256: u32 = 4;
/// Add the session token after signing, without signing it.
pub const CLOUDAUTH_SIGV4_TOKEN_AFTER_SIGNING: u32 = 8;
/// What S3 wants: the first three. Every other service wants 0.
pub const CLOUDAUTH_SIGV4_S3: u32 = 7;

/// Who signs, with which key, and how.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sigv4_params {
    /// sizeof(cloudauth_sigv4_params)
    pub size: usize,
    /// The access key id.
    pub access_key_id: cloudauth_bytes,
    /// The session token of temporary credentials; empty for none.
    pub session_token: cloudauth_bytes,
    /// The key derived for the day, the region and the service.
    pub key: *const cloudauth_sigv4_key,
    /// CLOUDAUTH_SIGV4_S3 for S3, 0 for every other service, or a sum of CLOUDAUTH_SIGV4_*.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

impl cloudauth_sigv4_params {
    pub(super) fn read<'a>(&self, cx: &'a Cx) -> Outcome<SigV4<'a>> {
        unused(self.reserved)?;
        const ALL: u32 = CLOUDAUTH_SIGV4_S3 | CLOUDAUTH_SIGV4_TOKEN_AFTER_SIGNING;
        if self.flags & !ALL != 0 {
            return Err(Fault::number("flags"));
        }
        let has = |flag| self.flags & flag != 0;
        Ok(SigV4 {
            session_token: cx.optional(self.session_token, "session token")?,
            settings: Settings {
                normalize_path: !has(CLOUDAUTH_SIGV4_KEEP_PATH),
                double_encode: !has(CLOUDAUTH_SIGV4_ENCODE_ONCE),
                content_sha256_header: has(CLOUDAUTH_SIGV4_CONTENT_SHA256),
                session_token_after_signing: has(CLOUDAUTH_SIGV4_TOKEN_AFTER_SIGNING),
            },
            ..SigV4::new(
                cx.text(self.access_key_id, "access key id")?,
                handle::get(cx, self.key, "signing key")?,
            )
        })
    }
}

/// `payload` is the body; it is hashed here.
pub const CLOUDAUTH_SIGV4_PAYLOAD_BYTES: u32 = 0;
/// `payload` is the SHA-256 of the body: 32 octets.
pub const CLOUDAUTH_SIGV4_PAYLOAD_SHA256: u32 = 1;
/// The body is not signed (UNSIGNED-PAYLOAD), as S3 accepts over TLS.
pub const CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED: u32 = 2;
/// The body comes in chunks with a checksum behind (STREAMING-UNSIGNED-PAYLOAD-TRAILER).
pub const CLOUDAUTH_SIGV4_PAYLOAD_STREAMING: u32 = 3;

/// The request to sign. Nothing of it is copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sigv4_request {
    /// sizeof(cloudauth_sigv4_request)
    pub size: usize,
    /// The method, in upper case.
    pub method: cloudauth_bytes,
    /// The path as on the request line, without the query.
    pub path: cloudauth_bytes,
    /// The query without its "?"; empty for none.
    pub query: cloudauth_bytes,
    /// Every header that is sent, Host among them.
    pub headers: *const cloudauth_pair,
    /// How many there are: at most CLOUDAUTH_MAX_HEADERS.
    pub header_count: usize,
    /// The body, or its digest: see `payload_kind`.
    pub payload: cloudauth_bytes,
    /// CLOUDAUTH_SIGV4_PAYLOAD_*.
    pub payload_kind: u32,
    /// 0.
    pub reserved: u32,
}

/// The headers to add to a request that was signed. They replace the request's headers of these
/// names.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_sigv4_signed {
    /// sizeof(cloudauth_sigv4_signed)
    pub size: usize,
    /// Lines "name: value" with CR LF between them, none at the end, Authorization last. See
    /// cloudauth_header_at.
    pub headers: cloudauth_bytes,
    /// The value of Authorization.
    pub authorization: cloudauth_bytes,
    /// The signature: 64 hexadecimal digits.
    pub signature: cloudauth_bytes,
}

/// Reads the parameters, and calls `then` with the core's form of them.
fn with(
    cx: &Cx,
    params: *const cloudauth_sigv4_params,
    request: *const cloudauth_sigv4_request,
    time: i64,
    then: &mut dyn FnMut(&SigV4<'_>, &Request<'_>, UnixTime) -> Outcome,
) -> Outcome {
    let params = cx.read(params, "params")?;
    let request = cx.read(request, "request")?;
    unused(request.reserved)?;
    let payload = cx.bytes(request.payload, "payload")?;
    let payload = match (request.payload_kind, payload) {
        (CLOUDAUTH_SIGV4_PAYLOAD_BYTES, bytes) => Payload::Bytes(bytes),
        (CLOUDAUTH_SIGV4_PAYLOAD_SHA256, digest) => {
            Payload::Sha256(digest.try_into().map_err(|_| Fault::length("payload"))?)
        }
        (CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED, []) => Payload::Unsigned,
        (CLOUDAUTH_SIGV4_PAYLOAD_STREAMING, []) => Payload::StreamingUnsignedTrailer,
        (CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED | CLOUDAUTH_SIGV4_PAYLOAD_STREAMING, _) => {
            return Err(Error::invalid("payload", "must be empty where it is not signed").into());
        }
        _ => return Err(Fault::number("payload_kind")),
    };
    let method = cx.text(request.method, "method")?;
    let (path, query) = (cx.text(request.path, "path")?, cx.text(request.query, "query")?);
    let (sigv4, time) = (params.read(cx)?, cx.time(time)?);
    with_headers(cx, (request.headers, request.header_count), false, &mut |headers| {
        then(&sigv4, &Request { method, path, query, headers, payload }, time)
    })
}

/// No request with these parameters needs a larger buffer: for a cheap look at whether there is
/// room, since to know it exactly takes as long as signing.
fn bound(sigv4: &SigV4<'_>, request: &Request<'_>) -> usize {
    let names = request.headers.iter().map(|(name, _)| name.len() + 1);
    let token =
        sigv4.session_token.map_or(0, |token| token.len().saturating_mul(3).saturating_add(24));
    let texts = [sigv4.access_key_id.len().saturating_mul(3), sigv4.key.scope().len() * 3, token];
    let target = [request.path.len(), request.query.len()];
    // The fixed texts of either form have less than 420 octets.
    let parts = names.chain(texts).chain(target);
    parts.fold(420_usize, usize::saturating_add)
}

/// For the first look of `fill`: claims that the bound is needed, if there is so much.
fn roomy(cx: &Cx, sigv4: &SigV4<'_>, request: &Request<'_>, buf: &[u8]) -> Outcome {
    let bound = bound(sigv4, request);
    match buf.is_empty() && bound <= cx.cap() {
        true => Err(Error::too_small("header buffer", bound).into()),
        false => Ok(()),
    }
}

/// Signs a request in its headers. `*signed` points into `out`, of which `*len` octets are used.
/// `time` is in seconds since 1970.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID for a part of the
/// request that cannot be signed; CLOUDAUTH_ERR_MISMATCH if the key is of another day;
/// CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_CAPACITY; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UNKNOWN_NUMBER,
/// CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sigv4_sign(
    params: *const cloudauth_sigv4_params,
    request: *const cloudauth_sigv4_request,
    time: i64,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    signed: *mut cloudauth_sigv4_signed,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            cx.clear(signed, "signed")?;
            let mut written = 0;
            with(cx, params, request, time, &mut |sigv4, request, time| {
                roomy(cx, sigv4, request, buf)?;
                let made = sigv4.sign(request, time, buf)?;
                written = made.head().len();
                // Authorization is the last line. Octets are split with far less code than text.
                let line = made.head().as_bytes().rsplit(|octet| *octet == b'\n').next();
                let value = line.and_then(|line| line.get("Authorization: ".len()..));
                let value = cloudauth_sigv4_signed {
                    size: 0,
                    headers: cloudauth_bytes::text(made.head()),
                    authorization: cloudauth_bytes::of(value.unwrap_or_default()),
                    signature: cloudauth_bytes::text(made.signature()),
                };
                cx.write(signed, &value);
                Ok(())
            })?;
            Ok(written)
        })
    }
}

/// Signs a request in its query: path and query of a presigned URL, that is good for `expires`
/// seconds (1 to 604800), are in `out`, `*len` octets. `time` is in seconds since 1970.
///
/// @return As cloudauth_sigv4_sign; CLOUDAUTH_ERR_INVALID also for a query that is already signed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_sigv4_presign(
    params: *const cloudauth_sigv4_params,
    request: *const cloudauth_sigv4_request,
    time: i64,
    expires: u32,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let mut written = 0;
            with(cx, params, request, time, &mut |sigv4, request, time| {
                written = sigv4.presign(request, time, expires, buf)?.len();
                Ok(())
            })?;
            Ok(written)
        })
    }
}
