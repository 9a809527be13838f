//! Keys as structures of function pointers.

use core::ffi::c_void;

use cloudauth_core::digest::sha256;
use cloudauth_core::{Mac, Scheme, SignError, Signer, ToSign};
use zeroize::Zeroizing;

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome};
use crate::result::{CLOUDAUTH_OK, Fault, cloudauth_result};

/// A signature scheme: one of CLOUDAUTH_SCHEME_*.
pub type cloudauth_scheme = u32;

/// RSASSA-PKCS1-v1_5 with SHA-256: JWS "RS256".
pub const CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256: cloudauth_scheme = 1;
/// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets: JWS "PS256".
pub const CLOUDAUTH_SCHEME_RSA_PSS_SHA256: cloudauth_scheme = 2;
/// ECDSA on P-256 with SHA-256: JWS "ES256".
pub const CLOUDAUTH_SCHEME_ECDSA_P256_SHA256: cloudauth_scheme = 3;
/// ECDSA on P-384 with SHA-256, for IAM Roles Anywhere.
pub const CLOUDAUTH_SCHEME_ECDSA_P384_SHA256: cloudauth_scheme = 4;
/// ECDSA on P-384 with SHA-384: JWS "ES384".
pub const CLOUDAUTH_SCHEME_ECDSA_P384_SHA384: cloudauth_scheme = 5;

/// The longest signature a one-call form has room for, in octets: RSA with 8192 bits.
pub const CLOUDAUTH_MAX_SIGNATURE_LEN: u32 = 1024;

/// A key that signs: in a TPM, an HSM, a secure element, a remote service. It may lie in ROM. It
/// may be used by several threads at once if its functions may be called with its `ctx` by several
/// at once.
///
/// The functions are called only during the call that the signer is given to. They must not change
/// what was given to that call; they may call other functions of this library.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_signer {
    /// sizeof(cloudauth_signer)
    pub size: usize,
    /// Handed to each function.
    pub ctx: *mut c_void,
    /// How many octets at `ctx` the functions use, so that an output that lies there is refused; 0 if
    /// `ctx` is no address, or to leave it unchecked.
    pub ctx_size: usize,
    /// The public key: a SubjectPublicKeyInfo in DER, that stays while the signer is used. May be
    /// NULL for flows without a certificate.
    pub public_key: Option<unsafe extern "C" fn(ctx: *mut c_void) -> cloudauth_bytes>,
    /// Whether the key can sign with the scheme: 0 for no.
    pub supports: Option<unsafe extern "C" fn(ctx: *mut c_void, scheme: cloudauth_scheme) -> u32>,
    /// The most octets a signature of the scheme can have: 64 for P-256, 96 for P-384, the length
    /// of the modulus for RSA. It signs nothing.
    pub max_signature_len:
        Option<unsafe extern "C" fn(ctx: *mut c_void, scheme: cloudauth_scheme) -> usize>,
    /// Signs, writes the signature to `out`, which has room for `cap` octets, and its length to
    /// `*len`. `message` is what is signed and `digest` its digest by the scheme: take the one that
    /// the device wants. `entropy` is 32 secret octets for a PSS salt, blinding, or hedged ECDSA.
    /// An ECDSA signature is r||s, each padded on the left to the size of the curve. Gives
    /// CLOUDAUTH_OK, or any other number, which becomes CLOUDAUTH_ERR_SIGNER; so does a `*len`
    /// that no signature of the scheme has, and one of zeros.
    pub sign: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            scheme: cloudauth_scheme,
            message: cloudauth_bytes,
            digest: cloudauth_bytes,
            entropy: *const u8,
            out: *mut u8,
            cap: usize,
            len: *mut usize,
        ) -> cloudauth_result,
    >,
}

