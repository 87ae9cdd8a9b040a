/* loops_avx512.c: the hot loops in vectors of eight. V is a vector, VL
 * its length, M what a comparison gives; F and I are the filter's vectors of FL floats and integers,
 * IM what a comparison of them gives. TILE_ROWS x TILE_V vectors, and TILE_V more, fit the
 * registers. KEEP stores where the mask is set. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "simple_vectors.h"
#include "znorm_vectors.h"

#define SWEEP bc_sweep_avx512
#define FILTER bc_filter_avx512
#define ZNORM_GRID bc_znorm_grid_avx512
#define ZNORM_SWEEP bc_znorm_sweep_avx512
#define TARGET __attribute__((target("avx512f")))
#define V __m512d
#define VL 8
#define TILE_ROWS 8
#define TILE_V 3
#define M __mmask8
#define LOAD(p) _mm512_load_pd(p)
#define LOADU(p) _mm512_loadu_pd(p)
#define STORE(p, v) _mm512_store_pd(p, v)
#define STOREU(p, v) _mm512_storeu_pd(p, v)
#define SET1(x) _mm512_set1_pd(x)
#define ADD(x, y) _mm512_add_pd(x, y)
#define SUB(x, y) _mm512_sub_pd(x, y)
#define MUL(x, y) _mm512_mul_pd(x, y)
#define FMA(x, y, z) _mm512_fmadd_pd(x, y, z)
#define LESS(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ)
#define NOT_MORE(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LE_OQ)
#define OR(x, y) ((__mmask8)((x) | (y)))
#define AND_BELOW(m, x, y) _mm512_mask_cmp_pd_mask(m, x, y, _CMP_NGE_UQ) /* NaN is below */
#define ALL_OF_IT ((__mmask8)0xff)
#define ALL(m) ((m) == 0xff)
#define ANY(m) ((m) != 0)
#define KEEP(p, m, v) _mm512_mask_storeu_pd(p, m, v)
#define KEEP_INT(p, m, i) _mm512_mask_storeu_epi64(p, m, _mm512_set1_epi64(i))
#define F __m512
#define FL 16
#define F_LOAD(p) _mm512_load_ps(p)
#define F_SET1(x) _mm512_set1_ps(x)
#define F_ADD(x, y) _mm512_add_ps(x, y)
#define F_FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define F_ROUND(x) _mm512_cvtps_epi32(x)
#define I __m512i
#define IM __mmask16
#define I_LOAD(p) _mm512_load_si512(p)
#define I_LOADU(p) _mm512_loadu_si512(p)
#define I_STORE(p, v) _mm512_store_si512(p, v)
#define I_STOREU(p, v) _mm512_storeu_si512(p, v)
#define I_SET1(x) _mm512_set1_epi32(x)
#define I_ADD(x, y) _mm512_add_epi32(x, y)
#define I_SUB(x, y) _mm512_sub_epi32(x, y)
#define I_MIN(x, y) _mm512_min_epi32(x, y)
#define I_NOT_MORE(x, y) _mm512_cmple_epi32_mask(x, y)
#define I_OR(x, y) ((__mmask16)((x) | (y)))
#define I_AND(x, y) ((__mmask16)((x) & (y)))
#define I_ANY(m) ((m) != 0)
#define I_KEEP(p, m, v) _mm512_mask_storeu_epi32(p, m, v)
#define I_KEEP_WIDE(p, m, i) \
    KEEP_INT(p, (__mmask8)(m), i), KEEP_INT((p) + 8, (__mmask8)((m) >> 8), i)
#include "loops_sum.h"
#include "simple_filter.h"
#include "simple_sweep.h"
#include "znorm_sweep.h"
#else
typedef int bc_no_avx512; /* ISO C wants a declaration in every file */
#endif
