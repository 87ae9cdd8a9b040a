/* triplets.h: stratified triplets of windows, after Jean et al., Tile2Vec
 * (AAAI 2019), with the motifs of recordings for neighbourhoods. */
#ifndef BC_TRIPLETS_H
#define BC_TRIPLETS_H

#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

/* Recordings as columns of n. Species are nested in groups: two recordings
 * are of one species when both numbers are equal. The centres of the two
 * motif windows are in seconds; where one is NaN or negative the recording
 * has no motif. duration_s >= 0. */
typedef struct bc_recordings {
    size_t n;
    const int64_t *group, *species;
    const double *motif_0_s, *motif_1_s, *duration_s;
    double window_s;
} bc_recordings;

enum { BC_NEIGHBOR_SELF = 1, BC_NEIGHBOR_GROUP = 2 };
enum { BC_DISTANT_MOTIF = 1, BC_DISTANT_CLIP = 2 };

/* Triplets as columns: recordings from 1, and the centre of the window in
 * seconds, or -1: the whole recording, centred in silence. */
typedef struct bc_triplets {
    int64_t *a, *b, *c;
    double *a_loc, *b_loc, *c_loc;
    uint8_t *neighbor, *distant;
} bc_triplets;

/* Draw `samples` triplets, number `first` (from 0) and those that follow.
 * Triplet i depends on the seed and i alone.
 *
 * The anchor is the first motif of a recording: groups have equal shares, in
 * a group species, in a species recordings. The neighbour is, half and half,
 * the second motif of that recording (self), or the first motif of another
 * recording of the group (species equal shares, then recordings); a group of
 * one recording gives self always. The distant one is of a recording of
 * another group (equal shares as before): half and half its first motif, or
 * a clip: a centre drawn evenly where a whole window fits.
 * A recording without motif, or too short for a clip, gives location -1.
 *
 * BC_FAIL with fewer than two groups. O(n log n + samples). */
int bc_triplets_draw(const bc_triplets *out, const bc_recordings *r, size_t first,
                     size_t samples, uint64_t seed, bc_error *e);

#endif
