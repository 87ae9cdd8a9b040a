/* winograd.c: a block of tiles through Winograd's convolution. */
#include "winograd.h"

#include <string.h>

#include "../../support/cpu.h"
#include "interleave.h"
#include "products.h"
#include "products_bf16.h"
#include "winograd_tiles.h"

#define CACHE (400 * 1024) /* floats of x and y of one block: what a core's L2 holds */

enum {
    G = NN_LANES,
    RUN = 16,  /* input channels whose taps are taken at once */
    PANEL = 48 /* output channels that lie together, as the product reads them */
};

bool nn_winograd_can(const nn_conv *s) {
    return s->kh == 3 && s->kw == 3 && s->sh == 1 && s->sw == 1 && s->ph <= 2 && s->pw <= 2;
}

/* In vector operations per pair of channels: the products, and some 25 for
 * bringing the weights there and back. */
bool nn_winograd_pays(const nn_conv *s) {
    if (!nn_winograd_can(s) || s->ci < 8 || s->co < 8) return false;
    double tiles = (double)(s->n * ((s->oh + 3) / 4) * ((s->ow + 3) / 4));
    double direct = (double)(s->n * s->oh * s->ow) * 9 / 16;
    return tiles * 36 / 16 + 25 < direct;
}

/* Tile rows of one block: as many as the cache holds, at least some dozens of
 * tiles, and few rows of the product left empty. Where weights stay in the cache, too, there
 * are some eight blocks for several threads. */
static size_t choose_block(const nn_winograd *g) {
    size_t most = CACHE / (36 * (g->s.ci + g->s.co)), best = 1;
    most = most < 48 ? 48 : most > 192 ? 192 : most;
    if (36 * g->s.ci * g->s.co <= CACHE / 2) {
        size_t eighth = g->rows * g->across / 8;
        eighth = eighth < 24 ? 24 : eighth;
        most = most < eighth ? most : eighth;
    }
    double use = 0;
    for (size_t rows = 1; rows <= g->rows && (rows == 1 || rows * g->across <= most); rows++) {
        size_t tiles = rows * g->across;
        double now = (double)tiles / (double)((tiles + 7) / 8 * 8) + (tiles >= 32 ? 0.1 : 0) +
                     (tiles >= 80 ? 0.02 : 0);
        if (now >= use) use = now, best = rows;
    }
    return best;
}

void nn_winograd_cut(nn_winograd *g, const nn_conv *s, bool bf16) {
    *g = (nn_winograd){.s = *s, .bf16 = bf16, .ci = nn_lanes(s->ci), .co = nn_lanes(s->co)};
    g->down = (s->oh + NN_TILE - 1) / NN_TILE;
    g->across = (s->ow + NN_TILE - 1) / NN_TILE;
    g->rows = s->n * g->down;
    g->block = choose_block(g);
    /* a line more, so that the 36 points do not fall on one set of the cache */
    g->in = g->block * g->across * g->ci + NN_LANES;
    g->out = g->block * g->across * g->co + NN_LANES;
    g->panel = g->co * (bf16 ? g->ci : s->ci) + NN_LANES;
}

/* Of points in the precision of the products. */
static size_t floats(const nn_winograd *g, size_t values) {
    return g->bf16 ? values / 2 : values;
}

size_t nn_winograd_weights(const nn_winograd *g) {
    return floats(g, 36 * g->panel);
}

size_t nn_winograd_scratch(const nn_winograd *g) {
    return floats(g, 36 * g->in) + 36 * g->out + tiles_scratch(g);
}

static size_t panel_width(const nn_winograd *g, size_t o) {
    return g->co - o < PANEL ? g->co - o : PANEL;
}

/* --- weights: U = G g G^T ------------------------------------------------------- */

/* Six points of three taps; all are arrays of one panel. */
static inline __attribute__((always_inline)) void weight_points(float *u, size_t stride,
                                                                const float *g, ptrdiff_t step) {
    BC_INDEPENDENT
    for (int r = 0; r < G; r++) {
        float g0 = g[r], g1 = g[step + r], g2 = g[2 * step + r];
        float near = (2 * g0 + g2) * (-1.0F / 3), far = (g0 + 2 * g2) * (1.0F / 6);
        float by_near = g1 * (NN_POINT_NEAR * -2 / 3), by_far = g1 * (NN_POINT_FAR / 6);
        u[r] = g0;
        u[stride + r] = near + by_near;
        u[2 * stride + r] = near - by_near;
        u[3 * stride + r] = far + by_far;
        u[4 * stride + r] = far - by_far;
        u[5 * stride + r] = g2;
    }
}

