//! Verifying tokens.

use core::mem::ManuallyDrop;

use cloudauth_core::jws::{Check, Expect, Jwks, Key, KeySet, Outcome as Checked, Report, Token};
use cloudauth_core::soft::SoftVerifier;
use cloudauth_core::verifier::{MAX_SPKI_LEN, Verifier};
use cloudauth_core::{Error, ErrorKind, Scheme};

use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, InPlace, Outcome, Output, fill, run_in_place, unused, zeroed};
use crate::handle::{self, Handle};
use crate::json::{cloudauth_json, put};
use crate::result::{CLOUDAUTH_OK, Fault, cloudauth_error, cloudauth_result};
use crate::signer::{cloudauth_scheme, scheme};

/// A JWK set (RFC 7517): the public keys that an issuer publishes. It points into the text it was
/// read from. It may be copied, may be used by several threads at once, and needs no wiping.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_jwks {
    /// Opaque.
    pub reserved: [u64; 8],
}

/// A set, and the text it points into.
pub(crate) struct Set {
    set: Jwks<'static>,
    text: *const u8,
    len: usize,
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_jwks {
    type Value = Set;
    const TAG: u64 = u64::from_le_bytes(*b"jwks set");
}

const _: () = assert!(handle::fits::<cloudauth_jwks>());

/// Reads a JWK set. The text is rewritten in place, and must then stay where and as it is while the
/// set is used. Keys for other purposes are passed over; a set with a damaged, weak, private or
/// repeated key is refused.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED (`element` of the error says which key);
/// CLOUDAUTH_ERR_UNSUPPORTED; CLOUDAUTH_ERR_CAPACITY for more than 64 keys; CLOUDAUTH_ERR_NULL,
/// CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_jwks_parse(
    jwks: *mut cloudauth_jwks,
    text: *mut u8,
    text_len: usize,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules: the text outlives the set.
    unsafe {
        run_in_place(
            InPlace { ptr: text, len: text_len },
            error,
            &mut |cx, octets: &'static mut [u8]| {
                handle::clear(cx, jwks, "jwks")?;
                cx.ready()?;
                let set = Jwks::parse(octets).map(|set| Set { set, text, len: text_len });
                handle::set(cx, jwks, &mut ManuallyDrop::new(set))
            },
        )
    }
}

/// A key that may verify tokens.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_jws_key {
    /// Its name. A key without one verifies only tokens that name none, and only if it is the only
    /// key.
    pub kid: cloudauth_bytes,
    /// The SubjectPublicKeyInfo in DER.
    pub spki: cloudauth_bytes,
    /// The one scheme it is for; 0 for any that suits its type.
    pub scheme: cloudauth_scheme,
    /// 0.
    pub reserved: u32,
}

/// Accept every issuer.
pub const CLOUDAUTH_JWS_ANY_ISSUER: u32 = 1;
/// Accept every audience.
pub const CLOUDAUTH_JWS_ANY_AUDIENCE: u32 = 2;

/// What a token must be. Nothing of it is taken from the token.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_jws_expect {
    /// sizeof(cloudauth_jws_expect)
    pub size: usize,
    /// The schemes a token may be signed with; none refuses every token.
    pub schemes: *const cloudauth_scheme,
    /// How many there are: at most 5.
    pub scheme_count: usize,
    /// The one issuer (iss) that is accepted. Empty only with CLOUDAUTH_JWS_ANY_ISSUER.
    pub issuer: cloudauth_bytes,
    /// The one audience (aud) that is accepted. Empty only with CLOUDAUTH_JWS_ANY_AUDIENCE.
    pub audience: cloudauth_bytes,
    /// The header's type (typ) that is accepted; empty not to look at it.
    pub typ: cloudauth_bytes,
    /// The present time in seconds since 1970.
    pub time: i64,
    /// How far the issuer's clock may be from ours, in seconds; 60 is usual.
    pub skew: u32,
    /// The greatest age in seconds, counted from iat, which is then required; 0 for no limit but
    /// exp.
    pub max_age: u32,
    /// 0, or a sum of CLOUDAUTH_JWS_ANY_ISSUER and CLOUDAUTH_JWS_ANY_AUDIENCE.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// The signature algorithm is one of those expected.
