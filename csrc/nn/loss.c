/* loss.c: the triplet loss of tile2vec (Jean et al., 2019). */
#include <math.h>

#include "kernels.h"

#define NN_TWICE "loss.inc"
#include "twice.h"
