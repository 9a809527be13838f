//! Keys in memory.

#[cfg(any(feature = "hmac", feature = "p256"))]
use core::{ffi::c_void, mem::ManuallyDrop};

#[cfg(feature = "hmac")]
use cloudauth_core::soft::HmacKey;
#[cfg(feature = "p256")]
use cloudauth_core::soft::P256Key;
#[cfg(feature = "hmac")]
use cloudauth_core::{Error, aws::SecretAccessKey};
#[cfg(feature = "p256")]
use cloudauth_core::{Scheme, Signer as _};

#[cfg(feature = "hmac")]
use crate::signer::cloudauth_mac;
#[cfg(any(feature = "hmac", feature = "p256"))]
use crate::{
    bytes::cloudauth_bytes,
    call::run,
    handle::{self, Handle},
    result::{cloudauth_error, cloudauth_result},
};
#[cfg(feature = "p256")]
use crate::{
    result::{CLOUDAUTH_ERR_INTERNAL, CLOUDAUTH_ERR_UNSUPPORTED, CLOUDAUTH_OK},
    signer::{cloudauth_scheme, cloudauth_signer},
};

/// A P-256 private key in memory, that signs with CLOUDAUTH_SCHEME_ECDSA_P256_SHA256. May be used
/// by several threads at once. Wipe it with cloudauth_p256_key_wipe.
#[cfg(feature = "p256")]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_p256_key {
    /// Opaque.
    pub reserved: [u64; 40],
}

#[cfg(feature = "p256")]
// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_p256_key {
    type Value = P256Key;
    const TAG: u64 = u64::from_le_bytes(*b"p256 key");
}

#[cfg(feature = "p256")]
const _: () = assert!(handle::fits::<cloudauth_p256_key>());

/// Makes a key from its secret scalar: 32 octets, big-endian (SEC 1, section 3.2.1).
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a scalar that is 0 or not below the order of the
/// curve; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[cfg(feature = "p256")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_p256_key_init(
    key: *mut cloudauth_p256_key,
    scalar: *const u8,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            handle::clear(cx, key, "key")?;
            let scalar = cx.array(scalar, "scalar")?;
            handle::set(cx, key, &mut ManuallyDrop::new(P256Key::from_bytes(scalar)))
        })
    }
}

/// Makes `*signer` sign with `key`, which must stay where it is while the signer is used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not initialised; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[cfg(feature = "p256")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_p256_signer(
    key: *const cloudauth_p256_key,
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
                ctx_size: size_of::<cloudauth_p256_key>(),
                public_key: Some(p256_public_key),
                supports: Some(p256_supports),
                max_signature_len: Some(p256_max_signature_len),
                sign: Some(p256_sign),
            };
            cx.write(signer, &value);
            Ok(())
        })
    }
}

/// Wipes the key; NULL is allowed.
#[cfg(feature = "p256")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_p256_key_wipe(key: *mut cloudauth_p256_key) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(key) }
}

/// Looks at the key behind a signer's ctx.
#[cfg(feature = "p256")]
fn with_p256(ctx: *mut c_void, then: &mut dyn FnMut(&P256Key)) -> cloudauth_result {
    // SAFETY: ctx is what `cloudauth_p256_signer` put there.
    unsafe {
        run(core::ptr::null_mut(), &mut |cx| {
            then(handle::get(cx, ctx.cast::<cloudauth_p256_key>(), "key")?);
            Ok(())
        })
    }
}

#[cfg(feature = "p256")]
unsafe extern "C" fn p256_public_key(ctx: *mut c_void) -> cloudauth_bytes {
    let mut spki = cloudauth_bytes::EMPTY;
    with_p256(ctx, &mut |key| spki = cloudauth_bytes::of(key.public_key()));
    spki
}

#[cfg(feature = "p256")]
unsafe extern "C" fn p256_supports(_: *mut c_void, scheme: cloudauth_scheme) -> u32 {
    (scheme == Scheme::EcdsaP256Sha256 as u32).into()
}

#[cfg(feature = "p256")]
unsafe extern "C" fn p256_max_signature_len(_: *mut c_void, scheme: cloudauth_scheme) -> usize {
    if scheme == Scheme::EcdsaP256Sha256 as u32 { 64 } else { 0 }
}

