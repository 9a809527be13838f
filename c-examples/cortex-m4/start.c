/* Start of a Cortex-M4 under QEMU: memory, vectors, semihosting. */
#include "rig.h"

extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end;
int main(void);

/* Arm's semihosting: the operation in r0, its argument in r1. */
enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, EXITED = 0x20026 };

static void semihosting(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void rig_text(const char *text) { semihosting(SYS_WRITE0, text); }

void rig_bytes(const uint8_t *bytes, size_t len) {
  char piece[65];
  while (len > 0) {
    size_t now = 0;
    for (; now < len && now < sizeof piece - 1; now++) piece[now] = (char)bytes[now];
    piece[now] = 0;
    rig_text(piece);
    bytes += now;
    len -= now;
  }
}

void rig_number(uint32_t number) {
  char digits[11];
  char *at = digits + sizeof digits - 1;
  *at = 0;
  do {
    *--at = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  rig_text(at);
}

_Noreturn void rig_exit(int code) {
  const uint32_t block[2] = {EXITED, (uint32_t)code};
  semihosting(SYS_EXIT_EXTENDED, block);
  for (;;) {
  }
}

static void fault(void) {
  rig_text("fault\n");
  rig_exit(99);
}

/* Where the processor starts. */
_Noreturn void reset(void);
_Noreturn void reset(void) {
  const uint32_t *from = &data_load;
  for (volatile uint32_t *to = &data_start; to < &data_end; to++) *to = *from++;
  for (volatile uint32_t *to = &bss_start; to < &bss_end; to++) *to = 0;
  rig_exit(main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
