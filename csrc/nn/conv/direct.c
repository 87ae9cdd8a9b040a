/* direct.c: convolutions as products over rows whose channels lie side by side. */
#include "direct.h"

#include <string.h>

#include "../../support/cpu.h"
#include "interleave.h"
#include "products.h"
#include "products_bf16.h"
#include "reach.h"

#define STAGED (256 * 1024) /* floats of a block's rows: a part of a core's L2 */
#define POSITIONS 192       /* of a block, if they fit */

#define PACKED (512 * 1024) /* values in bf16 of a block's positions and their taps */

enum { G = NN_LANES, PANEL = 48 };

/* Channels as they lie side by side; few are packed, so that the taps of a row
 * are one run of values. */
static size_t channel_stride(size_t channels) {
    return channels < G ? channels : nn_lanes(channels);
}

static size_t width_of(size_t lanes, size_t first) {
    return lanes - first < PANEL ? lanes - first : PANEL;
}

/* The map that positions gather from. */
static void gather_geometry(nn_direct *g, const nn_conv *s, bool backward) {
    *g = (nn_direct){.s = *s, .seen = *s};
    nn_conv *v = &g->seen;
    if (backward) {
        *v = (nn_conv){.n = s->n, .ci = s->co, .co = s->ci, .h = s->oh, .w = s->ow};
        v->oh = (s->h + s->sh - 1) / s->sh, v->ow = (s->w + s->sw - 1) / s->sw;
        v->kh = nn_reach(&g->above, s->kh, s->sh, s->ph);
        v->kw = nn_reach(&g->left, s->kw, s->sw, s->pw);
        v->sh = v->sw = 1, v->ph = (size_t)-g->above, v->pw = (size_t)-g->left;
    }
    g->co = nn_lanes(v->co);
    g->width = (v->ow - 1) * v->sw + v->kw;
    g->rows = v->n * v->oh;
}

static void choose_block(nn_direct *g, size_t positions) {
    size_t most = STAGED / (g->seen.kh * g->width * g->ci);
    g->block = (positions + g->seen.ow - 1) / g->seen.ow;
    if (g->block > most) g->block = most;
    if (g->block > g->rows) g->block = g->rows;
    if (g->block == 0) g->block = 1;
}

void nn_direct_cut(nn_direct *g, const nn_conv *s, bool backward) {
    gather_geometry(g, s, backward);
    g->ci = channel_stride(g->seen.ci);
    choose_block(g, POSITIONS);
}

void nn_direct_cut_bf16(nn_direct *g, const nn_conv *s, bool backward) {
    gather_geometry(g, s, backward);
    g->bf16 = true;
    g->ci = (g->seen.ci + NN_BF16_DEPTH - 1) / NN_BF16_DEPTH * NN_BF16_DEPTH;
    size_t most = PACKED / (s->kh * s->kw * g->ci);
    choose_block(g, most < 32 ? 32 : most > POSITIONS ? POSITIONS : most);
}

/* Bytes of a value as it is staged. */
static size_t value_size(const nn_direct *g) {
    return g->bf16 ? sizeof(uint16_t) : sizeof(float);
}

size_t nn_direct_weights(const nn_direct *g) {
    return g->s.kh * g->s.kw * g->ci * g->co / (g->bf16 ? 2 : 1);
}

static size_t staged(const nn_direct *g) {
    return nn_lanes(g->block * g->seen.kh * g->width * g->ci / (g->bf16 ? 2 : 1) + G);
}

/* Outputs of a block: a row of input values for every row of positions backward. */
static size_t output_size(const nn_direct *g, bool backward) {
    size_t behind = g->bf16 ? NN_BF16_ROWS : 0;
    return (g->block * g->seen.ow + behind) * g->co * (backward ? g->s.sw : 1);
}

