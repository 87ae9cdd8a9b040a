/* products_plain.c: the product for any processor, in vectors of four, which
 * the compiler maps to what there is (SSE2, NEON); and the choice. */
#include <string.h>

#include "../../support/cpu.h"
#include "products.h"

typedef float four __attribute__((vector_size(16)));

static inline four four_load(const float *p) {
    four v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void four_store(float *p, four v) {
    memcpy(p, &v, sizeof v);
}

#define PRODUCT nn_product_plain
#define DOTS nn_dots_plain
#define TARGET
#define UNROLL _Pragma("GCC unroll 8")
#define V four
#define VL 4
#define TILE_ROWS 4
#define TILE_V 2
#define LOADU(p) four_load(p)
#define STOREU(p, v) four_store(p, v)
#define SET1(x) ((four){(x), (x), (x), (x)})
#define ADD(x, y) ((x) + (y))
#define FMA(x, y, z) ((x) * (y) + (z)) /* rounds twice */
#include "products_loops.h"

nn_product *nn_product_best(void) {
#if defined(__x86_64__)
    if (bc_cpu_now() >= BC_CPU_AVX512) return nn_product_avx512;
    if (bc_cpu_now() == BC_CPU_AVX2) return nn_product_avx2;
#endif
    return nn_product_plain;
}

nn_dots *nn_dots_best(void) {
#if defined(__x86_64__)
    if (bc_cpu_now() >= BC_CPU_AVX512) return nn_dots_avx512;
    if (bc_cpu_now() == BC_CPU_AVX2) return nn_dots_avx2;
#endif
    return nn_dots_plain;
}
