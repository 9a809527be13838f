/* A GET of an S3 object, signed with AWS Signature Version 4.
 *
 *   sigv4_s3 REGION BUCKET /KEY
 *
 * takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if there is one, AWS_SESSION_TOKEN from the
 * environment, and prints the headers to add, one a line:
 *
 *   sigv4_s3 us-east-1 my-bucket /hello.txt >headers
 *   curl -H @headers https://my-bucket.s3.us-east-1.amazonaws.com/hello.txt
 */
#include <stdlib.h>
#include <time.h>

#include "example.h"

/* Derives the key of the day. A program that signs often keeps it, as long as cloudauth_sigv4_key_covers
 * says. */
static cloudauth_result derive(cloudauth_sigv4_key *key, const char *secret, const char *region,
                               int64_t now, cloudauth_error *error) {
  cloudauth_hmac_key hmac;
  cloudauth_mac mac = {.size = sizeof mac};
  cloudauth_result result = cloudauth_hmac_key_init_aws(&hmac, cloudauth_text(secret), error);
  if (result == CLOUDAUTH_OK) result = cloudauth_hmac_mac(&hmac, &mac, error);
  if (result == CLOUDAUTH_OK)
    result = cloudauth_sigv4_key_derive(key, &mac, now, cloudauth_text(region),
                                        cloudauth_text("s3"), error);
  cloudauth_hmac_key_wipe(&hmac);
  return result;
}

int main(int argc, char **argv) {
  const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
  if (argc != 4 || id == NULL || secret == NULL) {
    fputs("usage: sigv4_s3 REGION BUCKET /KEY, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set\n",
          stderr);
    return 2;
  }
  const int64_t now = (int64_t)time(NULL);
  cloudauth_error error = {.size = sizeof error};
  cloudauth_sigv4_key key;
  cloudauth_result result = derive(&key, secret, argv[1], now, &error);
  if (result != CLOUDAUTH_OK) return failed("key", result, &error);

  char host[256];
  const int host_len = snprintf(host, sizeof host, "%s.s3.%s.amazonaws.com", argv[2], argv[1]);
  if (host_len < 0 || (size_t)host_len >= sizeof host) {
    fputs("BUCKET: too long\n", stderr);
    return 1;
  }
  const cloudauth_pair headers[] = {{cloudauth_text("Host"), cloudauth_text(host)}};
  const cloudauth_sigv4_request request = {.size = sizeof request,
                                           .method = cloudauth_text("GET"),
                                           .path = cloudauth_text(argv[3]),
                                           .headers = headers,
                                           .header_count = 1};
  const cloudauth_sigv4_params params = {.size = sizeof params,
                                         .access_key_id = cloudauth_text(id),
                                         .session_token = cloudauth_text(getenv("AWS_SESSION_TOKEN")),
                                         .key = &key,
                                         .flags = CLOUDAUTH_SIGV4_S3};
  uint8_t buffer[4096];
  size_t len;
  cloudauth_sigv4_signed made = {.size = sizeof made};
  result = cloudauth_sigv4_sign(&params, &request, now, buffer, sizeof buffer, &len, &made, &error);
  cloudauth_sigv4_key_wipe(&key);
  if (result != CLOUDAUTH_OK) return failed("request", result, &error);

  cloudauth_pair header;
  for (size_t i = 0; cloudauth_header_at(made.headers, i, &header, NULL) == CLOUDAUTH_OK; i++) {
    put(stdout, header.name);
    fputs(": ", stdout);
    put(stdout, header.value);
    putchar('\n');
  }
  return 0;
}