/* What the positions of a block see, tap for tap. */
static size_t packed(const nn_direct *g) {
    if (!g->bf16) return 0;
    size_t rows = (g->block * g->seen.ow + NN_BF16_ROWS - 1) / NN_BF16_ROWS * NN_BF16_ROWS;
    return rows * g->s.kh * g->s.kw * g->ci / 2;
}

static size_t wide_row(const nn_direct *g) {
    size_t most = g->s.w > g->s.ow ? g->s.w : g->s.ow;
    return 16 * most;
}

static size_t places(const nn_direct *g) {
    return nn_lanes(g->block * g->seen.ow * sizeof(size_t) / sizeof(float));
}

size_t nn_direct_scratch(const nn_direct *g) {
    return places(g) + staged(g) + output_size(g, true) + packed(g) + wide_row(g) + 64;
}

/* --- staging ------------------------------------------------------------------------- */

/* Channels [c0, c0 + ci) of one row of the map, side by side. */
static void take_channels(void *to, const void *map, enum nn_storage as, const nn_direct *g,
                          size_t at, size_t c0, size_t n, float *wide) {
    size_t plane = g->seen.n * g->seen.h * g->seen.w, step = g->bf16 ? NN_BF16_DEPTH : G;
    for (size_t c = 0; c < g->ci; c += step) {
        size_t left = c0 + c < g->seen.ci ? g->seen.ci - c0 - c : 0;
        size_t channels = left < step ? left : step;
        const char *from = map;
        if (channels > 0) from += (c0 + c) * plane * nn_storage_size(as);
        if (g->bf16)
            nn_take_row_16((uint16_t *)to + c, g->ci, (const uint16_t *)(const void *)from + at,
                           plane, channels, n);
        else
            nn_take_row((float *)to + c, g->ci, from, as, at, plane, channels, n, wide);
    }
}

/* One row of the map, or of padding: (width, ci). */
static void stage_row(char *to, const void *map, enum nn_storage as, const nn_direct *g, size_t n,
                      size_t y, size_t c0, float *wide) {
    const nn_conv *v = &g->seen;
    size_t left = v->pw < g->width ? v->pw : g->width, column = g->ci * value_size(g);
    size_t have = g->width - left < v->w ? g->width - left : v->w, end = left + have;
    if (y >= v->h) {
        memset(to, 0, g->width * column);
        return;
    }
    memset(to, 0, left * column);
    take_channels(to + left * column, map, as, g, (n * v->h + y) * v->w, c0, have, wide);
    memset(to + end * column, 0, (g->width - end) * column);
}

/* Rows [r0, r1) of positions: what they see, from channel c0; place: where the
 * first tap of each position lies. */
static void stage(void *to, size_t *place, const void *map, enum nn_storage as, const nn_direct *g,
                  size_t r0, size_t r1, size_t c0, float *wide) {
    const nn_conv *v = &g->seen;
    size_t start = 0, end = 0;
    for (size_t r = r0; r < r1; r++) {
        size_t n = r / v->oh, y = r % v->oh;
        start = r > r0 && y > 0 && v->sh < v->kh ? start + v->sh : end;
        for (size_t k = end - start; k < v->kh; k++, end++)
            stage_row((char *)to + end * g->width * g->ci * value_size(g), map, as, g, n,
                      y * v->sh + k - v->ph, c0, wide);
        for (size_t x = 0; x < v->ow; x++) *place++ = (start * g->width + x * v->sw) * g->ci;
    }
}

static size_t *places_in(float *scratch) {
    return (size_t *)(void *)scratch;
}

/* --- forward: a product for each row of taps -------------------------------------------- */

