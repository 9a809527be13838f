//! Every function, with one thing wrong at a time.

use cloudauth::*;

use crate::cases::{
    ACCESS_TOKEN, Case, P256, RSA, access_token, all, at, client_assertion, create_session, head,
    id_token, request, self_signed, signer, sigv4, sigv4_request, stub,
};
use crate::probe::{CAP, Mode, Probe, blank, bytes, held, leak, made, text};

fn cases() -> impl Iterator<Item = Case> {
    // Miri takes a thousand times as long, so it sees one flow of each kind: all share their code.
    const ALIKE: [&str; 7] = [
        "cloudauth_azure_",
        "cloudauth_gcp_federation_",
        "cloudauth_gcp_generate_access_",
        "cloudauth_gcp_id_token_",
        "cloudauth_gcp_subject_",
        "cloudauth_rolesanywhere_",
        "cloudauth_sts_",
    ];
    let slow = |case: &Case| case.slow || ALIKE.iter().any(|flow| case.name.starts_with(flow));
    all().into_iter().filter(move |case| !(cfg!(miri) && slow(case)))
}

/// Calls with the n-th thing wrong, for every n there is.
fn each(
    case: &Case,
    mode: impl Fn(usize) -> Mode,
    count: impl Fn(&Probe) -> usize,
    expected: cloudauth_result,
) -> usize {
    let good = Probe::good();
    assert_eq!((case.call)(&good), CLOUDAUTH_OK, "{}", case.name);
    let count = count(&good);
    for n in 0..count {
        let p = Probe::new(mode(n));
        assert_eq!((case.call)(&p), expected, "{} {:?}", case.name, p.mode);
        // SAFETY: made by the probe.
        let error = unsafe { &*p.error };
        assert_eq!(error.result, expected);
        assert!(error.field.len > 0 && error.help.len > 0, "{} {:?}", case.name, p.mode);
    }
    count
}

#[test]
fn null_pointers() {
    let count: usize =
        cases().map(|case| each(&case, Mode::Null, |p| p.pointers.get(), CLOUDAUTH_ERR_NULL)).sum();
    assert!(cfg!(miri) || count > 150, "{count}");
}

#[test]
fn wrong_struct_sizes() {
    let count: usize = cases()
        .map(|case| each(&case, Mode::Size, |p| p.sizes.get(), CLOUDAUTH_ERR_STRUCT_SIZE))
        .sum();
    assert!(cfg!(miri) || count > 80, "{count}");
}

#[test]
fn impossible_lengths() {
    let count: usize = cases()
        .map(|case| each(&case, Mode::Length, |p| p.lengths.get(), CLOUDAUTH_ERR_LENGTH))
        .sum();
    assert!(cfg!(miri) || count > 15, "{count}");
}

#[test]
fn overlaps() {
    for case in cases().filter(|case| case.fills) {
        let inputs = |p: &Probe| p.inputs.borrow().len();
        assert!(each(&case, Mode::Overlap, inputs, CLOUDAUTH_ERR_OVERLAP) > 0, "{}", case.name);
    }
}

#[test]
fn no_error_wanted() {
    for case in cases() {
        let mut p = Probe::good();
        p.error = std::ptr::null_mut();
        assert_eq!((case.call)(&p), CLOUDAUTH_OK, "{}", case.name);
        p.mode = Mode::Null(0);
        p.pointers.set(0);
        assert_eq!((case.call)(&p), CLOUDAUTH_ERR_NULL, "{}", case.name);
    }
}

