/* winograd_sum.c: the weight gradient of Winograd's convolution. Here sixteen
 * channels lie side by side, so that the points come out as the product, which
 * runs over tiles, reads them. */
#include <string.h>

#include "../support/clones.h"
#include "interleave.h"
#include "products.h"
#include "winograd.h"

#define INLINE static inline __attribute__((always_inline))
#define NARROW (1024 * 1024) /* floats of dU that one worker may have for itself */
#define NARROW_TILES 96       /* of a block of its own */
#define SHARED_TILES 288     /* of a block that all workers share */

enum {
    G = NN_LANES,
    PANEL = 48 /* input channels that lie together, as the product reads them */
};

void nn_winograd_sum_cut(nn_winograd_sum *k, const nn_conv *s) {
    *k = (nn_winograd_sum){.partials = 1};
    nn_winograd_cut(&k->g, s);
    k->columns = nn_lanes(s->ci);
    if (nn_winograd_sum_size(s->co, s->ci) <= NARROW) {
        k->partials = 16;
        k->block = NARROW_TILES / k->g.across;
    } else {
        k->block = SHARED_TILES / k->g.across;
    }
    if (k->block == 0) k->block = 1;
    if (k->block > k->g.rows) k->block = k->g.rows;
    size_t tiles = k->block * k->g.across;
    k->in = tiles * k->columns + NN_LANES;
    k->out = nn_panels(s->co, tiles) + NN_LANES;
}

size_t nn_winograd_sum_points(const nn_winograd_sum *k) {
    return 36 * (k->in + k->out);
}

/* A line more, so that the points do not fall on one set of the cache. */
static size_t point_size(size_t outputs, size_t inputs) {
    return outputs * nn_lanes(inputs) + NN_LANES;
}

size_t nn_winograd_sum_size(size_t outputs, size_t inputs) {
    return 36 * point_size(outputs, inputs);
}

static size_t row_width(const nn_winograd_sum *k) {
    return (NN_TILE * k->g.across + 2) * G;
}

size_t nn_winograd_sum_scratch(const nn_winograd_sum *k) {
    return (NN_POINTS + 1) * row_width(k);
}

size_t nn_winograd_sum_groups(const nn_winograd_sum *k) {
    return k->columns / G + (k->g.s.co + G - 1) / G;
}

static size_t panel_width(const nn_winograd_sum *k, size_t c) {
    return k->columns - c < PANEL ? k->columns - c : PANEL;
}

/* --- points of sixteen channels ------------------------------------------------------ */

/* A map of sixteen channels (or fewer, the others 0), `plane` values apart. */
typedef struct source {
    const void *map;
    enum nn_storage as;
    size_t plane, h, w, above, left, channels, taps; /* taps: rows and columns of a tile */
} source;

/* rows (taps, columns, 16) of the tile row at map row y0, which may wrap below 0. */
static void take_rows(float *rows, size_t width, const source *from, size_t n, size_t y0) {
    size_t columns = width / G, room = columns - from->left;
    size_t have = room < from->w ? room : from->w;
    float *wide = rows + from->taps * width;
    for (size_t p = 0; p < from->taps; p++, rows += width) {
        size_t y = y0 + p, at = (n * from->h + y) * from->w;
        if (y >= from->h) {
            memset(rows, 0, width * sizeof *rows);
            continue;
        }
        float *to = rows + from->left * G;
        memset(rows, 0, from->left * G * sizeof *rows);
        memset(to + have * G, 0, (room - have) * G * sizeof *rows);
        if (from->as == NN_AS_F32) {
            nn_interleave(to, (const float *)from->map + at, from->plane, from->channels, have);
            continue;
        }
        for (size_t j = 0; j < from->channels; j++)
            nn_widen(wide + j * have, (const uint16_t *)from->map + j * from->plane + at, from->as,
                     have);
        nn_interleave(to, wide, have, from->channels, have);
    }
}

