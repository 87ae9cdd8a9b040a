/* triplets.h: stratified triplets of windows, after Jean et al., Tile2Vec
 * (AAAI 2019), with the motifs of recordings for neighbourhoods. */
#ifndef BC_TRIPLETS_H
#define BC_TRIPLETS_H

#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

/* Recordings as columns of n. Species are nested in groups: two recordings
 * are of one species when both numbers are equal. Windows are given by their
 * centre in seconds; NaN or negative: the recording has none. duration_s >= 0. */
typedef struct bc_recordings {
    size_t n;
    const int64_t *group, *species;
    const double *anchor_s;   /* the window as an anchor */
    const double *self_s;     /* as the neighbour of its own recording's anchor */
    const double *neighbor_s; /* as the neighbour of another recording's anchor */
    const double *distant_s;  /* as the distant window */
    const double *avoid_0_s, *avoid_1_s; /* windows that clips keep away from */
    const double *duration_s;
    double window_s;
    /* Several windows for a recording in place of its one, or NULL: i has those
     * of places_s from places_end[i - 1] (0 for the first) to before places_end[i]. */
    const double *places_s;
    const int64_t *places_end;
    /* Where recordings are silent, or NULL: pairs of seconds, start and end, in order; i has
     * those from silent_s[silent_end[i - 1]] to before silent_s[silent_end[i]]. */
    const double *silent_s;
    const int64_t *silent_end;
    /* Where a recording has several entries, one for each kind of places, or NULL: the
     * entries of one recording have the same number. Then places must be in order. */
    const int64_t *source;
} bc_recordings;

enum { BC_NEIGHBOR_SELF = 1, BC_NEIGHBOR_GROUP = 2 };
enum { BC_DISTANT_MOTIF = 1, BC_DISTANT_CLIP = 2 };

/* How much of the draws a class with n recordings gets: the same as each
 * other class, n, or the root of n. */
typedef enum bc_shares { BC_SHARES_EQUAL, BC_SHARES_NATURAL, BC_SHARES_SQRT } bc_shares;

typedef struct bc_triplet_options {
    uint64_t seed;
    bc_shares shares;
    /* Weights of self and motif, self and clip, group and motif, group and
     * clip: finite, >= 0, not all 0. */
    double mixture[4];
    int exclude_own;        /* no neighbour from the anchor's own recording, ever */
    double self_distance_s; /* a self neighbour nearer than this becomes a group's */
    double clip_distance_s; /* clips are this far from the avoided windows */
    int64_t clips;          /* different clips of a recording; 0: no limit */
} bc_triplet_options;

/* Triplets as columns: recordings from 1, and the centre of the window in
 * seconds, or -1: the whole recording, centred in silence. */
typedef struct bc_triplets {
    int32_t *a, *b, *c; /* so r->n < 2^31 */
    double *a_loc, *b_loc, *c_loc;
    uint8_t *neighbor, *distant;
} bc_triplets;

/* Draw `samples` triplets, number `first` (from 0) and those that follow.
 * Triplet i depends on the options and i alone.
 *
 * The anchor: a group by the shares, in it a species by the shares, in that a
 * recording evenly; with exclude_own only of groups with two or more. Then one
 * of the four partitions. The neighbour is the anchor's own recording (self) or
 * another one of its group (group: species by the shares of what is left,
 * recordings evenly). Where the group has no other, the neighbour is self
 * whatever the partition says; where anchor_s and self_s are one window, or both
 * are missing, or they are nearer to each other than self_distance_s, or one is
 * missing and the distance is more than 0, a self neighbour becomes one of the
 * group. The distant one is of a
 * recording of another group (by the shares as above): its distant_s, or a
 * clip: a centre drawn evenly where a whole window fits and no avoided window
 * is nearer than clip_distance_s, or, where there is no such place, from
 * wherever a whole window fits. A clip is never centred in a silence that is longer than
 * half a window, so that less than half of it lies in one; in a recording that has no
 * other place for it, its window is taken. With clips > 0 each recording has only so many,
 * drawn once and for all.
 * A recording without window, or too short for a clip, gives location -1.
 *
 * With places_s every window but a clip is one of its recording's places, drawn
 * evenly. A self neighbour is another place, self_distance_s or more away; where there is
 * none it becomes one of the group. In a group of one recording it is then a nearer place,
 * and the anchor's own only if the recording has no other.
 *
 * With source, groups of a single place have no anchors, and a distant window is drawn anew,
 * up to 64 times in all, while it is nearer than window_s to a place that the anchor's group
 * has in the same recording.
 *
 * BC_FAIL with fewer than two groups, or when exclude_own leaves no anchor.
 * O(n log n + samples log n). */
int bc_triplets_draw(const bc_triplets *out, const bc_recordings *r,
                     const bc_triplet_options *o, size_t first, size_t samples, bc_error *e);

#endif
