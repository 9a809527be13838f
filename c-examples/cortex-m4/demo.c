/* Four results on a microcontroller: an S3 request, a Google token by a secure element, a token for Azure by a
 * key in memory, and a token that is checked. `run` runs it under QEMU. Compiled for a host it prints the same
 * octets. */
#include "flows/flow.h"
#include "rig.h"

/* A board asks its clock and its random source. Here both are fixed, and so is what is printed. */
enum { NOW = 1795348800 }; /* 2026-11-22T12:00:00Z */
static const cloudauth_attempt at = {.size = sizeof at, .time = NOW, .random = {7}};

static uint8_t buffer[2048];
static cloudauth_error error = {.size = sizeof error};

static void put(cloudauth_bytes bytes) { rig_bytes(bytes.ptr, bytes.len); }

static void say(const char *title, cloudauth_bytes result) {
  rig_text(title);
  rig_text("\n");
  put(result);
  rig_text("\n\n");
}

static int failed(const char *what) {
  rig_text(what);
  rig_text(": ");
  rig_text(cloudauth_strerror(error.result));
  rig_text("\n");
  return 1;
}

/* The secret access key signs a GET of an S3 object. */
static int s3_get(void) {
  static const cloudauth_pair headers[] = {{TEXT("Host"), TEXT("bucket.s3.eu-central-1.amazonaws.com")}};
  static const cloudauth_bytes region = TEXT("eu-central-1"), service = TEXT("s3");
  static const cloudauth_bytes secret = TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  static const cloudauth_sigv4_request request = {.size = sizeof request,
                                                  .method = TEXT("GET"),
                                                  .path = TEXT("/firmware/v2.bin"),
                                                  .headers = headers,
                                                  .header_count = 1};
  static cloudauth_sigv4_key key;
  cloudauth_hmac_key hmac;
  cloudauth_mac mac = {.size = sizeof mac};
  int ok = cloudauth_hmac_key_init_aws(&hmac, secret, &error) == CLOUDAUTH_OK &&
           cloudauth_hmac_mac(&hmac, &mac, &error) == CLOUDAUTH_OK &&
           cloudauth_sigv4_key_derive(&key, &mac, NOW, region, service, &error) == CLOUDAUTH_OK;
  cloudauth_hmac_key_wipe(&hmac);
  if (!ok) return failed("key");

  const cloudauth_sigv4_params params = {.size = sizeof params,
                                         .access_key_id = TEXT("AKIDEXAMPLE"),
                                         .key = &key,
                                         .flags = CLOUDAUTH_SIGV4_S3};
  cloudauth_sigv4_signed made = {.size = sizeof made};
  size_t len;
  ok = cloudauth_sigv4_sign(&params, &request, NOW, buffer, sizeof buffer, &len, &made, &error) ==
       CLOUDAUTH_OK;
  cloudauth_sigv4_key_wipe(&key);
  if (!ok) return failed("S3 request");
  say("S3 GET, headers to add:", made.headers);
  return 0;
}

/* Stands for a secure element: a digest goes in, r||s comes out, the key stays inside. */
static int secure_element_sign(const uint8_t *digest, uint8_t *signature) {
  static const uint8_t scalar[32] = {2, 2, 2};
  static const uint8_t own_entropy[32] = {9};
  cloudauth_p256_key key;
  cloudauth_signer inside = {.size = sizeof inside};
  const cloudauth_bytes none = {0}, digest_bytes = {digest, 32};
  size_t len;
  const int ok = cloudauth_p256_key_init(&key, scalar, NULL) == CLOUDAUTH_OK &&
                 cloudauth_p256_signer(&key, &inside, NULL) == CLOUDAUTH_OK &&
                 inside.sign(inside.ctx, CLOUDAUTH_SCHEME_ECDSA_P256_SHA256, none, digest_bytes,
                             own_entropy, signature, 64, &len) == CLOUDAUTH_OK;
  cloudauth_p256_key_wipe(&key);
  return ok;
}

