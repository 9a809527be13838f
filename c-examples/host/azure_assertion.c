/* A client assertion for Azure (Entra ID): an application proves itself with a certificate.
 *
 *   azure_assertion KEY.pem CERTIFICATE.pem TENANT CLIENT_ID
 *
 * prints one line: a JWT, signed with PS256 by an RSA key and valid for ten minutes, for the field
 * client_assertion of a token request. cloudauth_azure_token_request makes that request whole.
 */
#include "example.h"
#include "openssl_key.h"

static int print_assertion(openssl_key *key, cloudauth_bytes certificate, const char *tenant,
                           const char *client_id) {
  const cloudauth_signer signer = openssl_signer(key);
  const cloudauth_azure_client_assertion_params params = {
      .size = sizeof params,
      .certificate = certificate,
      .tenant = cloudauth_text(tenant),
      .client_id = cloudauth_text(client_id),
      .authority = CLOUDAUTH_AZURE_PUBLIC,
  };
  cloudauth_error error = {.size = sizeof error};
  cloudauth_attempt at;
  if (!openssl_attempt(&at)) {
    fputs("no randomness\n", stderr);
    return 1;
  }
  uint8_t assertion[4096];
  size_t len;
  const cloudauth_result result = cloudauth_azure_client_assertion_sign(
      &params, &signer, &at, assertion, sizeof assertion, &len, &error);
  if (result != CLOUDAUTH_OK) return failed("assertion", result, &error);
  put(stdout, cloudauth_bytes_at(assertion, len));
  putchar('\n');
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fputs("usage: azure_assertion KEY.pem CERTIFICATE.pem TENANT CLIENT_ID\n", stderr);
    return 2;
  }
  openssl_key key;
  int code = 1;
  if (!openssl_key_open(&key, argv[1])) return code;
  const cloudauth_bytes certificate = openssl_certificate(argv[2]);
  if (certificate.len > 0) code = print_assertion(&key, certificate, argv[3], argv[4]);
  OPENSSL_free((void *)certificate.ptr);
  openssl_key_close(&key);
  return code;
}
