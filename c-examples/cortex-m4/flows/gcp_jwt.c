/* A service account's self-signed token, for a key elsewhere: what is to be signed, then the token. */
#include "flow.h"

int flow_setup(void) { return 0; }

int flow_run(void) {
  static const cloudauth_gcp_self_signed_params params = {
      .size = sizeof params,
      .email = TEXT("robot@project.iam.gserviceaccount.com"),
      .key_id = TEXT("0123456789abcdef0123456789abcdef01234567"),
      .audience = TEXT("https://pubsub.googleapis.com/"),
      .scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256};
  static const cloudauth_attempt at = {.size = sizeof at, .time = 1795348800, .random = {7}};
  /* In place of the secure element's. */
  static const uint8_t signature[64] = {1, [32] = 1};
  static uint8_t out[640];
  static cloudauth_prepared prepared;
  static cloudauth_to_sign to_sign = {.size = sizeof to_sign};
  const cloudauth_bytes signed_by_key = {signature, sizeof signature};
  cloudauth_bytes token;
  size_t len;
  return cloudauth_gcp_self_signed_prepare(&params, &at, out, sizeof out, &len, &prepared, NULL) !=
             CLOUDAUTH_OK ||
         cloudauth_prepared_to_sign(&prepared, &to_sign, NULL) != CLOUDAUTH_OK ||
         cloudauth_prepared_jws_finish(&prepared, signed_by_key, &token, NULL) != CLOUDAUTH_OK ||
         token.len < 400;
}
