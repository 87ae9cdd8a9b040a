/* winograd.c: a block of tiles through Winograd's convolution. */
#include "winograd.h"

#include "../../support/cpu.h"
#include "interleave.h"
#include "products.h"
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

void nn_winograd_cut(nn_winograd *g, const nn_conv *s) {
    *g = (nn_winograd){.s = *s, .ci = nn_lanes(s->ci), .co = nn_lanes(s->co)};
    g->down = (s->oh + NN_TILE - 1) / NN_TILE;
    g->across = (s->ow + NN_TILE - 1) / NN_TILE;
    g->rows = s->n * g->down;
    g->block = choose_block(g);
    /* a line more, so that the 36 points do not fall on one set of the cache */
    g->in = g->block * g->across * g->ci + NN_LANES;
    g->out = g->block * g->across * g->co + NN_LANES;
    g->panel = g->co * s->ci + NN_LANES;
}

size_t nn_winograd_weights(const nn_winograd *g) {
    return 36 * g->panel;
}

size_t nn_winograd_scratch(const nn_winograd *g) {
    return 36 * (g->in + g->out) + tiles_scratch(g);
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
    float taps[RUN * 9 * G], half[3][6][G];
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
        for (size_t q = 0; q < 6; q++)
            weight_points(u + q * 6 * g->panel, g->panel, half[0][q], 6 * G);
    }
}

/* --- a block ---------------------------------------------------------------------- */

void nn_winograd_forward(void *y, enum nn_storage y_as, const void *x, enum nn_storage x_as,
                         const float *u, const float *bias, const nn_winograd *g, bool add,
                         size_t i, float *scratch) {
    nn_product *product = nn_product_best();
    size_t first = i * g->block, last = first + g->block < g->rows ? first + g->block : g->rows;
    size_t tiles = (last - first) * g->across;
    float *in = scratch, *out = in + 36 * g->in, *work = out + 36 * g->out;
    for (size_t c = 0; c < g->ci; c += G)
        tiles_of_input((tile_points){in + c, g->in, g->ci}, x, x_as, c, g, first, last, work);
    for (size_t p = 0; p < 36; p++, u += g->panel)
        for (size_t o = 0; o < g->co; o += PANEL) {
            nn_factors f = {.a = in + p * g->in, .a_row = g->ci, .b = u + o * g->s.ci};
            f.m = tiles, f.n = f.b_row = panel_width(g, o), f.k = g->s.ci;
            product(out + p * g->out + o, g->co, &f, false);
        }
    for (size_t o = 0; o < g->co; o += G)
        tiles_to_output(y, y_as, (tile_points){out + o, g->out, g->co}, bias, add, o, g, first,
                        last, work);
}
