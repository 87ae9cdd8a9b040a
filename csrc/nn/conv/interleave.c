/* interleave.c: sixteen channels side by side, by transposing squares of
 * sixteen by sixteen values where the processor has vectors of that length. */
#include "interleave.h"

#include "../../support/cpu.h"
#include "../../support/transpose.h"

#if defined(__x86_64__)
#define TARGET BC_AVX512_TARGET
#define AVX512 BC_AVX512

/* Sixteen values of any storage but f64, where the mask is set. */
AVX512 __m512 load(const void *row, enum nn_storage as, size_t at, __mmask16 mask) {
    if (as == NN_AS_F32) return _mm512_maskz_loadu_ps(mask, (const float *)row + at);
    __m256i half = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)row + at);
    if (as == NN_AS_F16) return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

AVX512 void store(void *row, enum nn_storage as, size_t at, __mmask16 mask, __m512 v) {
    __m256i half;
    if (as == NN_AS_F32) {
        _mm512_mask_storeu_ps((float *)row + at, mask, v);
        return;
    }
    if (as == NN_AS_F16) {
        half = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    } else { /* as nn_narrow: to the nearest, ties to even, NaN stays */
        __m512i bits = _mm512_castps_si512(v), upper = _mm512_srli_epi32(bits, 16);
        __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
        __m512i round = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        __m512i quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
        __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        half =
            _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(_mm512_srli_epi32(round, 16), nan, quiet));
    }
    _mm256_mask_storeu_epi16((uint16_t *)row + at, mask, half);
}

AVX512 void take_avx512(float *to, size_t step, const void *from, enum nn_storage as, size_t at,
                        size_t plane, size_t channels, size_t n) {
    for (size_t i = 0; i < n; i += 16, to += 16 * step) {
        const size_t left = n - i < 16 ? n - i : 16;
        const __mmask16 mask = (__mmask16)((1U << left) - 1);
        __m512 r[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++)
            r[j] = load(from, as, at + i + (j < channels ? j : 0) * plane, j < channels ? mask : 0);
        bc_transpose_avx512(r);
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++)
            if (j < left) _mm512_storeu_ps(to + j * step, r[j]);
    }
}

AVX512 void put_avx512(void *to, enum nn_storage as, size_t at, size_t plane, const float *from,
                       size_t step, const float *bias, bool add, size_t channels, size_t n) {
    const __m512 more = bias == NULL
                            ? _mm512_setzero_ps()
                            : _mm512_maskz_loadu_ps((__mmask16)((1U << channels) - 1), bias);
    for (size_t i = 0; i < n; i += 16, from += 16 * step) {
        const size_t left = n - i < 16 ? n - i : 16;
        const __mmask16 mask = (__mmask16)((1U << left) - 1);
        __m512 r[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++)
            r[j] = _mm512_add_ps(_mm512_loadu_ps(from + (j < left ? j : 0) * step), more);
        bc_transpose_avx512(r);
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++) {
            const size_t place = at + i + j * plane;
            if (j >= channels) continue;
            if (add) r[j] = _mm512_add_ps(load(to, as, place, mask), r[j]);
            store(to, as, place, mask, r[j]);
        }
    }
}

/* One copy of the loop for each storage. */
TARGET static void take_vectors(float *to, size_t step, const void *from, enum nn_storage as,
                                size_t at, size_t plane, size_t channels, size_t n) {
    if (as == NN_AS_F32)
        take_avx512(to, step, from, NN_AS_F32, at, plane, channels, n);
    else if (as == NN_AS_BF16)
        take_avx512(to, step, from, NN_AS_BF16, at, plane, channels, n);
    else
        take_avx512(to, step, from, NN_AS_F16, at, plane, channels, n);
}

