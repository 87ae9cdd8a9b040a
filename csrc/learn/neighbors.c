/* neighbors.c: how far rows of a matrix are from each other. */
#include "neighbors.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/blas.h"
#include "../support/dot.h"
#include "../support/error.h"

#define ROWS 128
#define COLUMNS 512
#define ROUND 16 /* blocks of rows a thread between two looks at the clock */

/* A key orders like the distance: |a - b|^2, or 2 (1 - cos). Below this share of both
 * rows' squares it is rounding. */
#define ROUNDING 1e-13

typedef struct job {
    const neighbors_rows *rows;
    double *y;      /* (n, d): rows with their mean taken away, or with length 1 */
    double *square; /* (n) their squares; with cosine all 1, so that a row of zeros is 1 away */
    double *tile;   /* (threads, ROWS, COLUMNS) */
    size_t first;   /* block of rows that item 0 is */
    void (*use)(const struct job *job, size_t row, size_t column, size_t columns,
                const double *key);
    int64_t *index;
    double *distance, *sum;
    const int64_t *label;
    size_t k, most, classes; /* most: of k, those that there can be */
} job;

/* Distances do not change when a point is taken away from all rows, and near their mean
 * there is least to cancel. */
static int prepare_euclidean(job *j) {
    size_t n = j->rows->n, d = j->rows->d;
    double *mean = calloc(d + 1, sizeof *mean);
    if (mean == NULL) return BC_NOMEM;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) mean[c] += j->rows->x[i * d + c] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double *y = j->y + i * d;
        for (size_t c = 0; c < d; c++) y[c] = j->rows->x[i * d + c] - mean[c];
        j->square[i] = bc_dot(y, y, d);
    }
    free(mean);
    return BC_OK;
}

static void prepare_cosine(job *j) {
    size_t n = j->rows->n, d = j->rows->d;
    for (size_t i = 0; i < n; i++) {
        const double *x = j->rows->x + i * d;
        double *y = j->y + i * d, most = 0;
        for (size_t c = 0; c < d; c++) most = fmax(most, fabs(x[c]));
        /* by the largest first: squares of tiny or huge values are 0 or infinite */
        for (size_t c = 0; c < d; c++) y[c] = most > 0 ? x[c] / most : 0;
        double length = sqrt(bc_dot(y, y, d));
        for (size_t c = 0; c < d; c++) y[c] = most > 0 ? y[c] / length : 0;
        j->square[i] = 1;
    }
}

static double key_between(const job *j, size_t a, size_t b) {
    size_t d = j->rows->d;
    const double *x = j->y + a * d, *y = j->y + b * d;
    double sum = 0;
    if (j->rows->metric == NEIGHBORS_COSINE && (bc_dot(x, x, d) == 0 || bc_dot(y, y, d) == 0))
        return 2;
    for (size_t c = 0; c < d; c++) sum += (x[c] - y[c]) * (x[c] - y[c]);
    return sum;
}

static double distance_of(const job *j, double key) {
    if (j->rows->metric == NEIGHBORS_COSINE) return fmax(key / 2, 0);
    return sqrt(fmax(key, 0));
}

/* All other rows against one block of rows, a tile at a time. */
static void measure(void *context, size_t item, int worker) {
    const job *j = context;
    size_t n = j->rows->n, d = j->rows->d, first = (j->first + item) * ROWS;
    size_t rows = n - first < ROWS ? n - first : ROWS;
    double *tile = j->tile + (size_t)worker * ROWS * COLUMNS;
    for (size_t at = 0; at < n; at += COLUMNS) {
        size_t columns = n - at < COLUMNS ? n - at : COLUMNS;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)columns, (int)d, -2,
                    j->y + first * d, (int)d, j->y + at * d, (int)d, 0, tile, COLUMNS);
        for (size_t r = 0; r < rows; r++) {
            double *key = tile + r * COLUMNS, own = j->square[first + r];
            for (size_t c = 0; c < columns; c++) {
                double both = own + j->square[at + c];
                key[c] += both;
                if (key[c] <= ROUNDING * both) key[c] = 0;
            }
            j->use(j, first + r, at, columns, key);
        }
    }
}

