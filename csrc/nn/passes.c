/* passes.c: the forward and backward passes of all kinds of layers. */
#include "passes.h"

#include <math.h>
#include <string.h>

#include "../spectral/mel.h"

#define CHUNK 32768 /* elements of one item of an element-by-element pass */

/* Input channels of one item of a weight gradient: fixed by the layer's shape
 * alone, so that results do not depend on the number of threads. */
static size_t weight_channels(const nn_conv *s) {
    size_t channels = s->ci / 8 < 16 ? 16 : s->ci / 8;
    return channels < s->ci ? channels : s->ci;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}
static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}
static size_t parts(size_t n, size_t size) {
    return (n + size - 1) / size;
}

nn_conv nn_layer_conv(const nn_layer *l, size_t n) {
    nn_conv s = l->window;
    s.n = n;
    return s;
}

size_t nn_conv_columns(const nn_conv *s) {
    nn_conv dual;
    size_t most = s->ci * s->kh * s->kw * nn_conv_strip(s) * s->ow;
    if (nn_conv_dual(&dual, s))
        most = larger(most, dual.ci * dual.kh * dual.kw * nn_conv_strip(&dual) * dual.ow);
    return most;
}

static void *scratch_of(const nn_run *r, int worker) {
    return r->scratch + (size_t)worker * r->scratch_bytes;
}

#define NN_TWICE "passes.inc"
#include "twice.h"
