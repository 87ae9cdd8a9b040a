/* norm.c: norms of one channel. */
#include "../../support/cpu.h"
#include "kernels.h"

double nn_lane_total(const double *lane) {
    double sum = 0;
    for (int j = 0; j < NN_SUM_LANES; j++) sum += lane[j];
    return sum;
}

#define NN_TWICE "norm.inc"
#include "twice.h"
