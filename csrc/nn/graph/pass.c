/* pass.c: the items of a pass. */
#include "pass.h"

/* The pool's context is not const, but no item writes to it. */
void nn_run_items(const nn_run *r, bc_task *item, size_t n) {
    nn_run copy = *r;
    bc_pool_run(r->pool, item, &copy, n);
}
