/* batch.c: plans and kernels of the FFT over lanes. */
#include "batch.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "../support/cpu.h"
#include "lanes.h"

#define REAL float
#define LANES BATCH_F32
#define NAME(name) name##_f32
#include "batch_kernel.h"
#undef REAL
#undef LANES
#undef NAME

#define REAL double
#define LANES BATCH_F64
#define NAME(name) name##_f64
#include "batch_kernel.h"

/* Both ends of the spectrum from one pair, X[points-k] = conj(E[k] - t O[k]);
 * these are four times the squared magnitudes. */
#define BOTH_ENDS(REAL, LANES, low, high)                        \
    REAL er = a[l] + b[l], ei = a[LANES + l] - b[LANES + l];     \
    REAL or = a[LANES + l] + b[LANES + l], oi = b[l] - a[l];     \
    REAL ur = tr * or -ti * oi, ui = tr * oi + ti * or ;         \
    REAL lr = er + ur, li = ei + ui, hr = er - ur, hi = ei - ui; \
    REAL low = lr * lr + li * li, high = hr * hr + hi * hi

BC_EACH_CPU(extern, batch_power_f32,
            (float *restrict out, const float *restrict z, const batch_plan *p), (out, z, p)) {
    const size_t mask = p->points - 1;
    for (size_t k = 0; k <= p->points / 2; k++) {
        const float *a = z + p->position[k] * (size_t)(2 * BATCH_F32);
        const float *b = z + p->position[(p->points - k) & mask] * (size_t)(2 * BATCH_F32);
        const float tr = p->unpack_f32[2 * k], ti = p->unpack_f32[2 * k + 1];
        float *first = out + k * BATCH_F32, *last = out + (p->points - k) * BATCH_F32;
        EACH_LANE(l, BATCH_F32) {
            BOTH_ENDS(float, BATCH_F32, low, high);
            first[l] = 0.25f * low;
            last[l] = 0.25f * high;
        }
    }
}

BC_EACH_CPU(extern, batch_largest_f64,
            (double *restrict out, const double *restrict z, const batch_plan *p), (out, z, p)) {
    const size_t mask = p->points - 1;
    double most[BATCH_F64] = {0};
    for (size_t k = 0; k <= p->points / 2; k++) {
        const double *a = z + p->position[k] * (size_t)(2 * BATCH_F64);
        const double *b = z + p->position[(p->points - k) & mask] * (size_t)(2 * BATCH_F64);
        const double tr = p->unpack_f64[2 * k], ti = p->unpack_f64[2 * k + 1];
        EACH_LANE(l, BATCH_F64) {
            BOTH_ENDS(double, BATCH_F64, low, high);
            low = low > high ? low : high;
            most[l] = most[l] > low ? most[l] : low;
        }
    }
    EACH_LANE(l, BATCH_F64) out[l] = 0.25 * most[l];
}

#undef BOTH_ENDS

#define MAX_BITS 26

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static batch_plan *plans[MAX_BITS + 1]; /* by the logarithm of their points */

/* Radix 8 as long as 2, 4 or 8 points remain at the end. */
static void choose_passes(batch_plan *p) {
    size_t twiddles = 0;
    for (size_t n = p->points; n > 1; p->passes++) {
        int radix = n == 16 ? 4 : n >= 8 ? 8 : (int)n;
        p->radix[p->passes] = radix;
        p->block[p->passes] = n;
        p->twiddle[p->passes] = twiddles;
        n /= (size_t)radix;
        twiddles += n * 2 * (size_t)(radix - 1);
    }
    p->twiddle[p->passes] = twiddles; /* their number */
}

static void fill_twiddles(batch_plan *p) {
    for (int i = 0; i < p->passes; i++) {
        size_t radix = (size_t)p->radix[i], q = p->block[i] / radix, at = p->twiddle[i];
        for (size_t j = 0; j < q; j++)
            for (size_t r = 1; r < radix; r++, at += 2) {
                double angle = -2 * M_PI * (double)(r * j) / (double)p->block[i];
                p->twiddles_f64[at] = cos(angle);
                p->twiddles_f64[at + 1] = sin(angle);
            }
    }
    for (size_t i = 0; i < p->twiddle[p->passes]; i++)
        p->twiddles_f32[i] = (float)p->twiddles_f64[i];
    for (size_t k = 0; k <= p->points; k++) {
        double angle = -M_PI * (double)k / (double)p->points;
        p->unpack_f32[2 * k] = (float)(p->unpack_f64[2 * k] = cos(angle));
        p->unpack_f32[2 * k + 1] = (float)(p->unpack_f64[2 * k + 1] = sin(angle));
    }
}

/* Block r of a pass of radix R holds the frequencies that are r modulo R. */
static void fill_positions(batch_plan *p) {
    for (size_t k = 0; k < p->points; k++) {
        size_t rest = k, at = 0;
        for (int i = 0; i < p->passes; i++) {
            size_t radix = (size_t)p->radix[i];
            at += rest % radix * (p->block[i] / radix);
            rest /= radix;
        }
        p->position[k] = (uint32_t)at;
    }
}

static void drop(batch_plan *p) {
    if (p == NULL) return;
    free(p->twiddles_f32);
    free(p->twiddles_f64);
    free(p->unpack_f32);
    free(p->unpack_f64);
    free(p->position);
    free(p);
}

static batch_plan *make(size_t points) {
    batch_plan *p = calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->points = points;
    choose_passes(p);
    size_t twiddles = p->twiddle[p->passes];
    p->twiddles_f32 = malloc(twiddles * sizeof(float));
    p->twiddles_f64 = malloc(twiddles * sizeof(double));
    p->unpack_f32 = malloc(2 * (points + 1) * sizeof(float));
    p->unpack_f64 = malloc(2 * (points + 1) * sizeof(double));
    p->position = malloc(points * sizeof *p->position);
    if (!p->twiddles_f32 || !p->twiddles_f64 || !p->unpack_f32 || !p->unpack_f64 || !p->position) {
        drop(p);
        return NULL;
    }
    fill_twiddles(p);
    fill_positions(p);
    return p;
}

const batch_plan *batch_get(size_t points) {
    int bits = 0;
    while (bits < MAX_BITS && (size_t)1 << bits < points) bits++;
    if (points < 2 || (size_t)1 << bits != points) return NULL;
    pthread_mutex_lock(&lock);
    if (plans[bits] == NULL) plans[bits] = make(points);
    batch_plan *p = plans[bits];
    pthread_mutex_unlock(&lock);
    return p;
}
