/* kinds.c: the kinds of layers; op/ has what they are. */
#include <string.h>

#include "kinds.h"

const nn_kind nn_kind_input = {.name = "input", .options = nn_no_options};

static const nn_kind *const kinds[] = {
    &nn_kind_mel,     &nn_kind_spectrum,   &nn_kind_fourier,     &nn_kind_filterbank,
    &nn_kind_decibel, &nn_kind_center,     &nn_kind_pcen,        &nn_kind_conv2d,
    &nn_kind_linear,  &nn_kind_batch_norm, &nn_kind_group_norm,  &nn_kind_dropout,
    &nn_kind_relu,    &nn_kind_add,        &nn_kind_average_pool,
    &nn_kind_max_pool};

const nn_kind *nn_kind_at(size_t i) {
    return i < sizeof kinds / sizeof *kinds ? kinds[i] : NULL;
}

const nn_kind *nn_kind_find(const char *name) {
    for (size_t i = 0; nn_kind_at(i) != NULL; i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}
