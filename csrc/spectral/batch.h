/* batch.h: the FFTs of many signals at once, one signal a vector lane.
 *
 * FFTW's real transforms make little use of wide registers. A spectrogram has
 * hundreds of frames, so these take BATCH_F32 or BATCH_F64 of them side by
 * side: every instruction works on all lanes, no shuffles are needed, and what
 * comes after (magnitudes, filters, peaks along frequency) is as easy. A lane's
 * result does not depend on the other lanes. Powers of two only.
 *
 * Layout: the real signal x of n = 2*points samples is (n, lanes). Samples 2k
 * and 2k+1 are at the same time real and imaginary part of complex point k. */
#ifndef BC_BATCH_H
#define BC_BATCH_H

#include <stddef.h>
#include <stdint.h>

#define BATCH_F32 16 /* lanes: one 64-byte vector */
#define BATCH_F64 8

#define BATCH_PASSES 24

typedef struct batch_plan {
    size_t points; /* complex points: a power of two, at least 2 */
    int passes;    /* radix and block size of each, first to last */
    int radix[BATCH_PASSES];
    size_t block[BATCH_PASSES];
    size_t twiddle[BATCH_PASSES]; /* where the pass' factors begin */
    float *twiddles_f32;
    double *twiddles_f64;
    float *unpack_f32; /* e^(-i pi k / points), k = 0..points: pairs */
    double *unpack_f64;
    uint32_t *position; /* where frequency k = 0..points-1 is after the FFT */
} batch_plan;

/* The plan for complex FFTs of that many points (a power of two, 2..2^26), or
 * real ones of twice as many. NULL if there is no memory. Shared by all
 * threads, never freed. */
const batch_plan *batch_get(size_t points);

/* Complex FFT e^(-i...) of (points, 2, lanes) in place, not scaled; frequency k
 * is then at position[k]. */
void batch_fft_f32(float *z, const batch_plan *p);
void batch_fft_f64(double *z, const batch_plan *p);

/* Frequencies first..last-1 (last <= points+1) of the real signals, out of what
 * batch_fft left: out (last-first, 2, lanes). */
void batch_real_f32(float *out, const float *z, size_t first, size_t last, const batch_plan *p);
void batch_real_f64(double *out, const double *z, size_t first, size_t last, const batch_plan *p);

/* The squared magnitudes of all of them: out (points+1, lanes). */
void batch_power_f32(float *out, const float *z, const batch_plan *p);

/* The largest of those of each lane, out (lanes); a NaN counts as 0. */
void batch_largest_f64(double *out, const double *z, const batch_plan *p);

#endif
