/* Eight threads share a signer and a key of the day for a second: every result must be the one that a single
 * thread gets. Compiled with RACY, the threads also write to the shared key: helgrind must report that. */
#include <cloudauth.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 8, AT_LEAST = 3 };

static const int64_t NOW = 1440938160; /* 2015-08-30T12:36:00Z */
static cloudauth_p256_key p256;
static cloudauth_hmac_key secret;
static cloudauth_mac mac;
static cloudauth_signer signer;
static cloudauth_sigv4_key day_key;
static uint8_t expected_token[1024], expected_headers[1024];
static size_t expected_token_len, expected_headers_len;

static void need(cloudauth_result result) {
  if (result == CLOUDAUTH_OK) return;
  fprintf(stderr, "threads: %s\n", cloudauth_strerror(result));
  exit(1);
}

static void derive(void) {
  need(cloudauth_sigv4_key_derive(&day_key, &mac, NOW, cloudauth_text("us-east-1"),
                                  cloudauth_text("service"), NULL));
}

/* A token with ES256: with fixed "random" octets the signature is always the same. */
static size_t token(uint8_t *out, size_t cap) {
  const cloudauth_bytes scope = cloudauth_text("https://www.googleapis.com/auth/cloud-platform");
  const cloudauth_gcp_self_signed_params params = {
      .size = sizeof params,
      .email = cloudauth_text("robot@project.iam.gserviceaccount.com"),
      .scopes = &scope,
      .scope_count = 1,
      .scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256};
  const cloudauth_attempt at = {.size = sizeof at, .time = NOW, .random = {7}};
  size_t len;
  need(cloudauth_gcp_self_signed_sign(&params, &signer, &at, out, cap, &len, NULL));
  return len;
}

static size_t headers(uint8_t *out, size_t cap) {
  const cloudauth_pair host = {cloudauth_text("Host"), cloudauth_text("example.amazonaws.com")};
  const cloudauth_sigv4_params params = {
      .size = sizeof params, .access_key_id = cloudauth_text("AKIDEXAMPLE"), .key = &day_key};
  const cloudauth_sigv4_request request = {.size = sizeof request,
                                           .method = cloudauth_text("GET"),
                                           .path = cloudauth_text("/"),
                                           .headers = &host,
                                           .header_count = 1};
  cloudauth_sigv4_signed made = {.size = sizeof made};
  size_t len;
  need(cloudauth_sigv4_sign(&params, &request, NOW, out, cap, &len, &made, NULL));
  return len;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *work(void *count) {
  const double end = seconds() + 1;
  size_t done = 0;
  for (; done < AT_LEAST || seconds() < end; done++) {
    uint8_t out[1024];
#ifdef RACY
    derive();
#endif
    if (token(out, sizeof out) != expected_token_len ||
        memcmp(out, expected_token, expected_token_len) != 0 ||
        headers(out, sizeof out) != expected_headers_len ||
        memcmp(out, expected_headers, expected_headers_len) != 0) {
      fputs("threads: another result than with one thread\n", stderr);
      exit(1);
    }
  }
  *(size_t *)count = done;
  return NULL;
}

int main(void) {
  static const uint8_t scalar[32] = {5, 5, 5};
  CLOUDAUTH_INIT(&mac);
  CLOUDAUTH_INIT(&signer);
  need(cloudauth_p256_key_init(&p256, scalar, NULL));
  need(cloudauth_p256_signer(&p256, &signer, NULL));
  need(cloudauth_hmac_key_init_aws(
      &secret, cloudauth_text("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), NULL));
  need(cloudauth_hmac_mac(&secret, &mac, NULL));
  derive();
  expected_token_len = token(expected_token, sizeof expected_token);
  expected_headers_len = headers(expected_headers, sizeof expected_headers);
  /* The known answer of AWS's test suite, get-vanilla. */
  static const char known[] = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
  if (memcmp(expected_headers + expected_headers_len - 64, known, 64) != 0) {
    fputs("threads: not the known answer\n", stderr);
    return 1;
  }

  pthread_t threads[THREADS];
  size_t counts[THREADS], all = 0;
  for (size_t i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, work, &counts[i]) != 0) return 1;
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    all += counts[i];
  }
  printf("%zu signatures by each key, in %d threads, as with one\n", all, THREADS);
  return 0;
}
