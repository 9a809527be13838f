//! Keys by URI.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use std::boxed::Box;
use std::string::String;

use cloudauth_core::{Error, Mac as _, Scheme, SignError, Signer as _, ToSign};
use cloudauth_keys::{Key, KeyUri, MacKey, Warning};
use zeroize::{Zeroize as _, Zeroizing};

use super::message::{Failed, cloudauth_message, telling};
use super::shared;
use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome, Output, fill, run};
use crate::handle::{self, Handle};
use crate::result::{
    CLOUDAUTH_ERR_INTERNAL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_SIGNER, CLOUDAUTH_ERR_UNSUPPORTED,
    CLOUDAUTH_OK, Fault, cloudauth_error, cloudauth_result,
};
use crate::signer::{self, cloudauth_mac, cloudauth_scheme, cloudauth_signer, scheme};

/// A key that signs: of a file, a variable, a PKCS#11 token or a TPM. May be used by several threads at
/// once. It must not be copied. Close it with cloudauth_key_close.
#[repr(C)]
pub struct cloudauth_key {
    /// Opaque.
    pub reserved: [u64; 8],
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_key {
    type Value = Box<Key>;
    const TAG: u64 = u64::from_le_bytes(*b"uri  key");
}

/// A key that makes HMAC-SHA256 tags: an AWS secret access key in a file, a variable, a PKCS#11 token or
/// a TPM. May be used by several threads at once. It must not be copied. Close it with
/// cloudauth_mac_key_close.
#[repr(C)]
pub struct cloudauth_mac_key {
    /// Opaque.
    pub reserved: [u64; 8],
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_mac_key {
    type Value = Box<MacKey>;
    const TAG: u64 = u64::from_le_bytes(*b"uri  mac");
}

const _: () = assert!(handle::fits::<cloudauth_key>() && handle::fits::<cloudauth_mac_key>());
const _: () = shared::<(Key, MacKey)>(PhantomData);

/// Claims a handle, and puts there what `open` makes of a URI.
fn open<H: Handle>(
    cx: &Cx,
    key: *mut H,
    uri: cloudauth_bytes,
    message: *mut cloudauth_message,
    open: impl FnOnce(&KeyUri, &mut String) -> Result<H::Value, Failed>,
) -> Outcome {
    let outputs = handle::clear(cx, key, "key");
    telling(cx, outputs, message, |warnings| {
        let uri = KeyUri::parse(cx.text(uri, "key URI")?)?;
        let mut made = ManuallyDrop::new(Ok::<_, Fault>(open(&uri, warnings)?));
        Ok(handle::set(cx, key, &mut made)?)
    })
}

fn tell(warnings: &[Warning], into: &mut String) {
    use core::fmt::Write as _;
    for (index, warning) in warnings.iter().enumerate() {
        // A String takes it all.
        let _ = write!(into, "{}{warning}", if index == 0 { "" } else { "; " });
    }
}

/// Opens the key that a URI names: "file:PATH", "env:NAME", "pkcs11:..." (RFC 7512) or, in builds with
/// the feature `tpm`, "tpm:...". Nobody is asked for a PIN or a passphrase: the URI or the environment
/// must say where it is. It may take as long as the device does.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for what is no key URI; CLOUDAUTH_ERR_KEY if the key
/// cannot be opened; CLOUDAUTH_ERR_UNSUPPORTED for a kind of key that this library, or this build of it,
/// cannot use; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE,
/// CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_key_open(
    uri: cloudauth_bytes,
    key: *mut cloudauth_key,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            open(cx, key, uri, message, |uri, warnings| {
                let key = Key::open(uri)?;
                tell(key.warnings(), warnings);
                Ok(Box::new(key))
            })
        })
    }
}

/// Makes `*signer` sign with `key`, which must stay open, and where it is, while the signer is used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not open; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_key_signer(
    key: *const cloudauth_key,
    signer: *mut cloudauth_signer,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.clear(signer, "signer")?;
            handle::get(cx, key, "key")?;
            let value = cloudauth_signer {
                size: 0,
                ctx: key.cast_mut().cast(),
                ctx_size: size_of::<cloudauth_key>(),
                public_key: Some(key_public_key),
                supports: Some(key_supports),
                max_signature_len: Some(key_max_signature_len),
                sign: Some(key_sign),
            };
            cx.write(signer, &value);
            Ok(())
        })
    }
}

