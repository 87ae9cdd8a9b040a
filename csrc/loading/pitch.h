/* pitch.h: what pitch.cpp gives to C. */
#ifndef BC_PITCH_H
#define BC_PITCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "../support/error.h"

int bc_soundtouch_shift(float *y, int64_t n, int sample_rate, double semitones, bc_error *e);
const char *bc_soundtouch_version(void);
#ifdef __cplusplus
}
#endif

#endif
