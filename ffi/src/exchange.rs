//! The shape of all flows: parameters in, request or token out, answer in, output out. Each
//! exported function of a flow is one line that calls one of these.

use core::mem::ManuallyDrop;

use cloudauth_core::{Assertion, Exchange, Failure, HttpRequest, ResponseHead, ServiceError};

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, InPlace, Outcome, Output, fill, run, run_in_place, zeroed};
use crate::handle;
use crate::http::{cloudauth_request, cloudauth_response_head, with_head};
use crate::layout::Struct;
use crate::prepared::{State, cloudauth_prepared};
use crate::result::{CLOUDAUTH_ERR_SERVICE, Fault, cloudauth_error, cloudauth_result};
use crate::signer::{External, cloudauth_signer};

/// What a flow must be told because this library reads no clock and no random source. Make a new
/// one for every try: token ids, salts and retry tokens come from it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_attempt {
    /// sizeof(cloudauth_attempt)
    pub size: usize,
    /// The present time in seconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// 32 fresh octets of the system's random source. All zeros are refused.
    pub random: [u8; 32],
}

/// A service's refusal, in its own words. The texts point into the body or the headers of the answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_refusal {
    /// sizeof(cloudauth_refusal)
    pub size: usize,
    /// The HTTP status.
    pub status: u32,
    /// 1 if the same request may succeed later (throttling, a failure of the server), else 0.
    pub transient: u32,
    /// The error's name ("AccessDeniedException", "invalid_client"); empty if there is none.
    pub code: cloudauth_bytes,
    /// The service's text for people; empty if there is none.
    pub message: cloudauth_bytes,
}

impl cloudauth_refusal {
    fn of(error: &ServiceError<'_>) -> Self {
        Self {
            size: 0,
            status: error.status.into(),
            transient: error.is_transient().into(),
            code: cloudauth_bytes::text(error.code),
            message: cloudauth_bytes::text(error.message),
        }
    }
}

/// The parameters of a flow, and how the core calls them.
pub(crate) trait Parameters: Struct {
    type Flow<'a>;

    /// Calls `then` with the core's form of these parameters.
    fn with(&self, cx: &Cx, then: &mut dyn FnMut(&Self::Flow<'_>) -> Outcome) -> Outcome;
}

/// A flow that ends with an answer.
pub(crate) trait Answer: Parameters
where
    for<'a> Self::Flow<'a>: Exchange,
{
    type Output: Struct;

    fn output<'a, 'b>(output: <Self::Flow<'a> as Exchange>::Output<'b>) -> Self::Output;
}

/// `…_needed` of an exchange.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn needed<P: Parameters>(
    params: *const P,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        measure(params, at, signature_len, len, error, &|flow: &P::Flow<'_>, at, signature_len| {
            Ok(flow.needed(at, signature_len)?)
        })
    }
}

/// `…_needed` of an assertion.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn jws_needed<P: Parameters>(
    params: *const P,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Assertion,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        measure(params, at, signature_len, len, error, &|flow: &P::Flow<'_>, at, signature_len| {
            Ok(flow.needed(at, signature_len)?)
        })
    }
}

type Measure<'m, P> =
    &'m dyn Fn(&<P as Parameters>::Flow<'_>, &cloudauth_core::Attempt, usize) -> Outcome<usize>;

/// # Safety
/// All pointers are as the header says.
unsafe fn measure<P: Parameters>(
    params: *const P,
    at: *const cloudauth_attempt,
    signature_len: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
    size: Measure<'_, P>,
) -> cloudauth_result {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        run(error, &mut |cx| {
            cx.put(len, "len")?;
            // Above this nothing is a signature, and sums below cannot overflow.
            if signature_len > 1 << 20 {
                return Err(Fault::length("signature_len"));
            }
            let mut copy = zeroed::<P>();
            cx.read_to(params, &mut copy, "params")?;
            let params = &copy;
            let at = cx.attempt(at)?;
            params.with(cx, &mut |flow| {
                cx.update(len, size(flow, &at, signature_len)?);
                Ok(())
            })
        })
    }
}

/// `…_request` of an exchange whose parameters say whether it has a signer.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn request<P: Parameters>(
    params: *const P,
    signer: *const cloudauth_signer,
    at: *const cloudauth_attempt,
    output: Output,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    let signer = if signer.is_null() { None } else { Some(signer) };
    // SAFETY: the caller's promise is passed on.
    unsafe { make(params, signer, at, output, request, error) }
}

/// Makes a request. Without a signer, it must need none.
///
/// # Safety
/// All pointers are as the header says.
// Inlined, so that flows without a signer do not link what signs.
#[inline(always)]
unsafe fn make<P: Parameters>(
    params: *const P,
    signer: Option<*const cloudauth_signer>,
    at: *const cloudauth_attempt,
    output: Output,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        fill(output, error, &mut |cx, buf| {
            cx.clear(request, "request")?;
            let mut copy = zeroed::<P>();
            cx.read_to(params, &mut copy, "params")?;
            let params = &copy;
            let at = cx.attempt(at)?;
            let signer = match signer {
                None => None,
                Some(signer) => Some(External::new(cx, signer)?),
            };
            let len = buf.len();
            let mut buf = Some(buf);
            params.with(cx, &mut |flow| {
                let buf = buf.take().ok_or(Fault::internal())?;
                let made: HttpRequest<'_> = match &signer {
                    Some(signer) => flow.request(signer, &at, buf)?,
                    None => flow.build(&at, buf)?,
                };
                cx.write(request, &cloudauth_request::of(&made));
                Ok(())
            })?;
            Ok(len)
        })
    }
}

