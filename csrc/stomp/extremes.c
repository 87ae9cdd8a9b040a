/* extremes.c: motifs, discords and matches. */
#include "extremes.h"

#include <math.h>
#include <stdlib.h>

/* Windows in the order in which they are tried; ties by position. */
struct entry {
    double key;
    int64_t at;
};

static int compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static bool far(const int64_t *taken, size_t count, int64_t t, int64_t zone) {
    for (size_t m = 0; m < count; m++) {
        /* unsigned: neither the difference nor zone can overflow it */
        uint64_t apart = taken[m] > t ? (uint64_t)taken[m] - (uint64_t)t
                                      : (uint64_t)t - (uint64_t)taken[m];
        if (apart <= (uint64_t)zone) return false;
    }
    return true;
}

/* The usable windows of a profile, best first; *count of them. NULL: no memory. */
static struct entry *sorted(size_t *count, const double *distance, const int64_t *index, size_t n,
                            double sign) {
    struct entry *e = malloc((n + 1) * sizeof *e);
    if (e == NULL) return NULL;
    *count = 0;
    for (size_t i = 0; i < n; i++)
        if (index[i] >= 0 && isfinite(distance[i]))
            e[(*count)++] = (struct entry){sign * distance[i], (int64_t)i};
    qsort(e, *count, sizeof *e, compare);
    return e;
}

int bc_motifs(int64_t *at, int64_t *twin, size_t *found, const double *distance,
              const int64_t *index, size_t n, size_t k, int64_t zone, bool join) {
    size_t count, m = 0;
    struct entry *e = sorted(&count, distance, index, n, 1);
    if (e == NULL) return BC_NOMEM;
    for (size_t i = 0; i < count && m < k; i++) {
        int64_t a = e[i].at, b = index[a];
        if (!far(at, m, a, zone) || !far(twin, m, b, zone)) continue;
        if (!join && (!far(twin, m, a, zone) || !far(at, m, b, zone))) continue;
        at[m] = a, twin[m++] = b;
    }
    free(e);
    *found = m;
    return BC_OK;
}

void bc_correct(double *out, const double *distance, const double *weight, size_t n,
                bool discords) {
    double most = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(distance[i]) && distance[i] > most) most = distance[i];
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(distance[i]))
            out[i] = distance[i];
        else
            out[i] = discords ? distance[i] * weight[i] : distance[i] + (1 - weight[i]) * most;
    }
}

int bc_discords(int64_t *at, int64_t *twin, size_t *found, const double *distance,
                const int64_t *index, size_t n, size_t k, int64_t zone) {
    size_t count, m = 0;
    struct entry *e = sorted(&count, distance, index, n, -1);
    if (e == NULL) return BC_NOMEM;
    for (size_t i = 0; i < count && m < k; i++) {
        if (!far(at, m, e[i].at, zone)) continue;
        at[m] = e[i].at, twin[m++] = index[e[i].at];
    }
    free(e);
    *found = m;
    return BC_OK;
}

int bc_matches(int64_t *at, size_t *found, const double *distance, size_t n, size_t k,
               double radius, int64_t zone) {
    struct entry *e = malloc((n + 1) * sizeof *e);
    bool *taken = calloc(n + 1, sizeof *taken); /* too near to one that is in the list */
    int status = e == NULL || taken == NULL ? BC_NOMEM : BC_OK;
    size_t count = 0, m = 0;
    for (size_t i = 0; status == BC_OK && i < n; i++)
        if (isfinite(distance[i]) && distance[i] <= radius)
            e[count++] = (struct entry){distance[i], (int64_t)i};
    if (count > 0) qsort(e, count, sizeof *e, compare);
    for (size_t c = 0; c < count && m < k; c++) {
        const int64_t t = e[c].at;
        if (taken[t]) continue;
        at[m++] = t;
        int64_t from = t > zone ? t - zone : 0;
        int64_t to = (int64_t)n - t > zone ? t + zone : (int64_t)n - 1;
        for (int64_t i = from; i <= to; i++) taken[i] = true;
    }
    free(e);
    free(taken);
    *found = m;
    return status;
}

int bc_contrast(double *contrast, const double *distance, size_t n, bool squared) {
    struct entry *e = malloc((n + 1) * sizeof *e);
    size_t count = 0;
    if (e == NULL) return BC_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (isfinite(distance[i])) e[count++] = (struct entry){distance[i], (int64_t)i};
    if (count > 0) qsort(e, count, sizeof *e, compare);
    *contrast = 0;
    if (count > 0 && e[count / 2].key > 0) {
        const double ratio = e[0].key / e[count / 2].key;
        *contrast = 1 - (squared ? sqrt(ratio) : ratio);
    }
    free(e);
    return BC_OK;
}
