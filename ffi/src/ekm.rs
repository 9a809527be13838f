//! Channel binding.

use cloudauth_core::ekm::{Binder, Compat, Exported, Nonce, Prover};
use cloudauth_core::{Error, Result};

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome, Output, fill, run, unused};
use crate::result::{Fault, cloudauth_error, cloudauth_result};

/// The TLS client attests: a workload that asks a broker.
pub const CLOUDAUTH_EKM_CLIENT: u32 = 1;
/// The TLS server attests: a broker that shows what it is.
pub const CLOUDAUTH_EKM_SERVER: u32 = 2;

/// How many octets to export from the TLS connection; as many has a challenge.
pub const CLOUDAUTH_EKM_EXPORTED_LEN: u32 = 32;

/// The scheme of the aws- and azure-channel-jwt-credential brokers: the exported octets in
/// hexadecimal. Such a nonce is a secret of the connection.
pub const CLOUDAUTH_EKM_COMPAT_SEED: u32 = 1;
/// The scheme of Google's Confidential Space codelab.
pub const CLOUDAUTH_EKM_COMPAT_GOOGLE_CODELAB: u32 = 2;

/// Everything that an attestation is bound to: binder v1 of PROTOCOL.md.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_ekm_binder {
    /// sizeof(cloudauth_ekm_binder)
    pub size: usize,
    /// Who attests: CLOUDAUTH_EKM_CLIENT or CLOUDAUTH_EKM_SERVER.
    pub prover: u32,
    /// 0.
    pub reserved: u32,
    /// The 32 octets that the connection exported with the label of cloudauth_ekm_label and the
    /// challenge as context. All zeros are refused.
    pub exported: *const u8,
    /// The verifier's challenge: 32 octets.
    pub challenge: *const u8,
    /// The SubjectPublicKeyInfo, in DER, of the server's certificate on this connection.
    pub server_spki: cloudauth_bytes,
    /// The same of the client's certificate; empty if it sent none.
    pub client_spki: cloudauth_bytes,
    /// The audience, exactly as in the attestation.
    pub audience: cloudauth_bytes,
    /// The octets of the request that the attestation authorises.
    pub request: cloudauth_bytes,
}

fn prover(number: u32) -> Outcome<Prover> {
    match number {
        CLOUDAUTH_EKM_CLIENT => Ok(Prover::Client),
        CLOUDAUTH_EKM_SERVER => Ok(Prover::Server),
        _ => Err(Fault::number("prover")),
    }
}

fn compat(number: u32) -> Outcome<Compat> {
    match number {
        CLOUDAUTH_EKM_COMPAT_SEED => Ok(Compat::Seed),
        CLOUDAUTH_EKM_COMPAT_GOOGLE_CODELAB => Ok(Compat::GoogleCodelab),
        _ => Err(Fault::number("scheme")),
    }
}

fn with_binder(
    cx: &Cx,
    binder: *const cloudauth_ekm_binder,
    then: &mut dyn FnMut(&Binder<'_>) -> Outcome,
) -> Outcome {
    let binder = cx.read(binder, "binder")?;
    unused(binder.reserved)?;
    let exported = Exported::new(prover(binder.prover)?, *cx.array(binder.exported, "exported")?)?;
    let client = cx.bytes(binder.client_spki, "client public key")?;
    then(&Binder {
        exported: &exported,
        challenge: cx.array(binder.challenge, "challenge")?,
        server_spki: cx.bytes(binder.server_spki, "server public key")?,
        client_spki: Some(client).filter(|spki| !spki.is_empty()),
        audience: cx.text(binder.audience, "audience")?,
        request: cx.bytes(binder.request, "request")?,
    })
}

fn put(nonce: &Nonce, buf: &mut [u8]) -> Result<usize> {
    let text = nonce.as_str().as_bytes();
    let to = buf.get_mut(..text.len()).ok_or(Error::too_small("nonce buffer", text.len()))?;
    to.copy_from_slice(text);
    Ok(text.len())
}

/// Gives the label to export with: a static text, not ended by NUL.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ekm_label(
    prover: u32,
    label: *mut cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(label, "label")?;
            cx.ready()?;
            cx.update(label, cloudauth_bytes::text(self::prover(prover)?.label()));
            Ok(())
        })
    }
}

/// Writes the nonce to ask of the attestation service: 43 characters.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID when a part is
/// missing or all zeros; CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ekm_nonce(
    binder: *const cloudauth_ekm_binder,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let mut written = 0;
            with_binder(cx, binder, &mut |binder| {
                written = put(&binder.nonce()?, buf)?;
                Ok(())
            })?;
            Ok(written)
        })
    }
}

/// Compares the nonce of an attestation with this connection's, in constant time.
///
/// @return CLOUDAUTH_OK if it is this one; CLOUDAUTH_ERR_VERIFICATION if it is not; otherwise as
/// cloudauth_ekm_nonce.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ekm_verify(
    binder: *const cloudauth_ekm_binder,
    nonce: cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            let nonce = cx.text(nonce, "nonce")?;
            with_binder(cx, binder, &mut |binder| Ok(binder.verify(nonce)?))
        })
    }
}

/// Gives the label to export with, without a context, for another system's scheme
/// (CLOUDAUTH_EKM_COMPAT_*): a static text, not ended by NUL. These schemes bind the connection and
/// nothing else: use cloudauth_ekm_nonce where you have the choice.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ekm_compat_label(
    scheme: u32,
    label: *mut cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(label, "label")?;
            cx.ready()?;
            cx.update(label, cloudauth_bytes::text(compat(scheme)?.label()));
            Ok(())
        })
    }
}

/// Writes the nonce of another system's scheme for 32 exported octets: 64 or 44 characters.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID for all zeros;
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ekm_compat_nonce(
    scheme: u32,
    exported: *const u8,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            Ok(put(&compat(scheme)?.nonce(cx.array(exported, "exported")?)?, buf)?)
        })
    }
}

/// Compares a nonce of another system's scheme, in constant time.
///
/// @return CLOUDAUTH_OK if it is this connection's; CLOUDAUTH_ERR_VERIFICATION if it is not;
/// otherwise as cloudauth_ekm_compat_nonce, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_ekm_compat_verify(
    scheme: u32,
    exported: *const u8,
    nonce: cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            let nonce = cx.text(nonce, "nonce")?;
            Ok(compat(scheme)?.verify(cx.array(exported, "exported")?, nonce)?)
        })
    }
}
