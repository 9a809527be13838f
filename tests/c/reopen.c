/* Opens and closes keys and clients as often as it is told, and asks for a token each time: tests/c/run compares
 * what is not freed at the end.
 *
 *   reopen TIMES KEY-URI SECRET-URI PROFILE
 */
#include <cloudauth.h>
#include <stdio.h>
#include <stdlib.h>

static void need(cloudauth_result result, const cloudauth_message *message) {
  if (result == CLOUDAUTH_OK) return;
  fprintf(stderr, "reopen: %s\n", message->text);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  cloudauth_message message = {.size = sizeof message};
  for (int left = atoi(argv[1]); left > 0; left--) {
    cloudauth_key key;
    need(cloudauth_key_open(cloudauth_text(argv[2]), &key, &message, NULL), &message);
    cloudauth_key_close(&key);
    if (cloudauth_key_open(cloudauth_text("file:/missing"), &key, &message, NULL) != CLOUDAUTH_ERR_KEY) return 1;
    cloudauth_mac_key mac;
    need(cloudauth_mac_key_open(cloudauth_text(argv[3]), &mac, &message, NULL), &message);
    cloudauth_mac_key_close(&mac);
    cloudauth_client client;
    need(cloudauth_client_open(cloudauth_text(NULL), &client, &message, NULL), &message);
    uint8_t token[4096];
    size_t len;
    int64_t expiration;
    need(cloudauth_client_bearer_token(&client, cloudauth_text(argv[4]), token, sizeof token, &len,
                                       &expiration, &message, NULL),
         &message);
    cloudauth_client_close(&client);
  }
  return 0;
}
