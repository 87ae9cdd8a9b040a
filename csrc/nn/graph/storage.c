/* storage.c: floats to 16 bits and back. */
#include "storage.h"

#include <string.h>

#include "../../array/elements.h"
#include "../../support/bf16.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_F16C 1
#else
#define HAVE_F16C 0
#endif

/* --- f16, in integers: for processors without F16C ------------------------------ */

static uint16_t float_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x1ff));
    if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above */
    if (bits < 0x38800000) {                                  /* below 2^-14: denormal, or 0 */
        float magnitude;
        memcpy(&magnitude, &bits, sizeof bits);
        magnitude += 0.5F; /* the last bit of 0.5 + m is 2^-24: the sum rounds as we want */
        memcpy(&bits, &magnitude, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits - 0x38000000) >> 13));
}

static void widen_f16_plain(float *to, const uint16_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = bc_half_to_float(from[i]);
}

static void narrow_f16_plain(uint16_t *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = float_to_half(from[i]);
}

/* --- f16 with F16C ----------------------------------------------------------------- */

#if HAVE_F16C
__attribute__((target("avx,f16c"))) static void widen_f16c(float *to, const uint16_t *from,
                                                           size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
    widen_f16_plain(to + i, from + i, n - i);
}

__attribute__((target("avx,f16c"))) static void narrow_f16c(uint16_t *to, const float *from,
                                                            size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    narrow_f16_plain(to + i, from + i, n - i);
}

static int has_f16c(void) {
    return __builtin_cpu_supports("avx2"); /* brings f16c, which clang cannot ask for */
}
#endif

static void widen_f16(float *to, const uint16_t *from, size_t n) {
#if HAVE_F16C
    if (has_f16c()) {
        widen_f16c(to, from, n);
        return;
    }
#endif
    widen_f16_plain(to, from, n);
}

static void narrow_f16(uint16_t *to, const float *from, size_t n) {
#if HAVE_F16C
    if (has_f16c()) {
        narrow_f16c(to, from, n);
        return;
    }
#endif
    narrow_f16_plain(to, from, n);
}

void nn_widen(float *to, const void *from, enum nn_storage s, size_t n) {
    if (s == NN_AS_BF16)
        bc_bf16_widen(to, from, n);
    else if (s == NN_AS_F16)
        widen_f16(to, from, n);
    else
        memcpy(to, from, n * sizeof *to);
}

void nn_narrow(void *to, const float *from, enum nn_storage s, size_t n) {
    if (s == NN_AS_BF16)
        bc_bf16_narrow(to, from, n);
    else if (s == NN_AS_F16)
        narrow_f16(to, from, n);
    else
        memcpy(to, from, n * sizeof *from);
}
