/* merge.h: one list of nearest neighbours out of two. */
#ifndef BC_MERGE_H
#define BC_MERGE_H

#include <stddef.h>
#include <stdint.h>

/* Put the neighbours of each of n windows in distance, index (n, k), see struct
 * nearest, among those in to_distance, to_index (n, k). One that both have is
 * there once; index -1: no neighbour. */
void bc_merge_nearest(double *to_distance, int64_t *to_index, const double *distance,
                      const int64_t *index, size_t n, size_t k);

#endif
