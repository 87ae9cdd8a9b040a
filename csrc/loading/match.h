/* match.h: which tiles belong to which triplets. */
#ifndef BC_MATCH_H
#define BC_MATCH_H

#include "sampler.h"

/* A table of triplets as columns: recording and location of each role. */
typedef struct bc_places {
    int64_t n;
    const int32_t *source[BC_ROLES];
    const double *loc_s[BC_ROLES];
} bc_places;

/* The windows of every triplet: of each whose three are in the list of windows,
 * which is sorted by source, then location, their numbers go to window[role] (n), and
 * its own to place (n); returns how many. Of windows that are there twice the first
 * one counts. */
int64_t bc_match(int32_t *const window[BC_ROLES], int32_t *place, const bc_windows *windows,
                 const bc_places *triplets);

#endif
