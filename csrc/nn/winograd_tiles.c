/* winograd_tiles.c: the transforms of Winograd's convolution. The rows of all
 * tiles are laid end to end in a line first, so that the rest is the same
 * arithmetic on long vectors, whatever the size of the maps. */
#include "winograd_tiles.h"

#include <string.h>

#include "../support/clones.h"

#define INLINE static inline __attribute__((always_inline))

/* A line is 4 values for each lane, and some behind it. */
static size_t line_room(size_t lanes) {
    return NN_TILE * lanes + 16;
}

size_t tiles_work(size_t lanes) {
    return 36 * lanes + 6 * lanes + line_room(lanes);
}

/* Loops over short rows: a call of memcpy for each costs more than it saves. */
#if defined(__GNUC__) && !defined(__clang__)
#define SHORT_ROWS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#else
#define SHORT_ROWS
#endif

/* --- rows to lines ------------------------------------------------------------------- */

/* A map whose rows go into lines: `left` columns of padding before it. */
typedef struct source {
    const void *map; /* of the channel, all samples */
    enum nn_storage as;
    size_t h, w, above, left;
} source;

INLINE float value_at(const void *row, enum nn_storage as, size_t i) {
    float v;
    if (as == NN_AS_F32) return ((const float *)row)[i];
    nn_widen(&v, (const uint16_t *)row + i, as, 1);
    return v;
}

/* Row p of every tile, end to end; edge: the two values that follow each tile
 * row's last, which the line has no room for. */
SHORT_ROWS BC_CLONES static void fill_line(float *line, float *edge, const source *from, size_t p,
                                           const tile_rows *t) {
    const nn_winograd *g = t->g;
    size_t width = NN_TILE * g->across, have = width - from->left < from->w ? width - from->left
                                                                             : from->w;
    size_t n = t->first / g->down, ty = t->first % g->down;
    for (size_t r = t->first; r < t->last; r++, line += width, edge += 2) {
        size_t iy = NN_TILE * ty + p - from->above; /* wraps around above the map */
        if (iy < from->h) {
            size_t at = (n * from->h + iy) * from->w;
            const char *row = (const char *)from->map + at * nn_storage_size(from->as);
            for (size_t i = 0; i < from->left; i++) line[i] = 0;
            float *to = line + from->left;
            if (from->as == NN_AS_F32) {
                const float *values = (const float *)(const void *)row;
                for (size_t i = 0; i < have; i++) to[i] = values[i];
            } else {
                nn_widen(to, row, from->as, have);
            }
            for (size_t i = have; i < width - from->left; i++) to[i] = 0;
            for (size_t i = 0; i < 2; i++) {
                size_t ix = width - from->left + i;
                edge[i] = ix < from->w ? value_at(row, from->as, ix) : 0;
            }
        } else {
            for (size_t i = 0; i < width; i++) line[i] = 0;
            edge[0] = edge[1] = 0;
        }
        if (++ty == g->down) ty = 0, n++;
    }
}

/* tap (6, lanes): the values that each tile sees of its row; `taps` of them. */
BC_CLONES static void split_line(float *restrict tap, const float *restrict line, size_t lanes) {
    float *a0 = tap, *a1 = a0 + lanes, *a2 = a1 + lanes, *a3 = a2 + lanes;
#pragma GCC ivdep
    for (size_t l = 0; l < lanes; l++) {
        a0[l] = line[4 * l];
        a1[l] = line[4 * l + 1];
        a2[l] = line[4 * l + 2];
        a3[l] = line[4 * l + 3];
    }
}

/* The fifth and sixth tap are the next tile's first two, but for the last of
 * a tile row. */
