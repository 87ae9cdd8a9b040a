/* kinds.h: the kinds of layers, each in a file of op/. */
#ifndef NN_KINDS_H
#define NN_KINDS_H

#include "build.h"

extern const nn_kind nn_kind_mel, nn_kind_spectrum, nn_kind_fourier, nn_kind_filterbank,
    nn_kind_decibel, nn_kind_center, nn_kind_pcen, nn_kind_conv2d, nn_kind_linear,
    nn_kind_batch_norm, nn_kind_group_norm, nn_kind_dropout, nn_kind_relu, nn_kind_add,
    nn_kind_average_pool, nn_kind_max_pool;

#endif
