//! Requests to send and the heads of answers.

use cloudauth_core::{HttpRequest, ResponseHead};

use crate::bytes::{cloudauth_bytes, cloudauth_pair};
use crate::call::{Cx, Outcome, Output, fill, run};
use crate::result::{
    CLOUDAUTH_ERR_NOT_FOUND, CLOUDAUTH_ERR_UTF8, Fault, cloudauth_error, cloudauth_result,
};

/// A request, ready to send over TLS to `host`. Everything points into the buffer it was built in,
/// but for the method, which is static.
///
/// `Host` and `Content-Length` are not among the headers: HTTP libraries write them by themselves,
/// and cloudauth_http1_write adds them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_request {
    /// sizeof(cloudauth_request)
    pub size: usize,
    /// "GET", "POST", "PUT".
    pub method: cloudauth_bytes,
    /// The value of `Host`: a name, with a port unless it is 443.
    pub host: cloudauth_bytes,
    /// Path and query, as they go on the request line.
    pub target: cloudauth_bytes,
    /// The further headers: lines "Name: value" with CR LF between them, none at the end. See
    /// cloudauth_header_at.
    pub headers: cloudauth_bytes,
    /// The body; empty for a GET.
    pub body: cloudauth_bytes,
}

impl cloudauth_request {
    pub(crate) fn of(request: &HttpRequest<'_>) -> Self {
        Self {
            size: 0,
            method: cloudauth_bytes::text(request.method()),
            host: cloudauth_bytes::text(request.host()),
            target: cloudauth_bytes::text(request.target()),
            headers: cloudauth_bytes::text(request.head()),
            body: cloudauth_bytes::of(request.body()),
        }
    }
}

/// Status and headers of an answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_response_head {
    /// sizeof(cloudauth_response_head)
    pub size: usize,
    /// The HTTP status: 100 to 999.
    pub status: u32,
    /// Name and value of each header, as received. Those that are not UTF-8 are passed over.
    pub headers: *const cloudauth_pair,
    /// How many there are: at most CLOUDAUTH_MAX_HEADERS.
    pub header_count: usize,
}

/// The most headers of an answer, and of a request that is signed with Signature Version 4.
pub const CLOUDAUTH_MAX_HEADERS: u32 = 128;

/// How many of them take less room on the stack.
pub(crate) const FEW_HEADERS: usize = 16;

/// What is done with headers.
type WithHeaders<'t> = &'t mut dyn FnMut(&[(&str, &str)]) -> Outcome;

/// Reads headers: a few in little room on the stack, more in more. Those of an answer that are not
/// UTF-8 become empty, since nobody here could have written them otherwise.
pub(crate) fn with_headers(
    cx: &Cx,
    list: (*const cloudauth_pair, usize),
    answer: bool,
    then: WithHeaders<'_>,
) -> Outcome {
    #[inline(never)]
    fn within<const N: usize>(
        cx: &Cx,
        list: (*const cloudauth_pair, usize),
        answer: bool,
        then: WithHeaders<'_>,
    ) -> Outcome {
        let mut space = [("", ""); N];
        let read = |pair| match cx.pair(pair, "headers") {
            Err(fault) if answer && fault.result() == CLOUDAUTH_ERR_UTF8 => Ok(("", "")),
            read => read,
        };
        then(cx.list(list, "headers", &mut space, read)?)
    }
    match list.1 {
        0..=FEW_HEADERS => within::<FEW_HEADERS>(cx, list, answer, then),
        _ => within::<{ CLOUDAUTH_MAX_HEADERS as usize }>(cx, list, answer, then),
    }
}

/// Calls `then` with the core's form of the head.
pub(crate) fn with_head(
    cx: &Cx,
    head: *const cloudauth_response_head,
    then: &mut dyn FnMut(&ResponseHead<'_>) -> Outcome,
) -> Outcome {
    let head = cx.read(head, "head")?;
    let status = u16::try_from(head.status).ok().filter(|status| (100..=999).contains(status));
    let status = status.ok_or(Fault::number("status"))?;
    with_headers(cx, (head.headers, head.header_count), true, &mut |headers| {
        then(&ResponseHead { status, headers })
    })
}

/// Gives name and value of the header at `index`, counted from 0, of `headers`: the lines of a
/// cloudauth_request or cloudauth_sigv4_signed.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND after the last one; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_header_at(
    headers: cloudauth_bytes,
    index: usize,
    header: *mut cloudauth_pair,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(header, "header")?;
            let lines = cx.text(headers, "headers")?.split("\r\n");
            let found = lines.filter_map(|line| line.split_once(": ")).nth(index);
            let (name, value) = found.ok_or(Fault::new(
                CLOUDAUTH_ERR_NOT_FOUND,
                "header",
                "there is none so far on",
            ))?;
            let name = cloudauth_bytes::text(name);
            cx.update(header, cloudauth_pair { name, value: cloudauth_bytes::text(value) });
            Ok(())
        })
    }
}

/// Writes the whole request in HTTP/1.1 (RFC 9112), with `Host` first and, unless it is a GET,
/// `Content-Length` last: for whoever has a TLS connection but no HTTP library. `out` must not be
/// the buffer that the request was built in.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID for a request
/// without method, host or target, or with a line end where none may be; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_http1_write(
    request: *const cloudauth_request,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let request = cx.read(request, "request")?;
            let request = HttpRequest::from_parts(
                cx.text(request.method, "method")?,
                cx.text(request.host, "host")?,
                cx.text(request.target, "target")?,
                cx.text(request.headers, "headers")?,
                cx.bytes(request.body, "body")?,
            )?;
            Ok(request.write_http1(buf)?.len())
        })
    }
}