BC_CLONES static void overlap(float *tap, const float *edge, size_t lanes, const tile_rows *t) {
    const float *a0 = tap, *a1 = tap + lanes;
    float *a4 = tap + 4 * lanes, *a5 = a4 + lanes;
    for (size_t l = 0; l + 1 < lanes; l++) a4[l] = a0[l + 1], a5[l] = a1[l + 1];
    a4[lanes - 1] = a5[lanes - 1] = 0;
    for (size_t r = t->first, l = t->g->across - 1; r < t->last; r++, l += t->g->across, edge += 2)
        a4[l] = edge[0], a5[l] = edge[1];
}

/* --- the transforms: from (k, lanes) with k*step apart to stride apart ------------------ */

BC_CLONES static void input_points(float *restrict to, size_t stride, const float *restrict from,
                                   size_t step, size_t lanes) {
#pragma GCC ivdep
    for (size_t l = 0; l < lanes; l++) {
        float d0 = from[l], d1 = from[step + l], d2 = from[2 * step + l], d3 = from[3 * step + l];
        float d4 = from[4 * step + l], d5 = from[5 * step + l];
        float a = d4 - 4 * d2, b = d3 - 4 * d1, c = d4 - d2, e = 2 * (d3 - d1);
        to[l] = 4 * d0 - 5 * d2 + d4;
        to[stride + l] = a + b;
        to[2 * stride + l] = a - b;
        to[3 * stride + l] = c + e;
        to[4 * stride + l] = c - e;
        to[5 * stride + l] = 4 * d1 - 5 * d3 + d5;
    }
}

BC_CLONES static void output_values(float *restrict to, size_t stride, const float *restrict from,
                                    size_t step, size_t lanes) {
#pragma GCC ivdep
    for (size_t l = 0; l < lanes; l++) {
        float m0 = from[l], m1 = from[step + l], m2 = from[2 * step + l], m3 = from[3 * step + l];
        float m4 = from[4 * step + l], m5 = from[5 * step + l];
        float a = m1 + m2, b = m1 - m2, c = m3 + m4, e = m3 - m4;
        to[l] = m0 + a + c;
        to[stride + l] = b + 2 * e;
        to[2 * stride + l] = a + 4 * c;
        to[3 * stride + l] = b + 8 * e + m5;
    }
}

BC_CLONES static void gradient_points(float *restrict to, size_t stride, const float *restrict from,
                                      size_t step, size_t lanes) {
#pragma GCC ivdep
    for (size_t l = 0; l < lanes; l++) {
        float y0 = from[l], y1 = from[step + l], y2 = from[2 * step + l], y3 = from[3 * step + l];
        float a = y0 + y2, b = y1 + y3, c = y0 + 4 * y2, e = 2 * y1 + 8 * y3;
        to[l] = y0;
        to[stride + l] = a + b;
        to[2 * stride + l] = a - b;
        to[3 * stride + l] = c + e;
        to[4 * stride + l] = c - e;
        to[5 * stride + l] = y3;
    }
}

/* --- whole channels ----------------------------------------------------------------------- */

void tiles_from_input(float *points, size_t stride, const void *x, enum nn_storage as, size_t c,
                      const tile_rows *t, float *work) {
    const nn_conv *s = &t->g->s;
    size_t lanes = t->lanes, used = (t->last - t->first) * t->g->across;
    float *half = work, *tap = half + 36 * lanes, *line = tap + 6 * lanes;
    float *edge = half; /* free until the first row is done: see below */
    source from = {.as = as, .h = s->h, .w = s->w, .above = s->ph, .left = s->pw};
    from.map = (const char *)x + c * s->n * s->h * s->w * nn_storage_size(as);
    memset(line + NN_TILE * used, 0, NN_TILE * (lanes - used) * sizeof *line);
    for (size_t p = 6; p-- > 0;) { /* the edge lies where the row of p = 0 goes */
        fill_line(line, edge, &from, p, t);
        split_line(tap, line, lanes);
        overlap(tap, edge, lanes, t);
        input_points(half + p * 6 * lanes, lanes, tap, lanes, lanes);
    }
    for (size_t q = 0; q < 6; q++)
        input_points(points + q * stride, 6 * stride, half + q * lanes, 6 * lanes, lanes);
}

