//! A good call of every function, for everything else to be measured by.

mod aws;
mod azure;
mod gcp;
mod helpers;
#[cfg(feature = "std")]
mod hosted;
mod keys;

use std::ffi::c_void;
use std::sync::OnceLock;

use cloudauth::*;

use crate::probe::{Callback, Probe, blank, bytes, leak, text};

pub(crate) use aws::*;
pub(crate) use azure::*;
pub(crate) use gcp::*;
pub(crate) use helpers::*;
#[cfg(feature = "std")]
#[cfg_attr(miri, allow(unused_imports))]
pub(crate) use hosted::*;
pub(crate) use keys::*;

pub(crate) const NOW: i64 = 1_795_860_000;
pub(crate) const RSA: &[u8] = include_bytes!("../../../tests/fuzz/seeds/certificate/rsa");
pub(crate) const P256: &[u8] = include_bytes!("../../../tests/fuzz/seeds/certificate/p256");

/// A function, and how it is called.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Whether it fills a buffer.
    pub(crate) fills: bool,
    /// Whether a good call takes seconds under Miri.
    pub(crate) slow: bool,
    /// Whether it reads files, calls C or connects, which Miri cannot: there its arguments alone are looked
    /// at, and it is never called with good ones.
    pub(crate) hosted: bool,
    pub(crate) call: fn(&Probe) -> cloudauth_result,
}

/// Memory that is made once, and only read.
struct Shared<T>(*mut T);

// SAFETY: nobody writes there.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

/// A signer that signs nothing well, and counts how often it is asked.
pub(crate) struct Stub {
    pub(crate) certificate: &'static [u8],
    pub(crate) callback: Option<Callback>,
    pub(crate) asked: usize,
}

unsafe extern "C" fn stub_public_key(ctx: *mut c_void) -> cloudauth_bytes {
    // SAFETY: ctx is a Stub.
    let certificate = unsafe { (*ctx.cast::<Stub>()).certificate };
    static SPKI: [OnceLock<Shared<cloudauth_certificate>>; 2] = [const { OnceLock::new() }; 2];
    let made = SPKI[usize::from(certificate == RSA)].get_or_init(|| {
        let made = blank();
        // SAFETY: as C would.
        unsafe { cloudauth_x509_parse(bytes(certificate), made, std::ptr::null_mut()) };
        Shared(made)
    });
    // SAFETY: made above.
    unsafe { (*made.0).spki }
}

unsafe extern "C" fn stub_supports(_: *mut c_void, _: cloudauth_scheme) -> u32 {
    1
}

unsafe extern "C" fn stub_max(_: *mut c_void, scheme: cloudauth_scheme) -> usize {
    if scheme == CLOUDAUTH_SCHEME_ECDSA_P256_SHA256 { 64 } else { 256 }
}

unsafe extern "C" fn stub_sign(
    ctx: *mut c_void,
    scheme: cloudauth_scheme,
    message: cloudauth_bytes,
    digest: cloudauth_bytes,
    entropy: *const u8,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
) -> cloudauth_result {
    // SAFETY: as the header says.
    unsafe {
        let stub = &mut *ctx.cast::<Stub>();
        stub.asked += 1;
        assert!(message.len > 0 && digest.len == 32);
        let size = stub_max(ctx, scheme);
        let mut result = CLOUDAUTH_OK;
        match stub.callback {
            Some(Callback::Nothing) => return CLOUDAUTH_OK,
            Some(Callback::Zeros) => {
                out.write_bytes(0, size);
                len.write(size);
                return CLOUDAUTH_OK;
            }
            Some(Callback::Reenters) => reenter(),
            Some(Callback::Fails(with)) => result = with,
            Some(Callback::Excess(_) | Callback::Short) | None => {}
        }
        for i in 0..size {
            // It is the digest and the entropy, over and over.
            let from = if i % 64 < 32 { digest.ptr.add(i % 32) } else { entropy.add(i % 32) };
            out.add(i).write(*from);
        }
        len.write(match stub.callback {
            Some(Callback::Excess(more)) => cap.saturating_add(more),
            Some(Callback::Short) => 1,
            _ => size,
        });
        result
    }
}

/// What a callback may do: call this library, with memory of its own.
fn reenter() {
    let q = Probe::good();
    // SAFETY: as the header says.
    unsafe {
        let signer = signer(&q, P256);
        let (out, cap, len, error) = (q.out(), q.cap(), q.len(), q.error());
        let made =
            cloudauth_gcp_self_signed_sign(self_signed(&q), signer, at(&q), out, cap, len, error);
        assert_eq!(made, CLOUDAUTH_OK);
        let encoded = cloudauth_base64url_encode(text("abc"), out, cap, len, error);
        assert_eq!((encoded, q.written()), (CLOUDAUTH_OK, 4));
        let few = cloudauth_base64url_encode(text("abc"), out, 3, len, error);
        assert_eq!((few, q.written()), (CLOUDAUTH_ERR_BUFFER_TOO_SMALL, 4));
    }
}

pub(crate) fn stub(certificate: &'static [u8]) -> *mut Stub {
    leak(Stub { certificate, callback: None, asked: 0 })
}

