/* CreateSession of IAM Roles Anywhere, for a P-256 key elsewhere: what is to be signed. */
#include "flow.h"

FILE_OF(certificate, "p256.der");

int flow_setup(void) { return 0; }

int flow_run(void) {
  static const cloudauth_attempt at = {.size = sizeof at, .time = 1795348800, .random = {7}};
  static uint8_t out[4096];
  static cloudauth_prepared prepared;
  static cloudauth_to_sign to_sign = {.size = sizeof to_sign};
  const cloudauth_rolesanywhere_create_session_params params = {
      .size = sizeof params,
      .certificate = {certificate, (size_t)(certificate_end - certificate)},
      .trust_anchor_arn = TEXT("arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/"
                               "a1b2c3d4-5678-90ab-cdef-111111111111"),
      .profile_arn = TEXT("arn:aws:rolesanywhere:us-east-1:111122223333:profile/"
                          "a1b2c3d4-5678-90ab-cdef-222222222222"),
      .role_arn = TEXT("arn:aws:iam::111122223333:role/device")};
  size_t len;
  return cloudauth_rolesanywhere_create_session_prepare(&params, &at, out, sizeof out, &len,
                                                        &prepared, NULL) != CLOUDAUTH_OK ||
         cloudauth_prepared_to_sign(&prepared, &to_sign, NULL) != CLOUDAUTH_OK;
}
