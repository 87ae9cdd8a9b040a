/* frames.c: framing, and the transpositions between clips and lanes. */
#include "frames.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../support/cpu.h"
#include "../support/transpose.h"
#include "batch.h"
#include "lanes.h"

/* Four floats: a vector that every processor we run on has. */
typedef float float4 __attribute__((vector_size(16)));
typedef int int4 __attribute__((vector_size(16)));

size_t frames_count(size_t n, size_t length, size_t hop, enum mel_pad pad) {
    if (pad == MEL_PAD_NONE) return n < length ? 0 : 1 + (n - length) / hop;
    return n == 0 ? 0 : 1 + (n - length % 2) / hop;
}

static size_t reflect(ptrdiff_t i, size_t n) {
    if (n == 1) return 0;
    ptrdiff_t period = 2 * ((ptrdiff_t)n - 1);
    i %= period;
    if (i < 0) i += period;
    return (size_t)(i < (ptrdiff_t)n ? i : period - i);
}

static void fill_edge(float *out, const frame_view *v, ptrdiff_t start) {
    for (size_t i = 0; i < v->length; i++) {
        ptrdiff_t at = start + (ptrdiff_t)i;
        if (at >= 0 && at < (ptrdiff_t)v->n)
            out[i] = v->samples[at];
        else
            out[i] = v->pad == MEL_PAD_REFLECT && v->n > 0 ? v->samples[reflect(at, v->n)] : 0;
    }
}

void frames_locate(const float **lane, float *edge, const frame_view *v, size_t t, size_t end,
                   int lanes) {
    for (int l = 0; l < lanes; l++, t++, edge += v->length) {
        ptrdiff_t start = v->first + (ptrdiff_t)(t * v->hop);
        lane[l] = edge;
        if (t >= end)
            memset(edge, 0, v->length * sizeof *edge);
        else if (start >= 0 && (size_t)start + v->length <= v->n)
            lane[l] = v->samples + start;
        else
            fill_edge(edge, v, start);
    }
}

#ifdef __clang__
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (int4){i, j, k, l})
#endif

/* Rows a, b, c, d become columns. */
#define TRANSPOSE(a, b, c, d)                                                    \
    do {                                                                         \
        float4 ab0 = SHUFFLE(a, b, 0, 4, 1, 5), ab1 = SHUFFLE(a, b, 2, 6, 3, 7); \
        float4 cd0 = SHUFFLE(c, d, 0, 4, 1, 5), cd1 = SHUFFLE(c, d, 2, 6, 3, 7); \
        a = SHUFFLE(ab0, cd0, 0, 1, 4, 5), b = SHUFFLE(ab0, cd0, 2, 3, 6, 7);    \
        c = SHUFFLE(ab1, cd1, 0, 1, 4, 5), d = SHUFFLE(ab1, cd1, 2, 3, 6, 7);    \
    } while (0)

#define LOAD4(to, from) memcpy(&(to), from, sizeof(float4))
#define STORE4(to, from) memcpy(to, &(from), sizeof(float4))

/* Rows i..i+count-1, a multiple of 4, of out (., lanes). */
static inline __attribute__((always_inline)) void gather(float *restrict out,
                                                         const float *const *lane, size_t i,
                                                         size_t count, int lanes) {
    for (size_t end = i + count; i < end; i += 4, out += 4 * lanes)
        for (int l = 0; l < lanes; l += 4) {
            float4 a, b, c, d;
            LOAD4(a, lane[l] + i);
            LOAD4(b, lane[l + 1] + i);
            LOAD4(c, lane[l + 2] + i);
            LOAD4(d, lane[l + 3] + i);
            TRANSPOSE(a, b, c, d);
            STORE4(out + l, a);
            STORE4(out + lanes + l, b);
            STORE4(out + 2 * lanes + l, c);
            STORE4(out + 3 * lanes + l, d);
        }
}

/* In blocks that stay in the first-level cache between the two steps. */
enum { BLOCK = 64 };

