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

/* x (n) of all ranks summed, element by element, into x of all ranks. The order is a binary tree
 * over the ranks: ((0 + 1) + (2 + 3)) + ...; their number must be a power of two. room (n / 2 + 1).
 * Each rank sends 2 n (1 - 1 / ranks) elements (recursive halving, then doubling: Thakur,
 * Rabenseifner and Gropp 2005). */
int bc_mpi_sum_f32(float *x, size_t n, float *room, bc_error *e);
int bc_mpi_sum_f64(double *x, size_t n, double *room, bc_error *e);

#endif
