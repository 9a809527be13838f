/* Verification of a token with the keys that its issuer publishes.
 *
 *   verify_token JWKS.json ISSUER AUDIENCE <TOKEN
 *
 * prints the claims of a token that holds, as JSON. Otherwise it says which checks fail, and the exit code
 * is 1. RS256 and ES256 are accepted, and a clock that is a minute off.
 */
#include <time.h>

#include "example.h"

static const char *const CHECKS[CLOUDAUTH_JWS_CHECK_COUNT] = {
    "algorithm", "critical extensions", "type",    "key",    "signature", "expiry",
    "not before", "issued at",          "max age", "issuer", "audience",
};

/* Reads at most `cap` octets; 0 stands for failure. */
static size_t read_all(FILE *from, uint8_t *to, size_t cap) {
  const size_t len = from == NULL ? 0 : fread(to, 1, cap, from);
  return from == NULL || ferror(from) || !feof(from) ? 0 : len;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: verify_token JWKS.json ISSUER AUDIENCE <TOKEN\n", stderr);
    return 2;
  }
  static uint8_t keys[65536], token[16384], decoded[16384];
  FILE *file = fopen(argv[1], "rb");
  const size_t keys_len = read_all(file, keys, sizeof keys);
  if (file != NULL) fclose(file);
  if (keys_len == 0) {
    fprintf(stderr, "%s: cannot be read\n", argv[1]);
    return 1;
  }
  size_t token_len = read_all(stdin, token, sizeof token);
  while (token_len > 0 && token[token_len - 1] == '\n') token_len--;

  cloudauth_error error = {.size = sizeof error};
  cloudauth_jwks jwks; /* it points into `keys` */
  cloudauth_result result = cloudauth_jwks_parse(&jwks, keys, keys_len, &error);
  if (result != CLOUDAUTH_OK) return failed(argv[1], result, &error);

  /* Everything is pinned here: nothing of it is taken from the token. */
  const cloudauth_scheme schemes[] = {CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256,
                                      CLOUDAUTH_SCHEME_ECDSA_P256_SHA256};
  const cloudauth_jws_expect expect = {.size = sizeof expect,
                                       .schemes = schemes,
                                       .scheme_count = 2,
                                       .issuer = cloudauth_text(argv[2]),
                                       .audience = cloudauth_text(argv[3]),
                                       .time = (int64_t)time(NULL),
                                       .skew = 60};
  cloudauth_jws_report report = {.size = sizeof report};
  size_t len;
  result = cloudauth_jws_verify_jwks(cloudauth_bytes_at(token, token_len), &expect, &jwks, decoded,
                                     sizeof decoded, &len, &report, &error);
  if (result != CLOUDAUTH_OK) {
    for (size_t i = 0; i < CLOUDAUTH_JWS_CHECK_COUNT; i++)
      if (report.checks[i].outcome == CLOUDAUTH_JWS_FAILED)
        fprintf(stderr, "does not hold: %s\n", CHECKS[i]);
    return failed("token", result, &error);
  }

  /* Single claims: cloudauth_json_string(&report.claims, cloudauth_text("/sub"), ...). */
  static uint8_t claims[32768];
  result = cloudauth_json_write(&report.claims, cloudauth_text(""), claims, sizeof claims, &len,
                                &error);
  if (result != CLOUDAUTH_OK) return failed("claims", result, &error);
  put(stdout, cloudauth_bytes_at(claims, len));
  putchar('\n');
  return 0;
}