/// `…_request` of an exchange that always has a signer.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn request_signed<P: Parameters>(
    params: *const P,
    signer: *const cloudauth_signer,
    at: *const cloudauth_attempt,
    output: Output,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    // SAFETY: the caller's promise is passed on.
    unsafe { make(params, Some(signer), at, output, request, error) }
}

/// `…_request` of an exchange that never has one.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn request_unsigned<P: Parameters>(
    params: *const P,
    at: *const cloudauth_attempt,
    output: Output,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    // SAFETY: the caller's promise is passed on.
    unsafe { make(params, None, at, output, request, error) }
}

/// `…_prepare` of an exchange.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn prepare<P: Parameters>(
    params: *const P,
    at: *const cloudauth_attempt,
    output: Output,
    prepared: *mut cloudauth_prepared,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        fill(output, error, &mut |cx, buf| {
            handle::clear(cx, prepared, "prepared")?;
            let mut copy = zeroed::<P>();
            cx.read_to(params, &mut copy, "params")?;
            let params = &copy;
            let at = cx.attempt(at)?;
            let len = buf.len();
            let mut buf = Some(buf);
            params.with(cx, &mut |flow| {
                let buf = buf.take().ok_or(Fault::internal())?;
                let made = flow.prepare(&at, buf).map(|made| State::request(made, output.ptr, len));
                handle::set(cx, prepared, &mut ManuallyDrop::new(made))
            })?;
            Ok(len)
        })
    }
}

/// `…_prepare` of an assertion.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn jws_prepare<P: Parameters>(
    params: *const P,
    at: *const cloudauth_attempt,
    output: Output,
    prepared: *mut cloudauth_prepared,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Assertion,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        fill(output, error, &mut |cx, buf| {
            handle::clear(cx, prepared, "prepared")?;
            let mut copy = zeroed::<P>();
            cx.read_to(params, &mut copy, "params")?;
            let params = &copy;
            let at = cx.attempt(at)?;
            let len = buf.len();
            let mut buf = Some(buf);
            params.with(cx, &mut |flow| {
                let buf = buf.take().ok_or(Fault::internal())?;
                let made = flow.prepare(&at, buf).map(|made| State::jws(made, output.ptr, len));
                handle::set(cx, prepared, &mut ManuallyDrop::new(made))
            })?;
            Ok(len)
        })
    }
}

/// `…_sign` of an assertion.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn sign<P: Parameters>(
    params: *const P,
    signer: *const cloudauth_signer,
    at: *const cloudauth_attempt,
    output: Output,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Assertion,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        fill(output, error, &mut |cx, buf| {
            let mut copy = zeroed::<P>();
            cx.read_to(params, &mut copy, "params")?;
            let params = &copy;
            let at = cx.attempt(at)?;
            let signer = External::new(cx, signer)?;
            let mut len = 0;
            let mut buf = Some(buf);
            params.with(cx, &mut |flow| {
                let buf = buf.take().ok_or(Fault::internal())?;
                len = flow.sign(&signer, &at, buf)?.len();
                Ok(())
            })?;
            Ok(len)
        })
    }
}

/// `…_response` of an exchange.
///
/// # Safety
/// All pointers are as the header says.
pub(crate) unsafe fn response<P: Answer>(
    params: *const P,
    head: *const cloudauth_response_head,
    body: InPlace,
    output: *mut P::Output,
    refusal: *mut cloudauth_refusal,
    error: *mut cloudauth_error,
) -> cloudauth_result
where
    for<'a> P::Flow<'a>: Exchange,
{
    // SAFETY: the caller's promise is passed on.
    unsafe {
        run_in_place(body, error, &mut |cx, body| {
            let claimed = cx.clear(output, "output");
            if !refusal.is_null() {
                cx.clear(refusal, "refusal")?;
            }
            claimed?;
            let mut copy = zeroed::<P>();
            cx.read_to(params, &mut copy, "params")?;
            let params = &copy;
            let mut body = Some(body);
            with_head(cx, head, &mut |head: &ResponseHead<'_>| {
                params.with(cx, &mut |flow| {
                    let body = body.take().ok_or(Fault::internal())?;
                    match flow.response(head, body) {
                        Ok(answer) => {
                            if !refusal.is_null() {
                                cx.write(refusal, &zeroed());
                            }
                            cx.write(output, &P::output(answer));
                            Ok(())
                        }
                        Err(Failure::Answer(error)) => Err(error.into()),
                        Err(Failure::Service(error)) => {
                            if !refusal.is_null() {
                                cx.write(refusal, &cloudauth_refusal::of(&error));
                            }
                            let help = "refused; its own words are in the refusal";
                            Err(Fault::new(CLOUDAUTH_ERR_SERVICE, "service", help))
                        }
                    }
                })
            })
        })
    }
}
