/* reach.c: mutual reachability distances, and the order in which single linkage visits rows. */
#include "reach.h"

#include <math.h>
#include <stdlib.h>

#include "../support/error.h"

#define ROUND 16         /* blocks a thread between two looks at the clock */
#define CHUNK 64         /* blocks of rows that are one piece of a step of Prim */
#define BETWEEN_TICKS 64 /* steps */

/* ---- Core distances ---- */

typedef struct {
    double *core, *nearest; /* nearest (threads, LANES, m): heaps, the farthest on top */
    double *point;          /* (threads, LANES, d) */
    const rows_packed *rows;
    size_t m, first;
} core_job;

/* In place of the farthest of a heap. */
static void replace_top(double *heap, size_t m, double value) {
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m) break;
        if (child + 1 < m && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= value) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

static void find_cores(void *context, size_t item, int worker) {
    const core_job *j = context;
    const rows_packed *rows = j->rows;
    size_t most = ROWS_LANES, first = (j->first + item) * most;
    size_t count = rows->n - first < most ? rows->n - first : most;
    double *nearest = j->nearest + (size_t)worker * most * j->m, square[ROWS_LANES];
    double *point = j->point + (size_t)worker * most * rows->d;
    for (size_t i = 0; i < count * j->m; i++) nearest[i] = INFINITY;
    for (size_t i = 0; i < count; i++) rows_get(point + i * rows->d, rows, first + i);
    for (size_t b = 0; b < rows->blocks; b++) {
        size_t left = rows->n - b * ROWS_LANES, lanes = left < ROWS_LANES ? left : ROWS_LANES;
        for (size_t i = 0; i < count; i++) {
            double *heap = nearest + i * j->m;
            rows_distances(square, rows, b, point + i * rows->d);
            for (size_t l = 0; l < lanes; l++)
                if (square[l] < heap[0]) replace_top(heap, j->m, square[l]);
        }
    }
    for (size_t i = 0; i < count; i++) j->core[first + i] = nearest[i * j->m];
}

int reach_core(double *core, const rows_packed *rows, size_t m, bc_pool *pool, bc_tick *tick,
               void *context) {
    size_t threads = (size_t)bc_pool_threads(pool), together = ROWS_LANES;
    size_t items = (rows->n + together - 1) / together, round = ROUND * threads;
    int rc = BC_OK;
    core_job j = {core, malloc(threads * together * m * sizeof(double)),
                  malloc((threads * together * rows->d + 1) * sizeof(double)), rows, m, 0};
    if (j.nearest == NULL || j.point == NULL) rc = BC_NOMEM;
    for (; rc == BC_OK && j.first < items; j.first += round) {
        if (tick != NULL && tick(context, j.first, items))
            rc = BC_STOPPED;
        else
            bc_pool_run(pool, find_cores, &j, items - j.first < round ? items - j.first : round);
    }
    free(j.nearest);
    free(j.point);
    return rc;
}

/* ---- Prim ---- */

typedef struct {
    const rows_packed *rows;
    const double *core, *point;
    double reach; /* core of the row visited last, which is point */
    double *best; /* (blocks * LANES) distance to what was visited; of what was itself -1 */
    size_t *next; /* (chunks) the nearest row of each, n: none */
} prim_job;

/* Can a row of this block be nearer to the row visited last than it is to the others? No pair is
 * nearer than its cores, so that most distances need not be known. */
static int may_be_nearer(const prim_job *j, size_t block) {
    const double *best = j->best + block * ROWS_LANES, *core = j->core + block * ROWS_LANES;
    int may = 0;
    for (size_t l = 0; l < ROWS_LANES; l++) may |= best[l] > core[l] && best[l] > j->reach;
    return may;
}

static void bring_nearer(const prim_job *j, size_t block) {
    double *best = j->best + block * ROWS_LANES, square[ROWS_LANES];
    const double *core = j->core + block * ROWS_LANES;
    rows_distances(square, j->rows, block, j->point);
    for (size_t l = 0; l < ROWS_LANES; l++) {
        double d = square[l] > core[l] ? square[l] : core[l];
        if (d < j->reach) d = j->reach;
        if (d < best[l]) best[l] = d;
    }
}

static void visit_chunk(void *context, size_t item, int worker) {
    (void)worker;
    const prim_job *j = context;
    size_t last = (item + 1) * CHUNK < j->rows->blocks ? (item + 1) * CHUNK : j->rows->blocks;
    size_t next = j->rows->n;
    double least = INFINITY;
    for (size_t b = item * CHUNK; b < last; b++) {
        if (may_be_nearer(j, b)) bring_nearer(j, b);
        for (size_t i = b * ROWS_LANES; i < (b + 1) * ROWS_LANES; i++)
            if (j->best[i] >= 0 && j->best[i] < least) least = j->best[i], next = i;
    }
    j->next[item] = next;
}

static void visit(prim_job *j, double *point, size_t row) {
    j->best[row] = -1;
    j->reach = j->core[row];
    rows_get(point, j->rows, row);
}

/* The nearest row of all chunks. */
static size_t nearest_of(const prim_job *j, size_t chunks) {
    size_t n = j->rows->n, next = n;
    for (size_t c = 0; c < chunks; c++)
        if (j->next[c] < n && (next == n || j->best[j->next[c]] < j->best[next])) next = j->next[c];
    return next;
}

int reach_order(size_t *order, double *step, const double *core, const rows_packed *rows,
                bc_pool *pool, bc_tick *tick, void *context) {
    size_t room = rows->blocks * ROWS_LANES, chunks = (rows->blocks + CHUNK - 1) / CHUNK;
    double *padded = calloc(room + 1, sizeof *padded), *best = malloc((room + 1) * sizeof *best);
    double *point = malloc((rows->d + 1) * sizeof *point);
    size_t *next = malloc((chunks + 1) * sizeof *next);
    int rc = padded == NULL || best == NULL || point == NULL || next == NULL ? BC_NOMEM : BC_OK;
    prim_job j = {rows, padded, point, 0, best, next};
    for (size_t i = 0; rc == BC_OK && i < room; i++) {
        best[i] = i < rows->n ? INFINITY : -1;
        padded[i] = i < rows->n ? core[i] : 0;
    }
    for (size_t i = 0, row = 0; rc == BC_OK && i < rows->n; i++) {
        if (i > 0) row = nearest_of(&j, chunks);
        order[i] = row;
        step[i] = best[row];
        visit(&j, point, row);
        if (i % BETWEEN_TICKS == 0 && tick != NULL && tick(context, i, rows->n)) rc = BC_STOPPED;
        else bc_pool_run(pool, visit_chunk, &j, chunks);
    }
    free(padded);
    free(best);
    free(point);
    free(next);
    return rc;
}
