/* passes.c: the forward and backward passes of all kinds of layers. */
#include "passes.h"

#include <math.h>
#include <string.h>

#include "../../spectral/mel.h"

/* The pool's context is not const, but no item writes to it. */
void nn_run_items(const nn_run *r, bc_task *item, size_t n) {
    nn_run copy = *r;
    bc_pool_run(r->pool, item, &copy, n);
}

#define NN_TWICE "passes.inc"
#include "twice.h"
