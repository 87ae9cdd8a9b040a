/* simple_prepare.c: what a SiMPle join needs before its first cell: memory, frames in the
 * order of the loops, the grid of the filter. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simple.h"
#include "simple_vectors.h"

void bc_simple_free_scratch(struct simple *s) {
    free(s->a), free(s->b), free(s->a_norm), free(s->b_norm), free(s->ring), free(s->lanes);
    s->a = s->b = s->a_norm = s->b_norm = s->ring = s->lanes = NULL;
    bc_doubling_free(&s->sums);
}

enum { MARGIN = 2 * SIMPLE_LANES };

static int allocate_frames(struct simple *s) {
    s->stride = (s->y_frames + 2 * MARGIN + 7) / 8 * 8;
    s->margin = MARGIN;
    s->a = bc_aligned_doubles((s->x_frames + SIMPLE_STRIP) * s->dims, 0.0);
    s->b = bc_aligned_doubles(s->stride * s->dims, 0.0);
    return s->a == NULL || s->b == NULL ? BC_NOMEM : BC_OK;
}

int bc_simple_prepare_sweep(struct simple *s) {
    if (allocate_frames(s) != BC_OK) return BC_NOMEM;
    for (size_t d = 0; d < s->dims; d++) {
        for (size_t t = 0; t < s->x_frames; t++) s->a[t * s->dims + d] = s->x[d * s->x_frames + t];
        memcpy(s->b + d * s->stride + s->margin, s->y + d * s->y_frames,
               s->y_frames * sizeof *s->y);
    }
    return bc_doubling_new(&s->sums, s->window);
}

static double mean_of(const double *x, size_t n) {
    size_t count = 0;
    double mean = 0;
    for (size_t t = 0; t < n; t++) count += isfinite(x[t]);
    for (size_t t = 0; t < n; t++)
        if (isfinite(x[t])) mean += x[t] / (double)count;
    return mean;
}

static bool is_finite_frame(const double *x, size_t frames, size_t dims, size_t t) {
    for (size_t d = 0; d < dims; d++)
        if (!isfinite(x[d * frames + t])) return false;
    return true;
}

/* Frames that are not finite lie in the mean, at HIDDEN for a norm. Returns if there are any. */
enum { HIDDEN = -1 };

static bool hide_frames(struct simple *s) {
    const size_t nx = s->x_frames, ny = s->y_frames, dims = s->dims;
    bool any = false;
    for (size_t t = 0; t < nx; t++) {
        if (isfinite(s->a_norm[t]) || is_finite_frame(s->x, nx, dims, t)) continue;
        for (size_t d = 0; d < dims; d++) s->a[t * dims + d] = 0;
        s->a_norm[t] = HIDDEN;
        any = true;
    }
    for (size_t t = 0; t < ny; t++) {
        const size_t at = t + (size_t)s->margin;
        if (isfinite(s->b_norm[at]) || is_finite_frame(s->y, ny, dims, t)) continue;
        for (size_t d = 0; d < dims; d++) s->b[(at / 8 * dims + d) * 8 + at % 8] = 0;
        s->b_norm[at] = HIDDEN;
        any = true;
    }
    return any;
}

/* a := -2 (x - mean), b := y - mean, by dimension, and their squared norms.
 * Returns the largest squared norm; NaN or infinite if values are too large. */
static double centre(struct simple *s, bool *hidden) {
    const size_t nx = s->x_frames, ny = s->y_frames, dims = s->dims;
    double largest = 0, finite = 0;
    for (size_t d = 0; d < dims; d++) {
        const double *x = s->x + d * nx, *y = s->y + d * ny, mean = mean_of(x, nx);
        for (size_t t = 0; t < nx; t++) {
            double v = x[t] - mean;
            s->a[t * dims + d] = -2 * v;
            s->a_norm[t] += v * v;
        }
        for (size_t t = 0; t < ny; t++) {
            const size_t at = t + (size_t)s->margin;
            double v = y[t] - mean;
            s->b[(at / 8 * dims + d) * 8 + at % 8] = v;
            s->b_norm[at] += v * v;
        }
    }
    *hidden = hide_frames(s);
    for (size_t t = 0; t < nx; t++) largest = fmax(largest, s->a_norm[t]), finite += s->a_norm[t];
    for (size_t t = 0; t < s->stride; t++)
        largest = fmax(largest, s->b_norm[t]), finite += s->b_norm[t];
    return finite < DBL_MAX ? largest : NAN;
}

/* The norms of what is hidden become so large that a window with one such frame is further
 * than all that are finite. Returns the largest sum of c's there can then be. */
static double raise_hidden(struct simple *s, double sum) {
    const double wall = 1.02 * sum;
    for (size_t t = 0; t < s->x_frames; t++)
        if (s->a_norm[t] < 0) s->a_norm[t] = wall;
    for (size_t t = 0; t < s->stride; t++)
        if (s->b_norm[t] < 0) s->b_norm[t] = wall;
    for (struct simple *p = s; p != NULL; p = p->next) p->limit = 1.01 * sum;
    return 2.1 * sum * fmax((double)s->window, 4);
}

int bc_simple_prepare_filter(struct simple *s, ptrdiff_t first, bool *usable) {
    const double w = (double)s->window;
    bool hidden;
    *usable = false;
    s->a_norm = bc_aligned_doubles(s->x_frames + SIMPLE_STRIP, 0.0);
    if (s->a_norm == NULL || allocate_frames(s) != BC_OK) return BC_NOMEM;
    s->b_norm = bc_aligned_doubles(s->stride, 0.0);
    if (s->b_norm == NULL) return BC_NOMEM;
    while ((first + s->margin) % 8 != 0) s->margin--;

    /* c is at most 4 |a|^2, a sum w times that. Both must be below 2^52 grid
     * steps, c below 2^50 (so that bias + c keeps the bias's last bit). */
    double sum = 4.04 * centre(s, &hidden) * fmax(w, 4);
    if (!(sum > 1e-200 && sum < 1e280)) return BC_OK;
    const double most = hidden ? raise_hidden(s, sum) : sum;
    double grid = ldexp(1.0, ilogb(most) + 1 - 52);
    s->bias = 1.5 * ldexp(grid, 52);
    /* Half a step for each of dims + 1 roundings of a c; the rest is for the
     * norms, the mean and the distance's own rounding, which are smaller. */
    const double rounding = (2 * (double)s->dims + 4) * grid;
    for (struct simple *p = s; p != NULL; p = p->next) p->error = (double)p->window * rounding;
    if (s->error > 1e-3 * sum) return BC_OK;
    for (size_t t = 0; t < s->x_frames + SIMPLE_STRIP; t++) s->a_norm[t] += s->bias;

    s->ring_rows = (s->window + 2 * SIMPLE_STRIP - 1) / SIMPLE_STRIP * SIMPLE_STRIP;
    s->ring = bc_aligned_doubles(s->ring_rows * SIMPLE_PITCH, 0.0);
    if (s->lanes == NULL) s->lanes = bc_aligned_doubles(SIMPLE_LANES, 0.0);
    if (s->ring == NULL || s->lanes == NULL) return BC_NOMEM;
    *usable = true;
    return BC_OK;
}