/* The same in bf16: tiles of 16 pairs of channels by 16 outputs by 2. */
static void pack_bf16(uint16_t *u, const float *w, const nn_direct *g, bool backward,
                      size_t group) {
    size_t taps = g->s.kh * g->s.kw, first = group * G, left = g->seen.co - first;
    size_t count = left < G ? left : G;
    size_t by_out = taps * (backward ? 1 : g->s.ci), by_in = taps * (backward ? g->s.ci : 1);
    u += group * taps * g->ci * G;
    for (size_t t = 0; t < taps; t++)
        for (size_t c = 0; c < g->ci; c++) {
            const float *from = w + first * by_out + c * by_in + t;
            uint16_t *to = u + (t * g->ci + c / 2 * 2) * G + c % 2, bf16[G] = {0};
            float row[G] = {0};
            for (size_t j = 0; j < count && c < g->seen.ci; j++) row[j] = from[j * by_out];
            nn_narrow(bf16, row, NN_AS_BF16, G);
            for (size_t j = 0; j < G; j++) to[2 * j] = bf16[j];
        }
}

void nn_direct_pack(float *u, const float *w, const nn_direct *g, bool backward, size_t group) {
    if (g->bf16) {
        pack_bf16((uint16_t *)(void *)u, w, g, backward, group);
        return;
    }
    size_t taps = g->s.kh * g->s.kw, first = group * G, lane = first / PANEL * PANEL;
    size_t width = width_of(g->co, lane), left = g->seen.co - first, count = left < G ? left : G;
    size_t by_out = taps * (backward ? 1 : g->s.ci), by_in = taps * (backward ? g->s.ci : 1);
    for (size_t t = 0; t < taps; t++)
        for (size_t c = 0; c < g->ci; c++) {
            /* forward: a row of taps is one run of kw * ci values */
            size_t row = backward ? t : t / g->s.kw, run = backward ? g->ci : g->s.kw * g->ci;
            size_t k = backward ? c : t % g->s.kw * g->ci + c;
            float *to = u + row * run * g->co + lane * run + k * width + first % PANEL;
            const float *from = w + first * by_out + c * by_in + t;
            for (size_t j = 0; j < G; j++)
                to[j] = j < count && c < g->seen.ci ? from[j * by_out] : 0;
        }
}

void nn_direct_forward(void *y, enum nn_storage y_as, const void *x, enum nn_storage x_as,
                       const float *u, const float *bias, const nn_direct *g, bool add, size_t i,
                       float *scratch) {
    const nn_conv *s = &g->s;
    size_t r0 = i * g->block, r1 = r0 + g->block < g->rows ? r0 + g->block : g->rows;
    size_t *place = places_in(scratch), run = s->kw * g->ci, plane = s->n * s->oh * s->ow;
    float *seen = scratch + places(g), *out = seen + staged(g), *after = out + output_size(g, true);
    float *wide = after + packed(g);
    uint16_t *bf16 = (uint16_t *)(void *)after;
    stage(seen, place, x, x_as, g, r0, r1, 0, wide);
    for (size_t o = 0; !g->bf16 && o < g->co; o += PANEL)
        for (size_t ky = 0; ky < s->kh; ky++) {
            nn_factors f = {.a = seen + ky * g->width * g->ci, .a_rows = place, .k = run};
            f.b = u + ky * run * g->co + o * run;
            f.m = (r1 - r0) * s->ow, f.n = f.b_row = width_of(g->co, o);
            nn_product_best()(out + o, g->co, &f, ky > 0);
        }
    if (g->bf16) {
        size_t tap[NN_BF16_TAPS], weight[NN_BF16_TAPS], taps = s->kh * s->kw;
        for (size_t t = 0; t < taps; t++)
            tap[t] = (t / s->kw * g->width + t % s->kw) * g->ci, weight[t] = t;
        nn_bf16_taps k = {.place = place, .tap = tap, .weight = weight, .depth = g->ci};
        k.a = (const uint16_t *)(const void *)seen, k.b = (const uint16_t *)(const void *)u;
        k.taps = k.of_taps = taps;
        nn_bf16_taps_product(out, g->co, &k, (r1 - r0) * s->ow, g->co, bf16);
    }
    for (size_t r = r0; r < r1; r++, out += s->ow * g->co)
        for (size_t o = 0; o < s->co; o += G)
            nn_put_row((char *)y + o * plane * nn_storage_size(y_as), y_as, r * s->ow, plane,
                       out + o, g->co, bias == NULL ? NULL : bias + o, add,
                       s->co - o < G ? s->co - o : G, s->ow, wide);
}

