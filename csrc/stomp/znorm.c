/* znorm.c: z-normalised joins: the windows' means and deviations, near ties,
 * constant windows, and the order of the diagonals. The hot loop is in
 * znorm_sweep.h. */
#include "znorm.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/clones.h"
#include "znorm_vectors.h"

enum { MARGIN = 64 };

/* Series */

/* raw = x scaled by a power of two to magnitudes up to 1, so that no square
 * overflows: z-normalisation does not see it. Returns the mean. */
static double scale_series(double *raw, const double *x, size_t n) {
    double largest = 0, mean = 0;
    size_t count = 0;
    for (size_t t = 0; t < n; t++)
        if (isfinite(x[t])) largest = fmax(largest, fabs(x[t])), count++;
    int exponent = largest > 0 ? -ilogb(largest) - 1 : 0;
    for (size_t t = 0; t < n; t++) {
        raw[t] = ldexp(x[t], exponent);
        if (isfinite(raw[t])) mean += raw[t] / (double)count;
    }
    return mean;
}

/* Fill in window i, which is finite and not constant; terms (window) is
 * scratch. False if its deviation is too small for its numbers. */
static bool describe(struct znorm_series *s, size_t i, size_t window, double *terms) {
    const double m = (double)window, *raw = s->raw + i;
    const double mean = bc_doubling_sum(raw, window) / m;
    for (size_t k = 0; k < window; k++) terms[k] = (raw[k] - mean) * (raw[k] - mean);
    const double sd = sqrt(bc_doubling_sum(terms, window) / m);
    if (!(sd > 1e-140)) return false;
    const double p = 1 / (sqrt(m) * sd);
    s->mean[i] = mean, s->scale[i] = 1 / sd;
    s->p[i] = p, s->s[i] = sqrt(m) * p * (bc_doubling_sum(s->x + i, window) / m);
    return true;
}

/* Which windows are constant, not finite, or neither, and their numbers. */
static void describe_all(struct znorm_series *s, size_t window, double *terms) {
    size_t equal = 0, finite = 0; /* the run of such frames that ends at t */
    for (size_t t = 0; t < s->frames; t++) {
        equal = t > 0 && s->raw[t] == s->raw[t - 1] ? equal + 1 : 1;
        finite = isfinite(s->raw[t]) ? finite + 1 : 0;
        if (t + 1 < window) continue;
        const size_t i = t + 1 - window;
        s->kind[i] = finite < window  ? ZNORM_BAD
                     : equal < window && describe(s, i, window, terms) ? ZNORM_USUAL
                                                                       : ZNORM_CONSTANT;
    }
}

static int new_series(struct znorm_series *s, const double *x, size_t frames, size_t window,
                      double *terms) {
    const size_t wide = frames + 2 * MARGIN + window, n = frames - window + 1;
    *s = (struct znorm_series){.frames = frames, .windows = n};
    s->memory = bc_aligned_doubles(7 * wide, NAN);
    s->kind = calloc(n, 1);
    if (s->memory == NULL || s->kind == NULL) return BC_NOMEM;
    double **const parts[] = {&s->scaled, &s->x, &s->p, &s->s, &s->e, &s->mean, &s->scale};
    for (size_t k = 0; k < 7; k++) *parts[k] = s->memory + k * wide + MARGIN;
    const double centre = scale_series(s->scaled, x, frames);
    s->raw = s->scaled;
    for (ptrdiff_t t = -MARGIN; t < (ptrdiff_t)(wide - MARGIN); t++) s->x[t] = 0;
    for (size_t t = 0; t < frames; t++)
        if (isfinite(s->raw[t])) s->x[t] = s->raw[t] - centre;
    describe_all(s, window, terms);
    return BC_OK;
}

static void free_series(struct znorm_series *s) {
    free(s->memory);
    free(s->kind);
}

/* The bounds of the windows' errors; grid: of a sum of products, 0 if none. */
static void bound_errors(struct znorm_series *s, size_t window, double grid) {
    /* |x| p = sqrt(1 + s^2). The sum of products is wrong by up to
     * log2(m) + popcount(m) roundings of |x_i| |x_j|; mean, sd, the products
     * after the sum and the distance that decides near ties add some more. */
    const double relative = (64 + 4 * log2((double)window)) * 0x1p-53;
    for (size_t i = 0; i < s->windows; i++)
        s->e[i] = sqrt(relative * (1 + s->s[i] * s->s[i])) + sqrt(grid) * s->p[i];
}

