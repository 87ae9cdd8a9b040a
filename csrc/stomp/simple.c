/* simple.c: SiMPle joins: near ties, and the order of the diagonals. What is done
 * before is in simple_prepare.c, the hot loops are in simple_filter.h and simple_sweep.h. */
#include "simple.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/cpu.h"
#include "lags.h"
#include "simple_vectors.h"

static simple_block *choose(enum bc_cpu level, bool filter) {
#if defined(__x86_64__)
    if (level == BC_CPU_BEST) level = bc_cpu_now();
    if (level >= BC_CPU_AVX512) return filter ? bc_filter_avx512 : bc_sweep_avx512;
    if (level == BC_CPU_AVX2) return filter ? bc_filter_avx2 : bc_sweep_avx2;
#endif
    (void)level;
    return filter ? bc_filter_plain : bc_sweep_plain;
}

/* One distance, and near ties */

enum { FRAMES = 16 }; /* whose sums stay in registers */

BC_EACH_CPU(static, frame_distances,
            (double *c, const double *x, size_t x_frames, const double *y, size_t y_frames,
             size_t dims, size_t window),
            (c, x, x_frames, y, y_frames, dims, window)) {
    size_t k = 0;
    for (; k + FRAMES <= window; k += FRAMES) {
        double sum[FRAMES] = {0};
        for (size_t d = 0; d < dims; d++)
            for (size_t n = 0; n < FRAMES; n++) {
                const double e = x[d * x_frames + k + n] - y[d * y_frames + k + n];
                sum[n] += e * e;
            }
        memcpy(c + k, sum, sizeof sum);
    }
    for (; k < window; k++) {
        c[k] = 0;
        for (size_t d = 0; d < dims; d++) {
            const double e = x[d * x_frames + k] - y[d * y_frames + k];
            c[k] += e * e;
        }
    }
}

/* The distance of window i of x and window j of y: c of each frame, then sums
 * of pairs of pairs. The sweep adds in the same order: the same bits. */
static double window_distance(struct simple *s, size_t i, size_t j) {
    frame_distances(s->terms, s->x + i, s->x_frames, s->y + j, s->y_frames, s->dims, s->window);
    return bc_doubling_sum(s->terms, s->window);
}

/* The bound that goes with a neighbour at this distance. */
static int32_t bound_of(const struct simple *s, double distance) {
    return (int32_t)ceil(distance / s->grid) + 2 * s->slack;
}

void bc_simple_set_neighbor(struct simple *s, size_t i, size_t j, double distance) {
    bc_nearest_put(s->nearest, i, distance, (int64_t)j);
    const double last = bc_nearest_last(s->nearest, i);
    if (!(last < DBL_MAX)) return;
    if (s->right.bound != NULL) s->right.bound[i] = bound_of(s, last);
    s->right.value[i] = last, s->right.index[i] = (int64_t)j;
}

void bc_simple_update_neighbor(struct simple *s, struct simple_side *side, bool swapped, size_t at,
                               size_t other, int32_t value) {
    if (s->nearest != NULL) {
        s->ambiguous++;
        bc_simple_set_neighbor(s, at, other, window_distance(s, at, other));
        return;
    }
    int32_t *bound = &side->bound[at];
    int64_t *index = &side->index[at];
    if (value < *bound - 4 * s->slack) { /* nearer for certain */
        *bound = value + 2 * s->slack, *index = (int64_t)other;
        return;
    }
    size_t known = (size_t)*index;
    double d_new = swapped ? window_distance(s, other, at) : window_distance(s, at, other);
    double d_old = swapped ? window_distance(s, known, at) : window_distance(s, at, known);
    s->ambiguous++;
    if (d_new < d_old || (d_new == d_old && other < known)) d_old = d_new, *index = (int64_t)other;
    *bound = bound_of(s, d_old);
}

/* The joins */

static void start(struct simple_side side, size_t n, int32_t limit) {
    for (size_t i = 0; i < n; i++) {
        side.value[i] = DBL_MAX; /* not INFINITY, so that an infinite distance is never taken */
        side.index[i] = -1;
        if (side.bound != NULL) side.bound[i] = limit;
    }
}

