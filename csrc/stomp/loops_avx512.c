/* loops_avx512.c: the hot loops in vectors of eight. V is a vector, VL
 * its length, M what a comparison gives; TILE_ROWS x TILE_V vectors, and TILE_V
 * more, fit the registers. KEEP stores where the mask is set. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

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
#define MIN(x, y) _mm512_min_pd(x, y)
#define FMA(x, y, z) _mm512_fmadd_pd(x, y, z)
#define LESS(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ)
#define NOT_MORE(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LE_OQ)
#define OR(x, y) ((__mmask8)((x) | (y)))
#define AND(x, y) ((__mmask8)((x) & (y)))
#define MORE(x, y) _mm512_cmp_pd_mask(x, y, _CMP_GT_OQ)
#define AND_MORE(m, x, y) _mm512_mask_cmp_pd_mask(m, x, y, _CMP_GT_OQ)
#define AND_BELOW(m, x, y) _mm512_mask_cmp_pd_mask(m, x, y, _CMP_NGE_UQ) /* NaN is below */
#define ALL_OF_IT ((__mmask8)0xff)
#define ALL(m) ((m) == 0xff)
#define ANY(m) ((m) != 0)
#define KEEP(p, m, v) _mm512_mask_storeu_pd(p, m, v)
#define KEEP_INT(p, m, i) _mm512_mask_storeu_epi64(p, m, _mm512_set1_epi64(i))
#include "loops_sum.h"
#include "simple_filter.h"
#include "simple_sweep.h"
#include "znorm_sweep.h"
#else
typedef int bc_no_avx512; /* ISO C wants a declaration in every file */
#endif
