/* What a flow that is measured is made of. Each is linked alone with measure.c. */
#ifndef FLOW_H
#define FLOW_H

#include "cloudauth.h"

/* What is done beforehand, and is not measured; 0 if it went well. */
int flow_setup(void);

/* What is measured; 0 if its result is right. */
int flow_run(void);

/* A string literal as octets. */
#define TEXT(literal) \
  { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* A file in this folder as octets: FILE_OF(name, "file") declares `name` and `name_end`. */
#define FILE_OF(name, file)                                           \
  extern const uint8_t name[], name##_end[];                          \
  __asm__(".section .rodata\n.global " #name ", " #name "_end\n" #name \
          ": .incbin \"" file "\"\n" #name "_end:\n.previous")

#endif
