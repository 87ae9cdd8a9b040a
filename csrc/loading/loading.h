/* loading.h: batches of triplets, made by threads ahead of who takes them. */
#ifndef BC_LOADING_H
#define BC_LOADING_H

#include "../array/array.h"
#include "sampler.h"

typedef struct bc_loading bc_loading;

typedef struct bc_loading_options {
    bc_sampler sampler;
    int64_t batch_size;
    int64_t part, parts; /* only part (from 0) of so many equal ones of each batch is made */
    int workers, prefetch; /* threads; batches that are made or ready */
    uint64_t seed;
    const int64_t *first; /* a walk: the slices of each recording, see bc_order_walk */
    int64_t recordings;
    int open;     /* a walk: recordings at a time */
    bool replace; /* triplets that cannot be read by others */
} bc_loading_options;

/* One that could not be read. */
typedef struct bc_read_failure {
    struct bc_read_failure *next;
    int64_t row, source;
    char text[];
} bc_read_failure;

/* A batch, or the part of it; bc_batch_release when done with it. */
typedef struct bc_batch {
    bc_array data[BC_ROLES];        /* f32 (B / parts, samples) */
    bc_row *rows;                   /* (B / parts) */
    bc_read_failure *read_failures; /* in order of the rows */
} bc_batch;

/* The memory that the sampler points to must outlive it; nothing starts yet. */
int bc_loading_new(bc_loading **l, const bc_loading_options *o);
void bc_loading_free(bc_loading *l); /* waits for its threads; NULL is fine */

const bc_sampler *bc_loading_sampler(const bc_loading *l);

/* The batch after the one before; waits for it. BC_STOPPED on Ctrl-C, after which
 * the next call goes on; BC_FAIL: that batch cannot be made, the next call tries
 * it again. */
int bc_loading_next(bc_loading *l, bc_batch *b, bc_error *e);
void bc_batch_release(bc_batch *b);

/* Triplets taken since the first, those of other parts among them; go on as if it were `position`. */
int64_t bc_loading_position(const bc_loading *l);
void bc_loading_seek(bc_loading *l, uint64_t seed, int64_t position);

double bc_loading_waited(const bc_loading *l); /* seconds, in bc_loading_next */

/* Batches that were handed out and are still held by somebody, of the last
 * BC_RECYCLED; the memory of the others is used again. */
enum { BC_RECYCLED = 8 };
int bc_loading_held(bc_loading *l);

#endif
