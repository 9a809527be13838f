/* Made by ffi/header from ffi/src: do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

/**
 * @file cloudauth.h
 * libcloudauth: AWS, Azure and Google Cloud credentials from keys that cannot be copied.
 *
 * Overview
 * --------
 * But for its hosted half (below), the library opens no socket, reads no clock, no file and no random
 * source, and allocates nothing. It builds requests in your buffer, has them signed by your key, and reads the answers that you
 * received. Every flow has the same functions, with its name in front (cloudauth_gcp_access_token,
 * cloudauth_sts_assume_role, ...):
 *
 *   ..._needed     the size of the buffer
 *   ..._request    the whole request, for sending; signed by a cloudauth_signer where the flow has one
 *   ..._prepare    the first of two steps, for a key that is asked elsewhere: what to sign is told by
 *                  cloudauth_prepared_to_sign, and cloudauth_prepared_finish takes the signature
 *   ..._response   reads the answer
 *
 * Tokens that are signed and sent to nobody in particular (cloudauth_gcp_self_signed,
 * cloudauth_gcp_subject_token, cloudauth_azure_client_assertion) have ..._sign in place of
 * ..._request, and cloudauth_prepared_jws_finish as the second step.
 *
 * The hosted half
 * ---------------
 * With CLOUDAUTH_STD defined, for a library that is built with the feature `std` (ffi/install does both):
 *
 *   cloudauth_client_...    live credentials: reads profiles from a file, opens their keys, calls the
 *                           services, keeps what they issue and renews it
 *   cloudauth_key_...       a key that a URI names, in a file, a PKCS#11 token or a TPM; its
 *                           cloudauth_signer serves every flow
 *   cloudauth_mac_key_...   the same for an AWS secret access key, with a cloudauth_mac
 *
 * These functions read files, clocks, random octets and the environment, they allocate, connect, start
 * threads, and take their time. What goes wrong is told in full by a cloudauth_message.
 *
 * Results
 * -------
 * Functions that can fail give a cloudauth_result: CLOUDAUTH_OK (0), or a negative number. Numbers
 * from -1 to -99 are mistakes in the calling program, those from -100 are found at run time. New
 * numbers may be added. cloudauth_strerror has a text for each. With a cloudauth_error as the last
 * argument you also learn which parameter is wrong and what is expected; NULL is allowed there.
 *
 * Structures
 * ----------
 * Most begin with their size, so that they can grow. Set it to sizeof, and everything you do not use
 * to zero; both are done by CLOUDAUTH_INIT(&variable), and in C99 by
 *
 *   cloudauth_gcp_self_signed_params params = { .size = sizeof params, .email = ... };
 *
 * The size may be that of an older header, down to the first one of this CLOUDAUTH_ABI_VERSION: what
 * such a program does not know is as if it were zero, and is not written to. It may be that of a newer
 * header, up to 4096, if everything that this library does not know is zero. All else is
 * CLOUDAUTH_ERR_STRUCT_SIZE. Members called `reserved` must be 0.
 *
 * Output structures need their size too. Except for it, they are zeroed on every failure, unless their
 * size is wrong or they overlap something: what is that may be an input, and is left as it is.
 *
 * Texts are cloudauth_bytes with UTF-8 and without a NUL at the end: cloudauth_text("...") makes
 * one. An empty one stands for "not given". Numbers with names are uint32_t; others than those named
 * here are refused.
 *
 * Buffers
 * -------
 * Outputs of no fixed size go to (out, cap, len): `cap` is the size of `out`, `*len` becomes the
 * size of the output. If the buffer is too small, the result is CLOUDAUTH_ERR_BUFFER_TOO_SMALL,
 * `*len` says what is needed, nothing is written and no key has been asked; with `cap` 0, `out` may
 * be NULL. On other failures `out` is zeroed and `*len` is 0, whatever else is wrong, unless they are
 * what overlaps. The needed size can depend on the time and the key, and a little more is never wrong.
 *
 * Ownership
 * ---------
 * The library keeps nothing. What you pass in stays yours and is only read during the call, unless a
 * structure says that it must stay: a key behind its signer, a buffer that is prepared, the text of a
 * key set, the body of an answer as long as you use what points there. Opaque structures (`reserved`)
 * lie in your memory; their size is part of the binary interface. Those with a ..._wipe function hold
 * secrets: call it when you are done. There is nothing to free. Requests and answers hold secrets
 * too, as do cloudauth_attempt and cloudauth_to_sign: cloudauth_wipe does for all of them.
 *
 * The objects of the hosted half own memory and devices: each one that was opened is to be closed by its
 * ..._close, once. They must be neither copied nor moved. Opening one that is open loses what it held.
 *
 * Aliasing
 * --------
 * What a function writes must not overlap anything else that it is given, nor what stands behind that:
 * the buffer of what is prepared, the text of a key set or of claims, the key behind a signer (as far
 * as its `ctx_size` says). That is CLOUDAUTH_ERR_OVERLAP. NULL is allowed for a pointer whose length is 0, and where it is
 * said. No length may exceed PTRDIFF_MAX. Opaque structures must be aligned as their type is.
 *
 * Threads
 * -------
 * There is nothing to initialise, and there are no globals but what the hosted half keeps of PKCS#11
 * modules, whose login is the whole process's. Functions may run at the same time, as long as
 * none writes to what another one uses. What is const in a function may be shared. A
 * cloudauth_signer may be shared if its functions may be called from several threads at once. A
 * cloudauth_key, a cloudauth_mac_key and a cloudauth_client may be shared until they are closed. After a
 * fork, the child must not use what its parent has opened.
 *
 * Builds
 * ------
 * The software keys and the verification of tokens depend on the library's build: without the features
 * p256 and hmac, the functions of cloudauth_p256_key and cloudauth_hmac_key are not there; the features
 * p256, p384 and rsa say which tokens can be verified, and without any of them cloudauth_jws_*,
 * cloudauth_jwks_* and cloudauth_json_* are not there. The hosted half needs the feature `std`, and keys
 * in a TPM the feature `tpm`.
 */

#ifndef CLOUDAUTH_H
#define CLOUDAUTH_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * Zeroes the structure behind a pointer and sets its size.
 */
#define CLOUDAUTH_INIT(pointer) \
    (memset((pointer), 0, sizeof *(pointer)), (pointer)->size = sizeof *(pointer))


/**
 * The most instance properties of a session.
 */
#define CLOUDAUTH_MAX_PROPERTIES 32

/**
 * Take the path as it is: do not resolve "." and "..".
 */
#define CLOUDAUTH_SIGV4_KEEP_PATH 1

/**
 * Do not percent-encode the path once more.
 */
#define CLOUDAUTH_SIGV4_ENCODE_ONCE 2

/**
 * Add X-Amz-Content-Sha256.
 */
#define CLOUDAUTH_SIGV4_CONTENT_SHA256 4

/**
 * Add the session token after signing, without signing it.
 */
#define CLOUDAUTH_SIGV4_TOKEN_AFTER_SIGNING 8

/**
 * What S3 wants: the first three. Every other service wants 0.
 */
#define CLOUDAUTH_SIGV4_S3 7

/**
 * `payload` is the body; it is hashed here.
 */
#define CLOUDAUTH_SIGV4_PAYLOAD_BYTES 0

/**
 * `payload` is the SHA-256 of the body: 32 octets.
 */
#define CLOUDAUTH_SIGV4_PAYLOAD_SHA256 1

/**
 * The body is not signed (UNSIGNED-PAYLOAD), as S3 accepts over TLS.
 */
#define CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED 2

/**
 * The body comes in chunks with a checksum behind (STREAMING-UNSIGNED-PAYLOAD-TRAILER).
 */
#define CLOUDAUTH_SIGV4_PAYLOAD_STREAMING 3

/**
 * The public cloud: login.microsoftonline.com.
 */
#define CLOUDAUTH_AZURE_PUBLIC 0

/**
 * The US government's cloud: login.microsoftonline.us.
 */
#define CLOUDAUTH_AZURE_US_GOVERNMENT 1

/**
 * The cloud in China: login.partner.microsoftonline.cn.
 */
#define CLOUDAUTH_AZURE_CHINA 2

/**
 * The host in `authority_host`.
 */
#define CLOUDAUTH_AZURE_CUSTOM 3

/**
 * Also send the certificates (x5c), for applications that trust a subject name and issuer.
 */
#define CLOUDAUTH_AZURE_SEND_CHAIN 1

/**
 * Name the certificate by its SHA-1 (x5t) instead of its SHA-256, for services such as ADFS.
 */
#define CLOUDAUTH_AZURE_SHA1_THUMBPRINT 2

/**
 * The most certificates of a chain.
 */
#define CLOUDAUTH_MAX_CHAIN 8

/**
 * The application proves itself with `assertion`: the request needs a signer.
 */
#define CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION 1

/**
 * The application proves itself with a client secret.
 */
#define CLOUDAUTH_AZURE_CREDENTIAL_SECRET 2

/**
 * The application proves itself with a token (JWT) of an issuer that it trusts.
 */
#define CLOUDAUTH_AZURE_CREDENTIAL_FEDERATED 3

/**
 * The TLS client attests: a workload that asks a broker.
 */
#define CLOUDAUTH_EKM_CLIENT 1

/**
 * The TLS server attests: a broker that shows what it is.
 */
#define CLOUDAUTH_EKM_SERVER 2

/**
 * How many octets to export from the TLS connection; as many has a challenge.
 */
#define CLOUDAUTH_EKM_EXPORTED_LEN 32

/**
 * The scheme of the aws- and azure-channel-jwt-credential brokers: the exported octets in
 * hexadecimal. Such a nonce is a secret of the connection.
 */
#define CLOUDAUTH_EKM_COMPAT_SEED 1

/**
 * The scheme of Google's Confidential Space codelab.
 */
#define CLOUDAUTH_EKM_COMPAT_GOOGLE_CODELAB 2

/**
 * A signed GetCallerIdentity request of AWS, in Google's JSON form.
 */
#define CLOUDAUTH_GCP_TOKEN_TYPE_AWS4_REQUEST 1

/**
 * An OpenID Connect ID token.
 */
#define CLOUDAUTH_GCP_TOKEN_TYPE_ID_TOKEN 2

/**
 * A JWT.
 */
#define CLOUDAUTH_GCP_TOKEN_TYPE_JWT 3

/**
 * A SAML 2.0 assertion, in base64.
 */
#define CLOUDAUTH_GCP_TOKEN_TYPE_SAML2 4

/**
 * The most scopes, and the most delegates, of a request.
 */
#define CLOUDAUTH_MAX_SCOPES 32

/**
 * The most headers of an answer, and of a request that is signed with Signature Version 4.
 */
#define CLOUDAUTH_MAX_HEADERS 128

/**
 * CLOUDAUTH_JSON_*: an array.
 */
#define CLOUDAUTH_JSON_ARRAY 1

/**
 * true or false.
 */
#define CLOUDAUTH_JSON_BOOL 2

/**
 * null.
 */
#define CLOUDAUTH_JSON_NULL 3

/**
 * A number.
 */
#define CLOUDAUTH_JSON_NUMBER 4

/**
 * An object.
 */
#define CLOUDAUTH_JSON_OBJECT 5

/**
 * A string.
 */
#define CLOUDAUTH_JSON_STRING 6

/**
 * Accept every issuer.
 */
#define CLOUDAUTH_JWS_ANY_ISSUER 1

/**
 * Accept every audience.
 */
#define CLOUDAUTH_JWS_ANY_AUDIENCE 2

/**
 * The signature algorithm is one of those expected.
 */
#define CLOUDAUTH_JWS_CHECK_ALG 0

/**
 * There is no header extension that must be understood.
 */
#define CLOUDAUTH_JWS_CHECK_CRIT 1

/**
 * The type is the expected one.
 */
#define CLOUDAUTH_JWS_CHECK_TYP 2

/**
 * The key is among those given.
 */
#define CLOUDAUTH_JWS_CHECK_KEY 3

/**
 * The signature is that key's.
 */
#define CLOUDAUTH_JWS_CHECK_SIGNATURE 4

/**
 * The token has not expired.
 */
#define CLOUDAUTH_JWS_CHECK_EXP 5

/**
 * The token is valid already.
 */
#define CLOUDAUTH_JWS_CHECK_NBF 6

/**
 * The token was not issued in the future.
 */
#define CLOUDAUTH_JWS_CHECK_IAT 7

/**
 * The token is not older than allowed.
 */
#define CLOUDAUTH_JWS_CHECK_MAX_AGE 8

/**
 * The issuer is the expected one.
 */
#define CLOUDAUTH_JWS_CHECK_ISS 9