/* Choose a grid for the products; returns the largest error of a sum of m. */
static double choose_grid(struct znorm *z) {
    double x = 0, y = 0, m = (double)z->window;
    for (size_t t = 0; t < z->a.frames; t++) x = fmax(x, fabs(z->a.x[t]));
    for (size_t t = 0; t < z->b.frames; t++) y = fmax(y, fabs(z->b.x[t]));
    /* A sum stays below 2^52 steps, a product below 2^50, so that bias + c
     * keeps the bias's last bit. */
    double step = ldexp(1.0, ilogb(fmax(1.01 * x * y * fmax(m, 4), 1e-250)) + 1 - 52);
    z->bias = 1.5 * ldexp(step, 52);
    return m * step;
}

/* One distance, and near ties */

BC_CLONES static void squares(double *terms, const double *x, double x_mean, double x_scale,
                              const double *y, double y_mean, double y_scale, size_t n) {
    for (size_t k = 0; k < n; k++) {
        double e = (x[k] - x_mean) * x_scale - (y[k] - y_mean) * y_scale;
        terms[k] = e * e;
    }
}

/* Squared distance of windows i of a and j of b, both usual. */
static double square_distance(const struct znorm *z, size_t i, size_t j) {
    const struct znorm_series *a = &z->a, *b = &z->b;
    squares(z->terms, a->raw + i, a->mean[i], a->scale[i], b->raw + j, b->mean[j], b->scale[j],
            z->window);
    return bc_doubling_sum(z->terms, z->window);
}

void bc_znorm_offer(struct znorm *z, struct znorm_side *side, bool swapped, size_t at,
                    size_t other, double correlation) {
    const double *at_e = swapped ? z->b.e : z->a.e, *other_e = swapped ? z->a.e : z->b.e;
    const double error = at_e[at] * other_e[other];
    const int64_t known = side->index[at];
    if (known >= 0) {
        double upper = side->value[at] + 2 * at_e[at] * other_e[known];
        if (correlation - error <= upper) { /* in doubt */
            const size_t k = (size_t)known;
            z->doubts++;
            double d_new = swapped ? square_distance(z, other, at) : square_distance(z, at, other);
            double d_old = swapped ? square_distance(z, k, at) : square_distance(z, at, k);
            if (d_old < d_new || (d_old == d_new && k < other)) return;
        }
    }
    side->index[at] = (int64_t)other;
    side->value[at] = correlation - error;
}

/* The joins */

static znorm_block *choose(enum bc_simple_code code, bool grid) {
#if defined(__x86_64__)
    if (code == BC_SIMPLE_BEST)
        code = bc_simple_has(BC_SIMPLE_AVX512) ? BC_SIMPLE_AVX512
               : bc_simple_has(BC_SIMPLE_AVX2) ? BC_SIMPLE_AVX2
                                               : BC_SIMPLE_PLAIN;
    if (code == BC_SIMPLE_AVX512) return grid ? bc_znorm_grid_avx512 : bc_znorm_sweep_avx512;
    if (code == BC_SIMPLE_AVX2) return grid ? bc_znorm_grid_avx2 : bc_znorm_sweep_avx2;
#endif
    (void)code;
    return grid ? bc_znorm_grid_plain : bc_znorm_sweep_plain;
}

static void start(struct znorm_side side, size_t n) {
    for (size_t i = 0; i < n; i++) side.value[i] = -3, side.index[i] = -1;
}

enum { UNDECIDED = -1 }; /* more doubts than allowed */

