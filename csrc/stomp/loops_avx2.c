/* loops_avx2.c: the hot loops in vectors of four. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "simple_vectors.h"
#include "znorm_vectors.h"

#define SWEEP bc_sweep_avx2
#define FILTER bc_filter_avx2
#define ZNORM_GRID bc_znorm_grid_avx2
#define ZNORM_SWEEP bc_znorm_sweep_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define V __m256d
#define VL 4
#define TILE_ROWS 4
#define TILE_V 3
#define M __m256d
#define LOAD(p) _mm256_load_pd(p)
#define LOADU(p) _mm256_loadu_pd(p)
#define STORE(p, v) _mm256_store_pd(p, v)
#define STOREU(p, v) _mm256_storeu_pd(p, v)
#define SET1(x) _mm256_set1_pd(x)
#define ADD(x, y) _mm256_add_pd(x, y)
#define SUB(x, y) _mm256_sub_pd(x, y)
#define MUL(x, y) _mm256_mul_pd(x, y)
#define FMA(x, y, z) _mm256_fmadd_pd(x, y, z)
#define LESS(x, y) _mm256_cmp_pd(x, y, _CMP_LT_OQ)
#define NOT_MORE(x, y) _mm256_cmp_pd(x, y, _CMP_LE_OQ)
#define OR(x, y) _mm256_or_pd(x, y)
#define AND_BELOW(m, x, y) _mm256_and_pd(m, _mm256_cmp_pd(x, y, _CMP_NGE_UQ)) /* NaN is below */
#define ALL_OF_IT _mm256_castsi256_pd(_mm256_set1_epi64x(-1))
#define ALL(m) (_mm256_movemask_pd(m) == 15)
#define ANY(m) (_mm256_movemask_pd(m) != 0)
#define KEEP(p, m, v) _mm256_maskstore_pd(p, _mm256_castpd_si256(m), v)
#define KEEP_INT(p, m, i) \
    _mm256_maskstore_epi64((long long *)(p), _mm256_castpd_si256(m), _mm256_set1_epi64x(i))
#define F __m256
#define FL 8
#define F_LOAD(p) _mm256_load_ps(p)
#define F_SET1(x) _mm256_set1_ps(x)
#define F_ADD(x, y) _mm256_add_ps(x, y)
#define F_FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#define F_ROUND(x) _mm256_cvtps_epi32(x)
#define I __m256i
#define IM __m256i
#define I_LOAD(p) _mm256_load_si256((const __m256i *)(p))
#define I_LOADU(p) _mm256_loadu_si256((const __m256i *)(p))
#define I_STORE(p, v) _mm256_store_si256((__m256i *)(p), v)
#define I_STOREU(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define I_SET1(x) _mm256_set1_epi32(x)
#define I_ADD(x, y) _mm256_add_epi32(x, y)
#define I_SUB(x, y) _mm256_sub_epi32(x, y)
#define I_MIN(x, y) _mm256_min_epi32(x, y)
#define I_NOT_MORE(x, y) _mm256_cmpeq_epi32(_mm256_min_epi32(x, y), x)
#define I_OR(x, y) _mm256_or_si256(x, y)
#define I_AND(x, y) _mm256_and_si256(x, y)
#define I_ANY(m) (_mm256_movemask_epi8(m) != 0)
#define I_KEEP(p, m, v) _mm256_maskstore_epi32(p, m, v)
#define I_HALF(m, half) _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(m, half)))
#define I_KEEP_WIDE(p, m, i) \
    KEEP_INT(p, I_HALF(m, 0), i), KEEP_INT((p) + 4, I_HALF(m, 1), i)
#include "loops_sum.h"
#include "simple_filter.h"
#include "simple_sweep.h"
#include "znorm_sweep.h"
#else
typedef int bc_no_avx2; /* ISO C wants a declaration in every file */
#endif
