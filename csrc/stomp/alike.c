/* alike.c: windows that correlate, among very many. */
#include "alike.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/blas.h"
#include "../support/cpu.h"
#include "../support/dot.h"

enum {
    ROWS = 128, COLUMNS = 256, /* of a product of sketches: 128 KB */
    ROUND = 1 << 22,           /* products a thread between two looks at the clock, at least a block */
    PART = 256,                /* rows that are sketched at once */
    LANES = 8
};

/* What rounding may take from a product of sketches, far less than this. */
#define SLACK 1e-4f

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

static void unit_window(float *out, const float *x, size_t dims, size_t frames, size_t window) {
    const size_t d = dims * window;
    double sum = 0, square = 0;
    for (size_t b = 0; b < dims; b++)
        memcpy(out + b * window, x + b * frames, window * sizeof *out);
    for (size_t c = 0; c < d; c++) sum += (double)out[c];
    const double mean = sum / (double)d;
    for (size_t c = 0; c < d; c++) square += ((double)out[c] - mean) * ((double)out[c] - mean);
    const bool varies = isfinite(square) && square > 1e-12 * (double)d * mean * mean;
    const double scale = varies ? 1 / sqrt(square) : 0;
    for (size_t c = 0; c < d; c++) out[c] = varies ? (float)(((double)out[c] - mean) * scale) : 0;
}

void bc_unit_windows(float *out, const float *x, size_t dims, size_t frames, size_t window) {
    for (size_t i = 0; i + window <= frames; i++)
        unit_window(out + i * dims * window, x + i, dims, frames, window);
}

/* In doubles: where B has nearly all of a row, what is left is a small difference. */
int bc_sketch(float *out, const float *u, const double *basis, size_t n, size_t d, size_t k) {
    double *wide = malloc(PART * d * sizeof *wide), *along = malloc(PART * k * sizeof *along);
    const int rc = wide != NULL && along != NULL ? BC_OK : BC_NOMEM;
    bc_blas_alone();
    for (size_t from = 0; rc == BC_OK && from < n; from += PART) {
        const size_t rows = n - from < PART ? n - from : PART;
        for (size_t c = 0; c < rows * d; c++) wide[c] = (double)u[from * d + c];
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)k, (int)d, 1, wide,
                    (int)d, basis, (int)d, 0, along, (int)k);
        for (size_t i = 0; i < rows; i++) {
            float *s = out + (from + i) * (k + 1);
            const double *a = along + i * k, *w = wide + i * d;
            for (size_t c = 0; c < k; c++) s[c] = (float)a[c];
            s[k] = (float)sqrt(fmax(0, bc_dot(w, w, d) - bc_dot(a, a, k)));
        }
    }
    bc_blas_release();
    free(wide);
    free(along);
    return rc;
}

typedef struct {
    const bc_alike_rows *s, *t;
    const size_t *group; /* (s->n) */
    float *best, *product, least; /* product (threads, ROWS, COLUMNS) */
    size_t first; /* block of columns */
} job;

/* Four sums at once, for speed; in this order everywhere, for the same bits. */
BC_EACH_CPU(static, correlate, (float *out, const float *u, const float *v, size_t d),
            (out, u, v, d)) {
    lanes sum[4] = {{0}};
    size_t c = 0;
    for (; c + 4 * LANES <= d; c += 4 * LANES)
        for (int i = 0; i < 4; i++)
            sum[i] += *(const lanes *)(u + c + i * LANES) * *(const lanes *)(v + c + i * LANES);
    for (; c + LANES <= d; c += LANES) sum[0] += *(const lanes *)(u + c) * *(const lanes *)(v + c);
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    float rest = 0;
    for (; c < d; c++) rest += u[c] * v[c];
    for (int i = 0; i < LANES; i++) rest += sum[0][i];
    *out = rest;
}

/* *hits: how many of value (n) are at least `least`. */
BC_EACH_CPU(static, count_hits, (int *hits, const float *value, float least, size_t n),
            (hits, value, least, n)) {
    int sum = 0;
    for (size_t j = 0; j < n; j++) sum += value[j] >= least;
    *hits = sum;
}

static void look_closer(const job *w, const float *product, size_t i, size_t column, size_t n) {
    const bc_alike_rows *s = w->s, *t = w->t;
    float *best = w->best + w->group[i] * t->n + column;
    for (size_t j = 0; j < n; j++) {
        if (!(product[j] >= w->least - SLACK)) continue;
        float r;
        correlate(&r, s->u + i * s->d, t->u + (column + j) * t->d, t->d);
        if (r >= w->least && r > best[j]) best[j] = r;
    }
}

static void block(void *context, size_t item, int worker) {
    const job *w = context;
    const bc_alike_rows *s = w->s, *t = w->t;
    const size_t column = (w->first + item) * COLUMNS, k = t->k + 1;
    const size_t n = t->n - column < COLUMNS ? t->n - column : COLUMNS;
    float *product = w->product + (size_t)worker * ROWS * COLUMNS;
    for (size_t from = 0; from < s->n; from += ROWS) {
        const size_t rows = s->n - from < ROWS ? s->n - from : ROWS;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)n, (int)k, 1,
                    s->sketch + from * k, (int)k, t->sketch + column * k, (int)k, 0, product,
                    COLUMNS);
        for (size_t i = 0; i < rows; i++) {
            int hits;
            count_hits(&hits, product + i * COLUMNS, w->least - SLACK, n);
            if (hits > 0) look_closer(w, product + i * COLUMNS, from + i, column, n);
        }
    }
}

int bc_alike(float *best, const bc_alike_rows *s, const size_t *first, size_t groups,
             const bc_alike_rows *t, float least, bc_pool *pool, bc_tick *tick, void *context) {
    const size_t threads = (size_t)bc_pool_threads(pool);
    const size_t blocks = (t->n + COLUMNS - 1) / COLUMNS;
    const size_t round = threads * (ROUND / (s->n * COLUMNS + 1) + 1);
    size_t *group = malloc((s->n + 1) * sizeof *group);
    job w = {s, t, group, best, malloc(threads * ROWS * COLUMNS * sizeof(float)), least, 0};
    int rc = BC_NOMEM;
    if (group == NULL || w.product == NULL) goto out;
    rc = BC_OK;
    for (size_t g = 0; g < groups; g++)
        for (size_t i = first[g]; i < first[g + 1]; i++) group[i] = g;
    memset(best, 0, groups * t->n * sizeof *best);
    bc_blas_alone();
    for (; rc == BC_OK && w.first < blocks; w.first += round) {
        if (tick != NULL && tick(context, w.first, blocks))
            rc = BC_STOPPED;
        else
            bc_pool_run(pool, block, &w, blocks - w.first < round ? blocks - w.first : round);
    }
    bc_blas_release();
out:
    free(group);
    free(w.product);
    return rc;
}
