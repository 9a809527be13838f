#include "openssl_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

static cloudauth_bytes public_key(void *ctx) {
  const openssl_key *key = ctx;
  return cloudauth_bytes_at(key->spki, key->spki_len);
}

static uint32_t supports(void *ctx, cloudauth_scheme scheme) {
  const openssl_key *key = ctx;
  char curve[32] = "";
  if (EVP_PKEY_is_a(key->pkey, "EC")) EVP_PKEY_get_group_name(key->pkey, curve, sizeof curve, NULL);
  switch (scheme) {
    case CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256:
    case CLOUDAUTH_SCHEME_RSA_PSS_SHA256:
      return EVP_PKEY_is_a(key->pkey, "RSA") == 1;
    case CLOUDAUTH_SCHEME_ECDSA_P256_SHA256:
      return strcmp(curve, "prime256v1") == 0;
    case CLOUDAUTH_SCHEME_ECDSA_P384_SHA256:
    case CLOUDAUTH_SCHEME_ECDSA_P384_SHA384:
      return strcmp(curve, "secp384r1") == 0;
    default:
      return 0;
  }
}

/* The octets of r, and of s; 0 for RSA. */
static size_t ecdsa_size(cloudauth_scheme scheme) {
  switch (scheme) {
    case CLOUDAUTH_SCHEME_ECDSA_P256_SHA256:
      return 32;
    case CLOUDAUTH_SCHEME_ECDSA_P384_SHA256:
    case CLOUDAUTH_SCHEME_ECDSA_P384_SHA384:
      return 48;
    default:
      return 0;
  }
}

static size_t max_signature_len(void *ctx, cloudauth_scheme scheme) {
  const openssl_key *key = ctx;
  if (!supports(ctx, scheme)) return 0;
  return ecdsa_size(scheme) > 0 ? 2 * ecdsa_size(scheme) : (size_t)EVP_PKEY_get_size(key->pkey);
}

static cloudauth_result sign(void *ctx, cloudauth_scheme scheme, cloudauth_bytes message,
                             cloudauth_bytes digest, const uint8_t *entropy, uint8_t *out,
                             size_t cap, size_t *len) {
  (void)digest; /* for devices that take no more than that */
  (void)entropy; /* OpenSSL has its own */
  return openssl_key_sign(ctx, scheme, message, out, cap, len);
}

cloudauth_result openssl_key_sign(openssl_key *key, cloudauth_scheme scheme, cloudauth_bytes message,
                                  uint8_t *out, size_t cap, size_t *len) {
  if (!supports(key, scheme)) return CLOUDAUTH_ERR_UNSUPPORTED;
  const EVP_MD *hash = scheme == CLOUDAUTH_SCHEME_ECDSA_P384_SHA384 ? EVP_sha384() : EVP_sha256();
  unsigned char made[CLOUDAUTH_MAX_SIGNATURE_LEN];
  size_t size = sizeof made;
  EVP_PKEY_CTX *options;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int ok = context != NULL && EVP_DigestSignInit(context, &options, hash, NULL, key->pkey) == 1;
  if (ok && scheme == CLOUDAUTH_SCHEME_RSA_PSS_SHA256)
    ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
  ok = ok && EVP_DigestSign(context, made, &size, message.ptr, message.len) == 1;
  EVP_MD_CTX_free(context);
  if (!ok) {
    ERR_print_errors_fp(stderr);
    return CLOUDAUTH_ERR_SIGNER;
  }
  if (ecdsa_size(scheme) > 0)
    return cloudauth_ecdsa_raw_from_der(cloudauth_bytes_at(made, size), ecdsa_size(scheme), out,
                                        cap, len, NULL);
  if (size > cap) return CLOUDAUTH_ERR_BUFFER_TOO_SMALL;
  memcpy(out, made, size);
  *len = size;
  return CLOUDAUTH_OK;
}

cloudauth_signer openssl_signer(openssl_key *key) {
  cloudauth_signer signer = {.size = sizeof signer,
                             .ctx = key,
                             .ctx_size = sizeof *key,
                             .public_key = public_key,
                             .supports = supports,
                             .max_signature_len = max_signature_len,
                             .sign = sign};
  return signer;
}

/* OpenSSL's reason, or else `otherwise`. */
static void complain(const char *path, const char *otherwise) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  fprintf(stderr, "%s: %s\n", path, reason != NULL ? reason : otherwise);
}

int openssl_key_open(openssl_key *key, const char *path) {
  memset(key, 0, sizeof *key);
  BIO *file = BIO_new_file(path, "r");
  if (file != NULL) key->pkey = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
  BIO_free(file);
  int len = key->pkey != NULL ? i2d_PUBKEY(key->pkey, &key->spki) : 0;
  if (len > 0) {
    key->spki_len = (size_t)len;
    return 1;
  }
  complain(path, "cannot read a private key in PEM");
  openssl_key_close(key);
  return 0;
}

void openssl_key_close(openssl_key *key) {
  EVP_PKEY_free(key->pkey);
  OPENSSL_free(key->spki);
  memset(key, 0, sizeof *key);
}

cloudauth_bytes openssl_certificate(const char *path) {
  unsigned char *der = NULL;
  X509 *certificate = NULL;
  BIO *file = BIO_new_file(path, "r");
  if (file != NULL) certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
  BIO_free(file);
  int len = certificate != NULL ? i2d_X509(certificate, &der) : 0;
  X509_free(certificate);
  if (len <= 0) complain(path, "cannot read a certificate in PEM");
  return cloudauth_bytes_at(der, len > 0 ? (size_t)len : 0);
}

int openssl_attempt(cloudauth_attempt *at) {
  CLOUDAUTH_INIT(at);
  at->time = (int64_t)time(NULL);
  return RAND_bytes(at->random, sizeof at->random) == 1;
}
