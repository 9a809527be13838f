//! What is wrong with values, one by one, beside a neighbour that is taken.

use cloudauth::*;

use crate::cases::{
    ACCESS_TOKEN, JWKS, NOW, P256, access_token, at, claims, client_assertion, head, made_request,
    request, self_signed, signer, sigv4, sigv4_request,
};
use crate::probe::{CAP, Probe, blank, bytes, held, leak, text};

fn sign(p: &Probe, set: impl FnOnce(&mut cloudauth_gcp_self_signed_params)) -> cloudauth_result {
    let params = self_signed(p);
    // SAFETY: as the header says.
    unsafe {
        set(&mut *params);
        let (signer, at) = (signer(p, P256), at(p));
        cloudauth_gcp_self_signed_sign(params, signer, at, p.out(), p.cap(), p.len(), p.error())
    }
}

#[test]
fn another_key_than_the_certificates() {
    let p = Probe::good();
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_azure_client_assertion_sign(
            client_assertion(&p),
            signer(&p, P256),
            at(&p),
            p.out(),
            p.cap(),
            p.len(),
            p.error(),
        )
    };
    assert_eq!(result, CLOUDAUTH_ERR_MISMATCH);
    assert_eq!(p.content(), vec![0; CAP]);
}

#[test]
fn a_scheme_that_google_does_not_take() {
    for (scheme, expected) in [
        (CLOUDAUTH_SCHEME_ECDSA_P256_SHA256, CLOUDAUTH_OK),
        (CLOUDAUTH_SCHEME_ECDSA_P384_SHA384, CLOUDAUTH_ERR_UNSUPPORTED),
        (6, CLOUDAUTH_ERR_UNKNOWN_NUMBER),
    ] {
        assert_eq!(sign(&Probe::good(), |params| params.scheme = scheme), expected);
    }
}

#[test]
fn payloads() {
    let (bytes, digest) = (CLOUDAUTH_SIGV4_PAYLOAD_BYTES, CLOUDAUTH_SIGV4_PAYLOAD_SHA256);
    for (kind, len, expected) in [
        (bytes, 31, CLOUDAUTH_OK),
        (digest, 32, CLOUDAUTH_OK),
        (digest, 31, CLOUDAUTH_ERR_LENGTH),
        (CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED, 0, CLOUDAUTH_OK),
        (CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED, 1, CLOUDAUTH_ERR_INVALID),
        (CLOUDAUTH_SIGV4_PAYLOAD_STREAMING, 1, CLOUDAUTH_ERR_INVALID),
        (4, 0, CLOUDAUTH_ERR_UNKNOWN_NUMBER),
    ] {
        let p = Probe::good();
        let request = sigv4_request(&p);
        // SAFETY: as the header says.
        let result = unsafe {
            (*request).payload_kind = kind;
            (*request).payload = crate::probe::bytes(&[1; 32][..len]);
            let (params, out) = (sigv4(&p, "s3"), p.out());
            cloudauth_sigv4_sign(params, request, NOW, out, p.cap(), p.len(), p.made(), p.error())
        };
        assert_eq!(result, expected, "{kind} {len}");
    }
}

#[test]
fn random_octets_must_be_random() {
    for (random, time, expected) in [
        ([1; 32], NOW, CLOUDAUTH_OK),
        ([0; 32], NOW, CLOUDAUTH_ERR_INVALID),
        ([1; 32], -1, CLOUDAUTH_ERR_INVALID),
    ] {
        let (p, at) = (Probe::good(), at(&Probe::good()));
        // SAFETY: as the header says.
        let result = unsafe {
            (*at).random = random;
            (*at).time = time;
            cloudauth_gcp_self_signed_needed(self_signed(&p), at, 64, p.len(), p.error())
        };
        assert_eq!((result, p.written() == 0), (expected, expected != CLOUDAUTH_OK));
    }
}

fn answer(
    status: u32,
    body: &str,
    p: &Probe,
) -> (cloudauth_result, *mut cloudauth_access_token, *mut cloudauth_refusal) {
    let (output, refusal) = (p.made(), p.may_make());
    // SAFETY: as the header says.
    let result = unsafe {
        cloudauth_gcp_access_token_response(
            access_token(p),
            head(p, status),
            p.in_place(body.as_bytes()),
            body.len(),
            output,
            refusal,
            p.error(),
        )
    };
    p.check(false, result, "cloudauth_gcp_access_token_response");
    (result, output, refusal)
}

#[test]
fn a_status_has_three_digits() {
    for (status, expected) in [
        (200, CLOUDAUTH_OK),
        (0, CLOUDAUTH_ERR_UNKNOWN_NUMBER),
        (99, CLOUDAUTH_ERR_UNKNOWN_NUMBER),
        (1000, CLOUDAUTH_ERR_UNKNOWN_NUMBER),
        (65_736, CLOUDAUTH_ERR_UNKNOWN_NUMBER),
    ] {
        assert_eq!(answer(status, ACCESS_TOKEN, &Probe::good()).0, expected);
    }
}