/// Gives the public key: a SubjectPublicKeyInfo in DER, that is there until the key is closed.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not open; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_key_public(
    key: *const cloudauth_key,
    spki: *mut cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.put(spki, "spki")?;
            let key = handle::get(cx, key, "key")?;
            cx.update(spki, cloudauth_bytes::of(key.public_key()));
            Ok(())
        })
    }
}

/// Signs a digest that was made elsewhere, for programs that were given no more. With the message at hand, use
/// cloudauth_key_signer: a device may sign only what it has hashed itself. Whoever chooses the digest chooses
/// what is signed, unseen. `digest` has 48 octets for CLOUDAUTH_SCHEME_ECDSA_P384_SHA384, and 32 for the other
/// schemes. The signature is as that of cloudauth_signer: of ECDSA it is r||s. Random octets are the library's
/// own. Nothing is signed where the buffer is too small.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_UNSUPPORTED for a scheme that the key
/// cannot sign with, and for a key that signs no digests; CLOUDAUTH_ERR_LENGTH for a digest of another length;
/// CLOUDAUTH_ERR_SIGNER if the key failed, with the device's return code, if it gave one, as the detail;
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_STATE if the key is not open; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_key_sign_digest(
    key: *const cloudauth_key,
    scheme: cloudauth_scheme,
    digest: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    const LENGTH: Fault = Fault::new(
        CLOUDAUTH_ERR_LENGTH,
        "digest",
        "must be as long as the scheme's hash: 32 octets for SHA-256, 48 for SHA-384",
    );
    const SCHEME: Fault = Fault::new(
        CLOUDAUTH_ERR_UNSUPPORTED,
        "scheme",
        "this key cannot sign with it: its type or its device has others",
    );
    const NO_MESSAGE: Fault = Fault::new(
        CLOUDAUTH_ERR_UNSUPPORTED,
        "digest",
        "the key's device signs only what it has hashed itself: sign the message, not its digest",
    );
    const RANDOM: Fault =
        Fault::new(CLOUDAUTH_ERR_SIGNER, "random octets", "the system gives none");
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let digest = cx.bytes(digest, "digest")?;
            let key = handle::get(cx, key, "key")?;
            let scheme = signer::scheme(scheme, "scheme")?;
            if !key.supports(scheme) {
                return Err(SCHEME);
            }
            ToSign::prehashed(digest, &[0; 32]).digest(scheme).map_err(|_| LENGTH)?;
            let needed = key.max_signature_len(scheme);
            if buf.len() < needed {
                return Err(Error::too_small("signature", needed).into());
            }
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(|_| RANDOM)?;
            match key.sign(scheme, &ToSign::prehashed(digest, &seed), buf) {
                Err(SignError::NO_MESSAGE) => Err(NO_MESSAGE),
                signed => Ok(signed.map_err(Error::from)?),
            }
        })
    }
}

/// Closes the key, once nothing uses it any more; NULL is allowed, and what is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_key_close(key: *mut cloudauth_key) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(key) }
}

/// Opens the AWS secret access key that a URI names, as cloudauth_key_open does. A file or a variable
/// holds the secret as AWS gives it; a device holds "AWS4" and the secret.
///
/// @return as cloudauth_key_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_mac_key_open(
    uri: cloudauth_bytes,
    key: *mut cloudauth_mac_key,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            open(cx, key, uri, message, |uri, warnings| {
                let key = MacKey::open(uri)?;
                tell(key.warnings(), warnings);
                Ok(Box::new(key))
            })
        })
    }
}

