/* measure.h: what is the matter with a tile? */
#ifndef BC_MEASURE_H
#define BC_MEASURE_H

#include <stdint.h>

typedef struct bc_tile_measures {
    double peak, sum_squares; /* of |x| and x^2 */
    int64_t clipped;          /* samples with |x| >= limit */
    uint64_t hash;            /* of the samples as 16 bits (FNV-1a over words) */
} bc_tile_measures;

/* Measure x (n). A sample that is not finite counts as 0. */
bc_tile_measures bc_tile_measure(const float *x, int64_t n, float limit);

#endif
