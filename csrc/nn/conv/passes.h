/* passes.h: which convolution runs how, and the passes of the fast ones, in float or 16 bits. */
#ifndef NN_CONV_PASSES_H
#define NN_CONV_PASSES_H

#include "../graph/pass.h"

/* Slots of nn_layer.option. */
enum { CONV_OUT, CONV_KH, CONV_KW, CONV_SH, CONV_SW, CONV_PH, CONV_PW, CONV_BIAS, CONV_ALGORITHM };
enum nn_algorithm {
    NN_CONV_AUTO,
    NN_CONV_WINOGRAD,
    NN_CONV_DIRECT,
    NN_CONV_PLANAR,
    NN_CONV_BF16, /* as AUTO, products in bf16 of values that are stored so, though in plain code */
    NN_CONV_IM2COL,
    NN_CONV_PLAIN
};

/* Those that compute in float, from values of any storage. */
static inline bool nn_is_fast(enum nn_algorithm how) {
    return how == NN_CONV_WINOGRAD || how == NN_CONV_DIRECT || how == NN_CONV_PLANAR;
}

/* The convolution that gives dx from dy when the stride is 1: of dy, with
 * flipped weights. False if padding is larger than the kernel allows. */
bool nn_conv_dual(nn_conv *dual, const nn_conv *s);

/* Output rows in one strip of im2col: some hundred positions, which suits the matrix
 * product, but at least eight strips where there are positions enough. Depends
 * on the shape alone. */
size_t nn_conv_strip(const nn_conv *s);

/* How n samples go through the layer; never NN_CONV_AUTO or NN_CONV_BF16. wide: in double,
 * where only the plain ones are. */
enum nn_algorithm nn_conv_algorithm(const nn_layer *l, size_t n, bool wide);

/* Do its passes read and write 16 bits? */
bool nn_conv_narrow(const nn_layer *l, size_t n);

/* For nn_kind, in bytes. */
size_t nn_conv_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward);
size_t nn_conv_scratch(const nn_layer *l, size_t n, enum nn_precision p);

/* Whole passes of the fast ones. */
void nn_fast_forward(const nn_run *r, const nn_conv *s, enum nn_algorithm how);
void nn_fast_back(const nn_run *r, const nn_conv *s, enum nn_algorithm how);

/* The sum of n values of any storage but f64. */
double nn_sum_stored(const void *values, enum nn_storage as, size_t n);

#endif
