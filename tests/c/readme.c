#include <cloudauth.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void) {
  const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
  const cloudauth_bytes region = cloudauth_text("us-east-1"), service = cloudauth_text("sts");
  cloudauth_attempt at = {.size = sizeof at, .time = time(NULL)};
  if (getentropy(at.random, sizeof at.random) != 0) return 1;

  cloudauth_hmac_key hmac;
  cloudauth_mac mac = {.size = sizeof mac}; /* or your own, over a key in a device */
  cloudauth_sigv4_key key;                  /* good for the day */
  cloudauth_error error = {.size = sizeof error};
  if (cloudauth_hmac_key_init_aws(&hmac, cloudauth_text(secret), &error) != CLOUDAUTH_OK ||
      cloudauth_hmac_mac(&hmac, &mac, &error) != CLOUDAUTH_OK ||
      cloudauth_sigv4_key_derive(&key, &mac, at.time, region, service, &error) != CLOUDAUTH_OK)
    goto failed;
  cloudauth_hmac_key_wipe(&hmac);

  const cloudauth_sigv4_params signer = {
      .size = sizeof signer, .access_key_id = cloudauth_text(id), .key = &key};
  const cloudauth_sts_get_caller_identity_params params = {.size = sizeof params, .signer = &signer};
  cloudauth_request request = {.size = sizeof request};
  uint8_t buffer[2048], http[2048];
  size_t len;
  if (cloudauth_sts_get_caller_identity_request(&params, &at, buffer, sizeof buffer, &len, &request,
                                                &error) != CLOUDAUTH_OK ||
      cloudauth_http1_write(&request, http, sizeof http, &len, &error) != CLOUDAUTH_OK)
    goto failed;
  cloudauth_sigv4_key_wipe(&key);
  fwrite(http, 1, len, stdout);
  return 0;

failed:
  fprintf(stderr, "%s (%.*s: %.*s)\n", cloudauth_strerror(error.result), (int)error.field.len,
          (const char *)error.field.ptr, (int)error.help.len, (const char *)error.help.ptr);
  return 1;
}