#[cfg(feature = "p256")]
unsafe extern "C" fn p256_sign(
    ctx: *mut c_void,
    scheme: cloudauth_scheme,
    _: cloudauth_bytes,
    digest: cloudauth_bytes,
    entropy: *const u8,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
) -> cloudauth_result {
    let mut result = CLOUDAUTH_ERR_INTERNAL;
    let state = with_p256(ctx, &mut |key| {
        if scheme != Scheme::EcdsaP256Sha256 as u32 || cap < 64 || digest.len != 32 {
            result = CLOUDAUTH_ERR_UNSUPPORTED;
            return;
        }
        // SAFETY: this library is the caller; digest and entropy have 32 octets and out has 64.
        unsafe {
            let signature = key.sign_digest(&*digest.ptr.cast(), &*entropy.cast());
            out.cast::<[u8; 64]>().write(signature);
            len.write(64);
        }
        result = CLOUDAUTH_OK;
    });
    if state == CLOUDAUTH_OK { result } else { state }
}

/// An HMAC-SHA256 key in memory. May be used by several threads at once. Wipe it with
/// cloudauth_hmac_key_wipe.
#[cfg(feature = "hmac")]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_hmac_key {
    /// Opaque.
    pub reserved: [u64; 40],
}

#[cfg(feature = "hmac")]
// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_hmac_key {
    type Value = HmacKey;
    const TAG: u64 = u64::from_le_bytes(*b"hmac key");
}

#[cfg(feature = "hmac")]
const _: () = assert!(handle::fits::<cloudauth_hmac_key>());

/// Makes a key of any length but 0.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for an empty key; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[cfg(feature = "hmac")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_hmac_key_init(
    key: *mut cloudauth_hmac_key,
    secret: cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            handle::clear(cx, key, "key")?;
            let secret = cx.bytes(secret, "secret")?;
            if secret.is_empty() {
                return Err(Error::invalid("secret", "must not be empty").into());
            }
            let mut made = ManuallyDrop::new(Ok::<_, Error>(HmacKey::new(secret)));
            handle::set(cx, key, &mut made)
        })
    }
}

/// Makes the key that an AWS secret access key is: "AWS4" and the secret. Give the secret as AWS
/// does, without "AWS4".
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for what cannot be a secret access key;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE,
/// CLOUDAUTH_ERR_OVERLAP.
#[cfg(feature = "hmac")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_hmac_key_init_aws(
    key: *mut cloudauth_hmac_key,
    secret: cloudauth_bytes,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            handle::clear(cx, key, "key")?;
            let secret = cx.text(secret, "secret access key")?;
            let mut made = ManuallyDrop::new(SecretAccessKey::new(secret).map(HmacKey::from));
            handle::set(cx, key, &mut made)
        })
    }
}

/// Makes `*mac` work with `key`, which must stay where it is while the mac is used.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not initialised; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[cfg(feature = "hmac")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_hmac_mac(
    key: *const cloudauth_hmac_key,
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
                ctx_size: size_of::<cloudauth_hmac_key>(),
                hmac_sha256: Some(hmac_sha256),
            };
            cx.write(mac, &value);
            Ok(())
        })
    }
}

/// Wipes the key; NULL is allowed.
#[cfg(feature = "hmac")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_hmac_key_wipe(key: *mut cloudauth_hmac_key) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(key) }
}

#[cfg(feature = "hmac")]
unsafe extern "C" fn hmac_sha256(
    ctx: *mut c_void,
    message: cloudauth_bytes,
    tag: *mut u8,
) -> cloudauth_result {
    // SAFETY: ctx is what `cloudauth_hmac_mac` put there, and this library is the caller.
    unsafe {
        run(core::ptr::null_mut(), &mut |cx| {
            let message = cx.bytes(message, "message")?;
            let key = handle::get(cx, ctx.cast::<cloudauth_hmac_key>(), "key")?;
            tag.write_bytes(0, 32);
            key.write_tag(message, &mut *tag.cast());
            Ok(())
        })
    }
}
