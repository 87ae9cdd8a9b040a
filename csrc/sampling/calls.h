/* calls.h: how much the frames of a recording look like a call rather than
 * like its own background. */
#ifndef BC_CALLS_H
#define BC_CALLS_H

#include <stddef.h>

#include "../support/error.h"

/* background (bands): of each band of mel (bands, frames), a power spectrogram, its
 * `quantile` (0..1) over all frames (Lasseck, BirdCLEF 2013, and Sprengel et al., BirdCLEF
 * 2016, take the median; a lower one holds where calls fill more than half of a recording),
 * but no less than 1e-6 of the mean power; zeros if there is no power at all. bands >= 1. */
int bc_call_background(double *background, const float *mel, size_t bands, size_t frames,
                       double quantile);

/* For each frame:
 *
 * energy: decibels of the mean over bands of power over the band's background;
 * contrast: spectral contrast (Jiang et al., ICME 2002) of power over
 *   background: decibels between the mean of the strongest fifth of the bands
 *   and that of the weakest.
 *
 * No ratio counts for less than 1e-3, so that digital silence makes no infinite numbers:
 * it gives energy -30 and contrast 0, as do frames that are not finite and bands without
 * background. O(bands * frames) time. */
int bc_call_measures(float *energy, float *contrast, const float *mel, size_t bands,
                     size_t frames, const double *background);

/* What stands out in each frame, whatever its level: out (bands, frames) has, for each
 * band, the decibels of its power over the band's median; less the frame's median over
 * bands where that is below 0 (a quiet passage is compared with itself, or all of them
 * would be alike), none below 0; then each frame is brought to length 1. Power below
 * 1e-9 of the mean counts as that much: what a codec left out stands out nowhere. Frames
 * without any have all bands alike. out may be mel. */
int bc_call_features(float *out, const float *mel, size_t bands, size_t frames);

#endif
