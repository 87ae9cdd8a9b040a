/* bf16_sum.c: weight gradients in bf16: laid out for products_bf16.h. */
#include "bf16_sum.h"

#include <stdbool.h>
#include <string.h>

#include "products_bf16.h"

#define POSITIONS 768 /* of a block, roughly: with x, dy and dw a part of a core's L2 */

enum { PAIR = NN_BF16_ROWS };

static size_t up(size_t n, size_t step) {
    return (n + step - 1) / step;
}

static size_t whole(size_t n) {
    return up(n, PAIR) * PAIR;
}

void nn_bf16_sum_cut(nn_bf16_sum *k, const nn_conv *s) {
    *k = (nn_bf16_sum){.s = *s, .samples = 1, .rows = s->oh};
    k->inputs = s->ci <= 64 ? PAIR : 2 * PAIR, k->outputs = s->co <= 128 ? PAIR : 2 * PAIR;
    k->across = up(s->ci, k->inputs), k->down = up(s->co, k->outputs);
    k->seen_h = s->sh < s->kh ? s->sh : s->kh, k->seen_w = s->sw < s->kw ? s->sw : s->kw;
    k->below = (s->kh - 1) / s->sh, k->width = s->ow + (s->kw - 1) / s->sw;
    size_t sample = (s->oh + k->below) * k->width;
    if (sample <= POSITIONS) {
        k->samples = POSITIONS / sample < s->n ? POSITIONS / sample : s->n;
        k->positions = whole(k->samples * sample);
    } else {
        size_t rows = POSITIONS > k->width ? POSITIONS / k->width : 1;
        k->rows = up(s->oh, up(s->oh, rows));
        k->positions = whole(k->rows * k->width);
    }
    k->plane = whole(k->positions + k->below * k->width + k->width - s->ow);
    k->channel = k->seen_h * k->seen_w * k->plane;
    if (k->channel / PAIR % 2 == 0)
        k->channel += PAIR; /* rows of a tile on other sets of the cache */
}

/* In values of 16 bits: x, dy, and dy as the registers read it. */
static size_t staged(const nn_bf16_sum *k) {
    return k->inputs * k->channel + 2 * k->outputs * k->positions;
}

static size_t sums(const nn_bf16_sum *k) {
    return k->s.kh * k->s.kw * k->inputs * k->outputs;
}

size_t nn_bf16_sum_scratch(const nn_bf16_sum *k) {
    return staged(k) / 2 + sums(k);
}

/* --- staging ------------------------------------------------------------------------- */

/* One row of a phase: columns left, left + step, ... of a row of w values. */
static void stage_row(uint16_t *to, const uint16_t *row, size_t width, size_t w, size_t step,
                      ptrdiff_t left) {
    size_t i = 0;
    ptrdiff_t at = left, end = (ptrdiff_t)w, by = (ptrdiff_t)step;
    for (; i < width && at < 0; i++, at += by) to[i] = 0;
    if (step == 1 && at < end) {
        size_t n = (size_t)(end - at) < width - i ? (size_t)(end - at) : width - i;
        memcpy(to + i, row + at, n * sizeof *to);
        i += n, at += (ptrdiff_t)n;
    }
    for (; i < width && at < end; i++, at += by) to[i] = row[at];
    memset(to + i, 0, (width - i) * sizeof *to);
}

/* One phase of one channel, from row r0 of sample n on. */
static void stage_plane(uint16_t *to, const uint16_t *x, const nn_bf16_sum *k, size_t n, size_t r0,
                        size_t py, size_t px) {
    const nn_conv *s = &k->s;
    uint16_t *end = to + k->plane;
    for (size_t i = n; i < n + k->samples; i++)
        for (size_t j = 0; j < k->rows + k->below; j++, to += k->width) {
            size_t y = (r0 + j) * s->sh + py - s->ph; /* wraps around above the map */
            if (i >= s->n || y >= s->h)
                memset(to, 0, k->width * sizeof *to);
            else
                stage_row(to, x + (i * s->h + y) * s->w, k->width, s->w, s->sw,
                          (ptrdiff_t)px - (ptrdiff_t)s->pw);
        }
    memset(to, 0, (size_t)(end - to) * sizeof *to);
}