/**
 * The audience is the expected one and no other.
 */
#define CLOUDAUTH_JWS_CHECK_AUD 10

/**
 * How many checks there are.
 */
#define CLOUDAUTH_JWS_CHECK_COUNT 11

/**
 * The check was not made, because one that it rests on failed, or the token cannot be read.
 */
#define CLOUDAUTH_JWS_NOT_REACHED 0

/**
 * The check holds.
 */
#define CLOUDAUTH_JWS_PASSED 1

/**
 * Nothing was to be checked.
 */
#define CLOUDAUTH_JWS_NOT_ASKED 2

/**
 * The check does not hold.
 */
#define CLOUDAUTH_JWS_FAILED 3

/**
 * The version of the binary interface that this header describes.
 */
#define CLOUDAUTH_ABI_VERSION 0

/**
 * The longest signature a one-call form has room for, in octets: RSA with 8192 bits.
 */
#define CLOUDAUTH_MAX_SIGNATURE_LEN 1024

/**
 * What every function that can fail gives: CLOUDAUTH_OK, or a negative number. -1 to -99 are
 * mistakes in the calling program, -100 and below are found at run time. The numbers never change.
 */
typedef int32_t cloudauth_result;

/**
 * Octets that belong to someone else, or a text in UTF-8 (not ended by NUL). `ptr` may be NULL
 * only if `len` is 0. As a parameter, an empty value means "not given" where that is possible.
 */
typedef struct {
    /**
     * The first octet.
     */
    const uint8_t *ptr;
    /**
     * How many octets there are.
     */
    size_t len;
} cloudauth_bytes;

/**
 * A name and a value: a header, a tag, a property.
 */
typedef struct {
    /**
     * The name.
     */
    cloudauth_bytes name;
    /**
     * The value.
     */
    cloudauth_bytes value;
} cloudauth_pair;

/**
 * CreateSession of IAM Roles Anywhere: a certificate and a signature by its key, for credentials
 * of a role. The scheme follows from the certificate's key.
 */
typedef struct {
    /**
     * sizeof(cloudauth_rolesanywhere_create_session_params)
     */
    size_t size;
    /**
     * The certificate of the signing key, in DER.
     */
    cloudauth_bytes certificate;
    /**
     * Intermediate certificates in DER, the issuer of the first one first.
     */
    const cloudauth_bytes *chain;
    /**
     * How many there are: at most 5.
     */
    size_t chain_count;
    /**
     * "arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID"
     */
    cloudauth_bytes trust_anchor_arn;
    /**
     * "arn:aws:rolesanywhere:REGION:ACCOUNT:profile/ID"
     */
    cloudauth_bytes profile_arn;
    /**
     * "arn:aws:iam::ACCOUNT:role/NAME"
     */
    cloudauth_bytes role_arn;
    /**
     * The region; empty for the trust anchor's.
     */
    cloudauth_bytes region;
    /**
     * A host, with an optional port, in place of the region's endpoint; empty for that.
     */
    cloudauth_bytes endpoint;
    /**
     * The role session's name, for profiles that accept one; empty for none.
     */
    cloudauth_bytes role_session_name;
    /**
     * Properties of the workload's instance, for profiles that require them.
     */
    const cloudauth_pair *instance_properties;
    /**
     * How many there are: at most CLOUDAUTH_MAX_PROPERTIES.
     */
    size_t instance_property_count;
    /**
     * The life of the credentials, 900 to 43200 seconds; 0 leaves it to the profile.
     */
    uint32_t duration_seconds;
    /**
     * 1 to send the certificate in the body too, else 0.
     */
    uint32_t certificate_in_body;
} cloudauth_rolesanywhere_create_session_params;

/**
 * What a flow must be told because this library reads no clock and no random source. Make a new
 * one for every try: token ids, salts and retry tokens come from it.
 */
typedef struct {
    /**
     * sizeof(cloudauth_attempt)
     */
    size_t size;
    /**
     * The present time in seconds since 1970-01-01T00:00:00Z.
     */
    int64_t time;
    /**
     * 32 fresh octets of the system's random source. All zeros are refused.
     */
    uint8_t random[32];
} cloudauth_attempt;

/**
 * What a failure is about. Pass NULL where it is of no interest. All texts are static and hold
 * nothing of the input, so they can be logged anywhere. In builds without the feature `error-text`
 * they are empty.
 */
typedef struct {
    /**
     * sizeof(cloudauth_error)
     */
    size_t size;
    /**
     * The result, again.
     */
    cloudauth_result result;
    /**
     * Which element of a list is wrong, counted from 1; 0 if it is no list, or not known.
     */
    uint32_t element;
    /**
     * The input that is wrong ("profile ARN").
     */
    cloudauth_bytes field;
    /**
     * What is expected instead, or what to do.
     */
    cloudauth_bytes help;
    /**
     * CLOUDAUTH_ERR_BUFFER_TOO_SMALL: the needed size. CLOUDAUTH_ERR_MALFORMED: the octet where
     * parsing stopped, if known. Otherwise 0.
     */
    size_t detail;
} cloudauth_error;

/**
 * A signature scheme: one of CLOUDAUTH_SCHEME_*.
 */
typedef uint32_t cloudauth_scheme;

/**
 * A key that signs: in a TPM, an HSM, a secure element, a remote service. It may lie in ROM. It
 * may be used by several threads at once if its functions may be called with its `ctx` by several
 * at once.
 *
 * The functions are called only during the call that the signer is given to. They must not change
 * what was given to that call; they may call other functions of this library.
 */
typedef struct {
    /**
     * sizeof(cloudauth_signer)
     */
    size_t size;
    /**
     * Handed to each function.
     */
    void *ctx;
    /**
     * How many octets at `ctx` the functions use, so that an output that lies there is refused; 0 if
     * `ctx` is no address, or to leave it unchecked.
     */
    size_t ctx_size;
    /**
     * The public key: a SubjectPublicKeyInfo in DER, that stays while the signer is used. May be
     * NULL for flows without a certificate.
     */
    cloudauth_bytes (*public_key)(void *ctx);
    /**
     * Whether the key can sign with the scheme: 0 for no.
     */
    uint32_t (*supports)(void *ctx, cloudauth_scheme scheme);
    /**
     * The most octets a signature of the scheme can have: 64 for P-256, 96 for P-384, the length
     * of the modulus for RSA. It signs nothing.
     */
    size_t (*max_signature_len)(void *ctx, cloudauth_scheme scheme);
    /**
     * Signs, writes the signature to `out`, which has room for `cap` octets, and its length to
     * `*len`. `message` is what is signed and `digest` its digest by the scheme: take the one that
     * the device wants. `entropy` is 32 secret octets for a PSS salt, blinding, or hedged ECDSA.
     * An ECDSA signature is r||s, each padded on the left to the size of the curve. Gives
     * CLOUDAUTH_OK, or any other number, which becomes CLOUDAUTH_ERR_SIGNER; so does a `*len`
     * that no signature of the scheme has, and one of zeros.
     */
    cloudauth_result (*sign)(void *ctx,
                             cloudauth_scheme scheme,
                             cloudauth_bytes message,
                             cloudauth_bytes digest,
                             const uint8_t *entropy,
                             uint8_t *out,
                             size_t cap,
                             size_t *len);
} cloudauth_signer;

/**
 * A request, ready to send over TLS to `host`. Everything points into the buffer it was built in,
 * but for the method, which is static.
 *
 * `Host` and `Content-Length` are not among the headers: HTTP libraries write them by themselves,
 * and cloudauth_http1_write adds them.
 */
typedef struct {
    /**
     * sizeof(cloudauth_request)
     */
    size_t size;
    /**
     * "GET", "POST", "PUT".
     */
    cloudauth_bytes method;
    /**
     * The value of `Host`: a name, with a port unless it is 443.
     */
    cloudauth_bytes host;
    /**
     * Path and query, as they go on the request line.
     */
    cloudauth_bytes target;
    /**
     * The further headers: lines "Name: value" with CR LF between them, none at the end. See
     * cloudauth_header_at.
     */
    cloudauth_bytes headers;
    /**
     * The body; empty for a GET.
     */
    cloudauth_bytes body;
} cloudauth_request;

/**
 * A request or token that only its signature is missing from, as a `…_prepare` function leaves it.
 * The buffer that was given to that function belongs to it: do not write there until it is
 * finished. It may be handed to another thread. Wipe it with cloudauth_prepared_wipe.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[32];
} cloudauth_prepared;

/**
 * Status and headers of an answer.
 */
typedef struct {
    /**
     * sizeof(cloudauth_response_head)
     */
    size_t size;
    /**
     * The HTTP status: 100 to 999.
     */
    uint32_t status;
    /**
     * Name and value of each header, as received. Those that are not UTF-8 are passed over.
     */
    const cloudauth_pair *headers;
    /**
     * How many there are: at most CLOUDAUTH_MAX_HEADERS.
     */
    size_t header_count;
} cloudauth_response_head;

/**
 * What CreateSession gives.
 */
typedef struct {
    /**
     * sizeof(cloudauth_rolesanywhere_session)
     */
    size_t size;
    /**
     * The access key id.
     */
    cloudauth_bytes access_key_id;
    /**
     * The secret access key.
     */
    cloudauth_bytes secret_access_key;
    /**
     * The session token: a secret.
     */
    cloudauth_bytes session_token;
    /**
     * When the credentials end, in seconds since 1970.
     */
    int64_t expiration;
    /**
     * The ARN of the role session; empty if the service gave none.
     */
    cloudauth_bytes assumed_role_arn;
    /**
     * The ARN of the certificate's subject at the service; may be empty.
     */
    cloudauth_bytes subject_arn;
    /**
     * The source identity of the session; may be empty.
     */
    cloudauth_bytes source_identity;
} cloudauth_rolesanywhere_session;

/**
 * A service's refusal, in its own words. The texts point into the body or the headers of the answer.
 */
typedef struct {
    /**
     * sizeof(cloudauth_refusal)
     */
    size_t size;
    /**
     * The HTTP status.
     */
    uint32_t status;
    /**
     * 1 if the same request may succeed later (throttling, a failure of the server), else 0.
     */
    uint32_t transient;
    /**
     * The error's name ("AccessDeniedException", "invalid_client"); empty if there is none.
     */
    cloudauth_bytes code;
    /**
     * The service's text for people; empty if there is none.
     */
    cloudauth_bytes message;
} cloudauth_refusal;

/**
 * A derived signing key: good for one UTC day, one region and one service. Making it costs more
 * than half of a signature, so keep it for the day. May be used by several threads at once. Wipe
 * it with cloudauth_sigv4_key_wipe.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[56];
} cloudauth_sigv4_key;

/**
 * A key that makes HMAC-SHA256 tags: the AWS secret inside a device (the key is then "AWS4" and
 * the secret access key). As with cloudauth_signer, it may lie in ROM.
 */
typedef struct {
    /**
     * sizeof(cloudauth_mac)
     */
    size_t size;
    /**
     * Handed to the function.
     */
    void *ctx;
    /**
     * How many octets at `ctx` the functions use, so that an output that lies there is refused; 0 if
     * `ctx` is no address, or to leave it unchecked.
     */
    size_t ctx_size;
    /**
     * Writes the tag of `message`, 32 octets, to `tag`. Gives CLOUDAUTH_OK, or any other number,
     * which becomes CLOUDAUTH_ERR_SIGNER; so does a tag of zeros.
     */
    cloudauth_result (*hmac_sha256)(void *ctx, cloudauth_bytes message, uint8_t *tag);
} cloudauth_mac;

/**
 * Who signs, with which key, and how.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sigv4_params)
     */
    size_t size;
    /**
     * The access key id.
     */
    cloudauth_bytes access_key_id;
    /**
     * The session token of temporary credentials; empty for none.
     */
    cloudauth_bytes session_token;
    /**
     * The key derived for the day, the region and the service.
     */
    const cloudauth_sigv4_key *key;
    /**
     * CLOUDAUTH_SIGV4_S3 for S3, 0 for every other service, or a sum of CLOUDAUTH_SIGV4_*.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_sigv4_params;

/**
 * The request to sign. Nothing of it is copied.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sigv4_request)
     */
    size_t size;
    /**
     * The method, in upper case.
     */
    cloudauth_bytes method;
    /**
     * The path as on the request line, without the query.
     */
    cloudauth_bytes path;
    /**
     * The query without its "?"; empty for none.
     */
    cloudauth_bytes query;
    /**
     * Every header that is sent, Host among them.
     */
    const cloudauth_pair *headers;
    /**
     * How many there are: at most CLOUDAUTH_MAX_HEADERS.
     */
    size_t header_count;
    /**
     * The body, or its digest: see `payload_kind`.
     */
    cloudauth_bytes payload;
    /**
     * CLOUDAUTH_SIGV4_PAYLOAD_*.
     */
    uint32_t payload_kind;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_sigv4_request;

