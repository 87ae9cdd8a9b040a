/* norm.c: batch norm of one channel. */
#include "../support/clones.h"
#include "kernels.h"

/* Sums run in lanes, so that the compiler may use vectors without changing
 * the order of additions: the result is the same on every processor. */
#define LANES 16

static double lane_total(const double *lane) {
    double sum = 0;
    for (int j = 0; j < LANES; j++) sum += lane[j];
    return sum;
}

#define NN_TWICE "norm.inc"
#include "twice.h"
