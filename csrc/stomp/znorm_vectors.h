/* znorm_vectors.h: what znorm.c shares with its loop, znorm_sweep.h. */
#ifndef BC_ZNORM_VECTORS_H
#define BC_ZNORM_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doubling.h"
#include "nearest.h"

/* A series and its windows. With p = 1 / (sqrt(m) sd), the correlation of two
 * windows is (sum of products) p_i p_j - s_i s_j, s = sqrt(m) mean p. */
struct znorm_series {
    const double *raw; /* (frames), scaled by a power of two */
    double *memory;    /* all of the below are in it */
    double *scaled;    /* (frames) */
    double centre;     /* the mean of raw */
    double *x;         /* raw - centre, with margins; 0 where not finite */
    /* (windows), with margins; NaN for windows that are constant or not finite */
    double *p, *s;
    double *e;         /* the computed correlation is within e_i e_j of the true one */
    /* (windows): the mean of raw is mean + rest: a double alone is too coarse for
     * a small sound far from 0; scale is 1 / sd */
    double *mean, *rest, *scale;
    uint8_t *kind;     /* (windows): enum znorm_kind */
    size_t frames, windows;
};

enum znorm_kind { ZNORM_USUAL, ZNORM_CONSTANT, ZNORM_BAD };

struct znorm_side {
    double *value;  /* no correlation that is not above it can be better; -3 at first */
    int64_t *index; /* -1 at first */
};

struct znorm {
    struct znorm_series a, b;
    size_t window;
    struct znorm_side right, left; /* as in struct simple */
    struct nearest *nearest; /* as in struct simple */
    ptrdiff_t zone;          /* lags -zone .. zone are not looked at; < 0: all are */
    double bias;          /* of the grid way: a number whose last bit is the grid */
    struct doubling sums; /* of the steady way */
    size_t ambiguous, ambiguous_allowed;
    double *terms; /* (window) */
};

/* Diagonals first .. first + DOUBLING_LANES - 1, rows begin .. end - 1. */
typedef void znorm_block(struct znorm *z, ptrdiff_t first, size_t begin, size_t end);
znorm_block bc_znorm_grid_avx512, bc_znorm_grid_avx2, bc_znorm_grid_plain;
znorm_block bc_znorm_sweep_avx512, bc_znorm_sweep_avx2, bc_znorm_sweep_plain;

/* Is window `other` better for window `at` than what side knows? correlation
 * is the computed one; swapped: `at` is a window of b. */
void bc_znorm_update_neighbor(struct znorm *z, struct znorm_side *side, bool swapped, size_t at,
                              size_t other, double correlation);

#endif
