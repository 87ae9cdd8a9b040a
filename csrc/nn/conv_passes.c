/* conv_passes.c: the forward and backward passes of convolutions. */
#include "passes.h"

/* Input channels of one item of a weight gradient: fixed by the layer's shape
 * alone, so that results do not depend on the number of threads. */
static size_t weight_channels(const nn_conv *s) {
    size_t channels = s->ci / 8 < 16 ? 16 : s->ci / 8;
    return channels < s->ci ? channels : s->ci;
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

#define NN_TWICE "conv_passes.inc"
#include "twice.h"
