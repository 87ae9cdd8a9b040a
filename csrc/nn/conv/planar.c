/* planar.c: convolutions as products over the rows of maps as they lie. */
#include "planar.h"

#include <string.h>

#include "../../support/cpu.h"
#include "products.h"
#include "reach.h"

#define STAGED 12288 /* floats of a block's part of the map */

enum { G = NN_LANES };

/* Rows are short: a call of memcpy for each costs more than it saves. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

static size_t up(size_t n, size_t step) {
    return (n + step - 1) / step;
}

bool nn_planar_can(const nn_conv *s) {
    return s->kh * s->kw <= NN_PLANAR_TAPS;
}

bool nn_planar_pays(const nn_conv *s) {
    return nn_planar_can(s) && s->ci <= 8 && s->co <= 16 && s->oh * s->ow >= 64;
}

void nn_planar_cut(nn_planar *g, const nn_conv *s, bool backward) {
    *g = (nn_planar){.s = *s, .backward = backward, .seen_h = 1, .seen_w = 1, .sh = 1, .sw = 1};
    size_t beside;
    if (backward) {
        g->ci = s->co, g->co = s->ci, g->h = s->oh, g->w = s->ow;
        g->oh = up(s->h, s->sh), g->ow = up(s->w, s->sw);
        g->below = nn_reach(&g->above, s->kh, s->sh, s->ph) - 1;
        beside = nn_reach(&g->left, s->kw, s->sw, s->pw) - 1;
    } else {
        g->ci = s->ci, g->co = s->co, g->h = s->h, g->w = s->w;
        g->oh = s->oh, g->ow = s->ow, g->sh = s->sh, g->sw = s->sw;
        g->above = -(ptrdiff_t)s->ph, g->left = -(ptrdiff_t)s->pw;
        g->seen_h = s->sh < s->kh ? s->sh : s->kh, g->seen_w = s->sw < s->kw ? s->sw : s->kw;
        g->below = (s->kh - 1) / s->sh, beside = (s->kw - 1) / s->sw;
    }
    g->width = g->ow + beside;
    size_t row = g->ci * g->seen_h * g->seen_w * g->width, rows = STAGED / row;
    rows = rows > g->below ? rows - g->below : 1;
    g->down = up(g->oh, rows);
    g->rows = up(g->oh, g->down);
    g->down = up(g->oh, g->rows);
}

static size_t taps_of(const nn_planar *g) {
    return g->s.kh * g->s.kw;
}

static size_t plane_of(const nn_planar *g) {
    return (g->rows + g->below) * g->width;
}

/* Positions of a block, rows side by side, with columns between them that nobody
 * asked for. */
static size_t positions(const nn_planar *g) {
    return nn_lanes(g->rows * g->width);
}

size_t nn_planar_weights(const nn_planar *g) {
    return taps_of(g) * g->ci * nn_lanes(g->co);
}

/* Products read up to a whole vector behind the last column that a tap sees. */
static size_t behind(const nn_planar *g) {
    return nn_lanes(g->width - g->ow + G);
}

static size_t staged(const nn_planar *g) {
    return nn_lanes(g->ci * g->seen_h * g->seen_w * plane_of(g)) + behind(g);
}

static size_t places(const nn_planar *g) {
    return nn_lanes(taps_of(g) * g->ci * sizeof(size_t) / sizeof(float));
}

static size_t line(const nn_planar *g) {
    size_t most = g->s.w > g->s.ow ? g->s.w : g->s.ow;
    return nn_lanes(most);
}

size_t nn_planar_scratch(const nn_planar *g) {
    return places(g) + staged(g) + positions(g) * g->co * (g->backward ? g->s.sw : 1) + line(g);
}

/* --- weights ------------------------------------------------------------------------- */

/* The taps that give phase (py, px): number and where they look, from a position's own
 * place in the first plane. */
static size_t taps_in(size_t *tap, size_t *at, const nn_planar *g, size_t py, size_t px) {
    const nn_conv *s = &g->s;
    size_t n = 0;
    ptrdiff_t dy, dx;
    for (size_t t = 0; t < taps_of(g); t++) {
        size_t ky = t / s->kw, kx = t % s->kw;
        if (!g->backward) {
            size_t plane = ky % s->sh * g->seen_w + kx % s->sw;
            at[n] = plane * plane_of(g) + ky / s->sh * g->width + kx / s->sw;
        } else {
            if (!nn_reaches(&dy, py, ky, s->sh, s->ph) || !nn_reaches(&dx, px, kx, s->sw, s->pw))
                continue;
            at[n] = (size_t)(dy - g->above) * g->width + (size_t)(dx - g->left);
        }
        tap[n++] = t;
    }
    return n;
}