TARGET static void put_vectors(void *to, enum nn_storage as, size_t at, size_t plane,
                               const float *from, size_t step, const float *bias, bool add,
                               size_t channels, size_t n) {
    if (as == NN_AS_F32)
        put_avx512(to, NN_AS_F32, at, plane, from, step, bias, add, channels, n);
    else if (as == NN_AS_BF16)
        put_avx512(to, NN_AS_BF16, at, plane, from, step, bias, add, channels, n);
    else
        put_avx512(to, NN_AS_F16, at, plane, from, step, bias, add, channels, n);
}

/* A pair of channels is one value of 32 bits. */
TARGET static void take_pairs(uint16_t *to, size_t step, const uint16_t *from, size_t plane,
                              size_t channels, size_t n) {
    for (size_t i = 0; i < n; i += 16, to += 16 * step) {
        const size_t left = n - i < 16 ? n - i : 16;
        const __mmask16 mask = (__mmask16)((1U << left) - 1);
        __m512 r[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++) {
            const size_t a = 2 * j, b = a + 1;
            const uint16_t *row = from + i;
            __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
                a < channels ? mask : 0, row + (a < channels ? a : 0) * plane));
            __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
                b < channels ? mask : 0, row + (b < channels ? b : 0) * plane));
            r[j] = _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
        bc_transpose_avx512(r);
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++)
            if (j < left) _mm512_storeu_ps(to + j * step, r[j]);
    }
}
#endif

void nn_take_row_16(uint16_t *to, size_t step, const uint16_t *from, size_t plane, size_t channels,
                    size_t n) {
#if defined(__x86_64__)
    if (bc_cpu_now() >= BC_CPU_AVX512) {
        take_pairs(to, step, from, plane, channels, n);
        return;
    }
#endif
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < 32; j++) to[i * step + j] = j < channels ? from[j * plane + i] : 0;
}

/* to[i*step + j] = from[j*plane + i] for j < channels, else 0; in this order, as
 * step may be less than 16. */
static void interleave(float *to, size_t step, const float *from, size_t plane, size_t channels,
                       size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < 16; j++) to[i * step + j] = j < channels ? from[j * plane + i] : 0;
}

static void deinterleave(float *to, size_t plane, const float *from, size_t step, const float *bias,
                         bool add, size_t channels, size_t n) {
    for (size_t j = 0; j < channels; j++, to += plane)
        for (size_t i = 0; i < n; i++) {
            float value = from[i * step + j] + (bias == NULL ? 0 : bias[j]);
            to[i] = add ? to[i] + value : value;
        }
}

void nn_take_row(float *to, size_t step, const void *map, enum nn_storage as, size_t at,
                 size_t plane, size_t channels, size_t n, float *wide) {
#if defined(__x86_64__)
    if (bc_cpu_now() >= BC_CPU_AVX512) {
        take_vectors(to, step, map, as, at, plane, channels, n);
        return;
    }
#endif
    if (as == NN_AS_F32) {
        interleave(to, step, (const float *)map + at, plane, channels, n);
        return;
    }
    for (size_t j = 0; j < channels; j++)
        nn_widen(wide + j * n, (const uint16_t *)map + j * plane + at, as, n);
    interleave(to, step, wide, n, channels, n);
}

void nn_put_row(void *map, enum nn_storage as, size_t at, size_t plane, const float *from,
                size_t step, const float *bias, bool add, size_t channels, size_t n, float *wide) {
#if defined(__x86_64__)
    if (bc_cpu_now() >= BC_CPU_AVX512) {
        put_vectors(map, as, at, plane, from, step, bias, add, channels, n);
        return;
    }
#endif
    if (as == NN_AS_F32) {
        deinterleave((float *)map + at, plane, from, step, bias, add, channels, n);
        return;
    }
    uint16_t *to = (uint16_t *)map + at;
    if (add)
        for (size_t j = 0; j < channels; j++) nn_widen(wide + j * n, to + j * plane, as, n);
    deinterleave(wide, n, from, step, bias, add, channels, n);
    for (size_t j = 0; j < channels; j++) nn_narrow(to + j * plane, wide + j * n, as, n);
}