static int walk(struct znorm *z, ptrdiff_t first, ptrdiff_t last, bool grid,
                const bc_simple_options *options) {
    znorm_block *block = choose(options->code, grid);
    const ptrdiff_t an = (ptrdiff_t)z->a.windows, bn = (ptrdiff_t)z->b.windows;
    const ptrdiff_t lanes = DOUBLING_LANES, blocks = (last - first) / lanes + 1;
    ptrdiff_t band = 16384; /* rows whose numbers stay in the second-level cache */
    if (band < 16 * (ptrdiff_t)z->window) band = 16 * (ptrdiff_t)z->window;
    const size_t total = (size_t)((an - 1) / band + 1) * (size_t)blocks;
    size_t done = 0;
    start(z->right, z->a.windows);
    if (z->left.value != NULL) start(z->left, z->b.windows);
    for (ptrdiff_t from = 0; from < an; from += band)
        for (ptrdiff_t k = blocks; k-- > 0; done++) {
            const ptrdiff_t d = first + k * lanes, least = 1 - d - lanes;
            const ptrdiff_t begin = from > least ? from : least;
            ptrdiff_t end = bn - d < an ? bn - d : an;
            if (end > from + band) end = from + band;
            if (begin >= end) continue;
            if (options->tick != NULL && options->tick(options->context, done, total))
                return BC_STOPPED;
            block(z, d, (size_t)begin, (size_t)end);
            if (grid && z->doubts > z->doubts_allowed) return UNDECIDED;
        }
    return BC_OK;
}

static int walk_both(struct znorm *z, ptrdiff_t first, ptrdiff_t last,
                     const bc_simple_options *options) {
    int status = UNDECIDED;
    if (options->way != BC_SIMPLE_SWEEP) {
        const double error = choose_grid(z);
        bound_errors(&z->a, z->window, error);
        bound_errors(&z->b, z->window, error);
        /* a doubt costs two windows, a cell one frame */
        z->doubts_allowed = (size_t)(last - first + 1) * (z->a.windows / z->window / 8 + 1);
        if (options->way == BC_SIMPLE_FILTER) z->doubts_allowed = SIZE_MAX;
        status = walk(z, first, last, true, options);
    }
    if (status == UNDECIDED) {
        bound_errors(&z->a, z->window, 0);
        bound_errors(&z->b, z->window, 0);
        status = walk(z, first, last, false, options);
    }
    return status;
}

/* The first window from `from` on of a kind, or -1. next (n + 1) says where. */
static int64_t *first_of(const struct znorm_series *s, enum znorm_kind kind) {
    int64_t *next = malloc((s->windows + 1) * sizeof *next);
    if (next == NULL) return NULL;
    next[s->windows] = -1;
    for (size_t i = s->windows; i-- > 0;) next[i] = s->kind[i] == kind ? (int64_t)i : next[i + 1];
    return next;
}

/* The lowest window of a list that is more than zone (-1: none) from i, or -1. */
static int64_t lowest(const int64_t *next, size_t n, size_t i, ptrdiff_t zone) {
    int64_t first = next[0];
    if (zone < 0 || first < 0 || first < (int64_t)i - zone) return first;
    size_t beyond = i + (size_t)zone + 1;
    return beyond < n ? next[beyond] : -1;
}

static void take(double *best, int64_t *index, double d, int64_t j) {
    if (j >= 0 && (d < *best || (d == *best && j < *index))) *best = d, *index = j;
}

/* From the two sides and the constant windows to distances. */
static int finish(struct znorm *z, ptrdiff_t zone) {
    const size_t n = z->b.windows;
    const double apart = (double)z->window; /* squared, of a constant and a usual window */
    int64_t *constant = first_of(&z->b, ZNORM_CONSTANT), *usual = first_of(&z->b, ZNORM_USUAL);
    int status = constant == NULL || usual == NULL ? BC_NOMEM : BC_OK;
    for (size_t i = 0; status == BC_OK && i < z->a.windows; i++) {
        int64_t found[2] = {z->right.index[i], z->left.index == NULL ? -1 : z->left.index[i]};
        double best = INFINITY;
        int64_t at = -1;
        if (z->a.kind[i] == ZNORM_USUAL) {
            for (int side = 0; side < 2; side++)
                if (found[side] >= 0)
                    take(&best, &at, square_distance(z, i, (size_t)found[side]), found[side]);
            take(&best, &at, apart, lowest(constant, n, i, zone));
        } else if (z->a.kind[i] == ZNORM_CONSTANT) {
            take(&best, &at, 0, lowest(constant, n, i, zone));
            take(&best, &at, apart, lowest(usual, n, i, zone));
        }
        z->right.value[i] = sqrt(best);
        z->right.index[i] = at;
    }
    free(constant);
    free(usual);
    return status;
}

