/* scan.c: the rows of a large table that are nearest to some others. */
#include "scan.h"

#include <math.h>
#include <stdlib.h>

#include "../support/cpu.h"
#include "../support/dot.h"
#include "../support/error.h"

#define ROWS 1024 /* of a block */
#define ROUND 256 /* blocks between two looks at the clock */
#define LANES 4 /* GCC takes wider vectors apart, in memory, where registers are of AVX2 */

typedef float floats __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(8), may_alias));

typedef struct {
    const scan_table *table;
    const double *length; /* (queries), of cosine */
    scan_hit *hit;        /* (threads, k) */
    size_t *found;        /* (threads) */
    double *distance;     /* (threads, ROWS) */
    size_t k, first;
} job;

/* By address: how a vector is passed depends on the instructions that a function is compiled for. */
static inline double sum_of(const lanes sums[2]) {
    lanes v = sums[0] + sums[1];
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/* out (rows): squared distances of a point (d) to rows. */
BC_EACH_CPU(static, squares, (double *out, const float *x, const double *point, size_t rows, size_t d),
            (out, x, point, rows, d)) {
    for (size_t i = 0; i < rows; i++, x += d) {
        lanes sum[2] = {{0}, {0}};
        double rest = 0;
        size_t c = 0;
        for (; c + 2 * LANES <= d; c += 2 * LANES)
            for (size_t k = 0; k < 2; k++) {
                lanes v = __builtin_convertvector(*(const floats *)(x + c + k * LANES), lanes);
                v -= *(const lanes *)(point + c + k * LANES);
                sum[k] += v * v;
            }
        for (; c < d; c++) rest += (x[c] - point[c]) * (x[c] - point[c]);
        out[i] = sum_of(sum) + rest;
    }
}

/* out (rows): 1 - cos of a point (d) of that length, above 0, and rows. */
BC_EACH_CPU(static, angles,
            (double *out, const float *x, const double *point, size_t rows, size_t d, double length),
            (out, x, point, rows, d, length)) {
    for (size_t i = 0; i < rows; i++, x += d) {
        lanes dot[2] = {{0}, {0}}, square[2] = {{0}, {0}};
        double rest = 0, more = 0;
        size_t c = 0;
        for (; c + 2 * LANES <= d; c += 2 * LANES)
            for (size_t k = 0; k < 2; k++) {
                lanes v = __builtin_convertvector(*(const floats *)(x + c + k * LANES), lanes);
                dot[k] += v * *(const lanes *)(point + c + k * LANES);
                square[k] += v * v;
            }
        for (; c < d; c++) {
            double v = (double)x[c];
            rest += v * point[c];
            more += v * v;
        }
        double both = sqrt(sum_of(square) + more) * length;
        out[i] = both > 0 ? 1 - (sum_of(dot) + rest) / both : both + 1; /* NaN stays NaN */
    }
}

static int is_before(const scan_hit *a, const scan_hit *b) {
    return a->distance < b->distance || (a->distance == b->distance && a->row < b->row);
}

/* Put a hit in its place in a sorted list of at most k, if it belongs there. */
static void put(scan_hit *list, size_t *found, size_t k, scan_hit hit) {
    if (*found == k && !is_before(&hit, &list[k - 1])) return;
    size_t at = *found < k ? (*found)++ : k - 1;
    for (; at > 0 && is_before(&hit, &list[at - 1]); at--) list[at] = list[at - 1];
    list[at] = hit;
}

static void measure(double *out, const job *j, size_t first, size_t rows, size_t query) {
    const scan_table *t = j->table;
    const double *point = t->query + query * t->d;
    if (t->metric == NEIGHBORS_COSINE)
        angles(out, t->x + first * t->d, point, rows, t->d, j->length[query]);
    else
        squares(out, t->x + first * t->d, point, rows, t->d);
}

static void scan_block(void *context, size_t item, int worker) {
    const job *j = context;
    size_t first = (j->first + item) * ROWS, w = (size_t)worker;
    size_t rows = j->table->n - first < ROWS ? j->table->n - first : ROWS;
    double *distance = j->distance + 2 * w * ROWS, *least = distance + ROWS;
    int64_t nearest[ROWS];
    for (size_t i = 0; i < rows; i++) least[i] = INFINITY, nearest[i] = 0;
    for (size_t q = 0; q < j->table->queries; q++) {
        measure(distance, j, first, rows, q);
        for (size_t i = 0; i < rows; i++)
            if (distance[i] < least[i]) least[i] = distance[i], nearest[i] = (int64_t)q;
    }
    for (size_t i = 0; i < rows; i++)
        if (least[i] < INFINITY)
            put(j->hit + w * j->k, &j->found[w], j->k,
                (scan_hit){least[i], (int64_t)(first + i), nearest[i]});
}

/* The hits of all threads as one list, with distances for squares of them. */
static void gather(scan_hit *hit, size_t *found, const job *j, size_t threads) {
    *found = 0;
    for (size_t w = 0; w < threads; w++)
        for (size_t i = 0; i < j->found[w]; i++) put(hit, found, j->k, j->hit[w * j->k + i]);
    for (size_t i = 0; i < *found; i++) {
        double d = fmax(hit[i].distance, 0);
        hit[i].distance = j->table->metric == NEIGHBORS_COSINE ? d : sqrt(d);
    }
}

int scan_nearest(scan_hit *hit, size_t *found, size_t k, const scan_table *table, bc_pool *pool,
                 bc_tick *tick, void *context) {
    size_t threads = (size_t)bc_pool_threads(pool), blocks = (table->n + ROWS - 1) / ROWS;
    double *length = calloc(table->queries + 1, sizeof *length);
    job j = {table, length, malloc(threads * k * sizeof *hit), calloc(threads, sizeof(size_t)),
             malloc(threads * 2 * ROWS * sizeof(double)), k, 0};
    int rc = BC_NOMEM;
    if (length == NULL || j.hit == NULL || j.found == NULL || j.distance == NULL) goto out;
    rc = BC_OK;
    for (size_t q = 0; q < table->queries; q++) {
        const double *point = table->query + q * table->d;
        length[q] = sqrt(bc_dot(point, point, table->d));
    }
    for (; rc == BC_OK && j.first < blocks; j.first += ROUND) {
        if (tick != NULL && tick(context, j.first, blocks))
            rc = BC_STOPPED;
        else
            bc_pool_run(pool, scan_block, &j, blocks - j.first < ROUND ? blocks - j.first : ROUND);
    }
    if (rc == BC_OK) gather(hit, found, &j, threads);
out:
    free(length);
    free(j.hit);
    free(j.found);
    free(j.distance);
    return rc;
}
