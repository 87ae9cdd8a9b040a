/* winograd_sum.c: the weight gradient of Winograd's convolution. */
#include <string.h>

#include "../../support/cpu.h"
#include "products.h"
#include "products_bf16.h"
#include "winograd_tiles.h"

#define INLINE static inline __attribute__((always_inline))
#define NARROW (1024 * 1024) /* floats of dU that one worker may have for itself */
#define NARROW_TILES 96      /* of a block of its own */
#define SHARED_TILES 288     /* of a block that all workers share */

enum {
    G = NN_LANES,
    PANEL = 48 /* input channels that lie together, as the product reads them */
};

/* For the tiles of so many rows; in bf16 they come in pairs. */
static size_t room(const nn_winograd_sum *k, size_t rows) {
    size_t tiles = rows * k->g.across;
    return k->g.bf16 ? (tiles + 1) / 2 * 2 : tiles;
}

void nn_winograd_sum_cut(nn_winograd_sum *k, const nn_conv *s, bool bf16) {
    *k = (nn_winograd_sum){.partials = 1};
    nn_winograd_cut(&k->g, s, bf16);
    k->columns = nn_lanes(s->ci);
    bool narrow = nn_winograd_sum_size(s->co, s->ci) <= NARROW;
    k->block = (narrow ? NARROW_TILES : SHARED_TILES) / k->g.across;
    if (k->block == 0) k->block = 1;
    if (k->block > k->g.rows) k->block = k->g.rows;
    if (narrow) {
        size_t blocks = (k->g.rows + k->block - 1) / k->block;
        k->partials = blocks < 2 ? 2 : blocks > 16 ? 16 : blocks;
    }
    size_t tiles = room(k, k->block);
    k->in = tiles * k->columns + NN_LANES;
    k->out = nn_panels(s->co, tiles) + NN_LANES;
}

size_t nn_winograd_sum_points(const nn_winograd_sum *k) {
    return 36 * (k->in + k->out) / (k->g.bf16 ? 2 : 1);
}

/* A line more, so that the points do not fall on one set of the cache. */
static size_t point_size(size_t outputs, size_t inputs) {
    return outputs * nn_lanes(inputs) + NN_LANES;
}

size_t nn_winograd_sum_size(size_t outputs, size_t inputs) {
    return 36 * point_size(outputs, inputs);
}

size_t nn_winograd_sum_scratch(const nn_winograd_sum *k) {
    return tiles_scratch(&k->g);
}

size_t nn_winograd_sum_groups(const nn_winograd_sum *k) {
    return k->columns / G + (k->g.s.co + G - 1) / G;
}

static size_t panel_width(const nn_winograd_sum *k, size_t c) {
    return k->columns - c < PANEL ? k->columns - c : PANEL;
}

/* --- a block ----------------------------------------------------------------------- */

static size_t rows_of(const nn_winograd_sum *k, size_t block) {
    size_t first = block * k->block, left = k->g.rows - first;
    return left < k->block ? left : k->block;
}

void nn_winograd_sum_take(float *points, const void *x, enum nn_storage x_as, const void *dy,
                          enum nn_storage dy_as, const nn_winograd_sum *k, size_t block,
                          size_t group, float *scratch) {
    size_t rows = rows_of(k, block), first = block * k->block, tiles = room(k, rows);
    uint16_t *narrow = (uint16_t *)(void *)points;
    if (group < k->columns / NN_LANES) {
        size_t c = group * NN_LANES, panel = c / PANEL * PANEL;
        tile_points wide = {points + panel * tiles + c % PANEL, k->in, panel_width(k, panel),
                            POINTS_F32};
        tile_points pairs = {narrow + c * tiles, k->in, 2 * NN_LANES, POINTS_PAIRS};
        tiles_of_input(k->g.bf16 ? pairs : wide, x, x_as, c, &k->g, first, first + rows, scratch);
    } else {
        size_t o = group * NN_LANES - k->columns, at = 36 * k->in + o * tiles;
        tile_points wide = {points + at, k->out, NN_PANEL, POINTS_F32};
        tile_points pairs = {narrow + at, k->out, 2 * NN_LANES, POINTS_PAIRS};
        tiles_of_gradient(k->g.bf16 ? pairs : wide, dy, dy_as, o, &k->g, first, first + rows,
                          scratch);
    }
}

static void multiply_bf16(float *sum, const uint16_t *points, const nn_winograd_sum *k,
                          size_t tiles, const nn_winograd_part *part, bool add) {
    size_t columns = nn_lanes(part->c1 - part->c0), size = point_size(part->o1 - part->o0, columns);
    nn_bf16_factors f = {.a_row = 2, .a_rows = G * tiles, .a_pair = 2 * G, .b_next = G * tiles};
    f.runs = 1, f.pairs = tiles / 2;
    f.m = part->o1 - part->o0, f.n = columns;
    for (size_t p = 0; p < 36; p++, sum += size) {
        f.a = points + 36 * k->in + p * k->out + part->o0 * tiles;
        f.b = points + p * k->in + part->c0 * tiles;
        nn_bf16_multiply_best()(sum, columns, &f, add);
    }
}

void nn_winograd_sum_multiply(float *sum, const float *points, const nn_winograd_sum *k,
                              size_t block, const nn_winograd_part *part, bool add) {
    nn_product *product = nn_product_best();
    size_t tiles = room(k, rows_of(k, block)), outputs = part->o1 - part->o0;
    size_t columns = nn_lanes(part->c1 - part->c0), size = point_size(outputs, columns);
    if (k->g.bf16) {
        multiply_bf16(sum, (const uint16_t *)(const void *)points, k, tiles, part, add);
        return;
    }
    for (size_t p = 0; p < 36; p++, sum += size) {
        const float *dy = points + 36 * k->in + p * k->out + part->o0 * tiles;
        for (size_t c = part->c0; c < part->c1; c += PANEL) {
            nn_factors f = {.a = dy, .a_row = NN_PANEL * tiles, .a_step = NN_PANEL};
            f.b = points + p * k->in + c * tiles;
            f.m = outputs, f.n = f.b_row = panel_width(k, c), f.k = tiles;
            product(sum + c - part->c0, columns, &f, add);
        }
    }
}

/* --- from points back to taps ----------------------------------------------------------- */

/* G^T u along one side: six vectors to three. */
INLINE void weight_side(float *to, size_t stride, const float *from, size_t step) {
    BC_INDEPENDENT
    for (int j = 0; j < G; j++) {
        float u1 = from[step + j], u2 = from[2 * step + j], u3 = from[3 * step + j];
        float u4 = from[4 * step + j], near = (u1 + u2) * (1.0F / 3), far = (u3 + u4) * (1.0F / 6);
        to[j] = from[j] - 2 * near + far;
        to[stride + j] = (u2 - u1) * (NN_POINT_NEAR * 2 / 3) + (u3 - u4) * (NN_POINT_FAR / 6);
        to[2 * stride + j] = 2 * far - near + from[5 * step + j];
    }
}

BC_EACH_CPU(extern, nn_winograd_sum_weights,
            (float *dw, const float *sum, const nn_winograd_sum *k, const nn_winograd_part *part),
            (dw, sum, k, part)) {
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
