/* Compiled as C and C++, with the header included twice, by tests/ffi/run. */
#include "cloudauth.h"
#include "cloudauth.h"

int main(void)
{
    cloudauth_gcp_self_signed_params params;
    cloudauth_error error;
    cloudauth_result result = CLOUDAUTH_ERR_NULL;

    CLOUDAUTH_INIT(&params);
    CLOUDAUTH_INIT(&error);
    params.email = cloudauth_text("robot@project.iam.gserviceaccount.com");
    params.scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256;
    if (result == CLOUDAUTH_OK || params.size != sizeof params || params.email.len == 0) {
        return 1;
    }
#ifdef CLOUDAUTH_STD
    {
        cloudauth_key key;
        cloudauth_message message;
        CLOUDAUTH_INIT(&message);
        if (cloudauth_key_open(cloudauth_text("no key"), &key, &message, &error) != CLOUDAUTH_ERR_INVALID
            || message.len != strlen(message.text) || message.len == 0) {
            return 1;
        }
        cloudauth_key_close(&key);
    }
#endif
    return 0;
}
