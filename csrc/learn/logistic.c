/* logistic.c: multinomial logistic regression by L-BFGS. */
#include "logistic.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/blas.h"
#include "../support/dot.h"
#include "../support/error.h"

#define MEMORY 10 /* pairs that L-BFGS remembers */
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
static double evaluate(double *g, const double *w, const problem *q) {
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

/* The last pairs of steps and gradient changes, newest at (count-1) % MEMORY. */
typedef struct {
    double *s, *y;
    double rho[MEMORY];
    size_t count, size;
} history;

/* direction = -H g by the two-loop recursion. */
static void direct(double *direction, const double *g, const history *h) {
    size_t m = h->size, used = h->count < MEMORY ? h->count : MEMORY;
    double alpha[MEMORY];
    for (size_t j = 0; j < m; j++) direction[j] = -g[j];
    for (size_t i = 0; i < used; i++) {
        size_t at = (h->count - 1 - i) % MEMORY;
        alpha[at] = h->rho[at] * bc_dot(h->s + at * m, direction, m);
        for (size_t j = 0; j < m; j++) direction[j] -= alpha[at] * h->y[at * m + j];
    }
    if (used > 0) {
        size_t at = (h->count - 1) % MEMORY;
        double scale = 1 / (h->rho[at] * bc_dot(h->y + at * m, h->y + at * m, m));
        for (size_t j = 0; j < m; j++) direction[j] *= scale;
    }
    for (size_t i = used; i-- > 0;) {
        size_t at = (h->count - 1 - i) % MEMORY;
        double beta = h->rho[at] * bc_dot(h->y + at * m, direction, m);
        for (size_t j = 0; j < m; j++) direction[j] += (alpha[at] - beta) * h->s[at * m + j];
    }
}

static void remember(history *h, const double *w, const double *before, const double *g,
                     const double *g_before) {
    size_t m = h->size, at = h->count % MEMORY;
    for (size_t j = 0; j < m; j++) {
        h->s[at * m + j] = w[j] - before[j];
        h->y[at * m + j] = g[j] - g_before[j];
    }
    double curvature = bc_dot(h->s + at * m, h->y + at * m, m);
    if (!(curvature > 1e-12)) return; /* a pair that would spoil the estimate */
    h->rho[at] = 1 / curvature;
    h->count++;
}

static double largest(const double *g, size_t m) {
    double most = 0;
    for (size_t j = 0; j < m; j++)
        if (fabs(g[j]) > most) most = fabs(g[j]);
    return most;
}

int logistic_fit(double *w, size_t *done, const double *x, const int64_t *label, size_t n, size_t d,
                 size_t k, double c, size_t iterations, double tolerance, bc_tick *tick,
                 void *context) {
    size_t m = k * (d + 1);
    int rc = BC_NOMEM;
    memset(w, 0, m * sizeof *w);
    *done = 0;
    double *room = calloc(m * (4 + 2 * MEMORY) + BLOCK * k, sizeof *room);
    if (room == NULL) return rc;
    bc_blas_alone();
    double *g = room, *next_g = g + m, *next = next_g + m, *direction = next + m;
    history h = {.s = direction + m, .y = direction + m + MEMORY * m, .size = m};
    problem q = {x, label, n, d, k, c, unit_of(x, n * d), direction + m + 2 * MEMORY * m};
    double f = evaluate(g, w, &q);
    for (; *done < iterations && largest(g, m) > tolerance * c * (double)n; ++*done) {
        if (tick != NULL && tick(context, *done, iterations)) {
            rc = BC_STOPPED;
            goto out;
        }
        direct(direction, g, &h);
        double slope = bc_dot(direction, g, m), next_f = f, step = 1;
        if (h.count == 0) step = 1 / (1 + sqrt(bc_dot(g, g, m)));
        for (int tries = 0; tries < 50; tries++, step /= 2) {
            for (size_t j = 0; j < m; j++) next[j] = w[j] + step * direction[j];
            next_f = evaluate(next_g, next, &q);
            if (next_f <= f + 1e-4 * step * slope) break;
        }
        if (!(next_f < f)) break; /* rounding: no better point to be had */
        remember(&h, next, w, next_g, g);
        memcpy(w, next, m * sizeof *w);
        memcpy(g, next_g, m * sizeof *g);
        f = next_f;
    }
    /* not even a first step, far from the optimum: nothing was fitted */
    if (!isfinite(f) || (*done == 0 && iterations > 0 && largest(g, m) > tolerance * c * (double)n))
        rc = BC_FAIL;
    else
        rc = BC_OK;
    for (size_t j = 0; j < m; j++)
        if (j % (d + 1) != d) w[j] /= q.unit;
out:
    bc_blas_release();
    free(room);
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