/* A token for Google's APIs in two steps: nothing here waits for the element. */
static int gcp_token(void) {
  static const cloudauth_bytes scope = TEXT("https://www.googleapis.com/auth/devstorage.read_only");
  static const cloudauth_gcp_self_signed_params params = {
      .size = sizeof params,
      .email = TEXT("device@project.iam.gserviceaccount.com"),
      .scopes = &scope,
      .scope_count = 1,
      .scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256};
  static cloudauth_prepared prepared;
  cloudauth_to_sign to_sign = {.size = sizeof to_sign};
  cloudauth_bytes token;
  uint8_t signature[64];
  size_t len;
  if (cloudauth_gcp_self_signed_prepare(&params, &at, buffer, sizeof buffer, &len, &prepared,
                                        &error) != CLOUDAUTH_OK ||
      cloudauth_prepared_to_sign(&prepared, &to_sign, &error) != CLOUDAUTH_OK)
    return failed("Google token");
  const int signs = secure_element_sign(to_sign.digest, signature);
  cloudauth_wipe(&to_sign, sizeof to_sign);
  if (!signs) return failed("secure element");
  const cloudauth_bytes signed_by_element = {signature, sizeof signature};
  if (cloudauth_prepared_jws_finish(&prepared, signed_by_element, &token, &error) != CLOUDAUTH_OK)
    return failed("Google token");
  say("Google token, signed by the secure element:", token);
  return 0;
}

/* A token that a key of ours signs as its own issuer, in the form of Azure's workload identity federation.
 * (Entra ID itself takes RS256 only.) */
static int azure_token(cloudauth_signer *signer, cloudauth_bytes *token) {
  static const cloudauth_gcp_subject_token_params params = {
      .size = sizeof params,
      .provider = TEXT("//iam.googleapis.com/projects/123456789/locations/global/"
                       "workloadIdentityPools/devices/providers/azure"),
      .issuer = TEXT("https://devices.example"),
      .subject = TEXT("device-42"),
      .audience = TEXT("api://AzureADTokenExchange"),
      .key_id = TEXT("device-42"),
      .scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256};
  size_t len;
  if (cloudauth_gcp_subject_token_sign(&params, signer, &at, buffer, sizeof buffer, &len, &error) !=
      CLOUDAUTH_OK)
    return failed("Azure token");
  *token = cloudauth_bytes_at(buffer, len);
  say("Azure-style assertion, ES256 in software:", *token);
  return 0;
}

/* The token is what it should be, and is not once an octet has changed. */
static int check(cloudauth_bytes token, cloudauth_bytes spki) {
  static const cloudauth_scheme scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256;
  static const cloudauth_jws_expect expect = {.size = sizeof expect,
                                              .schemes = &scheme,
                                              .scheme_count = 1,
                                              .issuer = TEXT("https://devices.example"),
                                              .audience = TEXT("api://AzureADTokenExchange"),
                                              .time = NOW + 30,
                                              .skew = 60};
  static uint8_t decoded[1024];
  static cloudauth_jws_report report = {.size = sizeof report};
  const cloudauth_jws_key key = {.kid = TEXT("device-42"), .spki = spki};
  static const cloudauth_bytes pointer = TEXT("/sub");
  cloudauth_bytes subject;
  size_t len;
  if (cloudauth_jws_verify(token, &expect, &key, 1, decoded, sizeof decoded, &len, &report,
                           &error) != CLOUDAUTH_OK ||
      cloudauth_json_string(&report.claims, pointer, &subject, &error) != CLOUDAUTH_OK)
    return failed("check");
  say("Token checked, its subject:", subject);

  uint8_t *const last = buffer + token.len - 2; /* of the signature */
  *last = *last == 'A' ? 'B' : 'A';
  if (cloudauth_jws_verify(token, &expect, &key, 1, decoded, sizeof decoded, &len, &report,
                           &error) != CLOUDAUTH_ERR_VERIFICATION ||
      report.checks[CLOUDAUTH_JWS_CHECK_SIGNATURE].outcome != CLOUDAUTH_JWS_FAILED)
    return failed("a changed token is not refused");
  return 0;
}

int main(void) {
  static const uint8_t scalar[32] = {5, 5, 5};
  static cloudauth_p256_key key;
  static cloudauth_signer signer = {.size = sizeof signer};
  cloudauth_bytes token;
  if (cloudauth_p256_key_init(&key, scalar, &error) != CLOUDAUTH_OK ||
      cloudauth_p256_signer(&key, &signer, &error) != CLOUDAUTH_OK)
    return failed("key");
  return s3_get() || gcp_token() || azure_token(&signer, &token) ||
         check(token, signer.public_key(signer.ctx));
}
