/* fft.h: FFTW plans, shared by every thread and part. */
#ifndef BC_FFT_H
#define BC_FFT_H

#include <stddef.h>

/* FFTW's planner is not thread-safe, its plans are: one plan a size and kind
 * is made under a lock, the first time it is asked for, and kept. FFTW_ESTIMATE:
 * planning takes 2 ms instead of FFTW_MEASURE's 100 to 400, and chooses the
 * same algorithm in every run, so that results are the same bit for bit;
 * execution is 5 to 40 % slower (1.6 against 2.2 us at 1024 points in f32). */
enum fft_kind {
    FFT_REAL_F32,   /* n floats -> n/2+1 complex floats */
    FFT_REAL_F64,   /* n doubles -> n/2+1 complex doubles */
    FFT_COMPLEX_F64 /* n complex doubles -> the same number */
};

typedef struct fft_plan fft_plan;

/* The plan for n >= 1 points; NULL if there is no memory. Never freed. */
const fft_plan *fft_get(enum fft_kind kind, size_t n);

/* out = DFT(in), not scaled, e^(-i...). Both 64-byte aligned and distinct;
 * complex numbers are pairs. in is not changed. The plan's kind must be that
 * of the function. */
void fft_real_f32(float *out, float *in, const fft_plan *p);
void fft_real_f64(double *out, double *in, const fft_plan *p);
void fft_complex_f64(double *out, double *in, const fft_plan *p);

/* The library underneath, and its version. */
const char *fft_library(void);

#endif