/* --- gradient of the input: a product for each tap, of the positions it reaches ----------- */

/* Positions x = px + sw * b of rows y = py + sh * a: out (a, b*sw + px, co). */
static void reach_phase(float *out, const float *seen, const size_t *place, const float *u,
                        const nn_direct *g, size_t m, size_t py, size_t px, uint16_t *bf16) {
    const nn_conv *s = &g->s;
    size_t tap[NN_BF16_TAPS], weight[NN_BF16_TAPS], taps = 0;
    bool some = false;
    ptrdiff_t dy, dx;
    for (size_t t = 0; t < s->kh * s->kw; t++) {
        if (!nn_reaches(&dy, py, t / s->kw, s->sh, s->ph) ||
            !nn_reaches(&dx, px, t % s->kw, s->sw, s->pw))
            continue;
        size_t at = (size_t)(dy - g->above) * g->width + (size_t)(dx - g->left);
        if (g->bf16) tap[taps] = at * g->ci, weight[taps++] = t;
        for (size_t c = 0; !g->bf16 && c < g->co; c += PANEL) {
            nn_factors f = {.a = seen + at * g->ci, .a_rows = place, .k = g->ci, .m = m};
            f.b = u + t * g->ci * g->co + c * g->ci;
            f.n = f.b_row = width_of(g->co, c);
            nn_product_best()(out + c, s->sw * g->co, &f, some);
        }
        some = true;
    }
    if (taps > 0) {
        nn_bf16_taps k = {.place = place, .tap = tap, .weight = weight, .taps = taps};
        k.a = (const uint16_t *)(const void *)seen, k.b = (const uint16_t *)(const void *)u;
        k.of_taps = s->kh * s->kw, k.depth = g->ci;
        nn_bf16_taps_product(out, s->sw * g->co, &k, m, g->co, bf16);
    }
    for (size_t i = 0; !some && i < m; i++) memset(out + i * s->sw * g->co, 0, g->co * sizeof *out);
}

void nn_direct_backward(void *dx, enum nn_storage dx_as, const void *dy, enum nn_storage dy_as,
                        const float *u, const nn_direct *g, bool add, size_t i, float *scratch) {
    const nn_conv *s = &g->s, *v = &g->seen;
    size_t r0 = i * g->block, r1 = r0 + g->block < g->rows ? r0 + g->block : g->rows;
    size_t *place = places_in(scratch), plane = s->n * s->h * s->w, m = (r1 - r0) * v->ow;
    size_t row = v->ow * s->sw * g->co; /* of out */
    float *seen = scratch + places(g), *out = seen + staged(g), *after = out + output_size(g, true);
    float *wide = after + packed(g);
    uint16_t *bf16 = (uint16_t *)(void *)after;
    stage(seen, place, dy, dy_as, g, r0, r1, 0, wide);
    for (size_t py = 0; py < s->sh; py++) {
        for (size_t px = 0; px < s->sw; px++)
            reach_phase(out + px * g->co, seen, place, u, g, m, py, px, bf16);
        for (size_t r = r0; r < r1; r++) {
            size_t y = r % v->oh * s->sh + py, at = (r / v->oh * s->h + y) * s->w;
            if (y >= s->h) continue;
            for (size_t c = 0; c < s->ci; c += G)
                nn_put_row((char *)dx + c * plane * nn_storage_size(dx_as), dx_as, at, plane,
                           out + (r - r0) * row + c, g->co, NULL, add,
                           s->ci - c < G ? s->ci - c : G, s->w, wide);
        }
    }
}

