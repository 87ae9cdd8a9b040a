/* stft.h: short-time Fourier transforms, as librosa.stft computes them. */
#ifndef BC_STFT_H
#define BC_STFT_H

#include <stddef.h>

#include "../support/error.h"
#include "mel.h"

typedef struct stft_options {
    size_t n_fft, hop;       /* samples, both at least 1 */
    size_t win_length;       /* of the window, in the middle of n_fft; 0: n_fft */
    enum stft_window window;
    enum mel_pad pad; /* centred frames unless MEL_PAD_NONE */
} stft_options;

size_t stft_frames(const stft_options *o, size_t samples);

/* re and im (n_fft/2+1, frames): window and FFT in f64, stored as f32. A NaN or
 * infinite sample makes the frames that it is in NaN. BC_OK, BC_NOMEM or
 * BC_STOPPED. */
int stft_complex(float *re, float *im, const float *samples, size_t n, const stft_options *o);

/* out (n_fft/2+1, frames) = |STFT|^power; power 1 and 2 are exact. */
int stft_magnitude(float *out, double power, const float *samples, size_t n, const stft_options *o);

/* The same of a signal that comes block by block, to the bit, in bounded memory:
 * complex numbers where power is 0. BC_OK, BC_NOMEM or BC_STOPPED; after a
 * failure there is nothing left but to free the stream. */
typedef struct stft_stream stft_stream;
int stft_stream_new(stft_stream **out, double power, const stft_options *o);
void stft_stream_free(stft_stream *s); /* NULL is fine */
int stft_stream_push(stft_stream *s, const float *samples, size_t n);
int stft_stream_finish(stft_stream *s); /* after the last sample */

/* How many frames are complete and not yet taken; take those: re, and im unless
 * there is a power, (n_fft/2+1, ready). */
size_t stft_stream_ready(const stft_stream *s);
void stft_stream_take(float *re, float *im, stft_stream *s);

/* w (n_fft): a window of win_length (0: n_fft) in the middle, zeros around it, as
 * librosa.util.pad_center puts it. */
void stft_window_fill(double *w, size_t n_fft, size_t win_length, enum stft_window window);

/* Periodic Hann, 0.5 - 0.5 cos(2 pi i / n); symmetric with n-1 instead of n.
 * A single value is 1. */
void hann_periodic(double *w, size_t n);
void hann_symmetric(double *w, size_t n);

#endif
