/* Live credentials of a profile: the library reads the configuration, opens the key and calls the service.
 *
 *   live_credentials aws PROFILE      AWS credentials, as credential_process of the AWS CLI and SDKs wants them
 *   live_credentials token PROFILE    the bearer token of a profile of Azure or Google Cloud
 *
 * The configuration is the file that CLOUDAUTH_CONFIG names, else ~/.config/cloudauth/config.toml. In
 * ~/.aws/config, for example:
 *
 *   [profile machine]
 *   credential_process = /usr/local/bin/live_credentials aws machine
 */
#include <time.h>

#include "example.h"

/* One that does not fit is kept by the client: asking again with more room costs nothing. */
static uint8_t buffer[16384];

static int told(const char *what, const cloudauth_message *message) {
  fprintf(stderr, "%s: %s\n", what, message->text);
  return 1;
}

/* The texts of AWS credentials need no escapes in JSON: they are letters, digits and /+= only. */
static void member(const char *name, cloudauth_bytes value) {
  printf(",\"%s\":\"", name);
  put(stdout, value);
  putchar('"');
}

static int aws(const cloudauth_client *client, const char *profile, cloudauth_message *message) {
  size_t len;
  cloudauth_aws_credentials keys = {.size = sizeof keys};
  if (cloudauth_client_aws_keys(client, cloudauth_text(profile), buffer, sizeof buffer, &len, &keys,
                                message, NULL) != CLOUDAUTH_OK)
    return told(profile, message);
  char expiration[32];
  const time_t end = (time_t)keys.expiration;
  if (strftime(expiration, sizeof expiration, "%Y-%m-%dT%H:%M:%SZ", gmtime(&end)) == 0) return 1;
  fputs("{\"Version\":1", stdout);
  member("AccessKeyId", keys.access_key_id);
  member("SecretAccessKey", keys.secret_access_key);
  member("SessionToken", keys.session_token);
  member("Expiration", cloudauth_text(expiration));
  puts("}");
  return 0;
}

static int token(const cloudauth_client *client, const char *profile, cloudauth_message *message) {
  size_t len;
  int64_t expiration;
  if (cloudauth_client_bearer_token(client, cloudauth_text(profile), buffer, sizeof buffer, &len,
                                    &expiration, message, NULL) != CLOUDAUTH_OK)
    return told(profile, message);
  put(stdout, cloudauth_bytes_at(buffer, len));
  putchar('\n');
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3 || (strcmp(argv[1], "aws") != 0 && strcmp(argv[1], "token") != 0)) {
    fputs("usage: live_credentials aws|token PROFILE\n", stderr);
    return 2;
  }
  cloudauth_client client;
  cloudauth_message message = {.size = sizeof message};
  if (cloudauth_client_open(cloudauth_text(NULL), &client, &message, NULL) != CLOUDAUTH_OK)
    return told("configuration", &message);
  const int code = (*argv[1] == 'a' ? aws : token)(&client, argv[2], &message);
  cloudauth_wipe(buffer, sizeof buffer);
  cloudauth_client_close(&client);
  return code;
}
