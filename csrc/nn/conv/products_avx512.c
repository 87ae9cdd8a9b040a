/* products_avx512.c: the product in vectors of sixteen. V is a vector, VL its
 * length; TILE_ROWS x TILE_V of them, TILE_V more and one fit the registers. */
#include "products.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define PRODUCT nn_product_avx512
#define DOTS nn_dots_avx512
#define TARGET __attribute__((target("avx512f")))
#define UNROLL _Pragma("GCC unroll 8")
#define V __m512
#define VL 16
#define TILE_ROWS 8
#define TILE_V 3
#define LOADU(p) _mm512_loadu_ps(p)
#define STOREU(p, v) _mm512_storeu_ps(p, v)
#define SET1(x) _mm512_set1_ps(x)
#define ADD(x, y) _mm512_add_ps(x, y)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#include "products_loops.h"
#endif
