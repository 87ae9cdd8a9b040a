/* fft.c: the cache of FFTW plans. */
#include "fft.h"

#include <fftw3.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

struct fft_plan {
    struct fft_plan *next;
    enum fft_kind kind;
    size_t n;
    fftwf_plan f32;
    fftw_plan f64;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fft_plan *plans;

/* FFTW_ESTIMATE does not touch the arrays, but their alignment counts: the
 * plan then works for every array that is aligned as well as these. */
static int make(fft_plan *p) {
    unsigned flags = FFTW_ESTIMATE | FFTW_PRESERVE_INPUT;
    int n = (int)p->n;
    size_t bytes = (p->n + 2) * 2 * sizeof(double);
    bytes = (bytes + 63) / 64 * 64;
    void *in = aligned_alloc(64, bytes), *out = aligned_alloc(64, bytes);
    if (in != NULL && out != NULL) {
        if (p->kind == FFT_REAL_F32) p->f32 = fftwf_plan_dft_r2c_1d(n, in, out, flags);
        if (p->kind == FFT_REAL_F64) p->f64 = fftw_plan_dft_r2c_1d(n, in, out, flags);
        if (p->kind == FFT_COMPLEX_F64) p->f64 = fftw_plan_dft_1d(n, in, out, FFTW_FORWARD, flags);
    }
    free(in);
    free(out);
    return p->f32 != NULL || p->f64 != NULL;
}

const fft_plan *fft_get(enum fft_kind kind, size_t n) {
    if (n < 1 || n > INT_MAX / 4) return NULL;
    pthread_mutex_lock(&lock);
    fft_plan *p = plans;
    while (p != NULL && (p->kind != kind || p->n != n)) p = p->next;
    if (p == NULL && (p = calloc(1, sizeof *p)) != NULL) {
        p->kind = kind;
        p->n = n;
        if (make(p)) {
            p->next = plans;
            plans = p;
        } else {
            free(p);
            p = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    return p;
}

void fft_real_f32(float *out, float *in, const fft_plan *p) {
    fftwf_execute_dft_r2c(p->f32, in, (fftwf_complex *)out);
}

void fft_real_f64(double *out, double *in, const fft_plan *p) {
    fftw_execute_dft_r2c(p->f64, in, (fftw_complex *)out);
}

void fft_complex_f64(double *out, double *in, const fft_plan *p) {
    fftw_execute_dft(p->f64, (fftw_complex *)in, (fftw_complex *)out);
}

const char *fft_library(void) { return fftwf_version; }