/* B^T d along one side: six vectors, `step` apart, to six. */
INLINE void input_side(float *to, size_t stride, const float *from, size_t step) {
#pragma GCC ivdep
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
#pragma GCC ivdep
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

/* Where the points of a tile go: `stride` from point to point. */
typedef struct target {
    float *to;
    size_t stride, tile;
} target;

BC_CLONES static void input_tiles(target at, const float *rows, size_t width, size_t across) {
    float half[6][6][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at.to += at.tile) {
        for (int i = 0; i < 6; i++) input_side(half[0][i], 6 * G, rows + i * G, width);
        for (size_t p = 0; p < 6; p++)
            input_side(at.to + p * 6 * at.stride, at.stride, half[p][0], G);
    }
}

BC_CLONES static void gradient_tiles(target at, const float *rows, size_t width, size_t across) {
    float half[6][4][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at.to += at.tile) {
        for (int i = 0; i < 4; i++) gradient_side(half[0][i], 4 * G, rows + i * G, width);
        for (size_t p = 0; p < 6; p++)
            gradient_side(at.to + p * 6 * at.stride, at.stride, half[p][0], G);
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
    target at = {points + 36 * k->in + c * tiles, k->out, G};
    if (!gradient)
        at = (target){points + c / PANEL * PANEL * tiles + c % PANEL, k->in,
                      panel_width(k, c / PANEL * PANEL)};
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
                              size_t block, const nn_winograd_part *part, bool add) {
    nn_product *product = nn_product_best();
    size_t tiles = rows_of(k, block) * k->g.across, outputs = part->o1 - part->o0;
    size_t columns = nn_lanes(part->c1 - part->c0), size = point_size(outputs, columns);
    for (size_t p = 0; p < 36; p++, sum += size) {
        const float *dy = points + 36 * k->in + p * k->out + part->o0 * tiles;
        for (size_t c = part->c0; c < part->c1; c += PANEL) {
            size_t width = panel_width(k, c);
            product(sum + c - part->c0, columns, dy, points + p * k->in + c * tiles, width, outputs,
                    width, tiles, add);
        }
    }
}

/* --- from points back to taps ----------------------------------------------------------- */

/* G^T u along one side: six vectors to three. */
INLINE void weight_side(float *to, size_t stride, const float *from, size_t step) {
#pragma GCC ivdep
    for (int j = 0; j < G; j++) {
        float u1 = from[step + j], u2 = from[2 * step + j], u3 = from[3 * step + j];
        float u4 = from[4 * step + j], a = (u1 + u2) * (1.0F / 6), b = u3 + u4;
        to[j] = from[j] * 0.25F - a + b * (1.0F / 24);
        to[stride + j] = (u2 - u1) * (1.0F / 6) + (u3 - u4) * (1.0F / 12);
        to[2 * stride + j] = b * (1.0F / 6) - a + from[5 * step + j];
    }
}

BC_CLONES void nn_winograd_sum_weights(float *dw, const float *sum, const nn_winograd_sum *k,
                                       const nn_winograd_part *part) {
    size_t ci = k->g.s.ci, columns = nn_lanes(part->c1 - part->c0);
    size_t size = point_size(part->o1 - part->o0, columns);
    float half[3][6][G], tap[3][3][G];
    for (size_t o = part->o0; o < part->o1; o++, sum += columns)
        for (size_t c = part->c0; c < part->c1; c += G) {
            const float *from = sum + c - part->c0;
            for (size_t q = 0; q < 6; q++)
                weight_side(half[0][q], 6 * G, from + q * size, 6 * size);
            for (int i = 0; i < 3; i++) weight_side(tap[i][0], G, half[i][0], G);
            float *to = dw + (o * ci + c) * 9;
            for (size_t j = 0; j < G && c + j < part->c1; j++, to += 9)
                for (int i = 0; i < 9; i++) to[i] += tap[i / 3][i % 3][j];
        }
}