BC_EACH_CPU(extern, nn_winograd_weight_panel,
            (float *u, const float *w, const nn_winograd *g, size_t panel, bool turned),
            (u, w, g, panel, turned)) {
    size_t ci = g->s.ci, co = g->s.co, o0 = panel * G, count = co - o0 < G ? co - o0 : G;
    size_t first = o0 / PANEL * PANEL, width = panel_width(g, first);
    float taps[RUN * 9 * G], half[3][6][G], points[36 * G];
    uint16_t *pairs = (uint16_t *)(void *)u + o0 * g->ci;
    u += first * ci + o0 % PANEL;
    for (size_t c = 0; c < ci; c++, u += width) {
        if (turned)
            nn_take_row(taps, G, w, NN_AS_F32, (c * co + o0) * 9, 9, count, 9, NULL);
        else if (c % RUN == 0)
            nn_take_row(taps, G, w, NN_AS_F32, (o0 * ci + c) * 9, 9 * ci, count,
                        9 * (ci - c < RUN ? ci - c : RUN), NULL);
        const float *tap = taps + (turned ? 8 : c % RUN * 9) * G;
        for (int k = 0; k < 3; k++) {
            if (turned)
                weight_points(half[k][0], G, tap - k * G, -3 * G);
            else
                weight_points(half[k][0], G, tap + k * G, 3 * G);
        }
        float *to = g->bf16 ? points : u;
        size_t stride = g->bf16 ? G : g->panel;
        for (size_t q = 0; q < 6; q++)
            weight_points(to + q * 6 * stride, stride, half[0][q], 6 * G);
        if (g->bf16)
            nn_bf16_half(pairs + c / 2 * 2 * G, g->panel, points, 36,
                         c % 2 == 0 ? NN_FIRST : NN_SECOND);
    }
    size_t behind = (ci + 1) / 2 * 2;
    for (size_t p = 0; g->bf16 && p < 36; p++)
        memset(pairs + p * g->panel + behind * G, 0, (g->ci - behind) * G * sizeof *pairs);
}

/* --- a block ---------------------------------------------------------------------- */

static void multiply(float *out, const float *in, const float *u, const nn_winograd *g,
                     size_t tiles) {
    nn_product *product = nn_product_best();
    for (size_t p = 0; p < 36; p++, in += g->in, out += g->out, u += g->panel)
        for (size_t o = 0; o < g->co; o += PANEL) {
            nn_factors f = {.a = in, .a_row = g->ci, .b = u + o * g->s.ci, .k = g->s.ci};
            f.m = tiles, f.n = f.b_row = panel_width(g, o);
            product(out + o, g->co, &f, false);
        }
}

static void multiply_bf16(float *out, const uint16_t *in, const uint16_t *u, const nn_winograd *g,
                          size_t tiles) {
    nn_bf16_multiply *product = nn_bf16_multiply_best();
    nn_bf16_factors f = {.a_row = g->ci, .a_rows = G * g->ci, .a_pair = 2, .b_next = G * g->ci};
    f.runs = 1, f.pairs = g->ci / 2, f.m = tiles, f.n = g->co;
    for (size_t p = 0; p < 36; p++, out += g->out) {
        f.a = in + p * g->in, f.b = u + p * g->panel;
        product(out, g->co, &f, false);
    }
}

void nn_winograd_forward(void *y, enum nn_storage y_as, const void *x, enum nn_storage x_as,
                         const float *u, const float *bias, const nn_winograd *g, bool add,
                         size_t i, float *scratch) {
    size_t first = i * g->block, last = first + g->block < g->rows ? first + g->block : g->rows;
    size_t tiles = (last - first) * g->across;
    float *in = scratch, *out = in + floats(g, 36 * g->in), *work = out + 36 * g->out;
    tile_points seen = {.stride = g->in, .tile = g->ci, .as = g->bf16 ? POINTS_BF16 : POINTS_F32};
    for (size_t c = 0; c < g->ci; c += G) {
        seen.at = in + floats(g, c);
        tiles_of_input(seen, x, x_as, c, g, first, last, work);
    }
    if (g->bf16)
        multiply_bf16(out, (const uint16_t *)(const void *)in, (const uint16_t *)(const void *)u, g,
                      tiles);
    else
        multiply(out, in, u, g, tiles);
    for (size_t o = 0; o < g->co; o += G) {
        tile_points made = {.at = out + o, .stride = g->out, .tile = g->co};
        tiles_to_output(y, y_as, made, bias, add, o, g, first, last, work);
    }
}
