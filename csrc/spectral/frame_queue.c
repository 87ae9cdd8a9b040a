/* frame_queue.c: a window on the signal that moves with the frames. */
#include "frame_queue.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../support/error.h"

enum { LIMIT = 1 << 17 /* samples that a batch of frames may span */ };

size_t frame_queue_batch(size_t hop, size_t lanes) {
    while (lanes > 1 && hop > LIMIT / lanes) lanes /= 2;
    return lanes;
}

int frame_queue_new(frame_queue *q, const frame_view *shape, size_t batch) {
    *q = (frame_queue){.shape = *shape, .batch = batch};
    size_t span = (batch - 1) * shape->hop + 2 * shape->length;
    q->room = 2 * span;
    q->x = malloc(q->room * sizeof *q->x);
    return q->x != NULL ? BC_OK : BC_NOMEM;
}

void frame_queue_free(frame_queue *q) {
    free(q->x);
    q->x = NULL;
}

void frame_queue_restart(frame_queue *q) {
    q->begin = q->count = q->next = 0;
}

size_t frame_queue_samples(const frame_queue *q) {
    return q->begin + q->count;
}

static ptrdiff_t start_of(const frame_queue *q, size_t frame) {
    return q->shape.first + (ptrdiff_t)(frame * q->shape.hop);
}

/* The first sample that a later frame may need. Reflection at the end of the
 * signal, which may be now, needs half a frame. */
static size_t first_needed(const frame_queue *q) {
    ptrdiff_t start = start_of(q, q->next);
    size_t needed = start > 0 ? (size_t)start : 0, seen = frame_queue_samples(q);
    if (q->shape.pad != MEL_PAD_REFLECT || needed + q->shape.length < seen) return needed;
    return seen > q->shape.length ? seen - q->shape.length : 0;
}

static void drop(frame_queue *q) {
    size_t needed = first_needed(q);
    size_t n = needed <= q->begin ? 0 : needed - q->begin;
    if (n > q->count) n = q->count;
    memmove(q->x, q->x + n, (q->count - n) * sizeof *q->x);
    q->begin += n;
    q->count -= n;
}

static bool is_ready(const frame_queue *q) {
    size_t seen = frame_queue_samples(q);
    ptrdiff_t end = start_of(q, q->next + q->batch - 1) + (ptrdiff_t)q->shape.length;
    if (q->shape.pad == MEL_PAD_REFLECT && seen <= q->shape.length) return false;
    return end <= (ptrdiff_t)seen;
}

static int hand_on(frame_queue *q, size_t end, frame_consumer *consume, void *context) {
    frame_view v = q->shape;
    v.samples = q->x;
    v.n = q->count;
    v.first -= (ptrdiff_t)q->begin;
    int rc = consume(context, &v, q->next, end);
    q->next = end;
    return rc;
}

int frame_queue_push(frame_queue *q, const float *samples, size_t n, frame_consumer *consume,
                     void *context) {
    while (n > 0) {
        if (q->room - q->count < n) drop(q);
        size_t needed = first_needed(q), take = n;
        if (q->count == 0 && needed > q->begin) { /* far from the next frame */
            if (take > needed - q->begin) take = needed - q->begin;
            q->begin += take;
        } else {
            if (take > q->room - q->count) take = q->room - q->count;
            memcpy(q->x + q->count, samples, take * sizeof *samples);
            q->count += take;
        }
        samples += take;
        n -= take;
        while (is_ready(q)) {
            int rc = hand_on(q, q->next + q->batch, consume, context);
            if (rc != BC_OK) return rc;
        }
    }
    return BC_OK;
}

int frame_queue_finish(frame_queue *q, size_t frames, frame_consumer *consume, void *context) {
    while (q->next < frames) {
        size_t end = q->next + q->batch < frames ? q->next + q->batch : frames;
        int rc = hand_on(q, end, consume, context);
        if (rc != BC_OK) return rc;
    }
    return BC_OK;
}
