/* point.c: layers that work element by element, and pooling. */
#include "../../support/cpu.h"
#include "kernels.h"

#define NN_TWICE "point.inc"
#include "twice.h"
