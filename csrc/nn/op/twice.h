/* twice.h: compiles a file for float (its names end in _f32) and for double
 * (_f64), so that gradients can be checked in double precision on the very
 * code that trains in single:
 *
 *     #define NN_TWICE "conv.inc"
 *     #include "twice.h"
 *
 * No include guard: it is meant to be included again. */
#define real float
#define NN(name) name##_f32
#define NN_GEMM cblas_sgemm
#include NN_TWICE
#undef real
#undef NN
#undef NN_GEMM

#define real double
#define NN(name) name##_f64
#define NN_GEMM cblas_dgemm
#include NN_TWICE
#undef real
#undef NN
#undef NN_GEMM
#undef NN_TWICE
