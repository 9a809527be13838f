/* Ties an attestation to one TLS connection. Both ends run in this process, and the server attests.
 *
 *   ekm_binder KEY.pem CERTIFICATE.pem AUDIENCE REQUEST
 *
 * connects with the server's key and certificate, which the client trusts, and prints the challenge in
 * hexadecimal and the nonce. The server asks its attestation service for a token with that nonce; the
 * client computes it by itself. A second connection has another one.
 */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "example.h"

/* TLS 1.3 between two ends, over buffers in memory. Gives 0 on failure. */
static int connect_both(SSL *client, SSL *server) {
  BIO *client_end, *server_end;
  if (BIO_new_bio_pair(&client_end, 0, &server_end, 0) != 1) return 0;
  SSL_set_bio(client, client_end, client_end);
  SSL_set_bio(server, server_end, server_end);
  SSL_set_connect_state(client);
  SSL_set_accept_state(server);
  for (int turn = 0; turn < 8; turn++) {
    const int there = SSL_do_handshake(client), here = SSL_do_handshake(server);
    if (there == 1 && here == 1) return 1;
  }
  return 0;
}

/* One end's view of the connection; `nonce` has room for 43 characters. Gives main's exit code. */
static int compute(SSL *end, X509 *server_certificate, const uint8_t *challenge, char **texts,
                   uint8_t *nonce) {
  cloudauth_error error = {.size = sizeof error};
  cloudauth_bytes label;
  uint8_t exported[CLOUDAUTH_EKM_EXPORTED_LEN];
  unsigned char *spki = NULL;
  const int spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(server_certificate), &spki);
  if (cloudauth_ekm_label(CLOUDAUTH_EKM_SERVER, &label, NULL) != CLOUDAUTH_OK || spki_len <= 0 ||
      SSL_export_keying_material(end, exported, sizeof exported, (const char *)label.ptr, label.len,
                                 challenge, CLOUDAUTH_EKM_EXPORTED_LEN, 1) != 1) {
    OPENSSL_free(spki);
    fputs("the connection exports nothing\n", stderr);
    return 1;
  }
  const cloudauth_ekm_binder binder = {.size = sizeof binder,
                                       .prover = CLOUDAUTH_EKM_SERVER,
                                       .exported = exported,
                                       .challenge = challenge,
                                       .server_spki = cloudauth_bytes_at(spki, (size_t)spki_len),
                                       .audience = cloudauth_text(texts[0]),
                                       .request = cloudauth_text(texts[1])};
  size_t len;
  const cloudauth_result result = cloudauth_ekm_nonce(&binder, nonce, 43, &len, &error);
  cloudauth_wipe(exported, sizeof exported);
  OPENSSL_free(spki);
  return result == CLOUDAUTH_OK ? 0 : failed("nonce", result, &error);
}

static int run(SSL_CTX *context, char **texts) {
  uint8_t challenge[CLOUDAUTH_EKM_EXPORTED_LEN], attested[43], expected[43];
  SSL *client = SSL_new(context), *server = SSL_new(context);
  int code = 1;
  if (client != NULL && server != NULL && connect_both(client, server) &&
      RAND_bytes(challenge, sizeof challenge) == 1) {
    code = compute(server, SSL_get_certificate(server), challenge, texts, attested);
    if (code == 0)
      code = compute(client, SSL_get0_peer_certificate(client), challenge, texts, expected);
  }
  SSL_free(client);
  SSL_free(server);
  /* Whoever gets a token with the nonce compares by cloudauth_ekm_verify. */
  if (code == 0 && CRYPTO_memcmp(attested, expected, sizeof expected) != 0) {
    fputs("the ends disagree\n", stderr);
    code = 1;
  }
  for (size_t i = 0; code == 0 && i < sizeof challenge; i++) printf("%02x", challenge[i]);
  if (code == 0) printf("\n%.43s\n", (const char *)expected);
  return code;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fputs("usage: ekm_binder KEY.pem CERTIFICATE.pem AUDIENCE REQUEST\n", stderr);
    return 2;
  }
  int code = 1;
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  if (context != NULL && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
      SSL_CTX_use_certificate_file(context, argv[2], SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, argv[1], SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context) == 1 && SSL_CTX_load_verify_file(context, argv[2]) == 1) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    code = run(context, argv + 3);
  }
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  if (reason != NULL) fprintf(stderr, "%s, %s: %s\n", argv[1], argv[2], reason);
  SSL_CTX_free(context);
  return code;
}
