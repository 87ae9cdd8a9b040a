/* optimize.c: AdamW. */
#include <math.h>

#include "../../support/cpu.h"
#include "kernels.h"

#define NN_TWICE "optimize.inc"
#include "twice.h"
