/* SigV4 with the day's key at hand. */
#include "sigv4.h"

int flow_setup(void) { return derive(); }

int flow_run(void) { return sign(); }
