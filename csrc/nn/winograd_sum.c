/* winograd_sum.c: the weight gradient of Winograd's convolution. Here sixteen
 * channels lie side by side, so that the points come out as the product, which
 * runs over tiles, reads them. */
#include <string.h>

#include "../support/clones.h"
#include "products.h"
#include "winograd.h"

#define INLINE static inline __attribute__((always_inline))
#define PARTIAL_FLOATS (6 * 1024 * 1024) /* of all partial sums */
#define SHARED_TILES 288                 /* of a block that all workers share */

enum { G = NN_LANES };

void nn_winograd_sum_cut(nn_winograd_sum *k, const nn_conv *s) {
    *k = (nn_winograd_sum){.partials = 1};
    nn_winograd_cut(&k->g, s);
    k->columns = nn_lanes(s->ci);
    k->sum = s->co * k->columns + NN_LANES;
    if (36 * k->sum <= PARTIAL_FLOATS / 8) {
        size_t most = PARTIAL_FLOATS / (36 * k->sum);
        k->partials = most > 16 ? 16 : most;
        k->block = k->g.block;
    } else {
        k->block = SHARED_TILES / k->g.across;
    }
    if (k->block == 0) k->block = 1;
    if (k->block > k->g.rows) k->block = k->g.rows;
    size_t tiles = k->block * k->g.across;
    k->in = tiles * k->columns + NN_LANES;
    k->out = nn_panels(s->co, tiles) + NN_LANES;
}

size_t nn_winograd_sum_size(const nn_winograd_sum *k) {
    return 36 * k->sum;
}

size_t nn_winograd_sum_points(const nn_winograd_sum *k) {
    return 36 * (k->in + k->out);
}

static size_t row_width(const nn_winograd_sum *k) {
    return (NN_TILE * k->g.across + 2) * G;
}

size_t nn_winograd_sum_scratch(const nn_winograd_sum *k) {
    return NN_POINTS * row_width(k);
}

size_t nn_winograd_sum_groups(const nn_winograd_sum *k) {
    return k->columns / G + (k->g.s.co + G - 1) / G;
}

/* --- points of sixteen channels ------------------------------------------------------ */

/* A map of sixteen channels (or fewer, the others 0), `plane` values apart. */
typedef struct source {
    const void *map;
    enum nn_storage as;
    size_t plane, h, w, above, left, channels, taps; /* taps: rows and columns of a tile */
} source;

/* rows (taps, columns, 16) of the tile row at map row y0, which may wrap below 0. */
BC_CLONES static void take_rows(float *restrict rows, size_t width, const source *from, size_t n,
                                size_t y0) {
    size_t columns = width / G;
    for (size_t p = 0; p < from->taps; p++, rows += width) {
        size_t y = y0 + p, at = (n * from->h + y) * from->w;
        if (y >= from->h) {
            memset(rows, 0, width * sizeof *rows);
            continue;
        }
        size_t have = columns - from->left < from->w ? columns - from->left : from->w;
        memset(rows, 0, from->left * G * sizeof *rows);
        float *to = rows + from->left * G;
        memset(to + have * G, 0, (columns - from->left - have) * G * sizeof *rows);
        for (size_t j = 0; j < from->channels; j++) {
            const char *map = from->map;
            if (from->as == NN_AS_F32) {
                const float *row = (const float *)(const void *)map + j * from->plane + at;
                for (size_t i = 0; i < have; i++) to[i * G + j] = row[i];
            } else {
                float wide[64];
                for (size_t i0 = 0; i0 < have; i0 += 64) {
                    size_t count = have - i0 < 64 ? have - i0 : 64;
                    nn_widen(wide, map + (j * from->plane + at + i0) * 2, from->as, count);
                    for (size_t i = 0; i < count; i++) to[(i0 + i) * G + j] = wide[i];
                }
            }
        }
        for (size_t j = from->channels; j < G; j++)
            for (size_t i = 0; i < have; i++) to[i * G + j] = 0;
    }
}

/* B^T d along one side: six vectors, `step` apart, to six. */
INLINE void input_side(float *to, size_t stride, const float *from, size_t step) {
    for (int j = 0; j < G; j++) {
        float d0 = from[j], d1 = from[step + j], d2 = from[2 * step + j], d3 = from[3 * step + j];
        float d4 = from[4 * step + j], d5 = from[5 * step + j];
        float a = d4 - 4 * d2, b = d3 - 4 * d1, c = d4 - d2, e = 2 * (d3 - d1);
        to[j] = 4 * d0 - 5 * d2 + d4;
        to[stride + j] = a + b;
        to[2 * stride + j] = a - b;
        to[3 * stride + j] = c + e;
        to[4 * stride + j] = c - e;
        to[5 * stride + j] = 4 * d1 - 5 * d3 + d5;
    }
}

/* A d along one side: four vectors to six. */
INLINE void gradient_side(float *to, size_t stride, const float *from, size_t step) {
    for (int j = 0; j < G; j++) {
        float y0 = from[j], y1 = from[step + j], y2 = from[2 * step + j], y3 = from[3 * step + j];
        float a = y0 + y2, b = y1 + y3, c = y0 + 4 * y2, e = 2 * y1 + 8 * y3;
        to[j] = y0;
        to[stride + j] = a + b;
        to[2 * stride + j] = a - b;
        to[3 * stride + j] = c + e;
        to[4 * stride + j] = c - e;
        to[5 * stride + j] = y3;
    }
}

/* Where the points of a tile go: `stride` from point to point, eight channels
 * at a time, `half` from the first eight to the second (0: there is no second). */