static size_t phases(const nn_planar *g, bool down) {
    return !g->backward ? 1 : down ? g->s.sh : g->s.sw;
}

/* u: phase by phase, (ci, the taps of the phase, 16) for every 16 channels that come out. */
void nn_planar_pack(float *u, const float *w, const nn_planar *g, size_t group) {
    size_t tap[NN_PLANAR_TAPS], at[NN_PLANAR_TAPS], all = taps_of(g), first = group * G;
    size_t by_out = all * (g->backward ? 1 : g->ci), by_in = all * (g->backward ? g->co : 1);
    for (size_t py = 0; py < phases(g, true); py++)
        for (size_t px = 0; px < phases(g, false); px++) {
            size_t taps = taps_in(tap, at, g, py, px);
            float *to = u + group * g->ci * taps * G;
            for (size_t c = 0; c < g->ci; c++)
                for (size_t t = 0; t < taps; t++, to += G)
                    for (size_t j = 0; j < G; j++)
                        to[j] =
                            first + j < g->co ? w[(first + j) * by_out + c * by_in + tap[t]] : 0;
            u += taps * g->ci * nn_lanes(g->co);
        }
}

/* --- staging ------------------------------------------------------------------------- */

/* Rows of `width` values: `first` zeros, then every step-th of a row of the map up to `end`,
 * then zeros. From one row to the next `apart` values in the map. */
BC_EACH_CPU(static, pick_rows,
            (float *restrict to, const float *restrict from, size_t rows, size_t apart, size_t step,
             size_t first, size_t end, size_t width),
            (to, from, rows, apart, step, first, end, width)) {
    for (size_t j = 0; j < rows; j++, to += width, from += apart) {
        for (size_t i = 0; i < first; i++) to[i] = 0;
        if (step == 1)
            for (size_t i = 0; i < end - first; i++) to[first + i] = from[i];
        else if (step == 2)
            for (size_t i = 0; i < end - first; i++) to[first + i] = from[2 * i];
        else
            for (size_t i = 0; i < end - first; i++) to[first + i] = from[i * step];
        for (size_t i = end; i < width; i++) to[i] = 0;
    }
}

/* Places 0 .. count-1 look at start, start + step, ...: those in [*first, *end) at some of
 * 0 .. extent-1. */
static void places_within(size_t *first, size_t *end, ptrdiff_t start, size_t step, size_t extent,
                          size_t count) {
    ptrdiff_t by = (ptrdiff_t)step, last = (ptrdiff_t)extent - 1;
    *first = start < 0 ? (size_t)((by - 1 - start) / by) : 0;
    *end = start <= last ? (size_t)((last - start) / by) + 1 : 0;
    if (*end > count) *end = count;
    if (*first > *end) *first = *end;
}

/* One phase of one channel of a sample, whose map begins at value `at`. */
static void stage_plane(float *to, const void *map, enum nn_storage as, size_t at,
                        const nn_planar *g, ptrdiff_t top, ptrdiff_t left, float *wide) {
    size_t rows = g->rows + g->below, j0, j1, i0, i1, apart = g->sh * g->w;
    places_within(&j0, &j1, top, g->sh, g->h, rows);
    places_within(&i0, &i1, left, g->sw, g->w, g->width);
    size_t column = i0 < i1 ? (size_t)(left + (ptrdiff_t)(i0 * g->sw)) : 0;
    if (j0 < j1) at += (size_t)(top + (ptrdiff_t)(j0 * g->sh)) * g->w;
    memset(to, 0, j0 * g->width * sizeof *to);
    if (as == NN_AS_F32)
        pick_rows(to + j0 * g->width, (const float *)map + at + column, j1 - j0, apart, g->sw, i0,
                  i1, g->width);
    for (size_t j = j0; as != NN_AS_F32 && j < j1; j++, at += apart) {
        nn_widen(wide, (const uint16_t *)map + at, as, g->w);
        pick_rows(to + j * g->width, wide + column, 1, 0, g->sw, i0, i1, g->width);
    }
    memset(to + j1 * g->width, 0, (rows - j1) * g->width * sizeof *to);
}

