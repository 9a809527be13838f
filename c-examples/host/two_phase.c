/* Signing in two steps, for a key that is asked elsewhere: on another core, behind a queue, by a person.
 * Here it is a request for a Google access token.
 *
 *   two_phase KEY.pem EMAIL
 *
 * prints the request as it goes over a TLS connection to the host on its second line: a POST with an
 * assertion that is signed with RS256. cloudauth_gcp_access_token_response reads the answer.
 */
#include "example.h"
#include "openssl_key.h"

/* The key's side, which knows nothing of tokens: a scheme and a message come in, a signature goes out. */
static size_t key_service(const char *path, const cloudauth_to_sign *to_sign, uint8_t *signature,
                          size_t cap) {
  openssl_key key;
  size_t len = 0;
  if (!openssl_key_open(&key, path)) return 0;
  const cloudauth_result result =
      openssl_key_sign(&key, to_sign->scheme, to_sign->message, signature, cap, &len);
  openssl_key_close(&key);
  return result == CLOUDAUTH_OK ? len : 0;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fputs("usage: two_phase KEY.pem EMAIL\n", stderr);
    return 2;
  }
  const cloudauth_bytes scope = cloudauth_text("https://www.googleapis.com/auth/devstorage.read_only");
  const cloudauth_gcp_access_token_params params = {.size = sizeof params,
                                                    .email = cloudauth_text(argv[2]),
                                                    .scopes = &scope,
                                                    .scope_count = 1};
  cloudauth_error error = {.size = sizeof error};
  cloudauth_attempt at;
  if (!openssl_attempt(&at)) {
    fputs("no randomness\n", stderr);
    return 1;
  }

  /* First step: all but the signature. `buffer` belongs to `prepared` from here to the second step. */
  uint8_t buffer[4096];
  size_t len;
  cloudauth_prepared prepared;
  cloudauth_result result = cloudauth_gcp_access_token_prepare(&params, &at, buffer, sizeof buffer,
                                                               &len, &prepared, &error);
  if (result != CLOUDAUTH_OK) return failed("request", result, &error);

  cloudauth_to_sign to_sign = {.size = sizeof to_sign};
  result = cloudauth_prepared_to_sign(&prepared, &to_sign, &error);
  if (result != CLOUDAUTH_OK) return failed("what to sign", result, &error);

  uint8_t signature[CLOUDAUTH_MAX_SIGNATURE_LEN];
  const size_t signature_len = key_service(argv[1], &to_sign, signature, sizeof signature);
  cloudauth_wipe(&to_sign, sizeof to_sign);
  if (signature_len == 0) {
    fputs("the key did not sign\n", stderr);
    cloudauth_prepared_wipe(&prepared);
    return 1;
  }

  /* Second step: `request` points into `buffer`. */
  cloudauth_request request = {.size = sizeof request};
  result = cloudauth_prepared_finish(&prepared, cloudauth_bytes_at(signature, signature_len),
                                     &request, &error);
  if (result != CLOUDAUTH_OK) {
    cloudauth_prepared_wipe(&prepared);
    return failed("signature", result, &error);
  }

  uint8_t wire[8192];
  result = cloudauth_http1_write(&request, wire, sizeof wire, &len, &error);
  if (result != CLOUDAUTH_OK) return failed("HTTP", result, &error);
  put(stdout, cloudauth_bytes_at(wire, len));
  return 0;
}
