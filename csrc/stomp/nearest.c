/* nearest.c: the k nearest neighbours of windows. */
#include "nearest.h"

#include <math.h>

void bc_nearest_start(struct nearest *s, size_t n) {
    for (size_t c = 0; c < n * s->k; c++) s->distance[c] = INFINITY, s->index[c] = -1;
}

void bc_nearest_put(struct nearest *s, size_t i, double distance, int64_t j) {
    double *d = s->distance + i * s->k;
    int64_t *index = s->index + i * s->k;
    size_t at = s->k;
    if (!isfinite(distance)) return;
    for (; at > 0; at--) {
        if (d[at - 1] < distance || (d[at - 1] == distance && index[at - 1] < j)) break;
        if (at < s->k) d[at] = d[at - 1], index[at] = index[at - 1];
    }
    if (at < s->k) d[at] = distance, index[at] = j;
}

double bc_nearest_last(const struct nearest *s, size_t i) {
    return s->distance[(i + 1) * s->k - 1];
}
