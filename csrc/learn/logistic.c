/* logistic.c: multinomial logistic regression by L-BFGS. */
#include "logistic.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/blas.h"
#include "../support/dot.h"
#include "../support/error.h"
#include "lbfgs.h"

#define BLOCK 256 /* rows whose scores are held at once */

typedef struct {
    const double *x;
    const int64_t *label;
    size_t n, d, k;
    double c;
    double unit; /* x is measured in it, a power of two; w for x / unit: see unit_of */
    double *p;   /* (BLOCK, k) */
} problem;

/* L-BFGS gets nowhere where values are thousands of times the 1 that belongs to
 * the bias: those are measured in another unit, others as they are. */
static double unit_of(const double *x, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
    return most > 4096 ? ldexp(1, ilogb(most)) : 1;
}

/* p (rows, k) = x (rows, d) . weights' + bias, w as in the header. */
static void scores(double *p, const double *w, const double *x, size_t rows, const problem *q) {
    const size_t d = q->d, k = q->k;
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < k; c++) p[i * k + c] = w[c * (d + 1) + d];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)k, (int)d, 1 / q->unit, x,
                (int)d, w, (int)(d + 1), 1, p, (int)k);
}

/* Scores to probabilities; returns log of the sum that divides them. */
static double softmax(double *p, size_t k) {
    double most = p[0], sum = 0;
    for (size_t c = 1; c < k; c++)
        if (p[c] > most) most = p[c];
    for (size_t c = 0; c < k; c++) sum += p[c] = exp(p[c] - most);
    for (size_t c = 0; c < k; c++) p[c] /= sum;
    return most + log(sum);
}

/* p becomes what the loss's gradient is by the scores; returns the loss. */
static double residuals(double *p, const int64_t *label, size_t rows, size_t k, double c) {
    double loss = 0;
    for (size_t i = 0; i < rows; i++, p += k) {
        double own = p[label[i]];
        loss += softmax(p, k) - own;
        p[label[i]] -= 1;
        for (size_t j = 0; j < k; j++) p[j] *= c;
    }
    return loss;
}

/* The objective at w, its gradient into g (both (k, d+1)). */
static double evaluate(void *context, double *g, const double *w) {
    const problem *q = context;
    size_t d = q->d, k = q->k, row = d + 1;
    double loss = 0, penalty = 0;
    memset(g, 0, k * row * sizeof *g);
    for (size_t first = 0; first < q->n; first += BLOCK) {
        size_t rows = q->n - first < BLOCK ? q->n - first : BLOCK;
        const double *x = q->x + first * d;
        scores(q->p, w, x, rows, q);
        loss += residuals(q->p, q->label + first, rows, k, q->c);
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)k, (int)d, (int)rows, 1 / q->unit,
                    q->p, (int)k, x, (int)d, 1, g, (int)row);
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < k; c++) g[c * row + d] += q->p[i * k + c];
    }
    for (size_t c = 0; c < k; c++)
        for (size_t j = 0; j < d; j++) {
            double v = w[c * row + j] / q->unit;
            penalty += v * v;
            g[c * row + j] += v / q->unit;
        }
    return q->c * loss + penalty / 2;
}

int logistic_fit(double *w, size_t *done, const double *x, const int64_t *label, size_t n, size_t d,
                 size_t k, double c, size_t iterations, double tolerance, bc_tick *tick,
                 void *context) {
    size_t m = k * (d + 1);
    memset(w, 0, m * sizeof *w);
    double *p = calloc(BLOCK * k, sizeof *p);
    if (p == NULL) return BC_NOMEM;
    bc_blas_alone();
    problem q = {x, label, n, d, k, c, unit_of(x, n * d), p};
    lbfgs_limits limits = {iterations, tolerance * c * (double)n, tick, context};
    int rc = lbfgs_minimise(w, done, m, evaluate, &q, &limits);
    for (size_t j = 0; j < m; j++)
        if (j % (d + 1) != d) w[j] /= q.unit;
    bc_blas_release();
    free(p);
    return rc;
}

void logistic_predict(int64_t *label, const double *w, const double *x, size_t n, size_t d,
                      size_t k) {
    for (size_t i = 0; i < n; i++) {
        double best = -INFINITY;
        label[i] = 0;
        for (size_t c = 0; c < k; c++) {
            double s = bc_dot(w + c * (d + 1), x + i * d, d) + w[c * (d + 1) + d];
            if (s > best) best = s, label[i] = (int64_t)c;
        }
    }
}