static void start_all(struct simple *s) {
    start(s->right, s->x_windows, s->limit);
    if (s->left.value != NULL) start(s->left, s->y_windows, s->limit);
    if (s->nearest != NULL) bc_nearest_start(s->nearest, s->x_windows);
}

/* What finish needs of a filter's bounds. */
static void keep_bounds(struct simple *s) {
    for (size_t i = 0; i < s->x_windows; i++) s->right.value[i] = s->right.bound[i] * s->grid;
    for (size_t j = 0; s->left.value != NULL && j < s->y_windows; j++)
        s->left.value[j] = s->left.bound[j] * s->grid;
}

enum { UNDECIDED = -1 }; /* of traverse_diagonals: more ambiguous cells than allowed */
enum { BAND_BYTES = 1 << 20 };

/* Rows of a band, for frames of double precision. */
static ptrdiff_t band_of(const struct simple *s) {
    const size_t rows = BAND_BYTES / (2 * sizeof(double) * s->dims), least = 16 * s->window;
    return (ptrdiff_t)(rows < least ? least / 64 * 64 + 64 : rows / 64 * 64);
}

/* The cells of diagonals first .. last, cut into bands of rows whose frames
 * stay in the second-level cache, and those into blocks of diagonals. */
static int traverse_diagonals(struct simple *s, ptrdiff_t first, ptrdiff_t last, bool filter,
                              const bc_simple_options *options) {
    simple_block *block = choose(options->level, filter);
    const ptrdiff_t xn = (ptrdiff_t)s->x_windows, yn = (ptrdiff_t)s->y_windows;
    const ptrdiff_t blocks = (last - first) / SIMPLE_LANES + 1;
    const ptrdiff_t band = band_of(s);
    const size_t total = (size_t)((xn - 1) / band + 1) * (size_t)blocks;
    size_t done = 0;

    start_all(s);
    for (ptrdiff_t from = 0; from < xn; from += band)
        for (ptrdiff_t k = blocks; k-- > 0; done++) {
            const ptrdiff_t d = first + k * SIMPLE_LANES, least = 1 - d - SIMPLE_LANES;
            const ptrdiff_t begin = from > least ? from : least;
            ptrdiff_t end = yn - d < xn ? yn - d : xn;
            if (end > from + band) end = from + band;
            if (begin >= end) continue;
            if (d >= -s->zone && d + SIMPLE_LANES - 1 <= s->zone) continue;
            if (options->tick != NULL && options->tick(options->context, done, total))
                return BC_STOPPED;
            block(s, d, (size_t)begin, (size_t)end);
            if (filter && s->ambiguous > s->ambiguous_allowed) return UNDECIDED;
        }
    return BC_OK;
}

/* After it, right and left hold the indices; s->error is 0 after a sweep. */
static int join(struct simple *s, ptrdiff_t first, ptrdiff_t last,
                const bc_simple_options *options) {
    bool filter = options->strategy != BC_SIMPLE_SWEEP;
    int status = BC_OK;
    start_all(s);
    bc_lags_of_tile(&first, &last, s->x_windows, s->y_windows, options->tile, options->tiles);
    if (first > last) return BC_OK;
    if (filter) {
        status = bc_simple_prepare_filter(s, first, &filter);
        if (options->strategy == BC_SIMPLE_FILTER)
            s->ambiguous_allowed = SIZE_MAX;
        else /* an ambiguous cell costs two windows, a cell one frame */
            s->ambiguous_allowed =
                (size_t)(last - first + 1) * (s->x_windows / s->window / 32 + 1) +
                (s->nearest == NULL ? 0 : 16 * s->nearest->k * s->x_windows);
        if (status == BC_OK && filter) status = traverse_diagonals(s, first, last, true, options);
        if (status == BC_OK && filter && s->nearest == NULL) keep_bounds(s);
        bc_simple_free_scratch(s);
        if (status == UNDECIDED) filter = false;
    }
    if (!filter && status != BC_NOMEM) {
        status = bc_simple_prepare_sweep(s);
        if (status == BC_OK) status = traverse_diagonals(s, first, last, false, options);
        bc_simple_free_scratch(s);
        s->error = 0;
    }
    return status;
}

