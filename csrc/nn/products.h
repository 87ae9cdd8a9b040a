/* products.h: the matrix product of the convolutions in single precision, for
 * operands that their makers lay out as it wants them, so that nothing is
 * copied. */
#ifndef NN_PRODUCTS_H
#define NN_PRODUCTS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    NN_PANEL = 16, /* rows of a in one panel */
    NN_LANES = 16, /* columns are counted in these */
    NN_DEPTH = 512 /* longest run of k before c is stored */
};

/* Columns up to a whole vector, which b must have room for. */
static inline size_t nn_lanes(size_t n) {
    return (n + NN_LANES - 1) / NN_LANES * NN_LANES;
}

/* Floats of a packed a. */
static inline size_t nn_panels(size_t m, size_t k) {
    return (m + NN_PANEL - 1) / NN_PANEL * NN_PANEL * k;
}

/* c (m, n) <- a b, or c + a b if add. a (m, lda); or, if lda is 0, panels of 16
 * rows, each (k, 16), rows behind m of any value. b (k, ldb), readable up to
 * nn_lanes(n); c (m, ldc). Every value is a sum over k in order. */
typedef void nn_product(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                        size_t ldb, size_t m, size_t n, size_t k, bool add);

nn_product nn_product_avx512, nn_product_avx2, nn_product_plain;

/* The fastest that this processor has. */
nn_product *nn_product_best(void);

#endif