pub const CLOUDAUTH_JWS_CHECK_ALG: u32 = 0;
/// There is no header extension that must be understood.
pub const CLOUDAUTH_JWS_CHECK_CRIT: u32 = 1;
/// The type is the expected one.
pub const CLOUDAUTH_JWS_CHECK_TYP: u32 = 2;
/// The key is among those given.
pub const CLOUDAUTH_JWS_CHECK_KEY: u32 = 3;
/// The signature is that key's.
pub const CLOUDAUTH_JWS_CHECK_SIGNATURE: u32 = 4;
/// The token has not expired.
pub const CLOUDAUTH_JWS_CHECK_EXP: u32 = 5;
/// The token is valid already.
pub const CLOUDAUTH_JWS_CHECK_NBF: u32 = 6;
/// The token was not issued in the future.
pub const CLOUDAUTH_JWS_CHECK_IAT: u32 = 7;
/// The token is not older than allowed.
pub const CLOUDAUTH_JWS_CHECK_MAX_AGE: u32 = 8;
/// The issuer is the expected one.
pub const CLOUDAUTH_JWS_CHECK_ISS: u32 = 9;
/// The audience is the expected one and no other.
pub const CLOUDAUTH_JWS_CHECK_AUD: u32 = 10;
/// How many checks there are.
pub const CLOUDAUTH_JWS_CHECK_COUNT: usize = 11;

/// The check was not made, because one that it rests on failed, or the token cannot be read.
pub const CLOUDAUTH_JWS_NOT_REACHED: u32 = 0;
/// The check holds.
pub const CLOUDAUTH_JWS_PASSED: u32 = 1;
/// Nothing was to be checked.
pub const CLOUDAUTH_JWS_NOT_ASKED: u32 = 2;
/// The check does not hold.
pub const CLOUDAUTH_JWS_FAILED: u32 = 3;

/// What came of one check.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_jws_check {
    /// CLOUDAUTH_JWS_PASSED and so on.
    pub outcome: u32,
    /// If it failed: CLOUDAUTH_ERR_VERIFICATION, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_UNSUPPORTED
    /// or CLOUDAUTH_ERR_CAPACITY.
    pub result: cloudauth_result,
    /// What is wrong, as in cloudauth_error.
    pub field: cloudauth_bytes,
    /// What is expected, as in cloudauth_error.
    pub help: cloudauth_bytes,
}

/// Every check of one token, and what the token says if all of them hold.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_jws_report {
    /// sizeof(cloudauth_jws_report)
    pub size: usize,
    /// The header. Only if the token is verified.
    pub header: cloudauth_json,
    /// The claims. Only if the token is verified.
    pub claims: cloudauth_json,
    /// By CLOUDAUTH_JWS_CHECK_*. Also filled in where the token is refused.
    // Last, so that later versions can add checks.
    pub checks: [cloudauth_jws_check; CLOUDAUTH_JWS_CHECK_COUNT],
}

/// Name and scheme of the key at an index.
type Names<'n> = &'n dyn Fn(usize) -> Option<(Option<&'n str>, Option<Scheme>)>;

/// Keys of which only the one that a token names is made ready.
struct Keys<'n, 'k> {
    names: Names<'n>,
    /// The one that is ready.
    chosen: usize,
    verifier: &'k dyn Verifier,
}

impl KeySet for Keys<'_, '_> {
    fn get(&self, index: usize) -> Option<Key<'_>> {
        let (kid, scheme) = (self.names)(index)?;
        let verifier: &dyn Verifier =
            if index == self.chosen { self.verifier } else { &CannotVerify };
        Some(Key { kid, scheme, verifier })
    }
}

/// For a key that is not the token's, or of a type that this build cannot verify with.
struct CannotVerify;

