/* frames.h: overlapping frames of a clip, cut out for batch.h and put back. */
#ifndef BC_FRAMES_H
#define BC_FRAMES_H

#include <stddef.h>

#include "mel.h"

/* Frame t covers samples first + t*hop .. + length. What lies outside 0..n-1
 * is zero, or reflected (edge sample not repeated; a single sample repeats). */
typedef struct frame_view {
    const float *samples;
    size_t n;
    ptrdiff_t first; /* -length/2 when centred */
    size_t hop, length;
    enum mel_pad pad;
} frame_view;

/* How many frames n samples give: with length/2 samples of padding at both ends
 * 1 + n/hop (odd lengths 1 + (n-1)/hop), 0 for none; without padding those
 * that lie inside. */
size_t frames_count(size_t n, size_t length, size_t hop, enum mel_pad pad);

/* Where the samples of frames t..t+lanes-1 are: lane[l] points into the clip,
 * or into row l of edge (lanes, length) where a frame had to be padded. Frames
 * from `end` on are zero. */
void frames_locate(const float **lane, float *edge, const frame_view *v, size_t t, size_t end,
                   int lanes);

/* out (length, 16) or (length, 8): lane[l][i] * window[i] at (i, l). window of
 * the f32 version may be NULL; the f64 version multiplies in f64. */
void frames_gather_f32(float *out, const float *const *lane, const float *window, size_t length);
void frames_gather_f64(double *out, const float *const *lane, const double *window, size_t length);

/* The way back: to[l][i] = row[i][l], 16 lanes, n rows of 16 floats. */
void frames_scatter(float *const *to, const float *const *row, size_t n);

/* Position of the first sample that is NaN or infinite; n if there is none. */
size_t frames_first_bad(const float *samples, size_t n);

#endif
