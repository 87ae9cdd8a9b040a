/* simple_prepare.c: what a SiMPle join needs before its first cell: memory, frames in the
 * order of the loops, the grid of the filter. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simple.h"
#include "simple_vectors.h"

void bc_simple_free_scratch(struct simple *s) {
    free(s->frames), free(s->columns);
    free(s->a), free(s->b), free(s->a_norm), free(s->b_norm), free(s->ring), free(s->lanes);
    free(s->right.bound), free(s->left.bound);
    s->frames = s->columns = NULL;
    s->a = s->b = s->a_norm = s->b_norm = NULL;
    s->ring = s->lanes = s->right.bound = s->left.bound = NULL;
    bc_doubling_free(&s->sums);
}

enum { MARGIN = 2 * SIMPLE_LANES };

static void set_margins(struct simple *s) {
    s->margin = MARGIN;
    s->stride = (s->y_frames + 2 * MARGIN + SIMPLE_STRIP - 1) / SIMPLE_STRIP * SIMPLE_STRIP;
}

int bc_simple_prepare_sweep(struct simple *s) {
    set_margins(s);
    s->frames = bc_aligned_doubles(s->x_frames * s->dims, 0.0);
    s->columns = bc_aligned_doubles(s->stride * s->dims, 0.0);
    if (s->frames == NULL || s->columns == NULL) return BC_NOMEM;
    for (size_t d = 0; d < s->dims; d++) {
        for (size_t t = 0; t < s->x_frames; t++)
            s->frames[t * s->dims + d] = s->x[d * s->x_frames + t];
        memcpy(s->columns + d * s->stride + s->margin, s->y + d * s->y_frames,
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

/* Squared norms of the frames of x - mean (dims, frames), HIDDEN of one that is not finite. Returns
 * the largest, INFINITY where values are too large for one. */
enum { HIDDEN = -1 };

static double norms_of(double *norm, const double *x, size_t frames, size_t dims,
                       const double *mean) {
    double largest = 0;
    for (size_t t = 0; t < frames; t++) norm[t] = 0;
    for (size_t d = 0; d < dims; d++)
        for (size_t t = 0; t < frames; t++) {
            const double v = x[d * frames + t] - mean[d];
            norm[t] += v * v;
        }
    for (size_t t = 0; t < frames; t++)
        if (isfinite(norm[t]))
            largest = fmax(largest, norm[t]);
        else if (is_finite_frame(x, frames, dims, t))
            return INFINITY;
        else
            norm[t] = HIDDEN;
    return largest;
}

/* Of a filter's frames in double precision. */
struct centred {
    double *mean;            /* (dims): of x */
    double *x_norm, *y_norm; /* (x_frames), (y_frames) */
    double largest;
};

static bool any_hidden(const double *norm, size_t n) {
    for (size_t t = 0; t < n; t++)
        if (norm[t] == HIDDEN) return true;
    return false;
}

/* All in steps of the grid. A frame that is not finite lies in the mean, behind a wall. */
static void fill_frames(struct simple *s, const struct centred *c, double wall) {
    const size_t nx = s->x_frames, ny = s->y_frames, dims = s->dims;
    const double scale = 1 / sqrt(s->grid);
    for (size_t t = 0; t < nx; t++)
        s->a_norm[t] = (float)((c->x_norm[t] == HIDDEN ? wall : c->x_norm[t]) / s->grid);
    for (size_t t = 0; t < ny; t++)
        s->b_norm[t + (size_t)s->margin] =
            (float)((c->y_norm[t] == HIDDEN ? wall : c->y_norm[t]) / s->grid);
    for (size_t d = 0; d < dims; d++) {
        const double *x = s->x + d * nx, *y = s->y + d * ny;
        for (size_t t = 0; t < nx; t++)
            if (c->x_norm[t] != HIDDEN)
                s->a[t * dims + d] = (float)(-2 * scale * (x[t] - c->mean[d]));
        for (size_t t = 0; t < ny; t++) {
            const size_t at = t + (size_t)s->margin;
            if (c->y_norm[t] != HIDDEN)
                s->b[(at / SIMPLE_STRIP * dims + d) * SIMPLE_STRIP + at % SIMPLE_STRIP] =
                    (float)(scale * (y[t] - c->mean[d]));
        }
    }
}

/* count elements of `size` bytes on a cache line, all 0; NULL if there is no memory. */
static void *aligned_zeros(size_t count, size_t size) {
    if (count > (SIZE_MAX - 64) / size) return NULL;
    const size_t bytes = (count * size + 63) / 64 * 64;
    void *p = aligned_alloc(64, bytes);
    return p == NULL ? NULL : memset(p, 0, bytes);
}

