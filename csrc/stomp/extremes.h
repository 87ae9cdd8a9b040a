/* extremes.h: motifs and discords of a matrix profile, matches of a query. */
#ifndef BC_EXTREMES_H
#define BC_EXTREMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

/* Up to k motifs of a profile (n): at[m] is the window with the smallest
 * distance (the first of them) such that it and its neighbour twin[m] =
 * index[at[m]] lie more than zone from every window of an earlier motif. In a
 * join at and twin count windows of different series: then at is compared with
 * earlier at's, and twin with twins. Windows without a neighbour (index < 0)
 * or with a distance that is not finite are passed over. *found <= k. */
int bc_motifs(int64_t *at, int64_t *twin, size_t *found, const double *distance,
              const int64_t *index, size_t n, size_t k, int64_t zone, bool join);

/* A profile (n) corrected by weights of 0 .. 1 (Dau and Keogh, KDD 2017), so that windows of
 * little weight are no motif: out = distance + (1 - weight) * the largest finite distance; or,
 * `discords`, no discord: out = distance * weight. Distances that are not finite stay. */
void bc_correct(double *out, const double *distance, const double *weight, size_t n,
                bool discords);

/* Up to k discords: the windows with the largest finite distance (the first of
 * them), each more than zone from every earlier one. */
int bc_discords(int64_t *at, int64_t *twin, size_t *found, const double *distance,
                const int64_t *index, size_t n, size_t k, int64_t zone);

/* The windows of a distance profile (n), nearest first (the first of them on
 * ties), no further than radius and more than zone apart: at (the caller's room
 * for n, or for k if that is less). At most k. Distances that are not finite
 * are passed over. *found <= k. */
int bc_matches(int64_t *at, size_t *found, const double *distance, size_t n, size_t k,
               double radius, int64_t zone);

/* How far the nearest pair stands out of a profile (n): 1 - smallest / median of
 * its finite distances, after the root if they are squared. 0 if there is none
 * or the median is 0, else 0 .. 1. *contrast is set. */
int bc_contrast(double *contrast, const double *distance, size_t n, bool squared);

#endif
