/* access.h: values of any storage, block by block, for the passes that compute
 * in float or double. Sees the first cache only, so it costs little. */
#ifndef NN_ACCESS_H
#define NN_ACCESS_H

#include <string.h>

#include "passes.h"

#define BLOCK 1024 /* values at once */

#define NN_TWICE "access.inc"
#include "twice.h"

#endif
