/* pitch.c: the pitch of a sound, if this build has a library for it. */
#include "pitch.h"

#include "augment.h"

#ifdef BC_SOUNDTOUCH
int bc_pitch(float *y, int64_t n, int sample_rate, double semitones, bc_error *e) {
    return n == 0 ? BC_OK : bc_soundtouch_shift(y, n, sample_rate, semitones, e);
}

const char *bc_pitch_library(void) { return bc_soundtouch_version(); }
#else
int bc_pitch(float *y, int64_t n, int sample_rate, double semitones, bc_error *e) {
    (void)y, (void)n, (void)sample_rate, (void)semitones;
    return bc_fail(e, "pitch: this build has no SoundTouch (install libsoundtouch-dev, then make)");
}

const char *bc_pitch_library(void) { return 0; }
#endif