/// Makes `*mac` work with `key`, which must stay open, and where it is, while the mac is used.
///
/// @return as cloudauth_key_signer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_mac_key_mac(
    key: *const cloudauth_mac_key,
    mac: *mut cloudauth_mac,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.clear(mac, "mac")?;
            handle::get(cx, key, "key")?;
            let value = cloudauth_mac {
                size: 0,
                ctx: key.cast_mut().cast(),
                ctx_size: size_of::<cloudauth_mac_key>(),
                hmac_sha256: Some(mac_key_hmac_sha256),
            };
            cx.write(mac, &value);
            Ok(())
        })
    }
}

/// Closes the key, once nothing uses it any more; NULL is allowed, and what is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_mac_key_close(key: *mut cloudauth_mac_key) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(key) }
}

/// Looks at the key behind a signer's ctx.
fn with_key(ctx: *mut c_void, then: &mut dyn FnMut(&Cx, &Key) -> Outcome) -> cloudauth_result {
    // SAFETY: ctx is what `cloudauth_key_signer` put there.
    unsafe {
        run(core::ptr::null_mut(), &mut |cx| {
            then(cx, handle::get(cx, ctx.cast::<cloudauth_key>(), "key")?)
        })
    }
}

unsafe extern "C" fn key_public_key(ctx: *mut c_void) -> cloudauth_bytes {
    let mut spki = cloudauth_bytes::EMPTY;
    with_key(ctx, &mut |_, key| {
        spki = cloudauth_bytes::of(key.public_key());
        Ok(())
    });
    spki
}

unsafe extern "C" fn key_supports(ctx: *mut c_void, number: cloudauth_scheme) -> u32 {
    let mut supports = false;
    with_key(ctx, &mut |_, key| {
        supports = key.supports(scheme(number, "scheme")?);
        Ok(())
    });
    supports.into()
}

unsafe extern "C" fn key_max_signature_len(ctx: *mut c_void, number: cloudauth_scheme) -> usize {
    let mut len = 0;
    with_key(ctx, &mut |_, key| {
        len = key.max_signature_len(scheme(number, "scheme")?);
        Ok(())
    });
    len
}

unsafe extern "C" fn key_sign(
    ctx: *mut c_void,
    number: cloudauth_scheme,
    message: cloudauth_bytes,
    _: cloudauth_bytes,
    entropy: *const u8,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
) -> cloudauth_result {
    let mut result = CLOUDAUTH_ERR_INTERNAL;
    let state = with_key(ctx, &mut |cx, key| {
        let wanted: Scheme = scheme(number, "scheme")?;
        if !key.supports(wanted) || cap < key.max_signature_len(wanted) {
            result = CLOUDAUTH_ERR_UNSUPPORTED;
            return Ok(());
        }
        cx.put(len, "len")?;
        cx.claim(out, cap, "out")?;
        // They are the seed of the octets that the key draws.
        let to_sign = ToSign::new(cx.bytes(message, "message")?, cx.array(entropy, "entropy")?);
        // SAFETY: not null, at most isize::MAX, and nothing else is read that overlaps it. It may never have
        // been written to, which a slice must have been.
        let buf = unsafe {
            out.write_bytes(0, cap);
            core::slice::from_raw_parts_mut(out, cap)
        };
        result = CLOUDAUTH_ERR_SIGNER;
        if let Ok(written) = key.sign(wanted, &to_sign, buf) {
            cx.update(len, written);
            result = CLOUDAUTH_OK;
        }
        Ok(())
    });
    if state == CLOUDAUTH_OK { result } else { state }
}

unsafe extern "C" fn mac_key_hmac_sha256(
    ctx: *mut c_void,
    message: cloudauth_bytes,
    tag: *mut u8,
) -> cloudauth_result {
    // SAFETY: ctx is what `cloudauth_mac_key_mac` put there, and this library is the caller.
    unsafe {
        run(core::ptr::null_mut(), &mut |cx| {
            let message = cx.bytes(message, "message")?;
            let key = handle::get(cx, ctx.cast::<cloudauth_mac_key>(), "key")?;
            let mut made = key.hmac_sha256(message).map_err(Error::from)?;
            // The tag of a secret access key is a key: of everything on its day.
            tag.cast::<[u8; 32]>().write_unaligned(made);
            made.zeroize();
            Ok(())
        })
    }
}