impl Verifier for CannotVerify {
    fn supports(&self, _: Scheme) -> bool {
        false
    }

    fn verify(&self, _: Scheme, _: &[u8], _: &[u8]) -> cloudauth_core::Result<()> {
        Err(Error::unsupported("key", "this build cannot verify with its type"))
    }
}

/// Writes every outcome, and header and claims if all hold.
fn tell(
    cx: &Cx,
    report: *mut cloudauth_jws_report,
    of: &Report<'_>,
    decoded: (*const u8, usize),
) -> Outcome {
    let mut value: cloudauth_jws_report = zeroed();
    for ((_, outcome), slot) in of.outcomes().zip(&mut value.checks) {
        slot.outcome = match outcome {
            Checked::NotReached => CLOUDAUTH_JWS_NOT_REACHED,
            Checked::Passed => CLOUDAUTH_JWS_PASSED,
            // A token alone has nothing to waive.
            Checked::NotAsked | Checked::Waived => CLOUDAUTH_JWS_NOT_ASKED,
            Checked::Failed(error) => {
                let mut described = zeroed::<cloudauth_error>();
                Fault::from(error).describe(&mut described);
                slot.result = described.result;
                slot.field = described.field;
                slot.help = described.help;
                CLOUDAUTH_JWS_FAILED
            }
        };
    }
    cx.write(report, &value);
    let verified = of.verdict()?;
    // SAFETY: `cx` has looked at the report, of which these are the first members.
    unsafe {
        put(&raw mut (*report).header, verified.header(), decoded);
        put(&raw mut (*report).claims, verified.claims(), decoded);
    }
    Ok(())
}

const _: () = assert!(Check::ALL.len() == CLOUDAUTH_JWS_CHECK_COUNT && CLOUDAUTH_OK == 0);

