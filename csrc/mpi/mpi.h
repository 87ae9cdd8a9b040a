/* mpi.h: messages between the ranks that a launcher of MPI started. The library is opened only
 * where the launcher's variables say that there are several; else this process is rank 0 of 1. */
#ifndef BC_MPI_H
#define BC_MPI_H

#include <stddef.h>

#include "../support/error.h"

/* Join the other ranks, once; every other function needs it. When the program ends well, it waits
 * for the others; when it fails, all of them are ended. For the main thread only. BC_FAIL: the
 * launcher's library cannot be opened. */
int bc_mpi_start(bc_error *e);

int bc_mpi_rank(void); /* from 0 */
int bc_mpi_size(void);
size_t bc_mpi_sent(void);         /* bytes so far */
double bc_mpi_waited(void);       /* seconds so far, for messages */
const char *bc_mpi_library(void); /* the file that was opened; NULL: none was */

/* Send bytes to a rank and receive bytes from one, at once: out NULL, in NULL: no such part. Both
 * ranks must know the sizes. This and all below: BC_STOPPED on Ctrl-C, BC_FAIL; after
 * either the ranks are out of step, and every later call fails. */
int bc_mpi_exchange(const void *out, size_t out_bytes, int to, void *in, size_t in_bytes, int from,
                    bc_error *e);

/* Wait until all ranks are here. */
int bc_mpi_barrier(bc_error *e);

/* The bytes of rank root to all ranks. */
int bc_mpi_broadcast(void *bytes, size_t n, int root, bc_error *e);

/* Sums, element by element, of x (n) of all ranks into x of all ranks. The order is a binary tree
 * over the ranks, ((0 + 1) + (2 + 3)) + ...; their number must be a power of two. Of bf16, x are
 * floats that are rounded first, as is every sum; 16 bits of them are sent. Each rank sends
 * 2 n (1 - 1 / ranks) elements (recursive halving, then doubling: Thakur, Rabenseifner and Gropp
 * 2005), in blocks, which go on while the caller finishes what comes before them in x. */
typedef struct bc_mpi_sum bc_mpi_sum;
enum bc_mpi_number { BC_MPI_F32, BC_MPI_F64, BC_MPI_BF16 };

/* x must stay until the sum is freed. BC_NOMEM. */
int bc_mpi_sum_begin(bc_mpi_sum **s, void *x, size_t n, enum bc_mpi_number number);

/* The elements from `from` (counted from 0; less from call to call) to the end are there: from now
 * on they are the sum's. Does what can be done without waiting. BC_NOMEM. */
int bc_mpi_sum_ready(bc_mpi_sum *s, size_t from, bc_error *e);

/* All are there: wait for the sum. BC_NOMEM. */
int bc_mpi_sum_wait(bc_mpi_sum *s, bc_error *e);
void bc_mpi_sum_free(bc_mpi_sum *s); /* before its end: no other message will do */

#endif
