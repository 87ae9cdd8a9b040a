/* synth.h: synthetic bird calls and the noises around them. Everything is added
 * to what y (n) holds; what lies outside y is left out. */
#ifndef BC_SYNTH_H
#define BC_SYNTH_H

#include <stdint.h>

#include "../support/random.h"

/* One syllable: a tone that glides from start_hz to end_hz, evenly in pitch
 * for bend 1, late for a larger one. A sine of period 1/vibrato_hz moves it up
 * and down by vibrato_semitones; harmonics (1: a pure tone) fall off by the
 * factor rolloff each; pulse_hz and pulse_depth (0..1) cut it into a trill or,
 * when fast, a buzz. Edges are raised cosines of fade_s. */
typedef struct bc_syllable {
    double start_s, seconds, level;
    double start_hz, end_hz, bend;
    double vibrato_hz, vibrato_semitones;
    double pulse_hz, pulse_depth;
    double rolloff, fade_s;
    int harmonics;
} bc_syllable;

/* BC_OK or BC_STOPPED */
int bc_synth_syllable(float *y, int64_t n, double sample_rate, const bc_syllable *s);

/* Wind: noise in a narrow band that wanders between 70 and 170 Hz and comes and
 * goes in gusts: a howl that never repeats. level is its root mean square where
 * it is strongest. */
void bc_synth_wind(float *y, int64_t n, double sample_rate, double level, bc_random *r);

/* Rain: drops at random times, rate a second on the average, each a click of
 * a few milliseconds at a random pitch of 1 to 6 kHz, of a strength up to level. */
void bc_synth_rain(float *y, int64_t n, double sample_rate, double level, double rate,
                   bc_random *r);

/* Insects: noise in a narrow band around hz, chirping chirp_hz times a second;
 * level is its root mean square. */
void bc_synth_insects(float *y, int64_t n, double sample_rate, double level, double hz,
                      double chirp_hz, bc_random *r);

#endif
