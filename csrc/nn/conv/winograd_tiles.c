/* winograd_tiles.c: the transforms of Winograd's convolution, in vectors of
 * sixteen channels: a tile row of a map is transposed first (interleave.h). */
#include "winograd_tiles.h"

#include <string.h>

#include "../../support/cpu.h"
#include "interleave.h"
#include "products.h"
#include "products_bf16.h"

#define INLINE static inline __attribute__((always_inline))

#define NEAR NN_POINT_NEAR
#define FAR NN_POINT_FAR

enum { G = NN_LANES };

/* A tile row of sixteen channels: (6, columns, 16), and room for rows of a
 * 16-bit map, widened. */
static size_t row_width(const nn_winograd *g) {
    return (NN_TILE * g->across + 2) * G;
}

size_t tiles_scratch(const nn_winograd *g) {
    return (NN_POINTS + 1) * row_width(g);
}

/* --- maps to points ------------------------------------------------------------------ */

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
        nn_take_row(to, G, from->map, from->as, at, from->plane, from->channels, have, wide);
    }
}

/* B^T d along one side: six vectors, `step` apart, to six. */
INLINE void input_side(float *to, size_t stride, const float *from, size_t step) {
    BC_INDEPENDENT
    for (int j = 0; j < G; j++) {
        float d0 = from[j], d1 = from[step + j], d2 = from[2 * step + j], d3 = from[3 * step + j];
        float d4 = from[4 * step + j], d5 = from[5 * step + j];
        float a = d4 - 2 * d2, b = NEAR * (d3 - 2 * d1);
        float c = d4 - 0.5F * d2, e = FAR * (d3 - 0.5F * d1);
        to[j] = d0 - 2.5F * d2 + d4;
        to[stride + j] = a + b;
        to[2 * stride + j] = a - b;
        to[3 * stride + j] = c + e;
        to[4 * stride + j] = c - e;
        to[5 * stride + j] = d1 - 2.5F * d3 + d5;
    }
}

/* A d along one side: four vectors to six. */
INLINE void gradient_side(float *to, size_t stride, const float *from, size_t step) {
    BC_INDEPENDENT
    for (int j = 0; j < G; j++) {
        float y0 = from[j], y1 = from[step + j], y2 = from[2 * step + j], y3 = from[3 * step + j];
        float a = y0 + 0.5F * y2, b = NEAR * (y1 + 0.5F * y3);
        float c = y0 + 2 * y2, e = FAR * (y1 + 2 * y3);
        to[j] = y0;
        to[stride + j] = a + b;
        to[2 * stride + j] = a - b;
        to[3 * stride + j] = c + e;
        to[4 * stride + j] = c - e;
        to[5 * stride + j] = y3;
    }
}

/* Of a row of tiles, at at + t * tile. */
typedef void points_of_row(float *at, size_t stride, size_t tile, const float *rows, size_t width,
                           size_t across);

BC_EACH_CPU(static, input_tiles,
            (float *at, size_t stride, size_t tile, const float *rows, size_t width, size_t across),
            (at, stride, tile, rows, width, across)) {
    float half[6][6][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at += tile) {
        for (int i = 0; i < 6; i++) input_side(half[0][i], 6 * G, rows + i * G, width);
        for (size_t p = 0; p < 6; p++) input_side(at + p * 6 * stride, stride, half[p][0], G);
    }
}

BC_EACH_CPU(static, gradient_tiles,
            (float *at, size_t stride, size_t tile, const float *rows, size_t width, size_t across),
            (at, stride, tile, rows, width, across)) {
    float half[6][4][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at += tile) {
        for (int i = 0; i < 4; i++) gradient_side(half[0][i], 4 * G, rows + i * G, width);
        for (size_t p = 0; p < 6; p++) gradient_side(at + p * 6 * stride, stride, half[p][0], G);
    }
}

/* The points of tiles [first, first + across), a row of them, to where they belong. */
static void put_points(const tile_points *to, size_t first, points_of_row *points_of,
                       const float *rows, size_t width, size_t across) {
    if (to->as == POINTS_F32) {
        points_of((float *)to->at + first * to->tile, to->stride, to->tile, rows, width, across);
        return;
    }
    float points[36 * G];
    for (size_t t = first; t < first + across; t++, rows += NN_TILE * G) {
        points_of(points, G, 0, rows, width, 1);
        if (to->as == POINTS_BF16)
            nn_bf16_narrow((uint16_t *)to->at + t * to->tile, to->stride, points, 36);
        else
            nn_bf16_half((uint16_t *)to->at + t / 2 * to->tile, to->stride, points, 36,
                         t % 2 == 0 ? NN_FIRST : NN_SECOND);
    }
}