/// Verifies `token` with the key that it names.
fn verify(
    cx: &Cx,
    token: cloudauth_bytes,
    expect: *const cloudauth_jws_expect,
    names: Names<'_>,
    spki: &mut dyn FnMut(usize) -> Outcome<cloudauth_core::Result<SoftVerifier>>,
    buf: &mut [u8],
    report: *mut cloudauth_jws_report,
) -> Outcome {
    let expect = cx.read(expect, "expect")?;
    unused(expect.reserved)?;
    if expect.flags & !(CLOUDAUTH_JWS_ANY_ISSUER | CLOUDAUTH_JWS_ANY_AUDIENCE) != 0 {
        return Err(Fault::number("flags"));
    }
    let pinned = |text, any, field| {
        let text = cx.optional(text, field)?;
        match text.is_none() == (expect.flags & any != 0) {
            true => Ok(text),
            false => {
                let help = "expected exactly one of: a value, the flag that accepts any";
                Err(Fault::from(Error::invalid(field, help)))
            }
        }
    };
    let mut schemes = [Scheme::RsaPkcs1Sha256; Scheme::ALL.len()];
    let list = (expect.schemes, expect.scheme_count);
    let expected = Expect {
        issuer: pinned(expect.issuer, CLOUDAUTH_JWS_ANY_ISSUER, "issuer")?,
        audience: pinned(expect.audience, CLOUDAUTH_JWS_ANY_AUDIENCE, "audience")?,
        typ: cx.optional(expect.typ, "typ")?,
        skew: expect.skew.into(),
        max_age: Some(expect.max_age.into()).filter(|seconds| *seconds != 0),
        ..Expect::new(
            cx.list(list, "scheme", &mut schemes, |number| scheme(number, "scheme"))?,
            cx.time(expect.time)?,
        )
    };
    let decoded = (buf.as_ptr(), buf.len());
    let token = Token::parse(cx.text(token, "token")?, buf)?;
    // The rules of `KeySet` choose again, and refuse what is ambiguous; this spares the others.
    let kid = token.header().get("kid").and_then(|kid| kid.as_str());
    let mut indices = 0..cloudauth_core::jws::MAX_KEYS;
    let chosen = indices.find(|index| match names(*index) {
        Some((name, _)) => kid.is_none() || name == kid,
        None => false,
    });
    let made = match chosen {
        Some(index) => match spki(index)? {
            Ok(verifier) => Some(verifier),
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let verifier: &dyn Verifier = match &made {
        Some(verifier) => verifier,
        None => &CannotVerify,
    };
    let keys = Keys { names, chosen: chosen.unwrap_or(usize::MAX), verifier };
    tell(cx, report, &token.verify(&expected, &keys), decoded)
}

/// Verifies a token (a compact JWS with JWT claims) with keys that the caller has. What it says is
/// decoded to `out`, and `report` points there. Every check is made, so that the report says all
/// that is wrong at once; the result is that of the first failure.
///
/// A token gets the key of exactly the name in its header; without a name, the only key of a list
/// of one.
///
/// @return CLOUDAUTH_OK if every check holds; CLOUDAUTH_ERR_BUFFER_TOO_SMALL;
/// CLOUDAUTH_ERR_VERIFICATION; CLOUDAUTH_ERR_MALFORMED for what is no token, misses claims, or for
/// a damaged key; CLOUDAUTH_ERR_UNSUPPORTED; CLOUDAUTH_ERR_CAPACITY above 65536 octets or 64 keys;
/// CLOUDAUTH_ERR_INVALID for an issuer or audience that is neither given nor waived;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
/// CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_jws_verify(
    token: cloudauth_bytes,
    expect: *const cloudauth_jws_expect,
    keys: *const cloudauth_jws_key,
    key_count: usize,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    report: *mut cloudauth_jws_report,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            cx.clear(report, "report")?;
            cx.check(keys, key_count, "keys")?;
            if key_count > cloudauth_core::jws::MAX_KEYS {
                let full = Error::new(ErrorKind::Capacity, "keys", "at most 64");
                return Err(full.into());
            }
            let read = |key: cloudauth_jws_key| {
                unused(key.reserved)?;
                let only = match key.scheme {
                    0 => None,
                    number => Some(scheme(number, "scheme of a key")?),
                };
                Ok((cx.optional(key.kid, "kid")?, only, cx.bytes(key.spki, "key")?))
            };
            // Each once, so that nothing can be wrong with them below.
            cx.each((keys, key_count), "keys", &mut |key| read(key).map(|_| ()))?;
            let at = |index| cx.nth((keys, key_count), index).and_then(|key| read(key).ok());
            let written = buf.len();
            verify(
                cx,
                token,
                expect,
                &|index| at(index).map(|(kid, only, _)| (kid, only)),
                &mut |index| {
                    let (_, _, spki) = at(index).ok_or(Fault::internal())?;
                    Ok(SoftVerifier::from_spki(spki))
                },
                buf,
                report,
            )?;
            Ok(written)
        })
    }
}

/// Verifies a token with the keys of a JWK set; otherwise as cloudauth_jws_verify.
///
/// @return As cloudauth_jws_verify; CLOUDAUTH_ERR_STATE if the set is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_jws_verify_jwks(
    token: cloudauth_bytes,
    expect: *const cloudauth_jws_expect,
    jwks: *const cloudauth_jwks,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    report: *mut cloudauth_jws_report,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            cx.clear(report, "report")?;
            let Set { set: jwks, text, len } = handle::get(cx, jwks, "jwks")?;
            cx.check(*text, *len, "text of the keys")?;
            let written = buf.len();
            verify(
                cx,
                token,
                expect,
                &|index| jwks.keys().nth(index).map(|key| (key.kid(), key.scheme())),
                &mut |index| {
                    let key = jwks.keys().nth(index).ok_or(Fault::internal())?;
                    let mut space = [0; MAX_SPKI_LEN];
                    Ok(key.spki(&mut space).and_then(SoftVerifier::from_spki))
                },
                buf,
                report,
            )?;
            Ok(written)
        })
    }
}