/**
 * The headers to add to a request that was signed. They replace the request's headers of these
 * names.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sigv4_signed)
     */
    size_t size;
    /**
     * Lines "name: value" with CR LF between them, none at the end, Authorization last. See
     * cloudauth_header_at.
     */
    cloudauth_bytes headers;
    /**
     * The value of Authorization.
     */
    cloudauth_bytes authorization;
    /**
     * The signature: 64 hexadecimal digits.
     */
    cloudauth_bytes signature;
} cloudauth_sigv4_signed;

/**
 * AssumeRole: credentials of a role for who has credentials already.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_assume_role_params)
     */
    size_t size;
    /**
     * Who signs: the key must be derived for the service "sts". Its region is the one that is
     * called.
     */
    const cloudauth_sigv4_params *signer;
    /**
     * "arn:aws:iam::ACCOUNT:role/NAME"
     */
    cloudauth_bytes role_arn;
    /**
     * The session's name, for logs and policies.
     */
    cloudauth_bytes role_session_name;
    /**
     * Managed policies that narrow the session.
     */
    const cloudauth_bytes *policy_arns;
    /**
     * How many there are: at most 10.
     */
    size_t policy_arn_count;
    /**
     * A policy in JSON that narrows the session; empty for none.
     */
    cloudauth_bytes policy;
    /**
     * Session tags.
     */
    const cloudauth_pair *tags;
    /**
     * How many there are: at most 50.
     */
    size_t tag_count;
    /**
     * Keys of the tags that go on to the sessions that this session starts.
     */
    const cloudauth_bytes *transitive_tag_keys;
    /**
     * How many there are: at most 50.
     */
    size_t transitive_tag_key_count;
    /**
     * The id that the role's owner wants from third parties; empty for none.
     */
    cloudauth_bytes external_id;
    /**
     * The device of multi-factor authentication: serial number or ARN; empty for none.
     */
    cloudauth_bytes serial_number;
    /**
     * The device's present code; empty for none.
     */
    cloudauth_bytes token_code;
    /**
     * Who is behind the session; empty for none.
     */
    cloudauth_bytes source_identity;
    /**
     * Context that AWS services have asserted: provider ARN and assertion.
     */
    const cloudauth_pair *provided_contexts;
    /**
     * How many there are: at most 5.
     */
    size_t provided_context_count;
    /**
     * A host, with an optional port, in place of the region's endpoint; empty for that.
     */
    cloudauth_bytes endpoint;
    /**
     * The life of the credentials, 900 to 43200 seconds; 0 for the service's hour.
     */
    uint32_t duration_seconds;
    /**
     * 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
     */
    uint32_t accept_json;
} cloudauth_sts_assume_role_params;

/**
 * What AssumeRole gives.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_role)
     */
    size_t size;
    /**
     * The access key id.
     */
    cloudauth_bytes access_key_id;
    /**
     * The secret access key.
     */
    cloudauth_bytes secret_access_key;
    /**
     * The session token: a secret.
     */
    cloudauth_bytes session_token;
    /**
     * When the credentials end, in seconds since 1970.
     */
    int64_t expiration;
    /**
     * The ARN of the role session; empty if the service gave none.
     */
    cloudauth_bytes assumed_role_arn;
    /**
     * The role's unique id and the session's name; may be empty.
     */
    cloudauth_bytes assumed_role_id;
    /**
     * The source identity of the session; may be empty.
     */
    cloudauth_bytes source_identity;
    /**
     * How much of the room for policies and tags is used, in percent; -1 if that is not said.
     */
    int64_t packed_policy_size;
} cloudauth_sts_role;

/**
 * AssumeRoleWithWebIdentity: credentials of a role for a token of an identity provider. The
 * request is not signed.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_assume_role_with_web_identity_params)
     */
    size_t size;
    /**
     * The region that is called.
     */
    cloudauth_bytes region;
    /**
     * "arn:aws:iam::ACCOUNT:role/NAME"
     */
    cloudauth_bytes role_arn;
    /**
     * The session's name, for logs and policies.
     */
    cloudauth_bytes role_session_name;
    /**
     * The OpenID Connect ID token, or an OAuth 2.0 access token: a secret.
     */
    cloudauth_bytes web_identity_token;
    /**
     * The provider's host, for OAuth 2.0 access tokens only; empty for none.
     */
    cloudauth_bytes provider_id;
    /**
     * Managed policies that narrow the session.
     */
    const cloudauth_bytes *policy_arns;
    /**
     * How many there are: at most 10.
     */
    size_t policy_arn_count;
    /**
     * A policy in JSON that narrows the session; empty for none.
     */
    cloudauth_bytes policy;
    /**
     * A host, with an optional port, in place of the region's endpoint; empty for that.
     */
    cloudauth_bytes endpoint;
    /**
     * The life of the credentials, 900 to 43200 seconds; 0 for the service's hour.
     */
    uint32_t duration_seconds;
    /**
     * 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
     */
    uint32_t accept_json;
} cloudauth_sts_assume_role_with_web_identity_params;

/**
 * What AssumeRoleWithWebIdentity gives.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_federated_role)
     */
    size_t size;
    /**
     * The access key id.
     */
    cloudauth_bytes access_key_id;
    /**
     * The secret access key.
     */
    cloudauth_bytes secret_access_key;
    /**
     * The session token: a secret.
     */
    cloudauth_bytes session_token;
    /**
     * When the credentials end, in seconds since 1970.
     */
    int64_t expiration;
    /**
     * The ARN of the role session; empty if the service gave none.
     */
    cloudauth_bytes assumed_role_arn;
    /**
     * The role's unique id and the session's name; may be empty.
     */
    cloudauth_bytes assumed_role_id;
    /**
     * The source identity of the session; may be empty.
     */
    cloudauth_bytes source_identity;
    /**
     * How much of the room for policies and tags is used, in percent; -1 if that is not said.
     */
    int64_t packed_policy_size;
    /**
     * Whom the token is about (sub); may be empty.
     */
    cloudauth_bytes subject;
    /**
     * Whom the token is for (aud); may be empty.
     */
    cloudauth_bytes audience;
    /**
     * Who issued the token (iss); may be empty.
     */
    cloudauth_bytes provider;
} cloudauth_sts_federated_role;

/**
 * GetSessionToken: temporary credentials with a user's own rights.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_get_session_token_params)
     */
    size_t size;
    /**
     * Who signs: the key must be derived for the service "sts". Its region is the one that is
     * called.
     */
    const cloudauth_sigv4_params *signer;
    /**
     * The device of multi-factor authentication: serial number or ARN; empty for none.
     */
    cloudauth_bytes serial_number;
    /**
     * The device's present code; empty for none.
     */
    cloudauth_bytes token_code;
    /**
     * A host, with an optional port, in place of the region's endpoint; empty for that.
     */
    cloudauth_bytes endpoint;
    /**
     * The life of the credentials, 900 to 129600 seconds; 0 for the service's twelve hours.
     */
    uint32_t duration_seconds;
    /**
     * 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
     */
    uint32_t accept_json;
} cloudauth_sts_get_session_token_params;

/**
 * Temporary AWS credentials out of an answer.
 */
typedef struct {
    /**
     * sizeof(cloudauth_aws_credentials)
     */
    size_t size;
    /**
     * The access key id.
     */
    cloudauth_bytes access_key_id;
    /**
     * The secret access key.
     */
    cloudauth_bytes secret_access_key;
    /**
     * The session token: a secret.
     */
    cloudauth_bytes session_token;
    /**
     * When they end, in seconds since 1970.
     */
    int64_t expiration;
} cloudauth_aws_credentials;

/**
 * GetCallerIdentity: whose credentials these are.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_get_caller_identity_params)
     */
    size_t size;
    /**
     * Who signs: the key must be derived for the service "sts". Its region is the one that is
     * called.
     */
    const cloudauth_sigv4_params *signer;
    /**
     * A host, with an optional port, in place of the region's endpoint; empty for that.
     */
    cloudauth_bytes endpoint;
    /**
     * 1 to ask for JSON, 0 for XML. Answers of both kinds are read either way.
     */
    uint32_t accept_json;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_sts_get_caller_identity_params;

/**
 * What GetCallerIdentity gives.
 */
typedef struct {
    /**
     * sizeof(cloudauth_sts_caller_identity)
     */
    size_t size;
    /**
     * The account's twelve digits.
     */
    cloudauth_bytes account;
    /**
     * The ARN of the user or the role session.
     */
    cloudauth_bytes arn;
    /**
     * The unique id; for a role session with the session's name behind a colon.
     */
    cloudauth_bytes user_id;
} cloudauth_sts_caller_identity;

/**
 * Which application asks, and with what certificate, if any. An assertion is valid for ten
 * minutes.
 */
typedef struct {
    /**
     * sizeof(cloudauth_azure_client_assertion_params)
     */
    size_t size;
    /**
     * The application's certificate in DER. The key that signs must be its key.
     */
    cloudauth_bytes certificate;
    /**
     * The certificates between it and the root, in DER, the issuer of the first one first.
     */
    const cloudauth_bytes *chain;
    /**
     * How many there are: at most CLOUDAUTH_MAX_CHAIN.
     */
    size_t chain_count;
    /**
     * The tenant: its id or one of its domains.
     */
    cloudauth_bytes tenant;
    /**
     * The application's (client) id.
     */
    cloudauth_bytes client_id;
    /**
     * The cloud: CLOUDAUTH_AZURE_PUBLIC and so on.
     */
    uint32_t authority;
    /**
     * CLOUDAUTH_SCHEME_RSA_PSS_SHA256 or CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256; 0 for the first.
     */
    cloudauth_scheme scheme;
    /**
     * With CLOUDAUTH_AZURE_CUSTOM: the host, with an optional port.
     */
    cloudauth_bytes authority_host;
    /**
     * 0, or a sum of CLOUDAUTH_AZURE_SEND_CHAIN and CLOUDAUTH_AZURE_SHA1_THUMBPRINT.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_azure_client_assertion_params;

/**
 * An access token for an application (client credentials flow).
 */
typedef struct {
    /**
     * sizeof(cloudauth_azure_token_params)
     */
    size_t size;
    /**
     * What the token is for: one resource's "/.default".
     */
    const cloudauth_bytes *scopes;
    /**
     * How many scopes there are: 1 to CLOUDAUTH_MAX_SCOPES.
     */
    size_t scope_count;
    /**
     * The claims that a resource asked for: the JSON object of its challenge, out of base64; empty
     * for none.
     */
    cloudauth_bytes claims;
    /**
     * What proves who the application is: CLOUDAUTH_AZURE_CREDENTIAL_*.
     */
    uint32_t credential;
    /**
     * With a secret or a federated token: the cloud, CLOUDAUTH_AZURE_PUBLIC and so on.
     */
    uint32_t authority;
    /**
     * With CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION: the application and its certificate; else NULL.
     */
    const cloudauth_azure_client_assertion_params *assertion;
    /**
     * With a secret or a federated token: the tenant.
     */
    cloudauth_bytes tenant;
    /**
     * With a secret or a federated token: the application's (client) id.
     */
    cloudauth_bytes client_id;
    /**
     * With CLOUDAUTH_AZURE_CUSTOM: the host, with an optional port.
     */
    cloudauth_bytes authority_host;
    /**
     * The secret or the federated token: a secret either way.
     */
    cloudauth_bytes secret;
} cloudauth_azure_token_params;

/**
 * What the token endpoint of Entra ID gives.
 */
typedef struct {
    /**
     * sizeof(cloudauth_azure_access_token)
     */
    size_t size;
    /**
     * The access token: a secret. Printable ASCII without spaces.
     */
    cloudauth_bytes access_token;
    /**
     * "Bearer", in the letter case of the answer.
     */
    cloudauth_bytes token_type;
    /**
     * How long it is good for, in seconds from the moment of the answer: never 0.
     */
    int64_t expires_in;
    /**
     * How long it may be used while Entra ID cannot be reached, in seconds; 0 if that is not said.
     */
    int64_t ext_expires_in;
    /**
     * When a new token should be asked for, in seconds; 0 if that is not said.
     */
    int64_t refresh_in;
} cloudauth_azure_access_token;

/**
 * Everything that an attestation is bound to: binder v1 of PROTOCOL.md.
 */
typedef struct {
    /**
     * sizeof(cloudauth_ekm_binder)
     */
    size_t size;
    /**
     * Who attests: CLOUDAUTH_EKM_CLIENT or CLOUDAUTH_EKM_SERVER.
     */
    uint32_t prover;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * The 32 octets that the connection exported with the label of cloudauth_ekm_label and the
     * challenge as context. All zeros are refused.
     */
    const uint8_t *exported;
    /**
     * The verifier's challenge: 32 octets.
     */
    const uint8_t *challenge;
    /**
     * The SubjectPublicKeyInfo, in DER, of the server's certificate on this connection.
     */
    cloudauth_bytes server_spki;
    /**
     * The same of the client's certificate; empty if it sent none.
     */
    cloudauth_bytes client_spki;
    /**
     * The audience, exactly as in the attestation.
     */
    cloudauth_bytes audience;
    /**
     * The octets of the request that the attestation authorises.
     */
    cloudauth_bytes request;
} cloudauth_ekm_binder;

/**
 * A token that a key of ours signs as the issuer of an OIDC provider of a workload or workforce
 * identity pool.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_subject_token_params)
     */
    size_t size;
    /**
     * The provider that is to believe it: "//iam.googleapis.com/projects/NUMBER/locations/global/
     * workloadIdentityPools/POOL/providers/PROVIDER", or of a workforce pool.
     */
    cloudauth_bytes provider;
    /**
     * The issuer: an https URI, exactly as the provider was given it.
     */
    cloudauth_bytes issuer;
    /**
     * The subject, which the provider's mapping makes google.subject.
     */
    cloudauth_bytes subject;
    /**
     * The audience; empty for the provider's own.
     */
    cloudauth_bytes audience;
    /**
     * The key's id in the provider's key set (kid); empty for none.
     */
    cloudauth_bytes key_id;
    /**
     * How long the token is valid, in seconds: 1 to 86400; 0 for 600.
     */
    uint32_t lifetime;
    /**
     * CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
     */
    cloudauth_scheme scheme;
} cloudauth_gcp_subject_token_params;

