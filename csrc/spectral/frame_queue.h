/* frame_queue.h: the frames of a signal that comes block by block.
 *
 * Whatever the blocks are, the same frames are handed on, in order, so that
 * what is computed from them does not depend on the blocks. */
#ifndef BC_FRAME_QUEUE_H
#define BC_FRAME_QUEUE_H

#include <stddef.h>

#include "frames.h"

/* Takes frames t..end-1 of v, at most one batch of them; t is a multiple of the
 * batch. v shows only part of the signal: frame numbers are those of the whole,
 * positions in v are not. BC_OK or what is to stop the work. */
typedef int frame_consumer(void *context, const frame_view *v, size_t t, size_t end);

typedef struct frame_queue {
    frame_view shape; /* first, hop, length, pad */
    size_t batch;     /* frames handed on at once */
    float *x;         /* samples begin .. begin+count-1 */
    size_t room, begin, count;
    size_t next; /* the first frame that has not been handed on */
} frame_queue;

/* As many frames as lanes, or fewer if they would span too many samples. */
size_t frame_queue_batch(size_t hop, size_t lanes);

/* A queue for the frames that shape (first, hop, length, pad) describes; its
 * memory is some two batches. BC_OK or BC_NOMEM. */
int frame_queue_new(frame_queue *q, const frame_view *shape, size_t batch);
void frame_queue_free(frame_queue *q); /* safe twice, and on zeros */

/* The next n samples: hands on every batch that they complete. */
int frame_queue_push(frame_queue *q, const float *samples, size_t n, frame_consumer *consume,
                     void *context);

/* There are no more samples, and `frames` frames in all: hands on the rest. */
int frame_queue_finish(frame_queue *q, size_t frames, frame_consumer *consume, void *context);

/* Ready for another signal. */
void frame_queue_restart(frame_queue *q);

/* How many samples there were. */
size_t frame_queue_samples(const frame_queue *q);

#endif
