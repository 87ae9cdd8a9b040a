/* doubling.c: which sums lead from one value to w of them. */
#include "doubling.h"

#include <stdint.h>
#include <stdlib.h>

#include "../support/error.h"

double *bc_aligned_doubles(size_t count, double fill) {
    double *p = NULL;
    if (count > (SIZE_MAX - 64) / sizeof *p) return NULL;
    p = aligned_alloc(64, (count * sizeof *p + 63) / 64 * 64);
    for (size_t i = 0; p != NULL && i < count; i++) p[i] = fill;
    return p;
}

int bc_doubling_new(struct doubling *s, size_t w) {
    int bit = 0;
    while (w >> (bit + 1)) bit++;
    *s = (struct doubling){.levels = 0};
    for (size_t lag = 1; bit-- > 0;) {
        struct doubling_level *level = &s->level[s->levels++];
        level->lag = lag;
        level->ring = bc_aligned_doubles(lag * DOUBLING_LANES, 0.0);
        if (level->ring == NULL) return BC_NOMEM;
        lag = 2 * lag;
        if (w >> bit & 1) level->odd = lag++, s->c_rows = lag;
    }
    if (s->c_rows == 0) return BC_OK;
    s->c = bc_aligned_doubles(s->c_rows * DOUBLING_LANES, 0.0);
    return s->c == NULL ? BC_NOMEM : BC_OK;
}

void bc_doubling_free(struct doubling *s) {
    for (int k = 0; k < s->levels; k++) free(s->level[k].ring);
    free(s->c);
    *s = (struct doubling){.levels = 0};
}

double bc_doubling_sum(const double *c, size_t w) {
    if (w == 1) return c[0];
    if (w == 2) return c[1] + c[0];
    if (w == 3) return (c[2] + c[1]) + c[0];
    size_t half = w / 2;
    double sum = bc_doubling_sum(c + w - half, half) + bc_doubling_sum(c + w - 2 * half, half);
    return w % 2 ? sum + c[0] : sum;
}