static int run(job *j, bc_pool *pool, bc_tick *tick, void *context) {
    size_t n = j->rows->n, d = j->rows->d, threads = (size_t)bc_pool_threads(pool);
    size_t blocks = (n + ROWS - 1) / ROWS, round = ROUND * threads;
    int rc = BC_NOMEM;
    j->y = malloc((n * d + 1) * sizeof *j->y);
    j->square = malloc((n + 1) * sizeof *j->square);
    j->tile = malloc(threads * ROWS * COLUMNS * sizeof *j->tile);
    if (j->y == NULL || j->square == NULL || j->tile == NULL) goto out;
    if (j->rows->metric == NEIGHBORS_COSINE)
        prepare_cosine(j);
    else if (prepare_euclidean(j) != BC_OK)
        goto out;
    rc = BC_OK;
    bc_blas_alone();
    for (j->first = 0; rc == BC_OK && j->first < blocks; j->first += round) {
        if (tick != NULL && tick(context, j->first, blocks))
            rc = BC_STOPPED;
        else
            bc_pool_run(pool, measure, j, blocks - j->first < round ? blocks - j->first : round);
    }
    bc_blas_release();
out:
    free(j->square);
    free(j->tile);
    return rc;
}

/* Put row b with its key where it belongs in a sorted list; equal keys keep their order. */
static void insert(int64_t *index, double *keys, size_t k, int64_t b, double key) {
    size_t at = k - 1;
    for (; at > 0 && (keys[at - 1] > key || (keys[at - 1] == key && index[at - 1] > b)); at--) {
        keys[at] = keys[at - 1];
        index[at] = index[at - 1];
    }
    keys[at] = key;
    index[at] = b;
}

static void keep_nearest(const job *j, size_t row, size_t column, size_t columns,
                         const double *key) {
    const int64_t *group = j->rows->group;
    int64_t *index = j->index + row * j->k;
    double *keys = j->distance + row * j->k;
    for (size_t c = 0; c < columns; c++)
        if (key[c] < keys[j->most - 1] && group[column + c] != group[row])
            insert(index, keys, j->most, (int64_t)(column + c), key[c]);
}

/* The nearest rows' own distances instead of those out of products, and their order by them. */
static void refine(const job *j, size_t row) {
    int64_t *index = j->index + row * j->k;
    double *distance = j->distance + row * j->k;
    for (size_t i = 0; i < j->k && index[i] >= 0; i++) {
        int64_t b = index[i];
        insert(index, distance, i + 1, b, distance_of(j, key_between(j, row, (size_t)b)));
    }
}

int neighbors_nearest(const neighbors_rows *rows, int64_t *index, double *distance, size_t k,
                      bc_pool *pool, bc_tick *tick, void *context) {
    job j = {.rows = rows, .use = keep_nearest, .index = index, .distance = distance, .k = k};
    j.most = k < rows->n ? k : rows->n; /* there are no more: the others stay as they are */
    for (size_t i = 0; i < rows->n * k; i++) index[i] = -1, distance[i] = INFINITY;
    int rc = k == 0 ? BC_OK : run(&j, pool, tick, context);
    for (size_t i = 0; rc == BC_OK && k > 0 && i < rows->n; i++) refine(&j, i);
    free(j.y);
    return rc;
}

static void add_distances(const job *j, size_t row, size_t column, size_t columns,
                          const double *key) {
    const int64_t *group = j->rows->group;
    double *sum = j->sum + row * j->classes;
    for (size_t c = 0; c < columns; c++)
        if (group[column + c] != group[row]) sum[j->label[column + c]] += distance_of(j, key[c]);
}

int neighbors_class_sums(const neighbors_rows *rows, double *sum, const int64_t *label,
                         size_t classes, bc_pool *pool, bc_tick *tick, void *context) {
    job j = {.rows = rows, .use = add_distances, .sum = sum, .label = label, .classes = classes};
    memset(sum, 0, rows->n * classes * sizeof *sum);
    int rc = run(&j, pool, tick, context);
    free(j.y);
    return rc;
}