/* From indices to distances; sides: the left and right ones too. */
static int finish(struct simple *s, const bc_sides *sides, const bc_simple_options *options) {
    const size_t n = s->x_windows;
    for (size_t i = 0; i < n; i++) {
        const int64_t right = s->right.index[i];
        const int64_t left = s->left.value == NULL ? -1 : s->left.index[i];
        double apart = left < 0 || right < 0 ? 0 : s->left.value[i] - s->right.value[i];
        if (i % 256 == 0 && options->tick != NULL && options->tick(options->context, n, n))
            return BC_STOPPED;
        /* distances are only computed where they are needed */
        double d_left = INFINITY, d_right = INFINITY;
        if (left >= 0 && (sides != NULL || !(apart > 4 * s->error)))
            d_left = window_distance(s, (size_t)left, i);
        if (right >= 0 && (sides != NULL || left < 0 || !(apart < -4 * s->error)))
            d_right = window_distance(s, i, (size_t)right);
        const bool leftward = d_left <= d_right && left >= 0;
        s->right.value[i] = leftward ? d_left : d_right;
        s->right.index[i] = leftward ? left : right;
        if (sides == NULL) continue;
        sides->left_distance[i] = d_left, sides->left_index[i] = left;
        sides->right_distance[i] = d_right, sides->right_index[i] = right;
    }
    return BC_OK;
}

/* All windows of x against all of y. */
static struct simple between(const double *x, size_t x_frames, const double *y, size_t y_frames,
                             size_t dims, size_t window) {
    return (struct simple){.x = x,
                           .y = y,
                           .x_frames = x_frames,
                           .y_frames = y_frames,
                           .x_windows = x_frames - window + 1,
                           .y_windows = y_frames - window + 1,
                           .dims = dims,
                           .window = window,
                           .zone = -1};
}

int bc_simple_self_join(double *distance, int64_t *index, const bc_sides *sides, const double *x,
                        size_t dims, size_t frames, size_t window, size_t zone,
                        const bc_simple_options *options) {
    assert(dims >= 1 && 1 <= window && window <= frames);
    const size_t n = frames - window + 1;
    struct simple s = between(x, frames, x, frames, dims, window);
    s.right.value = distance;
    s.right.index = index;
    int status = BC_NOMEM;
    s.terms = bc_aligned_doubles(window, 0.0);
    s.left.value = bc_aligned_doubles(n + SIMPLE_LANES, -INFINITY); /* nothing is nearer */
    s.left.index = calloc(n + SIMPLE_LANES, sizeof *s.left.index);
    if (s.terms == NULL || s.left.value == NULL || s.left.index == NULL) goto out;
    if (zone > n - 1) zone = n - 1;
    status = join(&s, (ptrdiff_t)zone + 1, (ptrdiff_t)n - 1, options);
    if (status == BC_OK) status = finish(&s, sides, options);
out:
    free(s.terms);
    free(s.left.value);
    free(s.left.index);
    return status;
}

/* All window lengths at once */

/* Diagonals d .. of the band's rows for all lengths in the chain. Returns how
 * many have not given up. */
static size_t pan_block(struct simple *chain, simple_block *block, ptrdiff_t d, size_t from,
                        size_t band) {
    size_t left = 0;
    bool any = false;
    for (struct simple *p = chain; p != NULL; p = p->next) {
        const bool given_up = p->ambiguous > p->ambiguous_allowed;
        const ptrdiff_t rows = (ptrdiff_t)p->x_windows - d;
        p->resting = given_up || d + SIMPLE_LANES - 1 <= p->zone || rows <= (ptrdiff_t)from;
        any = any || !p->resting;
        left += !given_up;
    }
    if (any) block(chain, d, from, from + band);
    return left;
}

static int traverse_pan(struct simple *chain, ptrdiff_t first, ptrdiff_t last,
                        const bc_simple_options *options) {
    simple_block *block = choose(options->level, true);
    const size_t rows = (size_t)last + 1, blocks = (size_t)(last - first) / SIMPLE_LANES + 1;
    const size_t band = (size_t)band_of(chain);
    size_t done = 0;
    const size_t total = ((rows - 1) / band + 1) * blocks;
    for (size_t from = 0; from < rows; from += band)
        for (size_t k = blocks; k-- > 0; done++) {
            if (options->tick != NULL && options->tick(options->context, done, total))
                return BC_STOPPED;
            if (pan_block(chain, block, first + (ptrdiff_t)k * SIMPLE_LANES, from, band) == 0)
                return BC_OK;
        }
    return BC_OK;
}

