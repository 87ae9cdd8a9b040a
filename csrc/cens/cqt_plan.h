/* cqt_plan.h: the filters of a constant-Q transform, 36 bins an octave. */
#ifndef BC_CQT_PLAN_H
#define BC_CQT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "../support/error.h"

enum { CQT_BINS = 36 /* an octave */, CQT_MAX_OCTAVES = 16 };

typedef struct cqt_options {
    double sample_rate; /* Hz */
    size_t hop;         /* samples */
    double tuning;      /* fraction of a bin */
    int octaves;
    double fmin;      /* Hz, of the lowest bin untuned */
    double low, high; /* Hz: bins outside count nothing in chroma */
} cqt_options;

cqt_options cqt_defaults(double sample_rate); /* hop a tenth of a second, 7 octaves from C1 */

/* Look at low..high Hz alone, or at as much of it as fits below half the sample rate:
 * sets octaves, whole semitones, fmin, low and high; tuning up to half a bin fits as well.
 * BC_FAIL when nothing of it does. */
int cqt_options_band(cqt_options *o, double low, double high, bc_error *e);

/* The 36 filters of an octave as spectra: for row i, `count[i]` values at
 * re/im + offset[i] for FFT bins start[i], start[i]+1, ... */
typedef struct cqt_filters {
    size_t n_fft;
    size_t first, last; /* FFT bins that any row uses: first..last-1 */
    size_t start[CQT_BINS], count[CQT_BINS], offset[CQT_BINS];
    float *re, *im;
} cqt_filters;

/* Octaves are in the order they are computed: highest first. */
typedef struct cqt_octave {
    const cqt_filters *filters; /* octaves at half rate and half pitch share them */
    size_t hop;                 /* at this octave's rate */
    bool halve;                 /* the rate, after this octave */
    float scale[CQT_BINS];      /* from |response| to magnitude */
} cqt_octave;

typedef struct cqt_plan {
    cqt_options o;
    int early; /* times the rate is halved before the first octave */
    cqt_octave octave[CQT_MAX_OCTAVES];
    cqt_filters *made[CQT_MAX_OCTAVES];
    int filters;
    int chroma[CQT_BINS]; /* 0 (C) .. 11, of bin i modulo 36 */
    int first, last;      /* bins that count in chroma: first..last-1 */
} cqt_plan;

/* BC_OK, or BC_FAIL with a text that names the option that makes no sense (among
 * others when the highest filter does not fit below half the sample rate). */
int cqt_options_check(const cqt_options *o, bc_error *e);

/* The plan for these options, from a cache that all threads share; it stays
 * valid until cqt_plan_put. BC_FAIL as above, or BC_NOMEM. */
int cqt_plan_get(const cqt_plan **out, const cqt_options *o, bc_error *e);
void cqt_plan_put(const cqt_plan *p); /* NULL is fine */

#endif
