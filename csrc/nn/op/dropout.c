/* dropout.c: what is dropped depends on seed, layer, sample and position alone. */
#include <string.h>

#include "blocks.h"

enum { DROPOUT_RATE };

NN_PASSES(dropout);

/* splitmix64's finish: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x) {
    x ^= x >> 30, x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27, x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t name_key(const char *name) {
    uint64_t key = 0xcbf29ce484222325;
    for (; *name != 0; name++) key = (key ^ (uint8_t)*name) * 0x100000001b3;
    return key;
}

/* y = x / (1 - rate) or 0: four positions of a sample share one draw of 64 bits. */
static void drop(real *y, const real *x, const nn_run *r, uint64_t key, size_t first, size_t n) {
    double rate = r->layer->option[DROPOUT_RATE];
    uint64_t threshold = (uint64_t)(rate * 65536);
    real scale = (real)(1 / (1 - rate));
    for (size_t k = 0; k < n; k++) {
        uint64_t at = first + k, draw = mix(key + at / 4 * 0x9e3779b97f4a7c15);
        y[k] = (draw >> 16 * (at % 4) & 0xffff) < threshold ? 0 : x[k] * scale;
    }
}

static void dropout_channel(const nn_run *r, size_t c, bool back) {
    size_t plane = r->layer->shape.h * r->layer->shape.w, n;
    uint64_t layer = mix(r->seed + name_key(r->layer->name));
    real room[2][BLOCK];
    for (size_t i = 0; i < r->n; i++) {
        uint64_t key = mix(layer + (r->first + i + 1) * 0x9e3779b97f4a7c15);
        for (size_t k = 0; k < plane; k += n) {
            size_t at = (c * r->n + i) * plane + k;
            n = smaller(BLOCK, plane - k);
            if (back) {
                const real *g = read_block(room[0], r->grad_out, r->out_as, at, n);
                if (r->train) drop(room[1], g, r, key, c * plane + k, n);
                give_gradient(r, 0, r->train ? room[1] : g, at, n);
                continue;
            }
            const real *x = read_block(room[0], r->in[0], r->in_as[0], at, n);
            real *y = block_for(room[1], r->out, r->out_as, at);
            if (r->train)
                drop(y, x, r, key, c * plane + k, n);
            else if (y != x)
                memcpy(y, x, n * sizeof *y);
            write_block(r->out, y, r->out_as, at, n);
        }
    }
}

static void dropout_item(void *context, size_t c, int worker) {
    (void)worker;
    dropout_channel(context, c, false);
}

static void dropout_back_item(void *context, size_t c, int worker) {
    (void)worker;
    dropout_channel(context, c, true);
}

void NN(nn_dropout_pass)(const nn_run *r) {
    nn_run_items(r, dropout_item, r->layer->shape.c);
}
void NN(nn_dropout_back)(const nn_run *r) {
    nn_run_items(r, dropout_back_item, r->layer->shape.c);
}

#ifndef NN_DOUBLE
static const nn_option dropout_options[] = {{"rate", NN_NUMBER, 0.5, 0, NULL}, NN_END};

static int build_dropout(nn_graph *g, nn_layer *l, bc_error *e) {
    if (!(l->option[DROPOUT_RATE] < 1))
        return bc_fail(e, "layer '%s': option 'rate' must be below 1", l->name);
    return nn_build_same(g, l, e);
}

const nn_kind nn_kind_dropout = {.name = "dropout",
                                 .inputs = 1,
                                 .flags = NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_NARROW | NN_IS_CHEAP,
                                 .options = dropout_options,
                                 .build = build_dropout,
                                 .forward = NN_IN_BOTH(nn_dropout_pass),
                                 .backward = NN_IN_BOTH(nn_dropout_back)};
#endif
