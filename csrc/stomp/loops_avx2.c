/* loops_avx2.c: the hot loops in vectors of four. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

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
#define MIN(x, y) _mm256_min_pd(x, y)
#define FMA(x, y, z) _mm256_fmadd_pd(x, y, z)
#define LESS(x, y) _mm256_cmp_pd(x, y, _CMP_LT_OQ)
#define NOT_MORE(x, y) _mm256_cmp_pd(x, y, _CMP_LE_OQ)
#define OR(x, y) _mm256_or_pd(x, y)
#define AND(x, y) _mm256_and_pd(x, y)
#define MORE(x, y) _mm256_cmp_pd(x, y, _CMP_GT_OQ)
#define AND_MORE(m, x, y) _mm256_and_pd(m, _mm256_cmp_pd(x, y, _CMP_GT_OQ))
#define AND_BELOW(m, x, y) _mm256_and_pd(m, _mm256_cmp_pd(x, y, _CMP_NGE_UQ)) /* NaN is below */
#define ALL_OF_IT _mm256_castsi256_pd(_mm256_set1_epi64x(-1))
#define ALL(m) (_mm256_movemask_pd(m) == 15)
#define ANY(m) (_mm256_movemask_pd(m) != 0)
#define KEEP(p, m, v) _mm256_maskstore_pd(p, _mm256_castpd_si256(m), v)
#define KEEP_INT(p, m, i) \
    _mm256_maskstore_epi64((long long *)(p), _mm256_castpd_si256(m), _mm256_set1_epi64x(i))
#include "loops_sum.h"
#include "simple_filter.h"
#include "simple_sweep.h"
#include "znorm_sweep.h"
#else
typedef int bc_no_avx2; /* ISO C wants a declaration in every file */
#endif