/* --- gradient of the weights ----------------------------------------------------------------- */

void nn_direct_sum_cut(nn_direct_sum *k, const nn_conv *s) {
    *k = (nn_direct_sum){.inputs = s->ci <= 64 ? 32 : 48, .outputs = s->co <= 128 ? 32 : 64};
    if (k->inputs > s->ci) k->inputs = s->ci;
    k->across = (s->ci + k->inputs - 1) / k->inputs;
    k->down = (s->co + k->outputs - 1) / k->outputs;
    nn_direct_cut(&k->g, s, false);
    k->g.ci = channel_stride(k->inputs), k->g.co = k->outputs;
    size_t most = STAGED / 2 / (s->kh * k->g.width * k->g.ci), want = (256 + s->ow - 1) / s->ow;
    k->g.block = want < most ? want : most;
    if (k->g.block > k->g.rows) k->g.block = k->g.rows;
    if (k->g.block == 0) k->g.block = 1;
}

/* Floats of one row of taps of a part. */
static size_t run_size(const nn_direct_sum *k) {
    return k->outputs * nn_lanes(k->g.s.kw * k->g.ci);
}

size_t nn_direct_sum_scratch(const nn_direct_sum *k) {
    const nn_direct *g = &k->g;
    return places(g) + staged(g) + g->block * g->s.ow * k->outputs + G + g->s.kh * run_size(k) +
           wide_row(g) + 64;
}

void nn_direct_sum_part(float *dw, const void *x, enum nn_storage x_as, const void *dy,
                        enum nn_storage dy_as, const nn_direct_sum *k, size_t i, float *scratch) {
    const nn_direct *g = &k->g;
    const nn_conv *s = &g->s;
    size_t c0 = i % k->across * k->inputs, o0 = i / k->across * k->outputs;
    size_t inputs = s->ci - c0 < k->inputs ? s->ci - c0 : k->inputs;
    size_t outputs = s->co - o0 < k->outputs ? s->co - o0 : k->outputs;
    size_t plane = s->n * s->oh * s->ow, run = s->kw * g->ci, lanes = nn_lanes(run);
    size_t *place = places_in(scratch);
    float *seen = scratch + places(g), *grad = seen + staged(g);
    float *sum = grad + g->block * s->ow * k->outputs + G, *wide = sum + s->kh * run_size(k);
    for (size_t r0 = 0; r0 < g->rows; r0 += g->block) {
        size_t r1 = r0 + g->block < g->rows ? r0 + g->block : g->rows, m = (r1 - r0) * s->ow;
        stage(seen, place, x, x_as, g, r0, r1, c0, wide);
        for (size_t r = r0; r < r1; r++)
            for (size_t o = 0; o < outputs; o += G)
                nn_take_row(grad + (r - r0) * s->ow * k->outputs + o, k->outputs,
                            (const char *)dy + (o0 + o) * plane * nn_storage_size(dy_as), dy_as,
                            r * s->ow, plane, outputs - o < G ? outputs - o : G, s->ow, wide);
        for (size_t ky = 0; ky < s->kh; ky++)
            for (size_t c = 0; c < run; c += PANEL) {
                nn_factors f = {.a = grad, .a_row = NN_PANEL, .a_step = k->outputs};
                f.b = seen + ky * g->width * g->ci + c, f.b_rows = place;
                f.m = outputs, f.n = width_of(lanes, c), f.k = m;
                nn_product_best()(sum + ky * run_size(k) + c, lanes, &f, r0 > 0);
            }
    }
    for (size_t o = 0; o < outputs; o++)
        for (size_t c = 0; c < inputs; c++) {
            float *to = dw + ((o0 + o) * s->ci + c0 + c) * s->kh * s->kw;
            for (size_t t = 0; t < s->kh * s->kw; t++)
                to[t] += sum[t / s->kw * run_size(k) + o * lanes + t % s->kw * g->ci + c];
        }
}
