/* nearest.h: the k nearest neighbours of windows, as they are found. */
#ifndef BC_NEAREST_H
#define BC_NEAREST_H

#include <stddef.h>
#include <stdint.h>

/* Of each of n windows the k nearest so far, nearest first, the lower index
 * first on ties: distance (n, k), INFINITY where there is none, and index
 * (n, k), -1 there. */
struct nearest {
    double *distance;
    int64_t *index;
    size_t k;
};

void bc_nearest_start(struct nearest *s, size_t n);

/* Put neighbour j, which the list does not have yet, in its place in the list
 * of window i, if it is among the nearest. NaN and infinite distances are not. */
void bc_nearest_put(struct nearest *s, size_t i, double distance, int64_t j);

/* The distance that the list's last has, INFINITY while there is room. */
double bc_nearest_last(const struct nearest *s, size_t i);

#endif