/// A key that makes HMAC-SHA256 tags: the AWS secret inside a device (the key is then "AWS4" and
/// the secret access key). As with cloudauth_signer, it may lie in ROM.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_mac {
    /// sizeof(cloudauth_mac)
    pub size: usize,
    /// Handed to the function.
    pub ctx: *mut c_void,
    /// How many octets at `ctx` the functions use, so that an output that lies there is refused; 0 if
    /// `ctx` is no address, or to leave it unchecked.
    pub ctx_size: usize,
    /// Writes the tag of `message`, 32 octets, to `tag`. Gives CLOUDAUTH_OK, or any other number,
    /// which becomes CLOUDAUTH_ERR_SIGNER; so does a tag of zeros.
    pub hmac_sha256: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            message: cloudauth_bytes,
            tag: *mut u8,
        ) -> cloudauth_result,
    >,
}

/// The scheme of a number.
pub(crate) fn scheme(number: cloudauth_scheme, field: &'static str) -> Outcome<Scheme> {
    let scheme = Scheme::ALL.into_iter().find(|scheme| *scheme as u32 == number);
    scheme.ok_or(Fault::number(field))
}

/// The scheme of a number; 0 for `otherwise`.
pub(crate) fn scheme_or(number: cloudauth_scheme, otherwise: Scheme) -> Outcome<Scheme> {
    if number == 0 { Ok(otherwise) } else { scheme(number, "signature scheme") }
}

/// A caller's signer as the core wants it.
pub(crate) struct External<'a> {
    signer: cloudauth_signer,
    public_key: &'a [u8],
}

impl<'a> External<'a> {
    pub(crate) fn new(cx: &'a Cx, signer: *const cloudauth_signer) -> Outcome<Self> {
        let signer = cx.read(signer, "signer")?;
        if signer.supports.is_none() || signer.max_signature_len.is_none() || signer.sign.is_none()
        {
            return Err(Fault::null("signer function"));
        }
        cx.check(signer.ctx.cast::<u8>(), signer.ctx_size, "signer's ctx")?;
        let public_key = match signer.public_key {
            Some(public_key) => {
                // SAFETY: the caller's function with the caller's ctx.
                let spki = unsafe { public_key(signer.ctx) };
                cx.bytes(spki, "signer's public key")?
            }
            None => &[],
        };
        Ok(Self { signer, public_key })
    }
}

/// Whether it can be one, by its length, and by being there at all.
fn is_signature(scheme: Scheme, written: Option<&[u8]>) -> bool {
    let written = written.unwrap_or_default();
    let good_len = match scheme.coordinate_len() {
        Some(size) => written.len() == 2 * size,
        None => written.len() >= 256,
    };
    good_len && written.iter().any(|octet| *octet != 0)
}

/// Whether a signature is made over a SHA-256. All flows of this interface are (Google and Entra ID do not
/// take ES384, Roles Anywhere hashes with SHA-256 whatever the curve), so that none links SHA-384.
pub(crate) fn hashed_with_sha256(scheme: Scheme) -> bool {
    scheme != Scheme::EcdsaP384Sha384
}

impl Signer for External<'_> {
    fn public_key(&self) -> &[u8] {
        self.public_key
    }

    fn supports(&self, scheme: Scheme) -> bool {
        // SAFETY: the caller's function with the caller's ctx.
        self.signer.supports.is_some_and(|f| unsafe { f(self.signer.ctx, scheme as u32) } != 0)
    }

    fn max_signature_len(&self, scheme: Scheme) -> usize {
        // SAFETY: the caller's function with the caller's ctx.
        self.signer.max_signature_len.map_or(0, |f| unsafe { f(self.signer.ctx, scheme as u32) })
    }

    fn sign(
        &self,
        scheme: Scheme,
        to_sign: &ToSign<'_>,
        out: &mut [u8],
    ) -> Result<usize, SignError> {
        let sign = self.signer.sign.ok_or(SignError::UNSUPPORTED)?;
        if !hashed_with_sha256(scheme) {
            return Err(SignError::UNSUPPORTED);
        }
        // It may take either.
        let message = to_sign.message().ok_or(SignError::NO_MESSAGE)?;
        let digest = sha256(message);
        let entropy = Zeroizing::new(to_sign.entropy());
        let mut len = 0;
        // SAFETY: the caller's function with the caller's ctx; all that it is given is there
        // while it runs.
        let result = unsafe {
            sign(
                self.signer.ctx,
                scheme as u32,
                cloudauth_bytes::of(message),
                cloudauth_bytes::of(&digest),
                entropy.as_ptr(),
                out.as_mut_ptr(),
                out.len(),
                &raw mut len,
            )
        };
        match result {
            CLOUDAUTH_OK if len <= out.len() && !is_signature(scheme, out.get(..len)) => {
                Err(SignError::new("sign", "what the signer's function wrote is no signature"))
            }
            CLOUDAUTH_OK => Ok(len),
            code => {
                Err(SignError::new("sign", "the signer's function failed")
                    .code(code.unsigned_abs()))
            }
        }
    }
}

