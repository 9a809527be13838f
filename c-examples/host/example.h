/* What every example does: it says what went wrong, and writes what is not ended by NUL. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <cloudauth.h>
#include <stdio.h>

/* Writes octets. */
static inline void put(FILE *to, cloudauth_bytes bytes) {
  if (bytes.len > 0) fwrite(bytes.ptr, 1, bytes.len, to);
}

/* Says why `what` failed: the result, and what is wrong with which input. Gives main's exit code. */
static inline int failed(const char *what, cloudauth_result result, const cloudauth_error *error) {
  fprintf(stderr, "%s: %s", what, cloudauth_strerror(result));
  if (error->field.len > 0) {
    fputs(" (", stderr);
    put(stderr, error->field);
    fputs(": ", stderr);
    put(stderr, error->help);
    fputs(")", stderr);
  }
  fputc('\n', stderr);
  return 1;
}

#endif