/**
 * The exchange of a token for a federated access token at Google's Security Token Service. Exactly
 * one of `signed_token` and `token` is given.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_federation_params)
     */
    size_t size;
    /**
     * A token that our key signs, so that the request needs a signer; or NULL.
     */
    const cloudauth_gcp_subject_token_params *signed_token;
    /**
     * A token that was given to us (a secret): the request then needs no signer.
     */
    cloudauth_bytes token;
    /**
     * With `token`: the provider, as in cloudauth_gcp_subject_token_params.
     */
    cloudauth_bytes provider;
    /**
     * With `token`: its type, CLOUDAUTH_GCP_TOKEN_TYPE_*.
     */
    uint32_t token_type;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * What the access token is for.
     */
    const cloudauth_bytes *scopes;
    /**
     * How many scopes there are: 1 to CLOUDAUTH_MAX_SCOPES.
     */
    size_t scope_count;
    /**
     * The project that is billed, for workforce pools only; empty for none.
     */
    cloudauth_bytes user_project;
    /**
     * The domain of the cloud; empty for "googleapis.com".
     */
    cloudauth_bytes universe;
} cloudauth_gcp_federation_params;

/**
 * An access token out of an answer (RFC 6749, section 5.1).
 */
typedef struct {
    /**
     * sizeof(cloudauth_access_token)
     */
    size_t size;
    /**
     * The token: a secret. Printable ASCII without spaces.
     */
    cloudauth_bytes access_token;
    /**
     * "Bearer", in the letter case of the answer.
     */
    cloudauth_bytes token_type;
    /**
     * How long it is good for, in seconds from the moment of the answer: never 0.
     */
    int64_t expires_in;
} cloudauth_access_token;

/**
 * An access token of a service account, for whoever may impersonate it.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_generate_access_token_params)
     */
    size_t size;
    /**
     * The access token of whoever asks: a secret.
     */
    cloudauth_bytes token;
    /**
     * The e-mail of the service account to impersonate.
     */
    cloudauth_bytes email;
    /**
     * What the new token is for; none for all of Google Cloud.
     */
    const cloudauth_bytes *scopes;
    /**
     * How many scopes there are: at most CLOUDAUTH_MAX_SCOPES.
     */
    size_t scope_count;
    /**
     * The e-mails of service accounts in between, each of which may impersonate the next.
     */
    const cloudauth_bytes *delegates;
    /**
     * How many delegates there are: at most CLOUDAUTH_MAX_SCOPES.
     */
    size_t delegate_count;
    /**
     * The domain of the cloud; empty for "googleapis.com".
     */
    cloudauth_bytes universe;
    /**
     * How long the new token is to be valid, in seconds: 1 to 43200; 0 for 3600.
     */
    uint32_t lifetime;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_gcp_generate_access_token_params;

/**
 * What generateAccessToken gives.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_impersonated_token)
     */
    size_t size;
    /**
     * The access token: a secret. Printable ASCII without spaces.
     */
    cloudauth_bytes access_token;
    /**
     * When it ends, in seconds since 1970.
     */
    int64_t expiration;
} cloudauth_gcp_impersonated_token;

/**
 * An ID token of a service account, for whoever may impersonate it.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_generate_id_token_params)
     */
    size_t size;
    /**
     * The access token of whoever asks: a secret.
     */
    cloudauth_bytes token;
    /**
     * The e-mail of the service account to impersonate.
     */
    cloudauth_bytes email;
    /**
     * Who the ID token is for (aud).
     */
    cloudauth_bytes audience;
    /**
     * As in cloudauth_gcp_generate_access_token_params.
     */
    const cloudauth_bytes *delegates;
    /**
     * How many delegates there are: at most CLOUDAUTH_MAX_SCOPES.
     */
    size_t delegate_count;
    /**
     * The domain of the cloud; empty for "googleapis.com".
     */
    cloudauth_bytes universe;
    /**
     * 1 to leave the service account's e-mail out of the ID token, 0 to have it there.
     */
    uint32_t without_email;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_gcp_generate_id_token_params;

/**
 * An ID token out of an answer. It is not verified: it is meant for someone else.
 */
typedef struct {
    /**
     * sizeof(cloudauth_id_token)
     */
    size_t size;
    /**
     * The token: a secret.
     */
    cloudauth_bytes token;
} cloudauth_id_token;

/**
 * A token that a Google service account signs for itself, for an API. Exactly one of scopes and
 * audience is given.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_self_signed_params)
     */
    size_t size;
    /**
     * The service account's e-mail.
     */
    cloudauth_bytes email;
    /**
     * The key's id at Google (kid); empty if it is not known.
     */
    cloudauth_bytes key_id;
    /**
     * OAuth scopes, for every API that takes them.
     */
    const cloudauth_bytes *scopes;
    /**
     * How many there are: at most CLOUDAUTH_MAX_SCOPES.
     */
    size_t scope_count;
    /**
     * One API, such as "https://pubsub.googleapis.com/".
     */
    cloudauth_bytes audience;
    /**
     * The user to act for by domain-wide delegation; empty for none.
     */
    cloudauth_bytes subject;
    /**
     * How long the token is valid, in seconds: 1 to 3600; 0 for 3600.
     */
    uint32_t lifetime;
    /**
     * CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
     */
    cloudauth_scheme scheme;
} cloudauth_gcp_self_signed_params;

/**
 * A service account's access token from Google's token endpoint.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_access_token_params)
     */
    size_t size;
    /**
     * The service account's e-mail.
     */
    cloudauth_bytes email;
    /**
     * The key's id at Google (kid); empty if it is not known.
     */
    cloudauth_bytes key_id;
    /**
     * What the access token is for.
     */
    const cloudauth_bytes *scopes;
    /**
     * How many scopes there are: 1 to CLOUDAUTH_MAX_SCOPES.
     */
    size_t scope_count;
    /**
     * The user to act for by domain-wide delegation; empty for none.
     */
    cloudauth_bytes subject;
    /**
     * The token endpoint, an https URI; empty for Google's. Whoever answers there gets the
     * assertion.
     */
    cloudauth_bytes token_uri;
    /**
     * How long the assertion is valid, in seconds: 1 to 3600; 0 for 3600.
     */
    uint32_t lifetime;
    /**
     * CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
     */
    cloudauth_scheme scheme;
} cloudauth_gcp_access_token_params;

/**
 * A service account's ID token from Google's token endpoint.
 */
typedef struct {
    /**
     * sizeof(cloudauth_gcp_id_token_params)
     */
    size_t size;
    /**
     * The service account's e-mail.
     */
    cloudauth_bytes email;
    /**
     * The key's id at Google (kid); empty if it is not known.
     */
    cloudauth_bytes key_id;
    /**
     * Who the ID token is for: the service's URL, or an OAuth client id.
     */
    cloudauth_bytes target_audience;
    /**
     * The token endpoint, an https URI; empty for Google's. Whoever answers there gets the
     * assertion.
     */
    cloudauth_bytes token_uri;
    /**
     * How long the assertion is valid, in seconds: 1 to 3600; 0 for 3600.
     */
    uint32_t lifetime;
    /**
     * CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 or CLOUDAUTH_SCHEME_ECDSA_P256_SHA256; 0 for the first.
     */
    cloudauth_scheme scheme;
} cloudauth_gcp_id_token_params;

#if defined(CLOUDAUTH_STD)
/**
 * A configuration, and the credentials of its profiles as far as they were asked for: they are kept, and
 * renewed before they end. May be used by several threads at once; however many ask, one call is made.
 * It must not be copied, nor used in a child that a fork made. Close it with cloudauth_client_close.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[8];
} cloudauth_client;
#endif

#if defined(CLOUDAUTH_STD)
/**
 * What a hosted call has to say, in full words, with names of files, profiles and hosts. Pass NULL where
 * it is of no interest. It is written on failure, too. It holds no secret, but it is not free of input:
 * a service's refusal is told in its own words.
 */
typedef struct {
    /**
     * sizeof(cloudauth_message)
     */
    size_t size;
    /**
     * The length of the text.
     */
    size_t len;
    /**
     * 1 if the same call may succeed later: a connection that was not made or broke, throttling, a failure
     * of the server. Otherwise 0.
     */
    uint32_t transient;
    /**
     * CLOUDAUTH_ERR_SERVICE: the HTTP status of the refusal, if it was one. Otherwise 0.
     */
    uint32_t status;
    /**
     * What failed and what to do, in UTF-8 without control characters, with a NUL at its end; cut off if it
     * is too long. Where a call succeeded it is a warning about how a key is kept, or empty.
     */
    char text[2024];
} cloudauth_message;
#endif

#if defined(CLOUDAUTH_STD)
/**
 * A key that signs: of a file, a variable, a PKCS#11 token or a TPM. May be used by several threads at
 * once. It must not be copied. Close it with cloudauth_key_close.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[8];
} cloudauth_key;
#endif

#if defined(CLOUDAUTH_STD)
/**
 * A key that makes HMAC-SHA256 tags: an AWS secret access key in a file, a variable, a PKCS#11 token or
 * a TPM. May be used by several threads at once. It must not be copied. Close it with
 * cloudauth_mac_key_close.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[8];
} cloudauth_mac_key;
#endif

/**
 * A JSON value: header or claims of a verified token. It points into the buffer that the token was
 * decoded to, and is good as long as that is unchanged. It may be copied and needs no wiping.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[6];
} cloudauth_json;

/**
 * A JWK set (RFC 7517): the public keys that an issuer publishes. It points into the text it was
 * read from. It may be copied, may be used by several threads at once, and needs no wiping.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[8];
} cloudauth_jwks;

/**
 * What a token must be. Nothing of it is taken from the token.
 */
