/* AWS credentials for a certificate: CreateSession of IAM Roles Anywhere.
 *
 *   roles_anywhere KEY.pem CERTIFICATE.pem TRUST_ANCHOR_ARN PROFILE_ARN ROLE_ARN
 *
 * prints the request as it goes over a TLS connection to the host on its second line: a POST with the
 * certificate in X-Amz-X509 and the key's signature in Authorization. The key is RSA, P-256 or P-384.
 * cloudauth_rolesanywhere_create_session_response reads the answer: credentials for an hour.
 */
#include "example.h"
#include "openssl_key.h"

static int print_request(openssl_key *key, cloudauth_bytes certificate, char **arns) {
  const cloudauth_signer signer = openssl_signer(key);
  const cloudauth_rolesanywhere_create_session_params params = {
      .size = sizeof params,
      .certificate = certificate,
      .trust_anchor_arn = cloudauth_text(arns[0]),
      .profile_arn = cloudauth_text(arns[1]),
      .role_arn = cloudauth_text(arns[2]),
      .duration_seconds = 3600,
  };
  cloudauth_error error = {.size = sizeof error};
  cloudauth_attempt at;
  if (!openssl_attempt(&at)) {
    fputs("no randomness\n", stderr);
    return 1;
  }
  /* The service would refuse it too, but tell less. */
  cloudauth_result result = cloudauth_x509_check_validity(certificate, at.time, &error);
  if (result != CLOUDAUTH_OK) return failed("certificate", result, &error);

  uint8_t buffer[8192];
  size_t len;
  cloudauth_request request = {.size = sizeof request};
  result = cloudauth_rolesanywhere_create_session_request(&params, &signer, &at, buffer,
                                                          sizeof buffer, &len, &request, &error);
  if (result != CLOUDAUTH_OK) return failed("request", result, &error);

  uint8_t wire[8192];
  result = cloudauth_http1_write(&request, wire, sizeof wire, &len, &error);
  if (result != CLOUDAUTH_OK) return failed("HTTP", result, &error);
  put(stdout, cloudauth_bytes_at(wire, len));
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fputs("usage: roles_anywhere KEY.pem CERTIFICATE.pem TRUST_ANCHOR_ARN PROFILE_ARN ROLE_ARN\n",
          stderr);
    return 2;
  }
  openssl_key key;
  int code = 1;
  if (!openssl_key_open(&key, argv[1])) return code;
  const cloudauth_bytes certificate = openssl_certificate(argv[2]);
  if (certificate.len > 0) code = print_request(&key, certificate, argv + 3);
  OPENSSL_free((void *)certificate.ptr);
  openssl_key_close(&key);
  return code;
}