/* zone < 0: a join of two series, else of x with itself. */
static int join(double *distance, int64_t *index, const double *x, size_t x_frames,
                const double *y, size_t y_frames, size_t window, ptrdiff_t zone,
                const bc_simple_options *options) {
    assert(1 <= window && window <= x_frames && window <= y_frames);
    struct znorm z = {.window = window, .right = {distance, index}};
    const ptrdiff_t xn = (ptrdiff_t)(x_frames - window + 1);
    const ptrdiff_t yn = (ptrdiff_t)(y_frames - window + 1);
    int status = BC_NOMEM;
    z.terms = bc_aligned_doubles(window, 0.0);
    if (z.terms == NULL || bc_doubling_new(&z.sums, window) != BC_OK ||
        new_series(&z.a, x, x_frames, window, z.terms) != BC_OK ||
        (zone < 0 && new_series(&z.b, y, y_frames, window, z.terms) != BC_OK))
        goto out;
    if (zone >= 0) z.b = z.a; /* one and the same memory */
    start(z.right, (size_t)xn);
    if (zone >= 0) {
        z.left.value = bc_aligned_doubles((size_t)yn + MARGIN, INFINITY); /* never better */
        z.left.index = malloc((size_t)yn * sizeof *z.left.index);
        if (z.left.value == NULL || z.left.index == NULL) goto out;
        start(z.left, (size_t)yn);
    }
    status = BC_OK;
    if (zone < xn - 1) status = walk_both(&z, zone < 0 ? 1 - xn : zone + 1, yn - 1, options);
    if (status == BC_OK) status = finish(&z, zone);
out:
    free(z.left.value);
    free(z.left.index);
    free_series(&z.a);
    if (zone < 0) free_series(&z.b);
    bc_doubling_free(&z.sums);
    free(z.terms);
    return status;
}

int bc_znorm_self_join(double *distance, int64_t *index, const double *x, size_t frames,
                       size_t window, size_t zone, const bc_simple_options *options) {
    if (zone > frames) zone = frames;
    return join(distance, index, x, frames, x, frames, window, (ptrdiff_t)zone, options);
}

int bc_znorm_join(double *distance, int64_t *index, const double *x, size_t x_frames,
                  const double *y, size_t y_frames, size_t window,
                  const bc_simple_options *options) {
    return join(distance, index, x, x_frames, y, y_frames, window, -1, options);
}

/* -1: not finite, 0: constant, 1: z (n) is x with mean 0 and deviation 1 */
static int normalise(double *z, const double *x, size_t n) {
    double mean = 0, square = 0, least = x[0], most = x[0];
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(x[k])) return -1;
        mean += x[k] / (double)n;
        least = fmin(least, x[k]), most = fmax(most, x[k]);
    }
    if (least == most) return 0;
    for (size_t k = 0; k < n; k++) square += (x[k] - mean) * (x[k] - mean) / (double)n;
    for (size_t k = 0; k < n; k++) z[k] = (x[k] - mean) / sqrt(square);
    return 1;
}

int bc_znorm_brute(double *distance, int64_t *index, const double *x, size_t x_frames,
                   const double *y, size_t y_frames, size_t window, ptrdiff_t zone,
                   const bc_simple_options *options) {
    double *zx = malloc(2 * window * sizeof *zx), *zy = zx + window;
    int status = zx == NULL ? BC_NOMEM : BC_OK;
    for (size_t i = 0; status == BC_OK && i + window <= x_frames; i++) {
        distance[i] = INFINITY, index[i] = -1;
        if (options->tick != NULL && options->tick(options->context, i, x_frames))
            status = BC_STOPPED;
        const int x_kind = normalise(zx, x + i, window);
        for (size_t j = 0; x_kind >= 0 && j + window <= y_frames; j++) {
            size_t apart = i > j ? i - j : j - i;
            if (zone >= 0 && apart <= (size_t)zone) continue;
            const int y_kind = normalise(zy, y + j, window);
            if (y_kind < 0) continue;
            double sum = x_kind == y_kind ? 0 : (double)window;
            if (x_kind + y_kind == 2)
                for (size_t k = 0; k < window; k++) sum += (zx[k] - zy[k]) * (zx[k] - zy[k]);
            if (sqrt(sum) < distance[i]) distance[i] = sqrt(sum), index[i] = (int64_t)j;
        }
    }
    free(zx);
    return status;
}
