/* rig.h on a host, for demo.c. */
#include <stdio.h>
#include <stdlib.h>

#include "rig.h"

void rig_text(const char *text) { fputs(text, stdout); }

void rig_bytes(const uint8_t *bytes, size_t len) { fwrite(bytes, 1, len, stdout); }

void rig_number(uint32_t number) { printf("%lu", (unsigned long)number); }

_Noreturn void rig_exit(int code) { exit(code); }
