/* A private key in OpenSSL as a cloudauth_signer. For an HSM, a secure element or a key service, put its
 * calls in place of OpenSSL's. */
#ifndef OPENSSL_KEY_H
#define OPENSSL_KEY_H

#include <cloudauth.h>
#include <openssl/evp.h>

/* Close it with openssl_key_close. Zeroed, it is closed already. */
typedef struct {
  EVP_PKEY *pkey;
  unsigned char *spki;
  size_t spki_len;
} openssl_key;

/* Opens a private key, RSA or EC, in a PEM file. On failure it says why, and gives 0. */
int openssl_key_open(openssl_key *key, const char *path);
void openssl_key_close(openssl_key *key);

/* Makes a signer of `key`, which must stay where it is. */
cloudauth_signer openssl_signer(openssl_key *key);

/* Signs as a cloudauth_signer does: ECDSA gives r||s. */
cloudauth_result openssl_key_sign(openssl_key *key, cloudauth_scheme scheme, cloudauth_bytes message,
                                  uint8_t *out, size_t cap, size_t *len);

/* Reads the first certificate of a PEM file: its DER, to be freed with OPENSSL_free. On failure it says
 * why, and gives an empty value. */
cloudauth_bytes openssl_certificate(const char *path);

/* The present time and fresh random octets: once for every request or token. On failure it gives 0. */
int openssl_attempt(cloudauth_attempt *at);

#endif
