/* motiflets.c: sets of windows that are alike. */
#include "motiflets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/cpu.h"

enum { BLOCK = 256 }; /* rows whose distances are summed up from one another */

/* What all rows share: the series without what is not finite, and of each window
 * whether it takes part, and if z its mean and the inverse of its deviation (0: constant). */
struct rows {
    const bc_windows *w;
    size_t n;
    double *x, *mean, *scale;
    bool *usable;
};

static void rows_free(struct rows *r) {
    free(r->x);
    free(r->mean);
    free(r->scale);
    free(r->usable);
}

static bool window_is_finite(const bc_windows *w, size_t i) {
    for (size_t d = 0; d < w->dims; d++)
        for (size_t k = i; k < i + w->window; k++)
            if (!isfinite(w->x[d * w->frames + k])) return false;
    return true;
}

static void measure_window(struct rows *r, size_t i) {
    const double *x = r->x + i;
    const size_t m = r->w->window;
    double sum = 0, squares = 0;
    bool constant = true;
    for (size_t k = 0; k < m; k++) sum += x[k], constant = constant && x[k] == x[0];
    r->mean[i] = sum / (double)m;
    for (size_t k = 0; k < m; k++) squares += (x[k] - r->mean[i]) * (x[k] - r->mean[i]);
    r->scale[i] = !constant && squares > 0 ? 1 / sqrt(squares / (double)m) : 0;
}

static int rows_new(struct rows *r, const bc_windows *w) {
    const size_t size = w->dims * w->frames, n = w->frames - w->window + 1;
    *r = (struct rows){.w = w, .n = n};
    r->x = malloc(size * sizeof *r->x);
    r->usable = malloc(n * sizeof *r->usable);
    r->mean = malloc((w->z ? n : 1) * sizeof *r->mean);
    r->scale = malloc((w->z ? n : 1) * sizeof *r->scale);
    if (r->x == NULL || r->usable == NULL || r->mean == NULL || r->scale == NULL)
        return BC_NOMEM;
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        if (isfinite(w->x[i])) sum += w->x[i], count++;
    const double centre = w->z && count > 0 ? sum / (double)count : 0; /* for small products */
    for (size_t i = 0; i < size; i++) r->x[i] = isfinite(w->x[i]) ? w->x[i] - centre : 0;
    for (size_t i = 0; i < n; i++) {
        r->usable[i] = (w->among == NULL || w->among[i] != 0) && window_is_finite(w, i);
        if (w->z) measure_window(r, i);
    }
    return BC_OK;
}

/* Add to sum (count), times `sign`, what frames i and j .. j + count - 1 are apart; if z,
 * their products. */
BC_EACH_CPU(static, add_frames,
            (double *sum, const struct rows *r, size_t i, size_t j, size_t count, double sign),
            (sum, r, i, j, count, sign)) {
    for (size_t d = 0; d < r->w->dims; d++) {
        const double *y = r->x + d * r->w->frames + j, x = r->x[d * r->w->frames + i];
        if (r->w->z)
            for (size_t k = 0; k < count; k++) sum[k] += sign * (x * y[k]);
        else
            for (size_t k = 0; k < count; k++) sum[k] += sign * ((x - y[k]) * (x - y[k]));
    }
}

/* sum (n) of row i: anew, or from that of row i - 1. */
static void next_row(double *sum, const struct rows *r, size_t i, bool anew) {
    const size_t n = r->n, m = r->w->window;
    if (anew) {
        memset(sum, 0, n * sizeof *sum);
        for (size_t k = 0; k < m; k++) add_frames(sum, r, i + k, k, n, 1);
        return;
    }
    memmove(sum + 1, sum, (n - 1) * sizeof *sum);
    add_frames(sum + 1, r, i - 1, 0, n - 1, -1);
    add_frames(sum + 1, r, i + m - 1, m, n - 1, 1);
    sum[0] = 0;
    for (size_t k = 0; k < m; k++) add_frames(sum, r, i + k, k, 1, 1);
}

static double z_distance(double correlation, const struct rows *r, size_t i, size_t j) {
    const double m = (double)r->w->window;
    if (r->scale[i] == 0 || r->scale[j] == 0)
        return r->scale[i] == 0 && r->scale[j] == 0 ? 0 : sqrt(m);
    return correlation < 1 ? sqrt(2 * m * (1 - correlation)) : 0;
}

