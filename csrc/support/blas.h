/* blas.h: BLAS on the caller's own thread only. */
#ifndef BC_BLAS_H
#define BC_BLAS_H

/* Between the two calls BLAS uses no threads of its own: our threads share the cores,
 * and what a product gives does not depend on their number. Calls nest and may come from
 * several threads at once; the last one out restores what the first one found. */
void bc_blas_alone(void);
void bc_blas_release(void);

#endif