#[test]
fn refusals_come_in_the_services_own_words() {
    let (output, refusal) = (blank::<cloudauth_access_token>(), blank::<cloudauth_refusal>());
    let p = Probe::good();
    let body = br#"{"error":"invalid_grant","error_description":"no"}"#;
    // SAFETY: as the header says.
    unsafe {
        (*output).expires_in = 7;
        let params = access_token(&p);
        let result = cloudauth_gcp_access_token_response(
            params,
            head(&p, 400),
            p.in_place(body),
            body.len(),
            output,
            refusal,
            p.error(),
        );
        assert_eq!(result, CLOUDAUTH_ERR_SERVICE);
        assert_eq!(((*refusal).status, (*refusal).transient), (400, 0));
        assert_eq!(held((*refusal).code), b"invalid_grant");
        assert_eq!(held((*refusal).message), b"no");
        assert_eq!((*output).expires_in, 0);
        assert_eq!((*output).size, size_of::<cloudauth_access_token>());
    }
    assert_eq!(answer(200, "<html>", &Probe::good()).0, CLOUDAUTH_ERR_MALFORMED);
}

#[test]
fn many_headers_of_an_answer() {
    for (count, expected) in [(16, 0), (17, 0), (128, 0), (129, CLOUDAUTH_ERR_CAPACITY)] {
        let p = Probe::good();
        let pair = cloudauth_pair { name: text("X"), value: text("y") };
        let head = head(&p, 200);
        // SAFETY: as the header says.
        let result = unsafe {
            ((*head).headers, (*head).header_count) = p.elements(&vec![pair; count]);
            cloudauth_gcp_access_token_response(
                access_token(&p),
                head,
                p.in_place(ACCESS_TOKEN.as_bytes()),
                ACCESS_TOKEN.len(),
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
    for (host, expected) in
        [("a.example", CLOUDAUTH_OK), ("a.example\r\nX: y", CLOUDAUTH_ERR_INVALID)]
    {
        let (p, request) = (Probe::good(), request(&Probe::good()));
        // SAFETY: as the header says.
        unsafe {
            (*request).host = text(host);
            let (out, cap, len) = (p.out(), p.cap(), p.len());
            assert_eq!(cloudauth_http1_write(request, out, cap, len, p.error()), expected);
        }
    }
}

#[test]
fn a_request_is_not_written_over_itself() {
    let (p, request) = (Probe::good(), made_request());
    // SAFETY: as the header says.
    let result = unsafe {
        let body = (*request).body.ptr.cast_mut();
        cloudauth_http1_write(request, body, 16, p.len(), p.error())
    };
    assert_eq!((result, p.written()), (CLOUDAUTH_ERR_OVERLAP, 0));
}

#[test]
fn claims_are_not_written_over_themselves() {
    let p = Probe::good();
    let mut string = bytes(b"");
    // SAFETY: as the header says.
    unsafe {
        let found = cloudauth_json_string(claims(), text("/iss"), &raw mut string, p.error());
        assert_eq!(found, CLOUDAUTH_OK);
        // Anywhere in the buffer, not only at this one.
        let to = string.ptr.cast_mut().sub(1);
        let write = cloudauth_json_write(claims(), text("/exp"), to, 1, p.len(), p.error());
        assert_eq!(write, CLOUDAUTH_ERR_OVERLAP);
        let number = to.cast::<i64>();
        let integer = cloudauth_json_integer(claims(), text("/exp"), number, p.error());
        assert_eq!(integer, CLOUDAUTH_ERR_OVERLAP);
    }
}

#[test]
fn a_software_key_is_not_written_over() {
    let (mac, keys) =
        (blank::<cloudauth_mac>(), leak([cloudauth_hmac_key { reserved: [0; 40] }; 4]));
    let p = Probe::good();
    let derive = |to: *mut cloudauth_sigv4_key| {
        let (region, service) = (text("eu-west-1"), text("s3"));
        // SAFETY: as the header says.
        unsafe { cloudauth_sigv4_key_derive(to, mac, NOW, region, service, p.error()) }
    };
    // SAFETY: as the header says.
    unsafe {
        let key = keys.cast::<cloudauth_hmac_key>();
        assert_eq!(cloudauth_hmac_key_init_aws(key, text("secret"), p.error()), CLOUDAUTH_OK);
        assert_eq!(cloudauth_hmac_mac(key, mac, p.error()), CLOUDAUTH_OK);
        // Behind the key.
        assert_eq!(derive(key.add(1).cast()), CLOUDAUTH_OK);
        // The last words of its structure, where nothing points to.
        let last = key.cast::<u64>().add(39);
        assert_eq!(derive(last.cast()), CLOUDAUTH_ERR_OVERLAP);
    }
}

#[test]
fn errors_name_the_element_of_a_list() {
    let p = Probe::good();
    let params = access_token(&p);
    // SAFETY: as the header says.
    unsafe {
        let at = at(&p);
        let scopes = [text("email"), bytes(b"\xff")];
        ((*params).scopes, (*params).scope_count) = p.elements(&scopes);
        let result = cloudauth_gcp_access_token_needed(params, at, 64, p.len(), p.error());
        assert_eq!(result, CLOUDAUTH_ERR_UTF8);
        assert_eq!(held(p.told().unwrap().field), b"scope");
        assert_eq!(p.told().unwrap().element, 2);
    }
    let good = JWKS.to_owned();
    let damaged = good.replace("]}", r#",{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#);
    for (text, result, element) in [
        (good, CLOUDAUTH_OK, 0),
        (damaged, CLOUDAUTH_ERR_MALFORMED, 2),
        ("[".into(), CLOUDAUTH_ERR_MALFORMED, 0),
    ] {
        let p = Probe::good();
        let octets = p.in_place(text.as_bytes());
        // SAFETY: as the header says.
        let parsed = unsafe { cloudauth_jwks_parse(p.plain(), octets, text.len(), p.error()) };
        assert_eq!((parsed, p.told().unwrap().element), (result, element), "{text}");
    }
}

#[test]
fn what_is_prepared_may_be_asked_by_several_threads() {
    struct Shared(*mut cloudauth_prepared);
    // SAFETY: const in what is called below.
    unsafe impl Sync for Shared {}
    let (p, prepared) = (Probe::good(), Shared(leak(cloudauth_prepared { reserved: [0; 32] })));
    // SAFETY: as the header says.
    let made = unsafe {
        let params = access_token(&p);
        let (at, out, cap, len) = (at(&p), p.out(), p.cap(), p.len());
        cloudauth_gcp_access_token_prepare(params, at, out, cap, len, prepared.0, p.error())
    };
    assert_eq!(made, CLOUDAUTH_OK);
    let prepared = &prepared;
    let ask = || {
        let to_sign = blank::<cloudauth_to_sign>();
        // SAFETY: as the header says.
        unsafe {
            let told = cloudauth_prepared_to_sign(prepared.0, to_sign, std::ptr::null_mut());
            assert_eq!(told, CLOUDAUTH_OK);
            (held((*to_sign).message), (*to_sign).digest, (*to_sign).entropy)
        }
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(ask);
        (ask(), other.join().unwrap())
    });
    assert_eq!(one, other);
    assert!(one.0.starts_with(b"ey") && one.2 != [0; 32]);
}

#[test]
fn a_signature_comes_second() {
    let p = Probe::good();
    let prepared = leak(cloudauth_prepared { reserved: [0; 32] });
    let (request, token) = (blank::<cloudauth_request>(), leak(bytes(b"")));
    // SAFETY: as the header says.
    unsafe {
        let params = access_token(&p);
        let (at, out, cap, len) = (at(&p), p.out(), p.cap(), p.len());
        let made =
            cloudauth_gcp_access_token_prepare(params, at, out, cap, len, prepared, p.error());
        assert_eq!(made, CLOUDAUTH_OK);
        let finish = |len| {
            let signature = bytes(&vec![1; len]);
            cloudauth_prepared_finish(prepared, signature, request, std::ptr::null_mut())
        };
        let other = cloudauth_prepared_jws_finish(prepared, text("x"), token, p.error());
        assert_eq!(other, CLOUDAUTH_ERR_STATE);
        // A signature in the very buffer.
        let inside = cloudauth_bytes { ptr: out.add(100), len: 64 };
        let overlap = cloudauth_prepared_finish(prepared, inside, request, p.error());
        assert_eq!(overlap, CLOUDAUTH_ERR_OVERLAP);
        // None of these has used it up.
        assert_eq!(finish(63), CLOUDAUTH_ERR_INVALID);
        assert_eq!(finish(64), CLOUDAUTH_OK);
        assert!((*request).body.len > 64);
        assert_eq!(((*prepared).reserved, finish(64)), ([0; 32], CLOUDAUTH_ERR_STATE));
    }
}

#[test]
fn wiping() {
    let octets = leak([7_u8; 8]);
    // SAFETY: as the header says.
    unsafe {
        cloudauth_wipe(octets.cast(), 5);
        assert_eq!(*octets, [0, 0, 0, 0, 0, 7, 7, 7]);
        cloudauth_wipe(octets.cast(), usize::MAX);
        cloudauth_wipe(std::ptr::null_mut(), 8);
        assert_eq!(*octets, [0, 0, 0, 0, 0, 7, 7, 7]);
        cloudauth_prepared_wipe(std::ptr::null_mut());
        cloudauth_sigv4_key_wipe(std::ptr::null_mut());
        cloudauth_hmac_key_wipe(std::ptr::null_mut());
        cloudauth_p256_key_wipe(std::ptr::null_mut());
    }
}