/* What positions of the rows from r0 on of sample n see. */
static void stage(float *to, const void *map, enum nn_storage as, const nn_planar *g, size_t n,
                  size_t r0, float *wide) {
    for (size_t c = 0; c < g->ci; c++)
        for (size_t py = 0; py < g->seen_h; py++)
            for (size_t px = 0; px < g->seen_w; px++, to += plane_of(g))
                stage_plane(to, map, as, (c * g->s.n + n) * g->h * g->w, g,
                            (ptrdiff_t)(r0 * g->sh + py) + g->above, g->left + (ptrdiff_t)px, wide);
    memset(to, 0, behind(g) * sizeof *to);
}

/* --- results ------------------------------------------------------------------------- */

/* Rows of n values, `apart` values from one to the next in `from`, one behind the other in
 * the map. */
BC_EACH_CPU(static, lay_rows,
            (float *restrict to, const float *restrict from, size_t rows, size_t apart, float bias,
             bool add, size_t n),
            (to, from, rows, apart, bias, add, n)) {
    for (size_t j = 0; j < rows; j++, to += n, from += apart) {
        if (add)
            for (size_t i = 0; i < n; i++) to[i] += from[i] + bias;
        else
            for (size_t i = 0; i < n; i++) to[i] = from[i] + bias;
    }
}

BC_EACH_CPU(static, lay,
            (float *restrict to, const float *restrict from, size_t step, float bias, bool add,
             size_t n),
            (to, from, step, bias, add, n)) {
    if (add)
        for (size_t i = 0; i < n; i++) to[i * step] += from[i] + bias;
    else
        for (size_t i = 0; i < n; i++) to[i * step] = from[i] + bias;
}

/* The two phases of a row of n values, at once. */
BC_EACH_CPU(static, weave,
            (float *restrict to, const float *restrict even, const float *restrict odd, bool add,
             size_t n),
            (to, even, odd, add, n)) {
    size_t pairs = n / 2;
    if (add)
        for (size_t i = 0; i < pairs; i++) to[2 * i] += even[i], to[2 * i + 1] += odd[i];
    else
        for (size_t i = 0; i < pairs; i++) to[2 * i] = even[i], to[2 * i + 1] = odd[i];
    if (n % 2 == 1) to[n - 1] = even[pairs] + (add ? to[n - 1] : 0);
}

/* One row of the result: columns p, p + sw, ... from phase p of `from`, `apart` floats from
 * one phase to the next. */
static void put_row(void *map, enum nn_storage as, size_t at, const float *from, size_t apart,
                    size_t phase_count, size_t width, float bias, bool add, float *wide) {
    float *to = as == NN_AS_F32 ? (float *)map + at : wide;
    uint16_t *narrow = (uint16_t *)map + at;
    if (as != NN_AS_F32 && add) nn_widen(wide, narrow, as, width);
    if (phase_count == 2) weave(to, from, from + apart, add, width);
    for (size_t p = 0; phase_count != 2 && p < phase_count && p < width; p++)
        lay(to + p, from + p * apart, phase_count, bias, add, up(width - p, phase_count));
    if (as != NN_AS_F32) nn_narrow(narrow, wide, as, width);
}

static void put(void *map, enum nn_storage as, const float *out, const float *bias,
                const nn_planar *g, bool add, size_t n, size_t r0, size_t py, float *wide) {
    size_t down = phases(g, true), across = phases(g, false), all = positions(g);
    size_t h = g->backward ? g->s.h : g->oh, w = g->backward ? g->s.w : g->ow;
    for (size_t c = 0; c < g->co; c++) {
        if (as == NN_AS_F32 && down == 1 && across == 1) {
            lay_rows((float *)map + ((c * g->s.n + n) * h + r0) * w, out + c * all,
                     h - r0 < g->rows ? h - r0 : g->rows, g->width, bias == NULL ? 0 : bias[c], add,
                     w);
            continue;
        }
        for (size_t j = 0; j < g->rows; j++) {
            size_t y = (r0 + j) * down + py;
            if (y >= h) break;
            put_row(map, as, ((c * g->s.n + n) * h + y) * w, out + c * all + j * g->width,
                    g->co * all, across, w, bias == NULL ? 0 : bias[c], add, wide);
        }
    }
}