/// A caller's MAC as the core wants it.
pub(crate) struct ExternalMac(cloudauth_mac);

impl ExternalMac {
    pub(crate) fn new(cx: &Cx, mac: *const cloudauth_mac) -> Outcome<Self> {
        let mac = cx.read(mac, "mac")?;
        cx.check(mac.ctx.cast::<u8>(), mac.ctx_size, "mac's ctx")?;
        match mac.hmac_sha256 {
            Some(_) => Ok(Self(mac)),
            None => Err(Fault::null("mac function")),
        }
    }
}

impl Mac for ExternalMac {
    fn hmac_sha256(&self, message: &[u8]) -> Result<[u8; 32], SignError> {
        let hmac = self.0.hmac_sha256.ok_or(SignError::UNSUPPORTED)?;
        let mut tag = Zeroizing::new([0; 32]);
        // SAFETY: the caller's function with the caller's ctx; all that it is given is there
        // while it runs.
        let result = unsafe { hmac(self.0.ctx, cloudauth_bytes::of(message), tag.as_mut_ptr()) };
        match result {
            CLOUDAUTH_OK if *tag == [0; 32] => {
                Err(SignError::new("HMAC-SHA256", "the mac's function wrote no tag"))
            }
            CLOUDAUTH_OK => Ok(*tag),
            code => {
                let failed = SignError::new("HMAC-SHA256", "the mac's function failed");
                Err(failed.code(code.unsigned_abs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn yes(_: *mut c_void, _: cloudauth_scheme) -> u32 {
        1
    }

    unsafe extern "C" fn size(_: *mut c_void, _: cloudauth_scheme) -> usize {
        64
    }

    unsafe extern "C" fn sign(
        _: *mut c_void,
        _: cloudauth_scheme,
        _: cloudauth_bytes,
        _: cloudauth_bytes,
        _: *const u8,
        out: *mut u8,
        _: usize,
        len: *mut usize,
    ) -> cloudauth_result {
        // SAFETY: as the header says.
        unsafe {
            out.write_bytes(7, 64);
            len.write(64);
        }
        CLOUDAUTH_OK
    }

    /// The function may want the message, so it is not called without one.
    #[test]
    fn a_function_gets_no_digest_alone() {
        let signer = cloudauth_signer {
            size: size_of::<cloudauth_signer>(),
            ctx: core::ptr::null_mut(),
            ctx_size: 0,
            public_key: None,
            supports: Some(yes),
            max_signature_len: Some(size),
            sign: Some(sign),
        };
        let external = External { signer, public_key: &[] };
        let mut out = [0; 64];
        let mut asked =
            |to_sign: ToSign<'_>| external.sign(Scheme::EcdsaP256Sha256, &to_sign, &mut out);
        assert_eq!(asked(ToSign::new(b"m", &[7; 32])), Ok(64));
        let refused = asked(ToSign::prehashed(&[7; 32], &[7; 32]));
        assert_eq!(refused, Err(SignError::NO_MESSAGE));
    }
}
