/* products_avx2.c: the product in vectors of eight; see products_avx512.c. */
#include "products.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define PRODUCT nn_product_avx2
#define DOTS nn_dots_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define UNROLL _Pragma("GCC unroll 8")
#define V __m256
#define VL 8
#define TILE_ROWS 4
#define TILE_V 3
#define LOADU(p) _mm256_loadu_ps(p)
#define STOREU(p, v) _mm256_storeu_ps(p, v)
#define SET1(x) _mm256_set1_ps(x)
#define ADD(x, y) _mm256_add_ps(x, y)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#include "products_loops.h"
#endif
