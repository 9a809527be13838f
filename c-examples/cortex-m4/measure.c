/* Runs one flow twice: once over painted stack, once by the clock. */
#include "flows/flow.h"
#include "rig.h"

/* SysTick of Armv7-M: it counts down 24 bits of processor clock. */
#define SYST ((volatile uint32_t *)0xe000e010)
enum { CSR, RVR, CVR, WRAP = 0xffffff };

enum { PAINT = 0xc5c5c5c5, PAINTED_WORDS = 16384 };

static void fail(const char *what) {
  rig_text(what);
  rig_exit(1);
}

/* The octets of stack that `run` used at most. */
static __attribute__((noinline)) uint32_t stack_of(int (*run)(void)) {
  volatile uint32_t *top;
  __asm__ volatile("mov %0, sp" : "=r"(top));
  volatile uint32_t *const bottom = top - PAINTED_WORDS;
  for (volatile uint32_t *at = bottom; at < top; at++) *at = PAINT;
  if (run() != 0) fail("the flow failed\n");
  volatile uint32_t *at = bottom;
  while (at < top && *at == PAINT) at++;
  if (at == bottom) fail("more stack than is painted\n");
  return (uint32_t)(top - at) * 4;
}

static uint32_t ticks(void) { return SYST[CVR]; }

/* A known number of instructions: what is one tick? */
static __attribute__((noinline)) void two_million(void) {
  uint32_t n = 1000000;
  __asm__ volatile("1: subs %0, #1\n bne 1b" : "+r"(n)::"cc");
}

int main(void) {
  if (flow_setup() != 0) fail("the setup failed\n");
  const uint32_t stack = stack_of(flow_run);

  SYST[RVR] = WRAP;
  SYST[CVR] = 0;
  SYST[CSR] = 5;
  uint32_t start = ticks();
  two_million();
  const uint32_t per_tick = 2000000 / ((start - ticks()) & WRAP);
  start = ticks();
  const int result = flow_run();
  const uint32_t used = (start - ticks()) & WRAP;
  if (result != 0) fail("the flow failed the second time\n");

  rig_text("stack ");
  rig_number(stack);
  rig_text("\ninstructions ");
  rig_number(used * per_tick);
  rig_text("\n");
  return 0;
}
