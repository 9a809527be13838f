//! Signers and MACs that do not do their duty, or more than that.

use cloudauth::*;

use super::call;
use crate::cases::{Case, P256, Stub, at, create_session, self_signed, signer};
use crate::probe::{CAP, Callback, Mode, Probe, blank};

/// Every function that calls back.
fn cases() -> Vec<Case> {
    let cases = super::cases().filter(|(_, _, parts)| parts.callbacks > 0);
    let mut cases: Vec<_> = cases.map(|(_, case, _)| case).collect();
    // The eight flows with a key of their own, and the derivation of a day's key.
    assert_eq!(cases.len(), 9);
    if cfg!(miri) {
        // The flows share their code.
        let few = ["gcp_self_signed_sign", "sigv4_key_derive"];
        cases.retain(|case| few.iter().any(|name| case.name.ends_with(name)));
    }
    cases
}

#[test]
fn that_fail() {
    for case in cases() {
        for result in [1, i32::MAX, i32::MIN, CLOUDAUTH_ERR_BUFFER_TOO_SMALL] {
            let p = Probe::new(Mode::Callback(Callback::Fails(result)));
            assert_eq!(call(&case, &p), CLOUDAUTH_ERR_SIGNER, "{}", case.name);
        }
    }
}

#[test]
fn that_lie() {
    for case in cases() {
        for callback in [Callback::Nothing, Callback::Zeros] {
            let p = Probe::new(Mode::Callback(callback));
            assert_eq!(call(&case, &p), CLOUDAUTH_ERR_SIGNER, "{} {callback:?}", case.name);
        }
        // A MAC has no length to lie about.
        for callback in [Callback::Short, Callback::Excess(1), Callback::Excess(usize::MAX)] {
            let p = Probe::new(Mode::Callback(callback));
            let mac = case.name == "cloudauth_sigv4_key_derive";
            let expected = if mac { CLOUDAUTH_OK } else { CLOUDAUTH_ERR_SIGNER };
            assert_eq!(call(&case, &p), expected, "{} {callback:?}", case.name);
        }
    }
}

#[test]
fn that_call_back_in() {
    for case in cases() {
        let p = Probe::new(Mode::Callback(Callback::Reenters));
        assert_eq!(call(&case, &p), CLOUDAUTH_OK, "{}", case.name);
    }
}

#[test]
fn that_are_not_there() {
    for n in 0..3 {
        let p = Probe::good();
        let signer = signer(&p, P256);
        // SAFETY: as the header says.
        let result = unsafe {
            match n {
                0 => (*signer).supports = None,
                1 => (*signer).max_signature_len = None,
                _ => (*signer).sign = None,
            }
            cloudauth_gcp_self_signed_sign(
                self_signed(&p),
                signer,
                at(&p),
                p.out(),
                p.cap(),
                p.len(),
                p.error(),
            )
        };
        assert_eq!(result, CLOUDAUTH_ERR_NULL);
        p.check(true, result, "cloudauth_gcp_self_signed_sign");
    }
}

#[test]
fn are_not_asked_before_there_is_room() {
    for (mode, result, asked) in [
        (Mode::Cap(0), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, 0),
        (Mode::Cap(300), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, 0),
        (Mode::Cap(CAP), CLOUDAUTH_OK, 1),
    ] {
        let p = Probe::new(mode);
        let signer = signer(&p, P256);
        // SAFETY: as the header says.
        unsafe {
            let (params, at) = (create_session(&p), at(&p));
            let (out, cap, len) = (p.out(), p.cap(), p.len());
            let made = cloudauth_rolesanywhere_create_session_request(
                params,
                signer,
                at,
                out,
                cap,
                len,
                blank(),
                p.error(),
            );
            assert_eq!((made, (*(*signer).ctx.cast::<Stub>()).asked), (result, asked));
        }
    }
}
