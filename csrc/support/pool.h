/* pool.h: a thread pool for kernels that are parallel inside (the network). */
#ifndef BC_POOL_H
#define BC_POOL_H

#include <stddef.h>

typedef struct bc_pool bc_pool;

#define BC_MOST_THREADS 1024

/* One task of a run: item i of n, on worker 0..threads-1 (for scratch memory).
 * Which worker gets which item varies from run to run, so results must depend
 * on i alone: sum over fixed blocks, then over blocks in order. */
typedef void bc_task(void *context, size_t i, int worker);

/* BC_OK or BC_NOMEM. The caller of bc_pool_run is worker 0. */
int bc_pool_new(bc_pool **pool, int threads);
void bc_pool_free(bc_pool *pool); /* NULL is fine */
int bc_pool_threads(const bc_pool *pool);
void bc_pool_run(bc_pool *pool, bc_task *task, void *context, size_t n);

/* The one setting: BCLUA_THREADS, else the processors this process may use;
 * bc_set_threads overrides both. At least 1. */
int bc_threads(void);
void bc_set_threads(int n); /* 0: back to the default */
int bc_processors(void);

#endif
