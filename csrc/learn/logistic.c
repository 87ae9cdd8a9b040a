/* logistic.c: multinomial logistic regression by L-BFGS. */
#include "logistic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/error.h"

#define MEMORY 10 /* pairs that L-BFGS remembers */

typedef struct {
    const double *x;
    const int64_t *label;
    size_t n, d, k;
    double c;
    double *p; /* (k) */
} problem;

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void scores(double *p, const double *w, const double *x, size_t d, size_t k) {
    for (size_t c = 0; c < k; c++) p[c] = dot(w + c * (d + 1), x, d) + w[c * (d + 1) + d];
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

/* The objective at w, its gradient into g (both (k, d+1)). */
static double evaluate(double *g, const double *w, const problem *q) {
    size_t row = q->d + 1;
    double loss = 0;
    memset(g, 0, q->k * row * sizeof *g);
    for (size_t i = 0; i < q->n; i++) {
        const double *x = q->x + i * q->d;
        scores(q->p, w, x, q->d, q->k);
        double own = q->p[q->label[i]];
        loss += softmax(q->p, q->k) - own;
        for (size_t c = 0; c < q->k; c++) {
            double r = q->c * (q->p[c] - ((int64_t)c == q->label[i]));
            double *gc = g + c * row;
            for (size_t j = 0; j < q->d; j++) gc[j] += r * x[j];
            gc[q->d] += r;
        }
    }
    double penalty = 0;
    for (size_t c = 0; c < q->k; c++)
        for (size_t j = 0; j < q->d; j++) {
            double v = w[c * row + j];
            penalty += v * v;
            g[c * row + j] += v;
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
        alpha[at] = h->rho[at] * dot(h->s + at * m, direction, m);
        for (size_t j = 0; j < m; j++) direction[j] -= alpha[at] * h->y[at * m + j];
    }
    if (used > 0) {
        size_t at = (h->count - 1) % MEMORY;
        double scale = 1 / (h->rho[at] * dot(h->y + at * m, h->y + at * m, m));
        for (size_t j = 0; j < m; j++) direction[j] *= scale;
    }
    for (size_t i = used; i-- > 0;) {
        size_t at = (h->count - 1 - i) % MEMORY;
        double beta = h->rho[at] * dot(h->y + at * m, direction, m);
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
    double curvature = dot(h->s + at * m, h->y + at * m, m);
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
    double *room = calloc(m * (4 + 2 * MEMORY) + k, sizeof *room);
    if (room == NULL) return rc;
    double *g = room, *next_g = g + m, *next = next_g + m, *direction = next + m;
    history h = {.s = direction + m, .y = direction + m + MEMORY * m, .size = m};
    problem q = {x, label, n, d, k, c, direction + m + 2 * MEMORY * m};
    double f = evaluate(g, w, &q);
    for (; *done < iterations && largest(g, m) > tolerance * c * (double)n; ++*done) {
        if (tick != NULL && tick(context, *done, iterations)) {
            rc = BC_STOPPED;
            goto out;
        }
        direct(direction, g, &h);
        double slope = dot(direction, g, m), next_f = f, step = 1;
        if (h.count == 0) step = 1 / (1 + sqrt(dot(g, g, m)));
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
    rc = BC_OK;
out:
    free(room);
    return rc;
}

void logistic_predict(int64_t *label, const double *w, const double *x, size_t n, size_t d,
                      size_t k) {
    for (size_t i = 0; i < n; i++) {
        double best = -INFINITY;
        label[i] = 0;
        for (size_t c = 0; c < k; c++) {
            double s = dot(w + c * (d + 1), x + i * d, d) + w[c * (d + 1) + d];
            if (s > best) best = s, label[i] = (int64_t)c;
        }
    }
}