static int allocate_filter(struct simple *s) {
    const size_t nx = s->x_frames + SIMPLE_STRIP;
    s->ring_rows = (s->window + 2 * SIMPLE_STRIP - 1) / SIMPLE_STRIP * SIMPLE_STRIP;
    s->a = aligned_zeros(nx * s->dims, sizeof *s->a);
    s->b = aligned_zeros(s->stride * s->dims, sizeof *s->b);
    s->a_norm = aligned_zeros(nx, sizeof *s->a_norm);
    s->b_norm = aligned_zeros(s->stride, sizeof *s->b_norm);
    s->ring = aligned_zeros(SIMPLE_SPILL + s->ring_rows * SIMPLE_PITCH, sizeof *s->ring);
    if (!s->a || !s->b || !s->a_norm || !s->b_norm || !s->ring) return BC_NOMEM;
    for (struct simple *p = s; p != NULL; p = p->next) {
        const size_t n = p->y_windows + SIMPLE_LANES;
        p->lanes = aligned_zeros(SIMPLE_LANES, sizeof *p->lanes);
        p->right.bound = aligned_zeros(p->x_windows, sizeof *p->right.bound);
        if (p->lanes == NULL || p->right.bound == NULL) return BC_NOMEM;
        if (p->left.value == NULL) continue;
        p->left.bound = aligned_zeros(n, sizeof *p->left.bound);
        if (p->left.bound == NULL) return BC_NOMEM;
        for (size_t j = p->y_windows; j < n; j++) p->left.bound[j] = -SIMPLE_FAR / 4;
    }
    return BC_OK;
}

/* The grid, and how far from its distance a filter value may be. */
static bool choose_grid(struct simple *s, const struct centred *c, double *wall) {
    const double w = fmax((double)s->window, 4), dims = (double)s->dims;
    /* c is at most 4 |a|^2, a sum w times that. */
    const double sum = 4.04 * c->largest * w;
    const bool hidden = any_hidden(c->x_norm, s->x_frames) || any_hidden(c->y_norm, s->y_frames);
    if (!(sum > 1e-200 && sum < 1e280)) return false;
    /* A window with one hidden frame becomes further than all that are finite. */
    *wall = 1.02 * sum;
    s->grid = (hidden ? 2.1 * sum * w : sum) * (2.0 / SIMPLE_FAR);
    /* A c is off by the roundings of floats: each partial sum of products is at most 2 largest
     * norms, factors are off by as much as 2 of those sums, then 4 norms are added up, 3 times
     * or so; and by half a step of the grid. Means and norms in doubles are far more exact. */
    const double off = (2 * dims + 18) * 0x1p-24 * c->largest / s->grid + 0.5;
    if ((double)s->window * off * s->grid > 2e-3 * sum) return false;
    for (struct simple *p = s; p != NULL; p = p->next) {
        p->grid = s->grid;
        p->slack = (int32_t)ceil((double)p->window * off) + 1;
        p->error = p->slack * s->grid;
        p->limit = hidden ? (int32_t)(1.01 * sum / s->grid) : SIMPLE_FAR - 2 * p->slack;
    }
    return true;
}

int bc_simple_prepare_filter(struct simple *s, ptrdiff_t first, bool *usable) {
    const size_t nx = s->x_frames, ny = s->y_frames;
    struct centred c = {.mean = malloc(s->dims * sizeof *c.mean),
                        .x_norm = malloc(nx * sizeof *c.x_norm),
                        .y_norm = malloc(ny * sizeof *c.y_norm)};
    double wall;
    int status = BC_NOMEM;
    *usable = false;
    set_margins(s);
    while ((first + s->margin) % SIMPLE_STRIP != 0) s->margin--;
    if (!c.mean || !c.x_norm || !c.y_norm || allocate_filter(s) != BC_OK) goto out;
    for (size_t d = 0; d < s->dims; d++) c.mean[d] = mean_of(s->x + d * nx, nx);
    c.largest = fmax(norms_of(c.x_norm, s->x, nx, s->dims, c.mean),
                     norms_of(c.y_norm, s->y, ny, s->dims, c.mean));
    *usable = choose_grid(s, &c, &wall);
    if (*usable) fill_frames(s, &c, wall);
    status = BC_OK;
out:
    free(c.mean), free(c.x_norm), free(c.y_norm);
    return status;
}
