/* tiles.h: windows of fixed length out of recordings. */
#ifndef BC_TILES_H
#define BC_TILES_H

#include <stdint.h>

#include "../support/random.h"

/* The length-sample tile of y (n) around centre_s, silent where it leaves the
 * recording: tile[0] is sample round((centre_s - seconds/2) * sample_rate).
 * centre_s < 0: the whole recording in the middle of silence (one more sample
 * behind than before it if they are odd), or its middle if it is longer. */
void bc_tile_cut(float *tile, int64_t length, const float *y, int64_t n, double sample_rate,
                 double centre_s, double seconds);

/* Rows of tiles (rows, n) cropped to length <= n, each at an offset drawn
 * evenly from 0..n-length: out (rows, length), offset (rows). */
void bc_tile_crop(float *out, int64_t *offset, const float *tiles, int64_t rows, int64_t n,
                  int64_t length, bc_random *r);

/* y (n), finite, in 16 bits: out[i] * scale is y[i] to within scale/2. The scale, which
 * is returned, is 1/32767, or max|y|/32767 where y is louder than 1 (lossy formats are). */
double bc_tile_quantise(int16_t *out, const float *y, int64_t n);

#endif
