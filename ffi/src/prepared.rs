//! The first of two steps, kept in the caller's memory.

use core::slice;

use cloudauth_core::digest::sha256;
use cloudauth_core::{Detached, DetachedJws, Prepared, PreparedJws, Scheme, ToSign};
use zeroize::Zeroize;

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome, run};
use crate::handle::{self, Handle};
use crate::http::cloudauth_request;
use crate::result::{
    CLOUDAUTH_ERR_NOT_FOUND, CLOUDAUTH_ERR_STATE, Fault, cloudauth_error, cloudauth_result,
};
use crate::signer::{cloudauth_scheme, hashed_with_sha256};

/// A request or token that only its signature is missing from, as a `…_prepare` function leaves it.
/// The buffer that was given to that function belongs to it: do not write there until it is
/// finished. It may be handed to another thread. Wipe it with cloudauth_prepared_wipe.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_prepared {
    /// Opaque.
    pub reserved: [u64; 32],
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_prepared {
    type Value = State;
    const TAG: u64 = u64::from_le_bytes(*b"prepared");
}

const _: () = assert!(handle::fits::<cloudauth_prepared>());

/// What to sign. It holds a secret: cloudauth_wipe it when the signature is there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_to_sign {
    /// sizeof(cloudauth_to_sign)
    pub size: usize,
    /// How to sign.
    pub scheme: cloudauth_scheme,
    /// How many octets the digest has: 32 or 48.
    pub digest_len: u32,
    /// The message. It lies in the buffer that was prepared, until that is finished.
    pub message: cloudauth_bytes,
    /// The digest of the message by the scheme. Sign the one or the other, as the device wants it.
    pub digest: [u8; 48],
    /// 32 secret octets for a PSS salt, blinding, or hedged ECDSA.
    pub entropy: [u8; 32],
}

#[derive(Clone)]
enum Kind {
    Jws(DetachedJws),
    Request(Detached),
}

/// What is prepared, and in which buffer.
#[derive(Clone)]
pub(crate) struct State {
    kind: Kind,
    buf: *mut u8,
    len: usize,
}

impl State {
    pub(crate) fn request(prepared: Prepared<'_>, buf: *mut u8, len: usize) -> Self {
        Self { kind: Kind::Request(prepared.detach()), buf, len }
    }

    pub(crate) fn jws(prepared: PreparedJws<'_>, buf: *mut u8, len: usize) -> Self {
        Self { kind: Kind::Jws(prepared.detach()), buf, len }
    }

    /// The buffer, to look at.
    ///
    /// # Safety
    /// It is still there, and nobody writes to it during this call.
    unsafe fn octets(&self) -> &[u8] {
        // SAFETY: it was not null and as long as this when it was prepared.
        unsafe { slice::from_raw_parts(self.buf, self.len) }
    }

    /// The buffer, to finish what is in it.
    ///
    /// # Safety
    /// It is still there, and nobody else uses it during this call.
    unsafe fn buffer<'b>(&self) -> &'b mut [u8] {
        // SAFETY: as in `octets`.
        unsafe { slice::from_raw_parts_mut(self.buf, self.len) }
    }

    fn to_sign<'a>(&'a self, octets: &'a [u8]) -> Option<(Scheme, ToSign<'a>)> {
        match &self.kind {
            Kind::Request(detached) => detached.to_sign(octets),
            Kind::Jws(detached) => Some(detached.to_sign(octets)),
        }
    }
}

/// Tells what to sign. Changes nothing: it may be asked again, and by several threads at once.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND if this request needs no signature (finish it with
/// an empty one); CLOUDAUTH_ERR_STATE if nothing is prepared; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_prepared_to_sign(
    prepared: *const cloudauth_prepared,
    to_sign: *mut cloudauth_to_sign,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.clear(to_sign, "to_sign")?;
            let state = handle::get(cx, prepared, "prepared")?;
            cx.check(state.buf, state.len, "prepared buffer")?;
            let (scheme, what) = state.to_sign(state.octets()).ok_or(Fault::new(
                CLOUDAUTH_ERR_NOT_FOUND,
                "signature",
                "this request needs none; finish it with an empty one",
            ))?;
            // Flows sign messages.
            let (true, Some(message)) = (hashed_with_sha256(scheme), what.message()) else {
                return Err(Fault::internal());
            };
            let mut value: cloudauth_to_sign = crate::call::zeroed();
            value.scheme = scheme as u32;
            value.message = cloudauth_bytes::of(message);
            value.digest_len = 32;
            if let Some(to) = value.digest.first_chunk_mut() {
                *to = sha256(message);
            }
            value.entropy = what.entropy();
            cx.write(to_sign, &value);
            value.entropy.zeroize();
            Ok(())
        })
    }
}

/// The signature, and the state that it is for. Both the state and its buffer are written to.
fn signature(
    cx: &Cx,
    prepared: *mut cloudauth_prepared,
    signature: cloudauth_bytes,
) -> Outcome<(&State, &[u8])> {
    let state = handle::get(cx, prepared, "prepared")?;
    cx.claim(prepared, 1, "prepared")?;
    cx.claim(state.buf, state.len, "prepared buffer")?;
    Ok((state, cx.bytes(signature, "signature")?))
}

/// The second step of a request: puts the signature (ECDSA: r||s; empty where nothing is signed) in
/// its place. On success `prepared` is used up, and wiped. On failure nothing is changed: a better
/// signature may follow.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID or CLOUDAUTH_ERR_MALFORMED for a signature that
/// cannot be one of the scheme; CLOUDAUTH_ERR_STATE if no request is prepared; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_prepared_finish(
    prepared: *mut cloudauth_prepared,
    signature: cloudauth_bytes,
    request: *mut cloudauth_request,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.clear(request, "request")?;
            let (state, signature) = self::signature(cx, prepared, signature)?;
            let Kind::Request(detached) = &state.kind else {
                return Err(OTHER_KIND);
            };
            let made = detached.finish(state.buffer(), signature)?;
            cx.write(request, &cloudauth_request::of(&made));
            handle::wipe(prepared);
            Ok(())
        })
    }
}

/// The second step of a token: appends the signature (ECDSA: r||s). `*token` is the whole token, in
/// the buffer that was prepared. On success `prepared` is used up, and wiped. On failure nothing is
/// changed.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a signature that cannot be one of the scheme;
/// CLOUDAUTH_ERR_STATE if no token is prepared; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_prepared_jws_finish(
    prepared: *mut cloudauth_prepared,
    signature: cloudauth_bytes,
    token: *mut cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(token, "token")?;
            let (state, signature) = self::signature(cx, prepared, signature)?;
            let Kind::Jws(detached) = &state.kind else {
                return Err(OTHER_KIND);
            };
            let made = detached.finish(state.buffer(), signature)?;
            cx.update(token, cloudauth_bytes::of(made));
            handle::wipe(prepared);
            Ok(())
        })
    }
}

const OTHER_KIND: Fault =
    Fault::new(CLOUDAUTH_ERR_STATE, "prepared", "is of the other kind: requests and tokens differ");

/// Wipes what is prepared; NULL is allowed. The buffer is left as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_prepared_wipe(prepared: *mut cloudauth_prepared) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(prepared) }
}