/* From the sums of row i to its distances. */
static void distances(double *to, const double *sum, const struct rows *r, size_t i) {
    const double m = (double)r->w->window;
    for (size_t j = 0; j < r->n; j++)
        if (r->w->z)
            to[j] = z_distance((sum[j] / m - r->mean[i] * r->mean[j]) * r->scale[i] * r->scale[j],
                               r, i, j);
        else
            to[j] = sum[j] > 0 ? sum[j] : 0;
}

/* The distance of two windows from its definition. */
static double exact(const struct rows *r, size_t i, size_t j) {
    const size_t m = r->w->window, frames = r->w->frames;
    double sum = 0;
    if (i > j) { /* the same bits both ways */
        const size_t t = i;
        i = j, j = t;
    }
    if (!r->w->z) {
        for (size_t d = 0; d < r->w->dims; d++)
            for (size_t k = 0; k < m; k++) {
                const double e = r->x[d * frames + i + k] - r->x[d * frames + j + k];
                sum += e * e;
            }
        return sum;
    }
    if (r->scale[i] == 0 || r->scale[j] == 0) return z_distance(0, r, i, j);
    for (size_t k = 0; k < m; k++) {
        const double e = (r->x[i + k] - r->mean[i]) * r->scale[i] -
                         (r->x[j + k] - r->mean[j]) * r->scale[j];
        sum += e * e;
    }
    return sqrt(sum);
}

/* Choices around one window */

struct near {
    double distance;
    size_t at;
};