BC_EACH_CPU(static, gather_f32,
            (float *restrict out, const float *const *lane, const float *restrict window,
             size_t length),
            (out, lane, window, length)) {
    const size_t whole = length - length % 4;
    for (size_t i = 0; i < whole; i += BLOCK) {
        size_t count = whole - i < BLOCK ? whole - i : BLOCK;
        gather(out + i * BATCH_F32, lane, i, count, BATCH_F32);
        for (size_t k = i; window != NULL && k < i + count; k++) {
            float *row = out + k * BATCH_F32;
            EACH_LANE(l, BATCH_F32) row[l] *= window[k];
        }
    }
    for (size_t i = whole; i < length; i++)
        for (size_t l = 0; l < BATCH_F32; l++)
            out[i * BATCH_F32 + l] = lane[l][i] * (window != NULL ? window[i] : 1);
}

#if defined(__x86_64__)
/* The same in squares of sixteen by sixteen: half the shuffles, and every value is written
 * once. */
BC_AVX512_TARGET static void gather_squares(float *out, const float *const *lane,
                                            const float *window, size_t length) {
    for (size_t i = 0; i < length; i += 16, out += 16 * BATCH_F32) {
        __m512 r[16];
#pragma GCC unroll 16
        for (size_t l = 0; l < 16; l++) r[l] = _mm512_loadu_ps(lane[l] + i);
        bc_transpose_avx512(r);
#pragma GCC unroll 16
        for (size_t k = 0; k < 16; k++) {
            if (window != NULL) r[k] = _mm512_mul_ps(r[k], _mm512_set1_ps(window[i + k]));
            _mm512_storeu_ps(out + k * BATCH_F32, r[k]);
        }
    }
}
#endif

void frames_gather_f32(float *out, const float *const *lane, const float *window, size_t length) {
#if defined(__x86_64__)
    if (length % 16 == 0 && bc_cpu_now() >= BC_CPU_AVX512) {
        gather_squares(out, lane, window, length);
        return;
    }
#endif
    gather_f32(out, lane, window, length);
}

BC_EACH_CPU(extern, frames_gather_f64,
            (double *restrict out, const float *const *lane, const double *restrict window,
             size_t length),
            (out, lane, window, length)) {
    const size_t whole = length - length % 4;
    float block[BLOCK * BATCH_F64];
    for (size_t i = 0; i < whole; i += BLOCK) {
        size_t count = whole - i < BLOCK ? whole - i : BLOCK;
        gather(block, lane, i, count, BATCH_F64);
        for (size_t k = 0; k < count; k++) {
            double *row = out + (i + k) * BATCH_F64;
            EACH_LANE(l, BATCH_F64) row[l] = window[i + k] * block[k * BATCH_F64 + (size_t)l];
        }
    }
    for (size_t i = whole; i < length; i++)
        for (size_t l = 0; l < BATCH_F64; l++) out[i * BATCH_F64 + l] = lane[l][i] * window[i];
}

BC_EACH_CPU(extern, frames_scatter, (float *const *to, const float *const *row, size_t n),
            (to, row, n)) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < BATCH_F32; l += 4) {
            float4 a, b, c, d;
            LOAD4(a, row[i] + l);
            LOAD4(b, row[i + 1] + l);
            LOAD4(c, row[i + 2] + l);
            LOAD4(d, row[i + 3] + l);
            TRANSPOSE(a, b, c, d);
            STORE4(to[l] + i, a);
            STORE4(to[l + 1] + i, b);
            STORE4(to[l + 2] + i, c);
            STORE4(to[l + 3] + i, d);
        }
    for (; i < n; i++)
        for (int l = 0; l < BATCH_F32; l++) to[l][i] = row[i][l];
}

/* NaN and infinity are the numbers with all bits of the exponent set. */
typedef uint32_t float_bits __attribute__((may_alias));

BC_EACH_CPU(static, find_bad, (uint32_t * bad, const float_bits *bits, size_t n), (bad, bits, n)) {
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) any |= (bits[i] & 0x7f800000) == 0x7f800000;
    *bad = any;
}

size_t frames_first_bad(const float *samples, size_t n) {
    enum { AT_ONCE = 65536 };
    for (size_t at = 0; at < n; at += AT_ONCE) {
        size_t count = n - at < AT_ONCE ? n - at : AT_ONCE;
        uint32_t bad;
        find_bad(&bad, (const float_bits *)samples + at, count);
        if (!bad) continue;
        while (isfinite(samples[at])) at++;
        return at;
    }
    return n;
}