typedef struct target {
    float *to;
    size_t stride, tile, half;
} target;

INLINE void spread(const target *at, const float *from, size_t q) {
    float *to = at->to + q * at->stride;
    for (int j = 0; j < 8; j++) to[j] = from[j];
    if (at->half == 0) return;
    for (int j = 0; j < 8; j++) to[at->half + j] = from[8 + j];
}

BC_CLONES static void input_tiles(target at, const float *rows, size_t width, size_t across) {
    float half[6][6][G], points[6][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at.to += at.tile) {
        for (int i = 0; i < 6; i++) input_side(half[0][i], 6 * G, rows + i * G, width);
        for (size_t p = 0; p < 6; p++) {
            input_side(points[0], G, half[p][0], G);
            for (size_t q = 0; q < 6; q++) spread(&at, points[q], p * 6 + q);
        }
    }
}

BC_CLONES static void gradient_tiles(target at, const float *rows, size_t width, size_t across) {
    float half[6][4][G], points[6][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at.to += at.tile) {
        for (int i = 0; i < 4; i++) gradient_side(half[0][i], 4 * G, rows + i * G, width);
        for (size_t p = 0; p < 6; p++) {
            gradient_side(points[0], G, half[p][0], G);
            for (size_t q = 0; q < 6; q++) spread(&at, points[q], p * 6 + q);
        }
    }
}

static size_t rows_of(const nn_winograd_sum *k, size_t block) {
    size_t first = block * k->block, left = k->g.rows - first;
    return left < k->block ? left : k->block;
}

void nn_winograd_sum_take(float *points, const void *x, enum nn_storage x_as, const void *dy,
                          enum nn_storage dy_as, const nn_winograd_sum *k, size_t block,
                          size_t group, float *scratch) {
    const nn_winograd *g = &k->g;
    const nn_conv *s = &g->s;
    bool gradient = group >= k->columns / G;
    size_t c = (gradient ? group - k->columns / G : group) * G, all = gradient ? s->co : s->ci;
    size_t rows = rows_of(k, block), tiles = rows * g->across, width = row_width(k);
    source from = {.as = gradient ? dy_as : x_as,
                   .h = gradient ? s->oh : s->h,
                   .w = gradient ? s->ow : s->w,
                   .above = gradient ? 0 : s->ph,
                   .left = gradient ? 0 : s->pw,
                   .channels = all - c < G ? all - c : G,
                   .taps = gradient ? NN_TILE : NN_POINTS};
    from.plane = s->n * from.h * from.w;
    from.map = (const char *)(gradient ? dy : x) + c * from.plane * nn_storage_size(from.as);
    target at = gradient
                    ? (target){points + 36 * k->in + c * tiles, k->out, 8,
                               from.channels > 8 ? 8 * tiles : 0}
                    : (target){points + c, k->in, k->columns, 8};
    for (size_t i = 0; i < rows; i++, at.to += g->across * at.tile) {
        size_t r = block * k->block + i;
        take_rows(scratch, width, &from, r / g->down, NN_TILE * (r % g->down) - from.above);
        if (gradient)
            gradient_tiles(at, scratch, width, g->across);
        else
            input_tiles(at, scratch, width, g->across);
    }
}

void nn_winograd_sum_multiply(float *sum, const float *points, const nn_winograd_sum *k,
                              size_t block, size_t p, size_t o0, size_t o1, bool add) {
    size_t tiles = rows_of(k, block) * k->g.across;
    nn_product_best()(sum + p * k->sum + o0 * k->columns, k->columns,
                      points + 36 * k->in + p * k->out + o0 * tiles, points + p * k->in, k->columns,
                      o1 - o0, k->columns, tiles, add);
}

/* --- from points back to taps ----------------------------------------------------------- */

/* G^T u along one side: six vectors to three. */
INLINE void weight_side(float *to, size_t stride, const float *from, size_t step) {
    for (int j = 0; j < G; j++) {
        float u1 = from[step + j], u2 = from[2 * step + j], u3 = from[3 * step + j];
        float u4 = from[4 * step + j], a = (u1 + u2) * (1.0F / 6), b = u3 + u4;
        to[j] = from[j] * 0.25F - a + b * (1.0F / 24);
        to[stride + j] = (u2 - u1) * (1.0F / 6) + (u3 - u4) * (1.0F / 12);
        to[2 * stride + j] = b * (1.0F / 6) - a + from[5 * step + j];
    }
}

BC_CLONES void nn_winograd_sum_weights(float *dw, const float *sums, const nn_winograd_sum *k,
                                       size_t o) {
    size_t ci = k->g.s.ci, size = nn_winograd_sum_size(k);
    float u[6][6][G], half[3][6][G], tap[3][3][G];
    dw += o * ci * 9;
    for (size_t c = 0; c < ci; c += G) {
        const float *from = sums + o * k->columns + c;
        for (int p = 0; p < 36; p++) {
            float *to = u[p / 6][p % 6];
            memcpy(to, from + (size_t)p * k->sum, sizeof u[0][0]);
            for (size_t i = 1; i < k->partials; i++)
                for (int j = 0; j < G; j++) to[j] += from[(size_t)p * k->sum + i * size + j];
        }
        for (int q = 0; q < 6; q++) weight_side(half[0][q], 6 * G, u[0][q], 6 * G);
        for (int i = 0; i < 3; i++) weight_side(tap[i][0], G, half[i][0], G);
        for (size_t j = 0; j < G && c + j < ci; j++, dw += 9)
            for (int i = 0; i < 9; i++) dw[i] += tap[i / 3][i % 3][j];
    }
}
