/* schedule.h: the order of a plan's passes, and what each reads and writes.
 * Between graph and memory. */
#ifndef NN_SCHEDULE_H
#define NN_SCHEDULE_H

#include "fuse.h"

/* A buffer: from the first step that touches it to the last. */
typedef struct nn_buffer {
    size_t bytes, first, last, offset;
    int into; /* the buffer whose memory it takes over; -1: none */
} nn_buffer;

/* A step, with buffers (-1: none) where nn_step has offsets. */
typedef struct nn_op {
    enum nn_pass_type pass;
    size_t value;
    int in[2], out, grad_out, grad_in[2], saved, temporary, wide;
    bool add[2];
} nn_op;

typedef struct nn_schedule {
    const nn_fused *f;
    const bool *drop; /* per layer: made again for backward */
    nn_op *op;
    size_t ops, op_room, loss;
    nn_buffer *buffer;
    size_t buffers, buffer_room;
    int *value, *grad, *saved; /* per layer: the buffer that holds it now; -1: none */
    int *kept;                 /* per layer: the buffer of a value that keep asks for */
    int *chain;                /* layers made again on the way to another */
    size_t links;
    int input, output;
    int rc;
} nn_schedule;

/* BC_OK or BC_NOMEM; free it in any case. */
int nn_schedule_new(nn_schedule *s, const nn_fused *f, const bool *drop);
void nn_schedule_free(nn_schedule *s);

#endif
