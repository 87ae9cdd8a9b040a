/* build.h: what the kinds of layers have in common when they are built. */
#ifndef NN_BUILD_H
#define NN_BUILD_H

#include "graph.h"

#define NN_END \
    { NULL, NN_SIZE, 0, 0, NULL }

extern const nn_option nn_no_options[];

/* The shape stays; several inputs must have the same. */
int nn_build_same(nn_graph *g, nn_layer *l, bc_error *e);

/* A window of kernel, stride and padding w over the input, to co channels. */
int nn_build_window(nn_layer *l, size_t co, nn_conv w, bc_error *e);

/* PyTorch's start: kaiming_uniform with a = sqrt(5), which is uniform in
 * +-1/sqrt(fan in), for weights and bias alike. */
int nn_build_weights(nn_graph *g, nn_layer *l, int ndim, const int64_t *shape, bool bias,
                     bc_error *e);

/* The input must be audio that nothing before it was trained on, long enough for a transform. */
int nn_check_audio(const nn_layer *l, size_t n_fft, bc_error *e);

#endif
