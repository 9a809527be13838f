//! Certificates.

use cloudauth_core::Out;
use cloudauth_core::x509::Certificate;

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome, Output, fill, run};
use crate::result::{cloudauth_error, cloudauth_result};

/// What a certificate says. It is read, not verified. All octets point into its DER.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_certificate {
    /// sizeof(cloudauth_certificate)
    pub size: usize,
    /// The serial number, big-endian without leading zeros: 1 to 20 octets.
    pub serial: cloudauth_bytes,
    /// The SubjectPublicKeyInfo in DER.
    pub spki: cloudauth_bytes,
    /// The first second of validity, since 1970.
    pub not_before: i64,
    /// The last second of validity, since 1970.
    pub not_after: i64,
    /// 1 if the subject is a certification authority, else 0.
    pub is_ca: u32,
    /// 0.
    pub reserved: u32,
}

fn parse<'a>(cx: &'a Cx, der: cloudauth_bytes) -> Outcome<Certificate<'a>> {
    Ok(Certificate::parse(cx.bytes(der, "certificate")?)?)
}

/// Reads one certificate in DER.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_x509_parse(
    der: cloudauth_bytes,
    certificate: *mut cloudauth_certificate,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            cx.clear(certificate, "certificate structure")?;
            let read = parse(cx, der)?;
            let mut value: cloudauth_certificate = crate::call::zeroed();
            value.serial = cloudauth_bytes::of(read.serial());
            value.spki = cloudauth_bytes::of(read.spki());
            value.not_before = read.not_before().as_secs().cast_signed();
            value.not_after = read.not_after().as_secs().cast_signed();
            value.is_ca = read.is_ca().into();
            cx.write(certificate, &value);
            Ok(())
        })
    }
}

/// Refuses a certificate that is not valid at `time`, in seconds since 1970.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID before its first and after its last second;
/// CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE,
/// CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_x509_check_validity(
    der: cloudauth_bytes,
    time: i64,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe { run(error, &mut |cx| Ok(parse(cx, der)?.check_validity(cx.time(time)?)?)) }
}

/// Writes the serial number of a certificate in decimal: at most 49 digits.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_x509_serial_decimal(
    der: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let mut out = Out::new(buf);
            parse(cx, der)?.write_serial_decimal(&mut out);
            Ok(out.finish()?.len())
        })
    }
}

/// Writes the SHA-256 of a certificate (x5t#S256): 32 octets.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_x509_thumbprint_sha256(
    der: cloudauth_bytes,
    thumbprint: *mut u8,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            let thumbprint = thumbprint.cast::<[u8; 32]>();
            cx.put(thumbprint, "thumbprint")?;
            cx.update(thumbprint, parse(cx, der)?.thumbprint_sha256());
            Ok(())
        })
    }
}

/// Writes the SHA-1 of a certificate (x5t): 20 octets. A name, not a proof.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_x509_thumbprint_sha1(
    der: cloudauth_bytes,
    thumbprint: *mut u8,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            let thumbprint = thumbprint.cast::<[u8; 20]>();
            cx.put(thumbprint, "thumbprint")?;
            cx.update(thumbprint, parse(cx, der)?.thumbprint_sha1());
            Ok(())
        })
    }
}
