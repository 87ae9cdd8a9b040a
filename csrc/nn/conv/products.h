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

/* Floats of a that is packed in panels. */
static inline size_t nn_panels(size_t m, size_t k) {
    return (m + NN_PANEL - 1) / NN_PANEL * NN_PANEL * k;
}

/* Where the factors lie. Of a either rows: row i begins at a + a_rows[i], or at
 * a + i * a_row. Or, if a_step is not 0, panels of 16 rows, `a_row` floats apart:
 * the 16 values of one k side by side, a_step from k to k. Row k of b begins at
 * b + b_rows[k] (panels only), or at b + k * b_row; it is read up to nn_lanes(n). */
typedef struct nn_factors {
    const float *a, *b;
    size_t a_row, a_step, b_row;
    const size_t *a_rows, *b_rows; /* NULL: not given */
    size_t m, n, k;
} nn_factors;

/* c (m, n), rows ldc apart, <- a b, or c + a b if add. Every value is a sum over
 * k in order. */
typedef void nn_product(float *c, size_t ldc, const nn_factors *f, bool add);

nn_product nn_product_avx512, nn_product_avx2, nn_product_plain;

/* sum (m, n, 16) += the lanes of the dot products of a's rows, i * a_row apart,
 * with b's, at b_rows[j]: lane l has every 16th (8th, 4th) product from the
 * l-th on. Both are read up to nn_lanes(k), where a must be 0 and b finite. */
typedef void nn_dots(float *sum, const nn_factors *f);

nn_dots nn_dots_avx512, nn_dots_avx2, nn_dots_plain;

/* Those for the instructions in force (cpu.h). They round differently. */
nn_product *nn_product_best(void);
nn_dots *nn_dots_best(void);

#endif
