/* conv.c: convolutions, forward and backward. */
#include <cblas.h>
#include <string.h>

#include "../../support/cpu.h"
#include "kernels.h"

bool nn_conv_dual(nn_conv *dual, const nn_conv *s) {
    if (s->sh != 1 || s->sw != 1 || s->ph >= s->kh || s->pw >= s->kw) return false;
    *dual = (nn_conv){.n = s->n,
                      .ci = s->co,
                      .h = s->oh,
                      .w = s->ow,
                      .co = s->ci,
                      .oh = s->h,
                      .ow = s->w,
                      .kh = s->kh,
                      .kw = s->kw,
                      .sh = 1,
                      .sw = 1,
                      .ph = s->kh - 1 - s->ph,
                      .pw = s->kw - 1 - s->pw};
    return true;
}

size_t nn_conv_strip(const nn_conv *s) {
    size_t all = s->n * s->oh, columns = all * s->ow / 8;
    if (columns < 128) columns = 128;
    if (columns > 512) columns = 512;
    size_t rows = (columns + s->ow - 1) / s->ow;
    return rows < all ? rows : all;
}

/* A 1x1 convolution of stride 1 reads its input as it lies. */
static bool is_pointwise(const nn_conv *s) {
    return s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && s->ph == 0 && s->pw == 0;
}

/* Output positions [*first, *last) whose input position x*stride + offset lies
 * in 0 .. w-1. */
static void valid_range(size_t *first, size_t *last, size_t ow, size_t w, size_t stride,
                        ptrdiff_t offset) {
    ptrdiff_t step = (ptrdiff_t)stride, lo = offset < 0 ? (step - 1 - offset) / step : 0;
    ptrdiff_t hi = offset < (ptrdiff_t)w ? ((ptrdiff_t)w - 1 - offset) / step + 1 : 0;
    if (hi > (ptrdiff_t)ow) hi = (ptrdiff_t)ow;
    if (hi < lo) hi = lo = 0;
    *first = (size_t)lo, *last = (size_t)hi;
}

/* Position in the input that the tap k of output position o looks at; false
 * if that is padding. */
static bool input_at(size_t *at, size_t o, size_t k, size_t stride, size_t padding, size_t extent) {
    size_t shifted = o * stride + k;
    if (shifted < padding || shifted - padding >= extent) return false;
    *at = shifted - padding;
    return true;
}

/* Rows are short: a call of memcpy for each costs more than it saves. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#define NN_TWICE "conv.inc"
#include "twice.h"