void tiles_of_input(tile_points at, const void *x, enum nn_storage as, size_t c,
                    const nn_winograd *g, size_t first, size_t last, float *scratch) {
    const nn_conv *s = &g->s;
    size_t width = row_width(g), left = s->ci - c;
    source from = {.as = as, .h = s->h, .w = s->w, .left = s->pw, .taps = NN_POINTS};
    from.plane = s->n * s->h * s->w;
    from.channels = left < G ? left : G;
    from.map = (const char *)x + c * from.plane * nn_storage_size(as);
    for (size_t r = first; r < last; r++) {
        take_rows(scratch, width, &from, r / g->down, NN_TILE * (r % g->down) - s->ph);
        put_points(&at, (r - first) * g->across, input_tiles, scratch, width, g->across);
    }
}

void tiles_of_gradient(tile_points at, const void *dy, enum nn_storage as, size_t o,
                       const nn_winograd *g, size_t first, size_t last, float *scratch) {
    const nn_conv *s = &g->s;
    size_t width = row_width(g), left = s->co - o;
    source from = {.as = as, .h = s->oh, .w = s->ow, .taps = NN_TILE};
    from.plane = s->n * s->oh * s->ow;
    from.channels = left < G ? left : G;
    from.map = (const char *)dy + o * from.plane * nn_storage_size(as);
    for (size_t r = first; r < last; r++) {
        take_rows(scratch, width, &from, r / g->down, NN_TILE * (r % g->down));
        put_points(&at, (r - first) * g->across, gradient_tiles, scratch, width, g->across);
    }
}

/* --- points to maps ------------------------------------------------------------------- */

/* A^T m along one side: six vectors to four. */
INLINE void output_side(float *to, size_t stride, const float *from, size_t step) {
    BC_INDEPENDENT
    for (int j = 0; j < G; j++) {
        float m1 = from[step + j], m2 = from[2 * step + j], m3 = from[3 * step + j];
        float m4 = from[4 * step + j], a = m1 + m2, c = m3 + m4;
        float b = NEAR * (m1 - m2), e = FAR * (m3 - m4);
        to[j] = from[j] + a + c;
        to[stride + j] = b + e;
        to[2 * stride + j] = 0.5F * a + 2 * c;
        to[3 * stride + j] = 0.5F * b + 2 * e + from[5 * step + j];
    }
}

BC_EACH_CPU(static, output_tiles,
            (float *restrict rows, size_t width, const float *at, size_t stride, size_t tile,
             size_t across),
            (rows, width, at, stride, tile, across)) {
    float half[4][6][G];
    for (size_t t = 0; t < across; t++, rows += NN_TILE * G, at += tile) {
        for (size_t q = 0; q < 6; q++) output_side(half[0][q], 6 * G, at + q * stride, 6 * stride);
        for (size_t i = 0; i < NN_TILE; i++) output_side(rows + i * width, G, half[i][0], G);
    }
}

void tiles_to_output(void *y, enum nn_storage as, tile_points from, const float *bias, bool add,
                     size_t o, const nn_winograd *g, size_t first, size_t last, float *scratch) {
    const float *at = from.at;
    const nn_conv *s = &g->s;
    size_t width = row_width(g), plane = s->n * s->oh * s->ow, left = s->co - o;
    char *map = (char *)y + o * plane * nn_storage_size(as);
    for (size_t r = first; r < last; r++, at += g->across * from.tile) {
        size_t n = r / g->down, top = NN_TILE * (r % g->down);
        output_tiles(scratch, width, at, from.stride, from.tile, g->across);
        for (size_t i = 0; i < NN_TILE && top + i < s->oh; i++)
            nn_put_row(map, as, (n * s->oh + top + i) * s->ow, plane, scratch + i * width, G,
                       bias == NULL ? NULL : bias + o, add, left < G ? left : G, s->ow,
                       scratch + NN_POINTS * width);
    }
}
