/* real.h: what computes in float or in double. Every file of op/ is compiled twice (see the
 * Makefile): as it stands, and with NN_DOUBLE, so that gradients can be checked in double precision
 * on the very code that trains in single. NN(name) is name_f32, then name_f64. What is there once,
 * the kind of a layer, stands in #ifndef NN_DOUBLE. */
#ifndef NN_REAL_H
#define NN_REAL_H

#include "../graph/kinds.h"
#include "../graph/pass.h"

#ifdef NN_DOUBLE
typedef double real;
#define NN(name) name##_f64
#define NN_GEMM cblas_dgemm
#else
typedef float real;
#define NN(name) name##_f32
#define NN_GEMM cblas_sgemm
#endif

#define NN_FORWARD(name) nn_pass nn_##name##_pass_f32, nn_##name##_pass_f64
#define NN_PASSES(name) NN_FORWARD(name), nn_##name##_back_f32, nn_##name##_back_f64
#define NN_IN_BOTH(pass) \
    { pass##_f32, pass##_f64 }

#endif