static int new_length(struct simple *s, const bc_simple_length *length, const double *x,
                      size_t dims, size_t frames, const bc_simple_options *options) {
    const size_t w = length->window, n = frames - w + 1;
    const size_t zone = length->zone < n ? length->zone : n;
    *s = between(x, frames, x, frames, dims, w);
    s->zone = (ptrdiff_t)zone;
    s->right.value = length->distance;
    s->right.index = length->index;
    s->ambiguous_allowed = options->strategy == BC_SIMPLE_FILTER ? SIZE_MAX : n * (n / w / 32 + 1);
    s->terms = bc_aligned_doubles(w, 0.0);
    s->left.value = bc_aligned_doubles(n + SIMPLE_LANES, -INFINITY);
    s->left.index = calloc(n + SIMPLE_LANES, sizeof *s->left.index);
    if (s->terms == NULL || s->left.value == NULL || s->left.index == NULL)
        return BC_NOMEM;
    start_all(s);
    return BC_OK;
}

/* Filter all lengths of s (count), which are linked behind `chain`, the longest. */
static int filter_pan(struct simple *s, size_t count, struct simple *chain, bool *usable,
                      const bc_simple_options *options) {
    ptrdiff_t first = s[0].zone + 1, last = 0;
    for (size_t k = 0; k < count; k++) {
        const ptrdiff_t n = (ptrdiff_t)s[k].x_windows;
        if (s[k].zone + 1 < first) first = s[k].zone + 1;
        if (n - 1 > last) last = n - 1;
        if (&s[k] == chain) continue;
        s[k].next = chain->next;
        chain->next = &s[k];
    }
    int status = bc_simple_prepare_filter(chain, first, usable);
    for (size_t k = 0; k < count; k++) start_all(&s[k]);
    if (status == BC_OK && *usable && first <= last)
        status = traverse_pan(chain, first, last, options);
    return status;
}

int bc_simple_pan(const bc_simple_length *lengths, size_t count, const double *x, size_t dims,
                  size_t frames, const bc_simple_options *options) {
    bool filter = options->strategy != BC_SIMPLE_SWEEP;
    bc_simple_options steady = *options;
    struct simple *s = calloc(count, sizeof *s), *chain = s;
    int status = s == NULL ? BC_NOMEM : BC_OK;
    for (size_t k = 0; filter && status == BC_OK && k < count; k++) {
        status = new_length(&s[k], &lengths[k], x, dims, frames, options);
        if (s[k].window > chain->window) chain = &s[k];
    }
    if (filter && status == BC_OK) status = filter_pan(s, count, chain, &filter, options);
    steady.strategy = BC_SIMPLE_SWEEP;
    for (size_t k = 0; status == BC_OK && k < count; k++) {
        const bc_simple_length *l = &lengths[k];
        if (filter && s[k].ambiguous <= s[k].ambiguous_allowed) {
            keep_bounds(&s[k]);
            status = finish(&s[k], NULL, options);
        } else
            status = bc_simple_self_join(l->distance, l->index, NULL, x, dims, frames, l->window,
                                         l->zone, &steady);
    }
    for (size_t k = 0; s != NULL && k < count; k++) {
        bc_simple_free_scratch(&s[k]);
        free(s[k].terms);
        free(s[k].left.value);
        free(s[k].left.index);
    }
    free(s);
    return status;
}

int bc_simple_join(double *distance, int64_t *index, const double *x, size_t x_frames,
                   const double *y, size_t y_frames, size_t dims, size_t window,
                   const bc_simple_options *options) {
    assert(dims >= 1 && 1 <= window && window <= x_frames && window <= y_frames);
    struct simple s = between(x, x_frames, y, y_frames, dims, window);
    s.right.value = distance;
    s.right.index = index;
    s.terms = bc_aligned_doubles(window, 0.0);
    if (s.terms == NULL) return BC_NOMEM;
    int status = join(&s, 1 - (ptrdiff_t)s.x_windows, (ptrdiff_t)s.y_windows - 1, options);
    if (status == BC_OK) status = finish(&s, NULL, options);
    free(s.terms);
    return status;
}