static void stage_input(uint16_t *to, const uint16_t *x, const nn_bf16_sum *k, size_t c0, size_t n,
                        size_t r0) {
    const nn_conv *s = &k->s;
    for (size_t c = c0; c < c0 + k->inputs; c++, to += k->channel) {
        if (c >= s->ci) {
            memset(to, 0, k->channel * sizeof *to);
            continue;
        }
        for (size_t phase = 0; phase < k->seen_h * k->seen_w; phase++)
            stage_plane(to + phase * k->plane, x + c * s->n * s->h * s->w, k, n, r0,
                        phase / k->seen_w, phase % k->seen_w);
    }
}

static void stage_gradient(uint16_t *to, const uint16_t *dy, const nn_bf16_sum *k, size_t o0,
                           size_t n, size_t r0) {
    const nn_conv *s = &k->s;
    size_t last = n + k->samples < s->n ? n + k->samples : s->n, apart = k->rows + k->below;
    memset(to, 0, k->outputs * k->positions * sizeof *to);
    for (size_t o = o0; o < o0 + k->outputs && o < s->co; o++, to += k->positions)
        for (size_t i = n; i < last; i++)
            for (size_t j = 0; j < k->rows && r0 + j < s->oh; j++)
                memcpy(to + ((i - n) * apart + j) * k->width,
                       dy + ((o * s->n + i) * s->oh + r0 + j) * s->ow, s->ow * sizeof *to);
}

/* --- a part -------------------------------------------------------------------------- */

static void multiply(float *sum, const uint16_t *seen, const uint16_t *tiles, const nn_bf16_sum *k,
                     bool add) {
    const nn_conv *s = &k->s;
    for (size_t t = 0; t < s->kh * s->kw; t++) {
        size_t ky = t / s->kw, kx = t % s->kw, phase = ky % s->sh * k->seen_w + kx % s->sw;
        nn_bf16_rows f = {.step = k->channel, .b = tiles, .k = k->positions};
        f.a = seen + phase * k->plane + ky / s->sh * k->width + kx / s->sw;
        nn_bf16_rows_product(sum + t * k->inputs * k->outputs, &f, k->inputs, k->outputs, add);
    }
}

void nn_bf16_sum_part(float *dw, const uint16_t *x, const uint16_t *dy, const nn_bf16_sum *k,
                      size_t i, float *scratch) {
    const nn_conv *s = &k->s;
    size_t c0 = i % k->across * k->inputs, o0 = i / k->across * k->outputs, taps = s->kh * s->kw;
    float *sum = scratch;
    uint16_t *seen = (uint16_t *)(void *)(sum + sums(k)), *grad = seen + k->inputs * k->channel;
    uint16_t *tiles = grad + k->outputs * k->positions;
    for (size_t n = 0; n < s->n; n += k->samples)
        for (size_t r0 = 0; r0 < s->oh; r0 += k->rows) {
            stage_input(seen, x, k, c0, n, r0);
            stage_gradient(grad, dy, k, o0, n, r0);
            nn_bf16_pairs(tiles, grad, k->positions, k->outputs);
            multiply(sum, seen, tiles, k, n > 0 || r0 > 0);
        }
    for (size_t c = c0; c < c0 + k->inputs && c < s->ci; c++)
        for (size_t o = o0; o < o0 + k->outputs && o < s->co; o++)
            for (size_t t = 0; t < taps; t++)
                dw[(o * s->ci + c) * taps + t] +=
                    sum[(t * k->inputs + c - c0) * k->outputs + o - o0];
}
