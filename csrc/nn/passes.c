/* passes.c: the forward and backward passes of all kinds of layers. */
#include "passes.h"

#include <math.h>
#include <string.h>

#include "../spectral/mel.h"

#define CHUNK 32768 /* elements of one item of an element-by-element pass */

#define NN_TWICE "passes.inc"
#include "twice.h"