static int nearer(const void *a, const void *b) {
    const struct near *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The windows that may be in a set around i, within `limit`, in order of time. */
static size_t collect(struct near *list, const double *distance, const bool *usable, size_t n,
                      size_t i, size_t zone, double limit) {
    size_t count = 0;
    for (size_t j = 0; j < n; j++)
        if (usable[j] && distance[j] <= limit && (j + zone < i || j > i + zone))
            list[count++] = (struct near){distance[j], j};
    return count;
}

/* The most windows within a radius of i that are far enough from each other, by going outwards
 * from it; the first `room` of them go to `chosen`, which may be NULL. */
static size_t outwards(struct near *chosen, size_t room, const struct near *list, size_t count,
                       size_t i, size_t zone, double radius) {
    size_t found = 0, last = i, right = 0;
    while (right < count && list[right].at < i) right++;
    for (size_t k = right; k-- > 0;)
        if (list[k].distance <= radius && list[k].at + zone < last) {
            last = list[k].at;
            if (chosen != NULL && found < room) chosen[found] = list[k];
            found++;
        }
    last = i;
    for (size_t k = right; k < count; k++)
        if (list[k].distance <= radius && list[k].at > last + zone) {
            last = list[k].at;
            if (chosen != NULL && found < room) chosen[found] = list[k];
            found++;
        }
    return found;
}

/* Up to `room` windows of a list sorted by distance, nearest first. */
static size_t nearest_first(struct near *chosen, size_t room, const struct near *sorted,
                            size_t count, size_t zone) {
    size_t found = 0;
    for (size_t k = 0; k < count && found < room; k++) {
        bool free = true;
        for (size_t m = 0; m < found && free; m++)
            free = sorted[k].at + zone < chosen[m].at || sorted[k].at > chosen[m].at + zone;
        if (free) chosen[found++] = sorted[k];
    }
    return found;
}

/* The walk over all rows */

/* Memory of one worker. */
struct scratch {
    double *sum, *distance;
    struct near *list, *sorted, *chosen;
};

struct walk {
    struct rows rows;
    struct scratch *scratch; /* (threads) */
    int threads;
    void (*row)(void *job, struct scratch *s, size_t i, int worker);
    void *job;
    size_t first; /* block of this run */
};

static void walk_free(struct walk *walk) {
    for (int t = 0; walk->scratch != NULL && t < walk->threads; t++) {
        struct scratch *s = &walk->scratch[t];
        free(s->sum);
        free(s->distance);
        free(s->list);
        free(s->sorted);
        free(s->chosen);
    }
    free(walk->scratch);
    rows_free(&walk->rows);
}

static int walk_new(struct walk *walk, const bc_windows *w, bc_pool *pool) {
    int rc = rows_new(&walk->rows, w);
    const size_t n = walk->rows.n;
    walk->threads = bc_pool_threads(pool);
    walk->scratch = calloc((size_t)walk->threads, sizeof *walk->scratch);
    if (walk->scratch == NULL) return BC_NOMEM;
    for (int t = 0; rc == BC_OK && t < walk->threads; t++) {
        struct scratch *s = &walk->scratch[t];
        s->sum = malloc(n * sizeof *s->sum);
        s->distance = malloc(n * sizeof *s->distance);
        s->list = malloc(n * sizeof *s->list);
        s->sorted = malloc(n * sizeof *s->sorted);
        s->chosen = malloc(n * sizeof *s->chosen);
        if (s->sum == NULL || s->distance == NULL || s->list == NULL || s->sorted == NULL ||
            s->chosen == NULL)
            rc = BC_NOMEM;
    }
    return rc;
}

static void walk_block(void *context, size_t item, int worker) {
    const struct walk *walk = context;
    struct scratch *s = &walk->scratch[worker];
    const size_t from = (walk->first + item) * BLOCK;
    for (size_t i = from; i < walk->rows.n && i < from + BLOCK; i++) {
        if (bc_interrupted()) return;
        next_row(s->sum, &walk->rows, i, i == from);
        if (!walk->rows.usable[i]) continue;
        distances(s->distance, s->sum, &walk->rows, i);
        walk->row(walk->job, s, i, worker);
    }
}

static int walk_all(struct walk *walk, bc_pool *pool, bc_tick *tick, void *context) {
    const size_t blocks = (walk->rows.n - 1) / BLOCK + 1, round = (size_t)walk->threads;
    for (walk->first = 0; walk->first < blocks; walk->first += round) {
        if (tick != NULL && tick(context, walk->first, blocks)) return BC_STOPPED;
        const size_t left = blocks - walk->first;
        bc_pool_run(pool, walk_block, walk, left < round ? left : round);
    }
    return tick != NULL && tick(context, blocks, blocks) ? BC_STOPPED : BC_OK;
}

/* Motiflets */

/* The best of one worker, by k. */
struct best {
    double *extent, *least;
    int64_t *at, *centre; /* (most + 1, most), (most + 1) */
};

struct motiflets {
    const struct rows *rows;
    size_t most;
    struct best *best; /* (threads) */
};

/* Take the set of i and chosen (k - 1) if nothing is known that is better. */
static void offer(const struct motiflets *m, struct best *b, size_t i, const struct near *chosen,
                  size_t k) {
    double extent = 0;
    for (size_t p = 0; p < k - 1; p++) {
        const double d = exact(m->rows, i, chosen[p].at);
        if (d > extent) extent = d;
        for (size_t q = 0; q < p; q++) {
            const double e = exact(m->rows, chosen[q].at, chosen[p].at);
            if (e > extent) extent = e;
        }
        if (extent > b->extent[k]) return;
    }
    if (extent == b->extent[k] && b->centre[k] <= (int64_t)i) return;
    int64_t *at = b->at + k * m->most;
    b->extent[k] = extent;
    b->centre[k] = at[0] = (int64_t)i;
    for (size_t p = 0; p < k - 1; p++) at[p + 1] = (int64_t)chosen[p].at;
}

/* The least of the sorted distances within which there are k - 1 others; `above` of them
 * is known to do. */
static double least_radius(const struct near *sorted, size_t above, const struct near *list,
                           size_t count, size_t i, size_t zone, size_t k) {
    size_t low = 0, high = above;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (outwards(NULL, 0, list, count, i, zone, sorted[middle].distance) >= k - 1)
            high = middle;
        else
            low = middle + 1;
    }
    return sorted[low].distance;
}

