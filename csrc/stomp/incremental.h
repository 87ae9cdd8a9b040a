/* incremental.h: the left profile of a series that grows, frame by frame (Yeh et al.: Matrix
 * profile I, ICDM 2016, have the whole one grow: STAMPI). */
#ifndef BC_INCREMENTAL_H
#define BC_INCREMENTAL_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"

typedef struct bc_incremental bc_incremental;

/* Of dims >= 1 dimensions and windows of `window` >= 1 frames, of which those that begin at most
 * `zone` frames apart are never paired. keep > 0: only the last `keep` frames, at least a window,
 * are compared with; 0: all. BC_OK or BC_NOMEM. */
int bc_incremental_new(bc_incremental **out, size_t dims, size_t window, size_t zone,
                       size_t keep);
void bc_incremental_free(bc_incremental *s); /* NULL is fine */

size_t bc_incremental_dims(const bc_incremental *s);
size_t bc_incremental_frames(const bc_incremental *s); /* all that were appended */

/* The windows that `count` more frames complete, and the frame at which the first begins. */
size_t bc_incremental_due(int64_t *first, const bc_incremental *s, size_t count);

/* Append x (dims, count). For each window that is now complete the nearest before it: distance and
 * index (those due), the bits of the left sides of bc_simple_self_join; INFINITY and -1 where there
 * is none. A search goes backwards and ends at a distance below `enough` (0: none does), which is
 * then what it gives. dims * window steps for each of the windows before, each time. Unless BC_OK
 * (BC_NOMEM, BC_STOPPED), nothing was appended. */
int bc_incremental_append(double *distance, int64_t *index, bc_incremental *s, const double *x,
                          size_t count, double enough, bc_tick *tick, void *context);

#endif
