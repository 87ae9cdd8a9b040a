/* select.h: order statistics. */
#ifndef BC_SELECT_H
#define BC_SELECT_H

#include <stddef.h>

/* The k-th smallest (from 0) of x (n), k < n. x is put in another order: none before
 * place k is larger, none behind it smaller. */
float bc_select_kth(float *x, size_t n, size_t k);

#endif