void tiles_from_gradient(float *points, size_t stride, const void *dy, enum nn_storage as,
                         size_t o, const tile_rows *t, float *work) {
    const nn_conv *s = &t->g->s;
    size_t lanes = t->lanes, used = (t->last - t->first) * t->g->across;
    float *half = work, *tap = half + 36 * lanes, *line = tap + 6 * lanes;
    source from = {.as = as, .h = s->oh, .w = s->ow};
    from.map = (const char *)dy + o * s->n * s->oh * s->ow * nn_storage_size(as);
    memset(line + NN_TILE * used, 0, NN_TILE * (lanes - used) * sizeof *line);
    for (size_t p = NN_TILE; p-- > 0;) {
        fill_line(line, half, &from, p, t);
        split_line(tap, line, lanes);
        gradient_points(half + p * 6 * lanes, lanes, tap, lanes, lanes);
    }
    for (size_t q = 0; q < 6; q++)
        gradient_points(points + q * stride, 6 * stride, half + q * lanes, 6 * lanes, lanes);
}

/* --- lines to rows ------------------------------------------------------------------------- */

BC_CLONES static void join_line(float *restrict line, const float *restrict tap, float bias,
                                size_t lanes) {
    const float *a0 = tap, *a1 = a0 + lanes, *a2 = a1 + lanes, *a3 = a2 + lanes;
#pragma GCC ivdep
    for (size_t l = 0; l < lanes; l++) {
        line[4 * l] = a0[l] + bias;
        line[4 * l + 1] = a1[l] + bias;
        line[4 * l + 2] = a2[l] + bias;
        line[4 * l + 3] = a3[l] + bias;
    }
}

INLINE void put_row(void *row, enum nn_storage as, const float *line, bool add, size_t n,
                    float *room) {
    if (as == NN_AS_F32) {
        float *to = row;
        if (add)
            for (size_t i = 0; i < n; i++) to[i] += line[i];
        else
            for (size_t i = 0; i < n; i++) to[i] = line[i];
        return;
    }
    if (add) {
        nn_widen(room, row, as, n);
        for (size_t i = 0; i < n; i++) room[i] += line[i];
        line = room;
    }
    nn_narrow(row, line, as, n);
}

SHORT_ROWS BC_CLONES static void empty_line(void *map, enum nn_storage as, const float *line,
                                            bool add, size_t i, const tile_rows *t, float *room) {
    const nn_winograd *g = t->g;
    size_t n = t->first / g->down, ty = t->first % g->down;
    for (size_t r = t->first; r < t->last; r++, line += NN_TILE * g->across) {
        size_t oy = NN_TILE * ty + i, at = (n * g->s.oh + oy) * g->s.ow;
        if (oy < g->s.oh)
            put_row((char *)map + at * nn_storage_size(as), as, line, add, g->s.ow, room);
        if (++ty == g->down) ty = 0, n++;
    }
}

void tiles_to_output(void *y, enum nn_storage as, const float *points, size_t stride, float bias,
                     bool add, size_t o, const tile_rows *t, float *work) {
    const nn_conv *s = &t->g->s;
    size_t lanes = t->lanes;
    float *half = work, *tap = half + 36 * lanes, *line = tap + 6 * lanes;
    char *map = (char *)y + o * s->n * s->oh * s->ow * nn_storage_size(as);
    for (size_t q = 0; q < 6; q++)
        output_values(half + q * lanes, 6 * lanes, points + q * stride, 6 * stride, lanes);
    for (size_t i = 0; i < NN_TILE; i++) {
        output_values(tap, lanes, half + i * 6 * lanes, lanes, lanes);
        join_line(line, tap, bias, lanes);
        empty_line(map, as, line, add, i, t, half + 24 * lanes);
    }
}
