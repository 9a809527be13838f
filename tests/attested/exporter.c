/* Shakes hands in TLS 1.3 with OpenSSL and prints what the connection exports.
 *
 *   exporter client 127.0.0.1:PORT FOLDER CONTEXT [cert] [tls12]
 *   exporter server - FOLDER CONTEXT [cert] [tls12]
 *
 * A server prints its port first. The exit status is 3 where the handshake fails. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void need(int good, const char *what) {
  if (good) return;
  fprintf(stderr, "%s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static const char *in(const char *folder, const char *name) {
  static char path[4096];
  need(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path, "path");
  return path;
}

static void show(SSL *ssl, const char *name, const char *label, const unsigned char *context) {
  unsigned char out[32];
  need(SSL_export_keying_material(ssl, out, sizeof out, label, strlen(label), context,
                                  context == NULL ? 0 : 32, context != NULL) == 1,
       "SSL_export_keying_material");
  printf("%s ", name);
  for (size_t i = 0; i < sizeof out; i++) printf("%02x", out[i]);
  printf("\n");
}

static int choose(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                  const unsigned char *offered, unsigned int length, void *unused) {
  static const unsigned char ours[] = "\x08http/1.1";
  (void)ssl;
  (void)unused;
  unsigned char *chosen;
  if (SSL_select_next_proto(&chosen, outlen, ours, 9, offered, length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int main(int argc, char **argv) {
  need(argc >= 5 && strlen(argv[4]) == 64, "exporter client|server ADDRESS FOLDER CONTEXT [cert] [tls12]");
  const int server = strcmp(argv[1], "server") == 0;
  const char *folder = argv[3];
  int certificate = 0, version = TLS1_3_VERSION;
  for (int i = 5; i < argc; i++) {
    if (strcmp(argv[i], "cert") == 0) certificate = 1;
    if (strcmp(argv[i], "tls12") == 0) version = TLS1_2_VERSION;
  }
  unsigned char context[32];
  for (size_t i = 0; i < sizeof context; i++) {
    unsigned int octet;
    need(sscanf(argv[4] + 2 * i, "%2x", &octet) == 1, "CONTEXT");
    context[i] = (unsigned char)octet;
  }

  /* The other side may end the connection at any time. */
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  need(ctx != NULL, "SSL_CTX_new");
  need(SSL_CTX_set_min_proto_version(ctx, version) == 1, "version");
  need(SSL_CTX_set_max_proto_version(ctx, version) == 1, "version");
  need(SSL_CTX_load_verify_locations(ctx, in(folder, "ca.pem"), NULL) == 1, "ca.pem");
  if (server || certificate) {
    need(SSL_CTX_use_certificate_chain_file(ctx, in(folder, server ? "server.pem" : "client.pem")) == 1,
         "certificate");
    need(SSL_CTX_use_PrivateKey_file(ctx, in(folder, server ? "server.key" : "client.key"),
                                     SSL_FILETYPE_PEM) == 1,
         "key");
  }

  const int tcp = socket(AF_INET, SOCK_STREAM, 0);
  need(tcp >= 0, "socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int connected = tcp;
  if (server) {
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_alpn_select_cb(ctx, choose, NULL);
    if (certificate) SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    socklen_t length = sizeof address;
    need(bind(tcp, (struct sockaddr *)&address, sizeof address) == 0 && listen(tcp, 1) == 0, "listen");
    need(getsockname(tcp, (struct sockaddr *)&address, &length) == 0, "getsockname");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    connected = accept(tcp, NULL, NULL);
    need(connected >= 0, "accept");
  } else {
    const char *colon = strrchr(argv[2], ':');
    need(colon != NULL, "ADDRESS");
    address.sin_port = htons((unsigned short)strtoul(colon + 1, NULL, 10));
    need(connect(tcp, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    need(SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x08http/1.1", 9) == 0, "ALPN");
  }
  const struct timeval limit = {.tv_sec = 20};
  need(setsockopt(connected, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0, "time limit");

  SSL *ssl = SSL_new(ctx);
  need(ssl != NULL && SSL_set_fd(ssl, connected) == 1, "SSL_new");
  if (!server) {
    need(SSL_set_tlsext_host_name(ssl, "localhost") == 1 && SSL_set1_host(ssl, "localhost") == 1, "name");
  }
  if ((server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1) {
    ERR_print_errors_fp(stderr);
    return 3;
  }
  show(ssl, "client", "EXPORTER-libcloudauth-v1-client", context);
  show(ssl, "server", "EXPORTER-libcloudauth-v1-server", context);
  show(ssl, "my_nonce", "my_nonce", NULL);
  show(ssl, "testing_nonce", "testing_nonce", NULL);
  fflush(stdout);
  if (server) {
    char rest[256];
    while (SSL_read(ssl, rest, sizeof rest) > 0) {
    }
  } else {
    SSL_shutdown(ssl);
  }
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  close(connected);
  return 0;
}