static void offer_around(void *job, struct scratch *s, size_t i, int worker) {
    const struct motiflets *m = job;
    struct best *b = &m->best[worker];
    const size_t zone = m->rows->w->zone;
    const double slack = 1 + 1e-9; /* row sums against exact distances */
    double limit = 0;
    for (size_t k = 2; k <= m->most; k++)
        if (b->extent[k] > limit) limit = b->extent[k];
    const size_t count = collect(s->list, s->distance, m->rows->usable, m->rows->n, i, zone,
                                 limit * slack + 1e-12);
    bool sorted = false;
    for (size_t k = 2; k <= m->most && k - 1 <= count; k++) {
        const double within = b->extent[k] * slack + 1e-12;
        if (outwards(NULL, 0, s->list, count, i, zone, within) < k - 1) continue;
        if (!sorted) {
            memcpy(s->sorted, s->list, count * sizeof *s->list);
            qsort(s->sorted, count, sizeof *s->sorted, nearer);
            sorted = true;
        }
        const double r = least_radius(s->sorted, count - 1, s->list, count, i, zone, k);
        if (r < b->least[k]) b->least[k] = r;
        outwards(s->chosen, k - 1, s->list, count, i, zone, r);
        offer(m, b, i, s->chosen, k);
        if (nearest_first(s->chosen, k - 1, s->sorted, count, zone) == k - 1)
            offer(m, b, i, s->chosen, k);
    }
}

static void best_free(struct motiflets *m, int threads) {
    for (int t = 0; m->best != NULL && t < threads; t++) {
        free(m->best[t].extent);
        free(m->best[t].least);
        free(m->best[t].at);
        free(m->best[t].centre);
    }
    free(m->best);
}

static int best_new(struct motiflets *m, int threads) {
    m->best = calloc((size_t)threads, sizeof *m->best);
    if (m->best == NULL) return BC_NOMEM;
    for (int t = 0; t < threads; t++) {
        struct best *b = &m->best[t];
        b->extent = malloc((m->most + 1) * sizeof *b->extent);
        b->least = malloc((m->most + 1) * sizeof *b->least);
        b->centre = calloc(m->most + 1, sizeof *b->centre);
        b->at = calloc((m->most + 1) * m->most, sizeof *b->at);
        if (b->extent == NULL || b->least == NULL || b->centre == NULL || b->at == NULL)
            return BC_NOMEM;
        for (size_t k = 0; k <= m->most; k++) b->extent[k] = b->least[k] = INFINITY;
    }
    return BC_OK;
}