typedef struct {
    /**
     * sizeof(cloudauth_jws_expect)
     */
    size_t size;
    /**
     * The schemes a token may be signed with; none refuses every token.
     */
    const cloudauth_scheme *schemes;
    /**
     * How many there are: at most 5.
     */
    size_t scheme_count;
    /**
     * The one issuer (iss) that is accepted. Empty only with CLOUDAUTH_JWS_ANY_ISSUER.
     */
    cloudauth_bytes issuer;
    /**
     * The one audience (aud) that is accepted. Empty only with CLOUDAUTH_JWS_ANY_AUDIENCE.
     */
    cloudauth_bytes audience;
    /**
     * The header's type (typ) that is accepted; empty not to look at it.
     */
    cloudauth_bytes typ;
    /**
     * The present time in seconds since 1970.
     */
    int64_t time;
    /**
     * How far the issuer's clock may be from ours, in seconds; 60 is usual.
     */
    uint32_t skew;
    /**
     * The greatest age in seconds, counted from iat, which is then required; 0 for no limit but
     * exp.
     */
    uint32_t max_age;
    /**
     * 0, or a sum of CLOUDAUTH_JWS_ANY_ISSUER and CLOUDAUTH_JWS_ANY_AUDIENCE.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_jws_expect;

/**
 * A key that may verify tokens.
 */
typedef struct {
    /**
     * Its name. A key without one verifies only tokens that name none, and only if it is the only
     * key.
     */
    cloudauth_bytes kid;
    /**
     * The SubjectPublicKeyInfo in DER.
     */
    cloudauth_bytes spki;
    /**
     * The one scheme it is for; 0 for any that suits its type.
     */
    cloudauth_scheme scheme;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_jws_key;

/**
 * What came of one check.
 */
typedef struct {
    /**
     * CLOUDAUTH_JWS_PASSED and so on.
     */
    uint32_t outcome;
    /**
     * If it failed: CLOUDAUTH_ERR_VERIFICATION, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_UNSUPPORTED
     * or CLOUDAUTH_ERR_CAPACITY.
     */
    cloudauth_result result;
    /**
     * What is wrong, as in cloudauth_error.
     */
    cloudauth_bytes field;
    /**
     * What is expected, as in cloudauth_error.
     */
    cloudauth_bytes help;
} cloudauth_jws_check;

/**
 * Every check of one token, and what the token says if all of them hold.
 */
typedef struct {
    /**
     * sizeof(cloudauth_jws_report)
     */
    size_t size;
    /**
     * The header. Only if the token is verified.
     */
    cloudauth_json header;
    /**
     * The claims. Only if the token is verified.
     */
    cloudauth_json claims;
    /**
     * By CLOUDAUTH_JWS_CHECK_*. Also filled in where the token is refused.
     */
    cloudauth_jws_check checks[CLOUDAUTH_JWS_CHECK_COUNT];
} cloudauth_jws_report;

/**
 * What to sign. It holds a secret: cloudauth_wipe it when the signature is there.
 */
typedef struct {
    /**
     * sizeof(cloudauth_to_sign)
     */
    size_t size;
    /**
     * How to sign.
     */
    cloudauth_scheme scheme;
    /**
     * How many octets the digest has: 32 or 48.
     */
    uint32_t digest_len;
    /**
     * The message. It lies in the buffer that was prepared, until that is finished.
     */
    cloudauth_bytes message;
    /**
     * The digest of the message by the scheme. Sign the one or the other, as the device wants it.
     */
    uint8_t digest[48];
    /**
     * 32 secret octets for a PSS salt, blinding, or hedged ECDSA.
     */
    uint8_t entropy[32];
} cloudauth_to_sign;

/**
 * A P-256 private key in memory, that signs with CLOUDAUTH_SCHEME_ECDSA_P256_SHA256. May be used
 * by several threads at once. Wipe it with cloudauth_p256_key_wipe.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[40];
} cloudauth_p256_key;

/**
 * An HMAC-SHA256 key in memory. May be used by several threads at once. Wipe it with
 * cloudauth_hmac_key_wipe.
 */
typedef struct {
    /**
     * Opaque.
     */
    uint64_t reserved[40];
} cloudauth_hmac_key;

/**
 * What a certificate says. It is read, not verified. All octets point into its DER.
 */
typedef struct {
    /**
     * sizeof(cloudauth_certificate)
     */
    size_t size;
    /**
     * The serial number, big-endian without leading zeros: 1 to 20 octets.
     */
    cloudauth_bytes serial;
    /**
     * The SubjectPublicKeyInfo in DER.
     */
    cloudauth_bytes spki;
    /**
     * The first second of validity, since 1970.
     */
    int64_t not_before;
    /**
     * The last second of validity, since 1970.
     */
    int64_t not_after;
    /**
     * 1 if the subject is a certification authority, else 0.
     */
    uint32_t is_ca;
    /**
     * 0.
     */
    uint32_t reserved;
} cloudauth_certificate;

/**
 * Success.
 */
#define CLOUDAUTH_OK 0

/**
 * A pointer that must not be NULL is.
 */
#define CLOUDAUTH_ERR_NULL (-1)

/**
 * A length cannot be right: above PTRDIFF_MAX, or not that of a fixed-size value.
 */
#define CLOUDAUTH_ERR_LENGTH (-2)

/**
 * The member `size` of a structure is not sizeof of that structure.
 */
#define CLOUDAUTH_ERR_STRUCT_SIZE (-3)

/**
 * An output overlaps an input or another output.
 */
#define CLOUDAUTH_ERR_OVERLAP (-4)

/**
 * A number or a flag is none of those this header defines.
 */
#define CLOUDAUTH_ERR_UNKNOWN_NUMBER (-5)

/**
 * A text is not UTF-8.
 */
#define CLOUDAUTH_ERR_UTF8 (-6)

/**
 * An opaque object was not initialised, was wiped, or is of another kind.
 */
#define CLOUDAUTH_ERR_STATE (-7)

/**
 * The output buffer is too small: *len says how many octets are needed. Nothing was written.
 */
#define CLOUDAUTH_ERR_BUFFER_TOO_SMALL (-100)

/**
 * A documented capacity is exceeded.
 */
#define CLOUDAUTH_ERR_CAPACITY (-101)

/**
 * A parameter has a value that cannot be used.
 */
#define CLOUDAUTH_ERR_INVALID (-102)

/**
 * Octets from outside (an answer, a token, a certificate) do not parse.
 */
#define CLOUDAUTH_ERR_MALFORMED (-103)

/**
 * Two inputs do not belong together, such as a certificate and a key.
 */
#define CLOUDAUTH_ERR_MISMATCH (-104)

/**
 * The signer (or MAC) failed, or broke its contract.
 */
#define CLOUDAUTH_ERR_SIGNER (-105)

/**
 * Well-formed, but not something this build or this key can do.
 */
#define CLOUDAUTH_ERR_UNSUPPORTED (-106)

/**
 * A signature or a claim does not hold.
 */
#define CLOUDAUTH_ERR_VERIFICATION (-107)

/**
 * The service refused: see cloudauth_refusal, or cloudauth_message.
 */
#define CLOUDAUTH_ERR_SERVICE (-108)

/**
 * There is no such member, header or element.
 */
#define CLOUDAUTH_ERR_NOT_FOUND (-109)

/**
 * A key cannot be opened: see cloudauth_message. This and the following are of the hosted functions.
 */
#define CLOUDAUTH_ERR_KEY (-110)

/**
 * A configuration file, a profile or a variable cannot be used: see cloudauth_message.
 */
#define CLOUDAUTH_ERR_CONFIG (-111)

/**
 * A file cannot be read or written: see cloudauth_message.
 */
#define CLOUDAUTH_ERR_FILE (-112)

/**
 * A service gave no usable answer: it was not reached, it is not trusted, or it is not what it should
 * be. See cloudauth_message.
 */
#define CLOUDAUTH_ERR_TRANSPORT (-113)

/**
 * A mistake in this library.
 */
#define CLOUDAUTH_ERR_INTERNAL (-199)

/**
 * RSASSA-PKCS1-v1_5 with SHA-256: JWS "RS256".
 */
#define CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 1

/**
 * RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets: JWS "PS256".
 */
#define CLOUDAUTH_SCHEME_RSA_PSS_SHA256 2

/**
 * ECDSA on P-256 with SHA-256: JWS "ES256".
 */
#define CLOUDAUTH_SCHEME_ECDSA_P256_SHA256 3

/**
 * ECDSA on P-384 with SHA-256, for IAM Roles Anywhere.
 */
#define CLOUDAUTH_SCHEME_ECDSA_P384_SHA256 4

/**
 * ECDSA on P-384 with SHA-384: JWS "ES384".
 */
#define CLOUDAUTH_SCHEME_ECDSA_P384_SHA384 5

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Gives the size of the buffer for a CreateSession request, for a signature of `signature_len`
 * octets: 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always
 * needs room for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_rolesanywhere_create_session_needed(const cloudauth_rolesanywhere_create_session_params *params,
                                                               const cloudauth_attempt *at,
                                                               size_t signature_len,
                                                               size_t *len,
                                                               cloudauth_error *error);

/**
 * Makes a CreateSession request, signed by `signer`. `*request` points into `out`, of which `*len`
 * octets are used. Nothing is signed before the buffer is known to be large enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_rolesanywhere_create_session_request(const cloudauth_rolesanywhere_create_session_params *params,
                                                                const cloudauth_signer *signer,
                                                                const cloudauth_attempt *at,
                                                                uint8_t *out,
                                                                size_t cap,
                                                                size_t *len,
                                                                cloudauth_request *request,
                                                                cloudauth_error *error);

/**
 * The first of two steps: a CreateSession request but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_rolesanywhere_create_session_prepare(const cloudauth_rolesanywhere_create_session_params *params,
                                                                const cloudauth_attempt *at,
                                                                uint8_t *out,
                                                                size_t cap,
                                                                size_t *len,
                                                                cloudauth_prepared *prepared,
                                                                cloudauth_error *error);

/**
 * Reads the answer to a CreateSession request. The body is changed in place, and `*output` points
 * into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_rolesanywhere_create_session_request.
 */
cloudauth_result cloudauth_rolesanywhere_create_session_response(const cloudauth_rolesanywhere_create_session_params *params,
                                                                 const cloudauth_response_head *head,
                                                                 uint8_t *body,
                                                                 size_t body_len,
                                                                 cloudauth_rolesanywhere_session *output,
                                                                 cloudauth_refusal *refusal,
                                                                 cloudauth_error *error);

/**
 * Derives the key for the UTC day of `time` (seconds since 1970), a region and a service ("s3",
 * "sts"). `mac` holds "AWS4" and the secret access key; it is asked once.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a region or service that cannot be one, and for
 * a time outside 1970 to 9999; CLOUDAUTH_ERR_CAPACITY if they are longer than 70 octets together;
 * CLOUDAUTH_ERR_SIGNER; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE,
 * CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sigv4_key_derive(cloudauth_sigv4_key *key,
                                            const cloudauth_mac *mac,
                                            int64_t time,
                                            cloudauth_bytes region,
                                            cloudauth_bytes service,
                                            cloudauth_error *error);

/**
 * Tells whether the key is good at `time`, in seconds since 1970: `*covers` is 1 on the same UTC
 * day, else 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a time outside 1970 to 9999;
 * CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_sigv4_key_covers(const cloudauth_sigv4_key *key,
                                            int64_t time,
                                            uint32_t *covers,
                                            cloudauth_error *error);

/**
 * Wipes the key; NULL is allowed.
 */
void cloudauth_sigv4_key_wipe(cloudauth_sigv4_key *key);

/**
 * Signs a request in its headers. `*signed` points into `out`, of which `*len` octets are used.
 * `time` is in seconds since 1970.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID for a part of the
 * request that cannot be signed; CLOUDAUTH_ERR_MISMATCH if the key is of another day;
 * CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_CAPACITY; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UNKNOWN_NUMBER,
 * CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sigv4_sign(const cloudauth_sigv4_params *params,
                                      const cloudauth_sigv4_request *request,
                                      int64_t time,
                                      uint8_t *out,
                                      size_t cap,
                                      size_t *len,
                                      cloudauth_sigv4_signed *signed_,
                                      cloudauth_error *error);

/**
 * Signs a request in its query: path and query of a presigned URL, that is good for `expires`
 * seconds (1 to 604800), are in `out`, `*len` octets. `time` is in seconds since 1970.
 *
 * @return As cloudauth_sigv4_sign; CLOUDAUTH_ERR_INVALID also for a query that is already signed.
 */
cloudauth_result cloudauth_sigv4_presign(const cloudauth_sigv4_params *params,
                                         const cloudauth_sigv4_request *request,
                                         int64_t time,
                                         uint32_t expires,
                                         uint8_t *out,
                                         size_t cap,
                                         size_t *len,
                                         cloudauth_error *error);

/**
 * Gives the size of the buffer for an AssumeRole request. No signer has a part in it:
 * `signature_len` is 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_assume_role_needed(const cloudauth_sts_assume_role_params *params,
                                                  const cloudauth_attempt *at,
                                                  size_t signature_len,
                                                  size_t *len,
                                                  cloudauth_error *error);

/**
 * Makes an AssumeRole request. `*request` points into `out`, of which `*len` octets are used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_assume_role_request(const cloudauth_sts_assume_role_params *params,
                                                   const cloudauth_attempt *at,
                                                   uint8_t *out,
                                                   size_t cap,
                                                   size_t *len,
                                                   cloudauth_request *request,
                                                   cloudauth_error *error);

/**
 * Reads the answer to an AssumeRole request. The body is changed in place, and `*output` points
 * into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_assume_role_request.
 */
cloudauth_result cloudauth_sts_assume_role_response(const cloudauth_sts_assume_role_params *params,
                                                    const cloudauth_response_head *head,
                                                    uint8_t *body,
                                                    size_t body_len,
                                                    cloudauth_sts_role *output,
                                                    cloudauth_refusal *refusal,
                                                    cloudauth_error *error);

/**
 * Gives the size of the buffer for an AssumeRoleWithWebIdentity request. No signer has a part in
 * it: `signature_len` is 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_assume_role_with_web_identity_needed(const cloudauth_sts_assume_role_with_web_identity_params *params,
                                                                    const cloudauth_attempt *at,
                                                                    size_t signature_len,
                                                                    size_t *len,
                                                                    cloudauth_error *error);

/**
 * Makes an AssumeRoleWithWebIdentity request. `*request` points into `out`, of which `*len` octets
 * are used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_assume_role_with_web_identity_request(const cloudauth_sts_assume_role_with_web_identity_params *params,
                                                                     const cloudauth_attempt *at,
                                                                     uint8_t *out,
                                                                     size_t cap,
                                                                     size_t *len,
                                                                     cloudauth_request *request,
                                                                     cloudauth_error *error);

/**
 * Reads the answer to an AssumeRoleWithWebIdentity request. The body is changed in place, and
 * `*output` points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_assume_role_with_web_identity_request.
 */
cloudauth_result cloudauth_sts_assume_role_with_web_identity_response(const cloudauth_sts_assume_role_with_web_identity_params *params,
                                                                      const cloudauth_response_head *head,
                                                                      uint8_t *body,
                                                                      size_t body_len,
                                                                      cloudauth_sts_federated_role *output,
                                                                      cloudauth_refusal *refusal,
                                                                      cloudauth_error *error);

/**
 * Gives the size of the buffer for a GetSessionToken request. No signer has a part in it:
 * `signature_len` is 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_get_session_token_needed(const cloudauth_sts_get_session_token_params *params,
                                                        const cloudauth_attempt *at,
                                                        size_t signature_len,
                                                        size_t *len,
                                                        cloudauth_error *error);

/**
 * Makes a GetSessionToken request. `*request` points into `out`, of which `*len` octets are used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_get_session_token_request(const cloudauth_sts_get_session_token_params *params,
                                                         const cloudauth_attempt *at,
                                                         uint8_t *out,
                                                         size_t cap,
                                                         size_t *len,
                                                         cloudauth_request *request,
                                                         cloudauth_error *error);

/**
 * Reads the answer to a GetSessionToken request. The body is changed in place, and `*output`
 * points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_get_session_token_request.
 */
cloudauth_result cloudauth_sts_get_session_token_response(const cloudauth_sts_get_session_token_params *params,
                                                          const cloudauth_response_head *head,
                                                          uint8_t *body,
                                                          size_t body_len,
                                                          cloudauth_aws_credentials *output,
                                                          cloudauth_refusal *refusal,
                                                          cloudauth_error *error);

/**
 * Gives the size of the buffer for a GetCallerIdentity request. No signer has a part in it:
 * `signature_len` is 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_get_caller_identity_needed(const cloudauth_sts_get_caller_identity_params *params,
                                                          const cloudauth_attempt *at,
                                                          size_t signature_len,
                                                          size_t *len,
                                                          cloudauth_error *error);

/**
 * Makes a GetCallerIdentity request. `*request` points into `out`, of which `*len` octets are
 * used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_sts_get_caller_identity_request(const cloudauth_sts_get_caller_identity_params *params,
                                                           const cloudauth_attempt *at,
                                                           uint8_t *out,
                                                           size_t cap,
                                                           size_t *len,
                                                           cloudauth_request *request,
                                                           cloudauth_error *error);

/**
 * Reads the answer to a GetCallerIdentity request. The body is changed in place, and `*output`
 * points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_sts_get_caller_identity_request.
 */
cloudauth_result cloudauth_sts_get_caller_identity_response(const cloudauth_sts_get_caller_identity_params *params,
                                                            const cloudauth_response_head *head,
                                                            uint8_t *body,
                                                            size_t body_len,
                                                            cloudauth_sts_caller_identity *output,
                                                            cloudauth_refusal *refusal,
                                                            cloudauth_error *error);

/**
 * Gives the size of the buffer for a client assertion, for a signature of `signature_len` octets:
 * 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs
 * room for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_azure_client_assertion_needed(const cloudauth_azure_client_assertion_params *params,
                                                         const cloudauth_attempt *at,
                                                         size_t signature_len,
                                                         size_t *len,
                                                         cloudauth_error *error);

/**
 * Makes a client assertion: the signed token is in `out`, `*len` octets. Nothing is signed before
 * the buffer is known to be large enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_azure_client_assertion_sign(const cloudauth_azure_client_assertion_params *params,
                                                       const cloudauth_signer *signer,
                                                       const cloudauth_attempt *at,
                                                       uint8_t *out,
                                                       size_t cap,
                                                       size_t *len,
                                                       cloudauth_error *error);

/**
 * The first of two steps: a client assertion but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_jws_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_azure_client_assertion_prepare(const cloudauth_azure_client_assertion_params *params,
                                                          const cloudauth_attempt *at,
                                                          uint8_t *out,
                                                          size_t cap,
                                                          size_t *len,
                                                          cloudauth_prepared *prepared,
                                                          cloudauth_error *error);

/**
 * Gives the size of the buffer for a token request, for a signature of `signature_len` octets: 64
 * for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs room
 * for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_azure_token_needed(const cloudauth_azure_token_params *params,
                                              const cloudauth_attempt *at,
                                              size_t signature_len,
                                              size_t *len,
                                              cloudauth_error *error);

/**
 * Makes a token request. `signer` is NULL where the parameters need none. `*request` points into
 * `out`, of which `*len` octets are used. Nothing is signed before the buffer is known to be large
 * enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_azure_token_request(const cloudauth_azure_token_params *params,
                                               const cloudauth_signer *signer,
                                               const cloudauth_attempt *at,
                                               uint8_t *out,
                                               size_t cap,
                                               size_t *len,
                                               cloudauth_request *request,
                                               cloudauth_error *error);

/**
 * The first of two steps: a token request but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_azure_token_prepare(const cloudauth_azure_token_params *params,
                                               const cloudauth_attempt *at,
                                               uint8_t *out,
                                               size_t cap,
                                               size_t *len,
                                               cloudauth_prepared *prepared,
                                               cloudauth_error *error);

/**
 * Reads the answer to a token request. The body is changed in place, and `*output` points into it.
 * `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_azure_token_request.
 */
cloudauth_result cloudauth_azure_token_response(const cloudauth_azure_token_params *params,
                                                const cloudauth_response_head *head,
                                                uint8_t *body,
                                                size_t body_len,
                                                cloudauth_azure_access_token *output,
                                                cloudauth_refusal *refusal,
                                                cloudauth_error *error);

/**
 * Overwrites `len` octets at `ptr` with zeros, and is not optimised away: for buffers that held
 * requests, answers, tokens or random octets. NULL is allowed.
 */
void cloudauth_wipe(void *ptr, size_t len);

/**
 * Gives the label to export with: a static text, not ended by NUL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_ekm_label(uint32_t prover,
                                     cloudauth_bytes *label,
                                     cloudauth_error *error);

/**
 * Writes the nonce to ask of the attestation service: 43 characters.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID when a part is
 * missing or all zeros; CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_ekm_nonce(const cloudauth_ekm_binder *binder,
                                     uint8_t *out,
                                     size_t cap,
                                     size_t *len,
                                     cloudauth_error *error);

/**
 * Compares the nonce of an attestation with this connection's, in constant time.
 *
 * @return CLOUDAUTH_OK if it is this one; CLOUDAUTH_ERR_VERIFICATION if it is not; otherwise as
 * cloudauth_ekm_nonce.
 */
cloudauth_result cloudauth_ekm_verify(const cloudauth_ekm_binder *binder,
                                      cloudauth_bytes nonce,
                                      cloudauth_error *error);

/**
 * Gives the label to export with, without a context, for another system's scheme
 * (CLOUDAUTH_EKM_COMPAT_*): a static text, not ended by NUL. These schemes bind the connection and
 * nothing else: use cloudauth_ekm_nonce where you have the choice.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_ekm_compat_label(uint32_t scheme,
                                            cloudauth_bytes *label,
                                            cloudauth_error *error);

/**
 * Writes the nonce of another system's scheme for 32 exported octets: 64 or 44 characters.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID for all zeros;
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_ekm_compat_nonce(uint32_t scheme,
                                            const uint8_t *exported,
                                            uint8_t *out,
                                            size_t cap,
                                            size_t *len,
                                            cloudauth_error *error);

/**
 * Compares a nonce of another system's scheme, in constant time.
 *
 * @return CLOUDAUTH_OK if it is this connection's; CLOUDAUTH_ERR_VERIFICATION if it is not;
 * otherwise as cloudauth_ekm_compat_nonce, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_ekm_compat_verify(uint32_t scheme,
                                             const uint8_t *exported,
                                             cloudauth_bytes nonce,
                                             cloudauth_error *error);

/**
 * Writes `bytes` in base64url without padding (RFC 7515, section 2).
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_base64url_encode(cloudauth_bytes bytes,
                                            uint8_t *out,
                                            size_t cap,
                                            size_t *len,
                                            cloudauth_error *error);

/**
 * Reads base64url. White space, padding, and bits that belong to no octet are refused.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_base64url_decode(cloudauth_bytes text,
                                            uint8_t *out,
                                            size_t cap,
                                            size_t *len,
                                            cloudauth_error *error);

/**
 * Writes an ECDSA signature, given as r||s of 64 or 96 octets, in DER (RFC 3279, section 2.2.3).
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_ecdsa_der_from_raw(cloudauth_bytes raw,
                                              uint8_t *out,
                                              size_t cap,
                                              size_t *len,
                                              cloudauth_error *error);

/**
 * Writes an ECDSA signature, given in DER, as r||s, each padded on the left to `size` octets: 32
 * for P-256, 48 for P-384.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER for another size; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_ecdsa_raw_from_der(cloudauth_bytes der,
                                              size_t size,
                                              uint8_t *out,
                                              size_t cap,
                                              size_t *len,
                                              cloudauth_error *error);

/**
 * Gives the size of the buffer for a subject token, for a signature of `signature_len` octets: 64
 * for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs room
 * for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_subject_token_needed(const cloudauth_gcp_subject_token_params *params,
                                                    const cloudauth_attempt *at,
                                                    size_t signature_len,
                                                    size_t *len,
                                                    cloudauth_error *error);

/**
 * Makes a subject token: the signed token is in `out`, `*len` octets. Nothing is signed before the
 * buffer is known to be large enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_subject_token_sign(const cloudauth_gcp_subject_token_params *params,
                                                  const cloudauth_signer *signer,
                                                  const cloudauth_attempt *at,
                                                  uint8_t *out,
                                                  size_t cap,
                                                  size_t *len,
                                                  cloudauth_error *error);

/**
 * The first of two steps: a subject token but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_jws_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_subject_token_prepare(const cloudauth_gcp_subject_token_params *params,
                                                     const cloudauth_attempt *at,
                                                     uint8_t *out,
                                                     size_t cap,
                                                     size_t *len,
                                                     cloudauth_prepared *prepared,
                                                     cloudauth_error *error);

/**
 * Gives the size of the buffer for a token exchange, for a signature of `signature_len` octets: 64
 * for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs room
 * for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_federation_needed(const cloudauth_gcp_federation_params *params,
                                                 const cloudauth_attempt *at,
                                                 size_t signature_len,
                                                 size_t *len,
                                                 cloudauth_error *error);

/**
 * Makes a token exchange. `signer` is NULL where the parameters need none. `*request` points into
 * `out`, of which `*len` octets are used. Nothing is signed before the buffer is known to be large
 * enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_federation_request(const cloudauth_gcp_federation_params *params,
                                                  const cloudauth_signer *signer,
                                                  const cloudauth_attempt *at,
                                                  uint8_t *out,
                                                  size_t cap,
                                                  size_t *len,
                                                  cloudauth_request *request,
                                                  cloudauth_error *error);

/**
 * The first of two steps: a token exchange but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_federation_prepare(const cloudauth_gcp_federation_params *params,
                                                  const cloudauth_attempt *at,
                                                  uint8_t *out,
                                                  size_t cap,
                                                  size_t *len,
                                                  cloudauth_prepared *prepared,
                                                  cloudauth_error *error);

/**
 * Reads the answer to a token exchange. The body is changed in place, and `*output` points into
 * it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_federation_request.
 */
cloudauth_result cloudauth_gcp_federation_response(const cloudauth_gcp_federation_params *params,
                                                   const cloudauth_response_head *head,
                                                   uint8_t *body,
                                                   size_t body_len,
                                                   cloudauth_access_token *output,
                                                   cloudauth_refusal *refusal,
                                                   cloudauth_error *error);

/**
 * Gives the size of the buffer for a call of generateAccessToken. No signer has a part in it:
 * `signature_len` is 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_generate_access_token_needed(const cloudauth_gcp_generate_access_token_params *params,
                                                            const cloudauth_attempt *at,
                                                            size_t signature_len,
                                                            size_t *len,
                                                            cloudauth_error *error);

/**
 * Makes a call of generateAccessToken. `*request` points into `out`, of which `*len` octets are
 * used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_generate_access_token_request(const cloudauth_gcp_generate_access_token_params *params,
                                                             const cloudauth_attempt *at,
                                                             uint8_t *out,
                                                             size_t cap,
                                                             size_t *len,
                                                             cloudauth_request *request,
                                                             cloudauth_error *error);

/**
 * Reads the answer to a call of generateAccessToken. The body is changed in place, and `*output`
 * points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_generate_access_token_request.
 */
cloudauth_result cloudauth_gcp_generate_access_token_response(const cloudauth_gcp_generate_access_token_params *params,
                                                              const cloudauth_response_head *head,
                                                              uint8_t *body,
                                                              size_t body_len,
                                                              cloudauth_gcp_impersonated_token *output,
                                                              cloudauth_refusal *refusal,
                                                              cloudauth_error *error);

/**
 * Gives the size of the buffer for a call of generateIdToken. No signer has a part in it:
 * `signature_len` is 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_generate_id_token_needed(const cloudauth_gcp_generate_id_token_params *params,
                                                        const cloudauth_attempt *at,
                                                        size_t signature_len,
                                                        size_t *len,
                                                        cloudauth_error *error);

/**
 * Makes a call of generateIdToken. `*request` points into `out`, of which `*len` octets are used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_generate_id_token_request(const cloudauth_gcp_generate_id_token_params *params,
                                                         const cloudauth_attempt *at,
                                                         uint8_t *out,
                                                         size_t cap,
                                                         size_t *len,
                                                         cloudauth_request *request,
                                                         cloudauth_error *error);

/**
 * Reads the answer to a call of generateIdToken. The body is changed in place, and `*output`
 * points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_generate_id_token_request.
 */
cloudauth_result cloudauth_gcp_generate_id_token_response(const cloudauth_gcp_generate_id_token_params *params,
                                                          const cloudauth_response_head *head,
                                                          uint8_t *body,
                                                          size_t body_len,
                                                          cloudauth_id_token *output,
                                                          cloudauth_refusal *refusal,
                                                          cloudauth_error *error);

/**
 * Gives the size of the buffer for a self-signed token, for a signature of `signature_len` octets:
 * 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always needs
 * room for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_self_signed_needed(const cloudauth_gcp_self_signed_params *params,
                                                  const cloudauth_attempt *at,
                                                  size_t signature_len,
                                                  size_t *len,
                                                  cloudauth_error *error);

/**
 * Makes a self-signed token: the signed token is in `out`, `*len` octets. Nothing is signed before
 * the buffer is known to be large enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_self_signed_sign(const cloudauth_gcp_self_signed_params *params,
                                                const cloudauth_signer *signer,
                                                const cloudauth_attempt *at,
                                                uint8_t *out,
                                                size_t cap,
                                                size_t *len,
                                                cloudauth_error *error);

/**
 * The first of two steps: a self-signed token but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_jws_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_self_signed_prepare(const cloudauth_gcp_self_signed_params *params,
                                                   const cloudauth_attempt *at,
                                                   uint8_t *out,
                                                   size_t cap,
                                                   size_t *len,
                                                   cloudauth_prepared *prepared,
                                                   cloudauth_error *error);

/**
 * Gives the size of the buffer for a request for an access token, for a signature of
 * `signature_len` octets: 64 for P-256, 96 for P-384, the length of the modulus for RSA. The
 * two-step form always needs room for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_access_token_needed(const cloudauth_gcp_access_token_params *params,
                                                   const cloudauth_attempt *at,
                                                   size_t signature_len,
                                                   size_t *len,
                                                   cloudauth_error *error);

/**
 * Makes a request for an access token, signed by `signer`. `*request` points into `out`, of which
 * `*len` octets are used. Nothing is signed before the buffer is known to be large enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_access_token_request(const cloudauth_gcp_access_token_params *params,
                                                    const cloudauth_signer *signer,
                                                    const cloudauth_attempt *at,
                                                    uint8_t *out,
                                                    size_t cap,
                                                    size_t *len,
                                                    cloudauth_request *request,
                                                    cloudauth_error *error);

/**
 * The first of two steps: a request for an access token but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_access_token_prepare(const cloudauth_gcp_access_token_params *params,
                                                    const cloudauth_attempt *at,
                                                    uint8_t *out,
                                                    size_t cap,
                                                    size_t *len,
                                                    cloudauth_prepared *prepared,
                                                    cloudauth_error *error);

/**
 * Reads the answer to a request for an access token. The body is changed in place, and `*output`
 * points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_access_token_request.
 */
cloudauth_result cloudauth_gcp_access_token_response(const cloudauth_gcp_access_token_params *params,
                                                     const cloudauth_response_head *head,
                                                     uint8_t *body,
                                                     size_t body_len,
                                                     cloudauth_access_token *output,
                                                     cloudauth_refusal *refusal,
                                                     cloudauth_error *error);

/**
 * Gives the size of the buffer for a request for an ID token, for a signature of `signature_len`
 * octets: 64 for P-256, 96 for P-384, the length of the modulus for RSA. The two-step form always
 * needs room for 1024 where the scheme is one of RSA.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_id_token_needed(const cloudauth_gcp_id_token_params *params,
                                               const cloudauth_attempt *at,
                                               size_t signature_len,
                                               size_t *len,
                                               cloudauth_error *error);

/**
 * Makes a request for an ID token, signed by `signer`. `*request` points into `out`, of which
 * `*len` octets are used. Nothing is signed before the buffer is known to be large enough.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_SIGNER;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_id_token_request(const cloudauth_gcp_id_token_params *params,
                                                const cloudauth_signer *signer,
                                                const cloudauth_attempt *at,
                                                uint8_t *out,
                                                size_t cap,
                                                size_t *len,
                                                cloudauth_request *request,
                                                cloudauth_error *error);

/**
 * The first of two steps: a request for an ID token but for its signature. Sign what
 * cloudauth_prepared_to_sign tells, then call cloudauth_prepared_finish.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_STATE;
 * CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED, CLOUDAUTH_ERR_MISMATCH
 * or CLOUDAUTH_ERR_UNSUPPORTED for parameters that cannot be used; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_gcp_id_token_prepare(const cloudauth_gcp_id_token_params *params,
                                                const cloudauth_attempt *at,
                                                uint8_t *out,
                                                size_t cap,
                                                size_t *len,
                                                cloudauth_prepared *prepared,
                                                cloudauth_error *error);

/**
 * Reads the answer to a request for an ID token. The body is changed in place, and `*output`
 * points into it. `refusal` may be NULL.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_SERVICE if the service refused: `*refusal` says why;
 * CLOUDAUTH_ERR_MALFORMED for what is no such answer; CLOUDAUTH_ERR_CAPACITY for more than
 * CLOUDAUTH_MAX_HEADERS headers; otherwise as cloudauth_gcp_id_token_request.
 */
cloudauth_result cloudauth_gcp_id_token_response(const cloudauth_gcp_id_token_params *params,
                                                 const cloudauth_response_head *head,
                                                 uint8_t *body,
                                                 size_t body_len,
                                                 cloudauth_id_token *output,
                                                 cloudauth_refusal *refusal,
                                                 cloudauth_error *error);

#if defined(CLOUDAUTH_STD)
/**
 * Reads a configuration file and the certificates that it trusts. An empty path is that of
 * CLOUDAUTH_CONFIG, else cloudauth/config.toml in $XDG_CONFIG_HOME or ~/.config. No service is called
 * and no key is opened before a credential is asked for. The proxy variables (HTTPS_PROXY, NO_PROXY)
 * count as they are now.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_CONFIG for a configuration that cannot be used;
 * CLOUDAUTH_ERR_FILE for a file that cannot be read; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_client_open(cloudauth_bytes path,
                                       cloudauth_client *client,
                                       cloudauth_message *message,
                                       cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Opens a configuration that is in memory: the text that cloudauth_client_open finds in a file (TOML). It
 * is not kept, and never written to a file. Relative paths in it start at `folder`, an absolute path, or
 * where that is empty at the working directory as it is now; those in key URIs always start at the working
 * directory. All else is as with cloudauth_client_open.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_CONFIG for a configuration that cannot be used, and for a folder
 * that is relative; CLOUDAUTH_ERR_FILE for a file that it names and that cannot be read;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE,
 * CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_client_open_text(cloudauth_bytes config,
                                            cloudauth_bytes folder,
                                            cloudauth_client *client,
                                            cloudauth_message *message,
                                            cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Gives the AWS credentials of a profile: those that are kept, or new ones where these are about to end;
 * then it takes as long as the service and the key do, but not more than half a minute (or the
 * configuration's timeout) for each call to a service. An empty profile is that of the variable CLOUDAUTH_PROFILE. The texts of `*keys` lie in
 * `out`: wipe it. What the buffer is too small for is kept, too.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_CONFIG if there is no such profile,
 * or if it cannot be used, or gives a token; CLOUDAUTH_ERR_KEY if its key cannot be opened;
 * CLOUDAUTH_ERR_SIGNER if its key failed; CLOUDAUTH_ERR_FILE for a file that cannot be read;
 * CLOUDAUTH_ERR_SERVICE if the service refused, or issued what cannot be used; CLOUDAUTH_ERR_TRANSPORT if
 * it gave no usable answer; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
 * CLOUDAUTH_ERR_MISMATCH, CLOUDAUTH_ERR_UNSUPPORTED or CLOUDAUTH_ERR_VERIFICATION for what stands in the
 * profile; CLOUDAUTH_ERR_STATE if the client is not open; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_client_aws_keys(const cloudauth_client *client,
                                           cloudauth_bytes profile,
                                           uint8_t *out,
                                           size_t cap,
                                           size_t *len,
                                           cloudauth_aws_credentials *keys,
                                           cloudauth_message *message,
                                           cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Gives the bearer token of a profile of Azure or Google Cloud: an access token or an ID token, for the
 * header "Authorization: Bearer ...". `*expiration` becomes the time from which it is refused, in seconds
 * since 1970. All else is as with cloudauth_client_aws_keys.
 *
 * @return as cloudauth_client_aws_keys.
 */
cloudauth_result cloudauth_client_bearer_token(const cloudauth_client *client,
                                               cloudauth_bytes profile,
                                               uint8_t *out,
                                               size_t cap,
                                               size_t *len,
                                               int64_t *expiration,
                                               cloudauth_message *message,
                                               cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Forgets the credential of a profile, because a service refused it: the next call gets a new one.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_CONFIG if there is no such profile; CLOUDAUTH_ERR_STATE if the
 * client is not open; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_client_invalidate(const cloudauth_client *client,
                                             cloudauth_bytes profile,
                                             cloudauth_message *message,
                                             cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Closes the client and forgets its credentials, once nothing uses it any more; NULL is allowed, and what
 * is not open.
 */
void cloudauth_client_close(cloudauth_client *client);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Opens the key that a URI names: "file:PATH", "env:NAME", "pkcs11:..." (RFC 7512) or, in builds with
 * the feature `tpm`, "tpm:...". Nobody is asked for a PIN or a passphrase: the URI or the environment
 * must say where it is. It may take as long as the device does.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for what is no key URI; CLOUDAUTH_ERR_KEY if the key
 * cannot be opened; CLOUDAUTH_ERR_UNSUPPORTED for a kind of key that this library, or this build of it,
 * cannot use; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE,
 * CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_key_open(cloudauth_bytes uri,
                                    cloudauth_key *key,
                                    cloudauth_message *message,
                                    cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Makes `*signer` sign with `key`, which must stay open, and where it is, while the signer is used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not open; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_key_signer(const cloudauth_key *key,
                                      cloudauth_signer *signer,
                                      cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Gives the public key: a SubjectPublicKeyInfo in DER, that is there until the key is closed.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not open; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_key_public(const cloudauth_key *key,
                                      cloudauth_bytes *spki,
                                      cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Signs a digest that was made elsewhere, for programs that were given no more. With the message at hand, use
 * cloudauth_key_signer: a device may sign only what it has hashed itself. Whoever chooses the digest chooses
 * what is signed, unseen. `digest` has 48 octets for CLOUDAUTH_SCHEME_ECDSA_P384_SHA384, and 32 for the other
 * schemes. The signature is as that of cloudauth_signer: of ECDSA it is r||s. Random octets are the library's
 * own. Nothing is signed where the buffer is too small.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_UNSUPPORTED for a scheme that the key
 * cannot sign with, and for a key that signs no digests; CLOUDAUTH_ERR_LENGTH for a digest of another length;
 * CLOUDAUTH_ERR_SIGNER if the key failed, with the device's return code, if it gave one, as the detail;
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER; CLOUDAUTH_ERR_STATE if the key is not open; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_key_sign_digest(const cloudauth_key *key,
                                           cloudauth_scheme scheme,
                                           cloudauth_bytes digest,
                                           uint8_t *out,
                                           size_t cap,
                                           size_t *len,
                                           cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Closes the key, once nothing uses it any more; NULL is allowed, and what is not open.
 */
void cloudauth_key_close(cloudauth_key *key);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Opens the AWS secret access key that a URI names, as cloudauth_key_open does. A file or a variable
 * holds the secret as AWS gives it; a device holds "AWS4" and the secret.
 *
 * @return as cloudauth_key_open.
 */
cloudauth_result cloudauth_mac_key_open(cloudauth_bytes uri,
                                        cloudauth_mac_key *key,
                                        cloudauth_message *message,
                                        cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Makes `*mac` work with `key`, which must stay open, and where it is, while the mac is used.
 *
 * @return as cloudauth_key_signer.
 */
cloudauth_result cloudauth_mac_key_mac(const cloudauth_mac_key *key,
                                       cloudauth_mac *mac,
                                       cloudauth_error *error);
#endif

#if defined(CLOUDAUTH_STD)
/**
 * Closes the key, once nothing uses it any more; NULL is allowed, and what is not open.
 */
void cloudauth_mac_key_close(cloudauth_mac_key *key);
#endif

/**
 * Gives name and value of the header at `index`, counted from 0, of `headers`: the lines of a
 * cloudauth_request or cloudauth_sigv4_signed.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND after the last one; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_header_at(cloudauth_bytes headers,
                                     size_t index,
                                     cloudauth_pair *header,
                                     cloudauth_error *error);

/**
 * Writes the whole request in HTTP/1.1 (RFC 9112), with `Host` first and, unless it is a GET,
 * `Content-Length` last: for whoever has a TLS connection but no HTTP library. `out` must not be
 * the buffer that the request was built in.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_INVALID for a request
 * without method, host or target, or with a line end where none may be; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_http1_write(const cloudauth_request *request,
                                       uint8_t *out,
                                       size_t cap,
                                       size_t *len,
                                       cloudauth_error *error);

/**
 * Gives the kind, CLOUDAUTH_JSON_*, of the value at a JSON pointer (RFC 6901) such as
 * "/google/email" or "/aud/0"; the empty pointer is the whole.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_json_kind(const cloudauth_json *json,
                                     cloudauth_bytes pointer,
                                     uint32_t *kind,
                                     cloudauth_error *error);

/**
 * Gives the string at a JSON pointer, unescaped.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_MALFORMED if it is no string;
 * CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_json_string(const cloudauth_json *json,
                                       cloudauth_bytes pointer,
                                       cloudauth_bytes *string,
                                       cloudauth_error *error);

/**
 * Gives the integer at a JSON pointer.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_MALFORMED if it is none, or does
 * not fit; CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_json_integer(const cloudauth_json *json,
                                        cloudauth_bytes pointer,
                                        int64_t *integer,
                                        cloudauth_error *error);

/**
 * Gives the boolean at a JSON pointer as 0 or 1.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND; CLOUDAUTH_ERR_MALFORMED if it is none;
 * CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_json_bool(const cloudauth_json *json,
                                     cloudauth_bytes pointer,
                                     uint32_t *boolean,
                                     cloudauth_error *error);

/**
 * Writes the value at a JSON pointer as JSON text.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_NOT_FOUND;
 * CLOUDAUTH_ERR_STATE; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
 * CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_json_write(const cloudauth_json *json,
                                      cloudauth_bytes pointer,
                                      uint8_t *out,
                                      size_t cap,
                                      size_t *len,
                                      cloudauth_error *error);

/**
 * Reads a JWK set. The text is rewritten in place, and must then stay where and as it is while the
 * set is used. Keys for other purposes are passed over; a set with a damaged, weak, private or
 * repeated key is refused.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED (`element` of the error says which key);
 * CLOUDAUTH_ERR_UNSUPPORTED; CLOUDAUTH_ERR_CAPACITY for more than 64 keys; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_jwks_parse(cloudauth_jwks *jwks,
                                      uint8_t *text,
                                      size_t text_len,
                                      cloudauth_error *error);

/**
 * Verifies a token (a compact JWS with JWT claims) with keys that the caller has. What it says is
 * decoded to `out`, and `report` points there. Every check is made, so that the report says all
 * that is wrong at once; the result is that of the first failure.
 *
 * A token gets the key of exactly the name in its header; without a name, the only key of a list
 * of one.
 *
 * @return CLOUDAUTH_OK if every check holds; CLOUDAUTH_ERR_BUFFER_TOO_SMALL;
 * CLOUDAUTH_ERR_VERIFICATION; CLOUDAUTH_ERR_MALFORMED for what is no token, misses claims, or for
 * a damaged key; CLOUDAUTH_ERR_UNSUPPORTED; CLOUDAUTH_ERR_CAPACITY above 65536 octets or 64 keys;
 * CLOUDAUTH_ERR_INVALID for an issuer or audience that is neither given nor waived;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP,
 * CLOUDAUTH_ERR_UNKNOWN_NUMBER, CLOUDAUTH_ERR_UTF8.
 */
cloudauth_result cloudauth_jws_verify(cloudauth_bytes token,
                                      const cloudauth_jws_expect *expect,
                                      const cloudauth_jws_key *keys,
                                      size_t key_count,
                                      uint8_t *out,
                                      size_t cap,
                                      size_t *len,
                                      cloudauth_jws_report *report,
                                      cloudauth_error *error);

/**
 * Verifies a token with the keys of a JWK set; otherwise as cloudauth_jws_verify.
 *
 * @return As cloudauth_jws_verify; CLOUDAUTH_ERR_STATE if the set is not initialised.
 */
cloudauth_result cloudauth_jws_verify_jwks(cloudauth_bytes token,
                                           const cloudauth_jws_expect *expect,
                                           const cloudauth_jwks *jwks,
                                           uint8_t *out,
                                           size_t cap,
                                           size_t *len,
                                           cloudauth_jws_report *report,
                                           cloudauth_error *error);

/**
 * Tells what to sign. Changes nothing: it may be asked again, and by several threads at once.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_NOT_FOUND if this request needs no signature (finish it with
 * an empty one); CLOUDAUTH_ERR_STATE if nothing is prepared; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_prepared_to_sign(const cloudauth_prepared *prepared,
                                            cloudauth_to_sign *to_sign,
                                            cloudauth_error *error);

/**
 * The second step of a request: puts the signature (ECDSA: r||s; empty where nothing is signed) in
 * its place. On success `prepared` is used up, and wiped. On failure nothing is changed: a better
 * signature may follow.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID or CLOUDAUTH_ERR_MALFORMED for a signature that
 * cannot be one of the scheme; CLOUDAUTH_ERR_STATE if no request is prepared; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_prepared_finish(cloudauth_prepared *prepared,
                                           cloudauth_bytes signature,
                                           cloudauth_request *request,
                                           cloudauth_error *error);

/**
 * The second step of a token: appends the signature (ECDSA: r||s). `*token` is the whole token, in
 * the buffer that was prepared. On success `prepared` is used up, and wiped. On failure nothing is
 * changed.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a signature that cannot be one of the scheme;
 * CLOUDAUTH_ERR_STATE if no token is prepared; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_prepared_jws_finish(cloudauth_prepared *prepared,
                                               cloudauth_bytes signature,
                                               cloudauth_bytes *token,
                                               cloudauth_error *error);

/**
 * Wipes what is prepared; NULL is allowed. The buffer is left as it is.
 */
void cloudauth_prepared_wipe(cloudauth_prepared *prepared);

/**
 * The meaning of a result as a static text that ends with NUL; never NULL, also for unknown
 * numbers.
 */
const char *cloudauth_strerror(cloudauth_result result);

/**
 * The version of the library that is linked, as text that ends with NUL: "0.1.0".
 */
const char *cloudauth_version(void);

/**
 * The version of the library as a number: major * 10000 + minor * 100 + patch.
 */
uint32_t cloudauth_version_number(void);

/**
 * The version of the binary interface of the library that is linked. It must be
 * CLOUDAUTH_ABI_VERSION; see ABI.md.
 */
uint32_t cloudauth_abi_version(void);

/**
 * Makes a key from its secret scalar: 32 octets, big-endian (SEC 1, section 3.2.1).
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for a scalar that is 0 or not below the order of the
 * curve; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_p256_key_init(cloudauth_p256_key *key,
                                         const uint8_t *scalar,
                                         cloudauth_error *error);

/**
 * Makes `*signer` sign with `key`, which must stay where it is while the signer is used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not initialised; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_p256_signer(const cloudauth_p256_key *key,
                                       cloudauth_signer *signer,
                                       cloudauth_error *error);

/**
 * Wipes the key; NULL is allowed.
 */
void cloudauth_p256_key_wipe(cloudauth_p256_key *key);

/**
 * Makes a key of any length but 0.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for an empty key; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_hmac_key_init(cloudauth_hmac_key *key,
                                         cloudauth_bytes secret,
                                         cloudauth_error *error);

/**
 * Makes the key that an AWS secret access key is: "AWS4" and the secret. Give the secret as AWS
 * does, without "AWS4".
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID for what cannot be a secret access key;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE,
 * CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_hmac_key_init_aws(cloudauth_hmac_key *key,
                                             cloudauth_bytes secret,
                                             cloudauth_error *error);

/**
 * Makes `*mac` work with `key`, which must stay where it is while the mac is used.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_STATE if the key is not initialised; CLOUDAUTH_ERR_NULL,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_hmac_mac(const cloudauth_hmac_key *key,
                                    cloudauth_mac *mac,
                                    cloudauth_error *error);

/**
 * Wipes the key; NULL is allowed.
 */
void cloudauth_hmac_key_wipe(cloudauth_hmac_key *key);

/**
 * Reads one certificate in DER.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_x509_parse(cloudauth_bytes der,
                                      cloudauth_certificate *certificate,
                                      cloudauth_error *error);

/**
 * Refuses a certificate that is not valid at `time`, in seconds since 1970.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_INVALID before its first and after its last second;
 * CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_STRUCT_SIZE,
 * CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_x509_check_validity(cloudauth_bytes der,
                                               int64_t time,
                                               cloudauth_error *error);

/**
 * Writes the serial number of a certificate in decimal: at most 49 digits.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_MALFORMED;
 * CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_OVERLAP, CLOUDAUTH_ERR_STRUCT_SIZE.
 */
cloudauth_result cloudauth_x509_serial_decimal(cloudauth_bytes der,
                                               uint8_t *out,
                                               size_t cap,
                                               size_t *len,
                                               cloudauth_error *error);

/**
 * Writes the SHA-256 of a certificate (x5t#S256): 32 octets.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_x509_thumbprint_sha256(cloudauth_bytes der,
                                                  uint8_t *thumbprint,
                                                  cloudauth_error *error);

/**
 * Writes the SHA-1 of a certificate (x5t): 20 octets. A name, not a proof.
 *
 * @return CLOUDAUTH_OK; CLOUDAUTH_ERR_MALFORMED; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
 * CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
 */
cloudauth_result cloudauth_x509_thumbprint_sha1(cloudauth_bytes der,
                                                uint8_t *thumbprint,
                                                cloudauth_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Borrows `len` octets at `ptr`.
 */
static inline cloudauth_bytes cloudauth_bytes_at(const void *ptr, size_t len)
{
    cloudauth_bytes bytes;
    bytes.ptr = len == 0 ? NULL : (const uint8_t *)ptr;
    bytes.len = len;
    return bytes;
}

/**
 * Borrows a text that ends with NUL; NULL is the empty text.
 */
static inline cloudauth_bytes cloudauth_text(const char *text)
{
    return cloudauth_bytes_at(text, text == NULL ? 0 : strlen(text));
}

#ifdef __cplusplus
}
#endif

#endif /* CLOUDAUTH_H */