fn set_signer(signer: &mut cloudauth_signer, p: &Probe, certificate: &'static [u8]) {
    let made = stub(certificate);
    // SAFETY: just made.
    unsafe { (*made).callback = p.callback() };
    signer.ctx = p.handle(made).cast();
    signer.ctx_size = p.length(size_of::<Stub>());
    signer.public_key = Some(stub_public_key);
    signer.supports = Some(stub_supports);
    signer.max_signature_len = Some(stub_max);
    signer.sign = Some(stub_sign);
}

/// A signer with the key of a certificate.
pub(crate) fn signer(p: &Probe, certificate: &'static [u8]) -> *mut cloudauth_signer {
    p.params(|signer| set_signer(signer, p, certificate))
}

/// One that may be null.
fn maybe_signer(p: &Probe, certificate: &'static [u8]) -> *mut cloudauth_signer {
    p.optional(|signer| set_signer(signer, p, certificate))
}

pub(crate) fn at(p: &Probe) -> *mut cloudauth_attempt {
    p.params(|at: &mut cloudauth_attempt| {
        at.time = NOW;
        at.random = [7; 32];
    })
}

pub(crate) fn head(p: &Probe, status: u32) -> *mut cloudauth_response_head {
    p.params(|head: &mut cloudauth_response_head| {
        head.status = p.number(status);
        // Not as texts: what is not UTF-8 is passed over.
        let value = p.octets(b"a.example\xff");
        let header = cloudauth_pair { name: p.octets(b"Server"), value };
        (head.headers, head.header_count) = p.elements(&[header]);
    })
}

macro_rules! case {
    ($cases:ident, $name:ident, |$p:ident| $($args:expr),* $(,)?) => {
        case!($cases, $name, false, false, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, fills, |$p:ident| $($args:expr),* $(,)?) => {
        case!($cases, $name, true, false, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, slow, |$p:ident| $($args:expr),* $(,)?) => {
        case!($cases, $name, false, true, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, fills slow, |$p:ident| $($args:expr),* $(,)?) => {
        case!($cases, $name, true, true, |$p| $($args),*)
    };
    ($cases:ident, $name:ident, hosted, |$p:ident| $($args:expr),* $(,)?) => {
        case!($cases, $name, false, false, |$p| $($args),*);
        $cases.last_mut().unwrap().hosted = true;
    };
    ($cases:ident, $name:ident, fills hosted, |$p:ident| $($args:expr),* $(,)?) => {
        case!($cases, $name, true, false, |$p| $($args),*);
        $cases.last_mut().unwrap().hosted = true;
    };
    ($cases:ident, $name:ident, $fills:literal, $slow:literal, |$p:ident| $($args:expr),*) => {
        $cases.push(Case {
            name: stringify!($name),
            fills: $fills,
            slow: $slow,
            hosted: false,
            // SAFETY: all as the header says, but for what the probe makes wrong.
            call: |$p| unsafe { $name($($args),*) },
        })
    };
}

macro_rules! flow {
    ($cases:ident, $params:expr, $needed:ident) => {
        case!($cases, $needed, |p| $params(p), at(p), p.length(0), p.plain(), p.error());
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, prepare $prepare:ident) => {
        flow!($cases, $params, $needed);
        case!($cases, $prepare, fills, |p| $params(p), at(p), p.out(), p.cap(), p.len(), p.plain(),
            p.error());
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, sign $sign:ident, $prepare:ident) => {
        flow!($cases, $params, $certificate, $needed, prepare $prepare);
        case!($cases, $sign, fills, |p| $params(p), signer(p, $certificate), at(p), p.out(), p.cap(),
            p.len(), p.error());
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, signed $request:ident, $prepare:ident) => {
        flow!($cases, $params, $certificate, $needed, prepare $prepare);
        case!($cases, $request, fills, |p| $params(p), signer(p, $certificate), at(p), p.out(), p.cap(),
            p.len(), p.made(), p.error());
    };
    ($cases:ident, $params:expr, $certificate:expr, $needed:ident, maybe $request:ident, $prepare:ident) => {
        flow!($cases, $params, $certificate, $needed, prepare $prepare);
        case!($cases, $request, fills, |p| $params(p), maybe_signer(p, $certificate), at(p), p.out(),
            p.cap(), p.len(), p.made(), p.error());
    };
    ($cases:ident, $params:expr, $needed:ident, unsigned $request:ident) => {
        flow!($cases, $params, $needed);
        case!($cases, $request, fills, |p| $params(p), at(p), p.out(), p.cap(), p.len(), p.made(),
            p.error());
    };
}

macro_rules! response {
    ($cases:ident, $name:ident, $params:expr, $status:expr, $body:expr) => {
        case!(
            $cases,
            $name,
            |p| $params(p),
            head(p, $status),
            p.in_place($body.as_bytes()),
            p.length($body.len()),
            p.made(),
            p.may_make(),
            p.error()
        );
    };
}

use {case, flow, response};

/// Every function that can fail.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    gcp::cases(&mut cases);
    azure::cases(&mut cases);
    aws::cases(&mut cases);
    helpers::cases(&mut cases);
    keys::cases(&mut cases);
    #[cfg(feature = "std")]
    hosted::cases(&mut cases);
    cases
}
