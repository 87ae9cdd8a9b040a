/* mel.h: power mel spectrograms, as librosa.feature.melspectrogram computes them. */
#ifndef BC_MEL_H
#define BC_MEL_H

#include <stdbool.h>
#include <stddef.h>

#include "../support/error.h"

enum mel_norm { MEL_UNIT_AREA /* over Hz: Slaney's */, MEL_UNIT_PEAK };

/* What lies before the first and behind the last sample of a centred frame.
 * Reflection does not repeat the edge sample, and goes back and forth when the
 * clip is shorter than half a frame (numpy's "reflect"). */
enum mel_pad { MEL_PAD_CONSTANT, MEL_PAD_REFLECT, MEL_PAD_NONE /* frames lie inside the clip */ };

/* All but the last are periodic, as scipy.signal.get_window gives them. */
enum stft_window { STFT_HANN, STFT_HAMMING, STFT_BLACKMAN, STFT_ONES };

typedef struct mel_options {
    double sample_rate; /* Hz */
    size_t n_fft;       /* samples in a frame */
    size_t win_length;  /* of the window, in the middle of n_fft; 0: n_fft */
    enum stft_window window;
    size_t hop;         /* samples */
    size_t n_mels;
    double fmin, fmax; /* Hz; fmax 0: half the sample rate */
    bool htk;          /* HTK's mel scale instead of Slaney's */
    enum mel_norm norm;
    enum mel_pad pad;
} mel_options;

/* librosa's defaults: 22050 Hz, n_fft 2048, hop 512, 128 bands, constant padding. */
mel_options mel_defaults(void);

/* Filters, window and FFT plan. Immutable after creation: share it between
 * threads. BC_FAIL (with a text) when an option makes no sense. */
typedef struct mel_plan mel_plan;
int mel_plan_new(mel_plan **out, const mel_options *o, bc_error *e);
void mel_plan_free(mel_plan *p); /* NULL is fine */

/* Frames that `samples` samples give: 1 + samples / hop when padded, 0 for 0
 * samples; unpadded 1 + (samples - n_fft) / hop, or 0. */
size_t mel_frames(const mel_plan *p, size_t samples);

/* Bytes of 64-byte aligned scratch that one call of the functions below needs;
 * one scratch serves one thread at a time. */
size_t mel_scratch(const mel_plan *p);

/* out (n_mels, frames) = filters x |STFT|^2 of n samples. Sums in f32. Results
 * depend on nothing but the arguments. NaN and infinite samples give NaN in
 * the frames they are in. */
void mel_power(float *out, const float *samples, size_t n, const mel_plan *p, void *scratch);

/* The same of several clips of n samples each, in blocks of 16 of their frames, counted
 * through: out (clips, n_mels, frames). There are mel_blocks(p, n, clips) of them, which write
 * apart from each other. Every part is `each` clips of floats, one behind the other. */
size_t mel_blocks(const mel_plan *p, size_t n, size_t clips);
void mel_power_block(float *out, const void *const *part, size_t each, size_t n, size_t clips,
                     size_t block, const mel_plan *p, void *scratch);

/* mel_power with its own scratch and an ear for Ctrl-C: BC_OK, BC_NOMEM or
 * BC_STOPPED. */
int mel_spectrogram(float *out, const float *samples, size_t n, const mel_plan *p);

/* The same of a signal that comes block by block: equal to the bit, whatever the
 * blocks. p must outlive the stream. BC_OK, BC_NOMEM or BC_STOPPED. */
typedef struct mel_stream mel_stream;
int mel_stream_new(mel_stream **out, const mel_plan *p);
void mel_stream_free(mel_stream *s); /* NULL is fine */
int mel_stream_push(mel_stream *s, const float *samples, size_t n);
int mel_stream_finish(mel_stream *s); /* after the last sample */

/* Frames that are complete and not taken; and out (n_mels, those). */
size_t mel_stream_ready(const mel_stream *s);
void mel_stream_take(float *out, mel_stream *s);

/* power (frames, n_fft/2+1) = |STFT|^2. */
void mel_spectrum(float *power, const float *samples, size_t n, const mel_plan *p, void *scratch);

/* The filters, (n_mels, n_fft/2+1): triangles over the mel scale (Slaney,
 * Auditory Toolbox, 1998). Belongs to the plan. */
const float *mel_matrix(const mel_plan *p);

size_t mel_bands(const mel_plan *p);

/* How many bands have no bin of the spectrum: they are always 0. */
size_t mel_empty(const mel_plan *p);
size_t mel_bins(const mel_plan *p); /* n_fft/2+1 */

/* n frequencies in Hz, evenly spaced in mel from fmin to fmax, both included. */
void mel_frequencies(double *hz, size_t n, double fmin, double fmax, bool htk);

#endif
