//! Where the members of the header's structures lie. What is listed here never changes within one
//! `CLOUDAUTH_ABI_VERSION`; a build that would change it fails.

use core::mem::{align_of, offset_of};

#[allow(clippy::wildcard_imports, reason = "every structure of the header")]
use crate::*;

/// A structure of the header that can grow at its end.
///
/// # Safety
/// It is `repr(C)`, begins with `size: usize`, and all zeros are a value of it.
pub(crate) unsafe trait Struct: Copy + 'static {
    /// The size it had in the first version with this `CLOUDAUTH_ABI_VERSION`: less is refused, and
    /// members behind it are zero where the caller does not know them.
    const FIRST: usize;
}

/// The size of a member, that `of` borrows.
const fn size_of_member<S, T>(_: fn(&S) -> &T) -> usize {
    size_of::<T>()
}

/// The layouts are given for pointers of 8 octets and of 4; there, 64-bit numbers must be aligned as
/// on ARM. Elsewhere (x86 with 32 bits) only their order is looked at.
const fn is(at: usize, wide: usize, narrow: usize) -> bool {
    match (size_of::<usize>(), align_of::<u64>()) {
        (8, 8) => at == wide,
        (4, 8) => at == narrow,
        _ => true,
    }
}

/// `name size size { member offset offset, … }`, both times for pointers of 8 and of 4 octets. Every
/// member must be listed, and no padding may follow the last one: what is written to a new member
/// there could not be told from what was never written.
macro_rules! fixed {
    ($($(#[$on:meta])* $name:ident $wide:literal $narrow:literal {
        $($member:ident $at:literal $narrow_at:literal),*
    })*) => { $(
        $(#[$on])*
        const _: () = {
            assert!(is(size_of::<$name>(), $wide, $narrow));
            let mut end = 0;
            $(
                assert!(is(offset_of!($name, $member), $at, $narrow_at));
                assert!(offset_of!($name, $member) >= end);
                end = offset_of!($name, $member) + size_of_member(|s: &$name| &s.$member);
            )*
            assert!(size_of::<$name>() == end);
            // Not one is missing.
            let _ = |value: $name| { let $name { $($member: _),* } = value; };
        };
    )* };
}

/// The same of structures that can grow. The size is that of the first version, and `until` its last
/// member; later ones are listed behind it.
macro_rules! sized {
    ($($(#[$on:meta])* $name:ident $wide:literal $narrow:literal until $last:ident {
        $($member:ident $at:literal $narrow_at:literal),*
    })*) => { $(
        $(#[$on])*
        // SAFETY: repr(C), or its members would not be where they are; that it begins with its size
        // is asserted below; it consists of integers, pointers, nullable functions, and arrays and
        // structures of these, so that all zeros are a value.
        unsafe impl Struct for $name {
            const FIRST: usize =
                offset_of!($name, $last) + size_of_member(|s: &$name| &s.$last);
        }

        $(#[$on])*
        const _: () = {
            assert!(is($name::FIRST, $wide, $narrow));
            assert!(offset_of!($name, size) == 0 && size_of_member(|s: &$name| &s.size) == size_of::<usize>());
            let mut end = 0;
            $(
                assert!(is(offset_of!($name, $member), $at, $narrow_at));
                assert!(offset_of!($name, $member) >= end);
                end = offset_of!($name, $member) + size_of_member(|s: &$name| &s.$member);
            )*
            assert!(size_of::<$name>() == end);
            // Not one is missing.
            let _ = |value: $name| { let $name { $($member: _),* } = value; };
        };
    )* };
}

fixed! {
    cloudauth_bytes 16 8 {
        ptr 0 0, len 8 4
    }
    cloudauth_pair 32 16 {
        name 0 0, value 16 8
    }
    #[cfg(feature = "p256")]
    cloudauth_p256_key 320 320 {
        reserved 0 0
    }
    #[cfg(feature = "hmac")]
    cloudauth_hmac_key 320 320 {
        reserved 0 0
    }
    cloudauth_prepared 256 256 {
        reserved 0 0
    }
    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    cloudauth_json 48 48 {
        reserved 0 0
    }
    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    cloudauth_jwks 64 64 {
        reserved 0 0
    }
    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    cloudauth_jws_key 40 24 {
        kid 0 0, spki 16 8, scheme 32 16, reserved 36 20
    }
    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    cloudauth_jws_check 40 24 {
        outcome 0 0, result 4 4, field 8 8, help 24 16
    }
    cloudauth_sigv4_key 448 448 {
        reserved 0 0
    }
    #[cfg(feature = "std")]
    cloudauth_key 64 64 {
        reserved 0 0
    }
    #[cfg(feature = "std")]
    cloudauth_mac_key 64 64 {
        reserved 0 0
    }
    #[cfg(feature = "std")]
    cloudauth_client 64 64 {
        reserved 0 0
    }
}

sized! {
    cloudauth_error 56 32 until detail {
        size 0 0, result 8 4, element 12 8, field 16 12, help 32 20, detail 48 28
    }
    #[cfg(feature = "std")]
    cloudauth_message 2048 2040 until text {
        size 0 0, len 8 4, transient 16 8, status 20 12, text 24 16
    }
    cloudauth_attempt 48 48 until random {
        size 0 0, time 8 8, random 16 16
    }
    cloudauth_refusal 48 28 until message {
        size 0 0, status 8 4, transient 12 8, code 16 12, message 32 20
    }
    cloudauth_request 88 44 until body {
        size 0 0, method 8 4, host 24 12, target 40 20, headers 56 28, body 72 36
    }
    cloudauth_response_head 32 16 until header_count {
        size 0 0, status 8 4, headers 16 8, header_count 24 12
    }
    cloudauth_signer 56 28 until sign {
        size 0 0, ctx 8 4, ctx_size 16 8, public_key 24 12, supports 32 16, max_signature_len 40 20,
        sign 48 24
    }
    cloudauth_mac 32 16 until hmac_sha256 {
        size 0 0, ctx 8 4, ctx_size 16 8, hmac_sha256 24 12
    }
    cloudauth_to_sign 112 100 until entropy {
        size 0 0, scheme 8 4, digest_len 12 8, message 16 12, digest 32 20, entropy 80 68
    }
    cloudauth_certificate 64 48 until reserved {
        size 0 0, serial 8 4, spki 24 12, not_before 40 24, not_after 48 32, is_ca 56 40,
        reserved 60 44
    }
    cloudauth_ekm_binder 96 52 until request {
        size 0 0, prover 8 4, reserved 12 8, exported 16 12, challenge 24 16, server_spki 32 20,
        client_spki 48 28, audience 64 36, request 80 44
    }
    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    cloudauth_jws_expect 96 64 until reserved {
        size 0 0, schemes 8 4, scheme_count 16 8, issuer 24 12, audience 40 20, typ 56 28,
        time 72 40, skew 80 48, max_age 84 52, flags 88 56, reserved 92 60
    }
    #[cfg(any(feature = "p256", feature = "p384", feature = "rsa"))]
    cloudauth_jws_report 544 368 until checks {
        size 0 0, header 8 8, claims 56 56, checks 104 104
    }
    cloudauth_sigv4_params 56 32 until reserved {
        size 0 0, access_key_id 8 4, session_token 24 12, key 40 20, flags 48 24, reserved 52 28
    }
    cloudauth_sigv4_request 96 52 until reserved {
        size 0 0, method 8 4, path 24 12, query 40 20, headers 56 28, header_count 64 32,
        payload 72 36, payload_kind 88 44, reserved 92 48
    }
    cloudauth_sigv4_signed 56 28 until signature {
        size 0 0, headers 8 4, authorization 24 12, signature 40 20
    }
    cloudauth_sts_assume_role_params 216 112 until accept_json {
        size 0 0, signer 8 4, role_arn 16 8, role_session_name 32 16, policy_arns 48 24,
        policy_arn_count 56 28, policy 64 32, tags 80 40, tag_count 88 44,
        transitive_tag_keys 96 48, transitive_tag_key_count 104 52, external_id 112 56,
        serial_number 128 64, token_code 144 72, source_identity 160 80, provided_contexts 176 88,
        provided_context_count 184 92, endpoint 192 96, duration_seconds 208 104,
        accept_json 212 108
    }
    cloudauth_sts_assume_role_with_web_identity_params 144 76 until accept_json {
        size 0 0, region 8 4, role_arn 24 12, role_session_name 40 20, web_identity_token 56 28,
        provider_id 72 36, policy_arns 88 44, policy_arn_count 96 48, policy 104 52,
        endpoint 120 60, duration_seconds 136 68, accept_json 140 72
    }
    cloudauth_sts_get_session_token_params 72 40 until accept_json {
        size 0 0, signer 8 4, serial_number 16 8, token_code 32 16, endpoint 48 24,
        duration_seconds 64 32, accept_json 68 36
    }
    cloudauth_sts_get_caller_identity_params 40 24 until reserved {
        size 0 0, signer 8 4, endpoint 16 8, accept_json 32 16, reserved 36 20
    }
    cloudauth_aws_credentials 64 40 until expiration {
        size 0 0, access_key_id 8 4, secret_access_key 24 12, session_token 40 20, expiration 56 32
    }
    cloudauth_sts_role 120 72 until packed_policy_size {
        size 0 0, access_key_id 8 4, secret_access_key 24 12, session_token 40 20, expiration 56 32,
        assumed_role_arn 64 40, assumed_role_id 80 48, source_identity 96 56,
        packed_policy_size 112 64
    }
    cloudauth_sts_federated_role 168 96 until provider {
        size 0 0, access_key_id 8 4, secret_access_key 24 12, session_token 40 20, expiration 56 32,
        assumed_role_arn 64 40, assumed_role_id 80 48, source_identity 96 56,
        packed_policy_size 112 64, subject 120 72, audience 136 80, provider 152 88
    }
    cloudauth_sts_caller_identity 56 28 until user_id {
        size 0 0, account 8 4, arn 24 12, user_id 40 20
    }
    cloudauth_rolesanywhere_create_session_params 160 84 until certificate_in_body {
        size 0 0, certificate 8 4, chain 24 12, chain_count 32 16, trust_anchor_arn 40 20,
        profile_arn 56 28, role_arn 72 36, region 88 44, endpoint 104 52, role_session_name 120 60,
        instance_properties 136 68, instance_property_count 144 72, duration_seconds 152 76,
        certificate_in_body 156 80
    }
    cloudauth_rolesanywhere_session 112 64 until source_identity {
        size 0 0, access_key_id 8 4, secret_access_key 24 12, session_token 40 20, expiration 56 32,
        assumed_role_arn 64 40, subject_arn 80 48, source_identity 96 56
    }
    cloudauth_azure_client_assertion_params 104 60 until reserved {
        size 0 0, certificate 8 4, chain 24 12, chain_count 32 16, tenant 40 20, client_id 56 28,
        authority 72 36, scheme 76 40, authority_host 80 44, flags 96 52, reserved 100 56
    }
    cloudauth_azure_token_params 120 64 until secret {
        size 0 0, scopes 8 4, scope_count 16 8, claims 24 12, credential 40 20, authority 44 24,
        assertion 48 28, tenant 56 32, client_id 72 40, authority_host 88 48, secret 104 56
    }
    cloudauth_azure_access_token 64 48 until refresh_in {
        size 0 0, access_token 8 4, token_type 24 12, expires_in 40 24, ext_expires_in 48 32,
        refresh_in 56 40
    }
    cloudauth_gcp_self_signed_params 96 52 until scheme {
        size 0 0, email 8 4, key_id 24 12, scopes 40 20, scope_count 48 24, audience 56 28,
        subject 72 36, lifetime 88 44, scheme 92 48
    }
    cloudauth_gcp_access_token_params 96 52 until scheme {
        size 0 0, email 8 4, key_id 24 12, scopes 40 20, scope_count 48 24, subject 56 28,
        token_uri 72 36, lifetime 88 44, scheme 92 48
    }
    cloudauth_access_token 48 32 until expires_in {
        size 0 0, access_token 8 4, token_type 24 12, expires_in 40 24
    }
    cloudauth_gcp_id_token_params 80 44 until scheme {
        size 0 0, email 8 4, key_id 24 12, target_audience 40 20, token_uri 56 28, lifetime 72 36,
        scheme 76 40
    }
    cloudauth_id_token 24 12 until token {
        size 0 0, token 8 4
    }
    cloudauth_gcp_subject_token_params 96 52 until scheme {
        size 0 0, provider 8 4, issuer 24 12, subject 40 20, audience 56 28, key_id 72 36,
        lifetime 88 44, scheme 92 48
    }
    cloudauth_gcp_federation_params 104 56 until universe {
        size 0 0, signed_token 8 4, token 16 8, provider 32 16, token_type 48 24, reserved 52 28,
        scopes 56 32, scope_count 64 36, user_project 72 40, universe 88 48
    }
    cloudauth_gcp_generate_access_token_params 96 52 until reserved {
        size 0 0, token 8 4, email 24 12, scopes 40 20, scope_count 48 24, delegates 56 28,
        delegate_count 64 32, universe 72 36, lifetime 88 44, reserved 92 48
    }
    cloudauth_gcp_impersonated_token 32 24 until expiration {
        size 0 0, access_token 8 4, expiration 24 16
    }
    cloudauth_gcp_generate_id_token_params 96 52 until reserved {
        size 0 0, token 8 4, email 24 12, audience 40 20, delegates 56 28, delegate_count 64 32,
        universe 72 36, without_email 88 44, reserved 92 48
    }
}
