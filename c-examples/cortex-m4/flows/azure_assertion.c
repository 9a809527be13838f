/* An Entra ID client assertion, for an RSA key elsewhere: what is to be signed. */
#include "flow.h"

FILE_OF(certificate, "rsa.der");

int flow_setup(void) { return 0; }

int flow_run(void) {
  static const cloudauth_attempt at = {.size = sizeof at, .time = 1795348800, .random = {7}};
  static uint8_t out[2560];
  static cloudauth_prepared prepared;
  static cloudauth_to_sign to_sign = {.size = sizeof to_sign};
  const cloudauth_azure_client_assertion_params params = {
      .size = sizeof params,
      .certificate = {certificate, (size_t)(certificate_end - certificate)},
      .tenant = TEXT("contoso.onmicrosoft.com"),
      .client_id = TEXT("11112222-bbbb-3333-cccc-4444dddd5555")};
  size_t len;
  return cloudauth_azure_client_assertion_prepare(&params, &at, out, sizeof out, &len, &prepared,
                                                  NULL) != CLOUDAUTH_OK ||
         cloudauth_prepared_to_sign(&prepared, &to_sign, NULL) != CLOUDAUTH_OK;
}
