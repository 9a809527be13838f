/* A token that a Google service account signs for itself, with a key behind a callback signer.
 *
 *   gcp_jwt KEY.pem EMAIL [SCOPE]
 *
 * prints one line: a JWT, signed with RS256 (RSA keys) or ES256 (P-256 keys), valid for an hour. Google's
 * APIs take it as it is:
 *
 *   curl -H "Authorization: Bearer $(gcp_jwt key.pem robot@project.iam.gserviceaccount.com)" URL
 */
#include <stdlib.h>

#include "example.h"
#include "openssl_key.h"

static int print_token(openssl_key *key, const char *email, const char *scope) {
  const cloudauth_signer signer = openssl_signer(key);
  const uint32_t is_rsa = signer.supports(signer.ctx, CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256);
  const cloudauth_bytes scopes[] = {cloudauth_text(scope)};
  const cloudauth_gcp_self_signed_params params = {
      .size = sizeof params,
      .email = cloudauth_text(email),
      .scopes = scopes,
      .scope_count = 1,
      .scheme = is_rsa ? CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256 : CLOUDAUTH_SCHEME_ECDSA_P256_SHA256,
  };
  cloudauth_error error = {.size = sizeof error};
  cloudauth_attempt at;
  if (!openssl_attempt(&at)) {
    fputs("no randomness\n", stderr);
    return 1;
  }

  /* The size is asked first; nothing is signed for that. */
  const size_t signature_len = signer.max_signature_len(signer.ctx, params.scheme);
  size_t len;
  cloudauth_result result =
      cloudauth_gcp_self_signed_needed(&params, &at, signature_len, &len, &error);
  if (result != CLOUDAUTH_OK) return failed("token", result, &error);
  uint8_t *token = malloc(len);
  if (token == NULL) {
    fputs("no memory\n", stderr);
    return 1;
  }
  result = cloudauth_gcp_self_signed_sign(&params, &signer, &at, token, len, &len, &error);
  int code = 0;
  if (result == CLOUDAUTH_OK) {
    put(stdout, cloudauth_bytes_at(token, len));
    putchar('\n');
  } else {
    code = failed("token", result, &error);
  }
  free(token);
  return code;
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) {
    fputs("usage: gcp_jwt KEY.pem EMAIL [SCOPE]\n", stderr);
    return 2;
  }
  openssl_key key;
  if (!openssl_key_open(&key, argv[1])) return 1;
  const char *scope = argc == 4 ? argv[3] : "https://www.googleapis.com/auth/cloud-platform";
  const int code = print_token(&key, argv[2], scope);
  openssl_key_close(&key);
  return code;
}
