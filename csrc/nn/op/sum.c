/* sum.c: relu, and the sum of two, then perhaps relu. */
#include "blocks.h"
#include "elements.h"

#define CHUNK 32768 /* elements of one item */

NN_PASSES(sum);

static size_t chunk(size_t *end, const nn_run *r, size_t i) {
    size_t all = r->n * nn_volume(r->layer->shape), at = i * CHUNK;
    *end = at + smaller(all - at, CHUNK);
    return at;
}

/* Relu, or the sum of two, then perhaps relu. */
static void sum_item(void *context, size_t item, int worker) {
    const nn_run *r = context;
    size_t end, n;
    real room[3][BLOCK];
    (void)worker;
    for (size_t at = chunk(&end, r, item); at < end; at += n) {
        n = smaller(BLOCK, end - at);
        const real *a = read_block(room[0], r->in[0], r->in_as[0], at, n);
        real *y = block_for(room[2], r->out, r->out_as, at);
        if (r->in[1] == NULL) {
            NN(nn_relu_forward)(y, a, n);
        } else {
            NN(nn_add_forward)(y, a, read_block(room[1], r->in[1], r->in_as[1], at, n), n);
            if (r->relu) NN(nn_relu_forward)(y, y, n);
        }
        write_block(r->out, y, r->out_as, at, n);
    }
}

/* A gradient that lies where grad_out lies is written last. */
static void sum_back_item(void *context, size_t item, int worker) {
    const nn_run *r = context;
    size_t end, n;
    real room[2][BLOCK];
    (void)worker;
    for (size_t at = chunk(&end, r, item); at < end; at += n) {
        n = smaller(BLOCK, end - at);
        const real *g = read_block(room[0], r->grad_out, r->out_as, at, n);
        if (r->out != NULL) {
            const real *y = read_block(room[1], r->out, r->out_as, at, n);
            NN(nn_relu_backward)(room[0], g, y, false, n);
            g = room[0];
        }
        for (int j = 0; j < 2; j++)
            if (r->grad_in[j] != NULL) give_gradient(r, j, g, at, n);
    }
}

static void run_chunks(const nn_run *r, bc_task *item) {
    nn_run_items(r, item, parts(r->n * nn_volume(r->layer->shape), CHUNK));
}

void NN(nn_sum_pass)(const nn_run *r) {
    run_chunks(r, sum_item);
}
void NN(nn_sum_back)(const nn_run *r) {
    run_chunks(r, sum_back_item);
}

#ifndef NN_DOUBLE
const nn_kind nn_kind_relu = {.name = "relu",
                              .inputs = 1,
                              .flags = NN_KEEPS_OUTPUT | NN_IN_PLACE | NN_GRAD_IN_PLACE |
                                       NN_NARROW | NN_IS_CHEAP | NN_IS_RELU,
                              .options = nn_no_options,
                              .build = nn_build_same,
                              .forward = NN_IN_BOTH(nn_sum_pass),
                              .backward = NN_IN_BOTH(nn_sum_back)};

const nn_kind nn_kind_add = {
    .name = "add",
    .inputs = 2,
    .flags = NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_NARROW | NN_IS_CHEAP | NN_IS_SUM | NN_TAKES_RELU,
    .options = nn_no_options,
    .build = nn_build_same,
    .forward = NN_IN_BOTH(nn_sum_pass),
    .backward = NN_IN_BOTH(nn_sum_back)};
#endif