static int in_order(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double extent_of(const struct rows *r, const int64_t *at, size_t k) {
    double extent = 0;
    for (size_t p = 0; p < k; p++)
        for (size_t q = 0; q < p; q++) {
            const double d = exact(r, (size_t)at[q], (size_t)at[p]);
            if (d > extent) extent = d;
        }
    return extent;
}

/* The best of all workers; and k of k + 1 where that is nearer. */
static void bring_together(double *extent, double *least, int64_t *at, const struct motiflets *m,
                           int threads) {
    const size_t most = m->most;
    extent[0] = extent[1] = least[0] = least[1] = 0;
    for (size_t k = 2; k <= most; k++) {
        const struct best *from = &m->best[0];
        least[k] = m->best[0].least[k];
        for (int t = 1; t < threads; t++) {
            const struct best *b = &m->best[t];
            if (b->least[k] < least[k]) least[k] = b->least[k];
            if (b->extent[k] < from->extent[k] ||
                (b->extent[k] == from->extent[k] && b->centre[k] < from->centre[k]))
                from = b;
        }
        extent[k] = from->extent[k];
        memcpy(at + k * most, from->at + k * most, most * sizeof *at);
        qsort(at + k * most, k, sizeof *at, in_order);
    }
    for (size_t k = most; k-- > 2;)
        if (extent[k] > extent[k + 1]) {
            memcpy(at + k * most, at + (k + 1) * most, k * sizeof *at);
            extent[k] = extent_of(m->rows, at + k * most, k);
        }
}

int bc_motiflets(double *extent, double *least, int64_t *at, const bc_windows *w, size_t most,
                 bc_pool *pool, bc_tick *tick, void *context) {
    struct walk walk = {0};
    struct motiflets m = {.rows = &walk.rows, .most = most};
    int rc = walk_new(&walk, w, pool);
    if (rc == BC_OK) rc = best_new(&m, walk.threads);
    walk.row = offer_around, walk.job = &m;
    if (rc == BC_OK) rc = walk_all(&walk, pool, tick, context);
    if (rc == BC_OK) bring_together(extent, least, at, &m, walk.threads);
    best_free(&m, walk.threads);
    walk_free(&walk);
    return rc;
}

/* Sets within a radius */

struct sets {
    const struct rows *rows;
    double radius;
    size_t *count; /* (n) how many are around each window */
    double *sum;   /* of their distances, nearest first */
};

static void count_around(void *job, struct scratch *s, size_t i, int worker) {
    struct sets *m = job;
    const size_t zone = m->rows->w->zone;
    (void)worker;
    const size_t count = collect(s->list, s->distance, m->rows->usable, m->rows->n, i, zone,
                                 m->radius);
    m->count[i] = outwards(NULL, 0, s->list, count, i, zone, m->radius);
    m->sum[i] = 0;
    if (m->count[i] == 0) return;
    qsort(s->list, count, sizeof *s->list, nearer);
    const size_t found = nearest_first(s->chosen, count, s->list, count, zone);
    for (size_t k = 0; k < found; k++) m->sum[i] += s->chosen[k].distance;
}

/* The window with the most around it; of equal ones the one to which they are nearer. n: none. */
static size_t largest(const struct sets *m, size_t fewest) {
    size_t best = m->rows->n;
    for (size_t i = 0; i < m->rows->n; i++) {
        if (!m->rows->usable[i] || m->count[i] + 1 < fewest) continue;
        if (best == m->rows->n || m->count[i] > m->count[best] ||
            (m->count[i] == m->count[best] && m->sum[i] < m->sum[best]))
            best = i;
    }
    return best;
}

/* Count anew around i, among what is left, and sort what is within the radius. */
static size_t look_again(struct sets *m, struct scratch *s, size_t i) {
    const size_t zone = m->rows->w->zone;
    for (size_t j = 0; j < m->rows->n; j++)
        s->distance[j] = m->rows->usable[j] ? exact(m->rows, i, j) : INFINITY;
    const size_t count = collect(s->list, s->distance, m->rows->usable, m->rows->n, i, zone,
                                 m->radius);
    m->count[i] = outwards(NULL, 0, s->list, count, i, zone, m->radius);
    qsort(s->list, count, sizeof *s->list, nearer);
    return count;
}

int bc_motif_sets(size_t *size, size_t *first, int64_t *at, double *distance, size_t *found,
                  const bc_windows *w, double radius, size_t fewest, size_t sets, bc_pool *pool,
                  bc_tick *tick, void *context) {
    struct walk walk = {0};
    int rc = walk_new(&walk, w, pool);
    const size_t n = walk.rows.n;
    struct sets m = {.rows = &walk.rows, .radius = radius};
    m.count = calloc(n, sizeof *m.count);
    m.sum = calloc(n, sizeof *m.sum);
    if (m.count == NULL || m.sum == NULL) rc = BC_NOMEM;
    walk.row = count_around, walk.job = &m;
    if (rc == BC_OK) rc = walk_all(&walk, pool, tick, context);
    size_t taken = 0;
    *found = 0;
    while (rc == BC_OK && *found < sets) {
        if (tick != NULL && tick(context, n, n)) rc = BC_STOPPED;
        const size_t i = largest(&m, fewest);
        if (i == n) break;
        struct scratch *s = &walk.scratch[0];
        const size_t before = m.count[i], count = look_again(&m, s, i);
        if (m.count[i] < before) continue; /* some of them are in earlier sets */
        const size_t others = nearest_first(s->chosen, count, s->list, count, w->zone);
        if (others + 1 < fewest) {
            m.count[i] = 0;
            continue;
        }
        first[*found] = taken, size[*found] = others + 1;
        s->chosen[others] = (struct near){0, i};
        for (size_t k = 0; k <= others; k++) {
            const struct near *c = &s->chosen[k == 0 ? others : k - 1];
            at[taken + k] = (int64_t)c->at, distance[taken + k] = c->distance;
        }
        for (size_t k = 0; k <= others; k++) {
            const size_t c = (size_t)at[taken + k], zone = w->zone;
            for (size_t j = c > zone ? c - zone : 0; j <= c + zone && j < n; j++)
                walk.rows.usable[j] = false;
        }
        taken += others + 1;
        (*found)++;
    }
    free(m.count);
    free(m.sum);
    walk_free(&walk);
    return rc;
}
