/* incremental.c: the left profile of a series that grows. */
#include "incremental.h"

#include <stdlib.h>
#include <string.h>

#include "../support/error.h"
#include "simple.h"

struct bc_incremental {
    size_t dims, window, zone, keep;
    double *x;               /* (dims, capacity), of which `held` frames are there */
    size_t capacity, held;
    size_t dropped;          /* frames before the first that is held */
};

int bc_incremental_new(bc_incremental **out, size_t dims, size_t window, size_t zone,
                       size_t keep) {
    bc_incremental *s = calloc(1, sizeof *s);
    if (s == NULL) return BC_NOMEM;
    *s = (bc_incremental){.dims = dims, .window = window, .zone = zone, .keep = keep};
    *out = s;
    return BC_OK;
}

void bc_incremental_free(bc_incremental *s) {
    if (s == NULL) return;
    free(s->x);
    free(s);
}

size_t bc_incremental_dims(const bc_incremental *s) { return s->dims; }

size_t bc_incremental_frames(const bc_incremental *s) { return s->dropped + s->held; }

size_t bc_incremental_due(int64_t *first, const bc_incremental *s, size_t count) {
    const size_t before = bc_incremental_frames(s), after = before + count;
    const size_t was = before < s->window ? 0 : before - s->window + 1;
    *first = (int64_t)was;
    return after < s->window ? 0 : after - s->window + 1 - was;
}

/* Room for `count` more frames; what is no longer compared with is forgotten. */
static int make_room(bc_incremental *s, size_t count) {
    if (s->held + count <= s->capacity) return BC_OK;
    const size_t drop = s->keep > 0 && s->held > s->keep ? s->held - s->keep : 0;
    const size_t held = s->held - drop;
    size_t capacity = s->capacity;
    if (held + count > capacity / 2) { /* else it would be moved too often */
        if (count > SIZE_MAX / sizeof *s->x / s->dims / 4 - held) return BC_NOMEM;
        capacity = 2 * (held + count);
    }
    double *x = malloc(capacity * s->dims * sizeof *x);
    if (x == NULL) return BC_NOMEM;
    for (size_t d = 0; d < s->dims && held > 0; d++)
        memcpy(x + d * capacity, s->x + d * s->capacity + drop, held * sizeof *x);
    free(s->x);
    s->x = x;
    s->capacity = capacity, s->held = held, s->dropped += drop;
    return BC_OK;
}

int bc_incremental_append(double *distance, int64_t *index, bc_incremental *s, const double *x,
                          size_t count, double enough, bc_tick *tick, void *context) {
    int64_t first;
    const size_t due = bc_incremental_due(&first, s, count);
    int rc = make_room(s, count);
    if (rc != BC_OK) return rc;
    for (size_t d = 0; d < s->dims; d++)
        memcpy(s->x + d * s->capacity + s->held, x + d * count, count * sizeof *x);
    for (size_t k = 0; k < due; k++) {
        const size_t at = (size_t)first + k, end = at + s->window; /* behind the window */
        const size_t oldest = s->keep > 0 && end > s->keep ? end - s->keep : 0;
        const size_t to = at > s->zone ? at - s->zone : 0; /* the first that is too near */
        const size_t from = oldest > s->dropped ? oldest - s->dropped : 0;
        rc = bc_simple_before(&distance[k], &index[k], s->x, s->capacity, s->dims, s->window,
                              at - s->dropped, from, to > s->dropped ? to - s->dropped : 0,
                              enough, tick, context);
        if (rc != BC_OK) return rc;
        if (index[k] >= 0) index[k] += (int64_t)s->dropped;
    }
    s->held += count;
    return BC_OK;
}