int bc_simple_nearest(double *distance, int64_t *index, size_t k, const double *x, size_t x_frames,
                      const double *y, size_t y_frames, size_t dims, size_t window, ptrdiff_t zone,
                      const bc_simple_options *options) {
    assert(dims >= 1 && k >= 1 && 1 <= window && window <= x_frames && window <= y_frames);
    struct nearest nearest = {distance, index, k};
    struct simple s = between(x, x_frames, y, y_frames, dims, window);
    s.zone = zone;
    s.nearest = &nearest;
    int status = BC_NOMEM;
    s.terms = bc_aligned_doubles(window, 0.0);
    s.right.value = bc_aligned_doubles(s.x_windows, DBL_MAX);
    s.right.index = calloc(s.x_windows, sizeof *s.right.index);
    if (s.terms != NULL && s.right.value != NULL && s.right.index != NULL)
        status = join(&s, 1 - (ptrdiff_t)s.x_windows, (ptrdiff_t)s.y_windows - 1, options);
    free(s.terms);
    free(s.right.value);
    free(s.right.index);
    return status;
}

int bc_simple_query(double *distance, const double *query, const double *x, size_t frames,
                    size_t dims, size_t window, const bc_simple_options *options) {
    assert(dims >= 1 && 1 <= window && window <= frames);
    struct simple s = between(query, window, x, frames, dims, window);
    int status = BC_OK;
    s.terms = bc_aligned_doubles(window, 0.0);
    if (s.terms == NULL) return BC_NOMEM;
    for (size_t j = 0; status == BC_OK && j < s.y_windows; j++) {
        if (j % 256 == 0 && options->tick != NULL &&
            options->tick(options->context, j, s.y_windows))
            status = BC_STOPPED;
        const double d = window_distance(&s, 0, j);
        distance[j] = isfinite(d) ? d : INFINITY;
    }
    free(s.terms);
    return status;
}

int bc_simple_before(double *distance, int64_t *index, const double *x, size_t stride, size_t dims,
                     size_t window, size_t i, size_t from, size_t to, double enough, bc_tick *tick,
                     void *context) {
    struct simple s = between(x, stride, x, stride, dims, window);
    int status = BC_OK;
    *distance = INFINITY, *index = -1;
    s.terms = bc_aligned_doubles(window, 0.0);
    if (s.terms == NULL) return BC_NOMEM;
    for (size_t j = to; j-- > from && *distance >= enough;) {
        if (j % 256 == 0 && tick != NULL && tick(context, to - j, to - from)) {
            status = BC_STOPPED;
            break;
        }
        const double d = window_distance(&s, j, i);
        if (d <= *distance && d < INFINITY) *distance = d, *index = (int64_t)j;
    }
    free(s.terms);
    return status;
}

static double plain_distance(const double *x, size_t x_frames, const double *y, size_t y_frames,
                             size_t dims, size_t window) {
    double sum = 0;
    for (size_t d = 0; d < dims; d++)
        for (size_t k = 0; k < window; k++) {
            double e = x[d * x_frames + k] - y[d * y_frames + k];
            sum += e * e;
        }
    return sum;
}

int bc_simple_brute(double *distance, int64_t *index, const double *x, size_t x_frames,
                    const double *y, size_t y_frames, size_t dims, size_t window, ptrdiff_t zone,
                    const bc_simple_options *options) {
    const size_t xn = x_frames - window + 1, yn = y_frames - window + 1;
    for (size_t i = 0; i < xn; i++) {
        if (options->tick != NULL && options->tick(options->context, i, xn)) return BC_STOPPED;
        distance[i] = INFINITY, index[i] = -1;
        for (size_t j = 0; j < yn; j++) {
            size_t apart = i > j ? i - j : j - i;
            if (zone >= 0 && apart <= (size_t)zone) continue;
            double sum = plain_distance(x + i, x_frames, y + j, y_frames, dims, window);
            if (sum < distance[i]) distance[i] = sum, index[i] = (int64_t)j;
        }
    }
    return BC_OK;
}