void nn_planar_block(void *to, enum nn_storage to_as, const void *from, enum nn_storage from_as,
                     const float *u, const float *bias, const nn_planar *g, bool add, size_t i,
                     float *scratch) {
    size_t tap[NN_PLANAR_TAPS], at[NN_PLANAR_TAPS], all = positions(g);
    size_t n = i / g->down, r0 = i % g->down * g->rows, across = phases(g, false);
    size_t *place = (size_t *)(void *)scratch;
    float *seen = scratch + places(g), *out = seen + staged(g), *wide = out + all * g->co * across;
    stage(seen, from, from_as, g, n, r0, wide);
    for (size_t py = 0; py < phases(g, true); py++) {
        for (size_t px = 0; px < across; px++) {
            size_t taps = taps_in(tap, at, g, py, px), k = taps * g->ci;
            float *result = out + px * g->co * all;
            for (size_t c = 0; c < k; c++)
                place[c] = c / taps * g->seen_h * g->seen_w * plane_of(g) + at[c % taps];
            nn_factors f = {.a = u, .a_row = k * G, .a_step = G, .b = seen, .b_rows = place};
            f.m = g->co, f.n = g->rows * g->width, f.k = k;
            if (k > 0)
                nn_product_best()(result, all, &f, false);
            else
                memset(result, 0, g->co * all * sizeof *result);
            u += k * nn_lanes(g->co);
        }
        put(to, to_as, out, bias, g, add, n, r0, py, wide);
    }
}

/* --- gradient of the weights ------------------------------------------------------------- */

size_t nn_planar_sum_scratch(const nn_planar *g) {
    return places(g) + staged(g) + positions(g) * g->co + g->co * g->ci * taps_of(g) * G + line(g);
}

/* dy of a block's positions, 0 in the columns between rows. */
static void take_gradient(float *to, const void *dy, enum nn_storage as, const nn_planar *g,
                          size_t n, size_t r0) {
    size_t all = positions(g), rows = g->oh - r0 < g->rows ? g->oh - r0 : g->rows;
    for (size_t o = 0; o < g->co; o++, to += all) {
        size_t at = ((o * g->s.n + n) * g->oh + r0) * g->ow;
        if (as == NN_AS_F32)
            pick_rows(to, (const float *)dy + at, rows, g->ow, 1, 0, g->ow, g->width);
        for (size_t j = 0; as != NN_AS_F32 && j < rows; j++, at += g->ow) {
            nn_widen(to + j * g->width, (const uint16_t *)dy + at, as, g->ow);
            memset(to + j * g->width + g->ow, 0, (g->width - g->ow) * sizeof *to);
        }
        memset(to + rows * g->width, 0, (all - rows * g->width) * sizeof *to);
    }
}

void nn_planar_weight_gradient(float *dw, const void *x, enum nn_storage x_as, const void *dy,
                               enum nn_storage dy_as, const nn_planar *g, size_t first, size_t last,
                               float *scratch) {
    size_t tap[NN_PLANAR_TAPS], at[NN_PLANAR_TAPS], taps = taps_in(tap, at, g, 0, 0);
    size_t k = taps * g->ci, all = positions(g), *place = (size_t *)(void *)scratch;
    float *seen = scratch + places(g), *grad = seen + staged(g), *sum = grad + all * g->co;
    float *wide = sum + g->co * k * G;
    for (size_t c = 0; c < k; c++)
        place[c] = c / taps * g->seen_h * g->seen_w * plane_of(g) + at[c % taps];
    memset(sum, 0, g->co * k * G * sizeof *sum);
    for (size_t i = first; i < last; i++) {
        size_t n = i / g->down, r0 = i % g->down * g->rows;
        stage(seen, x, x_as, g, n, r0, wide);
        take_gradient(grad, dy, dy_as, g, n, r0);
        nn_factors f = {.a = grad, .a_row = all, .b = seen, .b_rows = place};
        f.m = g->co, f.n = k, f.k = all;
        nn_dots_best()(sum, &f);
    }
    for (size_t i = 0; i < g->co * k; i++, sum += G) {
        float total = 0;
        for (size_t j = 0; j < G; j++) total += sum[j];
        dw[i] = total;
    }
}
