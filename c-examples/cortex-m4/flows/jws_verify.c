/* Verification of an ES256 token with a pinned key. */
#include "flow.h"

FILE_OF(spki, "p256.spki.der");

int flow_setup(void) { return 0; }

int flow_run(void) {
  static const cloudauth_bytes token = TEXT(
      "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2lz"
      "c3Vlci5leGFtcGxlIiwic3ViIjoiZGV2aWNlIiwiYXVkIjoiaHR0cHM6Ly9hdWRpZW5jZS5leGFt"
      "cGxlIiwiaWF0IjoxNzk1MzQ4ODAwLCJleHAiOjE3OTUzNTI0MDB9.OtuHAJI8ipgrT8e0bZHReHT"
      "sGA5-QH8cEDDTtigj3dk20K2tmgraVoiE3PmRlOtNTH1DtCYHHijBSRZgoHUNDg");
  static const cloudauth_scheme scheme = CLOUDAUTH_SCHEME_ECDSA_P256_SHA256;
  static const cloudauth_jws_expect expect = {.size = sizeof expect,
                                              .schemes = &scheme,
                                              .scheme_count = 1,
                                              .issuer = TEXT("https://issuer.example"),
                                              .audience = TEXT("https://audience.example"),
                                              .time = 1795348800,
                                              .skew = 60};
  static uint8_t out[512];
  static cloudauth_jws_report report = {.size = sizeof report};
  const cloudauth_jws_key key = {.kid = TEXT("k1"), .spki = {spki, (size_t)(spki_end - spki)}};
  size_t len;
  return cloudauth_jws_verify(token, &expect, &key, 1, out, sizeof out, &len, &report, NULL);
}
