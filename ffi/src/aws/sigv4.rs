//! Signature Version 4.

use core::ptr;

use cloudauth_core::aws::SigningKey;
use cloudauth_core::aws::sigv4::{HeaderList, Payload, Request, Settings, SigV4};
use cloudauth_core::{Error, Out, UnixTime};

use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::call::{Cx, Outcome, Output, fill, run, unused, zeroed};
use crate::handle::{self, Handle};
use crate::http::CLOUDAUTH_MAX_HEADERS;
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
            handle::make(cx, key, SigningKey::unset(), |key| key.renew(&mac, time, region, service))
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

/// The caller's headers, that were looked at.
struct Headers<'a> {
    cx: &'a Cx,
    list: (*const cloudauth_pair, usize),
}

impl Headers<'_> {
    fn check(&self) -> Outcome {
        self.cx.each(self.list, "headers", &mut |pair: cloudauth_pair| {
            self.cx.text(pair.name, "headers")?;
            self.cx.text(pair.value, "headers").map(|_| ())
        })
    }
}

impl HeaderList for Headers<'_> {
    fn count(&self) -> usize {
        self.list.1
    }

    fn get(&self, index: usize) -> (&[u8], &[u8]) {
        let pair = self.cx.nth(self.list, index);
        pair.map_or((&[], &[]), |pair| (self.cx.seen(pair.name), self.cx.seen(pair.value)))
    }
}

/// Reads the parameters, and calls `then` with the core's form of them.
#[inline(always)]
fn with(
    cx: &Cx,
    params: *const cloudauth_sigv4_params,
    request: *const cloudauth_sigv4_request,
    time: i64,
    then: impl FnOnce(&SigV4<'_>, &Request<'_>, &Headers<'_>, UnixTime) -> Outcome<usize>,
) -> Outcome<usize> {
    let sigv4 = signer(cx, params)?;
    let mut headers = Headers { cx, list: (ptr::null(), 0) };
    let mut made =
        Request { method: "", path: "", query: "", headers: &[], payload: Payload::Bytes(&[]) };
    self::request(cx, request, &mut made, &mut headers)?;
    then(&sigv4, &made, &headers, cx.time(time)?)
}

// These two are not inlined: what they read need not lie on the stack while the request is signed.

#[inline(never)]
fn signer(cx: &Cx, params: *const cloudauth_sigv4_params) -> Outcome<SigV4<'_>> {
    let mut copy = zeroed::<cloudauth_sigv4_params>();
    cx.read_to(params, &mut copy, "params")?;
    copy.read(cx)
}

#[inline(never)]
fn request<'a>(
    cx: &'a Cx,
    request: *const cloudauth_sigv4_request,
    made: &mut Request<'a>,
    headers: &mut Headers<'a>,
) -> Outcome {
    let mut copy = zeroed::<cloudauth_sigv4_request>();
    cx.read_to(request, &mut copy, "request")?;
    let request = &copy;
    unused(request.reserved)?;
    let payload = cx.bytes(request.payload, "payload")?;
    made.payload = match (request.payload_kind, payload) {
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
    cx.check(request.headers, request.header_count, "headers")?;
    if request.header_count > CLOUDAUTH_MAX_HEADERS as usize {
        return Err(Fault::capacity("headers"));
    }
    headers.list = (request.headers, request.header_count);
    headers.check()?;
    made.method = cx.text(request.method, "method")?;
    made.path = cx.text(request.path, "path")?;
    made.query = cx.text(request.query, "query")?;
    Ok(())
}

/// No request with these parameters needs a larger buffer for its headers: for a cheap look at whether
/// there is room, since to know it exactly takes as long as to put the headers in order.
fn bound(sigv4: &SigV4<'_>, headers: &Headers<'_>) -> usize {
    let token = sigv4.session_token.map_or(0, str::len);
    let names = (0..headers.count()).map(|index| headers.get(index).0.len() + 1);
    // The fixed texts have less than 420 octets, and a scope has at most 96.
    let fixed = 420 + 96 + sigv4.access_key_id.len();
    names.fold(fixed.saturating_add(token), usize::saturating_add)
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
            with(cx, params, request, time, |sigv4, request, headers, time| {
                if buf.is_empty() {
                    let bound = bound(sigv4, headers);
                    if bound <= cx.cap() {
                        return Err(Error::too_small("header buffer", bound).into());
                    }
                }
                let mut out = Out::new(buf);
                let start = sigv4.sign_onto(request, Some(headers), time, &mut out)?;
                let head: &[u8] = out.finish()?;
                let behind = |start| cloudauth_bytes::of(head.get(start..).unwrap_or_default());
                let value = cloudauth_sigv4_signed {
                    size: 0,
                    headers: cloudauth_bytes::of(head),
                    authorization: behind(start),
                    signature: behind(head.len().saturating_sub(64)),
                };
                cx.write(signed, &value);
                Ok(head.len())
            })
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
            with(cx, params, request, time, |sigv4, request, headers, time| {
                Ok(sigv4.presign_list(request, Some(headers), time, expires, buf)?.len())
            })
        })
    }
}
