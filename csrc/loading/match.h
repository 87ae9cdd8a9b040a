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
 * which is sorted by source (0..sources-1), then location, their numbers go to
 * window[role], and its own to place; *found: how many (at most n). Of windows
 * that are there twice the first one counts. BC_OK or BC_NOMEM. */
int bc_match(int32_t *const window[BC_ROLES], int32_t *place, int64_t *found,
             const bc_windows *windows, int64_t sources, const bc_places *triplets);

#endif
