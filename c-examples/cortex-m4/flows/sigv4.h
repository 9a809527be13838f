/* The request get-vanilla of the AWS SigV4 test suite. */
#ifndef SIGV4_H
#define SIGV4_H

#include "flow.h"

enum { NOW = 1440938160 }; /* 2015-08-30T12:36:00Z */

static cloudauth_sigv4_key day_key;

static int derive(void) {
  static cloudauth_hmac_key secret;
  cloudauth_mac mac = {.size = sizeof mac};
  const cloudauth_bytes key = TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  const cloudauth_bytes region = TEXT("us-east-1"), service = TEXT("service");
  return cloudauth_hmac_key_init_aws(&secret, key, NULL) != CLOUDAUTH_OK ||
         cloudauth_hmac_mac(&secret, &mac, NULL) != CLOUDAUTH_OK ||
         cloudauth_sigv4_key_derive(&day_key, &mac, NOW, region, service, NULL) != CLOUDAUTH_OK;
}

static int sign(void) {
  static const cloudauth_pair headers[] = {
      {TEXT("Host"), TEXT("example.amazonaws.com")},
      {TEXT("X-Amz-Date"), TEXT("20150830T123600Z")},
  };
  static const cloudauth_sigv4_params params = {
      .size = sizeof params, .access_key_id = TEXT("AKIDEXAMPLE"), .key = &day_key};
  static const cloudauth_sigv4_request request = {
      .size = sizeof request,
      .method = TEXT("GET"),
      .path = TEXT("/"),
      .headers = headers,
      .header_count = sizeof headers / sizeof *headers};
  static const char right[] = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
  static uint8_t out[512];
  static cloudauth_sigv4_signed made = {.size = sizeof made};
  size_t len;
  if (cloudauth_sigv4_sign(&params, &request, NOW, out, sizeof out, &len, &made, NULL) !=
          CLOUDAUTH_OK ||
      made.signature.len != sizeof right - 1)
    return 1;
  for (size_t i = 0; i < made.signature.len; i++)
    if (made.signature.ptr[i] != (uint8_t)right[i]) return 1;
  return 0;
}

#endif
