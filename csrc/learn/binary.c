/* binary.c: weighted binary logistic regressions, one a class. */
#include "binary.h"

#include <cblas.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../support/blas.h"
#include "../support/error.h"
#include "lbfgs.h"

#define BLOCK 256 /* rows whose scores are held at once */

typedef struct {
    const double *x, *target, *weight; /* (n, d), (n), (n) */
    size_t n, d;
    double c;
} problem;

/* log(1 + exp(s)) */
static double softplus(double s) { return fmax(s, 0) + log1p(exp(-fabs(s))); }

/* s (rows): scores; they become what the loss's gradient is by them. Returns the loss. */
static double residuals(double *s, const double *target, const double *weight, size_t rows) {
    double loss = 0;
    for (size_t i = 0; i < rows; i++) {
        loss += weight[i] * (softplus(s[i]) - target[i] * s[i]);
        s[i] = weight[i] * (1 / (1 + exp(-s[i])) - target[i]);
    }
    return loss;
}

/* The objective at w (d+1), its gradient into g. */
static double evaluate(void *context, double *g, const double *w) {
    const problem *q = context;
    size_t d = q->d;
    double loss = 0, penalty = 0, s[BLOCK];
    memset(g, 0, (d + 1) * sizeof *g);
    for (size_t first = 0; first < q->n; first += BLOCK) {
        size_t rows = q->n - first < BLOCK ? q->n - first : BLOCK;
        const double *x = q->x + first * d;
        for (size_t i = 0; i < rows; i++) s[i] = w[d];
        cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)d, 1, x, (int)d, w, 1, 1, s, 1);
        loss += residuals(s, q->target + first, q->weight + first, rows);
        cblas_dgemv(CblasRowMajor, CblasTrans, (int)rows, (int)d, q->c, x, (int)d, s, 1, 1, g, 1);
        for (size_t i = 0; i < rows; i++) g[d] += q->c * s[i];
    }
    for (size_t j = 0; j < d; j++) {
        penalty += w[j] * w[j];
        g[j] += w[j];
    }
    return q->c * loss + penalty / 2;
}

typedef struct {
    const binary_rows *rows;
    double *w, c, tolerance;
    size_t iterations;
    bc_tick *tick;
    void *tick_context;
    size_t *done; /* (k) */
    atomic_int rc;
} job;

static void fit_class(void *context, size_t k, int worker) {
    (void)worker;
    job *j = context;
    const binary_rows *r = j->rows;
    problem q = {r->x, r->target + k * r->n, r->weight + k * r->n, r->n, r->d, j->c};
    double sum = 0;
    for (size_t i = 0; i < r->n; i++) sum += q.weight[i];
    lbfgs_limits limits = {j->iterations, j->tolerance * j->c * sum, j->tick, j->tick_context};
    int rc = lbfgs_minimise(j->w + k * (r->d + 1), &j->done[k], r->d + 1, evaluate, &q, &limits);
    if (rc != BC_OK) j->rc = rc;
}

int binary_fit(double *w, size_t *done, const binary_rows *rows, double c, size_t iterations,
               double tolerance, bc_pool *pool, bc_tick *tick, void *context) {
    *done = 0;
    size_t *each = calloc(rows->k + 1, sizeof *each);
    if (each == NULL) return BC_NOMEM;
    job j = {rows, w, c, tolerance, iterations, tick, context, each, BC_OK};
    bc_blas_alone();
    bc_pool_run(pool, fit_class, &j, rows->k);
    bc_blas_release();
    for (size_t k = 0; k < rows->k; k++)
        if (each[k] > *done) *done = each[k];
    free(each);
    return j.rc;
}

void binary_scores(double *score, const double *w, const double *x, size_t n, size_t d, size_t k) {
    bc_blas_alone();
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < k; c++) score[i * k + c] = w[c * (d + 1) + d];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)k, (int)d, 1, x, (int)d, w,
                (int)(d + 1), 1, score, (int)k);
    bc_blas_release();
}
