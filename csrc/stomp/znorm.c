/* znorm.c: z-normalised joins: the windows' means and deviations, near ties,
 * constant windows, and the order of the diagonals. The hot loop is in
 * znorm_sweep.h. */
#include "znorm.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/cpu.h"
#include "lags.h"
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
    for (size_t k = 0; k < window; k++) terms[k] = raw[k] - mean;
    const double rest = bc_doubling_sum(terms, window) / m;
    for (size_t k = 0; k < window; k++) terms[k] = (terms[k] - rest) * (terms[k] - rest);
    const double sd = sqrt(bc_doubling_sum(terms, window) / m);
    if (!(sd > 1e-140)) return false;
    const double p = 1 / (sqrt(m) * sd);
    s->mean[i] = mean, s->rest[i] = rest, s->scale[i] = 1 / sd;
    s->p[i] = p, s->s[i] = sqrt(m) * p * (mean - s->centre + rest);
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
        s->kind[i] = finite < window                                   ? ZNORM_BAD
                     : equal < window && describe(s, i, window, terms) ? ZNORM_USUAL
                                                                       : ZNORM_CONSTANT;
    }
}

static int new_series(struct znorm_series *s, const double *x, size_t frames, size_t window,
                      double *terms) {
    const size_t wide = frames + 2 * MARGIN + window, n = frames - window + 1;
    *s = (struct znorm_series){.frames = frames, .windows = n};
    double **const parts[] = {&s->scaled, &s->x,    &s->p,    &s->s,
                              &s->e,      &s->mean, &s->rest, &s->scale};
    enum { PARTS = sizeof parts / sizeof *parts };
    s->memory = bc_aligned_doubles(PARTS * wide, NAN);
    s->kind = calloc(n, 1);
    if (s->memory == NULL || s->kind == NULL) return BC_NOMEM;
    for (size_t k = 0; k < PARTS; k++) *parts[k] = s->memory + k * wide + MARGIN;
    s->centre = scale_series(s->scaled, x, frames);
    s->raw = s->scaled;
    for (ptrdiff_t t = -MARGIN; t < (ptrdiff_t)(wide - MARGIN); t++) s->x[t] = 0;
    for (size_t t = 0; t < frames; t++)
        if (isfinite(s->raw[t])) s->x[t] = s->raw[t] - s->centre;
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

/* A window of a series, and how to give it mean 0 and deviation 1. */
struct window {
    const double *x;
    double mean, rest, scale;
};

static struct window window_of(const struct znorm_series *s, size_t i) {
    return (struct window){s->raw + i, s->mean[i], s->rest[i], s->scale[i]};
}

BC_EACH_CPU(static, squares, (double *terms, struct window a, struct window b, size_t n),
            (terms, a, b, n)) {
    for (size_t k = 0; k < n; k++) {
        double e = (a.x[k] - a.mean - a.rest) * a.scale - (b.x[k] - b.mean - b.rest) * b.scale;
        terms[k] = e * e;
    }
}

/* The distance of windows i of a and j of b, both usual. Cells are compared by
 * it and not by its square: roots of different squares may be equal, and what
 * is compared is then what is reported, and what bc_merge_nearest sees. */
static double distance_of(const struct znorm *z, size_t i, size_t j) {
    squares(z->terms, window_of(&z->a, i), window_of(&z->b, j), z->window);
    return sqrt(bc_doubling_sum(z->terms, z->window));
}

/* z->nearest: put window j of b for window i of a. */
static void set_neighbor(struct znorm *z, size_t i, size_t j) {
    const struct nearest *s = z->nearest;
    z->ambiguous++;
    bc_nearest_put(z->nearest, i, distance_of(z, i, j), (int64_t)j);
    const int64_t last = s->index[(i + 1) * s->k - 1];
    if (last < 0) return;
    const double d = bc_nearest_last(s, i), correlation = 1 - d * d / (2 * (double)z->window);
    z->right.value[i] = correlation - z->a.e[i] * z->b.e[last] - 1e-14;
}

void bc_znorm_update_neighbor(struct znorm *z, struct znorm_side *side, bool swapped, size_t at,
                              size_t other, double correlation) {
    const double *at_e = swapped ? z->b.e : z->a.e, *other_e = swapped ? z->a.e : z->b.e;
    const double error = at_e[at] * other_e[other];
    const int64_t known = side->index[at];
    if (z->nearest != NULL) {
        set_neighbor(z, at, other);
        return;
    }
    if (known >= 0) {
        double upper = side->value[at] + 2 * at_e[at] * other_e[known];
        if (correlation - error <= upper) { /* ambiguous */
            const size_t k = (size_t)known;
            z->ambiguous++;
            double d_new = swapped ? distance_of(z, other, at) : distance_of(z, at, other);
            double d_old = swapped ? distance_of(z, k, at) : distance_of(z, at, k);
            if (d_old < d_new || (d_old == d_new && k < other)) return;
        }
    }
    side->index[at] = (int64_t)other;
    side->value[at] = correlation - error;
}

/* The joins */

static znorm_block *choose(enum bc_cpu level, bool grid) {
#if defined(__x86_64__)
    if (level == BC_CPU_BEST) level = bc_cpu_now();
    if (level >= BC_CPU_AVX512) return grid ? bc_znorm_grid_avx512 : bc_znorm_sweep_avx512;
    if (level == BC_CPU_AVX2) return grid ? bc_znorm_grid_avx2 : bc_znorm_sweep_avx2;
#endif
    (void)level;
    return grid ? bc_znorm_grid_plain : bc_znorm_sweep_plain;
}

static void start(struct znorm_side side, size_t n) {
    for (size_t i = 0; i < n; i++) side.value[i] = -3, side.index[i] = -1;
}

static void start_all(struct znorm *z) {
    start(z->right, z->a.windows);
    if (z->left.value != NULL) start(z->left, z->b.windows);
    if (z->nearest != NULL) bc_nearest_start(z->nearest, z->a.windows);
}

enum { UNDECIDED = -1 }; /* more ambiguous cells than allowed */

static int traverse_diagonals(struct znorm *z, ptrdiff_t first, ptrdiff_t last, bool grid,
                              const bc_simple_options *options) {
    znorm_block *block = choose(options->level, grid);
    const ptrdiff_t an = (ptrdiff_t)z->a.windows, bn = (ptrdiff_t)z->b.windows;
    const ptrdiff_t lanes = DOUBLING_LANES, blocks = (last - first) / lanes + 1;
    ptrdiff_t band = 16384; /* rows whose numbers stay in the second-level cache */
    if (band < 16 * (ptrdiff_t)z->window) band = 16 * (ptrdiff_t)z->window;
    const size_t total = (size_t)((an - 1) / band + 1) * (size_t)blocks;
    size_t done = 0;
    start_all(z);
    for (ptrdiff_t from = 0; from < an; from += band)
        for (ptrdiff_t k = blocks; k-- > 0; done++) {
            const ptrdiff_t d = first + k * lanes, least = 1 - d - lanes;
            const ptrdiff_t begin = from > least ? from : least;
            ptrdiff_t end = bn - d < an ? bn - d : an;
            if (end > from + band) end = from + band;
            if (begin >= end) continue;
            if (d >= -z->zone && d + lanes - 1 <= z->zone) continue;
            if (options->tick != NULL && options->tick(options->context, done, total))
                return BC_STOPPED;
            block(z, d, (size_t)begin, (size_t)end);
            if (grid && z->ambiguous > z->ambiguous_allowed) return UNDECIDED;
        }
    return BC_OK;
}

static int traverse_twice(struct znorm *z, ptrdiff_t first, ptrdiff_t last,
                          const bc_simple_options *options) {
    int status = UNDECIDED;
    start_all(z);
    bc_lags_of_tile(&first, &last, z->a.windows, z->b.windows, options->tile, options->tiles);
    if (first > last) return BC_OK;
    if (options->strategy != BC_SIMPLE_SWEEP) {
        const double error = choose_grid(z);
        bound_errors(&z->a, z->window, error);
        bound_errors(&z->b, z->window, error);
        /* an ambiguous cell costs two windows, a cell one frame */
        z->ambiguous_allowed = (size_t)(last - first + 1) * (z->a.windows / z->window / 8 + 1) +
                               (z->nearest == NULL ? 0 : 16 * z->nearest->k * z->a.windows);
        if (options->strategy == BC_SIMPLE_FILTER) z->ambiguous_allowed = SIZE_MAX;
        status = traverse_diagonals(z, first, last, true, options);
    }
    if (status == UNDECIDED) {
        bound_errors(&z->a, z->window, 0);
        bound_errors(&z->b, z->window, 0);
        status = traverse_diagonals(z, first, last, false, options);
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

/* The first window of a list that is at `from` or later and more than zone
 * (-1: none) from i, or -1. */
static int64_t first_from(const int64_t *next, size_t n, size_t i, ptrdiff_t zone, size_t from) {
    const int64_t first = from < n ? next[from] : -1;
    if (zone < 0 || first < 0 || first < (int64_t)i - zone) return first;
    if (first > (int64_t)i + zone) return first;
    const size_t beyond = i + (size_t)zone + 1;
    return beyond < n ? next[beyond] : -1;
}

static void take(double *best, int64_t *index, double d, int64_t j) {
    if (j >= 0 && (d < *best || (d == *best && j < *index))) *best = d, *index = j;
}

/* The windows that are constant, and those that are usual: see first_of. */
struct kinds {
    int64_t *constant, *usual;
};

/* The nearest window of window i on one side (after, else before, it; both in a
 * join): `found`, or a constant one, or for a constant one any. */
static double nearest_of(const struct znorm *z, const struct kinds *kinds, size_t i, ptrdiff_t zone,
                         bool after, int64_t found, int64_t *at) {
    const size_t n = z->b.windows, from = after && zone >= 0 ? i + 1 : 0;
    const double apart = sqrt((double)z->window); /* of a constant and a usual window */
    const bool usual = z->a.kind[i] == ZNORM_USUAL;
    double best = INFINITY;
    *at = -1;
    if (z->a.kind[i] == ZNORM_BAD) return best;
    int64_t constant = first_from(kinds->constant, n, i, zone, from);
    int64_t other = first_from(kinds->usual, n, i, zone, from);
    if (!after && constant > (int64_t)i) constant = -1;
    if (!after && other > (int64_t)i) other = -1;
    if (usual && found >= 0) take(&best, at, distance_of(z, i, (size_t)found), found);
    take(&best, at, usual ? apart : 0, constant);
    if (!usual) take(&best, at, apart, other);
    return best;
}

/* From the two sides and the constant windows to distances. */
static int finish(struct znorm *z, ptrdiff_t zone, const struct kinds *kinds, const bc_sides *sides,
                  const bc_simple_options *options) {
    const size_t n = z->a.windows;
    for (size_t i = 0; i < n; i++) {
        if (i % 256 == 0 && options->tick != NULL && options->tick(options->context, n, n))
            return BC_STOPPED;
        int64_t left = -1, at;
        double best = nearest_of(z, kinds, i, zone, true, z->right.index[i], &at);
        double before = INFINITY;
        if (sides != NULL) sides->right_distance[i] = best, sides->right_index[i] = at;
        if (zone >= 0) before = nearest_of(z, kinds, i, zone, false, z->left.index[i], &left);
        if (sides != NULL) sides->left_distance[i] = before, sides->left_index[i] = left;
        take(&best, &at, before, left);
        z->right.value[i] = best;
        z->right.index[i] = at;
    }
    return BC_OK;
}

/* Put up to k windows of a list into the nearest ones of window i. */
static void put_kind(struct znorm *z, const int64_t *next, size_t i, double distance) {
    size_t from = 0;
    for (size_t count = 0; count < z->nearest->k; count++) {
        const int64_t j = first_from(next, z->b.windows, i, z->zone, from);
        if (j < 0) return;
        bc_nearest_put(z->nearest, i, distance, j);
        from = (size_t)j + 1;
    }
}

static void finish_nearest(struct znorm *z, const struct kinds *kinds) {
    const double apart = sqrt((double)z->window);
    for (size_t i = 0; i < z->a.windows; i++) {
        const bool usual = z->a.kind[i] == ZNORM_USUAL;
        if (z->a.kind[i] == ZNORM_BAD) continue;
        put_kind(z, kinds->constant, i, usual ? apart : 0);
        if (!usual) put_kind(z, kinds->usual, i, apart);
    }
}

/* zone < 0: a join of two series, else of x with itself. z has the window, right,
 * whose memory is the caller's, and nearest, if that is wanted. */
static int join(struct znorm *z, const double *x, size_t x_frames, const double *y, size_t y_frames,
                ptrdiff_t zone, const bc_sides *sides, const bc_simple_options *options) {
    const size_t window = z->window;
    assert(1 <= window && window <= x_frames && window <= y_frames);
    const ptrdiff_t xn = (ptrdiff_t)(x_frames - window + 1);
    const ptrdiff_t yn = (ptrdiff_t)(y_frames - window + 1);
    const bool itself = zone >= 0, both = itself && z->nearest == NULL;
    struct kinds kinds = {NULL, NULL};
    int status = BC_NOMEM;
    if (zone > xn) zone = xn;
    z->zone = both ? -1 : zone; /* with both sides, the lags begin after the zone */
    z->terms = bc_aligned_doubles(window, 0.0);
    if (z->terms == NULL || bc_doubling_new(&z->sums, window) != BC_OK ||
        new_series(&z->a, x, x_frames, window, z->terms) != BC_OK ||
        (!itself && new_series(&z->b, y, y_frames, window, z->terms) != BC_OK))
        goto out;
    if (itself) z->b = z->a; /* one and the same memory */
    if (both) {
        z->left.value = bc_aligned_doubles((size_t)yn + MARGIN, INFINITY); /* never better */
        z->left.index = malloc((size_t)yn * sizeof *z->left.index);
        if (z->left.value == NULL || z->left.index == NULL) goto out;
    }
    kinds.constant = first_of(&z->b, ZNORM_CONSTANT);
    kinds.usual = first_of(&z->b, ZNORM_USUAL);
    if (kinds.constant == NULL || kinds.usual == NULL) goto out;
    status = traverse_twice(z, both ? zone + 1 : 1 - xn, yn - 1, options);
    if (status == BC_OK && z->nearest != NULL)
        finish_nearest(z, &kinds);
    else if (status == BC_OK)
        status = finish(z, zone, &kinds, sides, options);
out:
    free(z->left.value);
    free(z->left.index);
    free(kinds.constant);
    free(kinds.usual);
    free_series(&z->a);
    if (!itself) free_series(&z->b);
    bc_doubling_free(&z->sums);
    free(z->terms);
    return status;
}

int bc_znorm_self_join(double *distance, int64_t *index, const bc_sides *sides, const double *x,
                       size_t frames, size_t window, size_t zone,
                       const bc_simple_options *options) {
    if (zone > frames) zone = frames;
    struct znorm z = {.window = window, .right = {distance, index}};
    return join(&z, x, frames, x, frames, (ptrdiff_t)zone, sides, options);
}

int bc_znorm_join(double *distance, int64_t *index, const double *x, size_t x_frames,
                  const double *y, size_t y_frames, size_t window,
                  const bc_simple_options *options) {
    struct znorm z = {.window = window, .right = {distance, index}};
    return join(&z, x, x_frames, y, y_frames, -1, NULL, options);
}

int bc_znorm_nearest(double *distance, int64_t *index, size_t k, const double *x, size_t x_frames,
                     const double *y, size_t y_frames, size_t window, ptrdiff_t zone,
                     const bc_simple_options *options) {
    const size_t n = x_frames - window + 1;
    struct nearest nearest = {distance, index, k};
    struct znorm z = {.window = window, .nearest = &nearest};
    int status = BC_NOMEM;
    z.right.value = bc_aligned_doubles(n, 0.0);
    z.right.index = calloc(n, sizeof *z.right.index);
    if (z.right.value != NULL && z.right.index != NULL)
        status = join(&z, x, x_frames, y, y_frames, zone, NULL, options);
    free(z.right.value);
    free(z.right.index);
    return status;
}

int bc_znorm_query(double *distance, const double *query, const double *x, size_t frames,
                   size_t window, const bc_simple_options *options) {
    assert(1 <= window && window <= frames);
    struct znorm z = {.window = window};
    int status = BC_NOMEM;
    z.terms = bc_aligned_doubles(window, 0.0);
    if (z.terms == NULL || new_series(&z.a, query, window, window, z.terms) != BC_OK ||
        new_series(&z.b, x, frames, window, z.terms) != BC_OK)
        goto out;
    status = BC_OK;
    const uint8_t kind = z.a.kind[0];
    for (size_t j = 0; status == BC_OK && j < z.b.windows; j++) {
        if (j % 256 == 0 && options->tick != NULL &&
            options->tick(options->context, j, z.b.windows))
            status = BC_STOPPED;
        if (kind == ZNORM_BAD || z.b.kind[j] == ZNORM_BAD)
            distance[j] = INFINITY;
        else if (kind != z.b.kind[j])
            distance[j] = sqrt((double)window);
        else
            distance[j] = kind == ZNORM_CONSTANT ? 0 : distance_of(&z, 0, j);
    }
out:
    free_series(&z.a);
    free_series(&z.b);
    free(z.terms);
    return status;
}

/* -1: not finite, 0: constant, 1: z (n) is x with mean 0 and deviation 1 */
static int normalise(double *z, const double *x, size_t n) {
    double square = 0, least = x[0], most = x[0];
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(x[k])) return -1;
        least = fmin(least, x[k]), most = fmax(most, x[k]);
        z[k] = x[k];
    }
    if (least == most) return 0;
    for (int pass = 0; pass < 2; pass++) { /* the first mean is rounded: that of its residuals */
        double mean = 0;
        for (size_t k = 0; k < n; k++) mean += z[k] / (double)n;
        for (size_t k = 0; k < n; k++) z[k] -= mean;
    }
    for (size_t k = 0; k < n; k++) square += z[k] * z[k] / (double)n;
    if (!(sqrt(square) > 1e-140)) return 0;
    for (size_t k = 0; k < n; k++) z[k] /= sqrt(square);
    return 1;
}

/* bc_znorm_brute of scaled series; z is scratch (2, window). */
static int brute(double *distance, int64_t *index, const double *x, size_t x_frames,
                 const double *y, size_t y_frames, size_t window, ptrdiff_t zone, double *z,
                 const bc_simple_options *options) {
    double *zx = z, *zy = z + window;
    for (size_t i = 0; i + window <= x_frames; i++) {
        distance[i] = INFINITY, index[i] = -1;
        if (options->tick != NULL && options->tick(options->context, i, x_frames))
            return BC_STOPPED;
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
    return BC_OK;
}

int bc_znorm_brute(double *distance, int64_t *index, const double *x, size_t x_frames,
                   const double *y, size_t y_frames, size_t window, ptrdiff_t zone,
                   const bc_simple_options *options) {
    double *scaled = malloc((x_frames + y_frames + 2 * window) * sizeof *scaled);
    if (scaled == NULL) return BC_NOMEM;
    scale_series(scaled, x, x_frames);
    scale_series(scaled + x_frames, y, y_frames);
    const int status = brute(distance, index, scaled, x_frames, scaled + x_frames, y_frames, window,
                             zone, scaled + x_frames + y_frames, options);
    free(scaled);
    return status;
}
