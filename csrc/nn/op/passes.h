/* passes.h: the forward and backward passes of all kinds: they cut a layer's
 * work into items of fixed size and hand them to the pool. */
#ifndef NN_PASSES_H
#define NN_PASSES_H

#include "../graph/graph.h"

/* Slots of nn_layer.option, in the order of the kinds' option lists. */
enum { CONV_OUT, CONV_KH, CONV_KW, CONV_SH, CONV_SW, CONV_PH, CONV_PW, CONV_BIAS, CONV_ALGORITHM };
enum { LINEAR_OUT, LINEAR_BIAS };
enum { NORM_EPS, NORM_MOMENTUM };
enum { GROUP_GROUPS, GROUP_EPS };
enum { DROPOUT_RATE };
enum { POOL_KH, POOL_KW, POOL_SH, POOL_SW, POOL_GLOBAL };
enum { MEL_RATE, MEL_FFT, MEL_HOP, MEL_BANDS, MEL_FMIN, MEL_FMAX, MEL_PAD };
enum { DECIBEL_LEAST };
enum { CENTER_OVER, CENTER_SCALE };
enum { PCEN_RATE, PCEN_SCALE, PCEN_TIME, PCEN_GAIN, PCEN_BIAS, PCEN_POWER, PCEN_EPS };
enum nn_algorithm { NN_CONV_AUTO, NN_CONV_WINOGRAD, NN_CONV_DIRECT, NN_CONV_IM2COL, NN_CONV_PLAIN };
enum { NN_CENTER_CLIP, NN_CENTER_BAND };

/* Slots of nn_layer.tensor. */
enum { NN_WEIGHT, NN_BIAS, NN_RUNNING_MEAN, NN_RUNNING_VAR, NN_TRACKED };

/* A convolution, linear or pooling layer as the kernels take it. */
nn_conv nn_layer_conv(const nn_layer *l, size_t n);
/* Elements of a worker's columns. */
size_t nn_conv_columns(const nn_conv *s);

/* How n samples go through the layer; never NN_CONV_AUTO. wide: in double,
 * where only the plain ones are. */
enum nn_algorithm nn_conv_algorithm(const nn_layer *l, size_t n, bool wide);

/* Do its passes read and write 16 bits? */
bool nn_conv_narrow(const nn_layer *l, size_t n);

/* For nn_kind, in bytes. */
size_t nn_conv_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward);
size_t nn_conv_scratch(const nn_layer *l, size_t n, enum nn_precision p);

static inline size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}
static inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}
static inline size_t parts(size_t n, size_t size) {
    return (n + size - 1) / size;
}
static inline void *scratch_of(const nn_run *r, int worker) {
    return r->scratch + (size_t)worker * r->scratch_bytes;
}

/* Batch norm keeps, per channel and group: mean, inverse deviation, and the
 * biased variance: three blocks of c * groups. */
#define NN_NORM_SAVED 3

/* Hand n items of a pass to the pool; their context is the run. */
void nn_run_items(const nn_run *r, bc_task *item, size_t n);

#define NN_PASS(name) nn_pass nn_##name##_f32, nn_##name##_f64
NN_PASS(mel_pass);
NN_PASS(decibel_pass);
NN_PASS(decibel_back);
NN_PASS(pcen_pass);
NN_PASS(pcen_back);
NN_PASS(center_pass);
NN_PASS(center_back);
NN_PASS(conv_pass);
NN_PASS(conv_back);
NN_PASS(norm_pass);
NN_PASS(norm_back);
NN_PASS(sum_pass);
NN_PASS(sum_back);
NN_PASS(spectrum_pass);
NN_PASS(fourier_pass);
NN_PASS(fourier_back);
NN_PASS(bank_pass);
NN_PASS(bank_back);
NN_PASS(group_pass);
NN_PASS(group_back);
NN_PASS(dropout_pass);
NN_PASS(dropout_back);
NN_PASS(pool_pass);
NN_PASS(pool_back);
#undef NN_PASS

#endif
