/* Preloaded into ekm_binder: has OpenSSL write the secrets of its connections to $KEYLOG, so that the exported
 * octets can be computed by other means. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

static void write_line(const SSL *ssl, const char *line) {
  (void)ssl;
  FILE *file = fopen(getenv("KEYLOG"), "a");
  if (file == NULL) abort();
  fprintf(file, "%s\n", line);
  fclose(file);
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
  SSL_CTX *(*next)(const SSL_METHOD *);
  *(void **)&next = dlsym(RTLD_NEXT, "SSL_CTX_new");
  SSL_CTX *context = next(method);
  SSL_CTX_set_keylog_callback(context, write_line);
  return context;
}