#[test]
fn small_buffers() {
    for case in cases().filter(|case| case.fills) {
        let p = Probe::new(Mode::Cap(0));
        assert_eq!((case.call)(&p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
        let need = p.written();
        // SAFETY: made by the probe.
        assert_eq!(unsafe { (*p.error).detail }, need);

        let p = Probe::new(Mode::Cap(need - 1));
        assert_eq!((case.call)(&p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
        assert_eq!(p.written(), need);
        assert_eq!(p.content(), vec![0xaa; CAP], "{}", case.name);

        let p = Probe::new(Mode::Cap(need));
        assert_eq!((case.call)(&p), CLOUDAUTH_OK, "{}", case.name);
        assert!((1..=need).contains(&p.written()));
        assert_eq!(p.content()[need..], vec![0xaa; CAP - need], "{}", case.name);
    }
}

#[test]
fn a_null_buffer_of_no_size_is_a_question() {
    for case in cases().filter(|case| case.fills) {
        let mut p = Probe::new(Mode::Cap(0));
        p.buf = std::ptr::null_mut();
        assert_eq!((case.call)(&p), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, "{}", case.name);
    }
}

#[test]
fn no_key_is_asked_before_there_is_room() {
    let stub = stub(P256);
    for (mode, result, asked) in [
        (Mode::Cap(0), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, 0),
        (Mode::Cap(300), CLOUDAUTH_ERR_BUFFER_TOO_SMALL, 0),
        (Mode::Cap(CAP), CLOUDAUTH_OK, 1),
    ] {
        let p = Probe::new(mode);
        // SAFETY: as the header says.
        unsafe {
            let made = cloudauth_rolesanywhere_create_session_request(
                create_session(),
                signer(stub),
                at(),
                p.out(),
                p.cap(),
                p.len(),
                blank(),
                p.error,
            );
            assert_eq!((made, (*stub).asked), (result, asked));
        }
    }
}

#[test]
fn signers_that_fail_or_write_too_much() {
    for (result, excess) in
        [(1, 0), (-1, 0), (i32::MIN, 0), (CLOUDAUTH_OK, 1), (CLOUDAUTH_OK, 4096)]
    {
        let stub = stub(RSA);
        // SAFETY: just made.
        unsafe { ((*stub).result, (*stub).excess) = (result, excess) };
        let p = Probe::good();
        let request = made(|request: &mut cloudauth_request| request.body = text("left over"));
        // SAFETY: as the header says.
        unsafe {
            let failed = cloudauth_gcp_id_token_request(
                id_token(),
                signer(stub),
                at(),
                p.out(),
                p.cap(),
                p.len(),
                request,
                p.error,
            );
            assert_eq!((failed, (*stub).asked), (CLOUDAUTH_ERR_SIGNER, 1));
            assert_eq!((p.content(), p.written()), (vec![0; CAP], 0));
            assert_eq!((*request).body.len, 0);
            let failed = cloudauth_gcp_self_signed_sign(
                self_signed(),
                signer(stub),
                at(),
                p.out(),
                p.cap(),
                p.len(),
                p.error,
            );
            assert_eq!((failed, p.written()), (CLOUDAUTH_ERR_SIGNER, 0));
        }
    }
}

#[test]
fn a_signer_without_functions() {
    let p = Probe::good();
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_self_signed_sign(
            self_signed(),
            blank(),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            p.error,
        )
    };
    assert_eq!(result, CLOUDAUTH_ERR_NULL);
}

#[test]
fn another_key_than_the_certificates() {
    let p = Probe::good();
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_azure_client_assertion_sign(
            client_assertion(),
            signer(stub(P256)),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            p.error,
        )
    };
    assert_eq!(result, CLOUDAUTH_ERR_MISMATCH);
    assert_eq!(p.content(), vec![0; CAP]);
}

#[test]
fn unknown_numbers() {
    let p = Probe::good();
    let (params, sign) = (self_signed(), signer(stub(P256)));
    // SAFETY: as the header says.
    unsafe {
        (*params).scheme = 99;
        let sign = |params| {
            cloudauth_gcp_self_signed_sign(params, sign, at(), p.out(), p.cap(), p.len(), p.error)
        };
        assert_eq!(sign(params), CLOUDAUTH_ERR_UNKNOWN_NUMBER);
        // Known, but none that Google takes.
        (*params).scheme = CLOUDAUTH_SCHEME_ECDSA_P384_SHA384;
        assert_eq!(sign(params), CLOUDAUTH_ERR_UNSUPPORTED);

        let (params, request) = (sigv4("s3"), sigv4_request());
        let q = &p;
        let sign = move || {
            cloudauth_sigv4_sign(
                params,
                request,
                crate::cases::NOW,
                q.out(),
                q.cap(),
                q.len(),
                blank(),
                q.error,
            )
        };
        (*params).flags = 16;
        assert_eq!(sign(), CLOUDAUTH_ERR_UNKNOWN_NUMBER);
        (*params).flags = CLOUDAUTH_SIGV4_S3;
        (*request).payload_kind = 4;
        assert_eq!(sign(), CLOUDAUTH_ERR_UNKNOWN_NUMBER);
        (*request).payload_kind = CLOUDAUTH_SIGV4_PAYLOAD_SHA256;
        assert_eq!(sign(), CLOUDAUTH_ERR_LENGTH);

        let label = leak(text(""));
        assert_eq!(cloudauth_ekm_label(3, label, p.error), CLOUDAUTH_ERR_UNKNOWN_NUMBER);
        assert_eq!(cloudauth_ekm_compat_label(0, label, p.error), CLOUDAUTH_ERR_UNKNOWN_NUMBER);
        assert_eq!((*label).len, 0);
        for status in [0, 99, 1000, 65_736] {
            let body = text(ACCESS_TOKEN);
            let result = cloudauth_gcp_access_token_response(
                access_token(),
                head(status),
                body.ptr.cast_mut(),
                body.len,
                blank(),
                std::ptr::null_mut(),
                p.error,
            );
            assert_eq!(result, CLOUDAUTH_ERR_UNKNOWN_NUMBER);
        }
    }
}

#[test]
fn text_that_is_not_utf8() {
    let (p, params) = (Probe::good(), self_signed());
    // SAFETY: as the header says.
    unsafe {
        (*params).email = bytes(b"robot\xff@x");
        let result = cloudauth_gcp_self_signed_sign(
            params,
            signer(stub(P256)),
            at(),
            p.out(),
            p.cap(),
            p.len(),
            p.error,
        );
        assert_eq!(result, CLOUDAUTH_ERR_UTF8);
        assert_eq!(held((*p.error).field), b"service account e-mail");
    }
}

#[test]
fn random_octets_must_be_random() {
    let (p, at) = (Probe::good(), at());
    // SAFETY: as the header says.
    unsafe {
        (*at).random = [0; 32];
        let result = cloudauth_gcp_self_signed_needed(self_signed(), at, 64, p.len(), p.error);
        assert_eq!((result, p.written()), (CLOUDAUTH_ERR_INVALID, 0));
        (*at).random = [1; 32];
        (*at).time = -1;
        let result = cloudauth_gcp_self_signed_needed(self_signed(), at, 64, p.len(), p.error);
        assert_eq!(result, CLOUDAUTH_ERR_INVALID);
    }
}

/// A structure of a later version.
#[repr(C)]
#[derive(Clone, Copy)]
struct Later {
    now: cloudauth_attempt,
    more: u64,
}

#[test]
fn a_longer_struct_is_taken_if_the_rest_is_zero() {
    for (more, expected) in [(0, CLOUDAUTH_OK), (1, CLOUDAUTH_ERR_STRUCT_SIZE)] {
        // SAFETY: as the header says.
        unsafe {
            let later = leak(Later { now: *at(), more });
            (*later).now.size = size_of::<Later>();
            let p = Probe::good();
            let result =
                cloudauth_gcp_self_signed_needed(self_signed(), later.cast(), 64, p.len(), p.error);
            assert_eq!(result, expected);
        }
    }
}

#[test]
fn refusals_come_in_the_services_own_words() {
    let p = Probe::good();
    let body = text(r#"{"error":"invalid_grant","error_description":"no"}"#);
    let refusal = blank::<cloudauth_refusal>();
    let output = made(|token: &mut cloudauth_access_token| token.expires_in = 7);
    // SAFETY: as the header says.
    unsafe {
        let result = cloudauth_gcp_access_token_response(
            access_token(),
            head(400),
            body.ptr.cast_mut(),
            body.len,
            output,
            refusal,
            p.error,
        );
        assert_eq!(result, CLOUDAUTH_ERR_SERVICE);
        assert_eq!(((*refusal).status, (*refusal).transient), (400, 0));
        assert_eq!(held((*refusal).code), b"invalid_grant");
        assert_eq!(held((*refusal).message), b"no");
        assert_eq!((*output).expires_in, 0);
        assert_eq!((*output).size, size_of::<cloudauth_access_token>());

        let body = text("<html>");
        let result = cloudauth_gcp_access_token_response(
            access_token(),
            head(200),
            body.ptr.cast_mut(),
            body.len,
            output,
            refusal,
            p.error,
        );
        assert_eq!((result, (*refusal).status), (CLOUDAUTH_ERR_MALFORMED, 0));
    }
}

#[test]
fn many_headers_of_an_answer() {
    for (count, expected) in [(16, 0), (17, 0), (128, 0), (129, CLOUDAUTH_ERR_CAPACITY)] {
        let pair = cloudauth_pair { name: text("X"), value: text("y") };
        let head = head(200);
        let body = text(ACCESS_TOKEN);
        // SAFETY: as the header says.
        let result = unsafe {
            (*head).headers = vec![pair; count].leak().as_mut_ptr();
            (*head).header_count = count;
            cloudauth_gcp_access_token_response(
                access_token(),
                head,
                body.ptr.cast_mut(),
                body.len,
                blank(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        assert_eq!(result, expected, "{count}");
    }
}

#[test]
fn line_ends_do_not_get_into_a_request() {
    let (p, request) = (Probe::good(), request());
    // SAFETY: as the header says.
    unsafe {
        (*request).host = text("a.example\r\nX: y");
        let result = cloudauth_http1_write(request, p.out(), p.cap(), p.len(), p.error);
        assert_eq!((result, p.written()), (CLOUDAUTH_ERR_INVALID, 0));
    }
}
