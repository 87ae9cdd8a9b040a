/* augment.h: changes to a crop, drawn at random. */
#ifndef BC_AUGMENT_H
#define BC_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../support/error.h"
#include "../support/random.h"

/* What may happen to the crops of a role. Ranges are drawn from evenly. */
typedef struct bc_effects {
    double shift_s;        /* the crop lies up to this from the middle; < 0: all of the tile */
    double gain_db, pitch; /* up to this either way: decibels, semitones; 0: none */
    bool noise, mix;
    double noise_db[2], mix_db[2]; /* lowest and highest signal-to-noise ratio */
} bc_effects;

/* What was drawn for one crop; NAN: that effect is off. Every number is drawn,
 * whatever is used, so that one effect does not change the draws of another. */
typedef struct bc_draw {
    double place; /* 0..1, for bc_store_read */
    double pitch, mix_db, noise_db, gain_db;
    double mix_file, mix_place; /* 0..1: which background recording, and where in it */
} bc_draw;

void bc_effects_draw(bc_draw *d, const bc_effects *x, bc_random *r);

/* y += the other sound (n), at a ratio of their powers in dB. If either is
 * silent, y stays as it is. */
void bc_mix(float *y, const float *other, int64_t n, double ratio_db);

/* Add white Gaussian noise of a power below that of y (n) by ratio_db. Silence
 * stays silent. */
void bc_add_noise(float *y, int64_t n, double ratio_db, bc_random *r);

void bc_gain(float *y, int64_t n, double gain_db);

/* Shift the pitch of y (n), its length and its times kept (within 50 ms),
 * by -24..24 semitones: SoundTouch. BC_FAIL where SoundTouch is missing. */
int bc_pitch(float *y, int64_t n, int sample_rate, double semitones, bc_error *e);

/* The version of the library, NULL if there is none. */
const char *bc_pitch_library(void);

#endif
