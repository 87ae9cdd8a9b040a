/* lbfgs.c: L-BFGS with a backtracking line search. */
#include "lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/dot.h"
#include "../support/error.h"

#define MEMORY 10   /* pairs that are remembered */
#define HALVINGS 50 /* of a step that does not lead down */

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

int lbfgs_minimise(double *w, size_t *done, size_t m, lbfgs_objective *objective, void *context,
                   const lbfgs_limits *limits) {
    *done = 0;
    double *room = calloc(m * (4 + 2 * MEMORY), sizeof *room);
    if (room == NULL) return BC_NOMEM;
    double *g = room, *next_g = g + m, *next = next_g + m, *direction = next + m;
    history h = {.s = direction + m, .y = direction + m + MEMORY * m, .size = m};
    double f = objective(context, g, w);
    int rc = BC_OK;
    for (; *done < limits->iterations && largest(g, m) > limits->gradient; ++*done) {
        if (limits->tick != NULL && limits->tick(limits->tick_context, *done, limits->iterations)) {
            rc = BC_STOPPED;
            break;
        }
        direct(direction, g, &h);
        double slope = bc_dot(direction, g, m), next_f = f, step = 1;
        if (h.count == 0) step = 1 / (1 + sqrt(bc_dot(g, g, m)));
        for (int tries = 0; tries < HALVINGS; tries++, step /= 2) {
            for (size_t j = 0; j < m; j++) next[j] = w[j] + step * direction[j];
            next_f = objective(context, next_g, next);
            if (next_f <= f + 1e-4 * step * slope) break;
        }
        if (!(next_f < f)) break; /* rounding: no better point to be had */
        remember(&h, next, w, next_g, g);
        memcpy(w, next, m * sizeof *w);
        memcpy(g, next_g, m * sizeof *g);
        f = next_f;
    }
    /* not even a first step, far from the minimum: nothing was found */
    bool lost = *done == 0 && limits->iterations > 0 && largest(g, m) > limits->gradient;
    if (rc == BC_OK && (!isfinite(f) || lost)) rc = BC_FAIL;
    free(room);
    return rc;
}
