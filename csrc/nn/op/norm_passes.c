/* norm_passes.c: batch norm, sums and relus, fused where they follow each
 * other, on values of 16 or more bits. */
#include <math.h>
#include <string.h>

#include "access.h"
#include "passes.h"

#define CHUNK 32768 /* elements of one item of an element-by-element pass */

#define NN_TWICE "norm_passes.inc"
#include "twice.h"
