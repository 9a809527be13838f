/* What start.c gives firmware under QEMU: text output and an end, both by semihosting. */
#ifndef RIG_H
#define RIG_H

#include <stddef.h>
#include <stdint.h>

/* Writes a text that ends with NUL. */
void rig_text(const char *text);

/* Writes octets as they are. */
void rig_bytes(const uint8_t *bytes, size_t len);

/* Writes a number in decimal. */
void rig_number(uint32_t number);

/* Ends QEMU with this exit code. */
_Noreturn void rig_exit(int code);

#endif
