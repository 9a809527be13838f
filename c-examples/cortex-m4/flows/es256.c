/* ES256 with the key in memory: a service account's self-signed token. */
#include "flow.h"

static cloudauth_p256_key key;

int flow_setup(void) {
  static const uint8_t scalar[32] = {5, 5, 5};
  return cloudauth_p256_key_init(&key, scalar, NULL);
}

int flow_run(void) {
  static const cloudauth_gcp_self_signed_params params = {
      .size = sizeof params,
      .email = TEXT("robot@project.iam.gserviceaccount.com"),
      .audience = TEXT("https://pubsub.googleapis.com/"),
      .scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256};
  static const cloudauth_attempt at = {.size = sizeof at, .time = 1795348800, .random = {7}};
  static uint8_t out[640];
  cloudauth_signer signer = {.size = sizeof signer};
  size_t len;
  return cloudauth_p256_signer(&key, &signer, NULL) != CLOUDAUTH_OK ||
         cloudauth_gcp_self_signed_sign(&params, &signer, &at, out, sizeof out, &len, NULL) !=
             CLOUDAUTH_OK;
}
